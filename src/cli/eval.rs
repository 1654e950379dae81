//! `ticket-router eval`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::output::Output;
use super::progress::Progress;
use super::report_file::{ReportFile, Subject};
use super::wiring::{LabelerArgs, Settings, read_labelled};
use super::{CommonArgs, InputArgs, say, summary};
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
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    arms: Option<Vec<ArmArg>>,
    /// Examples of the static arm [default: 9 drawn from the store]
    #[arg(long, value_name = "FILE")]
    r#static: Option<PathBuf>,
    /// Seed of what is drawn
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,
    /// Write the report here and not to stdout; Claude's answers are kept in FILE.journal, and the
    /// same command goes on from it after a kill
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write a report as well, by its ending: .html (a page for people), .md or .json; may be given
    /// several times. It holds ticket texts
    #[arg(long, value_name = "FILE", value_parser = ReportFile::parse)]
    report: Vec<ReportFile>,
    /// Fail (exit code 1) if an arm's accuracy is below a bar, such as retrieved=0.90
    #[arg(long, value_name = "ARM=SHARE", value_parser = parse_bar)]
    fail_under: Vec<Bar>,
    #[command(flatten)]
    columns: InputArgs,
    // Comes under a heading of its own in --help, so it comes last.
    #[command(flatten)]
    labeler: LabelerArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ArmArg {
    Zero,
    Static,
    Retrieved,
}

impl ArmArg {
    fn arm(self) -> Arm {
        match self {
            Self::Zero => Arm::Zero,
            Self::Static => Arm::Static,
            Self::Retrieved => Arm::Retrieved,
        }
    }
}

/// An accuracy that an arm must reach.
#[derive(Debug, Clone)]
struct Bar {
    arm: Arm,
    share: f64,
}

pub(super) async fn run(args: &EvalArgs, common: &CommonArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::resolve(common)?;
    let labelling = args.labeler.resolve(&settings.config, true, args.output.as_deref())?;
    let arms = arms(args, labelling.claude().is_some())?;
    args.report.iter().try_for_each(ReportFile::check)?;
    let input = args.columns.options();
    let tickets = read_labelled(&args.file, &input)?;
    let static_examples = args.r#static.as_ref().map(|path| read_labelled(path, &input)).transpose()?;

    let retriever = Retriever::open(settings.open_store().await?, settings.embedder().await?).await?;
    let retriever = labelling.evidence.apply(retriever);
    let options = EvalOptions {
        arms,
        k: labelling.k,
        selection: labelling.evidence.selection,
        strategy: labelling.evidence.strategy,
        static_examples,
        seed: args.seed,
        min_confidence: labelling.min_confidence,
        concurrency: labelling.concurrency,
    };
    let progress = Progress::new("evaluating", common.quiet);
    let report = |done, total| progress.update(done, total);
    let outcome = evaluate(&retriever, labelling.labeler(), tickets, &options, &report).await;
    drop(progress);
    if let Some(run) = labelling.claude() {
        summary::print_account(run);
    }
    let outcome = outcome?;
    let mut output = Output::open(args.output.as_deref())?;
    let text = if common.json { serde_json::to_string_pretty(&outcome)? } else { report::eval_table(&outcome) };
    output.line(text.trim_end())?;
    output.finish()?;
    if !args.report.is_empty() {
        let subject = Subject { settings: &settings, retriever: &retriever, options: &options, test_file: &args.file };
        let run = subject.run(&outcome).await?;
        args.report.iter().try_for_each(|file| file.write(&outcome, &run))?;
    }
    let failed = outcome.arms.iter().any(|arm| arm.errors > 0);
    Ok(ExitCode::from(u8::from(missed(&args.fail_under, &outcome) || failed)))
}

fn arms(args: &EvalArgs, claude: bool) -> Result<Vec<Arm>> {
    let usual = [ArmArg::Zero, ArmArg::Static, ArmArg::Retrieved];
    let usual = if claude { &usual[..] } else { &usual[1..] };
    let mut arms: Vec<Arm> = Vec::new();
    for arm in args.arms.as_deref().unwrap_or(usual) {
        if *arm == ArmArg::Zero && !claude {
            return Err(Error::configuration(
                "--arms zero shows no examples, and vote has nothing else to go by; leave it out",
            ));
        }
        if !arms.contains(&arm.arm()) {
            arms.push(arm.arm());
        }
    }
    if let Some(bar) = args.fail_under.iter().find(|bar| !arms.contains(&bar.arm)) {
        return Err(Error::configuration(format!(
            "--fail-under {}={}: that arm is not measured; add it to --arms",
            bar.arm.name(),
            bar.share
        )));
    }
    Ok(arms)
}

fn parse_bar(bar: &str) -> Result<Bar, String> {
    let example = "write it as retrieved=0.90";
    let (arm, share) = bar.split_once('=').ok_or_else(|| format!("there is no =; {example}"))?;
    let arm = ArmArg::from_str(arm.trim(), true).map_err(|_| format!("there is no arm {arm:?}; {example}"))?.arm();
    let share = share.trim().parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.map(|share| Bar { arm, share }).ok_or_else(|| format!("the bar is not a share from 0 to 1; {example}"))
}

/// Whether an arm is below its bar; says so on stderr.
fn missed(bars: &[Bar], outcome: &EvalReport) -> bool {
    let mut missed = false;
    for bar in bars {
        for arm in outcome.arms.iter().filter(|arm| arm.name == bar.arm.name() && arm.accuracy < bar.share) {
            say(&format!("--fail-under: {} reached {:.4}, the bar is {}", arm.name, arm.accuracy, bar.share));
            missed = true;
        }
    }
    missed
}
