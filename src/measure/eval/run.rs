//! The answers of all arms to all tickets: embedded and searched for once.

use futures::future::join_all;
use futures::stream::{self, StreamExt as _};
use uuid::Uuid;

use super::metrics::Scored;
use super::stored::{StaticExamples, StoredIdentities};
use super::{EvalOptions, Progress};
use crate::data::evidence::Candidate;
use crate::data::taxonomy::Taxonomy;
use crate::data::ticket::LabelledTicket;
use crate::pipeline::{Classification, Embedded, Gathered, Judge, Retriever, Scope, WINDOW, let_arrive};
use crate::stages::select::is_near_text;
use crate::{Error, Result};

/// How many tickets are embedded together.
pub(crate) const EMBED_CHUNK: usize = 64;

/// What came of some tickets; vectors run along the tickets.
pub(super) struct Answered {
    pub(super) taxonomy: Taxonomy,
    pub(super) tickets: Vec<LabelledTicket>,
    pub(super) gold: Vec<String>,
    /// Whether the store holds a near-duplicate.
    pub(super) has_duplicate: Vec<bool>,
    pub(super) unknown_gold: usize,
    pub(super) in_store: usize,
    pub(super) dropped: usize,
    /// One for each arm.
    pub(super) arms: Vec<ArmAnswers>,
    pub(super) notes: Vec<String>,
}

/// What an arm answered.
#[derive(Default)]
pub(super) struct ArmAnswers {
    pub(super) answers: Vec<Result<Classification>>,
    /// Whether the intent stayed when it was asked again; empty when it was not.
    pub(super) stable: Vec<bool>,
}

impl Answered {
    /// Whether an arm was right, ticket by ticket.
    pub(super) fn right(&self, arm: usize) -> impl Iterator<Item = bool> + '_ {
        self.arms[arm].answers.iter().zip(&self.gold).map(|(answer, gold)| {
            let intent = answer.as_ref().ok().and_then(|answer| answer.intent.as_deref());
            Scored::new(gold, intent, self.taxonomy.is_fallback(gold), None).correct
        })
    }

    /// Adds the tickets of another part; its notes say the same of another store.
    pub(super) fn extend(&mut self, other: Self) {
        self.tickets.extend(other.tickets);
        self.gold.extend(other.gold);
        self.has_duplicate.extend(other.has_duplicate);
        self.unknown_gold += other.unknown_gold;
        self.in_store += other.in_store;
        self.dropped += other.dropped;
        for (arm, more) in self.arms.iter_mut().zip(other.arms) {
            arm.answers.extend(more.answers);
            arm.stable.extend(more.stable);
        }
    }
}

/// Runs every arm on every ticket.
pub(super) async fn answer(
    retriever: &Retriever,
    tickets: Vec<LabelledTicket>,
    options: &EvalOptions,
    progress: Progress<'_>,
) -> Result<Answered> {
    if tickets.is_empty() {
        return Err(Error::bad_input("there are no labelled tickets to evaluate on"));
    }
    let taxonomy = retriever.taxonomy();
    let identities = StoredIdentities::read(retriever).await?;
    let mut notes = Vec::new();
    let given = tickets.len();
    let mut tickets: Vec<(LabelledTicket, Vec<Uuid>)> = tickets
        .into_iter()
        .map(|labelled| {
            let keys = identities.of(&labelled);
            (labelled, keys)
        })
        .collect();
    let in_store = tickets.iter().filter(|(_, keys)| !keys.is_empty()).count();
    // The probe has learned from every stored ticket, so on those it would only recite.
    let mut without_probe = !retriever.has_probe();
    if !without_probe && in_store == given {
        notes.push("all tickets are in the store, so the probe, which has learned from them, was left out".to_owned());
        without_probe = true;
    }
    if !without_probe {
        tickets.retain(|(_, keys)| keys.is_empty());
    }
    let dropped = given - tickets.len();
    let (tickets, excluded): (Vec<_>, Vec<_>) = tickets.into_iter().unzip();
    let gold: Vec<String> = tickets
        .iter()
        .map(|labelled| taxonomy.resolve(&labelled.intent).unwrap_or(&labelled.intent).to_owned())
        .collect();
    let unknown_gold = gold.iter().filter(|intent| taxonomy.resolve(intent).is_none()).count();

    let fixed = StaticExamples {
        retriever,
        identities: &identities,
        tickets: &tickets,
        excluded: &excluded,
        given: options.static_examples.as_deref(),
        seed: options.seed,
    };
    let mut arms = Vec::with_capacity(options.arms.len());
    // Without the probe that it was made with a calibration does not hold.
    let does_hold = retriever.has_probe() != without_probe;
    for arm in &options.arms {
        let mut judges = arm.judges(&fixed.of(arm, &mut notes).await?);
        if does_hold {
            let mut calibrated = Vec::with_capacity(judges.len());
            for judge in judges {
                let (judge, note) = judge.calibrated(retriever).await?;
                notes.extend(note);
                calibrated.push(judge);
            }
            judges = calibrated;
        }
        arms.push(judges);
    }
    notes.dedup();

    let total = tickets.len() * arms.len();
    let (mut done, arms) = (0, &arms);
    let texts: Vec<_> = tickets.iter().map(|labelled| labelled.ticket.clone()).collect();
    let chunks: Vec<_> = texts.chunks(EMBED_CHUNK).map(<[_]>::to_vec).collect();
    let mut answers: Vec<ArmAnswers> = arms.iter().map(|_| ArmAnswers::default()).collect();
    let mut has_duplicate = Vec::with_capacity(tickets.len());
    let started = options.concurrency.max(1) * WINDOW;
    let mut stream = stream::iter(chunks)
        .map(|chunk| retriever.embed(chunk))
        .buffered(2)
        .flat_map(stream::iter)
        .zip(stream::iter(excluded))
        .map(|(embedded, exclude)| {
            let scope = Scope { exclude, without_probe };
            async { answer_all(retriever, arms, embedded, scope).await }
        })
        .buffered(started);
    while let Some((is_duplicate, of_ticket)) = stream.next().await {
        has_duplicate.push(is_duplicate);
        for (arm, (answer, stable)) in answers.iter_mut().zip(of_ticket) {
            // What is wrong with the set-up is no property of a ticket.
            if let Err(e) = &answer
                && e.is_fatal()
            {
                let e = e.clone();
                let_arrive(stream, started).await;
                return Err(e);
            }
            arm.answers.push(answer);
            arm.stable.extend(stable);
        }
        done += arms.len();
        progress(done, total);
    }
    drop(stream);
    let taxonomy = Taxonomy::clone(&taxonomy);
    Ok(Answered { taxonomy, tickets, gold, has_duplicate, unknown_gold, in_store, dropped, arms: answers, notes })
}

/// An arm's answer to a ticket, and whether it stayed when it was asked again.
type Answer = (Result<Classification>, Option<bool>);

/// Whether the store holds a near-duplicate of a ticket, and what the arms answer.
async fn answer_all(
    retriever: &Retriever,
    arms: &[Vec<Judge>],
    embedded: Result<Embedded>,
    scope: Scope,
) -> (bool, Vec<Answer>) {
    let gathered = match embedded {
        Ok(embedded) => retriever.search(embedded, scope).await,
        Err(e) => Err(e),
    };
    let gathered = match gathered {
        Ok(gathered) => gathered,
        Err(e) => return (false, arms.iter().map(|_| (Err(e.clone()), None)).collect()),
    };
    let judged = arms.iter().map(|judges| join_all(judges.iter().map(|judge| judge.judge(retriever, &gathered))));
    let answers = join_all(judged).await.into_iter().map(one_answer).collect();
    (has_near_duplicate(&gathered), answers)
}

/// Whether one of the examples that were found says nearly the same as the ticket. Its intent does
/// not matter: what the labeler sees is nearly the ticket itself.
fn has_near_duplicate(gathered: &Gathered) -> bool {
    let is_near = |candidate: &Candidate| {
        is_near_text(candidate.cosine, &gathered.ticket.text, &candidate.example.labelled.ticket.text)
    };
    gathered.candidates.iter().any(is_near)
}

/// The first answer, unless a later one shows that the run must not go on.
fn one_answer(mut answers: Vec<Result<Classification>>) -> Answer {
    let intent = |answer: &Result<Classification>| answer.as_ref().ok().map(|answer| answer.intent.clone());
    let first = intent(&answers[0]);
    let stable = (answers.len() > 1).then(|| first.is_some() && answers.iter().all(|answer| intent(answer) == first));
    let fatal = answers.iter().position(|answer| answer.as_ref().is_err_and(Error::is_fatal));
    (answers.swap_remove(fatal.unwrap_or(0)), stable)
}
