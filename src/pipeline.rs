//! Where the stages meet: embed, retrieve, label, decide.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::stream::{self, Stream, StreamExt as _};
use serde::Serialize;

use crate::data::evidence::Vote;
use crate::data::label::Usage;
use crate::data::taxonomy::{Route, Taxonomy};
use crate::data::ticket::Ticket;
use crate::label::Labeler;
use crate::stages::decide::Decision;
use crate::{Error, Result};

mod builder;
mod hierarchy;
mod judge;
mod retriever;
mod served;

pub use builder::ClassifierBuilder;
pub use hierarchy::{Step, Strategy};
pub use judge::{Examples, Judge};
pub use retriever::{Embedded, Gathered, Retriever, Scope};

/// How many examples a prompt shows unless told otherwise.
pub const DEFAULT_K: usize = 5;
/// How many tickets are under way at once unless told otherwise.
pub const DEFAULT_CONCURRENCY: usize = 8;
/// Answers come in order, so one slow ticket would hold up all behind it: so many times the
/// concurrency may be started. How many requests are under way is the client's to bound.
pub(crate) const WINDOW: usize = 4;
/// How many tickets of a stream are embedded together.
const EMBED_AHEAD: usize = 64;

/// The answer for one ticket, with everything that led to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Classification {
    /// The ticket's id.
    pub id: String,
    /// The intent, or the best guess in a review; `None` when there is none at all.
    pub intent: Option<String>,
    /// The intent's category, where the taxonomy has one.
    pub category: Option<String>,
    /// Intents of further requests in the ticket, the most important first.
    pub secondary: Vec<String>,
    /// Attributes of the taxonomy by name, each with one of its values.
    pub attributes: BTreeMap<String, String>,
    /// Where the taxonomy's routes send it, in a review by the best guess; `None` where none matches.
    pub route: Option<Route>,
    /// Route or review.
    pub decision: Decision,
    /// Why it is routed or reviewed.
    pub reason: String,
    /// Why it is this intent.
    pub reasoning: Option<String>,
    /// Calibrated, the probability that the intent is right; otherwise the share of the similar
    /// examples' vote that it has. 0 to 1.
    pub confidence: f32,
    /// Whether the store was calibrated for this labeler, so that the confidence is a probability.
    pub calibrated: bool,
    /// What answers are ranked by: what neighbours and probe say for the intent, 0 to 1.
    pub score: f32,
    /// The examples that were shown, best first.
    pub neighbours: Vec<Neighbour>,
    /// The intents that retrieval puts forward, best first.
    pub shortlist: Vec<String>,
    /// What neighbours and probe say of each intent, best first.
    pub votes: Vec<Vote>,
    /// The stored examples that were considered, best first.
    pub candidates: Vec<Considered>,
    /// The choices on the way down a hierarchy; empty where it was one choice.
    pub steps: Vec<Step>,
    /// Who labelled.
    pub labeler: String,
    /// The model that answered.
    pub model: Option<String>,
    /// Tokens.
    pub usage: Usage,
    /// US$; `None` when the model's prices are not known.
    pub cost_usd: Option<f64>,
    /// Time by stage.
    pub latency_ms: Latency,
    /// What else the user should know, such as a shortened text or a part of the answer that
    /// was left out.
    pub notes: Vec<String>,
    /// The API's id of the last request.
    pub request_id: Option<String>,
}

/// An example as the outputs show it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Neighbour {
    /// Its ticket id.
    pub id: String,
    /// Its intent.
    pub intent: String,
    /// Its fused score, about 0 to 1.1.
    pub score: f32,
    /// Why it was chosen.
    pub why: String,
    /// Its text, for people; not part of the JSON.
    #[serde(skip)]
    pub text: String,
}

/// A candidate as the outputs show it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Considered {
    /// Its ticket id.
    pub id: String,
    /// Its intent.
    pub intent: String,
    /// Its fused score.
    pub score: f32,
    /// Its cosine similarity, -1 to 1.
    pub cosine: f32,
    /// Its BM25 score divided by the best of the query, 0 to 1.
    pub bm25: f32,
    /// Why it was chosen as an example; `None` when it was not.
    pub chosen: Option<String>,
}

/// Milliseconds by stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Embedding, a fair share of a batch.
    pub embed: f64,
    /// Search and fusion.
    pub retrieve: f64,
    /// Prompt, call and parse, or the vote.
    pub label: f64,
    /// The sum.
    pub total: f64,
}

/// Classifies tickets against a store of examples.
///
/// ```
/// use std::{path::Path, sync::Arc};
/// use ticket_router::learn::index::{IndexOptions, index};
/// use ticket_router::input::{self, InputOptions};
/// use ticket_router::{
///     Classifier, DEFAULT_MODEL, Decision, EdgeStore, Embedder as _, FastEmbedder, ModelPaths, Ticket, VoteLabeler,
/// };
///
/// # #[tokio::main]
/// # async fn main() -> ticket_router::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let folder = folder.path();
/// // What scripts/setup provides.
/// let paths = ModelPaths { usual: vec![".runtime".into()], ..ModelPaths::default() };
/// let embedder = Arc::new(FastEmbedder::load(DEFAULT_MODEL, &paths)?);
///
/// // Index nine labelled tickets. (A store that is there already: EdgeStore::open.)
/// let store = Arc::new(EdgeStore::open_or_create(&folder.join("store"), embedder.dimension()).await?);
/// let rows = input::read(Path::new("examples_db/static.jsonl"), &InputOptions::default())?;
/// index(store.as_ref(), embedder.as_ref(), rows, &IndexOptions::default(), &|_, _| {}).await?;
///
/// // Classify a new one.
/// let classifier =
///     Classifier::builder().store(store).embedder(embedder).labeler(Arc::new(VoteLabeler)).build().await?;
/// let answer = classifier.classify(&Ticket::new("My order is late, where is my parcel?")).await?;
/// assert_eq!(answer.intent.as_deref(), Some("order_status"));
/// assert_eq!(answer.decision, Decision::Route);
/// # Ok(())
/// # }
/// ```
pub struct Classifier {
    retriever: Arc<Retriever>,
    judge: Arc<Judge>,
    concurrency: usize,
    note: Option<String>,
}

impl Classifier {
    /// Starts to put a classifier together.
    #[must_use]
    pub fn builder() -> ClassifierBuilder {
        ClassifierBuilder::default()
    }

    /// Puts another labeler in the place of the one it was built with; the confidence asked
    /// for stays.
    pub fn set_labeler(&mut self, labeler: Arc<dyn Labeler>) {
        self.judge = Arc::new(self.judge.with_labeler(labeler));
    }

    /// What the user should know of the store's calibration: that it does not fit and is not used, or
    /// that many examples have changed since.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// What its examples come from.
    #[must_use]
    pub fn retriever(&self) -> &Retriever {
        &self.retriever
    }

    /// The intents that answers are chosen from.
    #[must_use]
    pub fn taxonomy(&self) -> Arc<Taxonomy> {
        self.retriever.taxonomy()
    }

    /// Classifies one ticket. An error means that it was not judged: nothing is guessed.
    pub async fn classify(&self, ticket: &Ticket) -> Result<Classification> {
        let gathered = self.retriever.gather(ticket.clone()).await?;
        self.judge.judge(&self.retriever, &gathered).await
    }

    /// Classifies many tickets with bounded concurrency. The answers come in the order of
    /// the tickets; one that fails does not stop the rest.
    ///
    /// Each ticket has a task of its own, so all processors are used; dropping the stream
    /// stops them. Must be called inside a tokio runtime.
    pub fn classify_all(&self, tickets: &[Ticket]) -> impl Stream<Item = Result<Classification>> + 'static {
        let (retriever, judge) = (Arc::clone(&self.retriever), Arc::clone(&self.judge));
        let chunks: Vec<Vec<Ticket>> = tickets.chunks(EMBED_AHEAD).map(<[Ticket]>::to_vec).collect();
        let for_judge = Arc::clone(&retriever);
        stream::iter(chunks)
            // The next chunk is prepared while the tickets of this one wait for the model.
            .map(move |chunk| {
                let retriever = Arc::clone(&retriever);
                async move { retriever.gather_all(chunk).await }
            })
            .buffered(2)
            .flat_map(stream::iter)
            .map(move |gathered| {
                let (judge, retriever) = (Arc::clone(&judge), Arc::clone(&for_judge));
                OwnTask::spawn(async move { judge.judge(&retriever, &gathered?).await })
            })
            .buffered(self.started_at_once())
    }

    /// How many tickets of [`classify_all`](Self::classify_all) may be under way at once.
    #[must_use]
    pub fn started_at_once(&self) -> usize {
        self.concurrency * WINDOW
    }

    /// The request that would be sent for a ticket, `None` if the labeler sends none.
    pub async fn preview(&self, ticket: &Ticket) -> Result<Option<serde_json::Value>> {
        let gathered = self.retriever.gather(ticket.clone()).await?;
        self.judge.preview(&self.retriever, &gathered).await
    }
}

/// After a failure that every ticket would have: lets what is under way arrive, at most so many
/// answers. They are paid for, and the journal keeps them.
pub(crate) async fn let_arrive(answers: impl Stream, started: usize) {
    answers.take(started).for_each(|_| std::future::ready(())).await;
}

/// A task that ends with its handle.
struct OwnTask<T>(tokio::task::JoinHandle<Result<T>>);

impl<T: Send + 'static> OwnTask<T> {
    fn spawn(work: impl Future<Output = Result<T>> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }
}

impl<T> Future for OwnTask<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|joined| joined.unwrap_or_else(|e| Err(Error::internal(format!("a ticket's task stopped: {e}")))))
    }
}

impl<T> Drop for OwnTask<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
