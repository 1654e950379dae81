//! Puts a classifier together.

use std::sync::Arc;

use super::{Classifier, DEFAULT_CONCURRENCY, DEFAULT_K, Examples, Judge, Retriever, Strategy};
use crate::data::ticket::LabelledTicket;
use crate::embed::Embedder;
use crate::label::Labeler;
use crate::stages::select::Selection;
use crate::store::{ExampleStore, Filter};
use crate::{Error, Result};

/// Collects what a [`Classifier`] is made of.
#[derive(Default)]
pub struct ClassifierBuilder {
    store: Option<Arc<dyn ExampleStore>>,
    embedder: Option<Arc<dyn Embedder>>,
    labeler: Option<Arc<dyn Labeler>>,
    k: Option<usize>,
    fixed: Option<Vec<LabelledTicket>>,
    no_examples: bool,
    min_confidence: Option<f32>,
    filter: Filter,
    selection: Selection,
    strategy: Strategy,
    without_probe: bool,
    without_unknown: bool,
    concurrency: Option<usize>,
}

impl ClassifierBuilder {
    /// Where the examples are. Required.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn ExampleStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// The embedder that the store was built with. Required.
    #[must_use]
    pub fn embedder(mut self, embedder: Arc<dyn Embedder>) -> Self {
        self.embedder = Some(embedder);
        self
    }

    /// Who names the intent. Required.
    #[must_use]
    pub fn labeler(mut self, labeler: Arc<dyn Labeler>) -> Self {
        self.labeler = Some(labeler);
        self
    }

    /// How many examples are shown; 5 unless set.
    #[must_use]
    pub fn k(mut self, k: usize) -> Self {
        self.k = Some(k);
        self
    }

    /// Shows these examples for every ticket in place of retrieved ones.
    #[must_use]
    pub fn static_examples(mut self, examples: Vec<LabelledTicket>) -> Self {
        self.fixed = Some(examples);
        self
    }

    /// Shows no examples at all.
    #[must_use]
    pub fn no_examples(mut self) -> Self {
        self.no_examples = true;
        self
    }

    /// Below this confidence a ticket goes to review; unless set it is what the store was calibrated
    /// to, or the labeler's own default.
    #[must_use]
    pub fn min_confidence(mut self, share: f32) -> Self {
        self.min_confidence = Some(share);
        self
    }

    /// Only examples that pass are looked at.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// How the examples are chosen from the candidates; contrastive unless set.
    #[must_use]
    pub fn selection(mut self, selection: Selection) -> Self {
        self.selection = selection;
        self
    }

    /// How the labeler gets to an intent: in one choice unless set.
    #[must_use]
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Leaves the store's probe out: the neighbours alone vote.
    #[must_use]
    pub fn without_probe(mut self) -> Self {
        self.without_probe = true;
        self
    }

    /// Does not send a ticket to review because nothing like it was seen.
    #[must_use]
    pub fn without_unknown(mut self) -> Self {
        self.without_unknown = true;
        self
    }

    /// How many tickets of a stream are under way at once; 8 unless set.
    #[must_use]
    pub fn concurrency(mut self, tickets: usize) -> Self {
        self.concurrency = Some(tickets);
        self
    }

    /// Checks the parts against each other. Fails when one is missing, or when the store was
    /// built with another embedder or by a newer program.
    pub async fn build(self) -> Result<Classifier> {
        let missing = |part: &str| Error::configuration(format!("a classifier needs {part}; set it on the builder"));
        let store = self.store.ok_or_else(|| missing("a store"))?;
        let embedder = self.embedder.ok_or_else(|| missing("an embedder"))?;
        let labeler = self.labeler.ok_or_else(|| missing("a labeler"))?;
        let mut retriever = Retriever::open(store, embedder).await?.with_filter(self.filter);
        if self.without_probe {
            retriever = retriever.without_probe();
        }
        if self.without_unknown {
            retriever = retriever.without_unknown();
        }
        let examples = match (self.no_examples, self.fixed) {
            (true, _) => Examples::None,
            (false, None) => Examples::Retrieved,
            (false, Some(fixed)) => Examples::Static(retriever.embed_examples(fixed).await?),
        };
        let judge = Judge::new(labeler, examples, self.k.unwrap_or(DEFAULT_K), self.min_confidence)
            .with_selection(self.selection)
            .with_strategy(self.strategy);
        let (judge, note) = judge.calibrated(&retriever).await?;
        Ok(Classifier {
            retriever: Arc::new(retriever),
            judge: Arc::new(judge),
            concurrency: self.concurrency.unwrap_or(DEFAULT_CONCURRENCY).max(1),
            note,
        })
    }
}
