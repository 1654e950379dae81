//! The way down a taxonomy: first the group, then what lies within it, until an intent is
//! reached. Each step is a call of the labeler with a prompt and examples of its own.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::judge::{Judge, View};
use super::{Gathered, Retriever};
use crate::Result;
use crate::data::evidence::Vote;
use crate::data::evidence::{Candidate, Evidence};
use crate::data::example::Example;
use crate::data::label::{Label, Usage};
use crate::data::taxonomy::Level;
use crate::stages::decide::{Decided, Decision, decide};
use crate::statistics::milliseconds;

/// How the labeler gets to an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// One choice among all intents.
    #[default]
    Flat,
    /// Level by level.
    Hierarchical,
}

/// One choice on the way down.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// The group that was chosen within; `None` at the top.
    pub parent: Option<String>,
    /// The group or intent that was chosen.
    pub choice: Option<String>,
    /// Confidence in this choice, given the parent, 0 to 1.
    pub confidence: f32,
    /// Tokens.
    pub usage: Usage,
    /// US$; `None` when the model's prices are not known.
    pub cost_usd: Option<f64>,
    /// Milliseconds, search included.
    pub latency_ms: f64,
}

/// Where the way down ended.
pub(super) struct Descent {
    pub(super) label: Label,
    pub(super) decided: Decided,
    /// The group that the way down is sure of.
    pub(super) category: Option<String>,
    /// The evidence of the last step.
    pub(super) evidence: Evidence,
    pub(super) steps: Vec<Step>,
}

impl Judge {
    /// Goes down as far as the confidence holds: the product of the steps' confidences must stay
    /// at what is asked for. Where it does not, the ticket goes to review under the group
    /// that was reached.
    pub(super) async fn descend(&self, retriever: &Retriever, gathered: &Gathered) -> Result<Descent> {
        let mut sum = Label { cost_usd: Some(0.0), ..Label::default() };
        let (mut parent, mut confidence, mut steps) = (None::<String>, 1.0_f32, Vec::new());
        loop {
            let begun = Instant::now();
            let level = gathered.served.levels().below(parent.as_deref()).cloned().unwrap_or_default();
            let evidence = self.evidence(gathered, view(retriever, gathered, &level).await?);
            let mut label = match level.only_child() {
                Some(only) => Label {
                    intent: Some(only.to_owned()),
                    confidence: Some(1.0),
                    cost_usd: Some(0.0),
                    ..Label::default()
                },
                None => self.labeler().label(&evidence).await?,
            };
            let mut decided = decide(&label, &evidence, (self.min_confidence() / confidence).min(1.0));
            steps.push(Step {
                parent: parent.clone(),
                choice: label.intent.clone(),
                confidence: decided.confidence,
                usage: label.usage,
                cost_usd: label.cost_usd,
                latency_ms: milliseconds(begun.elapsed()),
            });
            confidence *= decided.confidence;
            decided.confidence = confidence;
            let choice = label.intent.clone();
            label.secondary.retain(|name| gathered.taxonomy.intent(name).is_some());
            add(&mut sum, label);
            let group = choice.clone().filter(|choice| {
                parent.as_ref() != Some(choice) && gathered.served.levels().below(Some(choice)).is_some()
            });
            let is_sure = decided.decision == Decision::Route;
            if let (Some(group), true) = (&group, is_sure) {
                parent = Some(group.clone());
                continue;
            }
            if !is_sure && let Some(parent) = &parent {
                decided.reason = format!("it belongs to {parent:?}, but what within it is unsure: {}", decided.reason);
            }
            if group.is_some() {
                // The best guess is an intent, never a group.
                sum.intent = gathered
                    .votes
                    .iter()
                    .map(|vote| &vote.intent)
                    .find(|intent| level.child_of(intent) == choice.as_deref())
                    .cloned();
            }
            return Ok(Descent { label: sum, decided, category: parent, evidence, steps });
        }
    }
}

impl View {
    /// The first choice.
    pub(super) async fn top(retriever: &Retriever, gathered: &Gathered) -> Result<Self> {
        view(retriever, gathered, &gathered.served.levels().below(None).cloned().unwrap_or_default()).await
    }
}

/// What a labeler sees at a level: candidates, votes and examples by the level's children.
async fn view(retriever: &Retriever, gathered: &Gathered, level: &Level) -> Result<View> {
    let candidates = match level.parent {
        None => gathered.candidates.clone(),
        Some(_) => retriever.candidates_within(gathered, level.intents()).await?,
    };
    let votes = by_child(&retriever.votes(&gathered.served, &candidates, &gathered.vector, &gathered.scope), level);
    let candidates = candidates.iter().filter_map(|candidate| relabelled(candidate, level)).collect();
    let shortlist = crate::stages::rank::shortlist(&votes, &level.taxonomy);
    Ok(View { candidates, votes, shortlist, taxonomy: Arc::clone(&level.taxonomy), level: Some(level.clone()) })
}

/// A candidate under the name of the level's child that its intent belongs to.
pub(super) fn relabelled(candidate: &Candidate, level: &Level) -> Option<Candidate> {
    let child = level.child_of(candidate.intent())?;
    let mut candidate = candidate.clone();
    if child != candidate.intent() {
        let mut example = Example::clone(&candidate.example);
        child.clone_into(&mut example.labelled.intent);
        candidate.example = Arc::new(example);
    }
    Some(candidate)
}

/// The shares of the level's children: the sums of their intents'.
fn by_child(votes: &[Vote], level: &Level) -> Vec<Vote> {
    let mut sums: Vec<Vote> = Vec::new();
    for vote in votes {
        let Some(child) = level.child_of(&vote.intent) else { continue };
        match sums.iter_mut().find(|sum| sum.intent == child) {
            Some(sum) => {
                sum.share += vote.share;
                sum.neighbours += vote.neighbours;
                sum.probe = sum.probe.zip(vote.probe).map(|(a, b)| a + b);
            }
            None => sums.push(Vote { intent: child.to_owned(), ..vote.clone() }),
        }
    }
    // Given the parent, each kind of support adds up to 1 again.
    let total = |of: &dyn Fn(&Vote) -> f32| sums.iter().map(of).sum::<f32>().max(f32::MIN_POSITIVE);
    let (shares, neighbours) = (total(&|sum| sum.share), total(&|sum| sum.neighbours));
    let probes = total(&|sum| sum.probe.unwrap_or(0.0));
    for sum in &mut sums {
        sum.share /= shares;
        sum.neighbours /= neighbours;
        sum.probe = sum.probe.map(|probe| probe / probes);
    }
    sums.sort_by(|a, b| b.share.total_cmp(&a.share));
    sums
}

/// Adds what a step found and used to what the steps before it did.
fn add(sum: &mut Label, step: Label) {
    sum.usage += step.usage;
    sum.cost_usd = sum.cost_usd.zip(step.cost_usd).map(|(a, b)| a + b);
    sum.intent = step.intent;
    sum.doubt = step.doubt;
    sum.secondary.extend(step.secondary);
    sum.attributes.extend(step.attributes);
    sum.notes.extend(step.notes);
    sum.reasoning = match (sum.reasoning.take(), step.reasoning) {
        (Some(before), Some(now)) => Some(format!("{before} {now}")),
        (before, now) => before.or(now),
    };
    sum.model = step.model.or(sum.model.take());
    sum.request_id = step.request_id.or(sum.request_id.take());
}
