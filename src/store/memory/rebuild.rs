//! The next content of a store in memory, while it is filled.

use async_trait::async_trait;
use tokio::sync::OwnedMutexGuard;

use super::super::missed::Missed;
use super::super::{MANIFEST_BLOB, Rebuild, RebuildOptions};
use super::MemoryStore;
use super::content::Held;
use crate::data::example::Point;
use crate::embed::Bm25;
use crate::{Error, Result};

/// The next content of a [`MemoryStore`].
pub(super) struct MemoryRebuild {
    store: MemoryStore,
    /// `None` after the commit.
    next: Option<Held>,
    options: RebuildOptions,
    /// Goes last: until then no other rebuild begins.
    _lease: OwnedMutexGuard<()>,
}

impl MemoryRebuild {
    pub(super) fn start(store: MemoryStore, options: RebuildOptions, lease: OwnedMutexGuard<()>) -> Self {
        let resumed = store
            .shared
            .unfinished()
            .take()
            .filter(|(name, held)| options.resume.as_ref() == Some(name) && held.dimension() == options.dimension);
        let next = resumed.map_or_else(|| Held::new(options.dimension), |(_, held)| held);
        *store.shared.writing() = Some(Missed::default());
        Self { store, next: Some(next), options, _lease: lease }
    }

    fn next(&mut self) -> Result<&mut Held> {
        self.next.as_mut().ok_or_else(|| Error::internal("the rebuild is over"))
    }

    /// Does in the next content what small changes did in the served one meanwhile.
    fn take_over(&mut self, missed: &Missed) -> Result<usize> {
        missed.check(&self.options)?;
        let (old, bm25) = (self.store.served().held(), Bm25::new(&self.options.bm25)?);
        let next = self.next()?;
        let mut changes = missed.keys.len();
        for (from, to) in &missed.relabels {
            changes += next.relabel(from, to);
        }
        for key in &missed.keys {
            match old.get(*key) {
                None => next.delete(&[*key]),
                Some((example, dense)) => {
                    let sparse = bm25.document(&example.labelled.ticket.text);
                    next.upsert(vec![Point { example, dense, sparse }])?;
                }
            }
        }
        // The manifest says how a content was made, so each has its own.
        for name in missed.blobs.iter().filter(|name| *name != MANIFEST_BLOB) {
            if let Some(content) = old.blob(name) {
                next.put_blob(name, content);
            }
        }
        Ok(changes)
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
        // Whoever writes it knows what was written before; only later changes are taken over.
        if let Some(missed) = self.store.shared.writing().as_mut() {
            missed.blobs.remove(name);
        }
        self.next()?.put_blob(name, content);
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        let store = self.store.clone();
        // No small change comes between the last one that is taken over and the switch.
        let mut writing = store.shared.writing();
        let changes = self.take_over(&writing.take().unwrap_or_default())?;
        let next = self.next.take().ok_or_else(|| Error::internal("the rebuild is over"))?;
        store.shared.switch(next, changes);
        Ok(())
    }
}

impl Drop for MemoryRebuild {
    fn drop(&mut self) {
        // After the commit there is nothing to end.
        let Some(next) = self.next.take() else { return };
        *self.store.shared.writing() = None;
        if let Some(name) = self.options.resume.take() {
            *self.store.shared.unfinished() = Some((name, next));
        }
    }
}
