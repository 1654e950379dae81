//! Examples that were read before. A query finds a hundred, mostly the same ones again, and
//! reading one from the engine costs more than finding it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::super::Example;

/// Some 50 MB of usual tickets; beyond that it starts over.
const CAPACITY: usize = 50_000;

#[derive(Default)]
pub(super) struct Cache(Mutex<HashMap<Uuid, Arc<Example>>>);

impl Cache {
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Example>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of these keys that are known.
    pub(super) fn get(&self, keys: impl Iterator<Item = Uuid>) -> HashMap<Uuid, Arc<Example>> {
        let known = self.lock();
        keys.filter_map(|key| Some((key, Arc::clone(known.get(&key)?)))).collect()
    }

    pub(super) fn insert(&self, examples: impl Iterator<Item = Arc<Example>>) {
        let mut known = self.lock();
        if known.len() >= CAPACITY {
            known.clear();
        }
        known.extend(examples.map(|example| (example.key, example)));
    }

    /// After every write: what was read may have changed.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }
}
