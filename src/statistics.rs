//! Statistics that know nothing of tickets: shares and their intervals, paired tests, log-odds, vectors. Pure.

use std::time::Duration;

pub(crate) mod bootstrap;
mod paired;
pub(crate) mod reliability;
mod share;
mod vector;

pub(crate) use paired::{holm, mcnemar, tickets_needed};
pub(crate) use share::{at_most, clopper_pearson_low, wilson};
pub use vector::cosine;
pub(crate) use vector::softmax;

/// The quantile of the standard normal distribution at 97.5 %, for two-sided intervals of 95 %.
const Z95: f64 = 1.959_963_984_540_054;
/// Scores of 0 and 1 have no logit, so they are moved inwards by so much.
const MARGIN: f64 = 1e-4;

/// A count as a real number.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) fn real(count: usize) -> f64 {
    count as f64
}

/// A time in milliseconds, to the microsecond.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// The value below which a share of the sorted values lies, by the nearest rank.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * real(sorted.len())).ceil().max(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank from 1 to the length")]
    let position = rank as usize - 1;
    sorted.get(position).or(sorted.last()).copied().unwrap_or(0.0)
}

/// The mean of values that are not negative, and its 95 % interval by the normal approximation.
pub(crate) fn mean(values: &[f64]) -> (f64, (f64, f64)) {
    let n = real(values.len().max(1));
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    let half = Z95 * (variance / n).sqrt();
    (mean, ((mean - half).max(0.0), mean + half))
}

/// The logarithm of a score's odds.
pub(crate) fn logit(score: f32) -> f64 {
    let score = f64::from(score).clamp(MARGIN, 1.0 - MARGIN);
    (score / (1.0 - score)).ln()
}

/// The probability of log-odds.
pub(crate) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 5e-5
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        assert!(near(percentile(&values, 0.5), 10.0) && near(percentile(&values, 0.95), 19.0));
        assert!(near(percentile(&[], 0.5), 0.0) && near(percentile(&[7.0], 0.95), 7.0));
    }

    /// By hand: mean 2, standard deviation 1, so 1.96 / sqrt(3) to either side.
    #[test]
    fn a_mean_has_its_interval() {
        let (mean, (low, high)) = mean(&[1.0, 2.0, 3.0]);
        assert!(near(mean, 2.0) && near(high, 3.13159) && near(low, 0.86841), "{low} {high}");
    }

    #[test]
    fn log_odds_go_there_and_back_and_have_bounds() {
        assert!(near(logit(0.75), 3.0_f64.ln()) && near(sigmoid(logit(0.75)), 0.75));
        assert!(logit(0.0).is_finite() && logit(1.0).is_finite() && near(logit(0.0), -logit(1.0)));
    }

    #[test]
    fn a_time_is_kept_to_the_microsecond() {
        assert!((milliseconds(Duration::from_nanos(1_234_567)) - 1.235).abs() < 1e-9);
    }
}
