//! Renames and merges intents in a store: its taxonomy, then its examples. Nothing is embedded.

use std::time::Instant;

use serde::Serialize;

use crate::data::taxonomy::Taxonomy;
use crate::statistics::milliseconds;
use crate::store::{ExampleStore, TAXONOMY_BLOB, manifest_of, taxonomy_of};
use crate::{Error, Result};

/// The change that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Gives an intent another name.
    Rename {
        /// The intent's name.
        old: String,
        /// The name that it gets.
        new: String,
    },
    /// Makes one intent of several.
    Merge {
        /// The intents that become part of the other.
        from: Vec<String>,
        /// The intent that stays.
        into: String,
    },
}

/// What a change did, or would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RelabelReport {
    /// The old names.
    pub from: Vec<String>,
    /// The name of the intent that they are now.
    pub into: String,
    /// Examples that have another label now.
    pub examples: usize,
    /// References in the taxonomy that were changed too.
    pub references: usize,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// How long it took.
    pub milliseconds: f64,
    /// What else the user should know.
    pub notes: Vec<String>,
}

/// Changes a store, or with `dry_run` says what would change. A kill in between leaves old labels that the
/// new taxonomy resolves; the same change again completes it.
pub async fn relabel(store: &dyn ExampleStore, change: &Change, dry_run: bool) -> Result<RelabelReport> {
    let begun = Instant::now();
    // Refuses what a newer version wrote.
    manifest_of(store).await?;
    let labels = store.intents().await?;
    let before = taxonomy_of(store).await?;
    let edit = match change {
        Change::Rename { old, new } => before.rename(old, new)?,
        Change::Merge { from, into } => before.merge(from, into)?,
    };
    // All labels that mean the intent and are not its name, so that a killed run is completed.
    let stale = |label: &&(String, usize)| label.0 != edit.into && edit.taxonomy.resolve(&label.0) == Some(&edit.into);
    let stale: Vec<_> = labels.iter().filter(stale).collect();
    let mut examples = stale.iter().map(|(_, count)| count).sum();
    if !dry_run {
        let json = edit.taxonomy.to_json()?;
        Taxonomy::from_json(&json).map_err(|e| Error::bad_input(format!("the change would break the {e}")))?;
        // The taxonomy comes first, so that no label is ever unknown.
        if edit.taxonomy != before {
            store.put_blob(TAXONOMY_BLOB, json).await?;
        }
        examples = 0;
        for (label, _) in stale {
            examples += store.relabel(label, &edit.into).await?;
        }
    }
    Ok(RelabelReport {
        from: edit.from,
        into: edit.into,
        examples,
        references: edit.references,
        dry_run,
        milliseconds: milliseconds(begun.elapsed()),
        notes: edit.notes,
    })
}
