//! What a run with Claude used and cost: the last words on stderr.

use super::claude::ClaudeRun;
use super::say;

/// Prints the account of a run, if anything was answered.
pub(super) fn print_account(run: &ClaudeRun) {
    let totals = run.ledger.totals();
    if totals.answers == 0 {
        return;
    }
    let (model, models) = (&run.model, run.ledger.models());
    say(&format!(
        "{}: {} answers ({} from the journal, {} by batch), {} requests sent again; tokens: {} in, {} out, {} written to \
         the cache, {} read from it ({:.0} % of the input)",
        models.iter().map(|model| model.id.as_str()).collect::<Vec<_>>().join(", "),
        totals.answers,
        totals.from_journal,
        totals.from_batch,
        run.client.as_ref().map_or(0, |client| client.retried()),
        totals.input_tokens,
        totals.output_tokens,
        totals.cache_written,
        totals.cache_read,
        totals.cache_hit_rate() * 100.0
    ));
    if let Some(unknown) = models.iter().find(|model| model.price.is_empty()) {
        say(&format!("cost: unknown, since {} is not in the table of models; add it with --models FILE", unknown.id));
    } else {
        say(&format!(
            "cost: ${:.6} (without the cache ${:.6}), of which ${:.6} was paid by earlier runs of this journal",
            totals.cost, totals.cost_without_cache, totals.paid_before
        ));
    }
    // Both counters stay 0 when the prefix is too short; the API does not say so.
    if totals.answers > totals.from_journal && totals.cache_read + totals.cache_written == 0 {
        let least = model
            .min_cacheable
            .map_or_else(|| "the model's minimum".into(), |least| format!("the model's {least} tokens"));
        say(&format!("note: nothing was cached: the static part of the prompt is shorter than {least}"));
    }
}
