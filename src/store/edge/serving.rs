//! A generation that is served: its folder, its engine and its cache.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard};

use qdrant_edge::EdgeShard;

use super::super::settings::beam;
use super::super::{Hit, Query};
use super::cache::Cache;
use super::generation::Generation;
use super::journal::Entry;
use super::search::{By, search};
use super::{poisoned, shard};
use crate::Result;

/// A generation and its engine. When the last holder drops it, the engine is closed, and the folder of a replaced
/// generation is removed.
pub(super) struct Serving {
    pub(super) generation: Generation,
    /// Searches share the engine. A write has it alone, because `flush` must find none of the engine's locks held.
    shard: RwLock<Shard>,
    pub(super) cache: Cache,
    /// Known from the first query on. A few examples more or less do not matter to it.
    beam: OnceLock<usize>,
    replaced: AtomicBool,
}

/// The engine. It flushes when it is dropped, and panics when that fails. Acknowledged writes are durable already, so
/// nothing is lost with such a panic.
pub(super) struct Shard(Option<EdgeShard>);

impl Serving {
    pub(super) fn new(generation: Generation, engine: EdgeShard) -> Self {
        Self {
            generation,
            shard: RwLock::new(Shard(Some(engine))),
            cache: Cache::default(),
            beam: OnceLock::new(),
            replaced: AtomicBool::new(false),
        }
    }

    pub(super) fn load(generation: Generation) -> Result<Self> {
        let engine = shard::load(&generation)?;
        Ok(Self::new(generation, engine))
    }

    /// The engine, for reading.
    pub(super) fn shard(&self) -> Result<RwLockReadGuard<'_, Shard>> {
        self.shard.read().map_err(|_| poisoned())
    }

    /// The engine, for writing.
    pub(super) fn shard_alone(&self) -> Result<RwLockWriteGuard<'_, Shard>> {
        self.shard.write().map_err(|_| poisoned())
    }

    pub(super) fn search(&self, query: &Query, by: By) -> Result<Vec<Hit>> {
        let shard = self.shard()?;
        let beam = *self.beam.get_or_init(|| beam(shard::size(&shard)));
        search(&shard, &self.cache, beam, query, by)
    }

    /// Whether the engine would take a change: an example has a vector of the right length.
    pub(super) fn check(&self, entry: &Entry) -> Result<()> {
        entry.check(shard::dimension(&*self.shard()?))
    }

    /// Does one change of the journal.
    pub(super) fn repeat_one(&self, entry: Entry) -> Result<()> {
        let shard = self.shard()?;
        match entry {
            Entry::Put(points) => shard::upsert(&shard, points.into_iter().map(Into::into).collect()),
            Entry::Delete(keys) => shard::delete(&shard, keys),
        }
    }

    /// Does the changes of the journal, which the engine may have lost, and makes them durable; says how many examples
    /// they changed.
    pub(super) fn repeat(&self, entries: Vec<Entry>) -> Result<usize> {
        let mut changed = 0;
        let any = !entries.is_empty();
        for entry in entries {
            changed += entry.examples();
            self.repeat_one(entry)?;
        }
        if any {
            self.shard_alone()?.flush();
        }
        Ok(changed)
    }

    /// Has the folder removed once nobody holds this any more.
    pub(super) fn replace(&self) {
        self.replaced.store(true, Ordering::Relaxed);
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if self.replaced.load(Ordering::Relaxed) {
            if let Ok(shard) = self.shard.get_mut() {
                shard.close();
            }
            // Best effort: what stays is removed by the next rebuild.
            let _ = self.generation.remove();
        }
    }
}

impl Shard {
    fn close(&mut self) {
        let engine = self.0.take();
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(engine)));
    }
}

impl std::ops::Deref for Shard {
    type Target = EdgeShard;

    #[expect(clippy::expect_used, reason = "it is taken out in drop alone")]
    fn deref(&self) -> &EdgeShard {
        self.0.as_ref().expect("the engine is there until it is dropped")
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        self.close();
    }
}
