//! Notes on the small changes during a rebuild. The next generation is made from what was there before, so these
//! changes are repeated in it before it is served.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::RebuildOptions;
use crate::{Error, Result};

/// Small changes during a rebuild.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Missed {
    /// In their order. Done first: what else became of an example is told by its key.
    pub(super) relabels: Vec<(String, String)>,
    /// Examples that were written or removed. The old generation tells in the end what became of them.
    pub(super) keys: BTreeSet<Uuid>,
    /// Blobs that were written.
    pub(super) blobs: BTreeSet<String>,
}

impl Missed {
    /// Fails where the changes cannot be repeated: the vectors of one embedder are of no use to another.
    pub(super) fn check(&self, options: &RebuildOptions) -> Result<()> {
        if !options.other_vectors || self.keys.is_empty() {
            return Ok(());
        }
        Err(Error::store(format!(
            "{} examples were changed while everything was embedded with another embedder; nothing was replaced, run it \
             again",
            self.keys.len()
        )))
    }
}
