//! The embedded store: Qdrant's engine inside the process, in a folder.
//!
//! The engine is synchronous, so every call runs off the async threads. One process has the folder open; in it
//! small writes come one after the other, and one rebuild at a time fills the next generation.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, Weak};

use async_trait::async_trait;
use qdrant_edge::EdgeShard;
use tokio::sync::watch;
use uuid::Uuid;

use super::missed::Missed;
use super::{
    CollectionSettings, Content, Example, ExampleStore, Hits, Pinned, Point, Query, Rebuild, RebuildOptions, Revision,
    Revisions, StoreInfo, StoredExample,
};
use crate::{Error, Result};

mod cache;
mod content;
mod convert;
mod generation;
mod journal;
mod lock;
mod log;
mod rebuild;
mod search;
mod serving;
mod shard;

use content::EdgeContent;
use generation::Generation;
use journal::{Entry, Journal, MOST_EXAMPLES};
use rebuild::{EdgeRebuild, first_revision};
use serving::Serving;

/// The engine's release, as `Cargo.toml` pins it.
const ENGINE: &str = "qdrant-edge 0.7.2";

/// A store in a folder, open in this process alone.
pub struct EdgeStore {
    shared: Arc<Shared>,
    settings: CollectionSettings,
}

/// What the store and its rebuilds share.
struct Shared {
    root: PathBuf,
    current: RwLock<Arc<Serving>>,
    /// Generations that were replaced and may still be read.
    replaced: Mutex<Vec<Weak<Serving>>>,
    /// Held by every small write.
    writing: Mutex<Writing>,
    revisions: Revisions,
    /// Held for as long as anybody needs the folder.
    _lock: File,
}

/// What small writes are noted in, beside the engine.
struct Writing {
    journal: Journal,
    /// What a rebuild that is under way has missed.
    missed: Option<Missed>,
}

impl Shared {
    fn current(&self) -> Result<Arc<Serving>> {
        Ok(Arc::clone(&*self.current.read().map_err(|_| poisoned())?))
    }

    fn writing(&self) -> Result<MutexGuard<'_, Writing>> {
        self.writing.lock().map_err(|_| poisoned())
    }

    /// The folders of replaced generations that are still read.
    fn held(&self) -> Result<Vec<Generation>> {
        let mut replaced = self.replaced.lock().map_err(|_| poisoned())?;
        replaced.retain(|serving| serving.strong_count() > 0);
        Ok(replaced.iter().filter_map(Weak::upgrade).map(|serving| serving.generation.clone()).collect())
    }

    /// Serves the next generation with its journal.
    fn switch(&self, writing: &mut Writing, next: Serving, journal: Journal) -> Result<()> {
        let revision = first_revision(&next.generation, journal.changes);
        writing.journal = journal;
        let old = {
            let mut current = self.current.write().map_err(|_| poisoned())?;
            std::mem::replace(&mut *current, Arc::new(next))
        };
        self.replaced.lock().map_err(|_| poisoned())?.push(Arc::downgrade(&old));
        old.replace();
        self.revisions.set(revision);
        Ok(())
    }
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
        let lock = lock::open(root).await?;
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
            // Nobody reads them: the lock is held.
            generation.remove_replaced(&root);
            let (changes, entries) = Journal::read(&generation)?;
            let serving = Serving::load(generation)?;
            let changes = changes + serving.repeat(entries)?;
            let journal = Journal::begin(&serving.generation, changes)?;
            let shared = Shared {
                revisions: Revisions::new(first_revision(&serving.generation, changes)),
                root,
                current: RwLock::new(Arc::new(serving)),
                replaced: Mutex::default(),
                writing: Mutex::new(Writing { journal, missed: None }),
                _lock: lock,
            };
            Ok(Self { shared: Arc::new(shared), settings: CollectionSettings::default() })
        })
        .await
    }

    /// The same store, with settings for what it builds from now on.
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
        let lock = lock::open(root).await?;
        let root = root.to_path_buf();
        off_thread(move || {
            if let Some(generation) = Generation::current(&root)? {
                generation.remove_others(&root, &[])?;
                generation.retire(&root)?;
            }
            drop(lock);
            Ok(())
        })
        .await
    }

    fn content(&self) -> Result<EdgeContent> {
        Ok(EdgeContent { shared: Arc::clone(&self.shared), serving: self.shared.current()? })
    }

    /// Makes a small change and makes it durable; `noted` is what it means to a rebuild that is under way.
    /// `work` says how many examples it changed.
    async fn write(
        &self,
        noted: impl FnOnce(&mut Missed) + Send + 'static,
        work: impl FnOnce(&EdgeShard) -> Result<usize> + Send + 'static,
    ) -> Result<usize> {
        let shared = Arc::clone(&self.shared);
        off_thread(move || {
            let mut writing = shared.writing()?;
            let serving = shared.current()?;
            let shard = serving.shard_alone()?;
            if !writing.journal.is_empty() {
                // The journal is done again when the store is opened, and must not undo this change.
                shard.flush();
                writing.journal.restart(&serving.generation, 0)?;
            }
            if let Some(missed) = writing.missed.as_mut() {
                noted(missed);
            }
            let outcome = work(&shard);
            serving.cache.clear();
            let changed = outcome?;
            shard.flush();
            drop(shard);
            writing.journal.restart(&serving.generation, changed)?;
            shared.revisions.examples_changed(changed);
            Ok(changed)
        })
        .await
    }

    /// Makes a change of a few examples: durable by the journal, so that the engine need not be flushed for it.
    async fn learn(&self, keys: Vec<Uuid>, entry: Entry) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        off_thread(move || {
            let mut writing = shared.writing()?;
            let serving = shared.current()?;
            let changed = entry.examples();
            // The journal comes first. A change that the engine refuses is refused again when the store is opened,
            // and skipped.
            serving.check(&entry)?;
            writing.journal.append(&entry)?;
            let done = serving.repeat_one(entry);
            serving.cache.forget(&keys);
            done?;
            if let Some(missed) = writing.missed.as_mut() {
                missed.keys.extend(keys);
            }
            if writing.journal.is_long() {
                serving.shard_alone()?.flush();
                writing.journal.restart(&serving.generation, 0)?;
            }
            shared.revisions.examples_changed(changed);
            Ok(())
        })
        .await
    }
}

impl std::fmt::Debug for EdgeStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EdgeStore")
            .field("root", &self.shared.root)
            .field("revision", &self.shared.revisions)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Content for EdgeStore {
    async fn query(&self, query: Query) -> Result<Hits> {
        self.content()?.query(query).await
    }

    async fn scroll(
        &self,
        start: Option<Uuid>,
        limit: usize,
        with_vectors: bool,
    ) -> Result<(Vec<StoredExample>, Option<Uuid>)> {
        self.content()?.scroll(start, limit, with_vectors).await
    }

    async fn count(&self) -> Result<usize> {
        self.content()?.count().await
    }

    async fn intents(&self) -> Result<Vec<(String, usize)>> {
        self.content()?.intents().await
    }

    async fn blob(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.content()?.blob(name).await
    }

    async fn info(&self) -> Result<StoreInfo> {
        self.content()?.info().await
    }
}

#[async_trait]
impl ExampleStore for EdgeStore {
    async fn snapshot(&self) -> Result<Pinned> {
        let content = self.content()?;
        Ok(Pinned { generation: content.serving.generation.name(), content: Arc::new(content) })
    }

    fn revisions(&self) -> watch::Receiver<Arc<Revision>> {
        self.shared.revisions.watch()
    }

    async fn upsert(&self, points: Vec<Point>) -> Result<()> {
        let keys: Vec<Uuid> = points.iter().map(|point| point.example.key).collect();
        let count = keys.len();
        if count <= MOST_EXAMPLES {
            return self.learn(keys, Entry::put(&points)).await;
        }
        let write = move |shard: &EdgeShard| shard::upsert(shard, points).map(|()| count);
        self.write(move |missed| missed.keys.extend(keys), write).await.map(|_| ())
    }

    async fn update(&self, examples: Vec<Example>) -> Result<()> {
        let keys: Vec<Uuid> = examples.iter().map(|example| example.key).collect();
        let count = keys.len();
        let write = move |shard: &EdgeShard| shard::update(shard, examples).map(|()| count);
        self.write(move |missed| missed.keys.extend(keys), write).await.map(|_| ())
    }

    async fn relabel(&self, from: &str, to: &str) -> Result<usize> {
        let (from, to) = (from.to_owned(), to.to_owned());
        let noted = (from.clone(), to.clone());
        self.write(|missed| missed.relabels.push(noted), move |shard| shard::relabel(shard, from, to)).await
    }

    async fn delete(&self, keys: Vec<Uuid>) -> Result<()> {
        let (noted, count) = (keys.clone(), keys.len());
        if count <= MOST_EXAMPLES {
            return self.learn(noted, Entry::Delete(keys)).await;
        }
        let write = move |shard: &EdgeShard| shard::delete(shard, keys).map(|()| count);
        self.write(|missed| missed.keys.extend(noted), write).await.map(|_| ())
    }

    async fn put_blob(&self, name: &str, content: Vec<u8>) -> Result<()> {
        let (name, shared) = (name.to_owned(), Arc::clone(&self.shared));
        off_thread(move || {
            // One at a time: two would write into the same draft.
            let mut writing = shared.writing()?;
            shared.current()?.generation.put_blob(&name, &content)?;
            if let Some(missed) = writing.missed.as_mut() {
                missed.blobs.insert(name.clone());
            }
            shared.revisions.blob_changed(&name);
            Ok(())
        })
        .await
    }

    async fn rebuild(&self, options: RebuildOptions) -> Result<Box<dyn Rebuild>> {
        if options.keep_old {
            return Err(Error::bad_input(
                "a store in a folder does not keep its old generation; copy it first: ticket-router store copy FROM TO",
            ));
        }
        let rebuild = EdgeRebuild::start(Arc::clone(&self.shared), self.settings.clone(), options).await?;
        Ok(Box::new(rebuild))
    }
}

fn absent(root: &Path) -> Error {
    let root = root.display();
    Error::store(format!("there is no example store in {root}; make one with: ticket-router index FILE --store {root}"))
}

fn poisoned() -> Error {
    Error::internal("an earlier call on the store panicked; restart the program")
}

/// Runs blocking work off the async threads. A panic of the engine becomes an error.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| {
        Error::store(format!("the embedded engine stopped: {e}; check the free disk space and try again"))
    })?
}
