//! No words: the tokenizer belongs to Qdrant's engine, and this build is without it.

use super::Bm25Settings;
use crate::Result;
use crate::data::example::SparseVector;

#[derive(Debug)]
pub(super) struct Words;

#[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "the shape of the words that the engine makes")]
impl Words {
    pub(super) fn new(_: &Bm25Settings) -> Result<Self> {
        Ok(Self)
    }

    pub(super) fn document(&self, _: &str) -> SparseVector {
        SparseVector::default()
    }

    pub(super) fn query(&self, _: &str) -> SparseVector {
        SparseVector::default()
    }
}
