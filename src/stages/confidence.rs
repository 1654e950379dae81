//! How sure an answer is: the score that answers are ranked by, and what a calibration makes of
//! it. Pure.

use serde::{Deserialize, Serialize};

use crate::data::evidence::{Vote, support};
use crate::data::label::Label;
use crate::statistics::{logit, sigmoid};

/// What answers are ranked by: the [`support`] of the intent given, whoever gave it. It counts half for an
/// answer with a doubt, and for one that took more than `requests`. It has four decimals, so that the
/// last bits of a vector never move an answer over a threshold.
#[must_use]
pub fn score(label: &Label, votes: &[Vote], requests: usize) -> f32 {
    let support = label.intent.as_deref().map_or(0.0, |intent| support(intent, votes));
    let is_shaky = label.doubt.is_some() || label.usage.requests as usize > requests;
    rounded(if is_shaky { support / 2.0 } else { support })
}

/// A score as it is compared with a threshold: to four decimals.
#[must_use]
pub fn rounded(score: f32) -> f32 {
    (score * 1e4).round() / 1e4
}

/// What was learned from labelled tickets about a labeler's scores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The slope of the line from the score's logit to the log-odds of being right.
    pub slope: f64,
    /// The intercept of that line.
    pub intercept: f64,
    /// The threshold of the dial: answers are routed from this score on. `None` where no score gives the target.
    pub threshold: Option<f32>,
    /// The dial: the share of the routed answers that must be right.
    pub target: f64,
}

impl Calibration {
    /// Routes every answer that may be routed at all. Calibrating starts with it.
    pub const OPEN: Self = Self { slope: 1.0, intercept: 0.0, threshold: Some(0.0), target: 0.0 };

    /// The probability that an answer of this score is right.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a probability needs few digits")]
    pub fn probability(&self, score: f32) -> f32 {
        sigmoid(self.slope * logit(score) + self.intercept) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::label::Usage;

    fn votes() -> Vec<Vote> {
        let vote = |intent: &str, neighbours, probe| Vote { intent: intent.into(), share: 0.9, neighbours, probe };
        vec![vote("a", 0.8, Some(0.6)), vote("new", 0.5, None)]
    }

    fn label(intent: &str, requests: u32) -> Label {
        Label { intent: Some(intent.into()), usage: Usage { requests, ..Usage::default() }, ..Label::default() }
    }

    #[test]
    fn the_score_is_the_mean_of_vote_and_probe_and_the_vote_where_there_is_no_probe() {
        assert!((score(&label("a", 0), &votes(), 1) - 0.7).abs() < 1e-6);
        assert!((score(&label("new", 1), &votes(), 1) - 0.5).abs() < 1e-6);
        assert!(score(&label("unheard of", 1), &votes(), 1) < 1e-6);
        assert!(score(&Label::default(), &votes(), 1) < 1e-6);
    }

    #[test]
    fn an_answer_that_was_asked_for_again_or_is_doubted_counts_half() {
        assert!((score(&label("a", 2), &votes(), 1) - 0.35).abs() < 1e-6);
        assert!((score(&label("a", 2), &votes(), 2) - 0.7).abs() < 1e-6, "two steps take two requests");
        let doubted = Label { doubt: Some(crate::data::decision::Doubt::CutOff), ..label("a", 1) };
        assert!((score(&doubted, &votes(), 1) - 0.35).abs() < 1e-6);
    }

    #[test]
    fn probabilities_grow_with_the_score_and_stay_within_bounds() {
        let calibration = Calibration { slope: 1.2, intercept: 0.5, ..Calibration::OPEN };
        let p: Vec<f32> = [0.0, 0.2, 0.5, 0.9, 1.0].map(|score| calibration.probability(score)).to_vec();
        assert!(p.is_sorted() && p[0] > 0.0 && p[4] < 1.0, "{p:?}");
        assert!((f64::from(p[2]) - 0.622_459).abs() < 1e-5, "1 / (1 + exp(-0.5)): {}", p[2]);
    }
}
