//! The store on a Qdrant server or cluster, through its own client.
//!
//! The examples are a collection `NAME-gN`, found under the alias `NAME`. A rebuild fills
//! `NAME-g(N+1)` and moves the alias, which the server does in one step. The named blobs are
//! points without vectors in the same collection, so that they move, and are saved, with it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;

use super::{
    CollectionSettings, Content, Example, ExampleStore, Hits, Pinned, Point, Query, Rebuild, RebuildOptions, Revision,
    Revisions, StoreInfo, StoredExample,
};
use crate::{Error, Result};

mod blob;
mod call;
mod collection;
mod convert;
mod points;
mod rebuild;

use call::Server;
pub(super) use collection::is_generation;
use rebuild::ServerRebuild;

/// How a server is reached.
#[derive(Clone)]
pub struct Connection {
    /// `http(s)://host:port`
    pub url: String,
    /// The key that the server asks for.
    pub api_key: Option<String>,
    /// How long one request may take.
    pub timeout: Duration,
}

/// A store on a server; any number of processes may read it at once, and one may write.
pub struct ServerStore {
    /// What the alias names.
    served: ServerContent,
    settings: CollectionSettings,
    revisions: Revisions,
}

impl ServerStore {
    /// Opens an existing store. Fails when the server is absent, too old or refuses the key, and
    /// when it has no such store.
    pub async fn open(connection: Connection, name: &str) -> Result<Self> {
        let url = connection.url.clone();
        Self::find(connection, name).await?.ok_or_else(|| {
            Error::store(format!(
                "there is no example store {name:?} on the Qdrant server {url}; make one with: \
                 ticket-router index FILE --store {url}/{name}"
            ))
        })
    }

    /// Opens a store; `None` when the server has none of this name.
    pub async fn find(connection: Connection, name: &str) -> Result<Option<Self>> {
        let server = Server::reach(&connection).await?;
        let Some(found) = server.describe(name).await? else { return Ok(None) };
        if collection::settings(&found).is_none() {
            return Err(foreign(&server.url, name));
        }
        Ok(Some(Self::of(server, name).await?))
    }

    /// Opens a store, or makes an empty one for vectors of `dimension` numbers.
    pub async fn open_or_create(connection: Connection, name: &str, dimension: usize) -> Result<Self> {
        if let Some(store) = Self::find(connection.clone(), name).await? {
            // A rebuild moves the alias, so there must be one.
            return match store.served.server.behind(name).await? {
                Some(_) => Ok(store),
                None => Err(foreign(&store.served.server.url, name)),
            };
        }
        let server = Server::reach(&connection).await?;
        let first = server.create(name, dimension, &CollectionSettings::default()).await?;
        server.point(name, &first).await?;
        Self::of(server, name).await
    }

    async fn of(server: Server, name: &str) -> Result<Self> {
        let generation = server.behind(name).await?.unwrap_or_else(|| name.to_owned());
        let served = ServerContent { server, name: name.to_owned(), collection: name.to_owned() };
        let revisions = Revisions::new(Revision::of(generation));
        Ok(Self { served, settings: CollectionSettings::default(), revisions })
    }

    /// The same, with settings for what it builds from now on.
    #[must_use]
    pub fn with_settings(mut self, settings: CollectionSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Removes a store from a server, with what unfinished rebuilds left of it.
    pub async fn remove(connection: Connection, name: &str) -> Result<()> {
        let store = Self::open(connection, name).await?;
        let server = &store.served.server;
        let collection = server.behind(name).await?.ok_or_else(|| foreign(&server.url, name))?;
        server.remove(&collection).await?;
        for leftover in server.leftovers(name).await? {
            server.remove(&leftover).await?;
        }
        Ok(())
    }
}

fn foreign(url: &str, name: &str) -> Error {
    Error::store(format!(
        "the collection {name:?} on the Qdrant server {url} was not made by ticket-router; \
         name another one: --store {url}/NAME"
    ))
}

/// A collection that is read: the one that an alias names, or one for as long as this is held.
#[derive(Clone)]
struct ServerContent {
    server: Server,
    /// The name of the store.
    name: String,
    /// The collection, or the alias.
    collection: String,
}

#[async_trait]
impl Content for ServerContent {
    async fn query(&self, query: Query) -> Result<Hits> {
        self.server.query(&self.collection, query).await
    }

    async fn scroll(
        &self,
        start: Option<Uuid>,
        limit: usize,
        with_vectors: bool,
    ) -> Result<(Vec<StoredExample>, Option<Uuid>)> {
        self.server.scroll(&self.collection, start, limit, with_vectors).await
    }

    async fn count(&self) -> Result<usize> {
        self.server.count(&self.collection, convert::examples()).await
    }

    async fn intents(&self) -> Result<Vec<(String, usize)>> {
        self.server.intents(&self.collection).await
    }

    async fn blob(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.server.blob(&self.collection, name).await
    }

    async fn info(&self) -> Result<StoreInfo> {
        let (server, name) = (&self.server, &self.name);
        let found = server.describe(&self.collection).await?.as_ref().and_then(collection::settings);
        let (dimension, settings) = found.ok_or_else(|| foreign(&server.url, name))?;
        Ok(StoreInfo {
            location: format!("{}/{name}", server.url),
            engine: format!("Qdrant {}", server.version().await?),
            content: server.behind(&self.collection).await?.unwrap_or_else(|| self.collection.clone()),
            dimension,
            disk_bytes: None,
            settings,
        })
    }
}

/// Reads of what the alias names at the moment.
#[async_trait]
impl Content for ServerStore {
    async fn query(&self, query: Query) -> Result<Hits> {
        self.served.query(query).await
    }

    async fn scroll(
        &self,
        start: Option<Uuid>,
        limit: usize,
        with_vectors: bool,
    ) -> Result<(Vec<StoredExample>, Option<Uuid>)> {
        self.served.scroll(start, limit, with_vectors).await
    }

    async fn count(&self) -> Result<usize> {
        self.served.count().await
    }

    async fn intents(&self) -> Result<Vec<(String, usize)>> {
        self.served.intents().await
    }

    async fn blob(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.served.blob(name).await
    }

    async fn info(&self) -> Result<StoreInfo> {
        self.served.info().await
    }
}

#[async_trait]
impl ExampleStore for ServerStore {
    async fn snapshot(&self) -> Result<Pinned> {
        let ServerContent { server, name, .. } = &self.served;
        let collection = server.behind(name).await?.unwrap_or_else(|| name.clone());
        let content = ServerContent { collection: collection.clone(), ..self.served.clone() };
        Ok(Pinned { generation: collection, content: Arc::new(content) })
    }

    fn revisions(&self) -> watch::Receiver<Arc<Revision>> {
        self.revisions.watch()
    }

    async fn upsert(&self, points: Vec<Point>) -> Result<()> {
        let count = points.len();
        self.served.server.upsert(&self.served.name, points).await?;
        self.revisions.examples_changed(count);
        Ok(())
    }

    async fn update(&self, examples: Vec<Example>) -> Result<()> {
        let count = examples.len();
        self.served.server.overwrite(&self.served.name, examples).await?;
        self.revisions.examples_changed(count);
        Ok(())
    }

    async fn relabel(&self, from: &str, to: &str) -> Result<usize> {
        let count = self.served.server.relabel(&self.served.name, from, to).await?;
        self.revisions.examples_changed(count);
        Ok(count)
    }

    async fn delete(&self, keys: Vec<Uuid>) -> Result<()> {
        self.served.server.delete(&self.served.name, &keys).await?;
        self.revisions.examples_changed(keys.len());
        Ok(())
    }

    async fn put_blob(&self, name: &str, content: Vec<u8>) -> Result<()> {
        self.served.server.put_blob(&self.served.name, name, &content).await?;
        self.revisions.blob_changed(name);
        Ok(())
    }

    async fn rebuild(&self, options: RebuildOptions) -> Result<Box<dyn Rebuild>> {
        let ServerContent { server, name, .. } = &self.served;
        Ok(Box::new(ServerRebuild::start(server.clone(), name, &self.settings, options).await?))
    }
}
