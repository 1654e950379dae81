//! A store's next generation: another collection, which the alias names once it is complete.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::super::{CollectionSettings, MANIFEST_BLOB, Point, Rebuild, RebuildOptions, Revisions};
use super::call::Server;
use super::lease::Lease;
use crate::embed::Bm25;
use crate::{Error, Result};

/// The blob that names the rebuild which fills an unfinished collection.
const NAME_BLOB: &str = "rebuild";
/// How long a replaced collection stays. Its readers notice the switch within two seconds.
const STAYS: Duration = Duration::from_mins(1);

pub(super) struct ServerRebuild {
    server: Server,
    name: String,
    /// The new collection; `None` after the commit.
    collection: Option<String>,
    options: RebuildOptions,
    /// The alias that the switch begins with.
    token: String,
    /// Those of the store that it is for.
    revisions: Option<Arc<Revisions>>,
    /// Dropped last: until then no other rebuild begins.
    lease: Lease,
}

impl ServerRebuild {
    pub(super) async fn start(
        server: Server,
        name: &str,
        settings: &CollectionSettings,
        options: RebuildOptions,
    ) -> Result<Self> {
        let lease = Lease::take(&server, name).await?;
        // From here on no run that lost its lease can switch, so a collection that is not served now never will be.
        let token = server.own_token(lease.collection(), lease.owner()).await?;
        // Notes for an earlier rebuild are from changes that were written before this one reads anything.
        server.forget_missed(lease.collection()).await?;
        let mut unfinished = None;
        for leftover in server.leftovers(name).await? {
            let filled_by = match &options.resume {
                Some(_) => server.blob(&leftover, NAME_BLOB).await?,
                None => None,
            };
            if filled_by.is_some() && filled_by.as_deref() == options.resume.as_deref().map(str::as_bytes) {
                unfinished = Some(leftover);
            } else {
                server.remove(&leftover).await?;
            }
        }
        let collection = if let Some(collection) = unfinished {
            collection
        } else {
            let collection = server.create_next(name, options.dimension, settings).await?;
            if let Some(rebuild) = &options.resume {
                server.put_blob(&collection, NAME_BLOB, rebuild.as_bytes()).await?;
            }
            collection
        };
        Ok(Self { server, name: name.to_owned(), collection: Some(collection), options, token, revisions: None, lease })
    }

    /// Tells the store of the switch.
    pub(super) fn telling(mut self, revisions: Arc<Revisions>) -> Self {
        self.revisions = Some(revisions);
        self
    }

    fn collection(&self) -> Result<&str> {
        self.collection.as_deref().ok_or_else(|| Error::internal("the rebuild is done"))
    }

    /// Repeats in the new collection what small changes did to the served one meanwhile.
    async fn take_over(&self, next: &str) -> Result<()> {
        let (server, old) = (&self.server, self.lease.collection());
        let missed = server.missed(old).await?;
        missed.check(&self.options)?;
        let mut changes = missed.keys.len();
        for (from, to) in &missed.relabels {
            changes += server.relabel(next, from, to).await?;
        }
        let bm25 = Bm25::new(&self.options.bm25)?;
        let keys: Vec<_> = missed.keys.iter().copied().collect();
        let there = server.retrieve(old, &keys).await?;
        let gone: Vec<_> =
            keys.into_iter().filter(|key| there.iter().all(|stored| stored.example.key != *key)).collect();
        server.delete(next, &gone).await?;
        let points = there.into_iter().map(|stored| {
            let sparse = bm25.document(&stored.example.labelled.ticket.text);
            Point { example: stored.example, dense: stored.dense.unwrap_or_default(), sparse }
        });
        server.upsert(next, points.collect()).await?;
        // The manifest says how a generation was made, so each has its own.
        for name in missed.blobs.iter().filter(|name| *name != MANIFEST_BLOB) {
            if let Some(content) = server.blob(old, name).await? {
                server.put_blob(next, name, &content).await?;
            }
        }
        if changes > 0 {
            server.set_changes(next, changes).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Rebuild for ServerRebuild {
    async fn upsert(&mut self, points: Vec<Point>) -> Result<()> {
        self.server.upsert(self.collection()?, points).await
    }

    async fn blob(&mut self, name: &str) -> Result<Option<Vec<u8>>> {
        self.server.blob(self.collection()?, name).await
    }

    async fn put_blob(&mut self, name: &str, content: Vec<u8>) -> Result<()> {
        // This blob was made knowing all changes so far, so only later ones are taken over.
        self.server.forget_missed_blob(self.lease.collection(), name).await?;
        self.server.put_blob(self.collection()?, name, &content).await
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        let collection = self.collection()?.to_owned();
        self.server.settled(&collection).await?;
        self.lease.close().await?;
        self.take_over(&collection).await?;
        let kept = self.options.keep_old.then(|| kept_name(&self.name));
        let old = (self.lease.collection(), self.token.as_str());
        self.server.switch(&self.name, old, &collection, kept.as_deref()).await?;
        self.collection = None;
        if let Some(revisions) = &self.revisions {
            revisions.set(self.server.revision(&self.name).await?);
        }
        // If the process ends before that, the next rebuild removes the collection.
        let (server, name) = (self.server.clone(), self.name.clone());
        tokio::spawn(async move {
            tokio::time::sleep(STAYS).await;
            remove_replaced(&server, &name, &collection).await
        });
        Ok(())
    }
}

/// Removes collections that are not served any more. Another rebuild that is under way does so itself.
async fn remove_replaced(server: &Server, name: &str, served: &str) -> Result<()> {
    let Ok(lease) = Lease::take_of(server, served).await? else { return Ok(()) };
    server.own_token(served, lease.owner()).await?;
    if server.behind(name).await?.as_deref() == Some(served) {
        for leftover in server.leftovers(name).await? {
            server.remove(&leftover).await?;
        }
    }
    Ok(())
}

impl Drop for ServerRebuild {
    fn drop(&mut self) {
        let Some(collection) = self.collection.take().filter(|_| self.options.resume.is_none()) else { return };
        // Best effort: the next rebuild removes what stays.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let server = self.server.clone();
            runtime.spawn(async move { server.remove(&collection).await });
        }
    }
}

/// The alias under which the replaced collection stays, as a store of its own.
fn kept_name(name: &str) -> String {
    format!("{name}-old")
}
