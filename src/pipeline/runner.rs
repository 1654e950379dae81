//! Many tickets. They are embedded and searched for ahead, labelled with exactly as many calls at once as were asked
//! for, and answered in their order.
//!
//! Answers that come before their turn wait. How many may wait is bounded, so one slow ticket holds the others up only
//! after a while. A failure that every ticket would have ends the run. Then no further call is started; the calls under
//! way arrive, since they are paid for and the journal keeps them.

use std::pin::pin;
use std::sync::{Arc, OnceLock};

use futures::stream::{self, Stream, StreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use uuid::Uuid;

use super::own_task::OwnTask;
use super::{Classification, Gathered, Judge, Options, Retriever, Scope};
use crate::data::ticket::Ticket;
use crate::{Error, Result};

/// How many tickets are embedded together.
const EMBED_AHEAD: usize = 64;
/// How many groups of tickets are in preparation: one is searched for while the next is embedded.
const GROUPS: usize = 2;
/// How many tickets may be started and wait for their turn, for each call at once.
const WAITING: usize = 4;

/// A ticket to label.
#[derive(Debug, Clone)]
pub struct Task {
    /// The ticket.
    pub ticket: Ticket,
    /// Examples that must not be found, such as the ticket itself.
    pub exclude: Vec<Uuid>,
}

/// What came of a ticket.
#[derive(Debug)]
pub struct Answered {
    /// The ticket with its neighbours; an error where the search failed.
    pub gathered: Option<Arc<Gathered>>,
    /// The answer of each judge, in the order of the judges.
    pub answers: Vec<Result<Classification>>,
}

/// Lets every judge answer every ticket, with `concurrency` calls of judges at once. A ticket is searched for once, by
/// the options of the first judge, so all judges must [search alike](Options::search_alike). An error of the stream is
/// one that every ticket would have, and it is the last item. Dropping the stream stops the calls under way. Must be
/// called inside a tokio runtime.
pub fn run(
    retriever: Arc<Retriever>,
    judges: Arc<[Judge]>,
    tasks: Vec<Task>,
    concurrency: usize,
) -> impl Stream<Item = Result<Answered>> + Send + 'static {
    let concurrency = concurrency.max(1);
    let calls = Arc::new(Calls { width: Arc::new(Semaphore::new(concurrency)), fatal: OnceLock::new() });
    let (sender, under_way) = mpsc::channel(concurrency * WAITING);
    let count = judges.len();
    let starter = Starter { retriever, judges, calls: Arc::clone(&calls), sender };
    let starting = Some(OwnTask::spawn(starter.start_all(tasks)));
    stream::unfold(Run { under_way, calls, judges: count, starting }, Run::next)
}

/// The calls of a run.
struct Calls {
    width: Arc<Semaphore>,
    /// Why the run must not go on.
    fatal: OnceLock<Error>,
}

impl Calls {
    /// The permission for one call; `None` once the run is stopped.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.width).acquire_owned().await.ok()
    }

    /// Stops further calls after an error that every ticket would have.
    fn look_at(&self, outcome: &Result<impl Sized>) {
        if let Err(e) = outcome
            && e.is_fatal()
        {
            let _ = self.fatal.set(e.clone());
            self.width.close();
        }
    }
}

/// A ticket whose calls are under way.
enum UnderWay {
    /// The search failed.
    Failed(Error),
    /// One call for each judge; fewer where the run was stopped.
    Asked(Arc<Gathered>, Vec<OwnTask<Classification>>),
}

impl UnderWay {
    /// Waits for the answers; `None` where this ticket stopped the run, or an earlier one.
    async fn arrive(self, judges: usize) -> Option<Answered> {
        let (gathered, calls) = match self {
            Self::Failed(e) if e.is_fatal() => return None,
            Self::Failed(e) => return Some(Answered { gathered: None, answers: vec![Err(e); judges] }),
            Self::Asked(gathered, calls) => (gathered, calls),
        };
        let answers = futures::future::join_all(calls).await;
        let is_whole =
            answers.len() == judges && !answers.iter().any(|answer| answer.as_ref().is_err_and(Error::is_fatal));
        is_whole.then_some(Answered { gathered: Some(gathered), answers })
    }
}

/// Starts calls in the order of the tickets, each as soon as there is room for one.
struct Starter {
    retriever: Arc<Retriever>,
    judges: Arc<[Judge]>,
    calls: Arc<Calls>,
    sender: mpsc::Sender<UnderWay>,
}

impl Starter {
    async fn start_all(self, tasks: Vec<Task>) -> Result<()> {
        let options = self.judges.first().map(|judge| Arc::clone(judge.options())).unwrap_or_default();
        let mut prepared = pin!(prepare(Arc::clone(&self.retriever), options, tasks));
        while let Some(gathered) = prepared.next().await {
            self.calls.look_at(&gathered);
            let under_way = match gathered {
                Ok(gathered) => self.start(Arc::new(gathered)).await,
                Err(e) => UnderWay::Failed(e),
            };
            if self.sender.send(under_way).await.is_err() || self.calls.width.is_closed() {
                break;
            }
        }
        Ok(())
    }

    async fn start(&self, gathered: Arc<Gathered>) -> UnderWay {
        let mut started = Vec::with_capacity(self.judges.len());
        for place in 0..self.judges.len() {
            let Some(permit) = self.calls.permit().await else { break };
            let (retriever, judges) = (Arc::clone(&self.retriever), Arc::clone(&self.judges));
            let (calls, gathered) = (Arc::clone(&self.calls), Arc::clone(&gathered));
            started.push(OwnTask::spawn(async move {
                let answer = judges[place].judge(&retriever, &gathered).await;
                // This comes before there is room for another call.
                calls.look_at(&answer);
                drop(permit);
                answer
            }));
        }
        UnderWay::Asked(gathered, started)
    }
}

/// Embeds and searches ahead, in the background.
fn prepare(
    retriever: Arc<Retriever>,
    options: Arc<Options>,
    tasks: Vec<Task>,
) -> impl Stream<Item = Result<Gathered>> + Send {
    let mut rest = tasks.into_iter();
    let groups = std::iter::from_fn(move || {
        let group: Vec<Task> = rest.by_ref().take(EMBED_AHEAD).collect();
        (!group.is_empty()).then_some(group)
    });
    stream::iter(groups)
        .map(move |group| {
            let (retriever, tickets) = (Arc::clone(&retriever), group.len());
            let scoped = |task: Task| (task.ticket, Scope { options: Arc::clone(&options), exclude: task.exclude });
            let group = group.into_iter().map(scoped).collect();
            let gathering = OwnTask::spawn(async move { Ok(retriever.gather_all(group).await) });
            async move { gathering.await.unwrap_or_else(|e| (0..tickets).map(|_| Err(e.clone())).collect()) }
        })
        .buffered(GROUPS)
        .flat_map(stream::iter)
}

/// A run as its reader sees it.
struct Run {
    under_way: mpsc::Receiver<UnderWay>,
    calls: Arc<Calls>,
    judges: usize,
    /// `None` after the last item.
    starting: Option<OwnTask<()>>,
}

impl Run {
    async fn next(mut self) -> Option<(Result<Answered>, Self)> {
        let starting = self.starting.as_mut()?;
        if let Some(ticket) = self.under_way.recv().await
            && let Some(answered) = ticket.arrive(self.judges).await
        {
            return Some((Ok(answered), self));
        }
        while let Some(ticket) = self.under_way.recv().await {
            ticket.arrive(self.judges).await;
        }
        let ended = starting.await;
        self.starting = None;
        let fatal = self.calls.fatal.get().cloned().or(ended.err())?;
        Some((Err(fatal), self))
    }
}
