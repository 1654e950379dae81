//! Measures retrieval by cross-validation, without a model call: what `scripts/bench-retrieval`
//! runs. Everything goes through the library's own index run and retriever.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use ticket_router::classifier::{Gathered, Retriever, Scope};
use ticket_router::embed::{Bm25, cosine};
use ticket_router::index::{IndexOptions, index};
use ticket_router::input::{self, InputOptions, Row, RowContent};
use ticket_router::rank;
use ticket_router::retrieve::{BM25_WEIGHT, CANDIDATES, fuse};
use ticket_router::select::{Selection, is_near_text, select};
use ticket_router::store::{Filter, MANIFEST_BLOB, Manifest, Query};
use ticket_router::{
    DEFAULT_MODEL, EdgeStore, Embedder, ExampleStore as _, FastEmbedder, LabelledTicket, ModelPaths, Result, Taxonomy,
};

const FOLDS: usize = 5;
const BM25_WEIGHTS: [f32; 5] = [0.0, 0.05, 0.1, 0.2, 0.3];
const SELECTIONS: [Selection; 3] = [Selection::Nearest, Selection::Diverse, Selection::Contrastive];
const KS: [usize; 4] = [3, 5, 8, 12];

/// Vectors that were computed before: folds share them.
struct Known {
    vectors: HashMap<String, Vec<f32>>,
    inner: FastEmbedder,
}

#[async_trait]
impl Embedder for Known {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn dimension(&self) -> usize {
        self.inner.dimension()
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
        if let Some(known) = texts.iter().map(|text| self.vectors.get(text).cloned()).collect() {
            return Ok(known);
        }
        self.inner.embed(texts).await
    }
}

/// Right answers by the name of what was tried.
#[derive(Default)]
struct Tally {
    tickets: usize,
    counts: Vec<(String, usize, f64)>,
}

impl Tally {
    fn add(&mut self, name: String, right: bool, bytes: usize) {
        let position = self.counts.iter().position(|(known, ..)| *known == name).unwrap_or_else(|| {
            self.counts.push((name, 0, 0.0));
            self.counts.len() - 1
        });
        self.counts[position].1 += usize::from(right);
        #[expect(clippy::cast_precision_loss, reason = "texts are short")]
        {
            self.counts[position].2 += bytes as f64;
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "there are few tickets")]
    fn print(&self) {
        for (name, right, bytes) in &self.counts {
            let share = 100.0 * *right as f64 / self.tickets as f64;
            let bytes =
                if *bytes > 0.0 { format!("  {:6.0} bytes", bytes / self.tickets as f64) } else { String::new() };
            println!("{name:<44} {share:6.2} %{bytes}");
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(train), taxonomy, test) = (args.next(), args.next(), args.next()) else {
        eprintln!("usage: retrieval TRAIN [TAXONOMY|- [TEST]]");
        std::process::exit(2);
    };
    let taxonomy = match taxonomy.filter(|path| path != "-") {
        Some(path) => Some(Taxonomy::from_toml(&std::fs::read_to_string(&path).unwrap_or_default(), &path)?),
        None => None,
    };
    let train = rows(Path::new(&train))?;
    let test = test.map(|path| rows(Path::new(&path))).transpose()?;
    let paths = ModelPaths { usual: vec![".runtime".into()], ..ModelPaths::default() };
    let mut embedder = Known { vectors: HashMap::new(), inner: FastEmbedder::load(DEFAULT_MODEL, &paths)? };
    for rows in [Some(&train), test.as_ref()].into_iter().flatten() {
        let texts: Vec<String> = rows.iter().map(|row| row.ticket.text.clone()).collect();
        let vectors = embedder.inner.embed(texts.clone()).await?;
        embedder.vectors.extend(texts.into_iter().zip(vectors));
    }
    let embedder = Arc::new(embedder);
    let mut tally = Tally::default();
    let mut times = Vec::new();
    if let Some(test) = test {
        fold(&embedder, taxonomy.as_ref(), &train, &test, &mut tally, &mut times).await?;
    } else {
        // By intent and in turns, so that every fold has its share of each.
        let mut order: Vec<&LabelledTicket> = train.iter().collect();
        order.sort_by(|a, b| a.intent.cmp(&b.intent).then_with(|| a.ticket.id.cmp(&b.ticket.id)));
        let folds = std::env::var("FOLDS").ok().and_then(|n| n.parse().ok()).unwrap_or(FOLDS);
        for number in 0..folds {
            let part = |held_out: bool| -> Vec<LabelledTicket> {
                let of_part = order.iter().enumerate().filter(|(place, _)| (place % FOLDS == number) == held_out);
                of_part.map(|(_, ticket)| (*ticket).clone()).collect()
            };
            fold(&embedder, taxonomy.as_ref(), &part(false), &part(true), &mut tally, &mut times).await?;
        }
    }
    println!("{} tickets", tally.tickets);
    tally.print();
    times.sort_by(f64::total_cmp);
    println!(
        "retrieval with selection: median {:.3} ms, p95 {:.3} ms",
        times[times.len() / 2],
        times[times.len() * 95 / 100]
    );
    Ok(())
}

fn rows(path: &PathBuf_) -> Result<Vec<LabelledTicket>> {
    let csv = path.extension().is_some_and(|extension| extension == "csv");
    let intent_column = if csv { "category" } else { "intent" }.to_owned();
    let options = InputOptions { intent_column, ..InputOptions::default() };
    let rows = input::read(path, &options)?;
    Ok(rows.into_iter().filter_map(|row| row.content.ok()?.labelled(&options).ok()).collect())
}

type PathBuf_ = Path;

async fn fold(
    embedder: &Arc<Known>,
    taxonomy: Option<&Taxonomy>,
    train: &[LabelledTicket],
    test: &[LabelledTicket],
    tally: &mut Tally,
    times: &mut Vec<f64>,
) -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder for the store");
    let store = Arc::new(EdgeStore::open_or_create(&folder.path().join("store"), embedder.dimension()).await?);
    let row = |labelled: &LabelledTicket| Row {
        place: String::new(),
        id: Some(labelled.ticket.id.clone()),
        content: Ok(RowContent {
            ticket: labelled.ticket.clone(),
            intent: Some(labelled.intent.clone()),
            reasoning: labelled.reasoning.clone(),
        }),
    };
    let options = IndexOptions { taxonomy: taxonomy.cloned(), ..IndexOptions::default() };
    let report =
        index(store.as_ref(), embedder.as_ref(), train.iter().map(row).collect(), &options, &|_, _| {}).await?;
    if let Some(probe) = &report.probe {
        eprintln!("{} examples; probe: {}", report.total, serde_json::to_string(probe).unwrap_or_default());
    }
    let retriever = Retriever::open(store.clone(), embedder.clone()).await?;
    let manifest = Manifest::from_json(&store.blob(MANIFEST_BLOB).await?.unwrap_or_default())?;
    let bm25 = Bm25::new(&manifest.bm25)?;
    for round in 0..2 {
        for labelled in test {
            let embedded = retriever.embed(vec![labelled.ticket.clone()]).await.swap_remove(0)?;
            let begun = Instant::now();
            let gathered = retriever.search(embedded, Scope::default()).await?;
            let _ = select(&gathered.candidates, &gathered.votes, 5, Selection::default());
            let time = begun.elapsed().as_secs_f64() * 1e3;
            // The first round fills the caches.
            if round == 0 {
                continue;
            }
            times.push(time);
            let gold = retriever.taxonomy().resolve(&labelled.intent).unwrap_or(&labelled.intent).to_owned();
            tally.tickets += 1;
            measure(&retriever, &bm25, labelled, &gold, gathered, tally).await?;
        }
    }
    Ok(())
}

async fn measure(
    retriever: &Retriever,
    bm25: &Bm25,
    labelled: &LabelledTicket,
    gold: &str,
    gathered: Gathered,
    tally: &mut Tally,
) -> Result<()> {
    let best = |votes: &[rank::Vote]| votes.first().is_some_and(|vote| vote.intent == gold);
    let query = Query {
        dense: gathered.vector.clone(),
        sparse: bm25.query(&labelled.ticket.text),
        limit: CANDIDATES,
        filter: Filter::default(),
        exclude: Vec::new(),
    };
    for (name, q) in [
        ("T dense", Query { sparse: Default::default(), ..query.clone() }),
        ("T sparse", Query { dense: vec![0.1; 384], ..query.clone() }),
        ("T both", query.clone()),
    ] {
        let t = Instant::now();
        let h = retriever.store().query(q).await?;
        let us = t.elapsed().as_micros() as usize;
        std::hint::black_box(h);
        tally.add(name.into(), false, us);
    }
    let t = Instant::now();
    let r = bm25.query(&labelled.ticket.text);
    tally.add("T tokens".into(), false, t.elapsed().as_micros() as usize);
    std::hint::black_box(r);
    let t = Instant::now();
    tokio::task::spawn_blocking(|| ()).await.ok();
    tally.add("T spawn".into(), false, t.elapsed().as_micros() as usize);
    let hits = retriever.store().query(query).await?;
    if let Some(probe) = retriever.store().blob(ticket_router::store::PROBE_BLOB).await? {
        let mut probe = ticket_router::probe::Probe::from_bytes(&probe, retriever.taxonomy())?;
        for b in [0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 8.0, 16.0] {
            probe = probe.with_weight(b);
            for w in [0.05, 0.1, 0.2] {
                let c = fuse(hits.clone(), &gathered.vector, w);
                let v = rank::combine(&c, &probe, &gathered.vector);
                tally.add(format!("b {b} w {w}"), best(&v), 0);
                if w == 0.1 {
                    let p = v.iter().find(|v| v.intent == gold).map_or(1e-6, |v| v.share.max(1e-6));
                    tally.add(format!("loglik b {b}"), false, (-p.ln() * 1000.0) as usize);
                    let l = rank::shortlist(&v, retriever.taxonomy());
                    tally.add(format!("shortlist b {b}"), l.iter().any(|i| i == gold), 0);
                }
            }
        }
    }
    let t = Instant::now();
    let r = fuse(hits.clone(), &gathered.vector, 0.1);
    tally.add("T fuse".into(), false, t.elapsed().as_micros() as usize);
    std::hint::black_box(r);
    let t = Instant::now();
    let r = select(&gathered.candidates, &gathered.votes, 5, Selection::default());
    tally.add("T select".into(), false, t.elapsed().as_micros() as usize);
    std::hint::black_box(r);
    let t = Instant::now();
    let r = rank::vote(&gathered.candidates);
    tally.add("T vote".into(), false, t.elapsed().as_micros() as usize);
    std::hint::black_box(r);
    for weight in BM25_WEIGHTS {
        let candidates = fuse(hits.clone(), &gathered.vector, weight);
        tally.add(format!("neighbours, BM25 weight {weight}"), best(&rank::vote(&candidates)), 0);
    }
    tally.add("neighbours and probe".into(), best(&gathered.votes), 0);
    tally.add(
        "probe alone".into(),
        gathered
            .votes
            .iter()
            .max_by(|a, b| a.probe.unwrap_or(0.0).total_cmp(&b.probe.unwrap_or(0.0)))
            .is_some_and(|v| v.intent == gold),
        0,
    );
    let others: Vec<_> = gathered
        .candidates
        .iter()
        .filter(|c| {
            !is_near_text(cosine(&c.vector, &gathered.vector), &c.example.labelled.ticket.text, &labelled.ticket.text)
        })
        .cloned()
        .collect();
    tally.add("neighbours, no near-duplicates of the ticket".into(), best(&rank::vote(&others)), 0);
    tally.add("shortlist holds the intent".into(), gathered.shortlist.iter().any(|intent| intent == gold), 0);
    for n in [1, 3, 5, 8] {
        tally.add(
            format!("first {n} of the shortlist"),
            gathered.shortlist.iter().take(n).any(|intent| intent == gold),
            0,
        );
    }
    let _ = BM25_WEIGHT;
    for selection in SELECTIONS {
        for k in KS {
            let chosen = select(&gathered.candidates, &gathered.votes, k, selection);
            let bytes = chosen.iter().map(|c| c.candidate.example.labelled.ticket.text.len()).sum();
            let shown = chosen.iter().any(|c| c.candidate.intent() == gold);
            tally.add(format!("{selection:?} {k}: the intent is shown"), shown, bytes);
            let ballots: Vec<_> = {
                let mut b: Vec<_> = chosen.iter().map(|c| c.candidate.clone()).collect();
                b.sort_by(|a, b| b.score.total_cmp(&a.score));
                b
            };
            tally.add(format!("{selection:?} {k}: these alone vote"), best(&rank::vote(&ballots)), 0);
        }
    }
    Ok(())
}
