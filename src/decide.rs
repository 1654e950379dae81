//! From label and evidence to a decision: route the ticket, or let a person look. Pure.

use serde::Serialize;

use crate::label::Label;
use crate::retrieve::Evidence;

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
    /// The labeler's own, or the share of the similar examples' vote that the intent has, 0 to
    /// 1. An agreement with the history, not a calibrated probability.
    pub confidence: f32,
}

/// Decides on a label: a doubt of the labeler, no intent, the fallback intent or a confidence
/// below `min_confidence` is a review.
#[must_use]
pub fn decide(label: &Label, evidence: &Evidence, min_confidence: f32) -> Decided {
    let agreement = || label.intent.as_deref().map_or(0.0, |intent| evidence.share_of(intent));
    let confidence = label.confidence.unwrap_or_else(agreement);
    let review = |reason: String| Decided { decision: Decision::Review, reason, confidence };
    if let Some(doubt) = &label.doubt {
        return review(doubt.clone());
    }
    let Some(intent) = &label.intent else {
        return review("the labeler named no intent".into());
    };
    if evidence.taxonomy.is_fallback(intent) {
        return review(format!("{intent:?} is the fallback: no intent of the desk fits"));
    }
    if confidence < min_confidence {
        return review(format!(
            "the similar examples give {intent:?} {:.0} % of their vote, less than the {:.0} % asked for",
            confidence * 100.0,
            min_confidence * 100.0
        ));
    }
    let reason = if min_confidence > 0.0 {
        format!("the similar examples give {intent:?} {:.0} % of their vote", confidence * 100.0)
    } else {
        "the answer names an intent of the taxonomy".to_owned()
    };
    Decided { decision: Decision::Route, reason, confidence }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::rank::Vote;
    use crate::taxonomy::Taxonomy;
    use crate::ticket::Ticket;

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
    fn doubt_no_intent_and_the_fallback_are_reviews_with_their_reason() {
        assert_eq!(decision(&label(Some("a"), Some("refused")), 0.0), (Decision::Review, "refused".into()));
        assert_eq!(decision(&label(None, None), 0.0).0, Decision::Review);
        assert!(decision(&label(Some("other"), None), 0.0).1.contains("fallback"));
    }
}
