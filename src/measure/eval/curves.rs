//! What a report draws: coverage against precision, reliability, learning, spread. Pure.

use serde::Serialize;

use super::record::Record;
use super::stats::{self, real};

/// Bins of a reliability plot.
const BINS: usize = 10;
/// Bars of a histogram.
const BARS: usize = 24;

/// What would be routed if the confidence asked for were `threshold`.
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

/// How well confidence tells how often an arm is right.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reliability {
    /// The bins that hold answers, lowest first.
    pub bins: Vec<Bin>,
    /// Expected calibration error: the mean distance between confidence and accuracy, weighed
    /// by answers (Naeini et al. 2015; ten bins of equal width).
    pub error: f64,
}

/// The answers with a confidence in one tenth of the scale.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// How many.
    pub n: usize,
    /// Their mean confidence.
    pub confidence: f64,
    /// Share of them that is right.
    pub accuracy: f64,
    /// Its 95 % Wilson interval.
    pub ci95: (f64, f64),
}

/// The reliability of all answers with an intent; `None` when there are none.
#[must_use]
pub fn reliability(records: &[Record]) -> Option<Reliability> {
    let mut bins = [(0, 0, 0.0); BINS];
    for record in records.iter().filter(|record| record.intent.is_some()) {
        let confidence = f64::from(record.confidence.clamp(0.0, 1.0));
        let (n, right, sum) = &mut bins[place(confidence, 1.0, BINS)];
        *n += 1;
        *right += usize::from(record.correct);
        *sum += confidence;
    }
    let filled = bins.into_iter().filter(|(n, _, _)| *n > 0).map(|(n, right, sum)| Bin {
        n,
        confidence: sum / real(n),
        accuracy: real(right) / real(n),
        ci95: stats::wilson(right, n),
    });
    let bins: Vec<Bin> = filled.collect();
    let all: usize = bins.iter().map(|bin| bin.n).sum();
    let error = bins.iter().map(|bin| real(bin.n) / real(all) * (bin.accuracy - bin.confidence).abs()).sum();
    (all > 0).then_some(Reliability { bins, error })
}

/// Counts of values from 0 to `top` in bars of equal width; what lies beyond is in the last.
#[must_use]
pub fn histogram(values: &[f64], top: f64) -> Vec<usize> {
    let mut bars = vec![0; BARS];
    for value in values {
        bars[place(*value, top, BARS)] += 1;
    }
    bars
}

/// The mean of a cost or a time, and its 95 % interval by the normal approximation.
#[must_use]
pub fn mean(values: &[f64]) -> (f64, (f64, f64)) {
    let n = real(values.len().max(1));
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    let half = 1.96 * (variance / n).sqrt();
    (mean, ((mean - half).max(0.0), mean + half))
}

/// The bin of `value` among `bins` of equal width from 0 to `top`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the bins")]
fn place(value: f64, top: f64, bins: usize) -> usize {
    if top <= 0.0 { 0 } else { (value / top * real(bins)).clamp(0.0, real(bins) - 1.0) as usize }
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

    /// By hand: 2/4 x |0.5 - 0.95| + 1/4 x |1 - 0.55| + 1/4 x |0 - 0.05| = 0.35.
    #[test]
    fn the_expected_calibration_error_matches_a_hand_worked_value() {
        let reliability = reliability(&records()).unwrap();
        assert!((reliability.error - 0.35).abs() < 1e-6, "{}", reliability.error);
        assert_eq!(reliability.bins.iter().map(|bin| bin.n).collect::<Vec<_>>(), [1, 1, 2]);
        assert!(super::reliability(&[]).is_none());
    }

    #[test]
    fn a_histogram_loses_no_value() {
        let bars = histogram(&[0.0, 1.0, 5.0, 9.99, 10.0, 400.0], 10.0);
        assert_eq!((bars.iter().sum::<usize>(), bars[0], bars[BARS - 1]), (6, 1, 3));
        assert_eq!(histogram(&[0.0, 0.0], 0.0)[0], 2);
    }

    /// By hand: mean 2, standard deviation 1, so 1.96 / sqrt(3) to either side.
    #[test]
    fn a_mean_has_its_interval() {
        let (mean, (low, high)) = mean(&[1.0, 2.0, 3.0]);
        assert!((mean - 2.0).abs() < 1e-9 && (high - 3.1316).abs() < 1e-4 && (low - 0.8684).abs() < 1e-4);
    }
}
