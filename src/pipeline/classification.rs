//! The answer for one ticket, as it leaves the pipeline. It can be written as JSON and read back.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Needs;
use crate::data::decision::{Decision, ReasonCode};
use crate::data::evidence::Vote;
use crate::data::label::Usage;
use crate::data::taxonomy::Route;
use crate::statistics::milliseconds;

/// The version of a [`Classification`] in JSON. Keys may be added within a version; none is removed.
pub const SCHEMA: u32 = 1;

/// The answer for one ticket, with everything that led to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Classification {
    /// The version of this answer in JSON, see [`SCHEMA`].
    pub schema: u32,
    /// The ticket's id.
    pub id: String,
    /// The intent, or the best guess in a review; `None` when there is none at all.
    pub intent: Option<String>,
    /// The intent's category, where the taxonomy has one.
    pub category: Option<String>,
    /// Intents of further requests in the ticket, the most important first.
    pub secondary: Vec<String>,
    /// Attributes of the taxonomy by name, each with one of its values.
    pub attributes: BTreeMap<String, String>,
    /// Where the taxonomy's routes send it; in a review by the best guess. `None` where no route matches.
    pub route: Option<Route>,
    /// Route or review.
    pub decision: Decision,
    /// Why it is routed or reviewed, for code that branches on it.
    pub reason_code: ReasonCode,
    /// Why it is routed or reviewed, in words and with figures.
    pub reason: String,
    /// Why it is this intent.
    pub reasoning: Option<String>,
    /// After a calibration the probability that the intent is right, otherwise the agreement of neighbours and
    /// probe on it; 0 to 1.
    pub confidence: f32,
    /// Whether the confidence is a calibrated probability.
    pub calibrated: bool,
    /// What answers are ranked by: the agreement of neighbours and probe on the intent, 0 to 1.
    pub score: f32,
    /// The examples that were shown, best first. (The key is older than the word.)
    pub neighbours: Vec<Neighbour>,
    /// The leading intents of neighbours and probe, best first.
    pub shortlist: Vec<String>,
    /// What neighbours and probe say of each intent, best first.
    pub votes: Vec<Vote>,
    /// All neighbours that were found, best first. (The key is older than the word.)
    pub candidates: Vec<Considered>,
    /// The choices on the way down a hierarchy; empty where it was one choice.
    pub steps: Vec<Step>,
    /// Who labelled.
    pub labeler: String,
    /// The model that answered.
    pub model: Option<String>,
    /// Tokens.
    pub usage: Usage,
    /// US$; `None` when the model's prices are not known.
    pub cost_usd: Option<f64>,
    /// Time by stage.
    pub latency_ms: Latency,
    /// What else the user should know, such as a shortened text or a part of the answer that
    /// was left out.
    pub notes: Vec<String>,
    /// The API's id of the last request.
    pub request_id: Option<String>,
}

/// An example as the outputs show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Neighbour {
    /// Its ticket id.
    pub id: String,
    /// Its intent.
    pub intent: String,
    /// Its fused score, about 0 to 1.1.
    pub score: f32,
    /// Why it was chosen.
    pub why: String,
    /// Its text, for people; not part of the JSON.
    #[serde(skip)]
    pub text: String,
}

/// A neighbour as the outputs show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Considered {
    /// Its ticket id.
    pub id: String,
    /// Its intent.
    pub intent: String,
    /// Its fused score.
    pub score: f32,
    /// Its cosine similarity, -1 to 1.
    pub cosine: f32,
    /// Its BM25 score divided by the best one of the search, 0 to 1.
    pub bm25: f32,
    /// Why it was chosen as an example; `None` when it was not.
    pub chosen: Option<String>,
}

/// One choice on the way down a hierarchy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Step {
    /// The category that was chosen within; `None` at the top.
    pub parent: Option<String>,
    /// The category or intent that was chosen.
    pub choice: Option<String>,
    /// Confidence in this choice, given the parent, 0 to 1.
    pub confidence: f32,
    /// Tokens.
    pub usage: Usage,
    /// US$; `None` when the model's prices are not known.
    pub cost_usd: Option<f64>,
    /// Milliseconds, search included.
    pub latency_ms: f64,
}

/// Milliseconds by stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Latency {
    /// Embedding: a fair share of its batch.
    pub embed: f64,
    /// Search and fusion.
    pub retrieve: f64,
    /// Prompt, call and parse, or the vote.
    pub label: f64,
    /// The sum.
    pub total: f64,
}

impl Latency {
    pub(super) fn of(embed: Duration, retrieve: Duration, label: Duration) -> Self {
        Self::sum(milliseconds(embed), milliseconds(retrieve), milliseconds(label))
    }

    /// The times without the parts that a judge does not need.
    pub(crate) fn charged(self, needs: Needs) -> Self {
        let charge = |time: f64, is_needed: bool| if is_needed { time } else { 0.0 };
        Self::sum(charge(self.embed, needs.embedding), charge(self.retrieve, needs.search), self.label)
    }

    fn sum(embed: f64, retrieve: f64, label: f64) -> Self {
        Self { embed, retrieve, label, total: to_microseconds(embed + retrieve + label) }
    }
}

/// Milliseconds to three decimals.
fn to_microseconds(milliseconds: f64) -> f64 {
    (milliseconds * 1e3).round() / 1e3
}
