//! What a search needs of a store, made once from each snapshot.

use std::sync::{Arc, OnceLock};

use super::Options;
use crate::Result;
use crate::data::evidence::{Candidate, Vote};
use crate::data::probe::Probe;
use crate::data::taxonomy::{Levels, Taxonomy};
use crate::embed::Bm25;
use crate::stages::rank;
use crate::store::Snapshot;

/// A snapshot, ready to be searched in.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) bm25: Bm25,
    /// The store's probe, where it helps.
    probe: Option<Probe>,
    levels: OnceLock<Levels>,
}

impl Served {
    pub(super) fn new(snapshot: Arc<Snapshot>) -> Result<Self> {
        let bm25 = Bm25::new(&snapshot.manifest().bm25)?;
        let probe = snapshot.probe().map(|bytes| Probe::from_bytes(bytes, snapshot.taxonomy())).transpose()?;
        Ok(Self { snapshot, bm25, probe: probe.filter(Probe::is_useful), levels: OnceLock::new() })
    }

    /// The probe, where the options ask for it.
    pub(super) fn probe(&self, options: &Options) -> Option<&Probe> {
        self.probe.as_ref().filter(|_| options.probe)
    }

    /// What the neighbours say of a ticket, and the probe unless it is left out.
    pub(super) fn votes(&self, candidates: &[Candidate], vector: &[f32], options: &Options) -> Vec<Vote> {
        match self.probe(options) {
            Some(probe) => rank::combine(candidates, probe, vector),
            None => rank::vote(candidates),
        }
    }

    pub(super) fn taxonomy(&self) -> &Arc<Taxonomy> {
        self.snapshot.taxonomy()
    }

    /// The levels of the taxonomy.
    pub(super) fn levels(&self) -> &Levels {
        self.levels.get_or_init(|| Levels::of(self.taxonomy()))
    }
}
