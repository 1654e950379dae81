//! Label hygiene: which examples of a store have doubtful labels, and which intents are hard to
//! tell apart.
//!
//! The method belongs to the family of confident learning (Northcutt, Jiang and Chuang, "Confident
//! Learning: Estimating Uncertainty in Dataset Labels", 2021), in its simplest form: examples
//! are ranked by self-confidence, which is how much two judges give an example's own label without
//! having seen the example. The judges are the vote of its neighbours and, where there are enough
//! examples, a probe trained on the other four fifths. There is no estimate of the joint
//! distribution of given and true labels, and no promise of how many suggestions are right.

use serde::Serialize;

use crate::Result;
use crate::data::example::Example;

mod corpus;
mod corrections;
mod evaluation;
mod intents;
mod judge;
mod labels;
mod misleading;
mod neighbours;

pub use corpus::Corpus;
pub use corrections::corrections;
pub use evaluation::Evaluation;
pub use intents::FEW;

use judge::judge;

/// A label with at least this score is taken for wrong: `--corrections` writes those unless told
/// otherwise. With 500 of BANKING77's 10,003 labels swapped, 582 examples reach it; 491 of these are
/// swapped ones (84 %), and 463 of the swapped ones get their label back. Where fewer labels are
/// wrong, a larger share of the suggestions are false alarms.
pub const SURE: f32 = 0.98;

/// What is wrong, or could be better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Neighbours, and the probe, speak for another label.
    Mislabelled,
    /// A near-duplicate has another label, and this one is the more doubtful of the two.
    Conflict,
    /// Tickets near the example are taken for its intent.
    Misleading,
    /// Two intents that the neighbours take for each other.
    Overlap,
    /// An intent with fewer than [`FEW`] examples.
    FewExamples,
}

/// A thing to look at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Suggestion {
    /// The example's ticket id; `None` for a suggestion about intents.
    pub id: Option<String>,
    /// What is wrong.
    pub kind: Kind,
    /// The label in question.
    pub intent: String,
    /// The label that the example should perhaps have; for an overlap, the other intent.
    pub suggested: Option<String>,
    /// How much speaks for the suggestion, 0 to 1.
    pub score: f32,
    /// The system that the example came from.
    pub source: Option<String>,
    /// The example's key in the store.
    pub key: Option<String>,
    /// For a conflict: the other ticket's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub near_duplicate: Option<String>,
    /// For an overlap: how many examples of `intent` were taken for `suggested`, and the other way
    /// round. For a misleading example: how many tickets it misled, and how many it led in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<[usize; 2]>,
    /// One sentence with the reason.
    pub message: String,
    /// The example itself.
    #[serde(skip)]
    pub example: Option<Example>,
}

impl Suggestion {
    fn on_intent(kind: Kind, intent: &str, score: f32, message: String) -> Self {
        Self {
            id: None,
            kind,
            intent: intent.to_owned(),
            suggested: None,
            score,
            source: None,
            key: None,
            near_duplicate: None,
            counts: None,
            message,
            example: None,
        }
    }

    fn on_example(kind: Kind, example: &Example, suggested: &str, score: f32, message: String) -> Self {
        Self {
            id: Some(example.labelled.ticket.id.clone()),
            suggested: Some(suggested.to_owned()),
            source: Some(example.source.clone()),
            key: Some(example.key.to_string()),
            example: Some(example.clone()),
            ..Self::on_intent(kind, &example.labelled.intent, score, message)
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LintReport {
    /// All suggestions, best first; each example at most once.
    pub suggestions: Vec<Suggestion>,
    /// Examples that were looked at.
    pub examples: usize,
    /// Examples that were left out, because the taxonomy does not list their intent.
    pub unlisted: usize,
    /// Whether there were enough examples to ask the probe too.
    pub probe: bool,
    /// Tickets of the evaluation that tells which examples mislead; `None` where there is no evaluation
    /// and the other examples tell it.
    pub evaluated: Option<usize>,
}

/// Looks for doubtful labels. Each example is compared with every other one, so the time grows with
/// the square of their number. `evaluation` tells which examples mislead; without one, each example
/// in turn is the ticket that the others label. `progress` is told how much is done of how much. Fails when
/// the evaluation is that of another store.
pub fn lint(
    corpus: &Corpus,
    evaluation: Option<&Evaluation>,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<LintReport> {
    let leads = evaluation.map(|evaluation| evaluation.leads(corpus)).transpose()?;
    let judged = judge(corpus, progress)?;
    let mut suggestions = labels::doubtful(corpus, &judged);
    let leads = leads.unwrap_or_else(|| misleading::leave_one_out(corpus, &judged));
    suggestions.extend(misleading::misleading(corpus, &leads, &suggestions));
    suggestions.extend(intents::overlapping(corpus, &judged));
    suggestions.extend(intents::few(corpus));
    suggestions.sort_by(|a, b| b.score.total_cmp(&a.score));
    Ok(LintReport {
        suggestions,
        examples: corpus.len(),
        unlisted: corpus.unlisted(),
        probe: judged.probe,
        evaluated: evaluation.map(Evaluation::tickets),
    })
}

/// A share as whole per cent.
fn percent(share: f32) -> String {
    format!("{:.0} %", share * 100.0)
}
