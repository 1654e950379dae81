//! What each model takes and costs: a table, read from `models.toml`.

use std::path::Path;

use serde::Deserialize;

use super::{Answer, TokenUsage};
use crate::{Error, Result};

const BUILT_IN: &str = include_str!("models.toml");

/// The table of models.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Models {
    #[serde(rename = "model", default)]
    models: Vec<Model>,
}

/// One model's rules and prices.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Its id in requests.
    pub id: String,
    /// Other ids for it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Which sampling parameters it takes.
    #[serde(default)]
    pub sampling: Sampling,
    /// What a request says about thinking.
    #[serde(default)]
    pub thinking: ThinkingRule,
    /// The effort that a request asks for, where the model takes one.
    #[serde(default)]
    pub effort: Option<String>,
    /// Whether it takes an output schema.
    #[serde(default)]
    pub structured: bool,
    /// The shortest prompt in tokens that can be cached.
    #[serde(default)]
    pub min_cacheable: Option<u64>,
    /// The most tokens of input and output together.
    #[serde(default)]
    pub context: Option<u64>,
    /// The most tokens of output.
    #[serde(default)]
    pub max_output: Option<u32>,
    /// Prices by length of the input; empty when they are not known.
    #[serde(default)]
    pub price: Vec<Price>,
}

/// Sampling parameters that a model takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sampling {
    /// It takes none.
    #[default]
    None,
    /// `temperature`.
    Temperature,
}

/// What a request says about thinking.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThinkingRule {
    /// The request does not mention it.
    #[default]
    None,
    /// The request turns it off.
    Disabled,
}

/// Prices in US$ per million tokens.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// These prices hold for inputs of at most this many tokens.
    #[serde(default)]
    pub up_to_input_tokens: Option<u64>,
    /// Input.
    pub input: f64,
    /// Output.
    pub output: f64,
    /// Input written to the five-minute cache.
    pub cache_write_5m: f64,
    /// Input written to the one-hour cache.
    pub cache_write_1h: f64,
    /// Input read from the cache.
    pub cache_read: f64,
}

impl Models {
    /// The table that this program was built with.
    pub fn built_in() -> Result<Self> {
        toml::from_str(BUILT_IN)
            .map_err(|e| Error::internal(format!("the built-in table of models: {e}")).with_source(e))
    }

    /// Adds a user's table to this one. A model of the same id is replaced.
    pub fn extended(mut self, file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).map_err(|e| {
            Error::configuration(format!("cannot read the models {}: {e}", file.display())).with_source(e)
        })?;
        let own: Self = toml::from_str(&text).map_err(|e| {
            Error::configuration(format!("the models {}: {}", file.display(), e.message().trim())).with_source(e)
        })?;
        self.models.retain(|model| own.models.iter().all(|other| other.id != model.id));
        self.models.extend(own.models);
        Ok(self)
    }

    /// The model of this id or alias. An unknown id gives a model without prices, and with only the parameters
    /// that every model accepts.
    #[must_use]
    pub fn find(&self, id: &str) -> Model {
        let by_id = self.models.iter().find(|model| model.id == id);
        let known = by_id.or_else(|| self.models.iter().find(|model| model.aliases.iter().any(|alias| alias == id)));
        match known {
            // The request has the id as it was given: an alias stays an alias.
            Some(model) => Model { id: id.to_owned(), ..model.clone() },
            None => Model {
                id: id.to_owned(),
                aliases: Vec::new(),
                sampling: Sampling::None,
                thinking: ThinkingRule::None,
                effort: None,
                structured: false,
                min_cacheable: None,
                context: None,
                max_output: None,
                price: Vec::new(),
            },
        }
    }
}

impl Model {
    /// What an answer cost in US$, or `None` when the prices are not known. Batches cost half.
    #[must_use]
    pub fn cost_of(&self, answer: &Answer) -> Option<f64> {
        Some(self.cost(&answer.usage)? * if answer.batch { 0.5 } else { 1.0 })
    }

    /// What an answer cost in US$, or `None` when the prices are not known.
    #[must_use]
    pub fn cost(&self, usage: &TokenUsage) -> Option<f64> {
        let written = usage.cache_creation_input_tokens.unwrap_or(0);
        let read = usage.cache_read_input_tokens.unwrap_or(0);
        let all_input = usage.input_tokens.saturating_add(written).saturating_add(read);
        let price = self.price.iter().find(|price| price.up_to_input_tokens.is_none_or(|limit| all_input <= limit))?;
        #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
        let million = |tokens: u64| tokens as f64 / 1e6;
        Some(
            million(usage.input_tokens) * price.input
                + million(usage.output_tokens) * price.output
                + million(written) * price.cache_write_5m
                + million(read) * price.cache_read,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input: u64, output: u64, written: u64, read: u64) -> TokenUsage {
        TokenUsage {
            input_tokens: input,
            output_tokens: output,
            cache_creation_input_tokens: Some(written),
            cache_read_input_tokens: Some(read),
        }
    }

    #[test]
    fn cost_adds_up_each_kind_of_token_at_its_price() {
        let haiku = Models::built_in().unwrap().find("claude-haiku-5-5");
        let cost = haiku.cost(&usage(10_000, 1_000, 2_000, 4_000)).unwrap();
        assert!((cost - (0.001 + 0.0005 + 0.000_25 + 0.000_04)).abs() < 1e-12, "{cost}");
    }

    #[test]
    fn a_long_prompt_costs_the_higher_price_and_cached_input_counts_toward_its_length() {
        let haiku = Models::built_in().unwrap().find("claude-haiku-5-5");
        let short = haiku.cost(&usage(100_000, 0, 0, 0)).unwrap();
        let long = haiku.cost(&usage(100_000, 0, 0, 1)).unwrap();
        assert!((short - 0.01).abs() < 1e-12 && (long - 0.050_000_05).abs() < 1e-9, "{short} {long}");
    }

    #[test]
    fn an_alias_is_the_same_model_and_an_unknown_one_has_no_price() {
        let models = Models::built_in().unwrap();
        assert_eq!(models.find("claude-haiku-4-5").price, models.find("claude-haiku-4-5-20251001").price);
        assert_eq!(models.find("claude-next-9").cost(&usage(1, 1, 0, 0)), None);
    }
}
