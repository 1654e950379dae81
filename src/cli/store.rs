//! `ticket-router store`: what a store is, and moving it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::output::Output;
use super::progress::Progress;
use super::wiring::Settings;
use super::{CommonArgs, print, print_json, say};
use crate::learn::transfer::{checksum, copy};
use crate::store::{BLOBS, ExampleStore, MANIFEST_BLOB, Manifest, Pages, StoreInfo, StoreLocation};
use crate::{Error, Result, report};

/// What `store` takes.
#[derive(Debug, Args)]
pub(super) struct StoreArgs {
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    /// Say what a store holds
    Info {
        /// Add a checksum of all examples and vectors, to compare two stores by
        #[arg(long)]
        checksum: bool,
    },
    /// Write the examples as JSON Lines, which `index` takes back
    Export {
        /// Where to; standard output unless given
        file: Option<PathBuf>,
        /// The examples of this source [default: the only one]
        #[arg(long, value_name = "NAME")]
        source: Option<String>,
    },
    /// Copy a store with its vectors to another folder or server; after a kill, the same command goes on
    Copy {
        /// The folder or address of the store that is there
        from: StoreLocation,
        /// The folder or address of the copy
        to: StoreLocation,
        /// Replace the index that is there, in one step, once the copy is complete
        #[arg(long)]
        replace: bool,
    },
    /// Delete a store
    Delete {
        /// Confirm: a deleted store does not come back
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(args: &StoreArgs, common: &CommonArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::resolve(common)?;
    match &args.command {
        StoreCommand::Info { checksum } => info(&settings, *checksum, common.json).await?,
        StoreCommand::Export { file, source } => export(&settings, file.as_deref(), source.as_deref()).await?,
        StoreCommand::Copy { from, to, replace } => {
            if from == to {
                return Err(Error::configuration(format!("store copy: FROM and TO are both {from}")).into());
            }
            let (from, dimension) = open_source(&settings, from).await?;
            let to = to.open_or_create(&settings.store_options, dimension).await?;
            let progress = Progress::new("copying", common.quiet);
            let done = copy(from.as_ref(), to.as_ref(), *replace, &|done, total| progress.update(done, total)).await?;
            drop(progress);
            if common.json {
                print_json(&done)?;
            } else {
                print(&report::copy_summary(&done, &to.info().await?.location))?;
            }
        }
        StoreCommand::Delete { yes } => delete(&settings, *yes, common.json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn open_source(settings: &Settings, from: &StoreLocation) -> Result<(std::sync::Arc<dyn ExampleStore>, usize)> {
    let store = from.open(&settings.store_options).await?;
    let dimension = store.info().await?.dimension;
    Ok((store, dimension))
}

async fn info(settings: &Settings, with_checksum: bool, json: bool) -> anyhow::Result<()> {
    let store = settings.open_store().await?;
    let info: StoreInfo = store.info().await?;
    let manifest = store.blob(MANIFEST_BLOB).await?.map(|bytes| Manifest::from_json(&bytes)).transpose()?;
    let mut blobs = BTreeMap::new();
    for name in BLOBS {
        if let Some(content) = store.blob(name).await? {
            blobs.insert(name, content.len());
        }
    }
    let (examples, intents) = (store.count().await?, store.intents().await?.len());
    let checksum = if with_checksum { Some(checksum(store.as_ref()).await?) } else { None };
    if json {
        print_json(&json!({
            "location": info.location,
            "engine": info.engine,
            "content": info.content,
            "examples": examples,
            "intents": intents,
            "embedder": manifest.as_ref().map(|manifest| &manifest.embedder),
            "format": manifest.as_ref().map(|manifest| manifest.format),
            "dimension": info.dimension,
            "disk_bytes": info.disk_bytes,
            "settings": info.settings,
            "blobs": blobs,
            "checksum": checksum,
        }))?;
        return Ok(());
    }
    print(&report::store_summary(&info, manifest.as_ref(), (examples, intents), &blobs, checksum.as_deref()))
}

/// One source at a time: `index FILE --source NAME` makes the same examples of the file.
async fn export(settings: &Settings, file: Option<&std::path::Path>, source: Option<&str>) -> anyhow::Result<()> {
    let store = settings.open_store().await?;
    let mut sources: BTreeMap<String, usize> = BTreeMap::new();
    let mut pages = Pages::of(store.as_ref(), false);
    while let Some(page) = pages.next().await? {
        for stored in page {
            *sources.entry(stored.example.source).or_default() += 1;
        }
    }
    let source = match source {
        Some(name) if sources.contains_key(name) => name.to_owned(),
        None if sources.len() <= 1 => sources.into_keys().next().unwrap_or_default(),
        _ => {
            let names: Vec<String> = sources.iter().map(|(name, count)| format!("{name:?} ({count})")).collect();
            let text = format!("name one of the store's sources with --source: {}", names.join(", "));
            return Err(Error::configuration(text).into());
        }
    };
    let mut output = Output::open(file)?;
    let mut count = 0;
    let mut pages = Pages::of(store.as_ref(), false);
    while let Some(page) = pages.next().await? {
        for stored in page.into_iter().filter(|stored| stored.example.source == source) {
            output.line(&serde_json::to_string(&stored.example.labelled)?)?;
            count += 1;
        }
    }
    output.finish()?;
    let again = if source.is_empty() { String::new() } else { format!(" --source {source:?}") };
    let place = file.map_or_else(|| "FILE".to_owned(), |path| path.display().to_string());
    say(&format!("{count} examples; index them again with: ticket-router index {place}{again}"));
    Ok(())
}

async fn delete(settings: &Settings, yes: bool, json: bool) -> anyhow::Result<()> {
    let examples = settings.open_store().await?.count().await?;
    let place = &settings.store;
    if !yes {
        let text = format!("{place} holds {examples} examples, which would be gone; to remove them, add --yes");
        return Err(Error::configuration(text).into());
    }
    settings.store.remove(&settings.store_options).await?;
    if json {
        return print_json(&json!({"removed": examples, "location": place.to_string()}));
    }
    print(&format!("removed {place} with {examples} examples\n"))
}
