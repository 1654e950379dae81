//! The Messages API's shapes, as far as this crate speaks them.

use serde::{Deserialize, Serialize};

/// The body of `POST /v1/messages`. The order of the fields is the order on the wire.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Request {
    /// The model's id.
    pub model: String,
    /// The most tokens that the answer may have.
    pub max_tokens: u32,
    /// 0 for the models that take it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Turned off for the models that would think otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Thinking>,
    /// How much effort the model makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_config: Option<OutputConfig>,
    /// What stays the same for every ticket; the last block ends the cached prefix.
    pub system: Vec<SystemBlock>,
    /// The conversation; always ends with the user's turn.
    pub messages: Vec<Message>,
}

/// A block of the system prompt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SystemBlock {
    /// Always `text`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The text.
    pub text: String,
    /// Marks the end of the cached prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<CacheControl>,
}

/// A cache breakpoint.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CacheControl {
    /// Always `ephemeral`.
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// One turn.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Message {
    /// `user` or `assistant`.
    pub role: &'static str,
    /// Its text.
    pub content: String,
}

/// Whether the model thinks before it answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Thinking {
    /// `disabled`.
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// How the model shapes its output.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutputConfig {
    /// `low` … `max`.
    pub effort: String,
}

/// An answer of the API.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Answer {
    /// The model that answered.
    #[serde(default)]
    pub model: String,
    /// Blocks; those of type `text` carry the answer.
    #[serde(default)]
    pub content: Vec<Block>,
    /// Why it ended; values not known here are kept as they are.
    #[serde(default)]
    pub stop_reason: Option<String>,
    /// Why it was refused.
    #[serde(default)]
    pub stop_details: Option<serde_json::Value>,
    /// What it used.
    #[serde(default)]
    pub usage: TokenUsage,
    /// The `request-id` header.
    #[serde(skip)]
    pub request_id: Option<String>,
}

impl Answer {
    /// The text blocks, joined.
    #[must_use]
    pub fn text(&self) -> String {
        let texts = self.content.iter().filter(|block| block.kind == "text");
        texts.filter_map(|block| block.text.as_deref()).collect::<Vec<_>>().concat()
    }

    /// What a refusal says about itself, in one line.
    #[must_use]
    pub fn refusal_category(&self) -> Option<String> {
        let details = self.stop_details.as_ref()?;
        ["category", "reason", "type"].iter().find_map(|key| details.get(key)?.as_str().map(str::to_owned))
    }
}

/// A block of an answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Block {
    /// `text`, `thinking`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// The text of a text block.
    #[serde(default)]
    pub text: Option<String>,
}

/// The tokens of one answer. All input is the sum of the three input kinds.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct TokenUsage {
    /// Input at the full price.
    #[serde(default)]
    pub input_tokens: u64,
    /// Output.
    #[serde(default)]
    pub output_tokens: u64,
    /// Input written to the cache.
    #[serde(default)]
    pub cache_creation_input_tokens: Option<u64>,
    /// Input read from the cache.
    #[serde(default)]
    pub cache_read_input_tokens: Option<u64>,
}

/// The body of an error answer.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct ErrorBody {
    #[serde(default)]
    pub(super) error: ErrorDetail,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct ErrorDetail {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_taken_by_type_and_unknown_fields_and_reasons_pass() {
        let answer: Answer = serde_json::from_value(serde_json::json!({
            "id": "msg_1", "type": "message", "model": "m", "stop_reason": "something_new",
            "content": [{"type": "thinking", "thinking": "…"}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            "usage": {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": null, "service_tier": "standard"}
        }))
        .unwrap();
        assert_eq!(answer.text(), "ab");
        assert_eq!(answer.stop_reason.as_deref(), Some("something_new"));
    }
}
