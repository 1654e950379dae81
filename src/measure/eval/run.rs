//! The answers of all arms to all tickets: embedded and searched for once.

use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt as _;
use uuid::Uuid;

use super::EvalOptions;
use super::arm::Arm;
use super::metrics::Scored;
use super::stored::StaticExamples;
use crate::data::evidence::Candidate;
use crate::data::taxonomy::Taxonomy;
use crate::data::ticket::LabelledTicket;
use crate::pipeline::{Classification, Gathered, Needs, Options, Progress, Retriever, StoredIdentities, Task, run};
use crate::stages::select::is_near_text;
use crate::{Error, Result};

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
    retriever: &Arc<Retriever>,
    tickets: Vec<LabelledTicket>,
    options: &EvalOptions,
    progress: Progress<'_>,
) -> Result<Answered> {
    if tickets.is_empty() {
        return Err(Error::bad_input("there are no labelled tickets to evaluate on"));
    }
    let search = common_search(&options.arms)?;
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
    let would_recite = retriever.asks_probe(search) && in_store == given;
    if would_recite {
        notes.push("all tickets are in the store, so the probe, which has learned from them, was left out".to_owned());
    } else if retriever.asks_probe(search) {
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
    for arm in &options.arms {
        let options = Options { probe: arm.options.probe && !would_recite, ..arm.options.clone() };
        let mut judges = arm.judges(&fixed.of(arm, &mut notes).await?, &options);
        // Without the probe that it was made with a calibration does not hold.
        if !would_recite {
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
    let mut answers: Vec<ArmAnswers> = arms.iter().map(|_| ArmAnswers::default()).collect();
    let mut has_duplicate = Vec::with_capacity(tickets.len());
    let task = |(labelled, exclude): (&LabelledTicket, Vec<Uuid>)| Task { ticket: labelled.ticket.clone(), exclude };
    let tasks = tickets.iter().zip(excluded).map(task).collect();
    // How often each arm answers a ticket, and what it is charged for.
    let each: Vec<(usize, Needs)> = arms.iter().map(|judges| (judges.len(), judges[0].needs(&taxonomy))).collect();
    let mut stream = pin!(run(Arc::clone(retriever), arms.into_iter().flatten().collect(), tasks, options.concurrency));
    while let Some(answered) = stream.next().await {
        let answered = answered?;
        has_duplicate.push(answered.gathered.as_deref().is_some_and(has_near_duplicate));
        let mut of_ticket = answered.answers.into_iter();
        for (arm, &(times, needs)) in answers.iter_mut().zip(&each) {
            let (mut answer, stable) = one_answer(of_ticket.by_ref().take(times).collect());
            if let Ok(answer) = &mut answer {
                answer.latency_ms = answer.latency_ms.charged(needs);
            }
            arm.answers.push(answer);
            arm.stable.extend(stable);
        }
        progress(has_duplicate.len() * each.len(), total);
    }
    let taxonomy = Taxonomy::clone(&taxonomy);
    Ok(Answered { taxonomy, tickets, gold, has_duplicate, unknown_gold, in_store, dropped, arms: answers, notes })
}

/// The options that all arms search by: a ticket is searched for once.
fn common_search(arms: &[Arm]) -> Result<&Options> {
    let first = arms.first().ok_or_else(|| Error::configuration("there are no arms to compare; give one at least"))?;
    match arms.iter().find(|arm| !arm.options.search_alike(&first.options)) {
        None => Ok(&first.options),
        Some(other) => Err(Error::configuration(format!(
            "the arms {} and {} differ in filter, probe or novelty; measure them in two evaluations",
            first.name, other.name
        ))),
    }
}

/// Whether one of the examples that were found says nearly the same as the ticket. Its intent does
/// not matter: what the labeler sees is nearly the ticket itself.
fn has_near_duplicate(gathered: &Gathered) -> bool {
    let is_near = |candidate: &Candidate| {
        is_near_text(candidate.cosine, &gathered.ticket.text, &candidate.example.labelled.ticket.text)
    };
    gathered.candidates.iter().any(is_near)
}

/// The first answer, and whether it stayed when it was asked again.
fn one_answer(mut answers: Vec<Result<Classification>>) -> (Result<Classification>, Option<bool>) {
    let intent = |answer: &Result<Classification>| answer.as_ref().map(|answer| answer.intent.clone()).ok();
    let first = intent(&answers[0]);
    let stable = (answers.len() > 1).then(|| first.is_some() && answers.iter().all(|answer| intent(answer) == first));
    (answers.swap_remove(0), stable)
}
