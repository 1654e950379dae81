//! `ticket-router calibrate`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::output::Output;
use super::progress::Progress;
use super::wiring::{LabelerArgs, Settings, read_labelled};
use super::{CommonArgs, InputArgs, say, summary};
use crate::learn::calibrate::{CalibrateOptions, calibrate};
use crate::pipeline::Retriever;
use crate::report;

/// What `calibrate` takes.
#[derive(Debug, Args)]
pub(super) struct CalibrateArgs {
    /// File of labelled tickets that the store does not hold; a few hundred at least
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Share of the routed tickets that must be right
    #[arg(long, value_name = "SHARE", default_value_t = 0.97, value_parser = inner_share)]
    target_precision: f64,
    /// How sure it is that the dial holds
    #[arg(long, value_name = "SHARE", default_value_t = 0.9, value_parser = inner_share)]
    confidence: f64,
    /// Print the result and store nothing
    #[arg(long)]
    dry_run: bool,
    /// Write the report here and not to stdout; Claude's answers are kept in FILE.journal, and the
    /// same command goes on from it after a kill
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    columns: InputArgs,
    // Comes under a heading of its own in --help, so it comes last.
    #[command(flatten)]
    labeler: LabelerArgs,
}

pub(super) async fn run(args: &CalibrateArgs, common: &CommonArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::resolve(common)?;
    let mut labelling = args.labeler.resolve(&settings.config, true, args.output.as_deref())?;
    let tickets = read_labelled(&args.file, &args.columns.options())?;
    let retriever = Arc::new(Retriever::open(settings.open_store().await?, settings.embedder().await?).await?);
    if let Some(note) = labelling.look_up_threshold(&retriever).await? {
        say(&format!("note: {note}"));
    }
    let options = CalibrateOptions {
        target: args.target_precision,
        confidence: args.confidence,
        options: labelling.options.clone(),
        concurrency: labelling.concurrency,
        dry_run: args.dry_run,
    };
    let progress = Progress::new("calibrating", common.quiet);
    let report = |done, total| progress.update(done, total);
    let outcome = calibrate(&retriever, labelling.labeler(), tickets, &options, &report).await;
    drop(progress);
    if let Some(run) = labelling.claude() {
        summary::print_account(run);
    }
    let outcome = outcome?;
    let mut output = Output::open(args.output.as_deref())?;
    let text =
        if common.json { serde_json::to_string_pretty(&outcome)? } else { report::calibration_summary(&outcome) };
    output.line(text.trim_end())?;
    output.finish()?;
    Ok(ExitCode::from(u8::from(outcome.errors > 0)))
}

/// A share above 0 and below 1.
fn inner_share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| *share > 0.0 && *share < 1.0);
    share.ok_or_else(|| format!("{text} is not a share between 0 and 1, such as 0.97"))
}
