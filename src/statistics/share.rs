//! Shares that were counted: how sure they are. Pure.

use statrs::distribution::{Beta, Binomial, ContinuousCDF as _, DiscreteCDF as _};

use super::{Z95, real};

/// The 95 % Wilson score interval of a share (Wilson 1927).
pub(crate) fn wilson(successes: usize, n: usize) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    let (n, share) = (real(n), real(successes) / real(n));
    let (z2, scale) = (Z95 * Z95, 1.0 + Z95 * Z95 / n);
    let middle = (share + z2 / (2.0 * n)) / scale;
    let half = Z95 * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt() / scale;
    ((middle - half).max(0.0), (middle + half).min(1.0))
}

/// The exact one-sided lower bound of a share, which is missed with a chance of at most `alpha`
/// (Clopper & Pearson 1934).
pub(crate) fn clopper_pearson_low(successes: usize, n: usize, alpha: f64) -> f64 {
    Beta::new(real(successes), real(n - successes) + 1.0).map_or(0.0, |beta| beta.inverse_cdf(alpha))
}

/// The chance of at most `count` among `n` that each happen with a chance of `share`; `None` where
/// `share` is no chance.
pub(crate) fn at_most(count: usize, n: usize, share: f64) -> Option<f64> {
    Binomial::new(share, n as u64).ok().map(|binomial| binomial.cdf(count as u64))
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

    /// scipy 1.17: `beta.ppf(0.1, 98, 3)`; and by hand 0.1^(1/76).
    #[test]
    fn the_exact_lower_bound_matches_a_reference() {
        assert!((clopper_pearson_low(98, 100, 0.1) - 0.947_655).abs() < 1e-5);
        assert!((clopper_pearson_low(76, 76, 0.1) - 0.970_157).abs() < 1e-5);
        assert!(near(clopper_pearson_low(0, 10, 0.1), 0.0), "nothing was right");
    }

    /// By hand: (1 + 3) / 2^3.
    #[test]
    fn a_binomial_sum_matches_a_hand_worked_value() {
        assert!(near(at_most(1, 3, 0.5).unwrap(), 0.5));
        assert_eq!(at_most(1, 3, 1.5), None);
    }
}
