//! The library as a contestant: one process with a model and, once filled, a store.

use std::collections::HashMap;
use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures::future::try_join_all;
use serde_json::Value;
use ticket_router::claude::{DEFAULT_MODEL as CLAUDE, Models};
use ticket_router::cli::config;
use ticket_router::data::example::{Example, Point, example_key};
use ticket_router::data::ticket::text_hash;
use ticket_router::embed::{Bm25, Bm25Settings};
use ticket_router::input::{Row, RowContent};
use ticket_router::learn::index::{IndexOptions, IndexReport, index};
use ticket_router::pipeline::{DEFAULT_K, Retriever, Scope};
use ticket_router::stages::policy::{Facts, Terms, decide};
use ticket_router::stages::prompt::Prompts;
use ticket_router::stages::select::{Selection, select};
use ticket_router::{
    Classifier, ClaudeLabeler, EdgeStore, Embedder, Error, Evidence, ExampleStore as _, FastEmbedder, Label,
    Labeler as _, LabelledTicket, Ticket, VoteLabeler,
};

use super::contestant::{Command, Load, Memory, Ready, Stages};
use super::data::Data;
use super::{Outcome, process, recall};

struct Ours {
    embedder: Arc<FastEmbedder>,
    store: Arc<EdgeStore>,
    retriever: Retriever,
    classifier: Arc<Classifier>,
    labeler: ClaudeLabeler,
    data: Data,
}

/// Answers commands from standard input until it ends.
pub async fn serve(store: &Path, embedder: &str, quick: bool) -> Outcome<()> {
    let begun = Instant::now();
    let embedder = Arc::new(FastEmbedder::load(embedder, &config::model_paths(None))?);
    let load_ms = milliseconds(begun);
    let begun = Instant::now();
    let store = Arc::new(EdgeStore::open(store).await?);
    let retriever = Retriever::open(store.clone(), embedder.clone()).await?;
    let open_ms = milliseconds(begun);

    let model = Models::built_in()?.find(CLAUDE);
    let form = ClaudeLabeler::best_form(&model);
    let labeler = ClaudeLabeler::new(None, model, form, Arc::new(Prompts::load(None)?));
    let builder = Classifier::builder().store(store.clone()).embedder(embedder.clone()).labeler(Arc::new(VoteLabeler));
    let classifier = Arc::new(builder.build().await?);
    let ours = Ours { embedder, store, retriever, classifier, labeler, data: Data::load(quick)? };
    say(&Ready { load_ms, open_ms })?;
    for line in std::io::stdin().lock().lines() {
        say(&ours.obey(serde_json::from_str(&line?)?).await?)?;
    }
    Ok(())
}

fn say(answer: &impl serde::Serialize) -> Outcome<()> {
    println!("{}", serde_json::to_string(answer)?);
    Ok(std::io::stdout().flush()?)
}

impl Ours {
    async fn obey(&self, command: Command) -> Outcome<Value> {
        Ok(match command {
            Command::Index(texts) => serde_json::to_value(self.index(&texts).await?)?,
            Command::Tickets(texts) => {
                let mut times = Vec::with_capacity(texts.len());
                for text in texts {
                    times.push(self.ticket(Ticket::new(text)).await?);
                }
                serde_json::to_value(times)?
            }
            Command::Callers(callers, texts) => serde_json::to_value(self.load(callers, texts).await?)?,
            Command::Recall(texts) => {
                let vectors = self.embedder.embed(texts).await?;
                serde_json::to_value(recall::measure(self.store.as_ref(), &vectors).await?)?
            }
            Command::Learn(texts) => serde_json::to_value(self.learn(texts).await?)?,
            Command::Memory => {
                let (peak_mb, own_mb) = (process::memory(process::PEAK)?, process::memory("RssAnon:")?);
                serde_json::to_value(Memory { peak_mb, own_mb })?
            }
        })
    }

    /// Seconds of an index run into an empty store. The probe, which no peer has, is left out.
    async fn index(&self, texts: &[String]) -> Outcome<f64> {
        let known: HashMap<&str, &LabelledTicket> =
            self.data.examples.iter().map(|labelled| (labelled.ticket.text.as_str(), labelled)).collect();
        let examples: Vec<_> = texts.iter().filter_map(|text| known.get(text.as_str()).copied().cloned()).collect();
        let folder = std::env::temp_dir().join(format!("ticket-router-speed-{}", std::process::id()));
        let begun = Instant::now();
        let report = fill(&folder, self.embedder.as_ref(), &examples).await;
        let seconds = begun.elapsed().as_secs_f64();
        std::fs::remove_dir_all(&folder)?;
        Ok(seconds - report?.probe.map_or(0.0, |probe| probe.seconds))
    }

    /// Learns texts one by one; the vectors are made before.
    async fn learn(&self, texts: Vec<String>) -> Outcome<Vec<f64>> {
        let vectors = self.embedder.embed(texts.clone()).await?;
        let bm25 = Bm25::new(&Bm25Settings::default())?;
        let (mut times, mut keys) = (Vec::with_capacity(texts.len()), Vec::with_capacity(texts.len()));
        for (n, (text, dense)) in texts.into_iter().zip(vectors).enumerate() {
            let (sparse, text_hash) = (bm25.document(&text), text_hash(&text));
            let ticket = Ticket { id: format!("learned-{n}"), ..Ticket::new(text) };
            let labelled = LabelledTicket { ticket, intent: "learned".into(), reasoning: None };
            let key = example_key("speed", &labelled.ticket.id);
            let example = Example { key, source: "speed".into(), labelled, text_hash };
            let begun = Instant::now();
            self.store.upsert(vec![Point { example, dense, sparse }]).await?;
            times.push(milliseconds(begun));
            keys.push(key);
        }
        self.store.delete(keys).await?;
        Ok(times)
    }

    async fn ticket(&self, ticket: Ticket) -> Outcome<Stages> {
        let mut begun = Instant::now();
        let mut lap = || {
            let time = milliseconds(begun);
            begun = Instant::now();
            time
        };
        let embedded = self.retriever.embed(vec![ticket]).await.swap_remove(0)?;
        let embed = lap();
        let gathered = self.retriever.search(embedded, Scope::default()).await?;
        let retrieve = lap();
        let examples = select(&gathered.candidates, &gathered.votes, DEFAULT_K, Selection::default());
        let select = lap();
        let evidence = Evidence {
            ticket: gathered.ticket,
            candidates: gathered.candidates,
            examples,
            votes: gathered.votes,
            shortlist: gathered.shortlist,
            is_fixed: false,
            step: None,
            taxonomy: gathered.taxonomy,
        };
        let request = self.labeler.preview(&evidence)?;
        let render = lap();
        let intent = evidence.votes.first().map(|vote| vote.intent.clone());
        let label = Label { intent, ..Label::default() };
        let confidence = label.intent.as_deref().map_or(0.0, |intent| evidence.support_of(intent));
        let facts = Facts {
            has_text: true,
            label: &label,
            taxonomy: &evidence.taxonomy,
            confidence,
            score: confidence,
            unlike: None,
            unsure_step: None,
        };
        let decided = decide(&facts, &Terms::default());
        let decide = lap();
        drop((request, decided));
        Ok(Stages { embed, retrieve, select, render, decide })
    }

    /// Separate callers, each of which waits for its answer before it sends the next ticket.
    #[expect(clippy::cast_precision_loss, reason = "there are few tickets")]
    async fn load(&self, callers: usize, texts: Vec<String>) -> Outcome<Load> {
        let (next, texts) = (Arc::new(AtomicUsize::new(0)), Arc::new(texts));
        let begun = Instant::now();
        let caller = |_| {
            let (next, texts, classifier) = (Arc::clone(&next), Arc::clone(&texts), Arc::clone(&self.classifier));
            tokio::spawn(async move {
                let mut times = Vec::new();
                while let Some(text) = texts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begun = Instant::now();
                    classifier.classify(&Ticket::new(text.as_str())).await?;
                    times.push(milliseconds(begun));
                }
                Ok::<_, Error>(times)
            })
        };
        let mut times = Vec::with_capacity(texts.len());
        for one in try_join_all((0..callers).map(caller)).await? {
            times.extend(one?);
        }
        let seconds = begun.elapsed().as_secs_f64();
        times.sort_by(f64::total_cmp);
        Ok(Load { per_second: times.len() as f64 / seconds, p95_ms: times[times.len() * 95 / 100] })
    }
}

/// Indexes examples into a new store.
pub async fn fill(folder: &Path, embedder: &dyn Embedder, examples: &[LabelledTicket]) -> Outcome<IndexReport> {
    let row = |labelled: &LabelledTicket| Row {
        place: labelled.ticket.id.clone(),
        id: Some(labelled.ticket.id.clone()),
        content: Ok(RowContent {
            ticket: labelled.ticket.clone(),
            intent: Some(labelled.intent.clone()),
            reasoning: labelled.reasoning.clone(),
        }),
    };
    let store = EdgeStore::open_or_create(folder, embedder.dimension()).await?;
    let rows = examples.iter().map(row).collect();
    Ok(index(&store, embedder, rows, &IndexOptions::default(), &|_, _| {}).await?)
}

fn milliseconds(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e3
}
