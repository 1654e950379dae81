//! The store on a Qdrant server or cluster, through its own client.
//!
//! The examples are a collection `NAME-gN`, found under the alias `NAME`. A rebuild fills another one and moves the
//! alias, which the server does in one step (`switch`), while it holds a lease (`lease`). Small changes go to both
//! (`small`), and are told to all readers by a point that these read every second (`record`). The named blobs are
//! points without vectors in the same collection, so that they move, and are saved, with it.

use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

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
mod lease;
mod points;
mod rebuild;
mod record;
mod small;
mod switch;

use call::Server;
pub(super) use collection::is_generation;
use lease::Lease;
use rebuild::ServerRebuild;
use small::Change;

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

/// A store on a server. Any number of processes may read it and make small changes; one at a time may rebuild it.
pub struct ServerStore {
    /// What the alias names.
    served: ServerContent,
    settings: CollectionSettings,
    revisions: Arc<Revisions>,
    /// Started for the first reader that follows the store.
    following: Once,
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
        // The name is always the same: only one process can make it, and the others do not replace what is served.
        let first = format!("{name}-g1");
        let begun = Instant::now();
        while server.behind(name).await?.is_none() {
            server.create(&first, dimension, &CollectionSettings::default()).await?;
            match Lease::take_of(&server, &first).await? {
                Ok(lease) => {
                    if server.behind(name).await?.is_none() {
                        server.serve_first(name, &first).await?;
                    }
                    lease.end().await?;
                }
                Err(found) if begun.elapsed() > server.timeout * 2 => return Err(found.busy(&server, name)),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
        Self::of(server, name).await
    }

    async fn of(server: Server, name: &str) -> Result<Self> {
        let revisions = Arc::new(Revisions::new(server.revision(name).await?));
        let served = ServerContent { server, name: name.to_owned(), collection: name.to_owned() };
        Ok(Self { served, settings: CollectionSettings::default(), revisions, following: Once::new() })
    }

    /// The same store, with settings for what it builds from now on.
    #[must_use]
    pub fn with_settings(mut self, settings: CollectionSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Removes a store from a server, and what unfinished rebuilds left.
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

impl std::fmt::Debug for ServerStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerStore")
            .field("url", &self.served.server.url)
            .field("name", &self.served.name)
            .field("revision", &self.revisions)
            .finish_non_exhaustive()
    }
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
        let ServerContent { server, name, .. } = &self.served;
        self.following.call_once(|| record::follow(server.clone(), name.clone(), Arc::downgrade(&self.revisions)));
        self.revisions.watch()
    }

    async fn upsert(&self, points: Vec<Point>) -> Result<()> {
        let keys: Vec<Uuid> = points.iter().map(|point| point.example.key).collect();
        let (server, count) = (&self.served.server, keys.len());
        let write = |collection: String| {
            let points = points.clone();
            async move { server.upsert(&collection, points).await.map(|()| count) }
        };
        self.change(Change::Examples(keys), write).await.map(|_| ())
    }

    async fn update(&self, examples: Vec<Example>) -> Result<()> {
        let keys: Vec<Uuid> = examples.iter().map(|example| example.key).collect();
        let (server, count) = (&self.served.server, keys.len());
        let write = |collection: String| {
            let examples = examples.clone();
            async move { server.overwrite(&collection, examples).await.map(|()| count) }
        };
        self.change(Change::Examples(keys), write).await.map(|_| ())
    }

    async fn relabel(&self, from: &str, to: &str) -> Result<usize> {
        let server = &self.served.server;
        let write = |collection: String| async move { server.relabel(&collection, from, to).await };
        self.change(Change::Relabel(from.to_owned(), to.to_owned()), write).await
    }

    async fn delete(&self, keys: Vec<Uuid>) -> Result<()> {
        let (server, keys_of) = (&self.served.server, keys.as_slice());
        let write =
            |collection: String| async move { server.delete(&collection, keys_of).await.map(|()| keys_of.len()) };
        self.change(Change::Examples(keys.clone()), write).await.map(|_| ())
    }

    async fn put_blob(&self, name: &str, content: Vec<u8>) -> Result<()> {
        let (server, content) = (&self.served.server, content.as_slice());
        let write = |collection: String| async move { server.put_blob(&collection, name, content).await.map(|()| 0) };
        self.change(Change::Blob(name.to_owned()), write).await.map(|_| ())
    }

    async fn rebuild(&self, options: RebuildOptions) -> Result<Box<dyn Rebuild>> {
        let ServerContent { server, name, .. } = &self.served;
        let rebuild = ServerRebuild::start(server.clone(), name, &self.settings, options);
        Ok(Box::new(rebuild.await?.telling(Arc::clone(&self.revisions))))
    }
}
