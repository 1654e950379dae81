//! Arms against each other on the same tickets. Pure.

use serde::Serialize;

use super::score::ArmReport;
use crate::statistics::{holm, mcnemar, real, tickets_needed};

/// Two arms are told apart below this p-value, corrected for all comparisons.
const LEVEL: f64 = 0.05;
/// How many pairs a note names at most.
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
    /// The p-value of the exact McNemar test, as if this were the only comparison.
    pub p_value: f64,
    /// The same with Holm's correction for all comparisons of the report.
    pub p_adjusted: f64,
    /// `p_adjusted` under its first name, for scripts that read it.
    pub p_holm: f64,
    /// How many tickets would show a difference like this with a power of 80 %, at the 5 % level
    /// divided by the number of comparisons; `None` where there is no difference.
    pub tickets_needed: Option<usize>,
}

impl Comparison {
    /// Whether the arms differ, by the p-value corrected for all comparisons of the report.
    pub(crate) fn is_clear(&self) -> bool {
        self.p_adjusted < LEVEL
    }
}

/// Each arm against each later one.
pub(super) fn compare(arms: &[ArmReport]) -> Vec<Comparison> {
    let pairs: Vec<_> = arms.iter().enumerate().flat_map(|(i, a)| arms[i + 1..].iter().map(move |b| (a, b))).collect();
    let level = LEVEL / real(pairs.len().max(1));
    let mut comparisons: Vec<Comparison> = pairs
        .into_iter()
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
                p_value: mcnemar(only_a, only_b),
                p_adjusted: 1.0,
                p_holm: 1.0,
                tickets_needed: tickets_needed(discordant / n, (real(only_b) - real(only_a)) / n, level),
            }
        })
        .collect();
    let raw: Vec<f64> = comparisons.iter().map(|pair| pair.p_value).collect();
    for (pair, adjusted) in comparisons.iter_mut().zip(holm(&raw)) {
        (pair.p_adjusted, pair.p_holm) = (adjusted, adjusted);
    }
    comparisons
}

/// A note on the arms that so few tickets do not tell apart, and how many tickets would.
pub(super) fn too_small(comparisons: &[Comparison], tickets: usize) -> Option<String> {
    let unclear: Vec<String> = comparisons
        .iter()
        .filter(|pair| !pair.is_clear())
        .filter_map(|pair| Some(format!("{} and {} (about {} needed)", pair.a, pair.b, pair.tickets_needed?)))
        .collect();
    let more = unclear.len().saturating_sub(NAMED);
    let rest = if more > 0 { format!(", and {more} more pairs") } else { String::new() };
    let corrected = if comparisons.len() > 1 { ", corrected for all pairs," } else { "" };
    (!unclear.is_empty()).then(|| {
        format!(
            "{tickets} tickets are too few to tell apart, by McNemar's test at the 5 % level{corrected} with a power of 80 %: {}{rest}",
            unclear[..unclear.len() - more].join(", ")
        )
    })
}
