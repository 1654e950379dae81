//! The next generation of a store in a folder, while it is filled.

use std::fs::File;
use std::sync::Arc;

use async_trait::async_trait;

use super::super::missed::Missed;
use super::super::{MANIFEST_BLOB, Point, Rebuild, RebuildOptions, Revision};
use super::generation::Generation;
use super::journal::Journal;
use super::serving::Serving;
use super::{Shared, lock, log, off_thread, shard};
use crate::embed::Bm25;
use crate::{Error, Result};

/// The next generation of an [`EdgeStore`](super::EdgeStore).
pub(super) struct EdgeRebuild {
    shared: Arc<Shared>,
    options: RebuildOptions,
    /// `None` only while a call has it, and after the commit.
    next: Option<Serving>,
    /// Dropped last: until then no other rebuild begins.
    lease: Option<File>,
}

impl EdgeRebuild {
    pub(super) async fn start(
        shared: Arc<Shared>,
        settings: super::CollectionSettings,
        options: RebuildOptions,
    ) -> Result<Self> {
        let lease = lock::bulk(&shared.root).await?;
        off_thread(move || {
            let root = &shared.root;
            let current = shared.current()?.generation.clone();
            let unfinished = options.resume.as_deref().map(|name| current.unfinished(root, name)).transpose()?;
            let next = if let Some(unfinished) = unfinished.flatten() {
                Serving::load(unfinished)?
            } else {
                // The folders that killed runs left are removed before another one is added.
                current.remove_others(root, &shared.held()?)?;
                let generation = Generation::create(root)?;
                let engine = shard::create(&generation, options.dimension, &settings, options.points)?;
                if let Some(name) = &options.resume {
                    engine.flush();
                    generation.put_name(name)?;
                }
                Serving::new(generation, engine)
            };
            // From here on small changes are noted. None is under way now, because each of them holds this lock.
            shared.writing()?.missed = Some(Missed::default());
            Ok(Self { shared, options, next: Some(next), lease: Some(lease) })
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Serving) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let next = self.next.take().ok_or_else(|| Error::internal("the rebuild already failed"))?;
        // The generation comes back after a failure too, so that it is removed.
        let (next, done) = off_thread(move || {
            let done = work(&next);
            Ok((next, done))
        })
        .await?;
        self.next = Some(next);
        done
    }
}

#[async_trait]
impl Rebuild for EdgeRebuild {
    async fn upsert(&mut self, points: Vec<Point>) -> Result<()> {
        self.work(move |next| shard::upsert(&*next.shard()?, points)).await
    }

    async fn blob(&mut self, name: &str) -> Result<Option<Vec<u8>>> {
        let name = name.to_owned();
        self.work(move |next| next.generation.blob(&name)).await
    }

    async fn put_blob(&mut self, name: &str, content: Vec<u8>) -> Result<()> {
        let (name, shared) = (name.to_owned(), Arc::clone(&self.shared));
        self.work(move |next| {
            next.shard_alone()?.flush();
            // This blob was made knowing all changes so far, so only later ones are taken over.
            if let Some(missed) = shared.writing()?.missed.as_mut() {
                missed.blobs.remove(&name);
            }
            next.generation.put_blob(&name, &content)
        })
        .await
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        let (shared, options) = (Arc::clone(&self.shared), self.options.clone());
        self.work(move |next| shard::optimize(&*next.shard()?)).await?;
        let next = self.next.take().ok_or_else(|| Error::internal("the rebuild already failed"))?;
        let next = off_thread(move || {
            // No small change can come between taking over the last one and the switch.
            let mut writing = shared.writing()?;
            let old = shared.current()?;
            let missed = writing.missed.take().unwrap_or_default();
            let changes = take_over(&old, &next, &missed, &options)?;
            next.shard_alone()?.flush();
            log::cut(&next.generation.shard_path()?)?;
            let journal = Journal::begin(&next.generation, changes)?;
            next.generation.sync()?;
            next.generation.publish(&shared.root)?;
            shared.switch(&mut writing, next, journal)
        });
        next.await?;
        drop(self.lease.take());
        Ok(())
    }
}

/// Repeats in the next generation what small changes did to the old one meanwhile. Returns how many examples that were.
fn take_over(old: &Serving, next: &Serving, missed: &Missed, options: &RebuildOptions) -> Result<usize> {
    missed.check(options)?;
    let mut changes = missed.keys.len();
    let shard = next.shard()?;
    for (from, to) in &missed.relabels {
        changes += shard::relabel(&shard, from.clone(), to.clone())?;
    }
    let bm25 = Bm25::new(&options.bm25)?;
    let there = shard::retrieve(&*old.shard()?, missed.keys.iter().copied())?;
    let gone = missed.keys.iter().copied().filter(|key| there.iter().all(|stored| stored.example.key != *key));
    shard::delete(&shard, gone.collect())?;
    let points = there.into_iter().map(|stored| {
        let sparse = bm25.document(&stored.example.labelled.ticket.text);
        Point { example: stored.example, dense: stored.dense.unwrap_or_default(), sparse }
    });
    shard::upsert(&shard, points.collect())?;
    // The manifest says how a generation was made, so each has its own.
    for name in missed.blobs.iter().filter(|name| *name != MANIFEST_BLOB) {
        if let Some(content) = old.generation.blob(name)? {
            next.generation.put_blob(name, &content)?;
        }
    }
    Ok(changes)
}

impl Drop for EdgeRebuild {
    fn drop(&mut self) {
        // After a commit, the notes may be those of another rebuild that has begun.
        if self.lease.is_some()
            && let Ok(mut writing) = self.shared.writing()
        {
            writing.missed = None;
        }
        if let Some(next) = self.next.take().filter(|_| self.options.resume.is_none()) {
            next.replace();
        }
    }
}

/// The revision of a generation that was built with so many changes in place already.
pub(super) fn first_revision(generation: &Generation, changes: usize) -> Revision {
    Revision { changes, ..Revision::of(generation.name()) }
}
