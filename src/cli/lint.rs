//! `ticket-router lint`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;

use super::output::Output;
use super::progress::Progress;
use super::wiring::{Settings, share};
use super::{CommonArgs, print, print_json, say};
use crate::measure::lint::{Corpus, Evaluation, LintReport, SURE, corrections, lint};
use crate::{Error, Result, report};

/// What `lint` takes.
#[derive(Debug, Args)]
pub(super) struct LintArgs {
    /// Find misleading examples by an evaluation: the file of eval --report FILE.json
    /// [default: by taking each example in turn as the ticket]
    #[arg(long, value_name = "FILE")]
    eval: Option<PathBuf>,
    /// Print at most so many suggestions of a kind; --json prints all
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
    /// Write the surest suggestions here as labelled tickets: read them, take out what is wrong,
    /// and index the file (without --prune)
    #[arg(long, value_name = "FILE")]
    corrections: Option<PathBuf>,
    /// Write only corrections with at least this score (0 to 1)
    #[arg(long, value_name = "SCORE", default_value_t = SURE, value_parser = share, requires = "corrections")]
    min_score: f32,
    /// Write corrections for the examples of this source [default: the only one]
    #[arg(long, value_name = "NAME", requires = "corrections")]
    source: Option<String>,
    /// Replace a file of corrections that is there
    #[arg(long, requires = "corrections")]
    force: bool,
}

pub(super) async fn run(args: &LintArgs, common: &CommonArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::resolve(common)?;
    args.corrections.as_deref().map_or(Ok(()), |path| check_place(path, args.force))?;
    let evaluation = args.eval.as_deref().map(read_evaluation).transpose()?;
    let corpus = Arc::new(Corpus::read(settings.open_store().await?.as_ref()).await?);
    let corrected =
        args.corrections.as_deref().map(|path| Ok::<_, Error>((path, corpus.source(args.source.as_deref())?)));
    let corrected = corrected.transpose()?;
    let progress = Progress::new("comparing", common.quiet);
    let work = move || lint(&corpus, evaluation.as_ref(), &|done, total| progress.update(done, total));
    let found = tokio::task::spawn_blocking(work).await;
    let found = found.map_err(|e| Error::internal(format!("the comparison stopped: {e}")))??;
    if common.json {
        print_json(&found)?;
    } else {
        print(&report::lint_summary(&found, args.limit))?;
    }
    if let Some((path, source)) = corrected {
        write(&found, path, &source, args)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn read_evaluation(path: &Path) -> Result<Evaluation> {
    let name = format!("--eval {}", path.display());
    let json = std::fs::read(path).map_err(|e| {
        Error::bad_input(format!("{name}: {e}; make one with: ticket-router eval FILE --report out.json"))
    })?;
    Evaluation::from_json(&json, &name)
}

fn write(found: &LintReport, path: &Path, source: &str, args: &LintArgs) -> anyhow::Result<()> {
    check_place(path, args.force)?;
    let corrections = corrections(found, source, args.min_score);
    let mut output = Output::open(Some(path))?;
    for correction in &corrections {
        output.line(&serde_json::to_string(correction).context("a correction cannot be written")?)?;
    }
    output.finish()?;
    let source = if source.is_empty() { String::new() } else { format!(" --source {source:?}") };
    let (count, path) = (corrections.len(), path.display());
    say(&format!(
        "{count} corrections in {path}; read them, take out what is wrong, then: ticket-router index {path}{source}"
    ));
    Ok(())
}

/// A file may hold what a person has already gone through.
fn check_place(path: &Path, force: bool) -> Result<()> {
    if !force && path.symlink_metadata().is_ok() {
        return Err(Error::configuration(format!(
            "--corrections {}: the file is there already; give another name, or replace it with --force",
            path.display()
        )));
    }
    Ok(())
}
