//! Percentile bootstrap intervals (Efron 1979). The tickets are drawn again and again with replacement; the middle
//! 95 % of the results is the interval. Pure.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::percentile;

const RESAMPLES: usize = 1_000;

/// The 95 % interval of a statistic of `n` tickets, given by their positions.
pub(crate) fn interval(n: usize, seed: u64, mut statistic: impl FnMut(&[usize]) -> f64) -> (f64, f64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut drawn = vec![0; n];
    let mut values: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            drawn.fill_with(|| random.random_range(0..n));
            statistic(&drawn)
        })
        .collect();
    values.sort_by(f64::total_cmp);
    (percentile(&values, 0.025), percentile(&values, 0.975))
}

/// The 95 % interval of the sum of at least one value.
pub(crate) fn total(values: &[f64], seed: u64) -> (f64, f64) {
    interval(values.len(), seed, |drawn| drawn.iter().map(|&position| values[position]).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By scipy 1.17.1: `bootstrap((costs,), sum, n_resamples=50000, method="percentile", random_state=0)`
    /// is 0.701 to 0.922.
    #[test]
    fn the_interval_of_a_sum_matches_a_reference() {
        let costs: Vec<f64> = (0..100).map(|i| f64::from(i * i % 17) / 1e3).collect();
        let (low, high) = total(&costs, 7);
        assert!((low - 0.701).abs() < 0.012 && (high - 0.922).abs() < 0.012, "{low} {high}");
    }

    #[test]
    fn equal_values_have_no_spread_and_a_seed_repeats_itself() {
        let (low, high) = total(&[0.5; 10], 1);
        assert!((low - 5.0).abs() < 1e-9 && (high - 5.0).abs() < 1e-9);
        let values: Vec<f64> = (0..50).map(f64::from).collect();
        assert_eq!(total(&values, 3), total(&values, 3));
        assert_ne!(total(&values, 3), total(&values, 4));
    }
}
