//! What a report draws from single answers: coverage against precision, and how values spread. Pure.

use serde::Serialize;

use super::record::Record;
use crate::statistics::real;

/// How many bars a histogram has.
const BARS: usize = 24;

/// A point of the coverage curve: what would be routed from the confidence `threshold` on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Coverage {
    /// The lowest confidence that is routed.
    pub threshold: f32,
    /// Share of all tickets that is routed.
    pub coverage: f64,
    /// Share of the routed ones that is right.
    pub precision: f64,
}

/// Coverage and precision at every confidence that occurs, from the highest down. A ticket
/// without an intent is never routed.
#[must_use]
pub fn coverage(records: &[Record]) -> Vec<Coverage> {
    let mut ranked: Vec<&Record> = records.iter().filter(|record| record.intent.is_some()).collect();
    ranked.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let (mut points, mut kept, mut right) = (Vec::new(), 0, 0);
    for alike in ranked.chunk_by(|a, b| a.confidence.total_cmp(&b.confidence).is_eq()) {
        kept += alike.len();
        right += alike.iter().filter(|record| record.correct).count();
        points.push(Coverage {
            threshold: alike[0].confidence,
            coverage: real(kept) / real(records.len()),
            precision: real(right) / real(kept),
        });
    }
    points
}

/// Counts values from 0 to `top` in bars of equal width. Larger values are counted in the last bar.
#[must_use]
pub fn histogram(values: &[f64], top: f64) -> Vec<usize> {
    let mut bars = vec![0; BARS];
    for value in values {
        bars[place(*value, top)] += 1;
    }
    bars
}

/// The bar that `value` belongs to.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the bars")]
fn place(value: f64, top: f64) -> usize {
    if top <= 0.0 { 0 } else { (value / top * real(BARS)).clamp(0.0, real(BARS) - 1.0) as usize }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::eval::record::tests::record;

    fn records() -> Vec<Record> {
        [(0.95, true), (0.95, false), (0.55, true), (0.05, false)]
            .map(|(confidence, right)| record("a", Some(if right { "a" } else { "b" }), confidence))
            .to_vec()
    }

    #[test]
    fn coverage_grows_and_ties_are_routed_together() {
        let mut records = records();
        records.push(record("a", None, 0.0));
        let points: Vec<(f64, f64)> = coverage(&records).iter().map(|it| (it.coverage, it.precision)).collect();
        assert_eq!(points, [(0.4, 0.5), (0.6, 2.0 / 3.0), (0.8, 0.5)]);
    }

    #[test]
    fn a_histogram_loses_no_value() {
        let bars = histogram(&[0.0, 1.0, 5.0, 9.99, 10.0, 400.0], 10.0);
        assert_eq!((bars.iter().sum::<usize>(), bars[0], bars[BARS - 1]), (6, 1, 3));
        assert_eq!(histogram(&[0.0, 0.0], 0.0)[0], 2);
    }
}
