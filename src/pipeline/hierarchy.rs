//! The way down a taxonomy: first the category, then a choice within it, until an intent is reached. Each step is a
//! call of the labeler with its own prompt and examples.

use std::sync::Arc;
use std::time::Instant;

use super::judge::{Found, Judge, View, confidence_of};
use super::{Gathered, Retriever, Step};
use crate::Result;
use crate::data::decision::Reason;
use crate::data::evidence::Candidate;
use crate::data::evidence::Vote;
use crate::data::example::Example;
use crate::data::label::Label;
use crate::data::taxonomy::Level;
use crate::stages::policy;
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

impl Judge {
    /// Goes down as far as the confidence holds: the product of the steps' confidences must not fall below what is
    /// asked for. Where it does, the way ends in the category that was reached.
    pub(super) async fn descend(&self, retriever: &Retriever, gathered: &Gathered) -> Result<Found> {
        let asked = self.terms().min_confidence();
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
                None => self.ask(&evidence).await?,
            };
            let of_step = confidence_of(&label, &evidence);
            steps.push(Step {
                parent: parent.clone(),
                choice: label.intent.clone(),
                confidence: of_step,
                usage: label.usage,
                cost_usd: label.cost_usd,
                latency_ms: milliseconds(begun.elapsed() + label.spared),
            });
            confidence *= of_step;
            let unsure = policy::unsure(&label, &evidence.taxonomy, confidence, asked);
            let choice = label.intent.clone();
            label.secondary.retain(|name| gathered.taxonomy.intent(name).is_some());
            add(&mut sum, label);
            let group = choice.clone().filter(|choice| {
                parent.as_ref() != Some(choice) && gathered.served.levels().below(Some(choice)).is_some()
            });
            if let (Some(group), None) = (&group, &unsure) {
                parent = Some(group.clone());
                continue;
            }
            if group.is_some() {
                // The best guess is an intent, never a category.
                sum.intent = gathered
                    .votes
                    .iter()
                    .map(|vote| &vote.intent)
                    .find(|intent| level.child_of(intent) == choice.as_deref())
                    .cloned();
            }
            let unsure_step = unsure.map(|why| match &parent {
                Some(parent) => Reason::Within(parent.clone(), Box::new(why)),
                None => why,
            });
            return Ok(Found { label: sum, confidence, unsure_step, category: parent, evidence, steps });
        }
    }
}

impl View {
    /// The first choice.
    pub(super) async fn top(retriever: &Retriever, gathered: &Gathered) -> Result<Self> {
        view(retriever, gathered, &gathered.served.levels().below(None).cloned().unwrap_or_default()).await
    }
}

/// What a labeler sees at a level: neighbours, votes and examples under the names of the level's children.
async fn view(retriever: &Retriever, gathered: &Gathered, level: &Level) -> Result<View> {
    let candidates = match level.parent {
        None => gathered.candidates.clone(),
        Some(_) => retriever.candidates_within(gathered, level.intents()).await?,
    };
    let votes = by_child(&gathered.served.votes(&candidates, &gathered.vector, &gathered.scope.options), level);
    let candidates = candidates.iter().filter_map(|candidate| relabelled(candidate, level)).collect();
    let shortlist = crate::stages::rank::shortlist(&votes, &level.taxonomy);
    Ok(View { candidates, votes, shortlist, taxonomy: Arc::clone(&level.taxonomy), level: Some(level.clone()) })
}

/// A neighbour under the name of the level's child that its intent belongs to.
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

/// The shares of the level's children: each is the sum over its intents.
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
    // Within the parent, shares and probabilities add up to 1 again.
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
    sum.spared += step.spared;
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
