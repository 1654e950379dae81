//! The command line: flags in, results to stdout, everything else to stderr.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing_subscriber::fmt::format::FmtSpan;

use crate::input::{Format, InputOptions};

mod arms;
mod batch;
mod calibrate;
mod classify;
mod claude;
pub mod config;
mod estimate;
mod eval;
mod evidence;
mod hint;
mod index;
mod lint;
mod output;
mod panic;
mod progress;
mod report_file;
mod store;
mod summary;
mod taxonomy;
mod wiring;

const AFTER_HELP: &str = "\
Environment: ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN, ANTHROPIC_BASE_URL, HTTPS_PROXY; \
TICKET_ROUTER_STORE, _MODEL_DIR, _EMBEDDER, _LABELER, _MODEL, _MODELS, _PROMPTS, _CA_FILE, _INTENTS, _K, _MIN_CONFIDENCE, _CONCURRENCY, _STORE_TIMEOUT_SECONDS; QDRANT_API_KEY.
Exit codes: 0 success; 1 a failure, some tickets failed, a missed --fail-under, an eval that scored fewer than half of its tickets, or errors in a taxonomy; 2 a wrong command line.";

/// Classifies and routes support tickets with Claude and few-shot examples retrieved from
/// Qdrant.
#[derive(Debug, Parser)]
#[command(name = "ticket-router", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring the example store to what files of labelled tickets say
    Index(index::IndexArgs),
    /// Name the intent of tickets and decide: route or review
    Classify(classify::ClassifyArgs),
    /// Measure on labelled tickets how often answers are right, in several arms side by side
    Eval(eval::EvalArgs),
    /// Set the dial: learn from labelled tickets which answers are right often enough to be routed
    Calibrate(calibrate::CalibrateArgs),
    /// Find examples with a wrong label, and intents that are hard to tell apart
    Lint(lint::LintArgs),
    /// Describe, copy, export or delete a store
    Store(store::StoreArgs),
    /// Check the intents, rename them, merge them
    Taxonomy(taxonomy::TaxonomyArgs),
}

/// Flags of every command. Most can also be set in the environment (`TICKET_ROUTER_STORE`, …) or
/// as a key in ticket-router.toml.
#[derive(Debug, Args)]
struct CommonArgs {
    /// The example store: a folder, or http(s)://host:6334[/collection] for a Qdrant server
    /// [default: .ticket-router]
    #[arg(long, global = true, value_name = "DIR|URL")]
    store: Option<String>,
    /// Embedding model: one that scripts/setup provides (all-MiniLM-L6-v2, or smaller and faster
    /// all-MiniLM-L6-v2-int8), a name of fastembed's list, or hash, which needs no model and
    /// compares words alone, for trying out [default: all-MiniLM-L6-v2]
    #[arg(long, global = true, value_name = "NAME")]
    embedder: Option<String>,
    /// Folder that scripts/setup filled [default: .runtime, then the user's data folder]
    #[arg(long, global = true, value_name = "DIR")]
    model_dir: Option<PathBuf>,
    /// Settings file [default: ticket-router.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON document (classify: one line a ticket)
    #[arg(long, global = true)]
    json: bool,
    /// Log what happens to stderr; `RUST_LOG` chooses how much
    #[arg(long, global = true, value_enum, value_name = "FORM")]
    log: Option<LogForm>,
    /// No progress bars
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogForm {
    Text,
    Json,
}

/// How files of tickets are read.
#[derive(Debug, Args)]
struct InputArgs {
    /// Column or key of the text
    #[arg(long, value_name = "NAME", default_value = "text")]
    text_column: String,
    /// Column or key of the intent
    #[arg(long, value_name = "NAME", default_value = "intent")]
    intent_column: String,
    /// Column or key of the ticket's id [default: id; made from the text where there is none]
    #[arg(long, value_name = "NAME", default_value = "id", hide_default_value = true)]
    id_column: String,
    /// Format of the files [default: by their name, or by their first bytes]
    #[arg(long, value_enum)]
    format: Option<FormatArg>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatArg {
    Jsonl,
    Csv,
    Tsv,
}

impl InputArgs {
    fn options(&self) -> InputOptions {
        let format = self.format.map(|format| match format {
            FormatArg::Jsonl => Format::Jsonl,
            FormatArg::Csv => Format::Csv,
            FormatArg::Tsv => Format::Tsv,
        });
        InputOptions {
            text_column: self.text_column.clone(),
            intent_column: self.intent_column.clone(),
            id_column: self.id_column.clone(),
            format,
        }
    }
}

/// Parses the command line, runs the command and returns the exit code: 0; 1 for a failure,
/// failed tickets or a missed bar; 2 for a wrong command line.
pub async fn run() -> ExitCode {
    let cli = Cli::parse();
    // A fault of ours, or of a library: one line, since nobody but us can use a backtrace.
    std::panic::set_hook(Box::new(|info| say(&panic::line(info))));
    init_logging(cli.common.log);
    let outcome = match &cli.command {
        Command::Index(args) => index::run(args, &cli.common).await,
        Command::Classify(args) => classify::run(args, &cli.common).await,
        Command::Eval(args) => eval::run(args, &cli.common).await,
        Command::Calibrate(args) => calibrate::run(args, &cli.common).await,
        Command::Lint(args) => lint::run(args, &cli.common).await,
        Command::Store(args) => store::run(args, &cli.common).await,
        Command::Taxonomy(args) => taxonomy::run(args, &cli.common).await,
    };
    match outcome {
        Ok(code) => code,
        Err(e) if is_closed_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            say(&format!("error: {}", hint::line(&e)));
            ExitCode::from(1)
        }
    }
}

/// Spans and events go to stderr when `--log` or `RUST_LOG` asks for them. They hold ids, models,
/// tokens and times, never texts or keys.
fn init_logging(form: Option<LogForm>) {
    let level = if form.is_some() { "ticket_router=info" } else { "off" };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    // A span is one stage of one ticket; its end says how long it took.
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_span_events(FmtSpan::CLOSE).with_writer(std::io::stderr);
    let _ = match form {
        Some(LogForm::Json) => log.json().with_current_span(true).with_span_list(false).try_init(),
        _ => log.try_init(),
    };
}

/// Prints a line for the user to stderr. That it cannot be written is no reason to fail.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints a result.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write the result to stdout")
}

/// Prints a result as pretty JSON.
fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}

/// `ticket-router … | head` is no failure.
fn is_closed_pipe(e: &anyhow::Error) -> bool {
    let io = e.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.into_iter().any(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}
