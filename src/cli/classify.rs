//! `ticket-router classify`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use futures::StreamExt as _;
use serde_json::json;

use super::output::Output;
use super::progress::Progress;
use super::wiring::{LabelerArgs, Labelling, Settings, read_labelled};
use super::{CommonArgs, InputArgs, batch, estimate, hint, say, summary};
use crate::data::decision::Decision;
use crate::data::ticket::Ticket;
use crate::pipeline::{Classification, Classifier, Retriever};
use crate::{Error, Result, input, report};

/// What `classify` takes.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "these are flags")]
pub(super) struct ClassifyArgs {
    /// Texts of tickets (many at once: --input)
    #[arg(value_name = "TEXT", required_unless_present = "input", conflicts_with = "input")]
    texts: Vec<String>,
    /// File of tickets: JSON Lines, CSV or TSV; - for standard input
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Write the results here and not to stdout; Claude's answers are kept in FILE.journal, and
    /// the same command goes on from it after a kill
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Which examples the labeler sees
    #[arg(long, value_enum, default_value = "retrieved")]
    examples: ExamplesArg,
    /// File of labelled tickets for --examples static
    #[arg(long, value_name = "FILE", required_if_eq("examples", "static"))]
    r#static: Option<PathBuf>,
    /// Show what each decision rests on (--json shows everything)
    #[arg(long)]
    explain: bool,
    /// Print the exact request bodies and send nothing; needs no key
    #[arg(long)]
    dry_run: bool,
    /// Print how many requests and tokens the run would take and what it would cost; sends no ticket
    #[arg(long, conflicts_with = "dry_run")]
    estimate: bool,
    /// Send through Message Batches: half the price, answered within a day; needs --output
    #[arg(long, requires = "output", conflicts_with_all = ["dry_run", "estimate"])]
    batch: bool,
    #[command(flatten)]
    columns: InputArgs,
    // These two come under a heading of their own in --help, so they come last.
    #[command(flatten)]
    labeler: LabelerArgs,
    #[command(flatten)]
    batch_settings: batch::BatchArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExamplesArg {
    Retrieved,
    Static,
    None,
}

/// A row of the input: a ticket, or why it is none. The name is the id where there is one.
pub(super) struct InputTicket {
    name: String,
    ticket: Result<Ticket, String>,
}

/// How the tickets of a run ended.
#[derive(Default)]
struct Tally {
    routed: usize,
    reviewed: usize,
    failed: usize,
}

pub(super) async fn run(args: &ClassifyArgs, common: &CommonArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::resolve(common)?;
    // Without a key nothing else is worth waiting for.
    let sends = !args.dry_run && !args.estimate;
    let mut labelling = args.labeler.resolve(&settings.config, sends, args.output.as_deref())?;
    let tickets = tickets(args)?;
    let mut classifier = build(args, &settings, &mut labelling).await?;
    if let Some(note) = classifier.note() {
        say(&format!("note: {note}"));
    }
    let good: Vec<Ticket> = tickets.iter().filter_map(|row| row.ticket.as_ref().ok().cloned()).collect();

    if args.estimate {
        let counter = args.labeler.token_counter(&settings.config)?;
        estimate::run(&classifier, &good, &labelling, counter.as_ref(), common.json).await?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.batch {
        let run = labelling.claude().context("--batch is for --labeler claude")?;
        let failed = batch::fulfil(&mut classifier, &good, run, &args.batch_settings, common.quiet).await?;
        if let Some((labeler, _)) = run.collector(&failed) {
            classifier.set_labeler(labeler).await?;
        }
    }
    let mut output = Output::open(args.output.as_deref())?;
    let outcome = if args.dry_run {
        if labelling.claude().is_none() {
            return Err(Error::configuration("this labeler sends nothing; --dry-run is for --labeler claude").into());
        }
        preview(&classifier, &tickets, &mut output, common.json).await
    } else {
        classify(&classifier, &good, tickets, args, common, &mut output).await
    };
    let outcome = match outcome {
        Ok(tally) => output.finish().map(|()| tally),
        Err(e) => Err(e),
    };
    if let Some(run) = labelling.claude() {
        summary::print_account(run);
    }
    let tally = outcome?;
    if args.input.is_some() && !args.dry_run {
        let total = tally.routed + tally.reviewed + tally.failed;
        let target = args.output.as_ref().map(|path| format!(", in {}", path.display())).unwrap_or_default();
        say(&format!(
            "{total} tickets: {} route, {} review, {} failed{target}",
            tally.routed, tally.reviewed, tally.failed
        ));
    }
    Ok(ExitCode::from(u8::from(tally.failed > 0)))
}

async fn build(args: &ClassifyArgs, settings: &Settings, labelling: &mut Labelling) -> Result<Classifier> {
    let (store, embedder) = (settings.open_store().await?, settings.embedder().await?);
    let retriever = Arc::new(Retriever::open(store, embedder).await?);
    if let Some(note) = labelling.look_up_threshold(&retriever).await? {
        say(&format!("note: {note}"));
    }
    let builder = Classifier::builder()
        .retriever(retriever)
        .labeler(labelling.labeler())
        .options(labelling.options.clone())
        .concurrency(labelling.concurrency);
    match (args.examples, &args.r#static) {
        (ExamplesArg::None, _) => builder.no_examples(),
        (ExamplesArg::Static, Some(path)) => builder.static_examples(read_labelled(path, &args.columns.options())?),
        _ => builder,
    }
    .build()
    .await
}

fn tickets(args: &ClassifyArgs) -> Result<Vec<InputTicket>> {
    let Some(path) = &args.input else {
        if let Some(position) = args.texts.iter().position(|text| text.trim().is_empty()) {
            return Err(Error::bad_input(format!("text number {} is empty; a ticket needs a text", position + 1)));
        }
        let row = |text: &String| {
            let ticket = Ticket::new(text.as_str());
            InputTicket { name: ticket.id.clone(), ticket: Ok(ticket) }
        };
        return Ok(args.texts.iter().map(row).collect());
    };
    let same =
        |a: &PathBuf, b: &PathBuf| a == b || a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b));
    if args.output.as_ref().is_some_and(|output| same(output, path)) {
        return Err(Error::configuration(
            "--output is the file of --input; name another, or the tickets would be lost",
        ));
    }
    let rows = input::read(path, &args.columns.options())?;
    let row = |row: input::Row| match row.content {
        Ok(content) => InputTicket { name: content.ticket.id.clone(), ticket: Ok(content.ticket) },
        Err(message) => InputTicket { name: row.id.unwrap_or(row.place), ticket: Err(message) },
    };
    Ok(rows.into_iter().map(row).collect())
}

/// Writes one result for each row of the input, in its order.
async fn classify(
    classifier: &Classifier,
    good: &[Ticket],
    tickets: Vec<InputTicket>,
    args: &ClassifyArgs,
    common: &CommonArgs,
    output: &mut Output,
) -> anyhow::Result<Tally> {
    let total = tickets.len();
    let mut answers = Box::pin(classifier.classify_all(good));
    let progress = Progress::new("classifying", common.quiet || total == 1);
    let mut tally = Tally::default();
    for (position, InputTicket { name, ticket }) in tickets.into_iter().enumerate() {
        let (text, answer) = match ticket {
            Err(message) => (String::new(), Err(Error::bad_input(message))),
            Ok(ticket) => (ticket.text, answers.next().await.context("the stream of answers ended early")?),
        };
        match &answer {
            // What is wrong with the set-up will be wrong with every ticket.
            Err(e) if e.is_fatal() => return Err(e.clone().into()),
            Err(_) => tally.failed += 1,
            Ok(answer) if answer.decision == Decision::Route => tally.routed += 1,
            Ok(_) => tally.reviewed += 1,
        }
        output.line(&rendered(&name, &text, &answer, args, common)?)?;
        progress.update(position + 1, total);
    }
    Ok(tally)
}

fn rendered(
    id: &str,
    text: &str,
    answer: &Result<Classification>,
    args: &ClassifyArgs,
    common: &CommonArgs,
) -> anyhow::Result<String> {
    Ok(match answer {
        Ok(answer) if common.json => serde_json::to_string(answer)?,
        Ok(answer) if args.explain => report::explain(text, answer),
        Ok(answer) => report::line(text, answer),
        Err(e) if common.json => {
            json!({"id": id, "error": hint::explained(e), "request_id": e.request_id()}).to_string()
        }
        Err(e) => {
            let request = e.request_id().map(|id| format!(" [{id}]")).unwrap_or_default();
            format!("{id}  error   {}{request}", hint::explained(e))
        }
    })
}

/// Writes the request bodies: pretty for people, one a line with --json.
async fn preview(
    classifier: &Classifier,
    tickets: &[InputTicket],
    output: &mut Output,
    json: bool,
) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    for row in tickets {
        match &row.ticket {
            Ok(ticket) => {
                let Some(body) = classifier.preview(ticket).await? else {
                    say(&format!("{}: the vote is sure, so nothing would be sent", row.name));
                    continue;
                };
                output.line(&if json { body.to_string() } else { serde_json::to_string_pretty(&body)? })?;
            }
            Err(message) => {
                tally.failed += 1;
                say(&format!("{}: {message}", row.name));
            }
        }
    }
    Ok(tally)
}

/// Requests that failed for good in a batch, by their key.
pub(super) type Failed = HashMap<crate::claude::RequestKey, String>;
