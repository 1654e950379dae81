//! The shapes of the Messages API, as far as this crate uses them.

use serde::Serialize;
use serde_json::Value;

/// The body of `POST /v1/messages`. The order of the fields is the order on the wire.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Request {
    /// The model's id.
    pub model: String,
    /// The most tokens that the answer may have.
    pub max_tokens: u32,
    /// 0, for the models that take a temperature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Thinking, turned off for the models that would think otherwise.
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
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct OutputConfig {
    /// `low` … `max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    /// The schema that the answer must follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<OutputFormat>,
}

/// A schema for the answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutputFormat {
    /// Always `json_schema`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The schema.
    pub schema: Value,
}

/// An answer of the API.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// Blocks; those of type `text` carry the answer.
    pub content: Vec<Block>,
    /// Why it ended; values not known here are kept as they are.
    pub stop_reason: Option<String>,
    /// Why it was refused.
    pub stop_details: Option<Value>,
    /// What it used.
    pub usage: TokenUsage,
    /// The `request-id` header.
    pub request_id: Option<String>,
    /// Whether it came through a batch, at half the price.
    pub batch: bool,
    /// The answer exactly as it came, for the journal.
    pub raw: Value,
}

impl Answer {
    /// Reads an answer and keeps it as it came. Only what makes it an answer is required: it was paid for, and
    /// gateways leave out or garble the rest. `Err` says what is wrong.
    pub fn from_raw(raw: Value) -> Result<Self, String> {
        if raw.get("type").and_then(Value::as_str) == Some("error") || raw.get("error").is_some_and(Value::is_object) {
            let detail = raw.get("error").unwrap_or(&raw);
            let field = |name: &str| detail.get(name).and_then(Value::as_str).unwrap_or("unknown");
            return Err(format!("an error in place of an answer: {}: {}", field("type"), field("message")));
        }
        let Some(Value::Array(blocks)) = raw.get("content") else {
            return Err("no list \"content\"".into());
        };
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let block = |value: &Value| Block { kind: text(value, "type").unwrap_or_default(), text: text(value, "text") };
        let count = |name: &str| raw.get("usage").and_then(|usage| usage.get(name)).and_then(Value::as_u64);
        Ok(Self {
            content: blocks.iter().map(block).collect(),
            stop_reason: text(&raw, "stop_reason"),
            stop_details: raw.get("stop_details").filter(|details| !details.is_null()).cloned(),
            usage: TokenUsage {
                input_tokens: count("input_tokens").unwrap_or(0),
                output_tokens: count("output_tokens").unwrap_or(0),
                cache_creation_input_tokens: count("cache_creation_input_tokens"),
                cache_read_input_tokens: count("cache_read_input_tokens"),
            },
            request_id: None,
            batch: false,
            raw,
        })
    }

    /// The same answer as if all its input had been sent at the full price.
    pub(super) fn uncached(&self) -> Self {
        let usage = &self.usage;
        let cached = usage.cache_creation_input_tokens.unwrap_or(0) + usage.cache_read_input_tokens.unwrap_or(0);
        let usage = TokenUsage {
            input_tokens: usage.input_tokens.saturating_add(cached),
            cache_creation_input_tokens: None,
            cache_read_input_tokens: None,
            ..usage.clone()
        };
        Self { usage, raw: Value::Null, ..self.clone() }
    }

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
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Block {
    /// `text`, `thinking`, …
    pub kind: String,
    /// The text of a text block.
    pub text: Option<String>,
}

/// The tokens of one answer. The whole input is the sum of the three kinds of input.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TokenUsage {
    /// Input at the full price.
    pub input_tokens: u64,
    /// Output.
    pub output_tokens: u64,
    /// Input written to the cache.
    pub cache_creation_input_tokens: Option<u64>,
    /// Input read from the cache.
    pub cache_read_input_tokens: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_taken_by_type_and_unknown_fields_and_reasons_pass() {
        let answer = Answer::from_raw(serde_json::json!({
            "id": "msg_1", "type": "message", "model": "m", "stop_reason": "something_new",
            "content": [{"type": "thinking", "thinking": "…"}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            "usage": {"input_tokens": 3, "output_tokens": -5, "cache_read_input_tokens": null, "service_tier": "standard"}
        }))
        .unwrap();
        assert_eq!((answer.usage.input_tokens, answer.usage.output_tokens), (3, 0));
        assert_eq!(answer.text(), "ab");
        assert_eq!(answer.stop_reason.as_deref(), Some("something_new"));
    }

    #[test]
    fn what_is_no_answer_is_not_read_as_one() {
        for raw in ["{}", "[]", "{\"content\": null}", "{\"type\": \"error\", \"error\": {\"message\": \"busy\"}}"] {
            assert!(Answer::from_raw(serde_json::from_str(raw).unwrap()).is_err(), "{raw}");
        }
    }
}
