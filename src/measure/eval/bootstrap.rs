//! Percentile bootstrap intervals (Efron 1979): the tickets are drawn again and again with
//! replacement, and the middle 95 % of what comes out is the interval. Pure.

use std::collections::HashMap;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::metrics::Scored;
use super::stats::{percentile, real};

const RESAMPLES: usize = 1_000;

/// The 95 % interval of a statistic of `n` tickets, given by their positions.
fn interval(n: usize, seed: u64, mut statistic: impl FnMut(&[usize]) -> f64) -> (f64, f64) {
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

/// The 95 % interval of the macro-F1 of at least one answer.
#[must_use]
pub fn macro_f1(answers: &[Scored], seed: u64) -> (f64, f64) {
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let mut number = |intent| {
        let next = numbers.len();
        *numbers.entry(intent).or_insert(next)
    };
    let pairs: Vec<(usize, Option<usize>)> =
        answers.iter().map(|answer| (number(&answer.gold), answer.predicted().map(&mut number))).collect();
    // For each intent, how often it is the gold label or the answer, and how often both.
    let mut counts = vec![(0_usize, 0_usize); numbers.len()];
    interval(answers.len(), seed, |drawn| {
        counts.fill((0, 0));
        for &position in drawn {
            let (gold, predicted) = pairs[position];
            counts[gold].0 += 1;
            if let Some(predicted) = predicted {
                counts[predicted].0 += 1;
                counts[gold].1 += usize::from(gold == predicted);
            }
        }
        let (mut sum, mut intents) = (0.0, 0);
        for &(either, both) in counts.iter().filter(|(either, _)| *either > 0) {
            sum += 2.0 * real(both) / real(either);
            intents += 1;
        }
        sum / real(intents)
    })
}

/// The 95 % interval of the sum of at least one value.
#[must_use]
pub fn total(values: &[f64], seed: u64) -> (f64, f64) {
    interval(values.len(), seed, |drawn| drawn.iter().map(|&position| values[position]).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 200 answers over five intents; every third and every seventh is wrong.
    fn answers() -> Vec<Scored> {
        let intent = |i: usize| ["a", "b", "c", "d", "e"][i % 5];
        (0..200)
            .map(|i| {
                let answer = if i % 3 == 0 || i % 7 == 0 { intent(i / 5 + i) } else { intent(i) };
                Scored::new(intent(i), Some(answer), false, None)
            })
            .collect()
    }

    /// By scipy 1.17.1 and scikit-learn 1.9.1, with `g` and `p` the intents' numbers of `answers()`:
    /// `bootstrap((arange(200),), lambda i: f1_score(g[i], p[i], average="macro"), n_resamples=20000,
    /// method="percentile", vectorized=False, random_state=0)` is 0.58476 to 0.71797, and
    /// `bootstrap((costs,), sum, n_resamples=50000, method="percentile", random_state=0)` 0.701 to 0.922.
    #[test]
    fn the_intervals_match_a_reference() {
        let near = |a: (f64, f64), b: (f64, f64), by: f64| (a.0 - b.0).abs() < by && (a.1 - b.1).abs() < by;
        let answers = answers();
        assert!(
            (super::super::metrics::macro_f1(&super::super::metrics::by_intent(&answers)) - 0.655_052).abs() < 5e-7
        );
        assert!(near(macro_f1(&answers, 7), (0.584_76, 0.717_97), 0.012), "{:?}", macro_f1(&answers, 7));
        let costs: Vec<f64> = (0..100).map(|i| f64::from(i * i % 17) / 1e3).collect();
        assert!(near(total(&costs, 7), (0.701, 0.922), 0.012), "{:?}", total(&costs, 7));
    }

    #[test]
    fn equal_values_have_no_spread_and_a_seed_repeats_itself() {
        let (low, high) = total(&[0.5; 10], 1);
        assert!((low - 5.0).abs() < 1e-9 && (high - 5.0).abs() < 1e-9);
        assert_eq!(macro_f1(&answers(), 3), macro_f1(&answers(), 3));
        assert_ne!(macro_f1(&answers(), 3), macro_f1(&answers(), 4));
    }
}
