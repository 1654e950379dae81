//! A store in the memory of the process, searched exactly: for tests, for examples, and for desks whose history is
//! small enough to be indexed at every start.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use async_trait::async_trait;
use uuid::Uuid;

use super::{CollectionSettings, ExampleStore, Hits, Query, Rebuild, RebuildOptions, StoreInfo};
use crate::data::example::{Example, Point, StoredExample};
use crate::{Error, Result};

mod content;
mod matcher;

use content::Content;

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
    served: RwLock<Arc<Content>>,
    /// The content of a named rebuild that was dropped, with its name.
    unfinished: Mutex<Option<(String, Content)>>,
}

impl MemoryStore {
    /// An empty store for vectors of `dimension` numbers.
    #[must_use]
    pub fn new(dimension: usize) -> Self {
        let served = RwLock::new(Arc::new(Content::new(1, dimension)));
        Self { shared: Arc::new(Shared { served, unfinished: Mutex::default() }) }
    }

    /// The content as it is now. Later writes do not change it.
    fn content(&self) -> Arc<Content> {
        Arc::clone(&self.shared.served.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the content for everyone who reads from now on.
    fn write<T>(&self, change: impl FnOnce(&mut Content) -> T) -> T {
        let mut served = self.shared.served.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut served))
    }
}

impl Shared {
    fn unfinished(&self) -> MutexGuard<'_, Option<(String, Content)>> {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ExampleStore for MemoryStore {
    async fn query(&self, query: Query) -> Result<Hits> {
        self.content().query(&query)
    }

    async fn upsert(&self, points: Vec<Point>) -> Result<()> {
        self.write(|content| content.upsert(points))
    }

    async fn update(&self, examples: Vec<Example>) -> Result<()> {
        self.write(|content| content.update(examples));
        Ok(())
    }

    async fn relabel(&self, from: &str, to: &str) -> Result<usize> {
        Ok(self.write(|content| content.relabel(from, to)))
    }

    async fn delete(&self, keys: Vec<Uuid>) -> Result<()> {
        self.write(|content| content.delete(&keys));
        Ok(())
    }

    async fn scroll(
        &self,
        start: Option<Uuid>,
        limit: usize,
        with_vectors: bool,
    ) -> Result<(Vec<StoredExample>, Option<Uuid>)> {
        Ok(self.content().page(start, limit, with_vectors))
    }

    async fn count(&self) -> Result<usize> {
        Ok(self.content().len())
    }

    async fn intents(&self) -> Result<Vec<(String, usize)>> {
        Ok(self.content().intents())
    }

    async fn blob(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.content().blob(name))
    }

    async fn put_blob(&self, name: &str, content: Vec<u8>) -> Result<()> {
        self.write(|served| served.put_blob(name, content));
        Ok(())
    }

    async fn rebuild(&self, options: RebuildOptions) -> Result<Box<dyn Rebuild>> {
        if options.keep_old {
            return Err(Error::bad_input(
                "a store in memory does not keep its old generation; copy it to another store first",
            ));
        }
        let resumed = self.shared.unfinished().take().filter(|(name, content)| {
            options.resume.as_ref() == Some(name) && content.dimension() == options.dimension
        });
        let next = resumed.map_or_else(|| Content::new(0, options.dimension), |(_, content)| content);
        Ok(Box::new(MemoryRebuild { store: self.clone(), next: Some(next), name: options.resume }))
    }

    async fn info(&self) -> Result<StoreInfo> {
        let content = self.content();
        Ok(StoreInfo {
            location: "memory".to_owned(),
            engine: "exact search in memory".to_owned(),
            content: format!("content-{}", content.number()),
            dimension: content.dimension(),
            disk_bytes: None,
            settings: CollectionSettings::default(),
        })
    }
}

/// The next generation of a [`MemoryStore`].
struct MemoryRebuild {
    store: MemoryStore,
    /// `None` after the commit.
    next: Option<Content>,
    name: Option<String>,
}

impl MemoryRebuild {
    fn next(&mut self) -> Result<&mut Content> {
        self.next.as_mut().ok_or_else(|| Error::internal("the rebuild is over"))
    }
}

#[async_trait]
impl Rebuild for MemoryRebuild {
    async fn upsert(&mut self, points: Vec<Point>) -> Result<()> {
        self.next()?.upsert(points)
    }

    async fn blob(&mut self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.next()?.blob(name))
    }

    async fn put_blob(&mut self, name: &str, content: Vec<u8>) -> Result<()> {
        self.next()?.put_blob(name, content);
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        let next = self.next.take().ok_or_else(|| Error::internal("the rebuild is over"))?;
        self.store.write(|served| *served = next.after(served));
        Ok(())
    }
}

impl Drop for MemoryRebuild {
    fn drop(&mut self) {
        if let (Some(next), Some(name)) = (self.next.take(), self.name.take()) {
            *self.store.shared.unfinished() = Some((name, next));
        }
    }
}
