//! One classification for people.

use std::fmt::Write as _;

use super::dollars;
use crate::data::decision::Decision;
use crate::data::taxonomy::Route;
use crate::pipeline::Classification;
use crate::text::{excerpt, one_line};

fn decision(answer: &Classification) -> &'static str {
    match answer.decision {
        Decision::Route => "route",
        Decision::Review => "review",
    }
}

fn intent(answer: &Classification) -> String {
    let intent = answer.intent.as_deref().unwrap_or("(none)");
    match &answer.category {
        Some(category) => one_line(&format!("{category} / {intent}")),
        None => one_line(intent),
    }
}

fn attributes(answer: &Classification) -> String {
    let pairs: Vec<String> = answer.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
    one_line(&pairs.join(", "))
}

fn goes_to(route: &Route) -> String {
    let mut text = route.queue.clone();
    if let Some(priority) = &route.priority {
        let _ = write!(text, ", {priority}");
    }
    if let Some(minutes) = route.respond_within_minutes {
        let _ = write!(text, ", answer within {minutes} min");
    }
    let _ = write!(text, " (rule {})", route.rule);
    text
}

/// How many neighbours are named.
const SHOWN_CANDIDATES: usize = 10;
/// How many of the leading intents are shown with their votes.
const SHOWN_VOTES: usize = 4;

/// One line: id, decision, intents, attributes, the start of the text, and in a review the reason.
#[must_use]
pub fn line(text: &str, answer: &Classification) -> String {
    let mut line = format!("{}  {:<6}  {}", one_line(&answer.id), decision(answer), intent(answer));
    for secondary in &answer.secondary {
        let _ = write!(line, " + {}", one_line(secondary));
    }
    if !answer.attributes.is_empty() {
        let _ = write!(line, "  {}", attributes(answer));
    }
    let _ = write!(line, "  \"{}\"", excerpt(text, 60));
    if answer.decision == Decision::Review {
        let _ = write!(line, "  ({})", one_line(&answer.reason));
    }
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
        let _ = writeln!(out, "  {name:<11}{}", one_line(value));
    };
    row("intent", &intent(answer));
    if !answer.secondary.is_empty() {
        row("secondary", &answer.secondary.join(", "));
    }
    if !answer.attributes.is_empty() {
        row("attributes", &attributes(answer));
    }
    row("decision", &format!("{}: {}", decision(answer), answer.reason));
    if let Some(route) = &answer.route {
        row("route", &goes_to(route));
    }
    if let Some(reasoning) = &answer.reasoning {
        row("reasoning", &excerpt(reasoning, 400));
    }
    let meaning = if answer.calibrated {
        "probability that the intent is right"
    } else {
        "agreement of neighbours and probe, not a probability"
    };
    row("confidence", &format!("{:.0} % ({meaning})", answer.confidence * 100.0));
    for (position, step) in answer.steps.iter().enumerate() {
        let choice = step.choice.as_deref().unwrap_or("(none)");
        let within = step.parent.as_ref().map(|parent| format!(" within {parent}")).unwrap_or_default();
        let cost = if step.usage.requests > 0 { format!(", {}", dollars(step.cost_usd)) } else { String::new() };
        row(
            if position == 0 { "steps" } else { "" },
            &format!("{choice}{within} ({:.0} %{cost})", step.confidence * 100.0),
        );
    }
    if answer.shortlist.len() > 1 {
        row("shortlist", &answer.shortlist.join(", "));
    }
    for (position, vote) in answer.votes.iter().take(SHOWN_VOTES).enumerate() {
        let probe = vote.probe.map(|p| format!(", probe {:.0} %", p * 100.0)).unwrap_or_default();
        let shares = format!(
            "{:3.0} %  {} (neighbours {:.0} %{probe})",
            vote.share * 100.0,
            vote.intent,
            vote.neighbours * 100.0
        );
        row(if position == 0 { "votes" } else { "" }, &shares);
    }
    for (position, neighbour) in answer.neighbours.iter().enumerate() {
        let name = if position == 0 { "examples" } else { "" };
        let shown = excerpt(&neighbour.text, 70);
        row(name, &format!("{:.2}  {}  {}  {shown}", neighbour.score, neighbour.id, neighbour.intent));
        row("", &format!("      {}", neighbour.why));
    }
    let considered = answer.candidates.iter().take(SHOWN_CANDIDATES).map(|candidate| {
        let mark = if candidate.chosen.is_some() { "*" } else { "" };
        format!("{:.2} {}{mark} {}", candidate.score, candidate.id, candidate.intent)
    });
    let considered: Vec<String> = considered.collect();
    if !considered.is_empty() {
        let rest = match answer.candidates.len() - considered.len() {
            0 => String::new(),
            rest => format!(", and {rest} more (--json)"),
        };
        row("considered", &format!("{}{rest}; * is shown as an example", considered.join(", ")));
    }
    for note in &answer.notes {
        row("note", note);
    }
    let latency = &answer.latency_ms;
    let mut by = answer.labeler.clone();
    if let Some(model) = &answer.model {
        let usage = &answer.usage;
        let cached = usage.cache_read_input_tokens.saturating_add(usage.cache_creation_input_tokens);
        let _ = write!(
            by,
            " ({model}), {} tokens in ({cached} of them through the cache), {} out, {}",
            usage.input_tokens.saturating_add(cached),
            usage.output_tokens,
            dollars(answer.cost_usd)
        );
        if let Some(id) = &answer.request_id {
            let _ = write!(by, ", {id}");
        }
    }
    row("labeled by", &by);
    row(
        "time",
        &format!(
            "{:.1} ms (embed {:.1}, retrieve {:.1}, label {:.1})",
            latency.total, latency.embed, latency.retrieve, latency.label
        ),
    );
    format!("{}  \"{}\"\n{out}", one_line(&answer.id), excerpt(text, 90))
}
