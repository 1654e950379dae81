//! `ticket-router index`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::progress::Progress;
use super::wiring::{Settings, read_taxonomy};
use super::{CommonArgs, InputArgs, print, print_json};
use crate::data::taxonomy::Taxonomy;
use crate::learn::index::{IndexOptions, index};
use crate::{input, report};

/// What `index` takes.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct IndexArgs {
    /// Files of labelled tickets: JSON Lines, CSV or TSV; - for standard input
    #[arg(required_unless_present = "rebuild", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Taxonomy of the intents (TOML); kept in the store, so later runs need not name it
    #[arg(long, value_name = "FILE")]
    taxonomy: Option<PathBuf>,
    /// Name of the system that the tickets come from; keeps equal ids of several systems apart
    #[arg(long, value_name = "NAME", default_value = "")]
    source: String,
    /// Remove examples of this source that the files no longer hold
    #[arg(long)]
    prune: bool,
    /// Write nothing if a single row is bad
    #[arg(long)]
    strict: bool,
    /// Build a new generation beside the one that serves, and switch over in one step: for another
    /// embedder, or for new settings of [qdrant]; needs no FILE
    #[arg(long)]
    rebuild: bool,
    /// Keep the old generation as the store NAME-old (only on a Qdrant server)
    #[arg(long, requires = "rebuild")]
    keep_old: bool,
    #[command(flatten)]
    input: InputArgs,
}

pub(super) async fn run(args: &IndexArgs, common: &CommonArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::resolve(common)?;
    let input = args.input.options();
    let taxonomy = match &args.taxonomy {
        None => None,
        Some(path) => Some(Taxonomy::from_toml(&read_taxonomy(path)?, &path.display().to_string())?),
    };
    let rows = input::read_all(&args.files, &input)?;
    let embedder = settings.embedder().await?;
    let store = settings.open_or_create_store(embedder.dimension()).await?;
    let options = IndexOptions {
        source: args.source.clone(),
        prune: args.prune,
        strict: args.strict,
        rebuild: args.rebuild,
        keep_old: args.keep_old,
        taxonomy,
        input,
    };
    let progress = Progress::new("embedding", common.quiet);
    let outcome =
        index(store.as_ref(), embedder.as_ref(), rows, &options, &|done, total| progress.update(done, total)).await?;
    drop(progress);
    if common.json {
        print_json(&outcome)?;
    } else {
        print(&report::index_summary(&outcome, &settings.store.to_string()))?;
    }
    Ok(ExitCode::from(u8::from(outcome.is_refused(&options))))
}
