//! Brings a store to what the files say, embedding only what is new.

use std::collections::HashMap;

use serde::Serialize;
use uuid::Uuid;

use crate::data::example::{Example, Point};
use crate::data::taxonomy::{Renamed, Taxonomy};
use crate::embed::{Bm25, Bm25Settings, Embedder, embed_checked};
use crate::input::{InputOptions, Row};
use crate::learn::probe::{self, TrainedProbe};
use crate::pipeline::Stored;
use crate::store::{
    CALIBRATION_BLOB, ExampleStore, MANIFEST_BLOB, Manifest, Pages, RebuildOptions, TAXONOMY_BLOB, manifest_of,
};
use crate::{Error, Result};

mod plan;
mod validate;

use plan::Plan;

/// How many examples go to the embedder and the store at a time.
const CHUNK: usize = 512;

/// What an index run is asked to do.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct IndexOptions {
    /// Keeps the tickets of several systems apart.
    pub source: String,
    /// Removes examples of this source that the files no longer hold.
    pub prune: bool,
    /// Writes nothing when a single row is bad.
    pub strict: bool,
    /// Builds a whole new generation. An embedder other than the store's embeds everything again.
    pub rebuild: bool,
    /// A rebuild keeps the old generation beside the new one.
    pub keep_old: bool,
    /// Replaces the store's taxonomy; intents that the store renamed are renamed in it too.
    pub taxonomy: Option<Taxonomy>,
    /// Names of the columns, for messages.
    pub input: InputOptions,
}

/// What an index run did.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct IndexReport {
    /// Rows in the files.
    pub read: usize,
    /// Examples that were not in the store.
    pub added: usize,
    /// Examples whose text or label changed.
    pub updated: usize,
    /// Examples that are in the store as they are in the files.
    pub unchanged: usize,
    /// Examples that `prune` removed.
    pub removed: usize,
    /// Rows that cannot be used.
    pub rejected: usize,
    /// Texts that were embedded.
    pub embedded: usize,
    /// Examples in the store afterwards.
    pub total: usize,
    /// Whether the store was written to.
    pub written: bool,
    /// What training the probe took and found; `None` where it was not trained.
    pub probe: Option<TrainedProbe>,
    /// Why rows were rejected.
    pub errors: Vec<RowError>,
    /// What else the user should know.
    pub notes: Vec<String>,
}

impl IndexReport {
    /// Whether the rows are too bad to write anything. That is so when all of them are bad, and with `strict`
    /// or `prune` when a single one is: with `prune`, its example would be taken for one that is gone.
    #[must_use]
    pub fn is_refused(&self, options: &IndexOptions) -> bool {
        let any = options.strict || options.prune;
        (self.rejected > 0 && (any || self.rejected == self.read)) || (options.prune && self.read == 0)
    }
}

/// A row that was rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowError {
    /// `file:line`.
    pub place: String,
    /// What is wrong with it.
    pub message: String,
}

/// Told how many of how many texts are embedded.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Send + Sync);

/// Indexes rows: validates them, compares them with the store, embeds what is new, and
/// writes. Large changes build the next generation and switch to it in one step; small
/// ones are written in place. Either way a kill loses only the changes of this run.
pub async fn index(
    store: &dyn ExampleStore,
    embedder: &dyn Embedder,
    rows: Vec<Row>,
    options: &IndexOptions,
    progress: Progress<'_>,
) -> Result<IndexReport> {
    let stored_manifest = manifest_of(store).await?;
    let fits = match &stored_manifest {
        Some(manifest) => manifest.check(embedder).await,
        None => Ok(()),
    };
    let embed_again = match fits {
        Err(_) if options.rebuild => true,
        fits => fits.map(|()| false)?,
    };
    let stored_taxonomy = store.blob(TAXONOMY_BLOB).await?;
    let mut report = IndexReport { read: rows.len(), ..IndexReport::default() };
    let taxonomy = match (&options.taxonomy, &stored_taxonomy) {
        (Some(given), stored) => Some(with_renames(given.clone(), stored.as_deref(), &mut report)),
        (None, Some(stored)) => Some(Taxonomy::from_json(stored)?),
        (None, None) => None,
    };
    let wanted = validate::examples(rows, taxonomy.as_ref(), options, &mut report);
    let existing = scroll_all(store).await?;
    if report.is_refused(options) {
        report.total = existing.len();
        return Ok(report);
    }

    let mut plan = Plan::new(wanted, &existing, options, &mut report);
    if embed_again {
        plan.embed_again(&existing);
    }
    note_unknown_labels(&existing, &plan, taxonomy.as_ref(), &mut report);
    report.total = existing.len();
    let given = taxonomy.as_ref().filter(|_| options.taxonomy.is_some()).map(Taxonomy::to_json).transpose()?;
    let new_taxonomy = given.filter(|json| stored_taxonomy.as_ref() != Some(json));
    if plan.is_empty()
        && new_taxonomy.is_none()
        && !options.rebuild
        && let Some(manifest) = &stored_manifest
    {
        report.probe = probe::refresh(store, embedder, taxonomy.as_ref(), manifest.changed_in_place).await?;
        return Ok(report);
    }
    report.written = true;
    report.embedded = plan.to_embed.len();
    let mut changed_in_place = 0;
    match stored_manifest {
        Some(manifest) if !options.rebuild && plan.is_small(existing.len(), manifest.changed_in_place) => {
            changed_in_place = manifest.changed_in_place + plan.changes();
            in_place(store, embedder, &manifest, plan, progress).await?;
            // The taxonomy comes last: a kill before it leaves new examples under the old taxonomy,
            // never a new taxonomy without its examples.
            if let Some(taxonomy) = new_taxonomy {
                store.put_blob(TAXONOMY_BLOB, taxonomy).await?;
            }
        }
        _ => {
            let given = options.taxonomy.as_ref();
            rebuild(store, embedder, plan, &existing, Next { given, embed_again, options }, progress).await?;
        }
    }
    report.probe = probe::refresh(store, embedder, taxonomy.as_ref(), changed_in_place).await?;
    report.total = store.count().await?;
    Ok(report)
}

/// Writes a few changes to the generation that is served.
async fn in_place(
    store: &dyn ExampleStore,
    embedder: &dyn Embedder,
    manifest: &Manifest,
    plan: Plan,
    progress: Progress<'_>,
) -> Result<()> {
    let bm25 = Bm25::new(&manifest.bm25)?;
    let total = plan.to_embed.len();
    let mut done = 0;
    let mut rest = plan.to_embed;
    while !rest.is_empty() {
        let chunk = take_chunk(&mut rest);
        done += chunk.len();
        store.upsert(embed(embedder, &bm25, chunk).await?).await?;
        progress(done, total);
    }
    if !plan.to_relabel.is_empty() {
        store.update(plan.to_relabel.into_values().collect()).await?;
    }
    if !plan.to_remove.is_empty() {
        store.delete(plan.to_remove.into_iter().collect()).await?;
    }
    Ok(())
}

/// What a rebuild is to make.
struct Next<'a> {
    /// The taxonomy that was given.
    given: Option<&'a Taxonomy>,
    /// Whether all texts get vectors of another embedder.
    embed_again: bool,
    options: &'a IndexOptions,
}

/// Builds the store's next generation: what stays is copied with its vectors, what is new is embedded, and
/// the old generation is replaced in one step. What other runs wrote between the look at the store and the
/// beginning of the rebuild stays too.
async fn rebuild(
    store: &dyn ExampleStore,
    embedder: &dyn Embedder,
    mut plan: Plan,
    existing: &HashMap<Uuid, Example>,
    wanted: Next<'_>,
    progress: Progress<'_>,
) -> Result<()> {
    let changes = plan.changes();
    let staying = || existing.values().filter(|example| !plan.replaces(&example.key));
    let points = staying().count() + plan.to_embed.len();
    let texts = staying().chain(&plan.to_embed).map(|example| example.labelled.ticket.text.as_str());
    let settings = Bm25Settings::measured(texts)?;
    let bm25 = Bm25::new(&settings)?;
    let options = RebuildOptions {
        dimension: embedder.dimension(),
        bm25: settings.clone(),
        other_vectors: wanted.embed_again,
        points,
        keep_old: wanted.options.keep_old,
        resume: None,
    };
    let mut next = store.rebuild(options).await?;
    // From here on no other run replaces what is read.
    let served = manifest_of(store).await?;
    if let Some(served) = served.as_ref().filter(|_| !wanted.embed_again) {
        served.check(embedder).await?;
    }
    let mut written = 0;

    let mut pages = Pages::of(store, true);
    while let Some(page) = pages.next().await? {
        let mut points = Vec::with_capacity(page.len());
        for stored in page {
            let key = stored.example.key;
            if plan.replaces(&key) {
                continue;
            }
            let example = match plan.to_relabel.remove(&key) {
                // Another run gave it another text, whose vector is not this one's.
                Some(example) if example.text_hash != stored.example.text_hash => {
                    plan.to_embed.push(example);
                    continue;
                }
                Some(example) => example,
                None if wanted.embed_again => {
                    plan.to_embed.push(stored.example);
                    continue;
                }
                None => stored.example,
            };
            let dense = stored.dense.ok_or_else(|| Error::store("the store returned an example without its vector"))?;
            let sparse = bm25.document(&example.labelled.ticket.text);
            points.push(Point { example, dense, sparse });
        }
        written += points.len();
        next.upsert(points).await?;
    }

    // What another run has taken out meanwhile, and the files hold.
    plan.to_embed.extend(std::mem::take(&mut plan.to_relabel).into_values());
    let total = plan.to_embed.len();
    let mut done = 0;
    // Sorted by length over the whole run, so that the batches need little padding.
    plan.to_embed.sort_by_key(|example| example.labelled.ticket.text.len());
    let mut rest = plan.to_embed;
    while !rest.is_empty() {
        let chunk = take_chunk(&mut rest);
        done += chunk.len();
        next.upsert(embed(embedder, &bm25, chunk).await?).await?;
        progress(done, total);
    }
    let mut manifest = Manifest::of(embedder, settings).await?;
    manifest.examples = written + total;
    next.put_blob(MANIFEST_BLOB, manifest.to_json()?).await?;
    // As they are now: a rename or a calibration may have come meanwhile.
    let stored = store.blob(TAXONOMY_BLOB).await?;
    let taxonomy = match wanted.given {
        Some(given) => Some(with_renames(given.clone(), stored.as_deref(), &mut IndexReport::default()).to_json()?),
        None => stored,
    };
    let changed = served.map_or(0, |manifest| manifest.changed_in_place);
    let calibration = store.blob(CALIBRATION_BLOB).await?;
    let calibration = calibration.and_then(|bytes| Stored::carried(&bytes, changed, changes));
    for (name, content) in [(TAXONOMY_BLOB, taxonomy), (CALIBRATION_BLOB, calibration)] {
        if let Some(content) = content {
            next.put_blob(name, content).await?;
        }
    }
    next.commit().await
}

fn take_chunk(rest: &mut Vec<Example>) -> Vec<Example> {
    rest.split_off(rest.len().saturating_sub(CHUNK))
}

async fn embed(embedder: &dyn Embedder, bm25: &Bm25, examples: Vec<Example>) -> Result<Vec<Point>> {
    let texts = examples.iter().map(|example| example.labelled.ticket.text.clone()).collect();
    let vectors = embed_checked(embedder, texts).await?;
    let points = examples.into_iter().zip(vectors).map(|(example, dense)| {
        let sparse = bm25.document(&example.labelled.ticket.text);
        Point { example, dense, sparse }
    });
    Ok(points.collect())
}

async fn scroll_all(store: &dyn ExampleStore) -> Result<HashMap<Uuid, Example>> {
    let mut all = HashMap::new();
    let mut pages = Pages::of(store, false);
    while let Some(page) = pages.next().await? {
        all.extend(page.into_iter().map(|stored| (stored.example.key, stored.example)));
    }
    Ok(all)
}

/// The taxonomy that is given, with the renames of the store applied, so that it does not undo them.
fn with_renames(mut given: Taxonomy, stored: Option<&[u8]>, report: &mut IndexReport) -> Taxonomy {
    // A stored taxonomy that cannot be used any more is replaced all the same.
    let stored = stored.and_then(|json| Taxonomy::draft_from_json(json).ok()).unwrap_or_default();
    report.notes.extend(given.adopt(&stored.renamed).into_iter().map(|Renamed { from, to }| {
        format!("the store renamed {from:?} to {to:?}; this was applied to the taxonomy file too, change it there")
    }));
    given
}

/// A new taxonomy may leave stored examples behind whose intent it no longer has.
fn note_unknown_labels(
    existing: &HashMap<Uuid, Example>,
    plan: &Plan,
    taxonomy: Option<&Taxonomy>,
    report: &mut IndexReport,
) {
    let Some(taxonomy) = taxonomy.filter(|taxonomy| !taxonomy.open) else { return };
    let staying = existing.values().filter(|example| !plan.replaces(&example.key));
    let unknown = staying.filter(|example| taxonomy.resolve(&example.labelled.intent).is_none()).count();
    if unknown > 0 {
        report.notes.push(format!(
            "{unknown} stored examples have an intent that the taxonomy does not list; they are left out of every search \
             until the intents are added, or their files are indexed again with --prune"
        ));
    }
}
