//! Paired tests: two arms answered the same tickets; is one of them better, or was it chance? Pure.

use statrs::distribution::{ContinuousCDF as _, Normal};

use super::{at_most, real};

/// The exact two-sided p-value of McNemar's test for paired answers (McNemar 1947), from the tickets that only
/// the one and only the other got right.
pub(crate) fn mcnemar(only_a: usize, only_b: usize) -> f64 {
    match (only_a.min(only_b), only_a + only_b) {
        (_, 0) => 1.0,
        (fewer, all) => at_most(fewer, all, 0.5).map_or(1.0, |tail| (2.0 * tail).min(1.0)),
    }
}

/// Holm's correction (Holm 1979) of the p-values of several tests, in the order given. Each is raised so far that
/// the chance of even one false alarm stays below the level.
pub(crate) fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let (mut corrected, mut highest) = (vec![1.0; p_values.len()], 0.0_f64);
    for (rank, position) in order.into_iter().enumerate() {
        highest = highest.max(real(p_values.len() - rank) * p_values[position]).min(1.0);
        corrected[position] = highest;
    }
    corrected
}

/// How many tickets McNemar's test needs to show a difference at a two-sided level with a power of
/// 80 %, from the share of tickets that only one of the two gets right and the difference of the
/// accuracies (Connor 1987, Biometrics 43, 207 to 211). `None` where there is no difference.
pub(crate) fn tickets_needed(discordant: f64, difference: f64, level: f64) -> Option<usize> {
    /// The quantile of the standard normal distribution at 80 %.
    const POWER: f64 = 0.841_621_233_572_914;
    if difference == 0.0 {
        return None;
    }
    let square = difference * difference;
    let alpha = Normal::standard().inverse_cdf(1.0 - level / 2.0);
    let root = alpha * discordant.sqrt() + POWER * (discordant - square).max(0.0).sqrt();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and counts of tickets")]
    Some((root * root / square).ceil() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 5e-5
    }

    /// By hand: 2 * (C(5,0) + C(5,1)) / 2^5 = 12/32, and 2 * C(10,0) / 2^10 = 2/1024.
    #[test]
    fn the_exact_mcnemar_test_matches_hand_worked_values() {
        assert!(near(mcnemar(1, 4), 0.375));
        assert!(near(mcnemar(10, 0), 2.0 / 1024.0));
        assert!(near(mcnemar(3, 3), 1.0));
        assert!(near(mcnemar(0, 0), 1.0));
    }

    /// By hand: the smallest times 4, the next times 3, and so on, never less than the one before.
    #[test]
    fn holms_correction_matches_hand_worked_values() {
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (corrected, expected) in corrected.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!(near(*corrected, expected), "{corrected} {expected}");
        }
        assert_eq!(holm(&[0.7, 0.6]), [1.0, 1.0]);
        assert_eq!(holm(&[0.2]), [0.2]);
        assert!(holm(&[]).is_empty());
    }

    /// By scipy 1.17.1: `(norm.ppf(.975)*sqrt(s) + norm.ppf(.8)*sqrt(s - d*d))**2 / d**2` is 154.6 and
    /// 1959.9; of 4,000 simulated tests of that size 82 % and 80 % were significant.
    #[test]
    fn the_size_that_tells_two_arms_apart_matches_a_reference() {
        assert_eq!(tickets_needed(0.2, 0.1, 0.05), Some(155));
        assert_eq!(tickets_needed(0.1, -0.02, 0.05), Some(1960));
        assert_eq!(tickets_needed(0.1, 0.0, 0.05), None);
        // `norm.ppf(1 - .05 / 6)` in the place of `norm.ppf(.975)`: 206.6.
        assert_eq!(tickets_needed(0.2, 0.1, 0.05 / 3.0), Some(207));
    }
}
