//! Puts a classifier together.

use std::fmt;
use std::sync::Arc;

use super::{Classifier, DEFAULT_CONCURRENCY, Examples, Judge, Options, Retriever};
use crate::data::ticket::LabelledTicket;
use crate::embed::Embedder;
use crate::label::Labeler;
use crate::store::ExampleStore;
use crate::{Error, Result};

/// Collects what a [`Classifier`] is made of.
#[derive(Default)]
pub struct ClassifierBuilder {
    retriever: Option<Arc<Retriever>>,
    store: Option<Arc<dyn ExampleStore>>,
    embedder: Option<Arc<dyn Embedder>>,
    labeler: Option<Arc<dyn Labeler>>,
    options: Options,
    fixed: Option<Vec<LabelledTicket>>,
    no_examples: bool,
    concurrency: Option<usize>,
}

impl fmt::Debug for ClassifierBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClassifierBuilder").field("options", &self.options).finish_non_exhaustive()
    }
}

impl ClassifierBuilder {
    /// A retriever, in place of a store and an embedder.
    #[must_use]
    pub fn retriever(mut self, retriever: Arc<Retriever>) -> Self {
        self.retriever = Some(retriever);
        self
    }

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

    /// What a decision depends on: search, examples, strategy and the confidence that is asked for.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// How many calls of the labeler a stream has under way at once; 8 unless set.
    #[must_use]
    pub fn concurrency(mut self, calls: usize) -> Self {
        self.concurrency = Some(calls);
        self
    }

    /// Checks the parts against each other. Fails when one is missing, or when the store was
    /// built with another embedder or by a newer program.
    pub async fn build(self) -> Result<Classifier> {
        let missing = |part: &str| Error::configuration(format!("a classifier needs {part}; set it on the builder"));
        let labeler = self.labeler.ok_or_else(|| missing("a labeler"))?;
        let retriever = if let Some(retriever) = self.retriever {
            retriever
        } else {
            let store = self.store.ok_or_else(|| missing("a store"))?;
            let embedder = self.embedder.ok_or_else(|| missing("an embedder"))?;
            Arc::new(Retriever::open(store, embedder).await?)
        };
        let examples = match (self.no_examples, self.fixed) {
            (true, _) => Examples::None,
            (false, None) => Examples::Retrieved,
            (false, Some(fixed)) => Examples::Static(retriever.embed_examples(fixed).await?),
        };
        let judge = Judge::new(labeler, examples, self.options);
        let (judge, note) = judge.calibrated(&retriever).await?;
        Ok(Classifier { retriever, judge, concurrency: self.concurrency.unwrap_or(DEFAULT_CONCURRENCY).max(1), note })
    }
}
