//! The labeler that asks Claude: prompt, call, parse, and at most one question back.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Label, Labeler, Usage};
use crate::claude::{
    Answer, AnswerSource, CacheControl, Message, Model, OutputConfig, OutputFormat, Request, Sampling, SystemBlock,
    Thinking, ThinkingRule, TokenUsage,
};
use crate::parse::parse;
use crate::prompt::Prompts;
use crate::retrieve::Evidence;
use crate::taxonomy::Taxonomy;
use crate::{Error, ErrorKind, Result};

/// Room for two sentences of reasoning in any language, and the intent.
const MAX_TOKENS: u32 = 1024;
/// Room for an answer that was cut off at the first try.
const MORE_TOKENS: u32 = 4096;

/// The form in which the model answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerForm {
    /// `<reasoning>` and `<intent>` tags in free text.
    Tags,
    /// JSON after a schema that lists all intents.
    Structured,
}

impl AnswerForm {
    /// The form that a model supports best.
    #[must_use]
    pub fn best_for(model: &Model) -> Self {
        if model.structured { Self::Structured } else { Self::Tags }
    }
}

/// Asks a Claude model.
pub struct ClaudeLabeler {
    /// `None` only for previews, which send nothing.
    source: Option<Arc<AnswerSource>>,
    model: Model,
    form: AnswerForm,
    prompts: Arc<Prompts>,
    /// The static part of the requests, the same bytes for every ticket of one taxonomy.
    fixed: OnceLock<(Arc<Taxonomy>, Fixed)>,
}

#[derive(Clone)]
struct Fixed {
    system: String,
    schema: Value,
}

impl ClaudeLabeler {
    /// A labeler that gets its answers from `source`. Without one it can only
    /// [`preview`](Labeler::preview).
    #[must_use]
    pub fn new(source: Option<Arc<AnswerSource>>, model: Model, form: AnswerForm, prompts: Arc<Prompts>) -> Self {
        Self { source, model, form, prompts, fixed: OnceLock::new() }
    }

    /// The first request for this evidence.
    pub fn request(&self, evidence: &Evidence) -> Result<Request> {
        let (model, fixed) = (&self.model, self.fixed(&evidence.taxonomy)?);
        let format =
            (self.form == AnswerForm::Structured).then_some(OutputFormat { kind: "json_schema", schema: fixed.schema });
        let output = OutputConfig { effort: model.effort.clone(), format };
        Ok(Request {
            model: model.id.clone(),
            max_tokens: MAX_TOKENS.min(model.max_output.unwrap_or(MAX_TOKENS)),
            temperature: (model.sampling == Sampling::Temperature).then_some(0.0),
            thinking: (model.thinking == ThinkingRule::Disabled).then_some(Thinking { kind: "disabled" }),
            output_config: (output != OutputConfig::default()).then_some(output),
            system: vec![SystemBlock {
                kind: "text",
                text: fixed.system,
                cache_control: Some(CacheControl { kind: "ephemeral" }),
            }],
            messages: vec![Message { role: "user", content: self.prompts.ticket(evidence)? }],
        })
    }

    fn fixed(&self, taxonomy: &Arc<Taxonomy>) -> Result<Fixed> {
        if let Some((of, fixed)) = self.fixed.get()
            && Arc::ptr_eq(of, taxonomy)
        {
            return Ok(fixed.clone());
        }
        let names: Vec<&str> = taxonomy.intents.iter().map(|intent| intent.name.as_str()).collect();
        let fixed = Fixed { system: self.prompts.system(taxonomy, self.form)?, schema: schema(&names) };
        // Losing the race means that another call keeps the same text.
        let _ = self.fixed.set((Arc::clone(taxonomy), fixed.clone()));
        Ok(fixed)
    }

    /// Sends one request and adds what it used to the label.
    async fn ask(&self, request: &Request, label: &mut Label) -> Result<Answer> {
        let source = self.source.as_ref().ok_or_else(|| Error::internal("this labeler has no source of answers"))?;
        let answer = source.send(request).await?;
        label.usage += usage(&answer.usage);
        label.cost_usd = label.cost_usd.zip(self.model.cost_of(&answer)).map(|(sum, cost)| sum + cost);
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
        let (mut given_more_room, mut asked_again) = (false, false);
        let mut answer = self.ask(&request, &mut label).await?;
        loop {
            let text = answer.text();
            let parsed = parse(&text);
            label.reasoning = parsed.reasoning.or(label.reasoning);
            let known = parsed.intent.as_deref().and_then(|name| evidence.taxonomy.resolve(name));
            label.intent = known.map(str::to_owned);
            label.doubt = doubt(&answer, parsed.intent.as_deref(), known.is_some());
            let ended = matches!(answer.stop_reason.as_deref(), Some("end_turn" | "stop_sequence"));
            if known.is_some() {
                return Ok(label);
            } else if answer.stop_reason.as_deref() == Some("max_tokens") && !given_more_room {
                given_more_room = true;
                request.max_tokens = MORE_TOKENS.min(self.model.max_output.unwrap_or(MORE_TOKENS));
            } else if ended && !asked_again && !text.trim().is_empty() {
                asked_again = true;
                let question = self.prompts.repair(parsed.intent.as_deref(), &evidence.taxonomy, self.form)?;
                request.messages.push(Message { role: "assistant", content: text });
                request.messages.push(Message { role: "user", content: question });
            } else {
                return Ok(label);
            }
            answer = match self.ask(&request, &mut label).await {
                Ok(answer) => answer,
                // What must stop the run, or waits for a batch, is not this ticket's matter.
                Err(e) if e.kind() == ErrorKind::Stopped => return Err(e),
                Err(e) => {
                    // The first answer was paid for: keep what is known of it.
                    label.doubt = label.doubt.map(|doubt| format!("{doubt}; asking again failed: {e}"));
                    return Ok(label);
                }
            };
        }
    }
}

/// One static list of all intents; reasoning comes first, as the model writes it first.
fn schema(names: &[&str]) -> Value {
    json!({
        "type": "object",
        "properties": {
            "reasoning": {"type": "string", "description": "One or two sentences on what decides."},
            "intent": {"type": "string", "enum": names},
        },
        "required": ["reasoning", "intent"],
        "additionalProperties": false,
    })
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
