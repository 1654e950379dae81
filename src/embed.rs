//! The seam to the embedder: what turns texts into vectors, dense and sparse.

use async_trait::async_trait;

use crate::{Error, Result};

mod bm25;
#[cfg(feature = "fastembed")]
mod fastembed;
mod hash;
#[cfg(feature = "fastembed")]
mod locate;
mod remembering;
#[cfg(feature = "fastembed")]
mod worker;

#[doc(hidden)]
pub use self::bm25::Bm25;
pub use self::bm25::Bm25Settings;
#[cfg(feature = "fastembed")]
use self::fastembed::PROVIDED;
#[cfg(feature = "fastembed")]
pub use self::fastembed::{DEFAULT_MODEL, FastEmbedder, INT8_MODEL};
pub use self::hash::HashEmbedder;
#[cfg(feature = "fastembed")]
pub use self::locate::ModelPaths;
#[doc(hidden)]
pub use self::remembering::Remembering;
pub use crate::statistics::cosine;

/// Turns texts into vectors of unit length.
///
/// Errors are of kind [`Embedder`](crate::ErrorKind::Embedder).
#[async_trait]
pub trait Embedder: Send + Sync {
    /// The model's name; a store remembers it and refuses another.
    fn name(&self) -> &str;

    /// The length of the vectors.
    fn dimension(&self) -> usize;

    /// One vector for each text, in order. The same texts give the same vectors.
    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>>;
}

/// Embeds texts, and fails unless every text got a vector of the right length.
pub(crate) async fn embed_checked(embedder: &dyn Embedder, texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
    let wanted = texts.len();
    let vectors = embedder.embed(texts).await?;
    if vectors.len() == wanted && vectors.iter().all(|vector| vector.len() == embedder.dimension()) {
        return Ok(vectors);
    }
    Err(Error::embedder(format!(
        "the embedder {:?} gave {} vectors for {wanted} texts, or vectors that are not {} long",
        embedder.name(),
        vectors.len(),
        embedder.dimension()
    )))
}
