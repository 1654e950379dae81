//! The seam to the labeler: the step that names an intent.

use async_trait::async_trait;

use crate::Result;
use crate::data::evidence::Evidence;
use crate::data::label::Label;
use crate::data::taxonomy::Taxonomy;

mod cascade;
#[cfg(feature = "claude")]
mod claude;
mod vote;

pub use cascade::CascadeLabeler;
#[cfg(feature = "claude")]
pub use claude::{ALL_INTENTS_UP_TO, ClaudeLabeler, IntentsMode};
pub use vote::VoteLabeler;

/// What a labeler's answers depend on besides the evidence. A calibration holds only while it stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Identity {
    /// The model.
    pub model: Option<String>,
    /// Fingerprint of the prompts and the intents in them.
    pub prompt: Option<String>,
    /// The confidence from which on a cascade takes the vote's answer.
    pub threshold: Option<f32>,
}

/// What of the evidence a labeler's answers rest on, beside the ticket, the examples that it is shown
/// and the taxonomy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Basis {
    /// The candidates, or what they and the probe say.
    pub votes: bool,
    /// The intents that are put forward.
    pub shortlist: bool,
}

/// Names the intent of a ticket from the evidence.
///
/// A labeler that cannot tell answers with no intent and a doubt; an error means that the
/// ticket was not judged at all: [`Error::permanent`](crate::Error::permanent),
/// [`transient`](crate::Error::transient), or [`fatal`](crate::Error::fatal) where no ticket can be.
#[async_trait]
pub trait Labeler: Send + Sync {
    /// Its name in outputs: `claude`, `vote`, `cascade`, or your own.
    fn name(&self) -> &str;

    /// The confidence below which a ticket goes to review, unless the user sets one.
    fn default_min_confidence(&self) -> f32 {
        0.0
    }

    /// What its answers depend on besides the evidence: nothing, unless a labeler says so.
    fn identity(&self, _taxonomy: &Taxonomy) -> Result<Identity> {
        Ok(Identity::default())
    }

    /// What its answers rest on; all of it unless said. An evaluation charges an arm for no search
    /// that it does not need.
    fn basis(&self, _taxonomy: &Taxonomy) -> Basis {
        Basis { votes: true, shortlist: true }
    }

    /// The label for this evidence.
    async fn label(&self, evidence: &Evidence) -> Result<Label>;

    /// The request that would be sent first for this evidence; `None` when nothing is sent.
    fn preview(&self, _evidence: &Evidence) -> Result<Option<serde_json::Value>> {
        Ok(None)
    }
}
