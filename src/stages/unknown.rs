//! Novelty: whether a ticket resembles no example of the store. Pure.

use crate::data::decision::Nearest;
use crate::data::evidence::Candidate;
use crate::data::evidence::Vote;
use crate::data::evidence::support;
use crate::data::label::Label;

/// Without a probe, a ticket is novel when its nearest neighbour is below this cosine similarity. Of new
/// tickets on known topics 0 % (BANKING77) and 1.0 % (`examples_db`) are below it.
pub const NEAREST_FLOOR: f32 = 0.35;

/// With a neighbour this near a ticket is never novel, whatever vote and probe say. On BANKING77, where
/// everything is near, this lowers the share of known tickets that are taken for novel from 4.0 % to
/// 0.7 %, and the share of novel tickets that are found from 94 % to 92 %.
const NEAR: f32 = 0.65;

/// How familiar a ticket looks: the support of its best intent, and twice the cosine similarity
/// of the nearest example; -2 to 3.
#[must_use]
pub fn familiarity(support: f32, nearest: f32) -> f32 {
    support + 2.0 * nearest
}

/// The floor below which a ticket is novel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Floor {
    /// The least [`familiarity`], as the probe's training measured it. Without one the nearest neighbour
    /// decides alone.
    pub familiarity: Option<f32>,
}

impl Floor {
    /// The nearest neighbour of a ticket that is novel; `None` where it is not. An answer of the vote rests
    /// on the neighbours, so all of them count. A model may know better, unless its intent has no vote
    /// at all.
    #[must_use]
    pub fn check(self, label: &Label, votes: &[Vote], candidates: &[Candidate]) -> Option<Nearest> {
        let nearest = candidates.iter().max_by(|a, b| a.cosine.total_cmp(&b.cosine))?;
        let is_far = nearest.cosine < NEAREST_FLOOR;
        let is_unlike = match (&label.model, label.intent.as_deref(), self.familiarity) {
            (Some(_), Some(intent), _) => {
                is_far && !votes.iter().any(|vote| vote.intent == intent && vote.neighbours > 0.0)
            }
            (None, _, Some(floor)) => {
                let best = votes.first().map_or(0.0, |vote| support(&vote.intent, votes));
                nearest.cosine < NEAR && familiarity(best, nearest.cosine) < floor
            }
            (None, _, None) => is_far,
            (Some(_), None, _) => false,
        };
        is_unlike.then(|| Nearest { id: nearest.example.labelled.ticket.id.clone(), cosine: nearest.cosine })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::example::{Example, example_key};
    use crate::data::ticket::{LabelledTicket, Ticket};

    fn check(familiarity: Option<f32>, model: Option<&str>, intent: &str, nearest: f32) -> Option<Nearest> {
        let ticket = Ticket { id: "T-1".into(), ..Ticket::new("x") };
        let example = Example {
            key: example_key("", "T-1"),
            source: String::new(),
            text_hash: String::new(),
            labelled: LabelledTicket { ticket, intent: "a".into(), reasoning: None },
        };
        let candidate =
            Candidate { example: Arc::new(example), score: nearest, cosine: nearest, bm25: 0.0, vector: Arc::from([]) };
        let votes = vec![Vote { intent: "a".into(), share: 1.0, neighbours: 0.6, probe: Some(0.2) }];
        let label = Label { intent: Some(intent.into()), model: model.map(Into::into), ..Label::default() };
        Floor { familiarity }.check(&label, &votes, &[candidate])
    }

    #[test]
    fn a_vote_needs_support_and_a_near_example_together() {
        // 0.4 + 2 x 0.3 = 1.0
        assert_eq!(check(Some(1.1), None, "a", 0.3), Some(Nearest { id: "T-1".into(), cosine: 0.3 }));
        assert_eq!(check(Some(0.9), None, "a", 0.3), None);
        assert_eq!(check(Some(3.0), None, "a", 0.7), None, "an example is near");
    }

    #[test]
    fn without_a_probe_the_nearest_example_decides() {
        assert!(check(None, None, "a", 0.34).is_some());
        assert_eq!(check(None, None, "a", 0.36), None);
    }

    #[test]
    fn a_models_answer_is_doubted_only_without_any_support() {
        assert!(check(Some(3.0), Some("m"), "b", 0.3).is_some());
        assert_eq!(check(Some(3.0), Some("m"), "a", 0.3), None, "its intent has votes");
        assert_eq!(check(Some(3.0), Some("m"), "b", 0.4), None, "there is a near example");
    }
}
