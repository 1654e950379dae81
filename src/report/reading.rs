//! An evaluation in plain sentences.

use super::percent;
use crate::measure::eval::{ArmReport, Comparison, EvalReport, Shows};
use crate::statistics::real;

/// What came out, in one or two sentences: the best arm, how far it is ahead of the next one, and
/// what it would route.
#[must_use]
pub fn sentences(report: &EvalReport) -> Vec<String> {
    let mut ranked: Vec<&ArmReport> = report.arms.iter().collect();
    ranked.sort_by(|a, b| b.accuracy.total_cmp(&a.accuracy));
    let best = ranked[0];
    let mut first = format!("{} is right on {} of the {}", best.name, percent(best.accuracy), counted(report));
    if let Some(next) = ranked.get(1) {
        first += &lead(best, next, comparison(report, &best.name, &next.name));
    }
    first.push('.');
    let mut sentences = vec![first];
    if let Some(right) = best.routed_accuracy {
        sentences.push(format!(
            "It would route {} of them by itself, and {} of these are right.",
            percent(real(best.routed) / real(best.n)),
            percent(right)
        ));
    }
    sentences
}

/// How many tickets were scored, and of how many where some were left out.
fn counted(report: &EvalReport) -> String {
    match report.dropped {
        0 => format!("{} tickets", report.tickets),
        dropped => {
            format!("{} tickets that were scored ({dropped} of {} were left out)", report.tickets, report.given())
        }
    }
}

fn lead(best: &ArmReport, next: &ArmReport, compared: Option<&Comparison>) -> String {
    let points = (best.accuracy - next.accuracy) * 100.0;
    if points <= 0.0 {
        return format!(", and {} as often", next.name);
    }
    let sure = match compared {
        Some(pair) if pair.is_clear() => "; the difference is not chance",
        Some(_) => "; the difference may be chance",
        None => "",
    };
    format!(", {points:.1} points more than {}{sure}", next.name)
}

fn comparison<'a>(report: &'a EvalReport, one: &str, other: &str) -> Option<&'a Comparison> {
    report.comparisons.iter().find(|pair| [(one, other), (other, one)].contains(&(pair.a.as_str(), pair.b.as_str())))
}

/// What each arm is: who labels, and from which examples.
#[must_use]
pub fn legend(report: &EvalReport) -> String {
    let arm = |arm: &ArmReport| {
        let who = match &arm.model {
            Some(model) if arm.labeler == "cascade" => format!("the vote where it is sure, else {model}"),
            model => model.as_ref().unwrap_or(&arm.labeler).clone(),
        };
        let examples = match arm.shows {
            Shows::Nothing => "without examples",
            Shows::Static => "by the same examples for every ticket",
            Shows::StaticTokens => "by the same examples for every ticket, as long in all as the retrieved ones",
            Shows::Retrieved => "by the examples most like the ticket",
        };
        format!("{}: {who}, {examples}", arm.name)
    };
    report.arms.iter().map(arm).collect::<Vec<_>>().join("; ")
}

/// Each comparison of two arms in a line.
#[must_use]
pub fn comparisons(report: &EvalReport) -> Vec<String> {
    // One comparison needs no correction, and its two values are the same.
    let several = report.comparisons.len() > 1;
    let line = |pair: &Comparison| {
        let before =
            if several { format!(" after Holm's correction, {} before", p_value(pair.p_value)) } else { String::new() };
        format!(
            "{} over {}: {:+.1} points (only {} right {}, only {} right {}; McNemar p {}{before})",
            pair.b,
            pair.a,
            pair.difference * 100.0,
            pair.b,
            pair.only_b,
            pair.a,
            pair.only_a,
            p_value(pair.p_adjusted),
        )
    };
    report.comparisons.iter().map(line).collect()
}

/// What a reader must know besides the figures.
#[must_use]
pub fn remarks(report: &EvalReport) -> Vec<String> {
    let mut remarks = Vec::new();
    if report.dropped > 0 {
        remarks.push(format!(
            "{} more are in the store and were left out, since the probe has learned from them (--no-probe scores them)",
            report.dropped
        ));
    } else if report.in_store > 0 {
        remarks.push(format!("{} of them are in the store; each was kept from seeing itself", report.in_store));
    }
    if report.unknown_gold > 0 {
        remarks
            .push(format!("{} have an intent that the store does not know; they count as wrong", report.unknown_gold));
    }
    if report.near_duplicates > 0 {
        remarks.push(format!("{} are nearly in the store: an example says almost the same", report.near_duplicates));
    }
    remarks.extend(report.notes.iter().cloned());
    remarks
}

fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".into() } else { format!("{p:.3}") }
}
