//! Learns from labelled tickets how often a labeler's answers are right: a probability for each
//! answer, and the dial from which on answers are routed.

use std::sync::Arc;

use chrono::{SecondsFormat, Utc};
use serde::Serialize;

use crate::data::decision::Decision;
use crate::data::evidence::Vote;
use crate::data::label::Label;
use crate::data::taxonomy::Taxonomy;
use crate::data::ticket::LabelledTicket;
use crate::label::{CascadeLabeler, Labeler};
use crate::pipeline::{CascadeEntry, Classification, Entry, Examples, Judge, Options, Progress, Retriever, Stored};
use crate::stages::confidence::{self, Calibration};
use crate::statistics::reliability::{expected_calibration_error, reliability};
use crate::statistics::{real, wilson};
use crate::store::manifest_of;
use crate::{Error, Result};

mod answers;
mod dial;
mod platt;

pub use crate::statistics::reliability::Bin;
pub use dial::{Dial, set};
pub use platt::fit;

/// An answer whose right intent is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// What answers are ranked by, see [`confidence::score`](crate::stages::confidence::score).
    pub score: f32,
    /// Whether its intent is the right one.
    pub right: bool,
    /// Whether it may be routed at all: it names an intent that is not the fallback, without a doubt, and the
    /// ticket is not novel.
    pub routable: bool,
}

impl Answer {
    /// A ticket that was not answered.
    const NONE: Self = Self { score: 0.0, right: false, routable: false };
}

/// What a calibration is asked to do.
#[derive(Debug, Clone)]
pub struct CalibrateOptions {
    /// Share of the routed answers that must be right, above 0 and below 1.
    pub target: f64,
    /// How sure it is that the dial holds, above 0 and below 1.
    pub confidence: f64,
    /// The options that the calibration is for.
    pub options: Options,
    /// How many calls of the labeler are under way at once.
    pub concurrency: usize,
    /// Whether nothing is stored.
    pub dry_run: bool,
}

/// The outcome of a calibration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CalibrationReport {
    /// Who labelled.
    pub labeler: String,
    /// The model.
    pub model: Option<String>,
    /// Tickets that it was learned from.
    pub tickets: usize,
    /// Tickets that are in the store and were left out, since the probe has learned from them.
    pub dropped: usize,
    /// Tickets that failed; they count as not routed.
    pub errors: usize,
    /// Share of the tickets that is right.
    pub accuracy: f64,
    /// Its 95 % Wilson interval.
    pub ci95: (f64, f64),
    /// Slope of the curve from scores to probabilities.
    pub slope: f64,
    /// Its intercept.
    pub intercept: f64,
    /// Expected calibration error of the probabilities on these tickets.
    pub calibration_error: f64,
    /// Probability against accuracy, by bins.
    pub reliability: Vec<Bin>,
    /// The dial of the labeler's own answers.
    pub dial: Dial,
    /// The probability at the dial's threshold.
    pub probability: Option<f32>,
    /// The dial of the vote's answers, for a cascade.
    pub cascade: Cascade,
    /// When it was made (RFC 3339).
    pub made_at: String,
    /// Whether it was stored.
    pub stored: bool,
    /// What else the user should know.
    pub notes: Vec<String>,
}

/// From which score on a cascade takes the vote's answer and asks no model, and what that brings on these
/// tickets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cascade {
    /// The dial of the vote's answers.
    pub dial: Dial,
    /// Share of all tickets that are right with the vote below the model; `None` where no model answered.
    pub accuracy: Option<f64>,
    /// US$ that the vote saves for each ticket.
    pub saved_per_ticket_usd: Option<f64>,
}

/// Lets `labeler` answer the tickets, learns from the answers, and stores what was learned. Fails
/// when there are no tickets that may be learned from, or none could be answered.
pub async fn calibrate(
    retriever: &Arc<Retriever>,
    labeler: Arc<dyn Labeler>,
    tickets: Vec<LabelledTicket>,
    options: &CalibrateOptions,
    progress: Progress<'_>,
) -> Result<CalibrationReport> {
    let given = tickets.len();
    // A calibration holds for any confidence that is asked for later.
    let judge = Judge::new(labeler, Examples::Retrieved, Options { min_confidence: None, ..options.options.clone() });
    let tickets = answers::unseen(retriever, judge.options(), tickets).await?;
    let setup = judge.setup(retriever)?;
    // This calibration routes all answers that may be routed at all, and so shows which these are.
    let judge = judge.with_calibration(Calibration::OPEN);
    let answered = answers::answer(retriever, &judge, &tickets, options.concurrency, progress).await?;

    let Tally { own, scored, of_vote, spent, errors } = tally(&retriever.taxonomy(), &tickets, &answered);
    let n = own.len();
    if errors == n {
        let first = answered.into_iter().find_map(Result::err);
        return Err(first.unwrap_or_else(|| Error::internal("there were no answers")));
    }
    let (slope, intercept) = fit(&scored);
    let dial = set(&own, options.target, options.confidence);
    let calibration = Calibration { slope, intercept, threshold: dial.threshold, target: options.target };
    let cascade = cascade(&own, &of_vote, &spent, options);
    let made_at = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
    let entry = Entry {
        key: Some(setup.key()),
        setup,
        calibration,
        confidence: options.confidence,
        coverage: dial.coverage,
        n,
        made_at: Some(made_at.clone()),
        examples_then: retriever.store().count().await?,
        changed: 0,
        changed_in_place: 0,
    };
    let (labeler, model) = (judge.name().to_owned(), entry.setup.model.clone());
    if !options.dry_run {
        store(retriever, &labeler, entry, &cascade.dial).await?;
    }
    let probabilities: Vec<(f32, bool)> =
        scored.iter().map(|&(score, right)| (calibration.probability(score), right)).collect();
    let reliability = reliability(&probabilities);
    let right = own.iter().filter(|answer| answer.right).count();
    let first_error = answered.iter().find_map(|answer| answer.as_ref().err());
    let kept = (labeler == CascadeLabeler::NAME).then(|| {
        "the cascade keeps the threshold that it has here; calibrate --labeler claude or vote finds one".to_owned()
    });
    Ok(CalibrationReport {
        labeler,
        model,
        tickets: n,
        dropped: given - n,
        errors,
        accuracy: real(right) / real(n),
        ci95: wilson(right, n),
        slope,
        intercept,
        calibration_error: expected_calibration_error(&reliability),
        reliability,
        probability: dial.threshold.map(|score| calibration.probability(score)),
        dial,
        cascade,
        made_at,
        stored: !options.dry_run,
        notes: first_error
            .map(|e| format!("{errors} tickets failed; the first: {e}"))
            .into_iter()
            .chain(kept)
            .collect(),
    })
}

/// The answers, and what they cost.
#[derive(Default)]
struct Tally {
    /// The labeler's answers, failures included.
    own: Vec<Answer>,
    /// The score of each answer with an intent, and whether it was right.
    scored: Vec<(f32, bool)>,
    /// What the vote alone would have answered.
    of_vote: Vec<Answer>,
    spent: Spent,
    errors: usize,
}

/// What a model's answers cost.
#[derive(Default)]
struct Spent {
    answers: usize,
    /// US$; `None` when a price is not known.
    cost: Option<f64>,
}

fn tally(taxonomy: &Taxonomy, tickets: &[answers::Measured], answered: &[Result<Classification>]) -> Tally {
    let mut tally = Tally { spent: Spent { answers: 0, cost: Some(0.0) }, ..Tally::default() };
    for ((labelled, _), outcome) in tickets.iter().zip(answered) {
        let gold = taxonomy.resolve(&labelled.intent).unwrap_or(&labelled.intent);
        let Ok(answer) = outcome else {
            tally.own.push(Answer::NONE);
            tally.of_vote.push(Answer::NONE);
            tally.errors += 1;
            continue;
        };
        let right = answer.intent.as_deref() == Some(gold);
        tally.own.push(Answer { score: answer.score, right, routable: answer.decision == Decision::Route });
        tally.scored.extend(answer.intent.is_some().then_some((answer.score, right)));
        tally.of_vote.push(vote_answer(&answer.votes, gold));
        if answer.usage.requests > 0 {
            tally.spent.answers += 1;
            tally.spent.cost = tally.spent.cost.zip(answer.cost_usd).map(|(sum, cost)| sum + cost);
        }
    }
    tally
}

/// What the vote alone would have said, by the votes that every answer reports. From its threshold on, a cascade
/// takes whatever the vote says, the fallback too.
fn vote_answer(votes: &[Vote], gold: &str) -> Answer {
    let Some(first) = votes.first() else { return Answer::NONE };
    let label = Label { intent: Some(first.intent.clone()), ..Label::default() };
    Answer { score: confidence::score(&label, votes, 0), right: first.intent == gold, routable: true }
}

fn cascade(own: &[Answer], of_vote: &[Answer], spent: &Spent, options: &CalibrateOptions) -> Cascade {
    let dial = set(of_vote, options.target, options.confidence);
    let right = of_vote
        .iter()
        .zip(own)
        .filter(|(vote, own)| if takes(**vote, dial.threshold) { vote.right } else { own.right });
    let right = right.count();
    let asked = spent.answers > 0;
    let cost = spent.cost.filter(|_| asked).map(|cost| cost / real(spent.answers));
    Cascade {
        accuracy: asked.then(|| real(right) / real(own.len())),
        saved_per_ticket_usd: cost.map(|cost| cost * dial.coverage),
        dial,
    }
}

/// Whether a cascade takes the vote's answer.
fn takes(vote: Answer, threshold: Option<f32>) -> bool {
    vote.routable && threshold.is_some_and(|threshold| vote.score >= threshold)
}

async fn store(retriever: &Retriever, labeler: &str, mut entry: Entry, cascade: &Dial) -> Result<()> {
    let store = retriever.store();
    let manifest = manifest_of(store).await?;
    entry.changed_in_place = manifest.map_or(0, |manifest| manifest.changed_in_place);
    // The calibration of a cascade holds for the threshold that the cascade had.
    let cascade = (labeler != CascadeLabeler::NAME).then(|| CascadeEntry {
        threshold: cascade.threshold,
        target: cascade.target,
        confidence: cascade.confidence,
        probe: entry.setup.probe,
        filter: entry.setup.filter.clone(),
        made_at: entry.made_at.clone(),
    });
    Stored::add(store, labeler, entry, cascade).await
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::Ticket;
    use crate::data::evidence::Evidence;

    /// What the vote is not asked for.
    struct Dear;

    #[async_trait]
    impl Labeler for Dear {
        fn name(&self) -> &'static str {
            "dear"
        }

        async fn label(&self, _: &Evidence) -> Result<Label> {
            Ok(Label { model: Some("m".into()), ..Label::default() })
        }
    }

    #[tokio::test]
    async fn a_cascade_is_calibrated_by_the_rule_that_it_follows() {
        let toml = "fallback = \"other\"\n[[intent]]\nname = \"a\"\n[[intent]]\nname = \"other\"";
        let taxonomy = Arc::new(Taxonomy::from_toml(toml, "t").unwrap());
        let cascade = CascadeLabeler::new(Arc::new(Dear), 0.7);
        for intent in ["a", "other"] {
            for (share, is_taken) in [(0.9, true), (0.7, true), (0.699_96, true), (0.699_94, false), (0.1, false)] {
                let votes = vec![Vote { intent: intent.into(), share, neighbours: share, probe: None }];
                let evidence = Evidence {
                    ticket: Ticket::new("x"),
                    candidates: vec![],
                    examples: vec![],
                    votes: votes.clone(),
                    shortlist: vec![],
                    is_fixed: false,
                    step: None,
                    taxonomy: Arc::clone(&taxonomy),
                };
                let label = cascade.label(&evidence).await.unwrap();
                assert_eq!(label.model.is_none(), is_taken, "{intent} {share}");
                assert_eq!(takes(vote_answer(&votes, "a"), Some(0.7)), is_taken, "{intent} {share}");
            }
        }
    }
}
