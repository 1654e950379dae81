//! A store in the memory of the process, searched exactly: for tests, for examples, and for desks whose history is
//! small enough to be indexed at every start.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use uuid::Uuid;

use super::missed::Missed;
use super::{
    CollectionSettings, Content, ExampleStore, Hits, Pinned, Query, Rebuild, RebuildOptions, Revision, Revisions,
    StoreInfo,
};
use crate::data::example::{Example, Point, StoredExample};
use crate::{Error, Result};

mod generation;
mod matcher;
mod rebuild;

use generation::Generation;
use rebuild::MemoryRebuild;

/// How long a rebuild waits for another one.
const PATIENCE: Duration = Duration::from_secs(10);

/// A store in memory. Clones are the same store, and it is gone with the last of them.
///
/// Each query looks at every example: about a millisecond for 10,000 vectors of 384 numbers. BM25 is scored by the
/// formula of Qdrant's engine, so all stores give the same hits.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    served: RwLock<Held>,
    /// Held by whoever writes; what a rebuild that is under way has missed.
    missed: Mutex<Option<Missed>>,
    /// The content of a named rebuild that was dropped, with its name.
    unfinished: Mutex<Option<(String, Generation)>>,
    /// One rebuild at a time has it.
    lease: Arc<Semaphore>,
    revisions: Revisions,
}

/// A generation that is read, and written by small changes.
#[derive(Debug, Clone)]
struct Held(Arc<RwLock<Generation>>);

impl Held {
    fn new(generation: Generation) -> Self {
        Self(Arc::new(RwLock::new(generation)))
    }

    fn read(&self) -> RwLockReadGuard<'_, Generation> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write<T>(&self, change: impl FnOnce(&mut Generation) -> T) -> T {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl MemoryStore {
    /// An empty store for vectors of `dimension` numbers.
    #[must_use]
    pub fn new(dimension: usize) -> Self {
        let first = Generation::new(1, dimension);
        let revisions = Revisions::new(Revision::of(first.name()));
        Self {
            shared: Arc::new(Shared {
                served: RwLock::new(Held::new(first)),
                missed: Mutex::default(),
                unfinished: Mutex::default(),
                lease: Arc::new(Semaphore::new(1)),
                revisions,
            }),
        }
    }

    fn held(&self) -> Held {
        self.shared.served.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes a small change; `noted` is what it means to a rebuild that is under way. Says how many examples it
    /// changed.
    fn change(
        &self,
        noted: impl FnOnce(&mut Missed),
        change: impl FnOnce(&mut Generation) -> Result<usize>,
    ) -> Result<usize> {
        let mut missed = self.shared.missed();
        let count = self.held().write(change)?;
        if let Some(missed) = missed.as_mut() {
            noted(missed);
        }
        self.shared.revisions.examples_changed(count);
        Ok(count)
    }
}

impl Shared {
    fn missed(&self) -> MutexGuard<'_, Option<Missed>> {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unfinished(&self) -> MutexGuard<'_, Option<(String, Generation)>> {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no other rebuild is under way.
    async fn lease(&self) -> Result<OwnedSemaphorePermit> {
        let permit = tokio::time::timeout(PATIENCE, Arc::clone(&self.lease).acquire_owned()).await;
        permit.ok().and_then(std::result::Result::ok).ok_or_else(|| {
            Error::store(
                "the store in memory is being filled by another run of this process; wait for it, then try again",
            )
        })
    }
}

#[async_trait]
impl Content for Held {
    async fn query(&self, query: Query) -> Result<Hits> {
        self.read().query(&query)
    }

    async fn scroll(
        &self,
        start: Option<Uuid>,
        limit: usize,
        with_vectors: bool,
    ) -> Result<(Vec<StoredExample>, Option<Uuid>)> {
        Ok(self.read().page(start, limit, with_vectors))
    }

    async fn count(&self) -> Result<usize> {
        Ok(self.read().len())
    }

    async fn intents(&self) -> Result<Vec<(String, usize)>> {
        Ok(self.read().intents())
    }

    async fn blob(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.read().blob(name))
    }

    async fn info(&self) -> Result<StoreInfo> {
        let generation = self.read();
        Ok(StoreInfo {
            location: "memory".to_owned(),
            engine: "exact search in memory".to_owned(),
            content: generation.name(),
            dimension: generation.dimension(),
            disk_bytes: None,
            settings: CollectionSettings::default(),
        })
    }
}

#[async_trait]
impl Content for MemoryStore {
    async fn query(&self, query: Query) -> Result<Hits> {
        self.held().query(query).await
    }

    async fn scroll(
        &self,
        start: Option<Uuid>,
        limit: usize,
        with_vectors: bool,
    ) -> Result<(Vec<StoredExample>, Option<Uuid>)> {
        self.held().scroll(start, limit, with_vectors).await
    }

    async fn count(&self) -> Result<usize> {
        self.held().count().await
    }

    async fn intents(&self) -> Result<Vec<(String, usize)>> {
        self.held().intents().await
    }

    async fn blob(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.held().blob(name).await
    }

    async fn info(&self) -> Result<StoreInfo> {
        self.held().info().await
    }
}

#[async_trait]
impl ExampleStore for MemoryStore {
    async fn snapshot(&self) -> Result<Pinned> {
        let held = self.held();
        let generation = held.read().name();
        Ok(Pinned { generation, content: Arc::new(held) })
    }

    fn revisions(&self) -> watch::Receiver<Arc<Revision>> {
        self.shared.revisions.watch()
    }

    async fn upsert(&self, points: Vec<Point>) -> Result<()> {
        let (keys, count): (Vec<Uuid>, usize) = (points.iter().map(|point| point.example.key).collect(), points.len());
        self.change(|missed| missed.keys.extend(keys), |generation| generation.upsert(points).map(|()| count))
            .map(|_| ())
    }

    async fn update(&self, examples: Vec<Example>) -> Result<()> {
        let keys: Vec<Uuid> = examples.iter().map(|example| example.key).collect();
        let count = keys.len();
        let update = |generation: &mut Generation| {
            generation.update(examples);
            Ok(count)
        };
        self.change(|missed| missed.keys.extend(keys), update).map(|_| ())
    }

    async fn relabel(&self, from: &str, to: &str) -> Result<usize> {
        let noted = (from.to_owned(), to.to_owned());
        self.change(|missed| missed.relabels.push(noted), |generation| Ok(generation.relabel(from, to)))
    }

    async fn delete(&self, keys: Vec<Uuid>) -> Result<()> {
        let delete = |generation: &mut Generation| {
            generation.delete(&keys);
            Ok(keys.len())
        };
        self.change(|missed| missed.keys.extend(keys.iter().copied()), delete).map(|_| ())
    }

    async fn put_blob(&self, name: &str, content: Vec<u8>) -> Result<()> {
        let mut missed = self.shared.missed();
        self.held().write(|generation| generation.put_blob(name, content));
        if let Some(missed) = missed.as_mut() {
            missed.blobs.insert(name.to_owned());
        }
        self.shared.revisions.blob_changed(name);
        Ok(())
    }

    async fn rebuild(&self, options: RebuildOptions) -> Result<Box<dyn Rebuild>> {
        if options.keep_old {
            return Err(Error::bad_input(
                "a store in memory does not keep its old generation; copy it to another store first",
            ));
        }
        let lease = self.shared.lease().await?;
        Ok(Box::new(MemoryRebuild::start(self.clone(), options, lease)))
    }
}
