//! The statistics of a comparison. Pure.

use statrs::distribution::{Binomial, DiscreteCDF as _};

/// The 95 % Wilson score interval of a share (Wilson 1927).
#[must_use]
pub fn wilson(successes: usize, n: usize) -> (f64, f64) {
    const Z: f64 = 1.959_963_984_540_054;
    if n == 0 {
        return (0.0, 1.0);
    }
    let (n, share) = (real(n), real(successes) / real(n));
    let (z2, scale) = (Z * Z, 1.0 + Z * Z / n);
    let middle = (share + z2 / (2.0 * n)) / scale;
    let half = Z * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt() / scale;
    ((middle - half).max(0.0), (middle + half).min(1.0))
}

/// The exact two-sided p-value of McNemar's test for paired answers (McNemar 1947), from
/// how many tickets only the one and only the other got right.
#[must_use]
pub fn mcnemar(only_a: usize, only_b: usize) -> f64 {
    let (fewer, all) = (only_a.min(only_b) as u64, (only_a + only_b) as u64);
    match Binomial::new(0.5, all) {
        Ok(binomial) if all > 0 => (2.0 * binomial.cdf(fewer)).min(1.0),
        _ => 1.0,
    }
}

/// The value below which a share of the sorted values lies, by the nearest rank.
#[must_use]
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * real(sorted.len())).ceil().max(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank from 1 to the length")]
    let position = rank as usize - 1;
    sorted.get(position).or(sorted.last()).copied().unwrap_or(0.0)
}

/// A count as a number to reckon with.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub fn real(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 5e-5
    }

    /// statsmodels 0.14: `proportion_confint(81, 263, method="wilson")` and `(10, 10)`.
    #[test]
    fn the_wilson_interval_matches_a_reference() {
        let (low, high) = wilson(81, 263);
        assert!(near(low, 0.255_28) && near(high, 0.366_21), "{low} {high}");
        let (low, high) = wilson(10, 10);
        assert!(near(low, 0.722_47) && near(high, 1.0), "{low} {high}");
        assert_eq!(wilson(0, 0), (0.0, 1.0));
    }

    /// By hand: 2 * (C(5,0) + C(5,1)) / 2^5 = 12/32, and 2 * C(10,0) / 2^10 = 2/1024.
    #[test]
    fn the_exact_mcnemar_test_matches_hand_worked_values() {
        assert!(near(mcnemar(1, 4), 0.375));
        assert!(near(mcnemar(10, 0), 2.0 / 1024.0));
        assert!(near(mcnemar(3, 3), 1.0));
        assert!(near(mcnemar(0, 0), 1.0));
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        assert!(near(percentile(&values, 0.5), 10.0) && near(percentile(&values, 0.95), 19.0));
        assert!(near(percentile(&[], 0.5), 0.0) && near(percentile(&[7.0], 0.95), 7.0));
    }
}
