//! The next generation of a store in memory, while it is filled.

use std::sync::PoisonError;

use async_trait::async_trait;
use tokio::sync::OwnedSemaphorePermit;

use super::super::missed::Missed;
use super::generation::Generation;
use super::{Held, MemoryStore};
use crate::data::example::Point;
use crate::embed::Bm25;
use crate::store::{MANIFEST_BLOB, Rebuild, RebuildOptions, Revision};
use crate::{Error, Result};

/// The next generation of a [`MemoryStore`].
pub(super) struct MemoryRebuild {
    store: MemoryStore,
    options: RebuildOptions,
    /// `None` after the commit.
    next: Option<Generation>,
    /// Dropped last: until then no other rebuild begins.
    _lease: OwnedSemaphorePermit,
}

impl MemoryRebuild {
    pub(super) fn start(store: MemoryStore, options: RebuildOptions, lease: OwnedSemaphorePermit) -> Self {
        let resumed = store.shared.unfinished().take().filter(|(name, generation)| {
            options.resume.as_ref() == Some(name) && generation.dimension() == options.dimension
        });
        let next = resumed.map_or_else(|| Generation::new(0, options.dimension), |(_, generation)| generation);
        *store.shared.missed() = Some(Missed::default());
        Self { store, options, next: Some(next), _lease: lease }
    }

    fn next(&mut self) -> Result<&mut Generation> {
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
        // This blob was made knowing all changes so far, so only later ones are taken over.
        if let Some(missed) = self.store.shared.missed().as_mut() {
            missed.blobs.remove(name);
        }
        self.next()?.put_blob(name, content);
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        let mut next = self.next.take().ok_or_else(|| Error::internal("the rebuild is over"))?;
        let shared = &self.store.shared;
        // No small change can come between taking over the last one and the switch.
        let mut missed = shared.missed();
        let old = self.store.held();
        let changes = take_over(&old.read(), &mut next, &missed.take().unwrap_or_default(), &self.options)?;
        let next = next.after(&old.read());
        let revision = Revision { changes, ..Revision::of(next.name()) };
        *shared.served.write().unwrap_or_else(PoisonError::into_inner) = Held::new(next);
        shared.revisions.set(revision);
        Ok(())
    }
}

impl Drop for MemoryRebuild {
    fn drop(&mut self) {
        // The lease is still held, so the notes are this rebuild's.
        *self.store.shared.missed() = None;
        if let (Some(next), Some(name)) = (self.next.take(), self.options.resume.take()) {
            *self.store.shared.unfinished() = Some((name, next));
        }
    }
}

/// Repeats in the next generation what small changes did to the old one meanwhile. Returns how many examples that were.
fn take_over(old: &Generation, next: &mut Generation, missed: &Missed, options: &RebuildOptions) -> Result<usize> {
    missed.check(options)?;
    let mut changes = missed.keys.len();
    for (from, to) in &missed.relabels {
        changes += next.relabel(from, to);
    }
    let bm25 = Bm25::new(&options.bm25)?;
    for key in &missed.keys {
        let Some((example, dense)) = old.get(*key) else {
            next.delete(&[*key]);
            continue;
        };
        let sparse = bm25.document(&example.labelled.ticket.text);
        next.upsert(vec![Point { example: example.as_ref().clone(), dense: dense.to_vec(), sparse }])?;
    }
    // The manifest says how a generation was made, so each has its own.
    for name in missed.blobs.iter().filter(|name| *name != MANIFEST_BLOB) {
        if let Some(content) = old.blob(name) {
            next.put_blob(name, content);
        }
    }
    Ok(changes)
}
