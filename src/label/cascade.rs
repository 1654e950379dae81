//! The labeler that asks only where it must: the vote answers where it is sure, and another labeler
//! answers the rest.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Basis, Identity, Label, Labeler, VoteLabeler};
use crate::Result;
use crate::data::evidence::Evidence;
use crate::data::taxonomy::Taxonomy;
use crate::stages::confidence::rounded;

/// A cascade (Viola and Jones 2001; for language models `FrugalGPT`, Chen et al. 2023): a cheap
/// labeler first, and a costly one for what the cheap one is not sure of.
pub struct CascadeLabeler {
    dear: Arc<dyn Labeler>,
    threshold: f32,
}

impl fmt::Debug for CascadeLabeler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dear = self.dear.name();
        f.debug_struct("CascadeLabeler").field("dear", &dear).field("threshold", &self.threshold).finish()
    }
}

impl CascadeLabeler {
    /// Its name in outputs.
    pub const NAME: &str = "cascade";

    /// The default threshold: the confidence from which on the vote's answer stands. By cross-validation, it stands
    /// for 87 % of the tickets on BANKING77 and is right for 98 % of these; on `examples_db` for 25 %, and 97 %.
    pub const THRESHOLD: f32 = 0.7;

    /// The vote answers where its confidence is at least `threshold` (0 to 1), else `dear` does.
    #[must_use]
    pub fn new(dear: Arc<dyn Labeler>, threshold: f32) -> Self {
        Self { dear, threshold }
    }

    /// Whatever the vote says, the fallback included: that nothing of the desk fits is an answer too.
    fn is_sure(&self, label: &Label) -> bool {
        label.confidence.is_some_and(|confidence| rounded(confidence) >= self.threshold)
    }
}

#[async_trait]
impl Labeler for CascadeLabeler {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn default_min_confidence(&self) -> f32 {
        self.dear.default_min_confidence()
    }

    fn identity(&self, taxonomy: &Taxonomy) -> Result<Identity> {
        Ok(Identity { threshold: Some(self.threshold), ..self.dear.identity(taxonomy)? })
    }

    fn basis(&self, taxonomy: &Taxonomy) -> Basis {
        Basis { votes: true, ..self.dear.basis(taxonomy) }
    }

    async fn label(&self, evidence: &Evidence) -> Result<Label> {
        let mut sure = VoteLabeler::vote(evidence);
        if self.is_sure(&sure) {
            sure.notes.push("cascade: the vote was sure and answered".to_owned());
            return Ok(sure);
        }
        let mut label = self.dear.label(evidence).await?;
        label.notes.push(format!(
            "cascade: the vote was not sure ({:.0} %, less than {:.0} %); {} answered",
            sure.confidence.unwrap_or_default() * 100.0,
            self.threshold * 100.0,
            self.dear.name()
        ));
        Ok(label)
    }

    /// Nothing is sent where the vote is sure.
    fn preview(&self, evidence: &Evidence) -> Result<Option<serde_json::Value>> {
        if self.is_sure(&VoteLabeler::vote(evidence)) { Ok(None) } else { self.dear.preview(evidence) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::evidence::Vote;
    use crate::data::ticket::Ticket;

    struct Fixed;

    #[async_trait]
    impl Labeler for Fixed {
        fn name(&self) -> &'static str {
            "fixed"
        }

        fn identity(&self, _: &Taxonomy) -> Result<Identity> {
            Ok(Identity { model: Some("m".into()), ..Identity::default() })
        }

        async fn label(&self, _: &Evidence) -> Result<Label> {
            Ok(Label { intent: Some("b".into()), model: Some("m".into()), ..Label::default() })
        }

        fn preview(&self, _: &Evidence) -> Result<Option<serde_json::Value>> {
            Ok(Some(serde_json::json!({})))
        }
    }

    #[tokio::test]
    async fn the_vote_answers_from_its_threshold_on_and_the_other_labeler_below_it() {
        let cascade = CascadeLabeler::new(Arc::new(Fixed), 0.75);
        for (share, intent, sends) in [(0.75, "a", false), (0.74, "b", true)] {
            let evidence = Evidence {
                ticket: Ticket::new("x"),
                candidates: vec![],
                examples: vec![],
                votes: vec![Vote { intent: "a".into(), share, neighbours: share, probe: None }],
                shortlist: vec![],
                is_fixed: false,
                step: None,
                taxonomy: Arc::new(Taxonomy::from_labels(["a".into(), "b".into()])),
            };
            let label = cascade.label(&evidence).await.unwrap();
            assert_eq!(label.intent.as_deref(), Some(intent));
            assert_eq!(label.model.is_some(), sends);
            assert_eq!(cascade.preview(&evidence).unwrap().is_some(), sends);
            assert!(label.notes[0].starts_with("cascade: "), "{:?}", label.notes);
        }
    }

    #[test]
    fn a_cascade_answers_otherwise_when_its_dear_labeler_or_its_threshold_changes() {
        let identity = CascadeLabeler::new(Arc::new(Fixed), 0.75).identity(&Taxonomy::from_labels([])).unwrap();
        assert_eq!((identity.model.as_deref(), identity.threshold), (Some("m"), Some(0.75)));
    }
}
