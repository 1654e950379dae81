//! A store's next content: another collection, which the alias names once it is complete.

use async_trait::async_trait;

use super::super::{CollectionSettings, Point, Rebuild, RebuildOptions};
use super::call::Server;
use crate::{Error, Result};

/// The blob that names the rebuild which fills an unfinished collection.
const NAME_BLOB: &str = "rebuild";

pub(super) struct ServerRebuild {
    server: Server,
    name: String,
    /// The new collection; `None` after the commit.
    collection: Option<String>,
    options: RebuildOptions,
}

impl ServerRebuild {
    pub(super) async fn start(
        server: Server,
        name: &str,
        settings: &CollectionSettings,
        options: RebuildOptions,
    ) -> Result<Self> {
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
            let collection = server.create(name, options.dimension, settings).await?;
            if let Some(rebuild) = &options.resume {
                server.put_blob(&collection, NAME_BLOB, rebuild.as_bytes()).await?;
            }
            collection
        };
        Ok(Self { server, name: name.to_owned(), collection: Some(collection), options })
    }

    fn collection(&self) -> Result<&str> {
        self.collection.as_deref().ok_or_else(|| Error::internal("the rebuild is done"))
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
        self.server.put_blob(self.collection()?, name, &content).await
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        let collection = self.collection()?.to_owned();
        self.server.settled(&collection).await?;
        let mut replaced = self.server.behind(&self.name).await?;
        if let (Some(old), true) = (&replaced, self.options.keep_old) {
            let kept = kept_name(&self.name);
            let earlier = self.server.behind(&kept).await?;
            self.server.point(&kept, old).await?;
            replaced = earlier.filter(|earlier| earlier != old);
        }
        self.server.point(&self.name, &collection).await?;
        self.collection = None;
        // The switch is made. What cannot be removed now, the next rebuild removes.
        if let Some(replaced) = replaced
            && let Err(e) = self.server.remove(&replaced).await
        {
            tracing::warn!(collection = replaced, error = %e, "the old collection stays for now");
        }
        Ok(())
    }
}

impl Drop for ServerRebuild {
    fn drop(&mut self) {
        let Some(collection) = self.collection.take().filter(|_| self.options.resume.is_none()) else { return };
        // Best effort: what stays, the next rebuild removes.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let server = self.server.clone();
            runtime.spawn(async move { server.remove(&collection).await });
        }
    }
}

/// The alias under which the replaced content stays, a store of its own.
fn kept_name(name: &str) -> String {
    format!("{name}-old")
}
