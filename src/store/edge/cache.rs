//! Examples that were read before. A query finds a hundred, mostly the same ones again, and
//! reading one from the engine costs more than finding it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::super::Example;

/// An example and its dense vector.
pub(super) type Cached = (Arc<Example>, Arc<[f32]>);

/// Some 60 MB of usual tickets with their vectors; beyond that it starts over.
pub(super) const CAPACITY: usize = 20_000;

#[derive(Default)]
pub(super) struct Cache(Mutex<HashMap<Uuid, Cached>>);

impl Cache {
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Cached>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of these keys that are known.
    pub(super) fn get(&self, keys: impl Iterator<Item = Uuid>) -> HashMap<Uuid, Cached> {
        let known = self.lock();
        keys.filter_map(|key| Some((key, known.get(&key)?.clone()))).collect()
    }

    pub(super) fn insert(&self, examples: impl Iterator<Item = Cached>) {
        let mut known = self.lock();
        if known.len() >= CAPACITY {
            known.clear();
        }
        known.extend(examples.map(|cached| (cached.0.key, cached)));
    }

    /// After every write: what was read may have changed.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }
}
