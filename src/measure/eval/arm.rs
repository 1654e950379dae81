//! The arms of an evaluation: who labels, and from which examples.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::label::{CascadeLabeler, Labeler};
use crate::pipeline::{Examples, Judge, Options};

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
    /// What is searched for, what is shown and what is asked for. All arms of an evaluation must
    /// [search alike](Options::search_alike).
    pub options: Options,
}

impl Arm {
    /// An arm with the usual settings.
    #[must_use]
    pub fn new(name: impl Into<String>, shows: Shows, labeler: Arc<dyn Labeler>) -> Self {
        Self { name: name.into(), shows, labeler, again: Vec::new(), options: Options::default() }
    }

    /// The same with other settings.
    #[must_use]
    pub fn with_options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Who labels, by name: with [`Options::cascade`] that is a cascade.
    pub(super) fn labeler_name(&self) -> &str {
        if self.options.cascade.is_some() { CascadeLabeler::NAME } else { self.labeler.name() }
    }

    /// A judge for the first answer, then one for each time that it is asked again.
    pub(super) fn judges(&self, examples: &Examples, options: &Options) -> Vec<Judge> {
        let judge = |labeler: &Arc<dyn Labeler>| Judge::new(Arc::clone(labeler), examples.clone(), options.clone());
        std::iter::once(&self.labeler).chain(&self.again).map(judge).collect()
    }
}
