//! What tells readers that a store has changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

/// The state of a store. Two are only compared for equality: every change makes another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revision {
    /// The generation that is served.
    pub generation: String,
    /// How many examples were changed in place since the generation was built.
    pub changes: usize,
    /// A tag for each blob that was written since, by its name, and one for the examples under [`Self::EXAMPLES`].
    pub tags: BTreeMap<String, String>,
}

impl Revision {
    /// The name under which the tag of the examples is kept.
    pub const EXAMPLES: &str = "examples";

    /// The revision of a generation that nobody has changed yet.
    #[must_use]
    pub fn of(generation: impl Into<String>) -> Self {
        Self { generation: generation.into(), ..Self::default() }
    }

    /// A tag that no change had before.
    #[must_use]
    pub fn new_tag() -> String {
        format!("{:016x}", rand::random::<u64>())
    }

    /// The tag of a blob, or of the examples; `None` where nothing was written since the generation was built.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags.get(name).map(String::as_str)
    }
}

/// The revision of an open store, and those who wait for the next one.
#[derive(Debug)]
pub struct Revisions(watch::Sender<Arc<Revision>>);

impl Revisions {
    /// From this one on.
    #[must_use]
    pub fn new(first: Revision) -> Self {
        Self(watch::Sender::new(Arc::new(first)))
    }

    /// Tells of all that come.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Revision>> {
        self.0.subscribe()
    }

    /// The revision that is known.
    #[must_use]
    pub fn current(&self) -> Arc<Revision> {
        Arc::clone(&self.0.borrow())
    }

    /// Notes that a blob was written.
    pub fn blob_changed(&self, name: &str) {
        self.change(|revision| {
            revision.tags.insert(name.to_owned(), Revision::new_tag());
        });
    }

    /// Notes that so many examples were changed in place.
    pub fn examples_changed(&self, count: usize) {
        self.change(|revision| {
            revision.changes += count;
            revision.tags.insert(Revision::EXAMPLES.to_owned(), Revision::new_tag());
        });
    }

    /// Sets the revision. Those who wait are told if it is another one.
    pub fn set(&self, now: Revision) {
        self.0.send_if_modified(|known| {
            let is_new = **known != now;
            if is_new {
                *known = Arc::new(now);
            }
            is_new
        });
    }

    fn change(&self, change: impl FnOnce(&mut Revision)) {
        self.0.send_modify(|revision| change(Arc::make_mut(revision)));
    }
}
