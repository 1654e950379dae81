//! Learns one labelled ticket at a time: a correction counts from the next classification on.
//!
//! The example is written to the generation that is served, without a scan of the store. Such examples lie outside the
//! graph, and a search compares each of them. So after many small changes a rebuild in the background folds them in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use uuid::Uuid;

use super::index::{IndexOptions, index};
use crate::data::example::{Example, Point, example_key};
use crate::data::ticket::{LabelledTicket, text_hash};
use crate::embed::{Bm25, Embedder, embed_checked};
use crate::store::{ExampleStore, Manifest, Reader};
use crate::{Error, Result};

/// Small changes are folded in after so many.
const FOLDED_COUNT: usize = 2_000;
/// In a store of more examples than this, small changes are folded in when one example in so many has changed.
const FOLDED_STORE: usize = 4_000;
const FOLDED_SHARE: usize = 20;

/// Adds, changes and removes single examples of a store.
pub struct Learner {
    reader: Reader,
    folding: Arc<AtomicBool>,
}

impl Learner {
    /// A learner for the store that `embedder` has filled. Fails as [`Reader::open`] does.
    pub async fn open(store: Arc<dyn ExampleStore>, embedder: Arc<dyn Embedder>) -> Result<Self> {
        Ok(Self { reader: Reader::open(store, embedder).await?, folding: Arc::default() })
    }

    /// Adds or changes the example of a labelled ticket, and returns its key. When this returns, the change is
    /// durable and the next search finds it. Fails for an empty text, and for an intent that the taxonomy does not
    /// list.
    pub async fn learn(&self, source: &str, mut labelled: LabelledTicket) -> Result<Uuid> {
        let snapshot = self.reader.snapshot().await;
        if self.reader.is_behind(&snapshot) {
            return Err(Error::store(
                "the store was rebuilt with another embedder; start again with the one that it has now",
            ));
        }
        if labelled.ticket.text.trim().is_empty() {
            return Err(Error::bad_input(format!("the ticket {:?} has no text to learn from", labelled.ticket.id)));
        }
        labelled.ticket.shorten();
        let taxonomy = snapshot.taxonomy();
        match taxonomy.resolve(&labelled.intent) {
            Some(own) => labelled.intent = own.to_owned(),
            None if taxonomy.open && !labelled.intent.trim().is_empty() => {}
            None => {
                return Err(Error::bad_input(format!(
                    "the intent {:?} is not in the taxonomy; correct it, or add it there",
                    labelled.intent
                )));
            }
        }
        let text = labelled.ticket.text.clone();
        let bm25 = Bm25::new(&snapshot.manifest().bm25)?;
        let sparse = bm25.document(&text);
        let text_hash = text_hash(&text);
        let dense = embed_checked(self.reader.embedder().as_ref(), vec![text]).await?.swap_remove(0);
        let key = example_key(source, &labelled.ticket.id);
        let example = Example { key, source: source.to_owned(), labelled, text_hash };
        self.reader.store().upsert(vec![Point { example, dense, sparse }]).await?;
        self.fold_in_when_due(snapshot.manifest());
        Ok(key)
    }

    /// Removes an example. It is no error when there is none.
    pub async fn forget(&self, key: Uuid) -> Result<()> {
        self.reader.store().delete(vec![key]).await?;
        self.fold_in_when_due(self.reader.snapshot().await.manifest());
        Ok(())
    }

    /// Whether small changes are being folded in.
    #[must_use]
    pub fn is_folding_in(&self) -> bool {
        self.folding.load(Ordering::Relaxed)
    }

    fn fold_in_when_due(&self, manifest: &Manifest) {
        if !is_due(manifest.examples, manifest.changed_in_place) || self.folding.swap(true, Ordering::Relaxed) {
            return;
        }
        let (store, embedder) = (Arc::clone(self.reader.store()), Arc::clone(self.reader.embedder()));
        let folding = Arc::clone(&self.folding);
        tokio::spawn(async move {
            // The next change tries it again.
            if let Err(e) = fold_in(store.as_ref(), embedder.as_ref()).await {
                tracing::warn!("small changes could not be folded in: {e}");
            }
            folding.store(false, Ordering::Relaxed);
        });
    }
}

impl std::fmt::Debug for Learner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Learner").field("reader", &self.reader).field("folding", &self.folding).finish_non_exhaustive()
    }
}

/// Builds the next generation from what the store holds. Nothing is embedded again.
pub async fn fold_in(store: &dyn ExampleStore, embedder: &dyn Embedder) -> Result<()> {
    let options = IndexOptions { rebuild: true, ..IndexOptions::default() };
    index(store, embedder, Vec::new(), &options, &|_, _| {}).await.map(|_| ())
}

fn is_due(examples: usize, changes: usize) -> bool {
    changes >= FOLDED_COUNT || (examples > FOLDED_STORE && changes * FOLDED_SHARE >= examples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_folded_in_after_2000_or_a_twentieth_of_a_large_store() {
        assert!(!is_due(1_000, 1_999) && is_due(1_000, 2_000));
        assert!(!is_due(4_000, 200) && is_due(4_001, 201) && !is_due(10_000, 499) && is_due(10_000, 500));
        assert!(!is_due(100_000, 1_999) && is_due(100_000, 2_000));
    }
}
