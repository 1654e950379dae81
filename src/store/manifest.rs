//! What a store was made with. A store that does not fit the running program is refused.

use serde::{Deserialize, Serialize};

use crate::embed::{Bm25Settings, Embedder, embed_checked};
use crate::{Error, Result};

/// The format that this program writes and the newest one that it reads.
pub const FORMAT_VERSION: u32 = 1;

/// The text whose embedding tells one embedder from another.
const PROBE_TEXT: &str = "My parcel has not arrived and I would like to know where it is.";

/// How far the probe's embedding may differ in any component.
const PROBE_TOLERANCE: f32 = 1e-3;

/// Records what made a store's vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the store's format.
    pub format: u32,
    /// Name of the embedding model and its precision.
    pub embedder: String,
    /// Length of its vectors.
    pub dimension: usize,
    /// The embedding of a fixed text.
    pub probe: Vec<f32>,
    /// How words become sparse vectors.
    pub bm25: Bm25Settings,
    /// How many examples there were when the generation was built.
    #[serde(default)]
    pub examples: usize,
    /// How many were changed in place since then: the store itself counts them now, see
    /// [`manifest_of`](super::manifest_of); what is written here is what the version before counted.
    #[serde(default)]
    pub changed_in_place: usize,
}

impl Manifest {
    /// The manifest of a store that `embedder` fills.
    pub async fn of(embedder: &dyn Embedder, bm25: Bm25Settings) -> Result<Self> {
        let probe = embed_checked(embedder, vec![PROBE_TEXT.to_owned()]).await?.swap_remove(0);
        Ok(Self {
            format: FORMAT_VERSION,
            embedder: embedder.name().to_owned(),
            dimension: embedder.dimension(),
            probe,
            bm25,
            examples: 0,
            changed_in_place: 0,
        })
    }

    /// Reads the stored form. A newer format is refused before anything else is read.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let damaged = |e: serde_json::Error| {
            Error::store(format!("the store's manifest cannot be read: {e}; index again into a new --store"))
        };
        let Format { format } = serde_json::from_slice(bytes).map_err(damaged)?;
        if format > FORMAT_VERSION {
            return Err(Error::store(format!(
                "the store has format {format} and this program reads up to {FORMAT_VERSION}; update ticket-router"
            )));
        }
        serde_json::from_slice(bytes).map_err(damaged)
    }

    /// The stored form.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|e| Error::internal(format!("the manifest cannot be written: {e}")))
    }

    /// Fails unless `embedder` gives the vectors that the store holds.
    pub async fn check(&self, embedder: &dyn Embedder) -> Result<()> {
        let refuse = |why: String| {
            Err(Error::store(format!(
                "the store was built with the embedder {:?} and cannot be read with {:?}: {why}; \
                 use that embedder, or embed everything again: ticket-router index --rebuild",
                self.embedder,
                embedder.name()
            )))
        };
        if self.embedder != embedder.name() {
            return refuse("the names differ".into());
        }
        let now = Self::of(embedder, self.bm25.clone()).await?;
        if now.dimension != self.dimension {
            return refuse(format!("its vectors have {} numbers, not {}", now.dimension, self.dimension));
        }
        let worst = now.probe.iter().zip(&self.probe).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        if worst > PROBE_TOLERANCE {
            return refuse(format!("the embedding of a fixed text differs by {worst:.4}"));
        }
        Ok(())
    }
}
