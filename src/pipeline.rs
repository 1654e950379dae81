//! Where the stages meet: embed, retrieve, label, decide.

use std::fmt;
use std::sync::Arc;

use futures::stream::{Stream, StreamExt as _};

use crate::data::taxonomy::Taxonomy;
use crate::data::ticket::Ticket;
use crate::label::Labeler;
use crate::{Error, Result};

mod builder;
mod calibrations;
mod classification;
mod hierarchy;
mod identities;
mod judge;
mod options;
mod own_task;
mod retriever;
mod runner;
mod served;

pub use builder::ClassifierBuilder;
pub use calibrations::{CascadeEntry, Entry, Setup, Stored, cascade_threshold};
pub use classification::{Classification, Considered, Latency, Neighbour, SCHEMA, Step};
pub use hierarchy::Strategy;
pub(crate) use identities::StoredIdentities;
pub(crate) use judge::Needs;
pub use judge::{Examples, Judge};
pub use options::Options;
pub use retriever::{Embedded, Gathered, Retriever, Scope};
pub use runner::{Answered, Task, run};

/// Told how many of how many answers are in.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Send + Sync);

/// The default number of examples that a prompt shows.
pub const DEFAULT_K: usize = 5;
/// The default number of calls of a labeler that are under way at once.
pub const DEFAULT_CONCURRENCY: usize = 8;

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
    judge: Judge,
    concurrency: usize,
    note: Option<String>,
}

impl fmt::Debug for Classifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Classifier")
            .field("judge", &self.judge)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}

impl Classifier {
    /// Starts to put a classifier together.
    #[must_use]
    pub fn builder() -> ClassifierBuilder {
        ClassifierBuilder::default()
    }

    /// Replaces the labeler, and decides by the new one's calibration if the store has one that fits. The confidence
    /// that is asked for stays.
    pub async fn set_labeler(&mut self, labeler: Arc<dyn Labeler>) -> Result<()> {
        (self.judge, self.note) = self.judge.with_labeler(labeler).calibrated(&self.retriever).await?;
        Ok(())
    }

    /// What the user should know of the store's calibration: that it does not fit and is not used, or that many
    /// examples have changed since it was made.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// The retriever that finds its examples.
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
        let gathered = self.retriever.gather(ticket.clone(), self.scope()).await?;
        self.judge.judge(&self.retriever, &gathered).await
    }

    /// Classifies many tickets, with as many calls of the labeler at once as the concurrency says. The answers come
    /// in the order of the tickets. A ticket that fails does not stop the rest. A failure that every ticket would
    /// have ([`Error::is_fatal`]) is the last item, and all calls under way have arrived by then.
    ///
    /// Each ticket has a task of its own, so all processors are used; dropping the stream
    /// stops them. Must be called inside a tokio runtime.
    pub fn classify_all(&self, tickets: &[Ticket]) -> impl Stream<Item = Result<Classification>> + Send + 'static {
        let task = |ticket: &Ticket| Task { ticket: ticket.clone(), exclude: Vec::new() };
        let tasks = tickets.iter().map(task).collect();
        let only = |answered: Answered| answered.answers.into_iter().next();
        run(Arc::clone(&self.retriever), Arc::from([self.judge.clone()]), tasks, self.concurrency)
            .map(move |answered| only(answered?).unwrap_or_else(|| Err(Error::internal("a ticket without an answer"))))
    }

    fn scope(&self) -> Scope {
        Scope { options: Arc::clone(self.judge.options()), exclude: Vec::new() }
    }

    /// The request that would be sent for a ticket, `None` if the labeler sends none.
    pub async fn preview(&self, ticket: &Ticket) -> Result<Option<serde_json::Value>> {
        let gathered = self.retriever.gather(ticket.clone(), self.scope()).await?;
        self.judge.preview(&self.retriever, &gathered).await
    }
}
