//! One classification for people.

use std::fmt::Write as _;

use super::{dollars, excerpt};
use crate::classifier::Classification;
use crate::decide::Decision;

fn decision(answer: &Classification) -> &'static str {
    match answer.decision {
        Decision::Route => "route",
        Decision::Review => "review",
    }
}

fn intent(answer: &Classification) -> String {
    let intent = answer.intent.as_deref().unwrap_or("(none)");
    match &answer.category {
        Some(category) => format!("{category} / {intent}"),
        None => intent.to_owned(),
    }
}

/// One line: id, decision, intent, reason.
#[must_use]
pub fn line(answer: &Classification) -> String {
    let mut line = format!("{}  {:<6}  {}  ({})", answer.id, decision(answer), intent(answer), answer.reason);
    for note in &answer.notes {
        let _ = write!(line, "  [{note}]");
    }
    line
}

/// A paragraph that shows what the decision rests on.
#[must_use]
pub fn explain(text: &str, answer: &Classification) -> String {
    let mut out = String::new();
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(out, "  {name:<11}{value}");
    };
    row("intent", &intent(answer));
    row("decision", &format!("{}: {}", decision(answer), answer.reason));
    if let Some(reasoning) = &answer.reasoning {
        row("reasoning", &excerpt(reasoning, 400));
    }
    row("agreement", &format!("{:.0} % of the similar examples' vote", answer.confidence * 100.0));
    if answer.shortlist.len() > 1 {
        row("shortlist", &answer.shortlist.join(", "));
    }
    for (position, neighbour) in answer.neighbours.iter().enumerate() {
        let name = if position == 0 { "examples" } else { "" };
        let shown = excerpt(&neighbour.text, 70);
        row(name, &format!("{:.2}  {}  {}  {shown}", neighbour.score, neighbour.id, neighbour.intent));
    }
    for note in &answer.notes {
        row("note", note);
    }
    let latency = &answer.latency_ms;
    let mut by = answer.labeler.clone();
    if let Some(model) = &answer.model {
        let usage = &answer.usage;
        let cached = usage.cache_read_input_tokens + usage.cache_creation_input_tokens;
        let _ = write!(
            by,
            " ({model}), {} tokens in, {} out, {cached} through the cache, {}",
            usage.input_tokens + cached,
            usage.output_tokens,
            dollars(answer.cost_usd)
        );
    }
    row("labeled by", &by);
    row(
        "time",
        &format!(
            "{:.1} ms (embed {:.1}, retrieve {:.1}, label {:.1})",
            latency.total, latency.embed, latency.retrieve, latency.label
        ),
    );
    format!("{}  \"{}\"\n{out}", answer.id, excerpt(text, 90))
}
