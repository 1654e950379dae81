//! What small changes touch while a rebuild is under way. Its content is made of what was there before, so it is
//! brought up to date with them before it is served.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::RebuildOptions;
use crate::{Error, Result};

/// Small changes during a rebuild.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Missed {
    /// In their order. Done first: what else became of an example is told by its key.
    pub(super) relabels: Vec<(String, String)>,
    /// Examples that were written or removed; what they are is what the old content says in the end.
    pub(super) keys: BTreeSet<Uuid>,
    /// Blobs that were written.
    pub(super) blobs: BTreeSet<String>,
}

impl Missed {
    /// Fails where what was missed cannot be taken over: vectors are of use to their own embedder alone.
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
