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
            // Plain words: stemming and stop words, which are per language, lost accuracy on
            // both data sets they were measured on. There is no stemmer for Japanese, so
            // naming it is how the engine is told to use none.
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
