//! Examples that were read before. A query finds a hundred, often the same ones again, and reading an example from the
//! engine costs more than finding it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::super::Example;

/// An example and its dense vector.
pub(super) type Cached = (Arc<Example>, Arc<[f32]>);

/// The most examples that are kept: some 60 MB of usual tickets with their vectors. Beyond that the cache starts over.
pub(super) const CAPACITY: usize = 20_000;

#[derive(Default)]
pub(super) struct Cache(Mutex<Known>);

#[derive(Default)]
struct Known {
    examples: HashMap<Uuid, Cached>,
    /// How often something was written. Examples that were read before a write are not kept after it.
    writes: u64,
}

impl Cache {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The examples of these keys that are known, and the moment of this look.
    pub(super) fn get(&self, keys: impl Iterator<Item = Uuid>) -> (HashMap<Uuid, Cached>, u64) {
        let known = self.lock();
        (keys.filter_map(|key| Some((key, known.examples.get(&key)?.clone()))).collect(), known.writes)
    }

    /// Keeps examples, unless something was written since the moment of the look.
    pub(super) fn insert(&self, examples: impl Iterator<Item = Cached>, moment: u64) {
        let mut known = self.lock();
        if known.writes != moment {
            return;
        }
        if known.examples.len() >= CAPACITY {
            known.examples.clear();
        }
        known.examples.extend(examples.map(|cached| (cached.0.key, cached)));
    }

    /// Forgets these examples, after a write of them.
    pub(super) fn forget(&self, keys: &[Uuid]) {
        let mut known = self.lock();
        known.writes += 1;
        for key in keys {
            known.examples.remove(key);
        }
    }

    /// Forgets all examples, after a write of unknown ones.
    pub(super) fn clear(&self) {
        let mut known = self.lock();
        known.writes += 1;
        known.examples.clear();
    }
}
