//! The tables of an evaluation as cells, the header first: the same for a terminal and for Markdown.

use std::collections::HashMap;

use super::{dollars, interval, percent};
use crate::measure::eval::ArmReport;
use crate::statistics::real;

const ARMS: [&str; 12] = [
    "arm",
    "accuracy",
    "95 % interval",
    "macro-F1",
    "routed",
    "of these right",
    "errors",
    "tokens",
    "cost",
    "per ticket",
    "p50 ms",
    "p95 ms",
];

/// The arms with their totals.
pub(super) fn arms(arms: &[ArmReport]) -> Vec<Vec<String>> {
    let row = |arm: &ArmReport| {
        let usage = &arm.usage;
        let read = usage.input_tokens + usage.cache_creation_input_tokens + usage.cache_read_input_tokens;
        vec![
            arm.name.clone(),
            percent(arm.accuracy),
            interval(arm.ci95),
            format!("{:.3}", arm.macro_f1),
            percent(real(arm.routed) / real(arm.n)),
            arm.routed_accuracy.map_or("–".into(), percent),
            arm.errors.to_string(),
            (read + usage.output_tokens).to_string(),
            dollars(arm.cost_usd),
            dollars(arm.cost_per_ticket_usd),
            format!("{:.1}", arm.latency_ms.p50),
            format!("{:.1}", arm.latency_ms.p95),
        ]
    };
    std::iter::once(ARMS.map(String::from).to_vec()).chain(arms.iter().map(row)).collect()
}

/// Accuracy by case or by attribute, arm by arm.
pub(super) fn by<'a>(
    what: &str,
    arms: &'a [ArmReport],
    list: impl Fn(&'a ArmReport) -> Vec<(&'a str, usize, f64)>,
) -> Vec<Vec<String>> {
    let of_arms: Vec<HashMap<&str, f64>> =
        arms.iter().map(|arm| list(arm).into_iter().map(|(name, _, share)| (name, share)).collect()).collect();
    let header = [what, "n"].into_iter().chain(arms.iter().map(|arm| arm.name.as_str()));
    let row = |(name, n, _): (&str, usize, f64)| {
        let shares = of_arms.iter().map(|shares| shares.get(name).copied().map_or(String::new(), percent));
        [name.to_owned(), n.to_string()].into_iter().chain(shares).collect()
    };
    std::iter::once(header.map(String::from).collect()).chain(list(&arms[0]).into_iter().map(row)).collect()
}

/// The cases of an arm's tickets, for [`by`].
pub(super) fn cases(arm: &ArmReport) -> Vec<(&str, usize, f64)> {
    arm.cases.iter().map(|it| (it.case.as_str(), it.n, it.accuracy)).collect()
}

/// The attributes of an arm's tickets, for [`by`].
pub(super) fn attributes(arm: &ArmReport) -> Vec<(&str, usize, f64)> {
    arm.attributes.iter().map(|it| (it.name.as_str(), it.n, it.accuracy)).collect()
}

/// The intents with the lowest F1 of an arm, at most so many.
pub(super) fn weakest(arm: &ArmReport, most: usize) -> Vec<Vec<String>> {
    let mut intents: Vec<_> = arm.intents.iter().filter(|intent| intent.n > 0).collect();
    intents.sort_by(|a, b| a.f1.total_cmp(&b.f1).then_with(|| a.intent.cmp(&b.intent)));
    let mut rows = vec![["intent", "n", "precision", "recall", "F1"].map(String::from).to_vec()];
    rows.extend(intents.into_iter().take(most).map(|it| {
        let scores = [it.precision, it.recall, it.f1].map(|score| format!("{score:.2}"));
        [it.intent.clone(), it.n.to_string()].into_iter().chain(scores).collect()
    }));
    rows
}
