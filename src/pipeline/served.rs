//! What a search needs of a store, made of a snapshot once.

use std::sync::{Arc, OnceLock};

use crate::Result;
use crate::data::probe::Probe;
use crate::data::taxonomy::{Levels, Taxonomy};
use crate::embed::Bm25;
use crate::store::Snapshot;

/// A snapshot, ready to be searched in.
pub(super) struct Served {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) bm25: Bm25,
    /// The store's probe, where it is of use.
    pub(super) probe: Option<Probe>,
    levels: OnceLock<Levels>,
}

impl Served {
    pub(super) fn new(snapshot: Arc<Snapshot>) -> Result<Self> {
        let bm25 = Bm25::new(&snapshot.manifest().bm25)?;
        let probe = snapshot.probe().map(|bytes| Probe::from_bytes(bytes, snapshot.taxonomy())).transpose()?;
        Ok(Self { snapshot, bm25, probe: probe.filter(Probe::is_useful), levels: OnceLock::new() })
    }

    pub(super) fn taxonomy(&self) -> &Arc<Taxonomy> {
        self.snapshot.taxonomy()
    }

    /// The levels of the taxonomy.
    pub(super) fn levels(&self) -> &Levels {
        self.levels.get_or_init(|| Levels::of(self.taxonomy()))
    }
}
