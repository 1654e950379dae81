//! An embedder that keeps what it computed.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;

use super::{Embedder, embed_checked};
use crate::Result;

/// Computes the vector of each text once and keeps it.
pub struct Remembering {
    inner: Arc<dyn Embedder>,
    vectors: RwLock<HashMap<String, Vec<f32>>>,
}

impl Remembering {
    /// Remembers what `inner` computes.
    #[must_use]
    pub fn new(inner: Arc<dyn Embedder>) -> Self {
        Self { inner, vectors: RwLock::default() }
    }

    /// Adds a vector that `inner` computed elsewhere.
    pub fn remember(&self, text: String, vector: Vec<f32>) {
        self.vectors.write().unwrap_or_else(PoisonError::into_inner).insert(text, vector);
    }

    fn known(&self, text: &str) -> Option<Vec<f32>> {
        self.vectors.read().unwrap_or_else(PoisonError::into_inner).get(text).cloned()
    }
}

#[async_trait]
impl Embedder for Remembering {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn dimension(&self) -> usize {
        self.inner.dimension()
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
        let unknown: Vec<String> = texts.iter().filter(|text| self.known(text).is_none()).cloned().collect();
        if !unknown.is_empty() {
            let vectors = embed_checked(self.inner.as_ref(), unknown.clone()).await?;
            for (text, vector) in unknown.into_iter().zip(vectors) {
                self.remember(text, vector);
            }
        }
        Ok(texts.iter().filter_map(|text| self.known(text)).collect())
    }
}
