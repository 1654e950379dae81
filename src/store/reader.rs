//! Follows a store: each search gets the newest snapshot, and a search that is under way keeps its own.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, watch};

use super::{ExampleStore, Revision, Snapshot};
use crate::embed::Embedder;
use crate::{Error, Result};

/// How long after a failure the store is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// Reads a store while others write to it.
pub struct Reader {
    store: Arc<dyn ExampleStore>,
    embedder: Arc<dyn Embedder>,
    revisions: watch::Receiver<Arc<Revision>>,
    state: RwLock<State>,
    /// Held by the one task that looks for changes.
    turn: Mutex<()>,
}

struct State {
    snapshot: Arc<Snapshot>,
    /// The revision that was looked at last, whether or not it is served.
    seen: Arc<Revision>,
    /// When a failed look is repeated.
    again: Option<Instant>,
}

impl Reader {
    /// Opens a store for an embedder. Fails when no index run has completed on it, when it was built with another
    /// embedder, and when it lacks the examples that were written.
    pub async fn open(store: Arc<dyn ExampleStore>, embedder: Arc<dyn Embedder>) -> Result<Self> {
        let revisions = store.revisions();
        let seen = Arc::clone(&revisions.borrow());
        let snapshot = Snapshot::load(store.as_ref(), Arc::clone(&seen), None).await?;
        snapshot.manifest().check(embedder.as_ref()).await?;
        let written = snapshot.manifest().examples;
        if written > 0 && snapshot.content().count().await? == 0 {
            return Err(Error::store(format!(
                "the store is damaged: it holds none of the {written} examples that were written; index again into a new \
                 --store"
            )));
        }
        let state = RwLock::new(State { snapshot: Arc::new(snapshot), seen, again: None });
        Ok(Self { store, embedder, revisions, state, turn: Mutex::default() })
    }

    /// The store that is followed.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn ExampleStore> {
        &self.store
    }

    /// The embedder that the store's vectors are compared with.
    #[must_use]
    pub fn embedder(&self) -> &Arc<dyn Embedder> {
        &self.embedder
    }

    /// The snapshot that is served, without a look for a newer one.
    #[must_use]
    pub fn known(&self) -> Arc<Snapshot> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner).snapshot)
    }

    /// The newest snapshot that can be served. Where a new one cannot be read, or was built with another embedder,
    /// the old one goes on serving, and the log says so.
    pub async fn snapshot(&self) -> Arc<Snapshot> {
        if let Some(current) = self.current() {
            return current;
        }
        let _turn = self.turn.lock().await;
        if let Some(current) = self.current() {
            return current;
        }
        self.look().await
    }

    /// Whether the store serves another generation than that of this snapshot, which could not be taken over.
    #[must_use]
    pub fn is_behind(&self, snapshot: &Snapshot) -> bool {
        self.revisions.borrow().generation != snapshot.generation()
    }

    /// A newer generation than that of a snapshot which could not be read: it may be gone.
    pub async fn newer_than(&self, failed: &Snapshot) -> Option<Arc<Snapshot>> {
        let _turn = self.turn.lock().await;
        let known = self.known();
        let newer = if known.generation() == failed.generation() { self.look().await } else { known };
        (newer.generation() != failed.generation()).then_some(newer)
    }

    fn current(&self) -> Option<Arc<Snapshot>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let is_seen = Arc::ptr_eq(&state.seen, &self.revisions.borrow());
        let is_due = state.again.is_some_and(|at| Instant::now() >= at);
        (is_seen && !is_due).then(|| Arc::clone(&state.snapshot))
    }

    async fn look(&self) -> Arc<Snapshot> {
        let (seen, before) = (Arc::clone(&self.revisions.borrow()), self.known());
        let found = self.load(Arc::clone(&seen), &before).await;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.seen = seen;
        state.again = None;
        match found {
            Ok(Some(snapshot)) => {
                let old = std::mem::replace(&mut state.snapshot, snapshot);
                drop(before);
                // With its last reader, the folder of a replaced generation is removed, which may take a while.
                tokio::task::spawn_blocking(move || drop(old));
            }
            Ok(None) => {}
            Err(e) => {
                tracing::warn!(error = %e, "what is new in the store cannot be read; what was known goes on serving");
                state.again = Some(Instant::now() + PAUSE);
            }
        }
        Arc::clone(&state.snapshot)
    }

    /// `None` where it is not to be served.
    async fn load(&self, revision: Arc<Revision>, before: &Snapshot) -> Result<Option<Arc<Snapshot>>> {
        let snapshot = Snapshot::load(self.store.as_ref(), revision, Some(before)).await?;
        let (then, now) = (before.manifest(), snapshot.manifest());
        let is_same = (&then.embedder, then.dimension, &then.probe) == (&now.embedder, now.dimension, &now.probe);
        if !is_same && let Err(e) = now.check(self.embedder.as_ref()).await {
            tracing::error!(generation = snapshot.generation(), "the old index goes on serving: {e}");
            return Ok(None);
        }
        Ok(Some(Arc::new(snapshot)))
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("snapshot", &self.known()).finish_non_exhaustive()
    }
}
