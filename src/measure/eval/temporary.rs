//! Stores that live as long as a measurement: some examples, indexed as usual, in
//! memory. No text is embedded twice.

use std::sync::Arc;

use crate::data::taxonomy::Taxonomy;
use crate::data::ticket::LabelledTicket;
use crate::embed::{Embedder, Remembering};
use crate::input::{Row, RowContent};
use crate::learn::index::{IndexOptions, index};
use crate::pipeline::Retriever;
use crate::store::{ExampleStore, MemoryStore};
use crate::{Error, Result};

/// Makes temporary stores, all with the same taxonomy and embedder.
pub struct TemporaryStores {
    embedder: Arc<Remembering>,
    taxonomy: Option<Taxonomy>,
}

/// What reads a filled store.
pub(super) struct Filled {
    pub(super) retriever: Arc<Retriever>,
    /// What was indexed.
    pub(super) examples: usize,
    /// What could not be indexed, and why.
    pub(super) note: Option<String>,
}

impl TemporaryStores {
    /// Stores whose examples `embedder` embeds; without a taxonomy their labels are the intents.
    #[must_use]
    pub fn new(embedder: Arc<dyn Embedder>, taxonomy: Option<Taxonomy>) -> Self {
        let embedder = Arc::new(Remembering::new(embedder));
        Self { embedder, taxonomy }
    }

    /// All examples of a store, whose vectors are not computed again.
    pub async fn examples_of(&self, store: &dyn ExampleStore) -> Result<Vec<LabelledTicket>> {
        let (mut examples, mut start) = (Vec::new(), None);
        loop {
            let (page, next) = store.scroll(start, 2048, true).await?;
            for stored in page {
                let labelled = stored.example.labelled;
                if let Some(vector) = stored.dense {
                    self.embedder.remember(labelled.ticket.text.clone(), vector);
                }
                examples.push(labelled);
            }
            match next {
                Some(_) => start = next,
                None => return Ok(examples),
            }
        }
    }

    /// Indexes these examples. Fails when none of them can be used.
    pub(super) async fn fill(&self, examples: &[LabelledTicket]) -> Result<Filled> {
        let store = Arc::new(MemoryStore::new(self.embedder.dimension()));
        let row = |labelled: &LabelledTicket| Row {
            place: format!("ticket {}", labelled.ticket.id),
            id: Some(labelled.ticket.id.clone()),
            content: Ok(RowContent {
                ticket: labelled.ticket.clone(),
                intent: Some(labelled.intent.clone()),
                reasoning: labelled.reasoning.clone(),
            }),
        };
        let options = IndexOptions { taxonomy: self.taxonomy.clone(), ..IndexOptions::default() };
        let rows = examples.iter().map(row).collect();
        let report = index(store.as_ref(), self.embedder.as_ref(), rows, &options, &|_, _| {}).await?;
        let first = report.errors.first().map(|error| format!("{}: {}", error.place, error.message));
        if report.is_refused(&options) {
            return Err(Error::bad_input(format!(
                "none of the tickets to learn from can be indexed; {}",
                first.unwrap_or_default()
            )));
        }
        let note = first.map(|first| format!("{} tickets could not be learned from; {first}", report.rejected));
        let retriever = Retriever::open(store, Arc::clone(&self.embedder) as Arc<dyn Embedder>).await?;
        Ok(Filled { retriever: Arc::new(retriever), examples: report.total, note })
    }
}
