//! What a run will use and cost, before anything is sent. Pure.

use super::Model;
use serde::Serialize;

/// How many bytes of a prompt make a token, where nothing was counted. It lies between English prose
/// (about 4) and dense scripts; newer models have finer tokens.
pub const BYTES_PER_TOKEN: f64 = 3.3;
/// How many tokens an answer has: two sentences and a name.
pub const ANSWER_TOKENS: u64 = 110;

/// The size of one request in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestSize {
    /// The static part, the same for all requests.
    pub prefix: usize,
    /// The part of the ticket.
    pub rest: usize,
}

/// An estimate of a run. Costs are US$, `None` when the model's prices are not known.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// Requests, if no answer needs a question back.
    pub requests: usize,
    /// Input tokens in total.
    pub input_tokens: u64,
    /// Input tokens in the static parts of all requests.
    pub prefix_tokens: u64,
    /// Output tokens in total.
    pub output_tokens: u64,
    /// The cost when requests are sent one by one and nothing is cached.
    pub direct_usd: Option<f64>,
    /// The cost when requests are sent one by one and the static part is cached; equal to `direct_usd` when
    /// that part is too short.
    pub cached_usd: Option<f64>,
    /// The cost through batches, when nothing is cached.
    pub batch_usd: Option<f64>,
    /// Whether the static part is long enough to be cached.
    pub cacheable: bool,
}

/// Estimates a run of these requests; `bytes_per_token` is measured, or [`BYTES_PER_TOKEN`].
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
pub fn estimate(model: &Model, sizes: &[RequestSize], bytes_per_token: f64) -> Estimate {
    let tokens = |bytes: usize| bytes as f64 / bytes_per_token;
    let (prefix, rest): (Vec<f64>, Vec<f64>) =
        sizes.iter().map(|size| (tokens(size.prefix), tokens(size.rest))).unzip();
    let shortest = prefix.iter().copied().fold(f64::INFINITY, f64::min);
    let cacheable = !sizes.is_empty() && model.min_cacheable.is_some_and(|least| shortest >= least as f64);
    let output = ANSWER_TOKENS as f64;
    let sum = |cost: &dyn Fn(usize, &super::Price) -> f64| -> Option<f64> {
        (0..sizes.len())
            .map(|i| {
                let input = prefix[i] + rest[i];
                let fits = |limit: u64| input <= limit as f64;
                let price = model.price.iter().find(|price| price.up_to_input_tokens.is_none_or(fits))?;
                Some(cost(i, price) / 1e6)
            })
            .sum()
    };
    let direct_usd = sum(&|i, price| (prefix[i] + rest[i]) * price.input + output * price.output);
    let cached_usd = sum(&|i, price| {
        let prefix_price = match (cacheable, i) {
            (false, _) => price.input,
            (true, 0) => price.cache_write_5m,
            (true, _) => price.cache_read,
        };
        prefix[i] * prefix_price + rest[i] * price.input + output * price.output
    });
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "token counts are small and positive")]
    let whole = |tokens: f64| tokens.round() as u64;
    Estimate {
        requests: sizes.len(),
        input_tokens: whole(prefix.iter().sum::<f64>() + rest.iter().sum::<f64>()),
        prefix_tokens: whole(prefix.iter().sum::<f64>()),
        output_tokens: ANSWER_TOKENS * sizes.len() as u64,
        direct_usd,
        cached_usd,
        batch_usd: direct_usd.map(|cost| cost / 2.0),
        cacheable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claude::Models;

    #[test]
    fn the_three_ways_are_worked_out_by_hand() {
        let model = Models::built_in().unwrap().find("claude-haiku-5-5");
        let sizes = [RequestSize { prefix: 3000, rest: 600 }; 10];
        let estimate = estimate(&model, &sizes, 3.0);
        assert_eq!((estimate.input_tokens, estimate.output_tokens, estimate.cacheable), (12_000, 1_100, true));
        let near = |a: Option<f64>, b: f64| (a.unwrap() - b).abs() < 1e-12;
        let answers = 1_100.0 * 0.5 / 1e6;
        assert!(near(estimate.direct_usd, 12_000.0 * 0.1 / 1e6 + answers));
        let cached = (1_000.0 * 0.125 + 9_000.0 * 0.01 + 2_000.0 * 0.1) / 1e6 + answers;
        assert!(near(estimate.cached_usd, cached));
        assert!(near(estimate.batch_usd, 0.5 * (12_000.0 * 0.1 / 1e6 + answers)));
    }

    #[test]
    fn a_short_prefix_is_not_cached_and_an_unknown_model_has_no_price() {
        let models = Models::built_in().unwrap();
        let sizes = [RequestSize { prefix: 900, rest: 300 }];
        let short = estimate(&models.find("claude-haiku-4-5"), &sizes, 3.0);
        assert!(!short.cacheable);
        assert_eq!(short.cached_usd, short.direct_usd);
        assert_eq!(estimate(&models.find("claude-next"), &sizes, 3.0).direct_usd, None);
    }
}
