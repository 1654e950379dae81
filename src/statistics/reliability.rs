//! Whether probabilities hold: reliability by bins, and the expected calibration error (Naeini et al. 2015). Pure.

use serde::Serialize;

use super::{real, wilson};

/// Bins of equal width.
const BINS: u8 = 10;

/// The answers whose probability lies in one bin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bin {
    /// Lower end.
    pub from: f64,
    /// Upper end.
    pub to: f64,
    /// Answers.
    pub n: usize,
    /// Their mean probability.
    pub confidence: f64,
    /// Share of them that is right.
    pub accuracy: f64,
    /// Its 95 % Wilson interval.
    pub ci95: (f64, f64),
}

/// Reliability of probabilities (each with whether the answer was right), by ten bins of equal
/// width; empty ones are left out.
pub(crate) fn reliability(answers: &[(f32, bool)]) -> Vec<Bin> {
    let width = 1.0 / f64::from(BINS);
    let bin = |number: u8| {
        let (from, to) = (f64::from(number) * width, f64::from(number + 1) * width);
        let is_in = |p: f64| p >= from && (p < to || number + 1 == BINS);
        let inside: Vec<_> = answers.iter().filter(|(p, _)| is_in(f64::from(*p))).collect();
        let n = inside.len();
        let confidence = inside.iter().map(|(p, _)| f64::from(*p)).sum::<f64>() / real(n);
        let right = inside.iter().filter(|(_, right)| *right).count();
        (n > 0).then(|| Bin { from, to, n, confidence, accuracy: real(right) / real(n), ci95: wilson(right, n) })
    };
    (0..BINS).filter_map(bin).collect()
}

/// The mean distance of probability and accuracy over the bins, weighted by their answers; 0 for
/// none.
pub(crate) fn expected_calibration_error(bins: &[Bin]) -> f64 {
    let n: usize = bins.iter().map(|bin| bin.n).sum();
    bins.iter().map(|bin| real(bin.n) * (bin.confidence - bin.accuracy).abs()).sum::<f64>() / real(n.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: the bin of 0.9 holds 0.92, 0.98 and 1 (mean 0.966667, 2 of 3 right), that of 0.2 holds
    /// 0.25 and 0.25 (1 of 2 right): (3 x 0.3 + 2 x 0.25) / 5 = 0.28.
    #[test]
    fn the_calibration_error_matches_a_hand_worked_value() {
        let bins = reliability(&[(0.92, true), (0.98, true), (1.0, false), (0.25, true), (0.25, false)]);
        assert_eq!(bins.iter().map(|bin| bin.n).collect::<Vec<_>>(), [2, 3]);
        assert!((bins[1].accuracy - 2.0 / 3.0).abs() < 1e-9 && (bins[1].confidence - 0.966_667).abs() < 1e-5);
        assert!((expected_calibration_error(&bins) - 0.28).abs() < 1e-6);
        assert!(expected_calibration_error(&[]).abs() < 1e-9);
    }
}
