//! What a labeler made of the evidence.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::decision::Doubt;

/// What a labeler made of the evidence.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Label {
    /// An intent of the taxonomy, or none.
    pub intent: Option<String>,
    /// Intents of further requests in the ticket, the most important first, without `intent`.
    pub secondary: Vec<String>,
    /// Attributes of the taxonomy by name, each with one of its values.
    pub attributes: BTreeMap<String, String>,
    /// Why, in a sentence or two.
    pub reasoning: Option<String>,
    /// How sure the labeler is, 0 to 1, where it says so itself.
    pub confidence: Option<f32>,
    /// Why a person must look at it, where the labeler itself knows one.
    pub doubt: Option<Doubt>,
    /// What was left out of the answer, and why.
    pub notes: Vec<String>,
    /// The model that answered.
    pub model: Option<String>,
    /// What was used.
    pub usage: Usage,
    /// What it cost in US$; `None` when the model's prices are not known.
    pub cost_usd: Option<f64>,
    /// The API's id of the last request.
    pub request_id: Option<String>,
    /// How much longer it would have taken, had another labeler not asked the same before.
    pub spared: Duration,
}

/// Tokens and requests that a label took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Requests that were answered.
    pub requests: u32,
    /// Input tokens at the full price.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Input tokens that were written to the cache.
    pub cache_creation_input_tokens: u64,
    /// Input tokens that were read from the cache.
    pub cache_read_input_tokens: u64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        self.requests += other.requests;
        add(&mut self.input_tokens, other.input_tokens);
        add(&mut self.output_tokens, other.output_tokens);
        add(&mut self.cache_creation_input_tokens, other.cache_creation_input_tokens);
        add(&mut self.cache_read_input_tokens, other.cache_read_input_tokens);
    }
}
