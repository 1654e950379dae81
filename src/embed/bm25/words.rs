//! Words by the tokenizer of Qdrant's engine.

use qdrant_edge::bm25_embed::{EdgeBm25, EdgeBm25Config};

use super::Bm25Settings;
use crate::data::example::SparseVector;
use crate::{Error, Result};

#[derive(Debug)]
pub(super) struct Words(EdgeBm25);

impl Words {
    pub(super) fn new(settings: &Bm25Settings) -> Result<Self> {
        let config = serde_json::json!({
            "k": settings.k1,
            "b": settings.b,
            "avg_len": settings.average_length,
            "tokenizer": "multilingual",
            // Words as they are: stemming and stop words lost accuracy on both data sets that they
            // were measured on. The engine has no stemmer for Japanese, so to name Japanese is to
            // ask for none.
            "language": "japanese",
            "stopwords": { "languages": [], "custom": [] },
        });
        let invalid = |e: String| Error::store(format!("the BM25 settings of the store are not valid: {e}"));
        let config: EdgeBm25Config = serde_json::from_value(config).map_err(|e| invalid(e.to_string()))?;
        Ok(Self(EdgeBm25::new(config).map_err(|e| invalid(e.to_string()))?))
    }

    pub(super) fn document(&self, text: &str) -> SparseVector {
        let vector = self.0.embed_document(text);
        SparseVector { indices: vector.indices, values: vector.values }
    }

    pub(super) fn query(&self, text: &str) -> SparseVector {
        let vector = self.0.embed_query(text);
        SparseVector { indices: vector.indices, values: vector.values }
    }
}
