//! The labeler that asks Claude: prompt, call, parse, and at most one question back.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use serde_json::Value;

use super::{Label, Labeler, Usage};
use crate::claude::{
    Answer, CacheControl, Client, Message, Model, OutputConfig, Request, Sampling, SystemBlock, Thinking, ThinkingRule,
    TokenUsage,
};
use crate::parse::parse;
use crate::prompt::Prompts;
use crate::retrieve::Evidence;
use crate::taxonomy::Taxonomy;
use crate::{Error, Result};

/// Room for two sentences of reasoning in any language, and the intent.
const MAX_TOKENS: u32 = 1024;

/// Asks a Claude model.
pub struct ClaudeLabeler {
    /// `None` only for previews, which send nothing.
    client: Option<Client>,
    model: Model,
    prompts: Prompts,
    /// The rendered static prompt, the same bytes for every ticket of one taxonomy.
    system: OnceLock<(Arc<Taxonomy>, String)>,
}

impl ClaudeLabeler {
    /// A labeler that sends through `client`. Without one it can only
    /// [`preview`](Labeler::preview).
    #[must_use]
    pub fn new(client: Option<Client>, model: Model, prompts: Prompts) -> Self {
        Self { client, model, prompts, system: OnceLock::new() }
    }

    fn request(&self, evidence: &Evidence) -> Result<Request> {
        let model = &self.model;
        Ok(Request {
            model: model.id.clone(),
            max_tokens: MAX_TOKENS,
            temperature: (model.sampling == Sampling::Temperature).then_some(0.0),
            thinking: (model.thinking == ThinkingRule::Disabled).then_some(Thinking { kind: "disabled" }),
            output_config: model.effort.clone().map(|effort| OutputConfig { effort }),
            system: vec![SystemBlock {
                kind: "text",
                text: self.system_text(&evidence.taxonomy)?,
                cache_control: Some(CacheControl { kind: "ephemeral" }),
            }],
            messages: vec![Message { role: "user", content: self.prompts.ticket(evidence)? }],
        })
    }

    fn system_text(&self, taxonomy: &Arc<Taxonomy>) -> Result<String> {
        if let Some((of, text)) = self.system.get()
            && Arc::ptr_eq(of, taxonomy)
        {
            return Ok(text.clone());
        }
        let text = self.prompts.system(taxonomy)?;
        // Losing the race means that another call keeps the same text.
        let _ = self.system.set((Arc::clone(taxonomy), text.clone()));
        Ok(text)
    }

    /// Sends one request and adds what it used to the label.
    async fn ask(&self, request: &Request, label: &mut Label) -> Result<Answer> {
        let client = self.client.as_ref().ok_or_else(|| Error::internal("this labeler has no client"))?;
        let answer = client.send(request).await?;
        label.usage += usage(&answer.usage);
        let cost = self.model.cost(&answer.usage);
        label.cost_usd = match (label.cost_usd, cost) {
            (Some(sum), Some(cost)) => Some(sum + cost),
            _ => None,
        };
        label.request_id.clone_from(&answer.request_id);
        Ok(answer)
    }
}

#[async_trait]
impl Labeler for ClaudeLabeler {
    fn name(&self) -> &'static str {
        "claude"
    }

    fn preview(&self, evidence: &Evidence) -> Result<Option<Value>> {
        serde_json::to_value(self.request(evidence)?)
            .map(Some)
            .map_err(|e| Error::internal(format!("the request cannot be written: {e}")))
    }

    async fn label(&self, evidence: &Evidence) -> Result<Label> {
        let mut request = self.request(evidence)?;
        let mut label = Label { model: Some(self.model.id.clone()), cost_usd: Some(0.0), ..Label::default() };
        for asked_again in [false, true] {
            let answer = self.ask(&request, &mut label).await?;
            let text = answer.text();
            let parsed = parse(&text);
            label.reasoning = parsed.reasoning;
            if let Some(name) = parsed.intent.as_deref().and_then(|name| evidence.taxonomy.resolve(name)) {
                label.intent = Some(name.to_owned());
            }
            label.doubt = doubt(&answer, parsed.intent.as_deref(), label.intent.is_some());
            // An answer that ended by itself but names no known intent is worth one question.
            let ended = matches!(answer.stop_reason.as_deref(), Some("end_turn" | "stop_sequence"));
            if label.intent.is_some() || !ended || asked_again || text.trim().is_empty() {
                break;
            }
            let repair = self.prompts.repair(parsed.intent.as_deref(), &evidence.taxonomy)?;
            request.messages.push(Message { role: "assistant", content: text });
            request.messages.push(Message { role: "user", content: repair });
        }
        Ok(label)
    }
}

/// Why the answer needs a person, if it does.
fn doubt(answer: &Answer, named: Option<&str>, known: bool) -> Option<String> {
    match answer.stop_reason.as_deref() {
        Some("end_turn" | "stop_sequence") | None => {}
        Some("refusal") => {
            let category = answer.refusal_category().map(|category| format!(" ({category})")).unwrap_or_default();
            return Some(format!("the model refused to answer{category}"));
        }
        // A whole answer may have come before the limit; it is checked like any other.
        Some("max_tokens") if known => {}
        Some("max_tokens") => return Some("the answer was cut off before it named an intent".into()),
        Some("model_context_window_exceeded") => {
            return Some("the ticket and its examples are too long for the model".into());
        }
        Some(other) => return Some(format!("the model stopped for an unknown reason ({other})")),
    }
    match (known, named) {
        (true, _) => None,
        (false, Some(name)) => Some(format!("the model answered {name:?}, which is no intent of the taxonomy")),
        (false, None) => Some("the answer holds no intent".into()),
    }
}

fn usage(tokens: &TokenUsage) -> Usage {
    Usage {
        requests: 1,
        input_tokens: tokens.input_tokens,
        output_tokens: tokens.output_tokens,
        cache_creation_input_tokens: tokens.cache_creation_input_tokens.unwrap_or(0),
        cache_read_input_tokens: tokens.cache_read_input_tokens.unwrap_or(0),
    }
}
