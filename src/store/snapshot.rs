//! A store as it was at one moment, with what readers keep in memory of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    BLOBS, CALIBRATION_BLOB, Content, ExampleStore, MANIFEST_BLOB, Manifest, PROBE_BLOB, Pinned, Revision,
    TAXONOMY_BLOB,
};
use crate::data::taxonomy::Taxonomy;
use crate::{Error, Result};

/// One generation of a store, and its blobs as they were when this was read.
pub struct Snapshot {
    pinned: Pinned,
    revision: Arc<Revision>,
    manifest: Manifest,
    taxonomy: Arc<Taxonomy>,
    blobs: BTreeMap<&'static str, Option<Arc<[u8]>>>,
}

impl Snapshot {
    /// The store as it is now.
    pub async fn of(store: &dyn ExampleStore) -> Result<Self> {
        let revision = Arc::clone(&store.revisions().borrow());
        Self::load(store, revision, None).await
    }

    /// A snapshot at least as new as `revision`. Parts of `before` that nobody changed are not read again.
    pub(super) async fn load(store: &dyn ExampleStore, revision: Arc<Revision>, before: Option<&Self>) -> Result<Self> {
        let pinned = store.snapshot().await?;
        let of_this = |generation: &str| generation == pinned.generation;
        let before = before.filter(|before| of_this(&before.revision.generation) && of_this(&before.pinned.generation));
        let kept = |name: &str| before.filter(|before| before.revision.tag(name) == revision.tag(name));
        let mut blobs = BTreeMap::new();
        for name in BLOBS {
            let blob = match kept(name) {
                Some(before) => before.blobs[name].clone(),
                None => pinned.content.blob(name).await?.map(Arc::from),
            };
            blobs.insert(name, blob);
        }
        let manifest = blobs[MANIFEST_BLOB].as_ref().ok_or_else(|| {
            Error::store("the store has no manifest: no index run has completed on it; run ticket-router index again")
        })?;
        let mut manifest = Manifest::from_json(manifest)?;
        manifest.changed_in_place += revision.changes;
        let taxonomy = match kept(TAXONOMY_BLOB) {
            // The intents of an open taxonomy are those of the examples.
            Some(before) if !before.taxonomy.open || kept(Revision::EXAMPLES).is_some() => Arc::clone(&before.taxonomy),
            _ => Arc::new(taxonomy(pinned.content.as_ref(), blobs[TAXONOMY_BLOB].as_deref()).await?),
        };
        Ok(Self { pinned, revision, manifest, taxonomy, blobs })
    }

    /// The generation's id.
    #[must_use]
    pub fn generation(&self) -> &str {
        &self.pinned.generation
    }

    /// The generation itself, to search in and to page through.
    #[must_use]
    pub fn content(&self) -> &dyn Content {
        self.pinned.content.as_ref()
    }

    /// What the vectors were made with. Small changes since the generation was built are counted in.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The taxonomy, as [`taxonomy_of`](super::taxonomy_of) finds it.
    #[must_use]
    pub fn taxonomy(&self) -> &Arc<Taxonomy> {
        &self.taxonomy
    }

    /// The stored form of the linear probe.
    #[must_use]
    pub fn probe(&self) -> Option<&Arc<[u8]>> {
        self.blobs[PROBE_BLOB].as_ref()
    }

    /// The stored form of the calibrations.
    #[must_use]
    pub fn calibrations(&self) -> Option<&Arc<[u8]>> {
        self.blobs[CALIBRATION_BLOB].as_ref()
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("pinned", &self.pinned)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

/// The taxonomy of a stored form, if there is one. An open taxonomy gets the labels of the examples too.
pub(super) async fn taxonomy(content: &dyn Content, stored: Option<&[u8]>) -> Result<Taxonomy> {
    let taxonomy = stored.map_or_else(|| Ok(Taxonomy::from_labels([])), Taxonomy::from_json)?;
    if !taxonomy.open {
        return Ok(taxonomy);
    }
    Ok(taxonomy.with_labels(content.intents().await?.into_iter().map(|(name, _)| name)))
}
