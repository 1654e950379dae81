//! Arms against each other on the same tickets. Pure.

use serde::Serialize;

use super::score::ArmReport;
use super::stats::{self, real};

/// From this p-value on, two arms are not told apart.
const LEVEL: f64 = 0.05;
/// A note names at most this many pairs.
const NAMED: usize = 4;

/// Two arms on the same tickets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The earlier arm.
    pub a: String,
    /// The later arm.
    pub b: String,
    /// Accuracy of `b` less that of `a`.
    pub difference: f64,
    /// Tickets that only `a` got right.
    pub only_a: usize,
    /// Tickets that only `b` got right.
    pub only_b: usize,
    /// Of the exact McNemar test.
    pub p_value: f64,
    /// The same with Holm's correction for all comparisons of the report.
    pub p_holm: f64,
    /// How many tickets would show a difference like this at the 5 % level with a power of 80 %;
    /// `None` where there is no difference.
    pub tickets_needed: Option<usize>,
}

/// Each arm against each later one.
pub(super) fn compare(arms: &[ArmReport]) -> Vec<Comparison> {
    let pairs = arms.iter().enumerate().flat_map(|(i, a)| arms[i + 1..].iter().map(move |b| (a, b)));
    let mut comparisons: Vec<Comparison> = pairs
        .map(|(a, b)| {
            let only = |x: &ArmReport, y: &ArmReport| {
                x.records.iter().zip(&y.records).filter(|(x, y)| x.correct && !y.correct).count()
            };
            let (only_a, only_b) = (only(a, b), only(b, a));
            let (discordant, n) = (real(only_a + only_b), real(a.n));
            Comparison {
                a: a.name.clone(),
                b: b.name.clone(),
                difference: b.accuracy - a.accuracy,
                only_a,
                only_b,
                p_value: stats::mcnemar(only_a, only_b),
                p_holm: 1.0,
                tickets_needed: stats::tickets_needed(discordant / n, (real(only_b) - real(only_a)) / n),
            }
        })
        .collect();
    let raw: Vec<f64> = comparisons.iter().map(|pair| pair.p_value).collect();
    for (pair, p_holm) in comparisons.iter_mut().zip(stats::holm(&raw)) {
        pair.p_holm = p_holm;
    }
    comparisons
}

/// Says which arms so few tickets do not tell apart, and how many would.
pub(super) fn too_small(comparisons: &[Comparison], tickets: usize) -> Option<String> {
    let unclear: Vec<String> = comparisons
        .iter()
        .filter(|pair| pair.p_value >= LEVEL)
        .filter_map(|pair| Some(format!("{} and {} (about {} needed)", pair.a, pair.b, pair.tickets_needed?)))
        .collect();
    let more = unclear.len().saturating_sub(NAMED);
    let rest = if more > 0 { format!(", and {more} more pairs") } else { String::new() };
    (!unclear.is_empty()).then(|| {
        format!(
            "{tickets} tickets are too few to tell apart, by McNemar's test at the 5 % level with a power of 80 %: {}{rest}",
            unclear[..unclear.len() - more].join(", ")
        )
    })
}
