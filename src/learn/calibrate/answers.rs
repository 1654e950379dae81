//! Lets a judge answer tickets that its store has not learned from.

use futures::stream::{self, StreamExt as _};
use uuid::Uuid;

use crate::data::ticket::LabelledTicket;
use crate::measure::eval::{EMBED_CHUNK, Progress, StoredIdentities};
use crate::pipeline::{Classification, Embedded, Judge, Retriever, Scope, WINDOW, let_arrive};
use crate::{Error, Result};

/// A ticket, and the keys under which it is in the store itself.
pub(super) type Measured = (LabelledTicket, Vec<Uuid>);

/// The tickets with their own keys in the store; without those that the probe has learned from.
pub(super) async fn unseen(retriever: &Retriever, tickets: Vec<LabelledTicket>) -> Result<Vec<Measured>> {
    if tickets.is_empty() {
        return Err(Error::bad_input("there are no labelled tickets to calibrate on"));
    }
    let identities = StoredIdentities::read(retriever).await?;
    let with_keys = tickets.into_iter().map(|labelled| {
        let keys = identities.of(&labelled);
        (labelled, keys)
    });
    let kept: Vec<_> = with_keys.filter(|(_, keys)| keys.is_empty() || !retriever.has_probe()).collect();
    if kept.is_empty() {
        return Err(Error::bad_input(
            "all tickets are in the store, and the probe has learned from them; calibrate on others, or with --no-probe",
        ));
    }
    Ok(kept)
}

/// All answers, in the order of the tickets. A failure that every ticket would have ends it.
pub(super) async fn answer(
    retriever: &Retriever,
    judge: &Judge,
    tickets: &[Measured],
    concurrency: usize,
    progress: Progress<'_>,
) -> Result<Vec<Result<Classification>>> {
    let chunks = tickets.chunks(EMBED_CHUNK).map(|chunk| chunk.iter().map(|(l, _)| l.ticket.clone()).collect());
    let chunks: Vec<Vec<_>> = chunks.collect();
    let one = |embedded: Result<Embedded>, exclude: Vec<Uuid>| async {
        let gathered = retriever.search(embedded?, Scope { exclude, without_probe: false }).await?;
        judge.judge(retriever, &gathered).await
    };
    let started = concurrency.max(1) * WINDOW;
    let mut stream = stream::iter(chunks)
        .map(|chunk| retriever.embed(chunk))
        .buffered(2)
        .flat_map(stream::iter)
        .zip(stream::iter(tickets.iter().map(|(_, keys)| keys.clone())))
        .map(|(embedded, exclude)| one(embedded, exclude))
        .buffered(started);
    let mut answers = Vec::with_capacity(tickets.len());
    while let Some(answer) = stream.next().await {
        if let Err(e) = &answer
            && e.is_fatal()
        {
            let e = e.clone();
            let_arrive(stream, started).await;
            return Err(e);
        }
        answers.push(answer);
        progress(answers.len(), tickets.len());
    }
    Ok(answers)
}
