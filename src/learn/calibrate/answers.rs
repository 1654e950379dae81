//! Lets a judge answer tickets that its store has not learned from.

use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt as _;
use uuid::Uuid;

use crate::data::ticket::LabelledTicket;
use crate::pipeline::{Classification, Judge, Options, Progress, Retriever, StoredIdentities, Task, run};
use crate::{Error, Result};

/// A ticket, and the keys under which it is in the store itself.
pub(super) type Measured = (LabelledTicket, Vec<Uuid>);

/// The tickets, each with its own keys in the store. Those that the probe has learned from are left out.
pub(super) async fn unseen(
    retriever: &Retriever,
    options: &Options,
    tickets: Vec<LabelledTicket>,
) -> Result<Vec<Measured>> {
    if tickets.is_empty() {
        return Err(Error::bad_input("there are no labelled tickets to calibrate on"));
    }
    let identities = StoredIdentities::read(retriever).await?;
    let with_keys = tickets.into_iter().map(|labelled| {
        let keys = identities.of(&labelled);
        (labelled, keys)
    });
    let kept: Vec<_> = with_keys.filter(|(_, keys)| keys.is_empty() || !retriever.asks_probe(options)).collect();
    if kept.is_empty() {
        return Err(Error::bad_input(
            "all tickets are in the store, and the probe has learned from them; calibrate on others, or with --no-probe",
        ));
    }
    Ok(kept)
}

/// All answers, in the order of the tickets. A failure that every ticket would have ends it.
pub(super) async fn answer(
    retriever: &Arc<Retriever>,
    judge: &Judge,
    tickets: &[Measured],
    concurrency: usize,
    progress: Progress<'_>,
) -> Result<Vec<Result<Classification>>> {
    let task = |(labelled, keys): &Measured| Task { ticket: labelled.ticket.clone(), exclude: keys.clone() };
    let tasks = tickets.iter().map(task).collect();
    let mut stream = pin!(run(Arc::clone(retriever), Arc::from([judge.clone()]), tasks, concurrency));
    let mut answers = Vec::with_capacity(tickets.len());
    while let Some(answered) = stream.next().await {
        answers.extend(answered?.answers);
        progress(answers.len(), tickets.len());
    }
    Ok(answers)
}
