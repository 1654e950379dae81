//! `ticket-router eval`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::progress::Progress;
use super::wiring::{LabelerArgs, Settings, read_labelled};
use super::{CommonArgs, InputArgs, print, print_json};
use crate::classifier::Retriever;
use crate::eval::{Arm, EvalOptions, EvalReport, evaluate};
use crate::{Error, Result, report};

/// What `eval` takes.
#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    /// File of labelled tickets that the store should not hold
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Arms to compare: zero (no examples), static (fixed ones), retrieved (the nearest)
    /// [default: all three for claude, static and retrieved for vote]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    arms: Option<Vec<String>>,
    /// Examples of the static arm [default: 9 drawn from the store]
    #[arg(long, value_name = "FILE")]
    r#static: Option<PathBuf>,
    /// Seed of what is drawn
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,
    /// Fail (exit code 1) if an arm's accuracy is below a bar, such as retrieved=0.90
    #[arg(long, value_name = "ARM=SHARE")]
    fail_under: Vec<String>,
    #[command(flatten)]
    labeler: LabelerArgs,
    #[command(flatten)]
    columns: InputArgs,
}

pub(super) async fn run(args: &EvalArgs, common: &CommonArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::resolve(common)?;
    let labeler_settings = args.labeler.resolve(&settings.config)?;
    let labeler = labeler_settings.labeler(true)?;
    let arms = arms(args.arms.as_deref(), labeler.name())?;
    let bars = args.fail_under.iter().map(|bar| parse_bar(bar, &arms)).collect::<Result<Vec<_>>>()?;
    let input = args.columns.options();
    let tickets = read_labelled(&args.file, &input)?;
    let static_examples = args.r#static.as_ref().map(|path| read_labelled(path, &input)).transpose()?;

    let retriever = Retriever::open(settings.open_store().await?, settings.embedder().await?).await?;
    let options = EvalOptions {
        arms,
        k: labeler_settings.k,
        static_examples,
        seed: args.seed,
        min_confidence: labeler_settings.min_confidence,
        concurrency: labeler_settings.concurrency,
    };
    let progress = Progress::new("evaluating", common.quiet);
    let outcome = evaluate(&retriever, labeler, tickets, &options, &|done, total| progress.update(done, total)).await?;
    drop(progress);
    if common.json {
        print_json(&outcome)?;
    } else {
        print(&report::eval_table(&outcome))?;
    }
    Ok(ExitCode::from(u8::from(missed(&bars, &outcome))))
}

fn arms(names: Option<&[String]>, labeler: &str) -> Result<Vec<Arm>> {
    let Some(names) = names else {
        // Without examples there is nothing to vote on.
        let usual = [Arm::Zero, Arm::Static, Arm::Retrieved];
        return Ok(usual.into_iter().filter(|arm| labeler != "vote" || *arm != Arm::Zero).collect());
    };
    let mut arms = Vec::new();
    for name in names {
        let arm = match name.trim() {
            "zero" if labeler == "vote" => {
                return Err(Error::configuration(
                    "the arm zero shows no examples, and vote has nothing else to go by; leave it out",
                ));
            }
            "zero" => Arm::Zero,
            "static" => Arm::Static,
            "retrieved" => Arm::Retrieved,
            other => {
                return Err(Error::configuration(format!("there is no arm {other:?}; choose zero, static, retrieved")));
            }
        };
        if !arms.contains(&arm) {
            arms.push(arm);
        }
    }
    Ok(arms)
}

fn parse_bar(bar: &str, arms: &[Arm]) -> Result<(String, f64)> {
    let wrong = |why: &str| Error::configuration(format!("--fail-under {bar}: {why}; write it as retrieved=0.90"));
    let (arm, share) = bar.split_once('=').ok_or_else(|| wrong("there is no ="))?;
    let share: f64 = share.trim().parse().map_err(|_| wrong("the share is no number"))?;
    if !(0.0..=1.0).contains(&share) {
        return Err(wrong("the share is not from 0 to 1"));
    }
    if !arms.iter().any(|known| known.name() == arm.trim()) {
        return Err(wrong("that arm is not measured"));
    }
    Ok((arm.trim().to_owned(), share))
}

/// Whether an arm is below its bar; says so on stderr.
fn missed(bars: &[(String, f64)], outcome: &EvalReport) -> bool {
    let mut missed = false;
    for (name, bar) in bars {
        for arm in outcome.arms.iter().filter(|arm| arm.name == *name && arm.accuracy < *bar) {
            eprintln!("--fail-under: {name} reached {:.4}, the bar is {bar}", arm.accuracy);
            missed = true;
        }
    }
    missed
}
