//! The arms of an evaluation: who labels, and from which examples.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::label::Labeler;
use crate::pipeline::{DEFAULT_K, Examples, Judge, Strategy};
use crate::stages::select::Selection;

/// What an arm shows the labeler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shows {
    /// No examples.
    #[serde(rename = "none")]
    Nothing,
    /// The same examples for every ticket: those that are given, or `k` drawn from the store.
    Static,
    /// The same examples for every ticket, as many as are about as long as what retrieval shows.
    StaticTokens,
    /// The `k` that retrieval chooses.
    Retrieved,
}

/// One way to label, measured beside others.
#[derive(Clone)]
pub struct Arm {
    /// Its name in outputs.
    pub name: String,
    /// What the labeler sees.
    pub shows: Shows,
    /// Who labels.
    pub labeler: Arc<dyn Labeler>,
    /// Who is asked again after it, to see whether the answer stays; not scored.
    pub again: Vec<Arc<dyn Labeler>>,
    /// How many examples are shown.
    pub k: usize,
    /// How these are chosen from what was found.
    pub selection: Selection,
    /// How the labeler gets to an intent.
    pub strategy: Strategy,
    /// The confidence below which a ticket goes to review; the labeler's own unless given.
    pub min_confidence: Option<f32>,
}

impl Arm {
    /// An arm with the usual settings.
    #[must_use]
    pub fn new(name: impl Into<String>, shows: Shows, labeler: Arc<dyn Labeler>) -> Self {
        Self {
            name: name.into(),
            shows,
            labeler,
            again: Vec::new(),
            k: DEFAULT_K,
            selection: Selection::default(),
            strategy: Strategy::default(),
            min_confidence: None,
        }
    }

    /// A judge for the first answer, then one for each time that it is asked again.
    pub(super) fn judges(&self, examples: &Examples) -> Vec<Judge> {
        let judge = |labeler: &Arc<dyn Labeler>| {
            Judge::new(Arc::clone(labeler), examples.clone(), self.k, self.min_confidence)
                .with_selection(self.selection)
                .with_strategy(self.strategy)
        };
        std::iter::once(&self.labeler).chain(&self.again).map(judge).collect()
    }
}
