//! Measures labelers on tickets whose intent is known: several arms on the same tickets,
//! each with its accuracy, its cost and its time, and the differences between them.

use std::sync::Arc;

use serde::Serialize;

use crate::Result;
use crate::data::label::Usage;
use crate::data::ticket::LabelledTicket;
use crate::pipeline::{Progress, Retriever};

mod arm;
mod attributes;
mod compare;
pub mod confusion;
mod curve;
pub mod curves;
pub mod metrics;
pub mod record;
mod run;
mod score;
mod split;
mod stored;
mod temporary;

pub use arm::{Arm, Shows};
pub use attributes::AttributeScore;
pub use compare::Comparison;
pub use curve::{CurvePoint, learning_curve};
pub use score::{ArmReport, Percentiles};
pub use split::{Part, Split};
pub use temporary::TemporaryStores;

use run::{Answered, answer};

/// What an evaluation is asked to do.
#[derive(Clone)]
pub struct EvalOptions {
    /// The arms, in the order of the report.
    pub arms: Vec<Arm>,
    /// The examples of static arms; drawn from the store where there are none.
    pub static_examples: Option<Vec<LabelledTicket>>,
    /// For what is drawn.
    pub seed: u64,
    /// How many calls of labelers are under way at once.
    pub concurrency: usize,
    /// The attribute by whose values accuracy is given too.
    pub case_column: Option<String>,
}

/// The outcome of an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvalReport {
    /// Tickets that were scored.
    pub tickets: usize,
    /// How the tickets were divided, where the store was made of some of them.
    pub split: Option<Split>,
    /// Tickets that are in the store by id or by text; they were kept from seeing themselves.
    pub in_store: usize,
    /// How many of those were left out of the score, because the probe has learned from them.
    pub dropped: usize,
    /// Scored tickets of which the store holds a near-duplicate: eight of ten words in common
    /// (Jaccard), or a cosine similarity of 0.97.
    pub near_duplicates: usize,
    /// How many have a gold intent that the store does not know; scored as wrong.
    pub unknown_gold: usize,
    /// The attribute that the cases of the arms are values of, where one was asked for.
    pub case_column: Option<String>,
    /// One for each arm.
    pub arms: Vec<ArmReport>,
    /// Each arm against each later one.
    pub comparisons: Vec<Comparison>,
    /// Accuracy by examples for each intent, where it was asked for.
    pub curve: Vec<CurvePoint>,
    /// What else the user should know.
    pub notes: Vec<String>,
}

impl EvalReport {
    /// Tickets that were given, whether they were scored or left out.
    #[must_use]
    pub fn given(&self) -> usize {
        self.tickets + self.dropped
    }

    /// Whether so many tickets were left out that the figures say little of those that were given:
    /// fewer than half of them were scored.
    #[must_use]
    pub fn is_mostly_left_out(&self) -> bool {
        2 * self.tickets < self.given()
    }
}

/// Runs every arm on every ticket. Embedding and search are done once for all arms.
pub async fn evaluate(
    retriever: &Arc<Retriever>,
    tickets: Vec<LabelledTicket>,
    options: &EvalOptions,
    progress: Progress<'_>,
) -> Result<EvalReport> {
    report(answer(retriever, tickets, options, progress).await?, options)
}

/// Runs every arm on tickets that are divided into what is learned from and what is tested. Each
/// part has a store of its own, made as usual; the answers of all parts are scored together.
pub async fn evaluate_split(
    stores: &TemporaryStores,
    tickets: &[LabelledTicket],
    split: Split,
    options: &EvalOptions,
    progress: Progress<'_>,
) -> Result<EvalReport> {
    let all = split.parts(tickets)?;
    let parts = all.len();
    let total = options.arms.len() * all.iter().map(|part| part.test.len()).sum::<usize>();
    let (mut pooled, mut done, mut notes) = (None::<Answered>, 0, Vec::new());
    for Part { train, test } in all {
        let filled = stores.fill(&train).await?;
        notes.extend(filled.note);
        if parts == 1 {
            notes.push(format!("{} examples were learned from", filled.examples));
        }
        let tested = test.len() * options.arms.len();
        let answered = answer(&filled.retriever, test, options, &|now, _| progress(done + now, total)).await?;
        done += tested;
        match &mut pooled {
            None => pooled = Some(answered),
            Some(pooled) => pooled.extend(answered),
        }
    }
    if parts > 1 {
        notes.push("the parts share their embeddings, so times hold next to nothing of them".to_owned());
    }
    let answered = pooled.ok_or_else(|| crate::Error::internal("a split without parts"))?;
    let mut report = report(answered, options)?;
    report.split = Some(split);
    report.notes.splice(0..0, notes);
    Ok(report)
}

fn report(answered: Answered, options: &EvalOptions) -> Result<EvalReport> {
    let Answered { taxonomy, tickets, gold, has_duplicate, unknown_gold, in_store, dropped, arms: answers, mut notes } =
        answered;
    let mut arms = Vec::with_capacity(answers.len());
    let has_duplicate = has_duplicate.as_slice();
    let tested = score::Tested {
        tickets: &tickets,
        gold: &gold,
        has_duplicate,
        taxonomy: &taxonomy,
        case_column: options.case_column.as_deref(),
        seed: options.seed,
    };
    for (arm, answers) in options.arms.iter().zip(answers) {
        arms.push(score::arm(arm, tested, answers)?);
    }
    for arm in arms.iter().filter(|arm: &&ArmReport| arm.errors > 0) {
        let first = arm.mistakes.iter().find_map(|mistake| mistake.error.as_deref()).unwrap_or_default();
        notes.push(format!(
            "{} tickets of the arm {} failed and count as wrong; the first: {first}",
            arm.errors, arm.name
        ));
    }
    let comparisons = compare::compare(&arms);
    notes.extend(compare::too_small(&comparisons, tickets.len()));
    let near_duplicates = has_duplicate.iter().filter(|has_one| **has_one).count();
    Ok(EvalReport {
        tickets: tickets.len(),
        split: None,
        in_store,
        dropped,
        near_duplicates,
        unknown_gold,
        case_column: options.case_column.clone(),
        arms,
        comparisons,
        curve: Vec::new(),
        notes,
    })
}
