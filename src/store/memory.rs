//! A store in the memory of the process, searched exactly: for tests, for examples, and for desks whose history is
//! small enough to be indexed at every start.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;

use super::missed::Missed;
use super::{
    CollectionSettings, Content, ExampleStore, Hits, Pinned, Query, Rebuild, RebuildOptions, Revision, Revisions,
    StoreInfo,
};
use crate::data::example::{Example, Point, StoredExample};
use crate::{Error, Result};

mod content;
mod matcher;
mod rebuild;

use content::Held;
use rebuild::MemoryRebuild;

/// How long one waits for another rebuild to finish.
const PATIENCE: Duration = Duration::from_secs(10);

/// A store in memory, which goes when its last clone does. Clones are the same store.
///
/// Each query looks at every example: about a millisecond for 10,000 vectors of 384 numbers. BM25 is scored by the
/// formula of Qdrant's engine, so all stores give the same hits.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    served: RwLock<Arc<Generation>>,
    /// Held by every small write; what a rebuild that is under way has missed.
    writing: Mutex<Option<Missed>>,
    /// Held by the rebuild that is under way.
    lease: Arc<tokio::sync::Mutex<()>>,
    /// What a rebuild with a name had when it was dropped, and its name.
    unfinished: Mutex<Option<(String, Held)>>,
    last: AtomicU64,
    revisions: Revisions,
}

/// One content, which small writes change for all who hold it.
#[derive(Debug)]
struct Generation {
    name: String,
    held: RwLock<Arc<Held>>,
}

impl Generation {
    fn new(number: u64, held: Held) -> Self {
        Self { name: format!("content-{number}"), held: RwLock::new(Arc::new(held)) }
    }

    /// The content as it is now; later writes do not change it.
    fn held(&self) -> Arc<Held> {
        Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the content for all who look from now on.
    fn write<T>(&self, change: impl FnOnce(&mut Held) -> T) -> T {
        change(Arc::make_mut(&mut self.held.write().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl MemoryStore {
    /// An empty store for vectors of `dimension` numbers.
    #[must_use]
    pub fn new(dimension: usize) -> Self {
        let first = Generation::new(1, Held::new(dimension));
        let revisions = Revisions::new(Revision::of(first.name.clone()));
        let shared = Shared {
            served: RwLock::new(Arc::new(first)),
            writing: Mutex::default(),
            lease: Arc::default(),
            unfinished: Mutex::default(),
            last: AtomicU64::new(1),
            revisions,
        };
        Self { shared: Arc::new(shared) }
    }

    fn served(&self) -> Arc<Generation> {
        Arc::clone(&self.shared.served.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a small change; `noted` is what it means to a rebuild that is under way.
    fn change<T>(&self, noted: impl FnOnce(&mut Missed), change: impl FnOnce(&mut Held) -> T) -> T {
        let mut writing = self.shared.writing();
        if let Some(missed) = writing.as_mut() {
            noted(missed);
        }
        self.served().write(change)
    }
}

impl Shared {
    fn writing(&self) -> MutexGuard<'_, Option<Missed>> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unfinished(&self) -> MutexGuard<'_, Option<(String, Held)>> {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves the next content, in which so many examples were changed already.
    fn switch(&self, next: Held, changes: usize) {
        let next = Generation::new(self.last.fetch_add(1, Ordering::Relaxed) + 1, next);
        let revision = Revision { changes, ..Revision::of(next.name.clone()) };
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        self.revisions.set(revision);
    }
}

#[async_trait]
impl Content for Generation {
    async fn query(&self, query: Query) -> Result<Hits> {
        self.held().query(&query)
    }

    async fn scroll(
        &self,
        start: Option<Uuid>,
        limit: usize,
        with_vectors: bool,
    ) -> Result<(Vec<StoredExample>, Option<Uuid>)> {
        Ok(self.held().page(start, limit, with_vectors))
    }

    async fn count(&self) -> Result<usize> {
        Ok(self.held().len())
    }

    async fn intents(&self) -> Result<Vec<(String, usize)>> {
        Ok(self.held().intents())
    }

    async fn blob(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.held().blob(name))
    }

    async fn info(&self) -> Result<StoreInfo> {
        Ok(StoreInfo {
            location: "memory".to_owned(),
            engine: "exact search in memory".to_owned(),
            content: self.name.clone(),
            dimension: self.held().dimension(),
            disk_bytes: None,
            settings: CollectionSettings::default(),
        })
    }
}

#[async_trait]
impl Content for MemoryStore {
    async fn query(&self, query: Query) -> Result<Hits> {
        self.served().query(query).await
    }

    async fn scroll(
        &self,
        start: Option<Uuid>,
        limit: usize,
        with_vectors: bool,
    ) -> Result<(Vec<StoredExample>, Option<Uuid>)> {
        self.served().scroll(start, limit, with_vectors).await
    }

    async fn count(&self) -> Result<usize> {
        self.served().count().await
    }

    async fn intents(&self) -> Result<Vec<(String, usize)>> {
        self.served().intents().await
    }

    async fn blob(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.served().blob(name).await
    }

    async fn info(&self) -> Result<StoreInfo> {
        self.served().info().await
    }
}

#[async_trait]
impl ExampleStore for MemoryStore {
    async fn snapshot(&self) -> Result<Pinned> {
        let served = self.served();
        Ok(Pinned { generation: served.name.clone(), content: served })
    }

    fn revisions(&self) -> watch::Receiver<Arc<Revision>> {
        self.shared.revisions.watch()
    }

    async fn upsert(&self, points: Vec<Point>) -> Result<()> {
        let keys: Vec<Uuid> = points.iter().map(|point| point.example.key).collect();
        let count = keys.len();
        self.change(|missed| missed.keys.extend(keys), |held| held.upsert(points))?;
        self.shared.revisions.examples_changed(count);
        Ok(())
    }

    async fn update(&self, examples: Vec<Example>) -> Result<()> {
        let keys: Vec<Uuid> = examples.iter().map(|example| example.key).collect();
        let count = keys.len();
        self.change(|missed| missed.keys.extend(keys), |held| held.update(examples));
        self.shared.revisions.examples_changed(count);
        Ok(())
    }

    async fn relabel(&self, from: &str, to: &str) -> Result<usize> {
        let noted = (from.to_owned(), to.to_owned());
        let count = self.change(|missed| missed.relabels.push(noted), |held| held.relabel(from, to));
        self.shared.revisions.examples_changed(count);
        Ok(count)
    }

    async fn delete(&self, keys: Vec<Uuid>) -> Result<()> {
        self.change(|missed| missed.keys.extend(keys.iter().copied()), |held| held.delete(&keys));
        self.shared.revisions.examples_changed(keys.len());
        Ok(())
    }

    async fn put_blob(&self, name: &str, content: Vec<u8>) -> Result<()> {
        let noted = name.to_owned();
        self.change(
            |missed| {
                missed.blobs.insert(noted);
            },
            |held| held.put_blob(name, content),
        );
        self.shared.revisions.blob_changed(name);
        Ok(())
    }

    async fn rebuild(&self, options: RebuildOptions) -> Result<Box<dyn Rebuild>> {
        if options.keep_old {
            return Err(Error::bad_input(
                "a store in memory does not keep its old content; copy it to another store first",
            ));
        }
        let waiting = tokio::time::timeout(PATIENCE, Arc::clone(&self.shared.lease).lock_owned());
        let lease = waiting.await.map_err(|_| {
            let seconds = PATIENCE.as_secs();
            Error::store(format!(
                "the store in memory is being rebuilt (waited {seconds} s); try again when it is done"
            ))
        })?;
        Ok(Box::new(MemoryRebuild::start(self.clone(), options, lease)))
    }
}
