//! `ticket-router classify`.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use futures::StreamExt as _;
use serde_json::json;

use super::progress::Progress;
use super::wiring::{LabelerArgs, Settings, read_labelled};
use super::{CommonArgs, InputArgs, print};
use crate::classifier::{Classification, Classifier};
use crate::ticket::Ticket;
use crate::{Error, ErrorKind, Result, input, report};

/// What `classify` takes.
#[derive(Debug, Args)]
pub(super) struct ClassifyArgs {
    /// Texts of tickets
    #[arg(value_name = "TEXT", required_unless_present = "input", conflicts_with = "input")]
    texts: Vec<String>,
    /// File of tickets: JSON Lines, CSV or TSV; - for standard input
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Write the results here and not to stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    labeler: LabelerArgs,
    /// Which examples the labeler sees
    #[arg(long, value_enum, default_value = "retrieved")]
    examples: ExamplesArg,
    /// File of labelled tickets for --examples static
    #[arg(long, value_name = "FILE", required_if_eq("examples", "static"))]
    r#static: Option<PathBuf>,
    /// Show what each decision rests on
    #[arg(long, conflicts_with = "json")]
    explain: bool,
    /// Print the exact request bodies and send nothing; needs no key
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    columns: InputArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExamplesArg {
    Retrieved,
    Static,
    None,
}

/// A ticket of the input, or why its row is none.
type InputTicket = std::result::Result<Ticket, (String, String)>;

pub(super) async fn run(args: &ClassifyArgs, common: &CommonArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::resolve(common)?;
    let labeler = args.labeler.resolve(&settings.config)?;
    let tickets = tickets(args)?;
    let mut builder = Classifier::builder()
        // Without a key nothing else is worth waiting for.
        .labeler(labeler.labeler(!args.dry_run)?)
        .store(settings.open_store().await?)
        .embedder(settings.embedder().await?)
        .k(labeler.k)
        .concurrency(labeler.concurrency);
    if let Some(share) = labeler.min_confidence {
        builder = builder.min_confidence(share);
    }
    builder = match (args.examples, &args.r#static) {
        (ExamplesArg::None, _) => builder.no_examples(),
        (ExamplesArg::Static, Some(path)) => builder.static_examples(read_labelled(path, &args.columns.options())?),
        _ => builder,
    };
    let classifier = builder.build().await?;
    let mut output = Output::open(args.output.as_deref())?;
    let failed = if args.dry_run {
        preview(&classifier, tickets, &mut output).await?
    } else {
        classify(&classifier, tickets, args, common, &mut output).await?
    };
    output.finish()?;
    Ok(ExitCode::from(u8::from(failed > 0)))
}

fn tickets(args: &ClassifyArgs) -> Result<Vec<InputTicket>> {
    let Some(path) = &args.input else {
        if let Some(position) = args.texts.iter().position(|text| text.trim().is_empty()) {
            return Err(Error::bad_input(format!("text number {} is empty; a ticket needs a text", position + 1)));
        }
        return Ok(args.texts.iter().map(|text| Ok(Ticket::new(text.as_str()))).collect());
    };
    let rows = input::read(path, &args.columns.options())?;
    Ok(rows
        .into_iter()
        .map(|row| match row.content {
            Ok(content) => Ok(content.ticket),
            Err(message) => Err((row.place, message)),
        })
        .collect())
}

/// Writes one result for each row of the input, in its order; returns how many failed.
async fn classify(
    classifier: &Classifier,
    tickets: Vec<InputTicket>,
    args: &ClassifyArgs,
    common: &CommonArgs,
    output: &mut Output,
) -> anyhow::Result<usize> {
    let total = tickets.len();
    let good: Vec<Ticket> = tickets.iter().filter_map(|ticket| ticket.as_ref().ok().cloned()).collect();
    let mut answers = Box::pin(classifier.classify_all(&good));
    let progress = Progress::new("classifying", common.quiet || args.output.is_none() && total == 1);
    let mut failed = 0;
    for (position, ticket) in tickets.into_iter().enumerate() {
        let (id, text, answer) = match ticket {
            Err((place, message)) => (place, String::new(), Err(Error::bad_input(message))),
            Ok(ticket) => {
                let answer = answers.next().await.context("the stream of answers ended early")?;
                (ticket.id, ticket.text, answer)
            }
        };
        // What is wrong with the set-up will be wrong with every ticket.
        if let Err(e) = &answer
            && (matches!(e.kind(), ErrorKind::Configuration | ErrorKind::Store) || is_wrong_key(e))
        {
            return Err(answer.err().map_or_else(|| anyhow::anyhow!("unknown"), Into::into));
        }
        failed += usize::from(answer.is_err());
        output.line(&rendered(&id, &text, &answer, args, common)?)?;
        progress.update(position + 1, total);
    }
    Ok(failed)
}

/// A key that is refused once is refused always.
fn is_wrong_key(e: &Error) -> bool {
    e.kind() == ErrorKind::ApiPermanent
        && ["answered 401", "answered 402", "answered 403"].iter().any(|status| e.to_string().contains(status))
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
        Ok(answer) => report::line(answer),
        Err(e) if common.json => json!({"id": id, "error": e.to_string(), "request_id": e.request_id()}).to_string(),
        Err(e) => format!("{id}  error   {e}"),
    })
}

/// Writes the request bodies, one document after the other.
async fn preview(classifier: &Classifier, tickets: Vec<InputTicket>, output: &mut Output) -> anyhow::Result<usize> {
    let mut failed = 0;
    for ticket in tickets {
        match ticket {
            Ok(ticket) => match classifier.preview(&ticket).await? {
                Some(body) => output.line(&serde_json::to_string_pretty(&body)?)?,
                None => output.line("null")?,
            },
            Err((place, message)) => {
                failed += 1;
                eprintln!("{place}: {message}");
            }
        }
    }
    Ok(failed)
}

/// Stdout or a file that only its owner can read.
enum Output {
    Stdout,
    File(BufWriter<File>),
}

impl Output {
    fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self::Stdout) };
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).with_context(|| format!("cannot write --output {}", path.display()))?;
        Ok(Self::File(BufWriter::new(file)))
    }

    fn line(&mut self, text: &str) -> anyhow::Result<()> {
        match self {
            Self::Stdout => print(&format!("{text}\n")),
            Self::File(file) => writeln!(file, "{text}").context("cannot write the output"),
        }
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Stdout => Ok(()),
            Self::File(mut file) => file.flush().context("cannot write the output"),
        }
    }
}
