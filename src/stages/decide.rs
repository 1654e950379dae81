//! From label and evidence to a decision: route the ticket, or let a person look. Pure.

use serde::Serialize;

use crate::data::evidence::Evidence;
use crate::data::label::Label;
use crate::data::taxonomy::Taxonomy;
use crate::stages::confidence::Calibration;

/// What happens to a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// It goes to the queue of its intent.
    Route,
    /// A person decides; the intent is a best guess.
    Review,
}

/// A decision, with the confidence it rests on and its reason in words.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// Route or review.
    pub decision: Decision,
    /// Why.
    pub reason: String,
    /// Calibrated, the probability that the intent is right. Otherwise the labeler's own, or what
    /// the history says for the intent ([`crate::data::evidence::support`]): an agreement. 0 to 1.
    pub confidence: f32,
}

/// Decides on a label: a doubt of the labeler, no intent, the fallback intent or a confidence
/// below `min_confidence` is a review.
#[must_use]
pub fn decide(label: &Label, evidence: &Evidence, min_confidence: f32) -> Decided {
    let agreement = || label.intent.as_deref().map_or(0.0, |intent| evidence.support_of(intent));
    let confidence = label.confidence.unwrap_or_else(agreement);
    let review = |reason: String| Decided { decision: Decision::Review, reason, confidence };
    let intent = match may_be_routed(label, &evidence.taxonomy) {
        Ok(intent) => intent,
        Err(reason) => return review(reason),
    };
    if confidence < min_confidence {
        return review(format!(
            "the history gives {intent:?} {:.0} %, less than the {:.0} % asked for",
            confidence * 100.0,
            min_confidence * 100.0
        ));
    }
    let reason = if min_confidence > 0.0 {
        format!("the history gives {intent:?} {:.0} %", confidence * 100.0)
    } else {
        "the answer names an intent of the taxonomy".to_owned()
    };
    Decided { decision: Decision::Route, reason, confidence }
}

/// Decides on a label by the probability that it is right: it must reach `min_probability` where
/// that is given, and its `score` the calibration's threshold otherwise.
#[must_use]
pub fn decide_calibrated(
    label: &Label,
    taxonomy: &Taxonomy,
    score: f32,
    calibration: &Calibration,
    min_probability: Option<f32>,
) -> Decided {
    let confidence = calibration.probability(score);
    let told = |decision, reason| Decided { decision, reason, confidence };
    if let Err(reason) = may_be_routed(label, taxonomy) {
        return told(Decision::Review, reason);
    }
    let right = format!("right with {} probability", percent(confidence));
    let target = (calibration.target * 1e3).round() / 10.0;
    match (min_probability, calibration.threshold) {
        (Some(asked), _) if confidence < asked => {
            told(Decision::Review, format!("{right}, less than the {} asked for", percent(asked)))
        }
        (Some(asked), _) => told(Decision::Route, format!("{right}; {} are asked for", percent(asked))),
        (None, Some(threshold)) if score >= threshold => {
            told(Decision::Route, format!("{right}; routed at the dial of {target} %"))
        }
        (None, Some(threshold)) => {
            let from = calibration.probability(threshold) * 100.0;
            told(Decision::Review, format!("{right}; the dial of {target} % routes from {from:.1} % on"))
        }
        (None, None) => told(
            Decision::Review,
            format!(
                "{right}; the dial of {target} % has no threshold: calibrate on more tickets, or at a lower target"
            ),
        ),
    }
}

/// The intent of a label that may be routed if it is sure enough, or why it may not.
fn may_be_routed<'a>(label: &'a Label, taxonomy: &Taxonomy) -> Result<&'a str, String> {
    match (&label.doubt, label.intent.as_deref()) {
        (Some(doubt), _) => Err(doubt.clone()),
        (None, None) => Err("the labeler named no intent".into()),
        (None, Some(intent)) if taxonomy.is_fallback(intent) => {
            Err(format!("{intent:?} is the fallback: no intent of the desk fits"))
        }
        (None, Some(intent)) => Ok(intent),
    }
}

/// Nothing is certain, so nothing is rounded to that.
fn percent(share: f32) -> String {
    let percent = share * 100.0;
    if (99.5..100.0).contains(&percent) { format!("{percent:.1} %") } else { format!("{percent:.0} %") }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::evidence::Vote;
    use crate::data::taxonomy::Taxonomy;
    use crate::data::ticket::Ticket;

    fn decision(label: &Label, min_confidence: f32) -> (Decision, String) {
        let toml = "fallback = \"other\"\n[[intent]]\nname = \"a\"\n[[intent]]\nname = \"other\"";
        let evidence = Evidence {
            ticket: Ticket::new("x"),
            candidates: vec![],
            examples: vec![],
            votes: vec![Vote { intent: "a".into(), share: 0.6, neighbours: 0.6, probe: None }],
            shortlist: vec!["a".into()],
            is_fixed: false,
            step: None,
            taxonomy: Arc::new(Taxonomy::from_toml(toml, "t").unwrap()),
        };
        let decided = decide(label, &evidence, min_confidence);
        (decided.decision, decided.reason)
    }

    fn label(intent: Option<&str>, doubt: Option<&str>) -> Label {
        Label { intent: intent.map(Into::into), doubt: doubt.map(Into::into), ..Label::default() }
    }

    #[test]
    fn an_intent_with_enough_of_the_vote_is_routed() {
        assert_eq!(decision(&label(Some("a"), None), 0.6).0, Decision::Route);
        let (decision, reason) = decision(&label(Some("a"), None), 0.7);
        assert_eq!(decision, Decision::Review);
        assert!(reason.contains("60 %") && reason.contains("70 %"), "{reason}");
    }

    #[test]
    fn calibrated_the_dial_decides_on_the_score_or_the_user_on_the_probability() {
        let taxonomy = Taxonomy::from_toml("fallback = \"b\"\n[[intent]]\nname = \"a\"\n[[intent]]\nname = \"b\"", "t");
        let taxonomy = taxonomy.unwrap();
        let calibration = Calibration { slope: 1.0, intercept: 1.0, threshold: Some(0.8), target: 0.97 };
        let decided = |intent: &str, score, asked, calibration: &Calibration| {
            let decided = decide_calibrated(&label(Some(intent), None), &taxonomy, score, calibration, asked);
            (decided.decision, decided.reason)
        };
        // 1 / (1 + exp(-(ln(0.8 / 0.2) + 1))) = 0.9158
        let routed = decided("a", 0.8, None, &calibration);
        assert_eq!(routed, (Decision::Route, "right with 92 % probability; routed at the dial of 97 %".into()));
        let (decision, reason) = decided("a", 0.79, None, &calibration);
        assert!(decision == Decision::Review && reason.ends_with("routes from 91.6 % on"), "{reason}");
        assert_eq!(decided("a", 0.79, Some(0.9), &calibration).0, Decision::Route, "91.1 %");
        assert_eq!(decided("a", 0.8, Some(0.95), &calibration).0, Decision::Review);
        assert_eq!(decided("b", 1.0, Some(0.0), &calibration).0, Decision::Review, "the fallback");
        let without = Calibration { threshold: None, ..calibration };
        let (decision, reason) = decided("a", 1.0, None, &without);
        assert!(decision == Decision::Review && reason.contains("no threshold"), "{reason}");
    }

    #[test]
    fn doubt_no_intent_and_the_fallback_are_reviews_with_their_reason() {
        assert_eq!(decision(&label(Some("a"), Some("refused")), 0.0), (Decision::Review, "refused".into()));
        assert_eq!(decision(&label(None, None), 0.0).0, Decision::Review);
        assert!(decision(&label(Some("other"), None), 0.0).1.contains("fallback"));
    }
}
