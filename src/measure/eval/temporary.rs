//! Stores that live as long as a measurement: some examples, indexed as usual, in a folder that
//! is removed afterwards. No text is embedded twice.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::data::taxonomy::Taxonomy;
use crate::data::ticket::LabelledTicket;
use crate::embed::{Embedder, Remembering};
use crate::input::{Row, RowContent};
use crate::learn::index::{IndexOptions, index};
use crate::pipeline::Retriever;
use crate::store::{EdgeStore, ExampleStore, Filter};
use crate::{Error, Result};

/// Makes temporary stores, all with the same taxonomy and embedder.
pub struct TemporaryStores {
    embedder: Arc<Remembering>,
    taxonomy: Option<Taxonomy>,
    filter: Filter,
    without_probe: bool,
}

/// A filled store, and what reads it. The folder goes last.
pub(super) struct Filled {
    pub(super) retriever: Retriever,
    /// What was indexed.
    pub(super) examples: usize,
    /// What could not be indexed, and why.
    pub(super) note: Option<String>,
    _folder: Folder,
}

impl TemporaryStores {
    /// Stores whose examples `embedder` embeds; without a taxonomy their labels are the intents.
    #[must_use]
    pub fn new(embedder: Arc<dyn Embedder>, taxonomy: Option<Taxonomy>) -> Self {
        let embedder = Arc::new(Remembering::new(embedder));
        Self { embedder, taxonomy, filter: Filter::default(), without_probe: false }
    }

    /// Only examples that pass are found; the probe may be left out.
    #[must_use]
    pub fn with(mut self, filter: Filter, without_probe: bool) -> Self {
        (self.filter, self.without_probe) = (filter, without_probe);
        self
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
        let folder = Folder::create()?;
        let store = Arc::new(EdgeStore::open_or_create(&folder.0, self.embedder.dimension()).await?);
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
        let mut retriever = Retriever::open(store, Arc::clone(&self.embedder) as Arc<dyn Embedder>).await?;
        retriever = retriever.with_filter(self.filter.clone());
        if self.without_probe {
            retriever = retriever.without_probe();
        }
        Ok(Filled { retriever, examples: report.total, note, _folder: folder })
    }
}

/// A folder of its owner's alone, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn create() -> Result<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ticket-router-{}-{number}", std::process::id()));
        make_private(&path).map_err(|e| {
            Error::store(format!("cannot make the temporary store {}: {e}; remove it, or set TMPDIR", path.display()))
        })?;
        Ok(Self(path))
    }
}

/// Fails when it is there already: it would be somebody else's.
fn make_private(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is the system's to clean up.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
