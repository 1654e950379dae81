//! The seam to the example store: what a store must do, and the shapes that cross it.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use uuid::Uuid;

use crate::Result;
use crate::data::example::{Example, Point, SparseVector, StoredExample};
use crate::data::taxonomy::Taxonomy;

#[cfg(feature = "embedded")]
mod edge;
mod filter;
#[cfg(all(feature = "embedded", feature = "server"))]
mod location;
mod manifest;
mod memory;
mod pages;
#[cfg(feature = "server")]
mod server;
#[cfg_attr(
    not(any(feature = "embedded", feature = "server")),
    expect(dead_code, reason = "how Qdrant keeps examples matters to its stores alone")
)]
mod settings;

#[cfg(feature = "embedded")]
pub use edge::EdgeStore;
pub use filter::{Condition, Filter};
#[cfg(all(feature = "embedded", feature = "server"))]
pub use location::{StoreLocation, StoreOptions};
pub use manifest::{FORMAT_VERSION, Manifest};
pub use memory::MemoryStore;
pub use pages::Pages;
#[cfg(feature = "server")]
pub use server::{Connection, ServerStore};
pub use settings::{CollectionSettings, Quantization};

/// Name of the blob that holds the [`Manifest`].
pub const MANIFEST_BLOB: &str = "manifest.json";
/// Name of the blob that holds the calibrations.
pub const CALIBRATION_BLOB: &str = "calibration.json";
/// Name of the blob that holds the linear probe.
pub const PROBE_BLOB: &str = "probe.bin";
/// Name of the blob that holds the taxonomy.
pub const TAXONOMY_BLOB: &str = "taxonomy.json";
/// All blobs that belong to a store's content.
pub const BLOBS: [&str; 4] = [MANIFEST_BLOB, TAXONOMY_BLOB, PROBE_BLOB, CALIBRATION_BLOB];

/// A question to a store: the nearest examples by either vector.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// The ticket's dense vector.
    pub dense: Vec<f32>,
    /// The ticket's words.
    pub sparse: SparseVector,
    /// How many hits of each kind.
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RebuildOptions {
    /// Length of the dense vectors.
    pub dimension: usize,
    /// About how many points will come; 0 when nobody knows. To write more of them takes longer.
    pub points: usize,
    /// Whether the content that is replaced stays beside the new one, where the store can.
    pub keep_old: bool,
    /// The name of a rebuild that a kill must not undo: one of the same name goes on with what
    /// it had. Without a name, an unfinished rebuild is removed by the next one.
    pub resume: Option<String>,
}

/// What a store says of itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StoreInfo {
    /// Where it is: a folder or an address.
    pub location: String,
    /// What answers there, with its version.
    pub engine: String,
    /// The folder or the collection that holds the served content.
    pub content: String,
    /// Length of the dense vectors.
    pub dimension: usize,
    /// Bytes on disk, where the store can tell.
    pub disk_bytes: Option<u64>,
    /// How the content is kept.
    pub settings: CollectionSettings,
}

/// Examples with vectors, found again by similarity, and small named blobs beside them.
///
/// The contract, which `tests/suite/contract.rs` holds against every store:
/// writes are durable and seen by all readers when the call returns; writing the same again
/// changes nothing; readers see either the old content or the new one of a rebuild, never a
/// part. With [`Query::exact`] and one shard, the same data and query give the same hits in
/// every store, with scores to 1e-4. One process writes at a time.
///
/// Errors are of kind [`Store`](crate::ErrorKind::Store).
#[async_trait]
pub trait ExampleStore: Send + Sync {
    /// The nearest examples by both vectors.
    async fn query(&self, query: Query) -> Result<Hits>;

    /// Adds examples, or replaces those of the same key.
    async fn upsert(&self, points: Vec<Point>) -> Result<()>;

    /// Replaces what is stored beside the vectors of these examples; the vectors stay.
    async fn update(&self, examples: Vec<Example>) -> Result<()>;

    /// Gives the intent `to` to all examples of exactly the intent `from`, and returns how many
    /// there were; nothing else of them changes.
    async fn relabel(&self, from: &str, to: &str) -> Result<usize>;

    /// Removes examples; unknown keys are no error.
    async fn delete(&self, keys: Vec<Uuid>) -> Result<()>;

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

    /// The intents and how many examples each has, in alphabetical order.
    async fn intents(&self) -> Result<Vec<(String, usize)>>;

    /// A named blob.
    async fn blob(&self, name: &str) -> Result<Option<Vec<u8>>>;

    /// Writes a named blob in one step.
    async fn put_blob(&self, name: &str, content: Vec<u8>) -> Result<()>;

    /// Starts a new content beside what is served, empty unless it is resumed. Readers see
    /// the old content until [`Rebuild::commit`]; dropped before that, it leaves no trace,
    /// unless it has a name.
    async fn rebuild(&self, options: RebuildOptions) -> Result<Box<dyn Rebuild>>;

    /// What the store is.
    async fn info(&self) -> Result<StoreInfo>;
}

/// A store's next content, while it is being filled.
#[async_trait]
pub trait Rebuild: Send {
    /// Adds examples.
    async fn upsert(&mut self, points: Vec<Point>) -> Result<()>;

    /// A named blob of the new content.
    async fn blob(&mut self, name: &str) -> Result<Option<Vec<u8>>>;

    /// Writes a named blob; all examples that were added before it are durable then.
    async fn put_blob(&mut self, name: &str, content: Vec<u8>) -> Result<()>;

    /// Makes it durable and puts it in the place of the old content in one step.
    async fn commit(self: Box<Self>) -> Result<()>;
}

/// The taxonomy of a store: the one it was given, with the store's labels where that one is open,
/// or the labels alone.
pub async fn taxonomy_of(store: &dyn ExampleStore) -> Result<Taxonomy> {
    let given = store.blob(TAXONOMY_BLOB).await?;
    let taxonomy = given.map_or_else(|| Ok(Taxonomy::from_labels([])), |json| Taxonomy::from_json(&json))?;
    if !taxonomy.open {
        return Ok(taxonomy);
    }
    Ok(taxonomy.with_labels(store.intents().await?.into_iter().map(|(name, _)| name)))
}
