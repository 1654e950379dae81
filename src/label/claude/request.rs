//! The requests. Each has a static part, the same bytes for every ticket, and the part of the ticket.

use std::sync::{Arc, PoisonError};

use serde_json::{Map, Value, json};

use super::{ClaudeLabeler, Offer};
use crate::Result;
use crate::claude::{
    CacheControl, Message, OutputConfig, OutputFormat, Request, Sampling, SystemBlock, Thinking, ThinkingRule,
};
use crate::data::evidence::Evidence;
use crate::data::taxonomy::{AttributeValue, Taxonomy};
use crate::stages::prompt::AnswerForm;

/// Output tokens for an answer: two sentences of reasoning in any language, the intents and the attributes.
const MAX_TOKENS: u32 = 1024;

/// The static part: what all requests with the same offer share.
pub(super) struct Fixed {
    offers_all: bool,
    system: String,
    schema: Value,
}

impl ClaudeLabeler {
    /// The request that offers these intents for this evidence.
    pub(super) fn request_with(&self, offer: &Offer<'_>, evidence: &Evidence) -> Result<Request> {
        let (model, fixed) = (&self.model, self.fixed(offer, evidence)?);
        let format = (self.form == AnswerForm::Structured)
            .then(|| OutputFormat { kind: "json_schema", schema: fixed.schema.clone() });
        let output = OutputConfig { effort: model.effort.clone(), format };
        Ok(Request {
            model: model.id.clone(),
            max_tokens: self.room_of(MAX_TOKENS),
            temperature: (model.sampling == Sampling::Temperature).then_some(0.0),
            thinking: (model.thinking == ThinkingRule::Disabled).then_some(Thinking { kind: "disabled" }),
            output_config: (output != OutputConfig::default()).then_some(output),
            system: vec![SystemBlock {
                kind: "text",
                text: fixed.system.clone(),
                cache_control: Some(CacheControl { kind: "ephemeral" }),
            }],
            messages: vec![Message { role: "user", content: self.prompts.ticket(evidence, offer.intents())? }],
        })
    }

    /// So many output tokens, or as many as the model can give.
    pub(super) fn room_of(&self, tokens: u32) -> u32 {
        tokens.min(self.model.max_output.unwrap_or(tokens))
    }

    fn fixed(&self, offer: &Offer<'_>, evidence: &Evidence) -> Result<Arc<Fixed>> {
        let (way_out, taxonomy) = (offer.way_out(), &evidence.taxonomy);
        let is_it = |(of, fixed): &&(Arc<Taxonomy>, Arc<Fixed>)| {
            fixed.offers_all == way_out.is_none() && Arc::ptr_eq(of, taxonomy)
        };
        if let Some((_, fixed)) = self.fixed.read().unwrap_or_else(PoisonError::into_inner).iter().find(is_it) {
            return Ok(Arc::clone(fixed));
        }
        let system = self.prompts.system(taxonomy, self.form, way_out, evidence.step.as_ref())?;
        let fixed = Arc::new(Fixed { offers_all: way_out.is_none(), system, schema: schema(taxonomy, way_out) });
        let mut kept = self.fixed.write().unwrap_or_else(PoisonError::into_inner);
        kept.push((Arc::clone(taxonomy), Arc::clone(&fixed)));
        Ok(fixed)
    }
}

/// One static schema with all intents, whatever is offered for a ticket. A schema for each ticket would
/// defeat the caches of the prompt and of the grammar. Reasoning comes first, so that the model writes it
/// first.
fn schema(taxonomy: &Taxonomy, way_out: Option<&str>) -> Value {
    let object = |properties: Map<String, Value>| {
        let required: Vec<&String> = properties.keys().collect();
        let required = json!(required);
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    };
    let names: Vec<&str> = taxonomy.intents.iter().map(|intent| intent.name.as_str()).collect();
    let answers: Vec<&str> = names.iter().copied().chain(way_out).collect();
    let mut properties = Map::new();
    properties
        .insert("reasoning".into(), json!({"type": "string", "description": "One or two sentences on what decides."}));
    properties.insert("intent".into(), json!({"type": "string", "enum": answers}));
    properties.insert("secondary".into(), json!({"type": "array", "items": {"type": "string", "enum": names}}));
    if !taxonomy.attributes.is_empty() {
        // Attributes have an object of their own, so that none can take the name of another key.
        let attributes = taxonomy.attributes.iter().map(|attribute| {
            let values: Vec<&str> = attribute.values.iter().map(AttributeValue::name).collect();
            (attribute.name.clone(), json!({"type": "string", "enum": values}))
        });
        properties.insert("attributes".into(), object(attributes.collect()));
    }
    object(properties)
}
