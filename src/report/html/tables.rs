//! The tables of a report, as the template takes them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use minijinja::{Value, context};

use super::plots::track;
use super::svg::key;
use crate::measure::eval::confusion::{Confusion, most_confused};
use crate::measure::eval::{ArmReport, EvalReport};
use crate::report::{dollars, interval, percent};
use crate::statistics::real;

/// How many intents a confusion matrix has at most.
const MATRIX: usize = 30;
/// How many confused pairs are listed at most.
const PAIRS: usize = 400;
/// How an answer without an intent is shown.
pub(super) const NONE: &str = "no intent";

/// The arms and their totals.
pub(super) fn arms(arms: &[ArmReport]) -> Vec<Value> {
    let row = |(i, arm): (usize, &ArmReport)| {
        let usage = &arm.usage;
        let read = usage.input_tokens + usage.cache_creation_input_tokens + usage.cache_read_input_tokens;
        context! {
            name => arm.name, key => key(i), labeler => arm.labeler, model => arm.model,
            accuracy => percent(arm.accuracy), interval => interval(arm.ci95), macro_f1 => format!("{:.3}", arm.macro_f1),
            routed => percent(real(arm.routed) / real(arm.n)), right => arm.routed_accuracy.map(percent),
            errors => arm.errors, tokens => read + usage.output_tokens, cost => dollars(arm.cost_usd),
            per_ticket => dollars(arm.cost_per_ticket_usd),
            p50 => format!("{:.1}", arm.latency_ms.p50), p95 => format!("{:.1}", arm.latency_ms.p95),
        }
    };
    arms.iter().enumerate().map(row).collect()
}

/// Accuracy by case or by attribute, arm by arm.
pub(super) fn by<'a>(arms: &'a [ArmReport], list: impl Fn(&'a ArmReport) -> Vec<(&'a str, usize, f64)>) -> Vec<Value> {
    let names: Vec<&str> = arms.iter().map(|arm| arm.name.as_str()).collect();
    let of_arms: Vec<HashMap<&str, f64>> =
        arms.iter().map(|arm| list(arm).into_iter().map(|(name, _, share)| (name, share)).collect()).collect();
    let row = |(name, n, _): (&str, usize, f64)| {
        let shares: Vec<Option<f64>> = of_arms.iter().map(|shares| shares.get(name).copied()).collect();
        let shown: Vec<Option<String>> = shares.iter().map(|share| share.map(percent)).collect();
        context! { name, n, shares => shown, track => track(&names, &shares) }
    };
    list(&arms[0]).into_iter().map(row).collect()
}

/// Every intent with its scores in every arm, and what the best arm takes it for.
pub(super) fn intents(report: &EvalReport, best: usize, confused: &[Confusion<'_>]) -> Vec<Value> {
    let of_arms: Vec<HashMap<&str, _>> =
        report.arms.iter().map(|arm| arm.intents.iter().map(|it| (it.intent.as_str(), it)).collect()).collect();
    let names: BTreeSet<(&str, usize)> =
        report.arms.iter().flat_map(|arm| &arm.intents).map(|it| (it.intent.as_str(), it.n)).collect();
    let row = |(name, n): (&str, usize)| {
        let scores: Vec<Value> = of_arms
            .iter()
            .map(|scores| {
                scores
                    .get(name)
                    .map_or(Value::UNDEFINED, |it| context! { p => it.precision, r => it.recall, f => it.f1 })
            })
            .collect();
        let taken = confused.iter().find(|pair| pair.gold == name);
        let taken = taken.map(|pair| context! { intent => pair.given.unwrap_or(NONE), n => pair.n });
        context! { name, n, scores, taken }
    };
    let mut rows: Vec<_> = names.into_iter().collect();
    let f1 = |name: &str| of_arms[best].get(name).map_or(1.0, |it| it.f1);
    rows.sort_by(|a, b| (a.1 == 0).cmp(&(b.1 == 0)).then(f1(a.0).total_cmp(&f1(b.0))));
    rows.into_iter().map(row).collect()
}

/// The confused pairs of all arms, the most frequent first, and how many were left out.
pub(super) fn pairs(report: &EvalReport, confusions: &[Vec<Confusion<'_>>]) -> Value {
    let mut pairs: BTreeMap<(&str, Option<&str>), Vec<usize>> = BTreeMap::new();
    for (i, pair) in confusions.iter().enumerate().flat_map(|(i, list)| list.iter().map(move |pair| (i, pair))) {
        pairs.entry((pair.gold, pair.given)).or_insert_with(|| vec![0; report.arms.len()])[i] += pair.n;
    }
    let mut pairs: Vec<_> = pairs.into_iter().collect();
    // The arm with the fewest mistakes says most about what is hard.
    let best = super::best(report);
    pairs.sort_by_key(|(_, counts)| std::cmp::Reverse((counts[best], counts.iter().sum::<usize>())));
    let left_out = pairs.len().saturating_sub(PAIRS);
    let row = |((gold, given), counts): ((&str, Option<&str>), Vec<usize>)| {
        context! { gold, given => given.unwrap_or(NONE), in_arms => listed(&counts), counts }
    };
    context! { rows => pairs.into_iter().take(PAIRS).map(row).collect::<Vec<_>>(), left_out }
}

/// The positions of the counts above zero, as an attribute for the script.
fn listed(counts: &[usize]) -> String {
    let places = counts.iter().enumerate().filter(|(_, n)| **n > 0).map(|(i, _)| i.to_string());
    places.collect::<Vec<_>>().join(" ")
}

/// A confusion matrix for each arm over the intents that are confused most. The last column counts
/// the answers that name other intents, or none.
pub(super) fn matrices(report: &EvalReport, confusions: &[Vec<Confusion<'_>>]) -> Value {
    // A weak arm confuses everything. The best one shows what is hard.
    let best = [super::best(report)].into_iter().chain(0..confusions.len()).find(|i| !confusions[*i].is_empty());
    let mut shown = best.map_or_else(Vec::new, |i| most_confused(&confusions[i], MATRIX));
    shown.sort_unstable();
    let all: BTreeSet<&str> = report.arms.iter().flat_map(|arm| &arm.intents).map(|it| it.intent.as_str()).collect();
    let matrix = |(i, arm): (usize, &ArmReport)| {
        let counts: HashMap<(&str, &str), usize> =
            confusions[i].iter().filter_map(|pair| Some(((pair.gold, pair.given?), pair.n))).collect();
        let worst = counts.values().copied().max().unwrap_or(1).max(1);
        let row = |gold: &&str| {
            let of_gold = arm.records.iter().filter(|record| record.gold == **gold);
            let (n, right) = of_gold.fold((0, 0), |(n, right), record| (n + 1, right + usize::from(record.correct)));
            let cell = |given: &&str| {
                let is_right = given == gold;
                let count = if is_right { right } else { counts.get(&(*gold, *given)).copied().unwrap_or(0) };
                let shade = if is_right || count == 0 { 0.0 } else { 0.25 + 0.75 * real(count) / real(worst) };
                context! { count, is_right, shade => (shade * 100.0).round() }
            };
            let in_sight: usize = shown.iter().filter_map(|given| counts.get(&(*gold, *given))).sum();
            let cells: Vec<Value> = shown.iter().map(cell).collect();
            context! { gold => *gold, n, wrong => n - right, elsewhere => n - right - in_sight, cells }
        };
        context! { name => arm.name, key => key(i), rows => shown.iter().map(row).collect::<Vec<_>>() }
    };
    let arms: Vec<Value> = report.arms.iter().enumerate().map(matrix).collect();
    context! { arms, intents => shown, left_out => all.len().saturating_sub(shown.len()) }
}
