//! What has to be done to bring the store to what the files say. Pure.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{IndexOptions, IndexReport};
use crate::data::example::Example;

/// Changes of at most one example in this many are written in place.
const SMALL_SHARE: usize = 20;
/// The most changes that are written in place. They lie outside the graph, and a search looks through all of them.
const SMALL_COUNT: usize = 2_000;

#[derive(Debug, Default)]
pub(super) struct Plan {
    /// New examples, and those whose text changed.
    pub(super) to_embed: Vec<Example>,
    /// Examples whose text stays and whose other fields changed.
    pub(super) to_relabel: HashMap<Uuid, Example>,
    pub(super) to_remove: HashSet<Uuid>,
    /// Keys in `to_embed` that the store already has.
    changed: HashSet<Uuid>,
}

impl Plan {
    /// Compares what is wanted with what is stored and counts it in the report.
    pub(super) fn new(
        wanted: Vec<Example>,
        existing: &HashMap<Uuid, Example>,
        options: &IndexOptions,
        report: &mut IndexReport,
    ) -> Self {
        let mut plan = Self::default();
        let mut kept = HashSet::with_capacity(wanted.len());
        for example in wanted {
            kept.insert(example.key);
            match existing.get(&example.key) {
                None => {
                    report.added += 1;
                    plan.to_embed.push(example);
                }
                Some(stored) if *stored == example => report.unchanged += 1,
                Some(stored) => {
                    report.updated += 1;
                    if stored.text_hash == example.text_hash {
                        plan.to_relabel.insert(example.key, example);
                    } else {
                        plan.changed.insert(example.key);
                        plan.to_embed.push(example);
                    }
                }
            }
        }
        if options.prune {
            let gone = existing.values().filter(|example| example.source == options.source);
            plan.to_remove = gone.map(|example| example.key).filter(|key| !kept.contains(key)).collect();
            report.removed = plan.to_remove.len();
        }
        plan
    }

    /// Marks everything that stays for embedding too.
    pub(super) fn embed_again(&mut self, existing: &HashMap<Uuid, Example>) {
        for (key, stored) in existing {
            if !self.replaces(key) {
                self.changed.insert(*key);
                self.to_embed.push(self.to_relabel.remove(key).unwrap_or_else(|| stored.clone()));
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes() == 0
    }

    /// Whether writing in place is better than building a new generation.
    ///
    /// `before` is what earlier runs changed in place: many small runs are a large one.
    pub(super) fn is_small(&self, existing: usize, before: usize) -> bool {
        let changes = self.changes() + before;
        changes <= SMALL_COUNT && changes * SMALL_SHARE <= existing
    }

    /// Whether the stored example of this key is not to be copied.
    pub(super) fn replaces(&self, key: &Uuid) -> bool {
        self.changed.contains(key) || self.to_remove.contains(key)
    }

    pub(super) fn changes(&self) -> usize {
        self.to_embed.len() + self.to_relabel.len() + self.to_remove.len()
    }
}
