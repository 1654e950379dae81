//! The embedded store: Qdrant's engine inside the process, in a folder.
//!
//! The engine is synchronous, so every call runs off the async threads. Reads share a lock;
//! writes take it alone, because the engine's `flush` must find none of its locks held.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use qdrant_edge::EdgeShard;
use uuid::Uuid;

use super::{
    CollectionSettings, Example, ExampleStore, Hits, Point, Query, Rebuild, RebuildOptions, StoreInfo, StoredExample,
};
use crate::{Error, Result};

mod cache;
mod convert;
mod generation;
mod log;
mod search;
mod serving;
mod shard;

use generation::Generation;
use serving::Serving;

/// How long another process may keep the store before opening it fails.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const LOCK_FILE: &str = "LOCK";
/// The engine's release, as `Cargo.toml` pins it.
const ENGINE: &str = "qdrant-edge 0.7.2";

/// A store in a folder, open in this process alone.
pub struct EdgeStore {
    root: PathBuf,
    settings: CollectionSettings,
    serving: Arc<RwLock<Serving>>,
    /// Held for as long as the store is open.
    _lock: File,
}

impl EdgeStore {
    /// Whether there is a store in this folder.
    #[must_use]
    pub fn exists(root: &Path) -> bool {
        Generation::exists(root)
    }

    /// Opens an existing store. Fails when there is none, when it is damaged, or when
    /// another process keeps it for more than ten seconds.
    pub async fn open(root: &Path) -> Result<Self> {
        if !Generation::exists(root) {
            return Err(absent(root));
        }
        Self::open_locked(root, None).await
    }

    /// Opens a store, or makes an empty one for vectors of `dimension` numbers.
    pub async fn open_or_create(root: &Path, dimension: usize) -> Result<Self> {
        generation::make_private_dir(root)?;
        generation::check_own(root)?;
        Self::open_locked(root, Some(dimension)).await
    }

    async fn open_locked(root: &Path, create: Option<usize>) -> Result<Self> {
        let lock = lock(root).await?;
        let root = root.to_path_buf();
        off_thread(move || {
            let generation = match (Generation::current(&root)?, create) {
                (Some(generation), _) => generation,
                (None, Some(dimension)) => {
                    let first = Generation::create(&root)?;
                    shard::create(&first, dimension, &CollectionSettings::default(), 0)?.flush();
                    first.publish(&root)?;
                    first
                }
                (None, None) => return Err(Error::store(format!("the store in {} is empty", root.display()))),
            };
            let serving = Arc::new(RwLock::new(Serving::load(generation)?));
            Ok(Self { root, settings: CollectionSettings::default(), serving, _lock: lock })
        })
        .await
    }

    /// The same, with settings for what it builds from now on.
    #[must_use]
    pub fn with_settings(mut self, settings: CollectionSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Removes the store in this folder, and the folder itself when nothing else is in it.
    pub async fn remove(root: &Path) -> Result<()> {
        if !Generation::exists(root) {
            return Err(absent(root));
        }
        let lock = lock(root).await?;
        let root = root.to_path_buf();
        off_thread(move || {
            if let Some(generation) = Generation::current(&root)? {
                generation.remove_others(&root)?;
                generation.retire(&root)?;
            }
            drop(lock);
            Ok(())
        })
        .await
    }

    /// Runs a read on the engine.
    async fn read<T: Send + 'static>(&self, work: impl FnOnce(&Serving) -> Result<T> + Send + 'static) -> Result<T> {
        let serving = Arc::clone(&self.serving);
        off_thread(move || work(&*serving.read().map_err(|_| poisoned())?)).await
    }

    /// Runs a write on the engine and makes it durable.
    async fn write<T: Send + 'static>(&self, work: impl FnOnce(&EdgeShard) -> Result<T> + Send + 'static) -> Result<T> {
        let serving = Arc::clone(&self.serving);
        off_thread(move || {
            let serving = serving.write().map_err(|_| poisoned())?;
            let outcome = work(&serving.shard);
            serving.cache.clear();
            let done = outcome?;
            serving.shard.flush();
            Ok(done)
        })
        .await
    }
}

#[async_trait]
impl ExampleStore for EdgeStore {
    async fn query(&self, query: Query) -> Result<Hits> {
        self.read(move |serving| serving.query(&query)).await
    }

    async fn upsert(&self, points: Vec<Point>) -> Result<()> {
        self.write(move |shard| shard::upsert(shard, points)).await
    }

    async fn update(&self, examples: Vec<Example>) -> Result<()> {
        self.write(move |shard| shard::update(shard, examples)).await
    }

    async fn relabel(&self, from: &str, to: &str) -> Result<usize> {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.write(move |shard| shard::relabel(shard, from, to)).await
    }

    async fn delete(&self, keys: Vec<Uuid>) -> Result<()> {
        self.write(move |shard| shard::delete(shard, keys)).await
    }

    async fn scroll(
        &self,
        start: Option<Uuid>,
        limit: usize,
        with_vectors: bool,
    ) -> Result<(Vec<StoredExample>, Option<Uuid>)> {
        self.read(move |serving| shard::scroll(&serving.shard, start, limit, with_vectors)).await
    }

    async fn count(&self) -> Result<usize> {
        self.read(|serving| shard::count(&serving.shard)).await
    }

    async fn intents(&self) -> Result<Vec<(String, usize)>> {
        self.read(|serving| shard::intents(&serving.shard)).await
    }

    async fn blob(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let name = name.to_owned();
        self.read(move |serving| serving.generation.blob(&name)).await
    }

    async fn put_blob(&self, name: &str, content: Vec<u8>) -> Result<()> {
        let name = name.to_owned();
        self.read(move |serving| serving.generation.put_blob(&name, &content)).await
    }

    async fn rebuild(&self, options: RebuildOptions) -> Result<Box<dyn Rebuild>> {
        if options.keep_old {
            return Err(Error::bad_input(
                "a store in a folder does not keep its old content; copy it first: ticket-router store copy FROM TO",
            ));
        }
        let (root, settings, serving) = (self.root.clone(), self.settings.clone(), Arc::clone(&self.serving));
        off_thread(move || {
            let current = serving.read().map_err(|_| poisoned())?.generation.clone();
            let unfinished = options.resume.as_deref().map(|name| current.unfinished(&root, name)).transpose()?;
            let next = if let Some(unfinished) = unfinished.flatten() {
                Serving::load(unfinished)?
            } else {
                // What killed runs left behind goes before another one is added.
                current.remove_others(&root)?;
                let generation = Generation::create(&root)?;
                let engine = shard::create(&generation, options.dimension, &settings, options.points)?;
                let next = Serving::new(generation, engine);
                if let Some(name) = &options.resume {
                    next.shard.flush();
                    next.generation.put_name(name)?;
                }
                next
            };
            let stays = options.resume.is_some();
            Ok(Box::new(EdgeRebuild { root, serving, next: Some(next), stays }) as Box<dyn Rebuild>)
        })
        .await
    }

    async fn info(&self) -> Result<StoreInfo> {
        let root = self.root.clone();
        self.read(move |serving| {
            Ok(StoreInfo {
                location: root.display().to_string(),
                engine: format!("Qdrant embedded ({ENGINE})"),
                content: serving.generation.name(),
                dimension: shard::dimension(&serving.shard),
                disk_bytes: Some(serving.generation.bytes()?),
                settings: shard::settings(&serving.shard),
            })
        })
        .await
    }
}

/// The next generation of an [`EdgeStore`].
struct EdgeRebuild {
    root: PathBuf,
    serving: Arc<RwLock<Serving>>,
    /// `None` only while a call has it, and after the commit.
    next: Option<Serving>,
    /// Whether it is gone on with when it is not finished.
    stays: bool,
}

impl EdgeRebuild {
    async fn work<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Serving) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let next = self.next.take().ok_or_else(|| Error::internal("the rebuild already failed"))?;
        let (next, done) = off_thread(move || work(&next).map(|done| (next, done))).await?;
        self.next = Some(next);
        Ok(done)
    }
}

#[async_trait]
impl Rebuild for EdgeRebuild {
    async fn upsert(&mut self, points: Vec<Point>) -> Result<()> {
        self.work(move |next| shard::upsert(&next.shard, points)).await
    }

    async fn blob(&mut self, name: &str) -> Result<Option<Vec<u8>>> {
        let name = name.to_owned();
        self.work(move |next| next.generation.blob(&name)).await
    }

    async fn put_blob(&mut self, name: &str, content: Vec<u8>) -> Result<()> {
        let name = name.to_owned();
        self.work(move |next| {
            next.shard.flush();
            next.generation.put_blob(&name, &content)
        })
        .await
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        let next = self.next.take().ok_or_else(|| Error::internal("the rebuild already failed"))?;
        let (root, serving) = (self.root.clone(), Arc::clone(&self.serving));
        off_thread(move || {
            shard::optimize(&next.shard)?;
            next.shard.flush();
            log::cut(&next.generation.shard_path()?)?;
            next.generation.sync()?;
            next.generation.publish(&root)?;
            let old = {
                let mut serving = serving.write().map_err(|_| poisoned())?;
                std::mem::replace(&mut *serving, next)
            };
            old.discard()
        })
        .await
    }
}

impl Drop for EdgeRebuild {
    fn drop(&mut self) {
        if let Some(next) = self.next.take().filter(|_| !self.stays) {
            // Best effort: what stays is removed by the next rebuild.
            let _ = next.discard();
        }
    }
}

fn absent(root: &Path) -> Error {
    let root = root.display();
    Error::store(format!("there is no example store in {root}; make one with: ticket-router index FILE --store {root}"))
}

fn poisoned() -> Error {
    Error::internal("an earlier call on the store panicked; restart the program")
}

/// Runs blocking work on its own thread; a panic of the engine becomes an error.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| {
        Error::store(format!("the embedded engine stopped: {e}; check the free disk space and try again"))
    })?
}

/// Takes the store's lock, waiting for another process to finish.
async fn lock(root: &Path) -> Result<File> {
    let path = root.join(LOCK_FILE);
    let failed = |e: std::io::Error| {
        Error::store(format!("cannot lock the store {}: {e}; check the folder's permissions", root.display()))
    };
    let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
    let begun = std::time::Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::WouldBlock) if begun.elapsed() < LOCK_PATIENCE => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(Error::store(format!(
                    "the store {} is in use by another process (waited {} s); try again when it is done, \
                     or give each process a store of its own",
                    root.display(),
                    LOCK_PATIENCE.as_secs()
                )));
            }
            Err(std::fs::TryLockError::Error(e)) => return Err(failed(e)),
        }
    }
}
