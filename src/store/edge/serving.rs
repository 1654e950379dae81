//! A content that answers: its folder, its engine and what was read from it before.

use std::sync::OnceLock;

use qdrant_edge::EdgeShard;

use super::super::settings::beam;
use super::super::{Hits, Query};
use super::cache::Cache;
use super::generation::Generation;
use super::search::{By, search};
use super::shard;
use crate::{Error, Result};

/// The generation that answers, and its engine.
pub(super) struct Serving {
    pub(super) generation: Generation,
    pub(super) shard: Shard,
    pub(super) cache: Cache,
    /// Known from the first query on; a few examples more or less do not matter to it.
    beam: OnceLock<usize>,
}

/// The engine, which flushes when it is dropped and panics when that fails. All writes are
/// flushed before they are acknowledged, so nothing is lost with such a panic.
pub(super) struct Shard(Option<EdgeShard>);

impl Serving {
    pub(super) fn new(generation: Generation, engine: EdgeShard) -> Self {
        Self { generation, shard: Shard(Some(engine)), cache: Cache::default(), beam: OnceLock::new() }
    }

    pub(super) fn load(generation: Generation) -> Result<Self> {
        let engine = shard::load(&generation)?;
        Ok(Self::new(generation, engine))
    }

    /// Both searches side by side: together they are most of the time that a ticket takes.
    pub(super) fn query(&self, query: &Query) -> Result<Hits> {
        let beam = *self.beam.get_or_init(|| beam(shard::size(&self.shard)));
        let by = |by: By| search(&self.shard, &self.cache, beam, query, by);
        let (dense, sparse) = std::thread::scope(|scope| {
            let words = scope.spawn(|| by(By::Words));
            let dense = by(By::Meaning);
            (dense, words.join().unwrap_or_else(|_| Err(Error::store("the search by words stopped"))))
        });
        Ok(Hits { dense: dense?, sparse: sparse? })
    }

    pub(super) fn discard(self) -> Result<()> {
        drop(self.shard);
        self.generation.remove()
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
        let engine = self.0.take();
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(engine)));
    }
}
