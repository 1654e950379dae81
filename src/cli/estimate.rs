//! `--estimate`: what a run would use and cost.

use anyhow::Context as _;

use super::wiring::Labelling;
use super::{print, print_json};
use crate::claude::Client;
use crate::claude::estimate::{ANSWER_TOKENS, BYTES_PER_TOKEN, Estimate, RequestSize, estimate};
use crate::data::ticket::Ticket;
use crate::pipeline::Classifier;

/// Requests whose tokens are counted by the API; the others follow by their bytes.
const SAMPLE: usize = 20;

/// Prints the estimate; without a client the tokens are approximated.
pub(super) async fn run(
    classifier: &Classifier,
    tickets: &[Ticket],
    labelling: &Labelling,
    client: Option<&Client>,
    json: bool,
) -> anyhow::Result<()> {
    let run = labelling.claude().context("--estimate is for --labeler claude; vote costs nothing")?;
    let mut sizes = Vec::with_capacity(tickets.len());
    let (mut counted, mut counted_bytes) = (0_u64, 0_usize);
    let step = tickets.len().div_ceil(SAMPLE).max(1);
    for (position, ticket) in tickets.iter().enumerate() {
        // A cascade asks only for some.
        let Some(body) = classifier.preview(ticket).await? else { continue };
        let prefix = body["system"].to_string().len() + body["output_config"].to_string().len();
        let size = RequestSize { prefix, rest: body["messages"].to_string().len() };
        if let (Some(client), 0) = (client, position % step) {
            counted += client.count_tokens(&body).await?;
            counted_bytes += size.prefix + size.rest;
        }
        sizes.push(size);
    }
    #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
    let (ratio, how) = if counted > 0 {
        let ratio = counted_bytes as f64 / counted as f64;
        (ratio, format!("counted by the API on {} requests", tickets.len().div_ceil(step)))
    } else {
        (BYTES_PER_TOKEN, format!("approximated at {BYTES_PER_TOKEN} bytes a token; set a key to have them counted"))
    };
    let outcome = estimate(&run.model, &sizes, ratio);
    if json { print_json(&outcome) } else { print(&text(&outcome, &run.model.id, &how)) }
}

fn text(estimate: &Estimate, model: &str, how: &str) -> String {
    let dollars = |cost: Option<f64>| cost.map_or("unknown".to_owned(), |cost| format!("${cost:.4}"));
    let cache = if estimate.cacheable { "" } else { " (the static part is too short to be cached)" };
    format!(
        "{} requests to {model}: about {} input tokens ({} of them static), {how}; {} output tokens at {ANSWER_TOKENS} an answer\n\
         one by one:        {}\n\
         with the cache:    {}{cache}\n\
         through batches:   {}\n",
        estimate.requests,
        estimate.input_tokens,
        estimate.prefix_tokens,
        estimate.output_tokens,
        dollars(estimate.direct_usd),
        dollars(estimate.cached_usd),
        dollars(estimate.batch_usd),
    )
}
