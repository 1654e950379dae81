//! The store of labelled tickets: found again by similarity, with small named blobs beside them.
//!
//! A store is a row of *generations*, of which one is served. A generation is one complete content: a folder of the
//! embedded engine ([`EdgeStore`]), or a collection on a Qdrant server ([`ServerStore`]).
//!
//! - **Readers** hold a [`Snapshot`]: one generation, read for as long as it is held, with its typed manifest and
//!   taxonomy, its probe and its calibrations. A [`Reader`] follows the store: each ticket gets the newest snapshot,
//!   and a ticket that is under way keeps its own. A [`Revision`] tells that something is new.
//! - **Large changes** fill the next generation, a [`Rebuild`], and put it in place in one step. One rebuild is under
//!   way at a time: it holds a lease, for which the next one waits.
//! - **Small changes** (an example that is learned, a rename, a calibration) are written to the generation that is
//!   served, by many at a time. Those that come during a rebuild are in the next generation too when it is served.
//!
//! `docs/decisions.md` says why.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use tokio::sync::watch;
use uuid::Uuid;

use crate::Result;
use crate::data::example::{Example, Point, SparseVector, StoredExample};
use crate::data::taxonomy::Taxonomy;
use crate::embed::Bm25Settings;

#[cfg(feature = "embedded")]
mod edge;
mod filter;
#[cfg(all(feature = "embedded", feature = "server"))]
mod location;
mod manifest;
mod memory;
mod missed;
mod pages;
mod reader;
mod revision;
#[cfg(feature = "server")]
mod server;
#[cfg_attr(
    not(any(feature = "embedded", feature = "server")),
    expect(dead_code, reason = "how Qdrant keeps examples matters to its stores alone")
)]
mod settings;
mod snapshot;

#[cfg(feature = "embedded")]
pub use edge::EdgeStore;
pub use filter::{Condition, Filter};
#[cfg(all(feature = "embedded", feature = "server"))]
pub use location::{StoreLocation, StoreOptions};
#[doc(hidden)]
pub use manifest::{FORMAT_VERSION, Manifest};
pub use memory::MemoryStore;
#[doc(hidden)]
pub use pages::Pages;
#[doc(hidden)]
pub use reader::Reader;
pub use revision::{Revision, Revisions};
#[cfg(feature = "server")]
pub use server::{Connection, ServerStore};
pub use settings::{CollectionSettings, Quantization};
#[doc(hidden)]
pub use snapshot::Snapshot;

/// Name of the blob that holds the [`Manifest`].
pub const MANIFEST_BLOB: &str = "manifest.json";
/// Name of the blob that holds the calibrations.
pub const CALIBRATION_BLOB: &str = "calibration.json";
/// Name of the blob that holds the linear probe.
pub const PROBE_BLOB: &str = "probe.bin";
/// Name of the blob that holds the taxonomy.
pub const TAXONOMY_BLOB: &str = "taxonomy.json";
/// All blobs that belong to a generation.
pub const BLOBS: [&str; 4] = [MANIFEST_BLOB, TAXONOMY_BLOB, PROBE_BLOB, CALIBRATION_BLOB];

/// A question to a store: the nearest examples by either vector.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// The ticket's dense vector.
    pub dense: Vec<f32>,
    /// The ticket's words.
    pub sparse: SparseVector,
    /// How many hits by each kind of vector.
    pub limit: usize,
    /// Only examples that pass.
    pub filter: Filter,
    /// Examples that must not be found, such as the ticket itself.
    pub exclude: Vec<Uuid>,
    /// Compare with every example, without the graph: slower, and nothing is missed.
    pub exact: bool,
}

/// An example that a query found.
#[derive(Debug, Clone)]
pub struct Hit {
    /// The example.
    pub example: Arc<Example>,
    /// Its dense vector.
    pub vector: Arc<[f32]>,
    /// Cosine similarity, or BM25 score.
    pub score: f32,
}

/// The answer to a [`Query`], best first.
#[derive(Debug, Clone, Default)]
pub struct Hits {
    /// The nearest by cosine similarity.
    pub dense: Vec<Hit>,
    /// The best by BM25.
    pub sparse: Vec<Hit>,
}

/// What a rebuild is to be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RebuildOptions {
    /// Length of the dense vectors.
    pub dimension: usize,
    /// How words become sparse vectors in the next generation, also for examples that are learned meanwhile.
    pub bm25: Bm25Settings,
    /// Whether its vectors come from another embedder than those that are served.
    pub other_vectors: bool,
    /// About how many points will come; 0 when nobody knows. To write more of them takes longer.
    pub points: usize,
    /// Whether the generation that is replaced is kept, where the store can do that.
    pub keep_old: bool,
    /// The name of a rebuild that a kill must not undo: the next rebuild of the same name goes on with what it had. An
    /// unfinished rebuild without a name is removed by the next one.
    pub resume: Option<String>,
}

/// What a store says of itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StoreInfo {
    /// Where it is: a folder or an address.
    pub location: String,
    /// What answers there, with its version.
    pub engine: String,
    /// The folder or the collection of the generation that is served.
    pub content: String,
    /// Length of the dense vectors.
    pub dimension: usize,
    /// Bytes on disk, where the store can tell.
    pub disk_bytes: Option<u64>,
    /// How the examples are kept.
    pub settings: CollectionSettings,
}

/// What can be read of a store: of one generation of it ([`ExampleStore::snapshot`]), or, of the store itself,
/// of the generation that is served at the moment of each call.
///
/// Errors are of kind [`Store`](crate::ErrorKind::Store). A read that fails says so: `None` and 0 mean that the
/// store was asked and there is nothing.
#[async_trait]
pub trait Content: Send + Sync {
    /// The nearest examples by both vectors.
    async fn query(&self, query: Query) -> Result<Hits>;

    /// A page of at most `limit` examples in the order of their keys, from `start` on, and
    /// the key at which the next page starts.
    async fn scroll(
        &self,
        start: Option<Uuid>,
        limit: usize,
        with_vectors: bool,
    ) -> Result<(Vec<StoredExample>, Option<Uuid>)>;

    /// How many examples there are, exactly.
    async fn count(&self) -> Result<usize>;

    /// The intents that examples have, and how many examples each has, in alphabetical order.
    async fn intents(&self) -> Result<Vec<(String, usize)>>;

    /// A named blob.
    async fn blob(&self, name: &str) -> Result<Option<Vec<u8>>>;

    /// What the store is.
    async fn info(&self) -> Result<StoreInfo>;
}

/// A generation that can be read for as long as it is held, whatever becomes of the store. Small changes of the
/// generation itself are seen.
#[derive(Clone)]
pub struct Pinned {
    /// The generation's id: the name of a folder or a collection, unique in the store for all time.
    pub generation: String,
    /// What is read.
    pub content: Arc<dyn Content>,
}

impl std::fmt::Debug for Pinned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pinned").field("generation", &self.generation).finish_non_exhaustive()
    }
}

/// Examples with vectors, found again by similarity, and small named blobs beside them.
///
/// The contract, which `tests/suite/contract.rs` holds against every store:
/// writes are durable and seen by all readers when the call returns; writing the same again
/// changes nothing; readers see either the old generation or the next one, never a
/// part. With [`Query::exact`] and one shard, the same data and query give the same hits in
/// every store, with scores to 1e-4. One rebuild is under way at a time; small writes may come from many
/// sides, also during a rebuild; the next generation has them too when it is served.
///
/// Errors are of kind [`Store`](crate::ErrorKind::Store).
#[async_trait]
pub trait ExampleStore: Content {
    /// The generation that is served now, to be read for as long as it is held.
    async fn snapshot(&self) -> Result<Pinned>;

    /// Tells of every change: of this process's at once, of another's within two seconds.
    fn revisions(&self) -> watch::Receiver<Arc<Revision>>;

    /// Adds examples, or replaces those of the same key.
    async fn upsert(&self, points: Vec<Point>) -> Result<()>;

    /// Replaces what is stored beside the vectors of these examples; the vectors stay.
    async fn update(&self, examples: Vec<Example>) -> Result<()>;

    /// Gives the intent `to` to all examples of exactly the intent `from`, and returns how many
    /// there were; nothing else of them changes.
    async fn relabel(&self, from: &str, to: &str) -> Result<usize>;

    /// Removes examples; unknown keys are no error.
    async fn delete(&self, keys: Vec<Uuid>) -> Result<()>;

    /// Writes a named blob in one step.
    async fn put_blob(&self, name: &str, content: Vec<u8>) -> Result<()>;

    /// Starts the next generation beside the one that is served; it is empty unless it is resumed. Readers see the
    /// old generation until [`Rebuild::commit`]. A rebuild that is dropped before that leaves no trace, unless it
    /// has a name. Where another rebuild is under way, this waits a while, and then fails and names the other.
    async fn rebuild(&self, options: RebuildOptions) -> Result<Box<dyn Rebuild>>;
}

/// A store's next generation, while it is being filled.
#[async_trait]
pub trait Rebuild: Send {
    /// Adds examples.
    async fn upsert(&mut self, points: Vec<Point>) -> Result<()>;

    /// A named blob of the next generation.
    async fn blob(&mut self, name: &str) -> Result<Option<Vec<u8>>>;

    /// Writes a named blob. When this returns, all examples that were added before are durable.
    async fn put_blob(&mut self, name: &str, content: Vec<u8>) -> Result<()>;

    /// Makes the generation durable, and serves it in one step.
    async fn commit(self: Box<Self>) -> Result<()>;
}

/// The taxonomy of a store: the one that it was given, or its labels. An open taxonomy gets the labels too.
pub async fn taxonomy_of(store: &dyn Content) -> Result<Taxonomy> {
    snapshot::taxonomy(store, store.blob(TAXONOMY_BLOB).await?.as_deref()).await
}

/// A store's manifest, in which all small changes are counted; `None` where no index run has completed.
pub async fn manifest_of(store: &dyn ExampleStore) -> Result<Option<Manifest>> {
    let Some(json) = store.blob(MANIFEST_BLOB).await? else { return Ok(None) };
    let mut manifest = Manifest::from_json(&json)?;
    manifest.changed_in_place += store.revisions().borrow().changes;
    Ok(Some(manifest))
}

/// A name for this process, for those who wait for its lease.
#[cfg(any(feature = "embedded", feature = "server"))]
fn holder() -> String {
    let name = std::env::args_os().next().map(std::path::PathBuf::from);
    let name = name.as_deref().and_then(std::path::Path::file_name).unwrap_or_default();
    format!("{} (process {})", name.to_string_lossy(), std::process::id())
}
