//! `ticket-router eval`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::arms::{ArmArgs, is_usual};
use super::output::Output;
use super::progress::Progress;
use super::report_file::{LearnedFrom, ReportFile, Subject};
use super::wiring::{LabelerArgs, Labelling, Settings, read_labelled, read_taxonomy};
use super::{CommonArgs, InputArgs, say, summary};
use crate::data::taxonomy::Taxonomy;
use crate::data::ticket::LabelledTicket;
use crate::embed::Embedder;
use crate::measure::eval::{EvalOptions, EvalReport, Split, TemporaryStores, evaluate, evaluate_split, learning_curve};
use crate::pipeline::Retriever;
use crate::store::{ExampleStore, TAXONOMY_BLOB};
use crate::{Error, Result, report};

/// What `eval` takes.
#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    /// File of labelled tickets: such as the store does not hold, or with --split or --folds all there are
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    arms: ArmArgs,
    /// Examples of the static arm [default: as many as retrieved shows, drawn from the store]
    #[arg(long, value_name = "FILE")]
    r#static: Option<PathBuf>,
    /// Learn from a part of FILE, in a temporary store, and test on the rest: the newer tickets by
    /// `created_at`, or drawn ones
    #[arg(long, value_enum)]
    split: Option<SplitArg>,
    /// How much of FILE --split learns from
    #[arg(long, value_name = "SHARE", default_value_t = 0.8, value_parser = open_share)]
    train_share: f64,
    /// Cross-validate on FILE in so many parts: each is tested with what is learned from the others
    #[arg(long, value_name = "N", conflicts_with = "split", value_parser = clap::value_parser!(u32).range(2..))]
    folds: Option<u32>,
    /// Taxonomy for --split and --folds [default: that of the store, if there is one]
    #[arg(long, value_name = "FILE")]
    taxonomy: Option<PathBuf>,
    /// Also measure with only so many examples of each intent, such as 10,25,50,100
    #[arg(long, value_name = "LIST", value_delimiter = ',', conflicts_with = "folds", value_parser = clap::value_parser!(u32).range(1..))]
    curve: Vec<u32>,
    /// Give accuracy also by the values of this column or key, such as the channel
    #[arg(long, value_name = "NAME")]
    case_column: Option<String>,
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
enum SplitArg {
    Time,
    Random,
}

/// An accuracy that an arm must reach.
#[derive(Debug, Clone)]
struct Bar {
    arm: String,
    share: f64,
}

pub(super) async fn run(args: &EvalArgs, common: &CommonArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::resolve(common)?;
    let labelling = args.labeler.resolve(&settings.config, true, args.output.as_deref())?;
    let beside = match labelling.claude() {
        None if args.arms.name_claude() => Some(args.labeler.claude_run(&settings.config, args.output.as_deref())?),
        _ => None,
    };
    let claude = labelling.claude().or(beside.as_ref());
    if args.split().is_none() && args.taxonomy.is_some() {
        let why = "--taxonomy is for --split and --folds; otherwise it is the store's, which index --taxonomy sets";
        return Err(Error::configuration(why).into());
    }
    let wanted = args.arms.wanted(&labelling, claude)?;
    if let Some(bar) = args.fail_under.iter().find(|bar| wanted.iter().all(|arm| arm.name != bar.arm)) {
        return refused(bar);
    }
    args.report.iter().try_for_each(ReportFile::check)?;
    let input = args.columns.options();
    let tickets = read_labelled(&args.file, &input)?;
    args.case_column.iter().try_for_each(|column| check_cases(column, &tickets))?;
    let static_examples = args.r#static.as_ref().map(|path| read_labelled(path, &input)).transpose()?;
    let ground = Ground::open(args, &settings).await?;
    let (arms, notes) = args.arms.build(wanted, &labelling, claude, ground.retriever.as_deref()).await?;
    let (seed, concurrency, case_column) = (args.seed, labelling.concurrency, args.case_column.clone());
    let options = EvalOptions { arms, static_examples, seed, concurrency, case_column };
    let outcome = measure(args, &settings, &labelling, ground, tickets, &options, common.quiet).await;
    if let Some(run) = claude {
        summary::print_account(run);
    }
    let (mut outcome, learned_from) = outcome?;
    outcome.notes.splice(0..0, notes);
    let mut output = Output::open(args.output.as_deref())?;
    let text = if common.json { serde_json::to_string_pretty(&outcome)? } else { report::eval_table(&outcome) };
    output.line(text.trim_end())?;
    output.finish()?;
    if !args.report.is_empty() {
        let subject = Subject {
            settings: &settings,
            learned_from,
            k: labelling.options.k,
            seed: args.seed,
            test_file: &args.file,
        };
        let run = subject.run(&outcome)?;
        args.report.iter().try_for_each(|file| file.write(&outcome, &run))?;
    }
    let failed = outcome.arms.iter().any(|arm| arm.errors > 0);
    let few = is_mostly_left_out(&outcome);
    Ok(ExitCode::from(u8::from(missed(&args.fail_under, &outcome) || failed || few)))
}

/// What is searched: the store as it is; for --split and --folds temporary ones take its place.
struct Ground {
    embedder: Arc<dyn Embedder>,
    retriever: Option<Arc<Retriever>>,
}

impl Ground {
    async fn open(args: &EvalArgs, settings: &Settings) -> Result<Self> {
        let embedder = settings.embedder().await?;
        if args.split().is_some() {
            return Ok(Self { embedder, retriever: None });
        }
        let retriever = Retriever::open(settings.open_store().await?, Arc::clone(&embedder)).await?;
        Ok(Self { embedder, retriever: Some(Arc::new(retriever)) })
    }
}

/// Runs the arms on it.
async fn measure(
    args: &EvalArgs,
    settings: &Settings,
    labelling: &Labelling,
    ground: Ground,
    tickets: Vec<LabelledTicket>,
    options: &EvalOptions,
    quiet: bool,
) -> anyhow::Result<(EvalReport, LearnedFrom)> {
    let progress = Progress::new("evaluating", quiet);
    let report = |done, total| progress.update(done, total);
    let curve: Vec<usize> = args.curve.iter().map(|n| *n as usize).collect();
    let on_curve = EvalOptions { arms: vec![ArmArgs::retrieved(labelling)], ..options.clone() };
    let Ground { embedder, retriever } = ground;
    let stores = |taxonomy| TemporaryStores::new(embedder, taxonomy);
    if let Some(retriever) = retriever {
        let store = retriever.store();
        let mut outcome = evaluate(&retriever, tickets.clone(), options, &report).await?;
        if !curve.is_empty() {
            let stores = stores(own_taxonomy(store).await?);
            let pool = stores.examples_of(store).await?;
            outcome.curve = learning_curve(&stores, &pool, &tickets, &curve, &on_curve, &report).await?;
        }
        let intents = retriever.taxonomy().intents.len();
        return Ok((outcome, LearnedFrom { examples: store.count().await?, intents }));
    }
    let split = args.split().context("there is neither a store nor a split")?;
    let stores = stores(args.taxonomy(settings).await?);
    let intents = tickets.iter().map(|labelled| labelled.intent.as_str()).collect::<BTreeSet<_>>().len();
    let mut outcome = evaluate_split(&stores, &tickets, split, options, &report).await?;
    if let (Some(part), false) = (split.parts(&tickets)?.first(), curve.is_empty()) {
        outcome.curve = learning_curve(&stores, &part.train, &part.test, &curve, &on_curve, &report).await?;
    }
    Ok((outcome, LearnedFrom { examples: tickets.len(), intents }))
}

async fn own_taxonomy(store: &dyn ExampleStore) -> Result<Option<Taxonomy>> {
    store.blob(TAXONOMY_BLOB).await?.map(|json| Taxonomy::from_json(&json)).transpose()
}

impl EvalArgs {
    fn split(&self) -> Option<Split> {
        let (train_share, seed) = (self.train_share, self.seed);
        match (self.split, self.folds) {
            (Some(SplitArg::Time), _) => Some(Split::Time { train_share }),
            (Some(SplitArg::Random), _) => Some(Split::Random { train_share, seed }),
            (None, Some(folds)) => Some(Split::Folds { folds: folds as usize, seed }),
            (None, None) => None,
        }
    }

    /// The taxonomy that temporary stores get.
    async fn taxonomy(&self, settings: &Settings) -> Result<Option<Taxonomy>> {
        match &self.taxonomy {
            Some(path) => Taxonomy::from_toml(&read_taxonomy(path)?, &path.display().to_string()).map(Some),
            None => match settings.find_store().await? {
                Some(store) => own_taxonomy(store.as_ref()).await,
                None => Ok(None),
            },
        }
    }
}

/// A bar for a known arm that is not measured is a failure, one for an unknown arm a wrong command
/// line.
fn refused(bar: &Bar) -> anyhow::Result<ExitCode> {
    let Bar { arm, share } = bar;
    if is_usual(arm) {
        let text = format!("--fail-under {arm}={share}: that arm is not measured; add it to --arms");
        return Err(Error::configuration(text).into());
    }
    say(&format!("error: --fail-under {arm}={share}: there is no arm {arm:?}; name one of --arms or --arm"));
    Ok(ExitCode::from(2))
}

fn parse_bar(bar: &str) -> Result<Bar, String> {
    let example = "write it as retrieved=0.90";
    let (arm, share) = bar.split_once('=').ok_or_else(|| format!("there is no =; {example}"))?;
    let share = share.trim().parse().ok().filter(|share| (0.0..=1.0).contains(share));
    let bar = share.map(|share| Bar { arm: arm.trim().to_owned(), share });
    bar.ok_or_else(|| format!("the bar is not a share from 0 to 1; {example}"))
}

/// A share between 0 and 1.
fn open_share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| *share > 0.0 && *share < 1.0);
    share.ok_or_else(|| format!("{text} is not a share between 0 and 1"))
}

/// Fails where no ticket has a value in the column of cases: then its name is a wrong one.
fn check_cases(column: &str, tickets: &[LabelledTicket]) -> Result<()> {
    if tickets.iter().any(|labelled| labelled.ticket.attribute(column).is_some()) {
        return Ok(());
    }
    let known: BTreeSet<&str> =
        tickets.iter().flat_map(|labelled| labelled.ticket.attributes.keys()).map(String::as_str).collect();
    let there = if known.is_empty() { "none".to_owned() } else { known.into_iter().collect::<Vec<_>>().join(", ") };
    Err(Error::bad_input(format!("--case-column {column}: no ticket has a value there; further columns: {there}")))
}

/// Whether too few of the tickets were scored for the figures to be about them; says so on stderr.
fn is_mostly_left_out(outcome: &EvalReport) -> bool {
    let few = outcome.is_mostly_left_out();
    if few {
        say(&format!(
            "error: only {} of {} tickets were scored: the other {} are in the store, and the probe has learned from \
             them; test on tickets that the store does not hold, or leave the probe out with --no-probe",
            outcome.tickets,
            outcome.given(),
            outcome.dropped
        ));
    }
    few
}

/// Whether an arm is below its bar; says so on stderr.
fn missed(bars: &[Bar], outcome: &EvalReport) -> bool {
    let mut missed = false;
    for bar in bars {
        for arm in outcome.arms.iter().filter(|arm| arm.name == bar.arm && arm.accuracy < bar.share) {
            say(&format!("--fail-under: {} reached {:.4}, the bar is {}", arm.name, arm.accuracy, bar.share));
            missed = true;
        }
    }
    missed
}
