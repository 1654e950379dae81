//! The policy: the one place that decides what happens to a ticket, from what is known of its answer. Pure.

use crate::data::decision::{Decision, Nearest, Reason, Standard};
use crate::data::label::Label;
use crate::data::taxonomy::Taxonomy;
use crate::stages::confidence::Calibration;

mod words;

pub use words::sentence;

/// What the stages know of an answer.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// Whether the ticket has any text.
    pub has_text: bool,
    /// The answer; in a hierarchy, that of all steps.
    pub label: &'a Label,
    /// The desk's intents.
    pub taxonomy: &'a Taxonomy,
    /// The confidence before any calibration, 0 to 1: the labeler's own, or the agreement on the intent. In a
    /// hierarchy it is the product of the steps.
    pub confidence: f32,
    /// What answers are ranked by, see [`confidence::score`](crate::stages::confidence::score).
    pub score: f32,
    /// The nearest example, if the ticket is novel.
    pub unlike: Option<Nearest>,
    /// Why the way down a hierarchy ended before an intent that is sure.
    pub unsure_step: Option<Reason>,
}

/// What an answer must reach to be routed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Terms {
    /// The calibration, if the store has one that fits.
    pub calibration: Option<Calibration>,
    /// The confidence that the user asks for; after a calibration, the probability.
    pub asked: Option<f32>,
    /// The confidence that the labeler asks for by itself. A calibration takes its place.
    pub usual: f32,
}

impl Terms {
    /// The confidence that is asked for where there is no calibration.
    #[must_use]
    pub fn min_confidence(&self) -> f32 {
        self.asked.unwrap_or(self.usual)
    }
}

/// A decision, with its reason and the confidence that is reported with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// Route or review.
    pub decision: Decision,
    /// Why.
    pub reason: Reason,
    /// After a calibration the probability that the intent is right, otherwise an agreement; 0 to 1.
    pub confidence: f32,
}

/// Decides. What speaks against routing comes first: no text, the labeler's doubt, novelty, an unsure step, no
/// intent, the fallback. Only then the confidence counts.
#[must_use]
pub fn decide(facts: &Facts<'_>, terms: &Terms) -> Decided {
    let confidence = terms.calibration.map_or(facts.confidence, |calibration| calibration.probability(facts.score));
    let reason = against(facts).unwrap_or_else(|| Reason::Compared(standard(facts, terms)));
    Decided { decision: reason.decision(), reason, confidence }
}

/// Why the way down a hierarchy ends at a step: something speaks against the answer, or the confidence of all steps
/// so far is below what is asked for. `None` where it goes on.
#[must_use]
pub fn unsure(label: &Label, taxonomy: &Taxonomy, confidence: f32, asked: f32) -> Option<Reason> {
    let agreement = || Reason::Compared(agreement(label, confidence, asked));
    against_label(label, taxonomy).or_else(|| Some(agreement()).filter(|reason| reason.decision() == Decision::Review))
}

fn against(facts: &Facts<'_>) -> Option<Reason> {
    if !facts.has_text {
        return Some(Reason::NoText);
    }
    let step = || facts.unsure_step.clone();
    if facts.label.doubt.is_none()
        && let Some(nearest) = &facts.unlike
    {
        return Some(Reason::Unlike(nearest.clone()));
    }
    step().or_else(|| against_label(facts.label, facts.taxonomy))
}

fn against_label(label: &Label, taxonomy: &Taxonomy) -> Option<Reason> {
    match (&label.doubt, label.intent.as_deref()) {
        (Some(doubt), _) => Some(Reason::Doubt(doubt.clone())),
        (None, None) => Some(Reason::NoIntent),
        (None, Some(intent)) if taxonomy.is_fallback(intent) => Some(Reason::Fallback(intent.to_owned())),
        (None, Some(_)) => None,
    }
}

fn standard(facts: &Facts<'_>, terms: &Terms) -> Standard {
    let Some(calibration) = &terms.calibration else {
        return agreement(facts.label, facts.confidence, terms.min_confidence());
    };
    let probability = calibration.probability(facts.score);
    match terms.asked {
        Some(asked) => Standard::Probability { probability, asked },
        None => Standard::Dial {
            probability,
            is_reached: calibration.threshold.is_some_and(|threshold| facts.score >= threshold),
            target: calibration.target,
            from: calibration.threshold.map(|threshold| calibration.probability(threshold)),
        },
    }
}

fn agreement(label: &Label, confidence: f32, asked: f32) -> Standard {
    Standard::Agreement { intent: label.intent.clone().unwrap_or_default(), confidence, asked }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::decision::{Doubt, ReasonCode};

    const DIAL: Calibration = Calibration { slope: 1.0, intercept: 1.0, threshold: Some(0.8), target: 0.97 };

    fn taxonomy() -> Taxonomy {
        Taxonomy::from_toml("fallback = \"other\"\n[[intent]]\nname = \"a\"\n[[intent]]\nname = \"other\"", "t")
            .unwrap()
    }

    fn label(intent: Option<&str>, doubt: Option<Doubt>) -> Label {
        Label { intent: intent.map(Into::into), doubt, ..Label::default() }
    }

    fn facts<'a>(label: &'a Label, taxonomy: &'a Taxonomy, sure: f32) -> Facts<'a> {
        Facts { has_text: true, label, taxonomy, confidence: sure, score: sure, unlike: None, unsure_step: None }
    }

    fn code(intent: &str, sure: f32, terms: &Terms) -> (ReasonCode, Decision) {
        let (label, taxonomy) = (label(Some(intent), None), taxonomy());
        let decided = decide(&facts(&label, &taxonomy, sure), terms);
        (decided.reason.code(), decided.decision)
    }

    #[test]
    fn what_is_asked_for_must_be_reached() {
        let asked = |asked| Terms { asked, usual: 0.5, ..Terms::default() };
        assert_eq!(code("a", 0.6, &asked(Some(0.6))), (ReasonCode::Sure, Decision::Route));
        assert_eq!(code("a", 0.6, &asked(Some(0.7))), (ReasonCode::BelowMinimum, Decision::Review));
        assert_eq!(code("a", 0.4, &asked(None)), (ReasonCode::BelowMinimum, Decision::Review), "the usual");
        assert_eq!(code("a", 0.0, &asked(Some(0.0))), (ReasonCode::Unchecked, Decision::Route));
        assert_eq!(code("other", 1.0, &asked(Some(0.0))), (ReasonCode::Fallback, Decision::Review));
    }

    #[test]
    fn calibrated_the_dial_decides_on_the_score_or_the_user_on_the_probability() {
        let calibrated =
            |asked, threshold| Terms { calibration: Some(Calibration { threshold, ..DIAL }), asked, usual: 0.99 };
        let dial = calibrated(None, Some(0.8));
        assert_eq!(code("a", 0.8, &dial), (ReasonCode::Sure, Decision::Route));
        assert_eq!(code("a", 0.79, &dial), (ReasonCode::BelowDial, Decision::Review));
        // 1 / (1 + exp(-(ln(0.79 / 0.21) + 1))) = 0.9109
        assert_eq!(code("a", 0.79, &calibrated(Some(0.9), Some(0.8))).0, ReasonCode::Sure);
        assert_eq!(code("a", 0.8, &calibrated(Some(0.95), Some(0.8))).0, ReasonCode::BelowMinimum);
        assert_eq!(code("other", 1.0, &calibrated(Some(0.0), Some(0.8))).0, ReasonCode::Fallback);
        assert_eq!(code("a", 1.0, &calibrated(None, None)), (ReasonCode::NoDial, Decision::Review));
        let (label, taxonomy) = (label(Some("a"), None), taxonomy());
        let confidence = decide(&facts(&label, &taxonomy, 0.8), &dial).confidence;
        assert!((confidence - 0.9158).abs() < 1e-4, "{confidence}");
    }

    #[test]
    fn what_speaks_against_an_answer_comes_in_a_fixed_order() {
        let (taxonomy, terms) = (taxonomy(), Terms { calibration: Some(DIAL), ..Terms::default() });
        let unlike = || Some(Nearest { id: "T-1".into(), cosine: 0.1 });
        let within = |why| Some(Reason::Within("g".into(), Box::new(why)));
        let unsure_step =
            || within(Reason::Compared(Standard::Agreement { intent: "a".into(), confidence: 0.1, asked: 0.5 }));
        let refused = || Doubt::Refused(None);
        let of = |label: &Label, has_text, unlike, unsure_step| {
            let facts = Facts { has_text, unlike, unsure_step, ..facts(label, &taxonomy, 1.0) };
            let decided = decide(&facts, &terms);
            assert_eq!(decided.decision, Decision::Review);
            decided.reason.code()
        };
        let (named, doubted) = (label(Some("a"), None), label(Some("a"), Some(refused())));
        assert_eq!(of(&doubted, false, unlike(), unsure_step()), ReasonCode::NoText);
        assert_eq!(of(&doubted, true, unlike(), within(Reason::Doubt(refused()))), ReasonCode::Refused);
        assert_eq!(of(&named, true, unlike(), unsure_step()), ReasonCode::UnlikeAnything);
        assert_eq!(of(&named, true, None, unsure_step()), ReasonCode::StepUnsure);
        assert_eq!(of(&label(None, None), true, None, None), ReasonCode::NoIntent);
        assert_eq!(of(&label(Some("other"), None), true, None, None), ReasonCode::Fallback);
    }

    #[test]
    fn a_step_without_any_support_is_built_on_where_nothing_is_asked_for() {
        let (label, taxonomy) = (label(Some("a"), None), taxonomy());
        assert_eq!(unsure(&label, &taxonomy, 0.0, 0.0), None);
        assert_eq!(unsure(&label, &taxonomy, 0.0, 0.1).unwrap().code(), ReasonCode::BelowMinimum);
    }
}
