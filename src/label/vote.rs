//! The labeler without a model: the candidates vote, each with a weight that grows with its
//! similarity (distance-weighted nearest neighbours, Dudani 1976).

use async_trait::async_trait;

use super::{Label, Labeler};
use crate::Result;
use crate::retrieve::{Candidate, Evidence, Vote};

mod attributes;

/// How many of the candidates vote.
const VOTERS: usize = 20;

/// A candidate's weight is exp(score / this): at 0.07, being 0.05 nearer doubles it.
const TEMPERATURE: f32 = 0.07;

/// Below this share of the vote a ticket goes to review.
const MIN_SHARE: f32 = 0.5;

/// Names the intent with the largest share of the vote. No network, no key.
#[derive(Debug, Clone, Copy, Default)]
pub struct VoteLabeler;

#[async_trait]
impl Labeler for VoteLabeler {
    fn name(&self) -> &'static str {
        "vote"
    }

    fn default_min_confidence(&self) -> f32 {
        MIN_SHARE
    }

    async fn label(&self, evidence: &Evidence) -> Result<Label> {
        // With fixed examples these stand in for the retrieved ones.
        let votes = vote(&evidence.candidates);
        let Some(winner) = votes.first() else {
            let doubt = Some("no examples to compare with".into());
            return Ok(Label { doubt, cost_usd: Some(0.0), ..Label::default() });
        };
        Ok(Label {
            intent: Some(winner.intent.clone()),
            attributes: attributes::vote(evidence, &winner.intent),
            reasoning: Some(reasoning(evidence, &votes)),
            confidence: Some(winner.share),
            cost_usd: Some(0.0),
            ..Label::default()
        })
    }
}

/// The shares of the vote among the nearest candidates, largest first; ties by name.
#[must_use]
pub fn vote(candidates: &[Candidate]) -> Vec<Vote> {
    let ballots = &candidates[..candidates.len().min(VOTERS)];
    let Some(best) = ballots.iter().map(|candidate| candidate.score).reduce(f32::max) else {
        return Vec::new();
    };
    let mut votes: Vec<Vote> = Vec::new();
    let mut total = 0.0;
    for candidate in ballots {
        let weight = weight(candidate.score, best);
        total += weight;
        let intent = &candidate.example.labelled.intent;
        match votes.iter_mut().find(|vote| vote.intent == *intent) {
            Some(vote) => vote.share += weight,
            None => votes.push(Vote { intent: intent.clone(), share: weight }),
        }
    }
    for vote in &mut votes {
        vote.share /= total;
    }
    votes.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.intent.cmp(&b.intent)));
    votes
}

/// What a candidate's vote weighs beside that of the best one.
fn weight(score: f32, best: f32) -> f32 {
    ((score - best) / TEMPERATURE).exp()
}

fn reasoning(evidence: &Evidence, votes: &[Vote]) -> String {
    use std::fmt::Write as _;

    let ballots = &evidence.candidates[..evidence.candidates.len().min(VOTERS)];
    let winner = &votes[0];
    let of_winner = || ballots.iter().filter(|c| c.example.labelled.intent == winner.intent);
    let mut text = format!(
        "{} of the {} most similar examples are {:?} and have {:.0} % of the vote, the nearer the more",
        of_winner().count(),
        ballots.len(),
        winner.intent,
        winner.share * 100.0
    );
    if let Some(nearest) = of_winner().next() {
        let _ = write!(
            text,
            "; the nearest of them is {} (score {:.2})",
            nearest.example.labelled.ticket.id, nearest.score
        );
    }
    if let Some(second) = votes.get(1) {
        let _ = write!(text, "; next is {:?} with {:.0} %", second.intent, second.share * 100.0);
    }
    text.push('.');
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::{Example, example_key};
    use crate::ticket::{LabelledTicket, Ticket};

    fn candidate(intent: &str, score: f32) -> Candidate {
        let ticket = Ticket::new(format!("{intent} {score}"));
        let example = Example {
            key: example_key("", &ticket.id),
            source: String::new(),
            text_hash: String::new(),
            labelled: LabelledTicket { ticket, intent: intent.into(), reasoning: None },
        };
        Candidate { example: Arc::new(example), score, cosine: score, bm25: 0.0 }
    }

    #[test]
    fn one_near_example_outweighs_two_far_ones() {
        let votes = vote(&[candidate("near", 0.9), candidate("far", 0.6), candidate("far", 0.6)]);
        assert_eq!(votes[0].intent, "near");
        assert!(votes[0].share > 0.9, "{votes:?}");
        assert!((votes.iter().map(|v| v.share).sum::<f32>() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn several_near_examples_outweigh_one_that_is_a_little_nearer() {
        let votes = vote(&[candidate("one", 0.82), candidate("two", 0.80), candidate("two", 0.80)]);
        assert_eq!(votes[0].intent, "two");
    }

    #[test]
    fn no_candidates_no_votes() {
        assert!(vote(&[]).is_empty());
    }
}
