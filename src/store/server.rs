//! The store on a Qdrant server or cluster, through its own client.
//!
//! The examples are a collection `NAME-gN`, found under the alias `NAME`. A rebuild fills
//! `NAME-g(N+1)` and moves the alias, which the server does in one step. The named blobs are
//! points without vectors in the same collection, so that they move, and are saved, with it.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{
    CollectionSettings, Example, ExampleStore, Hits, Point, Query, Rebuild, RebuildOptions, StoreInfo, StoredExample,
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
    server: Server,
    name: String,
    settings: CollectionSettings,
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
        Ok(Some(Self { server, name: name.to_owned(), settings: CollectionSettings::default() }))
    }

    /// Opens a store, or makes an empty one for vectors of `dimension` numbers.
    pub async fn open_or_create(connection: Connection, name: &str, dimension: usize) -> Result<Self> {
        if let Some(store) = Self::find(connection.clone(), name).await? {
            // A rebuild moves the alias, so there must be one.
            return match store.server.behind(name).await? {
                Some(_) => Ok(store),
                None => Err(foreign(&store.server.url, name)),
            };
        }
        let server = Server::reach(&connection).await?;
        let settings = CollectionSettings::default();
        let first = server.create(name, dimension, &settings).await?;
        server.point(name, &first).await?;
        Ok(Self { server, name: name.to_owned(), settings })
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
        let collection = store.server.behind(name).await?.ok_or_else(|| foreign(&store.server.url, name))?;
        store.server.remove(&collection).await?;
        for leftover in store.server.leftovers(name).await? {
            store.server.remove(&leftover).await?;
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

#[async_trait]
impl ExampleStore for ServerStore {
    async fn query(&self, query: Query) -> Result<Hits> {
        self.server.query(&self.name, query).await
    }

    async fn upsert(&self, points: Vec<Point>) -> Result<()> {
        self.server.upsert(&self.name, points).await
    }

    async fn update(&self, examples: Vec<Example>) -> Result<()> {
        self.server.overwrite(&self.name, examples).await
    }

    async fn relabel(&self, from: &str, to: &str) -> Result<usize> {
        self.server.relabel(&self.name, from, to).await
    }

    async fn delete(&self, keys: Vec<Uuid>) -> Result<()> {
        self.server.delete(&self.name, &keys).await
    }

    async fn scroll(
        &self,
        start: Option<Uuid>,
        limit: usize,
        with_vectors: bool,
    ) -> Result<(Vec<StoredExample>, Option<Uuid>)> {
        self.server.scroll(&self.name, start, limit, with_vectors).await
    }

    async fn count(&self) -> Result<usize> {
        self.server.count(&self.name, convert::examples()).await
    }

    async fn intents(&self) -> Result<Vec<(String, usize)>> {
        self.server.intents(&self.name).await
    }

    async fn blob(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.server.blob(&self.name, name).await
    }

    async fn put_blob(&self, name: &str, content: Vec<u8>) -> Result<()> {
        self.server.put_blob(&self.name, name, &content).await
    }

    async fn rebuild(&self, options: RebuildOptions) -> Result<Box<dyn Rebuild>> {
        let next = ServerRebuild::start(self.server.clone(), &self.name, &self.settings, options).await?;
        Ok(Box::new(next))
    }

    async fn info(&self) -> Result<StoreInfo> {
        let (server, name) = (&self.server, &self.name);
        let found = server.describe(name).await?.as_ref().and_then(collection::settings);
        let (dimension, settings) = found.ok_or_else(|| foreign(&server.url, name))?;
        Ok(StoreInfo {
            location: format!("{}/{name}", server.url),
            engine: format!("Qdrant {}", server.version().await?),
            content: server.behind(name).await?.unwrap_or_else(|| name.clone()),
            dimension,
            disk_bytes: None,
            settings,
        })
    }
}
