//! `--batch`: fills the journal through Message Batches, before the usual pass reads it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use futures::StreamExt as _;

use super::classify::Failed;
use super::claude::ClaudeRun;
use super::progress::Progress;
use super::say;
use crate::claude::{BatchSettings, Batches};
use crate::data::ticket::Ticket;
use crate::pipeline::Classifier;
use crate::{Error, ErrorKind};

/// A ticket may need more room, a question back, the whole list of intents, and more room
/// again; each is another round, and each level of a hierarchy may need all of them.
const ROUNDS: usize = 5 * 8;
/// How long a second interrupt is waited for.
const SECOND_INTERRUPT: Duration = Duration::from_secs(5);

/// Bounds of a batch.
#[derive(Debug, Args)]
#[command(next_help_heading = "Claude")]
pub(super) struct BatchArgs {
    /// Requests in one batch at most
    #[arg(long, value_name = "N", default_value_t = 100_000, requires = "batch", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch_size: u32,
    /// Seconds between two looks at a batch
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, requires = "batch")]
    batch_poll: f64,
    /// Send requests again of which cannot be told whether an earlier run's batch holds them; they
    /// may be paid for twice
    #[arg(long, requires = "batch")]
    resend: bool,
}

/// Answers all requests of these tickets through batches. Returns those that failed for good.
pub(super) async fn fulfil(
    classifier: &mut Classifier,
    tickets: &[Ticket],
    run: &ClaudeRun,
    args: &BatchArgs,
    quiet: bool,
) -> anyhow::Result<Failed> {
    let (client, journal) = (run.client.clone(), run.journal.clone());
    let (client, journal) = client.zip(journal).context("--batch needs the API and a journal; leave out --replay")?;
    let settings = BatchSettings {
        max_requests: args.batch_size as usize,
        poll: Duration::try_from_secs_f64(args.batch_poll).context("--batch-poll")?,
        resend: args.resend,
        ..BatchSettings::default()
    };
    let batches = Batches::new(client, Arc::clone(&journal), Arc::clone(&run.ledger), settings);
    let mut failed = Failed::new();
    for _ in 0..ROUNDS {
        // Each pass enters all that the journal holds by now, so the account is the run's so far.
        run.ledger.reset();
        let (labeler, source) = run.collector(&failed).context("no journal")?;
        classifier.set_labeler(labeler).await?;
        let mut answers = Box::pin(classifier.classify_all(tickets));
        while let Some(answer) = answers.next().await {
            if let Err(e) = answer
                && e.is_fatal()
            {
                return Err(e.into());
            }
        }
        drop(answers);
        let pending = source.take_pending();
        if pending.is_empty() {
            break;
        }
        let progress = Progress::new("batch", quiet);
        let report = |done, total| progress.update(done, total);
        let fulfilled = batches.fulfil(pending, &report);
        tokio::select! {
            outcome = fulfilled => failed.extend(outcome?),
            signal = tokio::signal::ctrl_c() => {
                signal.context("cannot wait for interrupts")?;
                return Err(interrupted(&batches).await?.into());
            }
        }
    }
    // The pass that answers the tickets keeps the account.
    run.ledger.reset();
    Ok(failed)
}

/// The first interrupt leaves the batches under way; a second one cancels them.
async fn interrupted(batches: &Batches) -> anyhow::Result<Error> {
    say(&format!(
        "interrupted: the batches go on at the API, and the same command collects them; interrupt once more within {} s to cancel them",
        SECOND_INTERRUPT.as_secs()
    ));
    let again = tokio::time::timeout(SECOND_INTERRUPT, tokio::signal::ctrl_c()).await.is_ok();
    let text = if again {
        format!("interrupted twice: {} batches were cancelled; what they had answered is kept", batches.cancel().await?)
    } else {
        "interrupted: run the same command again to collect the batches".to_owned()
    };
    Ok(Error::new(ErrorKind::Stopped, text))
}
