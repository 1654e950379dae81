//! Measures retrieval without a model call: what `scripts/bench-retrieval` runs.
//!
//! `retrieval TRAIN [--taxonomy FILE] [--test FILE] [--folds N]`. Without `--test` it is a
//! five-fold cross-validation on TRAIN, of which `--folds` runs the first N. Everything goes
//! through the library's own index run, store and retriever.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use ticket_router::claude::estimate::BYTES_PER_TOKEN;
use ticket_router::claude::{DEFAULT_MODEL as CLAUDE, Models};
use ticket_router::data::evidence::Candidate;
use ticket_router::data::evidence::Vote;
use ticket_router::data::probe::Probe;
use ticket_router::embed::{Bm25, Bm25Settings, Remembering, cosine};
use ticket_router::input::{Row, RowContent};
use ticket_router::label::IntentsMode;
use ticket_router::learn::index::{IndexOptions, index};
use ticket_router::pipeline::{Examples, Gathered, Judge, Options, Retriever, Scope};
use ticket_router::stages::prompt::Prompts;
use ticket_router::stages::rank::{self};
use ticket_router::stages::retrieve::{BM25_WEIGHT, CANDIDATES, fuse};
use ticket_router::stages::select::{Selection, is_near_text, select};
use ticket_router::store::{MANIFEST_BLOB, Manifest, PROBE_BLOB, Query};
use ticket_router::{
    AnswerForm, ClaudeLabeler, Content as _, DEFAULT_MODEL, EdgeStore, Embedder, FastEmbedder, LabelledTicket,
    ModelPaths, Result, Taxonomy,
};

#[path = "shared/rows.rs"]
mod rows;
use rows::labelled;

const FOLDS: usize = 5;
const BM25_WEIGHTS: [f32; 5] = [0.0, 0.05, 0.1, 0.2, 0.3];
/// Words that a larger share of the examples has are left out of the search, as in a large store.
const FREQUENT: [f64; 5] = [0.005, 0.01, 0.02, 0.05, 0.2];
const SELECTIONS: [(Selection, &str); 3] =
    [(Selection::Nearest, "nearest"), (Selection::Diverse, "diverse"), (Selection::Contrastive, "contrastive")];
const KS: [usize; 4] = [3, 5, 8, 12];

#[derive(Parser)]
struct Args {
    /// Labelled tickets; a column `category` counts as `intent`
    train: String,
    /// Their taxonomy
    #[arg(long)]
    taxonomy: Option<String>,
    /// Measure on these instead of on folds of TRAIN
    #[arg(long)]
    test: Option<String>,
    /// How many of the five folds are run
    #[arg(long, default_value_t = FOLDS)]
    folds: usize,
}

/// What is measured, under its name: how often it was right, or the mean of a quantity.
#[derive(Default)]
struct Table {
    tickets: usize,
    rows: Vec<(String, f64, Unit)>,
    times: Vec<f64>,
}

#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Share,
    Tokens,
}

impl Table {
    fn share(&mut self, name: &str, right: bool) {
        self.add(name, if right { 1.0 } else { 0.0 }, Unit::Share);
    }

    #[expect(clippy::cast_precision_loss, reason = "requests are short")]
    fn tokens(&mut self, name: &str, bytes: usize) {
        self.add(name, bytes as f64 / BYTES_PER_TOKEN, Unit::Tokens);
    }

    fn add(&mut self, name: &str, value: f64, unit: Unit) {
        match self.rows.iter_mut().find(|(known, ..)| known == name) {
            Some((_, sum, _)) => *sum += value,
            None => self.rows.push((name.to_owned(), value, unit)),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "there are few tickets")]
    fn print(mut self) {
        println!("{} tickets", self.tickets);
        for (name, sum, unit) in &self.rows {
            let mean = sum / self.tickets as f64;
            match unit {
                Unit::Share => println!("  {name:<52} {:6.2} %", mean * 100.0),
                Unit::Tokens => println!("  {name:<52} {mean:6.0}"),
            }
        }
        self.times.sort_by(f64::total_cmp);
        let at = |share: usize| self.times[self.times.len() * share / 100];
        println!("  {:<52} {:.3} ms (95 %: {:.3} ms)", "search, ranking and selection, median", at(50), at(95));
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let taxonomy = match &args.taxonomy {
        Some(path) => Some(Taxonomy::from_toml(&std::fs::read_to_string(path).unwrap_or_default(), path)?),
        None => None,
    };
    let train = labelled(Path::new(&args.train))?;
    let test = args.test.as_ref().map(|path| labelled(Path::new(path))).transpose()?;
    let paths = ModelPaths { usual: vec![".runtime".into()], ..ModelPaths::default() };
    let embedder = Remembering::new(Arc::new(FastEmbedder::load(DEFAULT_MODEL, &paths)?));
    // All at once; the folds share them.
    embedder.embed(train.iter().chain(test.iter().flatten()).map(|row| row.ticket.text.clone()).collect()).await?;
    let bench = Bench { embedder: Arc::new(embedder), taxonomy };
    let mut table = Table::default();
    if let Some(test) = test {
        bench.fold(&train, &test, &mut table).await?;
    } else {
        // By intent and in turns, so that every fold has its share of each.
        let mut order: Vec<&LabelledTicket> = train.iter().collect();
        order.sort_by(|a, b| a.intent.cmp(&b.intent).then_with(|| a.ticket.id.cmp(&b.ticket.id)));
        for number in 0..args.folds.min(FOLDS) {
            let part = |held_out: bool| -> Vec<LabelledTicket> {
                let of_part = order.iter().enumerate().filter(|(place, _)| (place % FOLDS == number) == held_out);
                of_part.map(|(_, ticket)| (*ticket).clone()).collect()
            };
            bench.fold(&part(false), &part(true), &mut table).await?;
        }
    }
    table.print();
    Ok(())
}

struct Bench {
    embedder: Arc<Remembering>,
    taxonomy: Option<Taxonomy>,
}

/// A filled store and what reads it.
struct Filled {
    retriever: Retriever,
    bm25: Bm25,
    without_frequent: Vec<(f64, Bm25)>,
    probe: Option<Probe>,
    judges: [(&'static str, Judge); 2],
}

impl Bench {
    async fn fold(&self, train: &[LabelledTicket], test: &[LabelledTicket], table: &mut Table) -> Result<()> {
        let folder = std::env::temp_dir().join(format!("bench-retrieval-{}", std::process::id()));
        let outcome = self.fold_in(&folder, train, test, table).await;
        let _ = std::fs::remove_dir_all(&folder);
        outcome
    }

    async fn fold_in(
        &self,
        folder: &Path,
        train: &[LabelledTicket],
        test: &[LabelledTicket],
        table: &mut Table,
    ) -> Result<()> {
        let filled = self.fill(folder, train).await?;
        // The first round fills the caches.
        for round in 0..2 {
            for labelled in test {
                let vector = filled.retriever.embed(vec![labelled.ticket.clone()]).await.swap_remove(0)?;
                let begun = Instant::now();
                let gathered = filled.retriever.search(vector, Scope::default()).await?;
                let chosen = select(&gathered.candidates, &gathered.votes, 5, Selection::default());
                let time = begun.elapsed();
                drop(chosen);
                if round == 1 {
                    table.tickets += 1;
                    table.times.push(time.as_secs_f64() * 1e3);
                    filled.measure(labelled, &gathered, table).await?;
                }
            }
        }
        Ok(())
    }

    async fn fill(&self, folder: &Path, train: &[LabelledTicket]) -> Result<Filled> {
        let store = Arc::new(EdgeStore::open_or_create(folder, self.embedder.dimension()).await?);
        let row = |labelled: &LabelledTicket| Row {
            place: labelled.ticket.id.clone(),
            id: Some(labelled.ticket.id.clone()),
            content: Ok(RowContent {
                ticket: labelled.ticket.clone(),
                intent: Some(labelled.intent.clone()),
                reasoning: labelled.reasoning.clone(),
            }),
        };
        let options = IndexOptions { taxonomy: self.taxonomy.clone(), ..IndexOptions::default() };
        let rows = train.iter().map(row).collect();
        let report = index(store.as_ref(), self.embedder.as_ref(), rows, &options, &|_, _| {}).await?;
        eprint!("{}", ticket_router::report::index_summary(&report, "the store"));
        let retriever = Retriever::open(store.clone(), self.embedder.clone()).await?;
        let manifest = Manifest::from_json(&store.blob(MANIFEST_BLOB).await?.unwrap_or_default())?;
        let probe = store.blob(PROBE_BLOB).await?;
        let model = Models::built_in()?.find(CLAUDE);
        let prompts = Arc::new(Prompts::load(None)?);
        let judge = |intents| {
            let labeler = ClaudeLabeler::new(None, model.clone(), AnswerForm::Tags, Arc::clone(&prompts));
            Judge::new(Arc::new(labeler.with_intents(intents)), Examples::Retrieved, Options::default())
        };
        let texts = || train.iter().map(|labelled| labelled.ticket.text.as_str());
        let without = |share: f64| {
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "few"
            )]
            let limit = |examples: usize| (examples as f64 * share) as usize;
            Ok::<_, ticket_router::Error>((share, Bm25::new(&Bm25Settings::measured_with(texts(), limit)?)?))
        };
        Ok(Filled {
            without_frequent: FREQUENT.into_iter().map(without).collect::<Result<_>>()?,
            bm25: Bm25::new(&manifest.bm25)?,
            probe: probe.map(|probe| Probe::from_bytes(&probe, &retriever.taxonomy())).transpose()?,
            judges: [("all", judge(IntentsMode::All)), ("shortlist", judge(IntentsMode::Shortlist))],
            retriever,
        })
    }
}

impl Filled {
    async fn measure(&self, labelled: &LabelledTicket, gathered: &Gathered, table: &mut Table) -> Result<()> {
        let gold = self.retriever.taxonomy().resolve(&labelled.intent).unwrap_or(&labelled.intent).to_owned();
        let is_best = |votes: &[Vote]| votes.first().is_some_and(|vote| vote.intent == gold);
        let hits = async |bm25: &Bm25| {
            let (dense, sparse) = (gathered.vector.clone(), bm25.query(&labelled.ticket.text));
            self.retriever.store().query(Query { dense, sparse, limit: CANDIDATES, ..Query::default() }).await
        };
        let mut vote = |hits, weight, how: &str| {
            let candidates = fuse(hits, &gathered.vector, weight);
            table.share(&format!("neighbours, {how}"), is_best(&rank::vote(&candidates)));
            if let Some(probe) = &self.probe {
                let votes = rank::combine(&candidates, probe, &gathered.vector);
                table.share(&format!("neighbours and probe, {how}"), is_best(&votes));
            }
        };
        let found = hits(&self.bm25).await?;
        for weight in BM25_WEIGHTS {
            vote(found.clone(), weight, &format!("BM25 weighs {weight}"));
        }
        for (share, bm25) in &self.without_frequent {
            let how = format!("without words of more than {} % of the examples", share * 100.0);
            vote(hits(bm25).await?, BM25_WEIGHT, &how);
        }
        table.share("as configured", is_best(&gathered.votes));
        let is_other = |candidate: &&Candidate| {
            let text = &candidate.example.labelled.ticket.text;
            !is_near_text(cosine(&candidate.vector, &gathered.vector), text, &labelled.ticket.text)
        };
        let others: Vec<Candidate> = gathered.candidates.iter().filter(is_other).cloned().collect();
        table.share("neighbours less near-duplicates of the ticket", is_best(&rank::vote(&others)));
        for n in [1, 3, 5, 8, rank::SHORTLIST] {
            let holds = gathered.shortlist.iter().take(n).any(|intent| *intent == gold);
            table.share(&format!("the intent is among the first {n} of the shortlist"), holds);
        }
        for (selection, name) in SELECTIONS {
            for k in KS {
                let chosen = select(&gathered.candidates, &gathered.votes, k, selection);
                let mut ballots: Vec<Candidate> = chosen.into_iter().map(|chosen| chosen.candidate).collect();
                let is_shown = ballots.iter().any(|candidate| candidate.intent() == gold);
                ballots.sort_by(|a, b| b.score.total_cmp(&a.score));
                let bytes = ballots.iter().map(|candidate| candidate.example.labelled.ticket.text.len()).sum();
                table.share(&format!("{name}, k = {k}: the intent is shown"), is_shown);
                table.share(&format!("{name}, k = {k}: these alone vote"), is_best(&rank::vote(&ballots)));
                table.tokens(&format!("{name}, k = {k}: tokens of the examples"), bytes);
            }
        }
        for (name, judge) in &self.judges {
            let request = judge.preview(&self.retriever, gathered).await?.unwrap_or_default();
            table.tokens(&format!("tokens of a request, --intents {name}"), request.to_string().len());
        }
        Ok(())
    }
}
