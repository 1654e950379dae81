//! The labeler without a model. The neighbours vote, each with a weight that grows with its similarity,
//! and the probe of the store adds its opinion ([`crate::stages::rank`]).

use async_trait::async_trait;

use super::{Basis, Label, Labeler};
use crate::Result;
use crate::data::decision::Doubt;
use crate::data::evidence::Evidence;
use crate::data::evidence::Vote;
use crate::data::evidence::support;
use crate::data::taxonomy::Taxonomy;
use crate::stages::rank::{VOTERS, vote};

mod attributes;

/// Below this confidence a ticket goes to review. By cross-validation, 96 % of the other tickets are right
/// on BANKING77, and 92 % on the harder `examples_db`.
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

    fn basis(&self, _: &Taxonomy) -> Basis {
        Basis { votes: true, shortlist: false }
    }

    async fn label(&self, evidence: &Evidence) -> Result<Label> {
        Ok(Self::vote(evidence))
    }
}

impl VoteLabeler {
    /// The label, at once.
    pub(super) fn vote(evidence: &Evidence) -> Label {
        // Static examples stand in for the retrieved ones.
        let fixed = evidence.is_fixed.then(|| vote(&evidence.candidates));
        let votes = fixed.as_deref().unwrap_or(&evidence.votes);
        let Some(winner) = votes.first() else {
            return Label { doubt: Some(Doubt::NoExamples), cost_usd: Some(0.0), ..Label::default() };
        };
        Label {
            intent: Some(winner.intent.clone()),
            attributes: attributes::vote(evidence, &winner.intent),
            reasoning: Some(reasoning(evidence, votes)),
            confidence: Some(support(&winner.intent, votes)),
            cost_usd: Some(0.0),
            ..Label::default()
        }
    }
}

fn reasoning(evidence: &Evidence, votes: &[Vote]) -> String {
    use std::fmt::Write as _;

    let ballots = &evidence.candidates[..evidence.candidates.len().min(VOTERS)];
    let winner = &votes[0];
    let of_winner = || ballots.iter().filter(|candidate| candidate.intent() == winner.intent);
    let mut text = format!(
        "{} of the {} nearest neighbours are {:?} and have {:.0} % of the vote, in which nearer ones count more",
        of_winner().count(),
        ballots.len(),
        winner.intent,
        winner.neighbours * 100.0
    );
    if let Some(nearest) = of_winner().next() {
        let _ = write!(
            text,
            "; the nearest of them is {} (score {:.2})",
            nearest.example.labelled.ticket.id, nearest.score
        );
    }
    if let Some(probe) = winner.probe {
        let _ = write!(text, "; the probe gives it {:.0} %", probe * 100.0);
    }
    if let Some(second) = votes.get(1) {
        let _ = write!(text, "; next is {:?} with {:.0} % in all", second.intent, second.share * 100.0);
    }
    text.push('.');
    text
}
