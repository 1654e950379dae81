//! `ticket-router taxonomy`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::wiring::{Settings, read_taxonomy};
use super::{CommonArgs, print, print_json};
use crate::data::taxonomy::{Finding, Kind, Renamed, Severity, Taxonomy};
use crate::learn::relabel::{Change, relabel};
use crate::store::TAXONOMY_BLOB;
use crate::{Result, report};

/// What `taxonomy` takes.
#[derive(Debug, Args)]
pub(super) struct TaxonomyArgs {
    #[command(subcommand)]
    command: TaxonomyCommand,
}

#[derive(Debug, Subcommand)]
enum TaxonomyCommand {
    /// List everything that is wrong or could be better; the exit code is 1 if there is an error
    Check(CheckArgs),
    /// Give an intent another name in the taxonomy and in all examples; embeds nothing
    Rename(RenameArgs),
    /// Make one intent of several in the taxonomy and in all examples; embeds nothing
    Merge(MergeArgs),
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// Taxonomy to check; needs no store, and is compared with its examples if there is one
    /// [default: the store's own]
    #[arg(long, value_name = "FILE")]
    taxonomy: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct RenameArgs {
    /// The intent
    old: String,
    /// Its new name; the old one stays known as an alias
    new: String,
    /// Say what would change and write nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
struct MergeArgs {
    /// Intents that become part of INTO; their names stay known as aliases
    #[arg(required = true)]
    from: Vec<String>,
    /// The intent that stays
    into: String,
    /// Say what would change and write nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(args: &TaxonomyArgs, common: &CommonArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::resolve(common)?;
    match &args.command {
        TaxonomyCommand::Check(args) => check(args, &settings, common.json).await,
        TaxonomyCommand::Rename(RenameArgs { old, new, dry_run }) => {
            let change = Change::Rename { old: old.clone(), new: new.clone() };
            edit(&change, *dry_run, &settings, common.json).await
        }
        TaxonomyCommand::Merge(MergeArgs { from, into, dry_run }) => {
            let change = Change::Merge { from: from.clone(), into: into.clone() };
            edit(&change, *dry_run, &settings, common.json).await
        }
    }
}

async fn edit(change: &Change, dry_run: bool, settings: &Settings, json: bool) -> anyhow::Result<ExitCode> {
    let done = relabel(settings.open_store().await?.as_ref(), change, dry_run).await?;
    if json {
        print_json(&done)?;
    } else {
        print(&report::relabel_summary(&done))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn check(args: &CheckArgs, settings: &Settings, json: bool) -> anyhow::Result<ExitCode> {
    // A file can be checked alone.
    let store = match args.taxonomy {
        Some(_) => settings.find_store().await?,
        None => Some(settings.open_store().await?),
    };
    let (labels, stored) = match &store {
        None => (None, None),
        Some(store) => (Some(store.intents().await?), store.blob(TAXONOMY_BLOB).await?),
    };
    let text = args.taxonomy.as_ref().map(|path| Ok::<_, crate::Error>((read_taxonomy(path)?, path))).transpose()?;
    let stored = stored.map(|json| Taxonomy::draft_from_json(&json));
    let found = match (text, stored) {
        (Some((text, path)), stored) => {
            let renamed = stored.and_then(Result::ok).unwrap_or_default().renamed;
            findings(Taxonomy::draft_from_toml(&text, &path.display().to_string()), &renamed, labels.as_deref())
        }
        (None, stored) => {
            let names = labels.iter().flatten().map(|(name, _)| name.clone());
            let own = stored.unwrap_or_else(|| Ok(Taxonomy::from_labels([]))).map(|draft| draft.with_labels(names));
            findings(own, &[], labels.as_deref())
        }
    };
    let examples = labels.map(|labels| labels.iter().map(|(_, count)| count).sum::<usize>());
    if json {
        print_json(&json!({"findings": found, "examples": examples}))?;
    } else {
        print(&report::findings(&found, examples))?;
    }
    Ok(ExitCode::from(u8::from(found.iter().any(|finding| finding.level == Severity::Error))))
}

/// What is found in a draft as `index --taxonomy` would store it.
fn findings(draft: Result<Taxonomy>, renamed: &[Renamed], labels: Option<&[(String, usize)]>) -> Vec<Finding> {
    let mut draft = match draft {
        Ok(draft) => draft,
        Err(e) => return vec![Finding::new(Severity::Error, Kind::Unreadable, "", e.to_string())],
    };
    let usable = draft.check(None).iter().all(|finding| finding.level != Severity::Error);
    let applied = if usable { draft.adopt(renamed) } else { Vec::new() };
    let mut found = draft.check(labels);
    found.extend(applied.into_iter().map(|Renamed { from, to }| {
        let message = format!("the store renamed {from:?} to {to:?}; change it in the file too");
        Finding::new(Severity::Warning, Kind::Renamed, from, message)
    }));
    found.sort_by_key(|finding| finding.level);
    found
}
