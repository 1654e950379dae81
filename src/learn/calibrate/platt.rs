//! From scores to probabilities: a logistic curve over the logit of the score (Platt 1999), with a
//! prior on its two numbers, so that a hundred answers are enough. Pure.

use crate::statistics::{logit, sigmoid};

/// The prior of the slope and of the intercept, each as mean and standard deviation: what two data sets have in
/// common.
const PRIOR: [(f64, f64); 2] = [(1.2, 0.3), (0.5, 0.5)];
const ROUNDS: usize = 50;
const HALVINGS: usize = 30;

/// The slope and the intercept that are most probable, given the answers (score, and whether it was right) and the
/// prior. They are found by Newton's method; the loss is convex.
#[must_use]
pub fn fit(answers: &[(f32, bool)]) -> (f64, f64) {
    let points: Vec<(f64, f64)> =
        answers.iter().map(|&(score, right)| (logit(score), f64::from(u8::from(right)))).collect();
    let mut at = PRIOR.map(|(mean, _)| mean);
    let mut lowest = loss(&points, at);
    for _ in 0..ROUNDS {
        let [step_a, step_d] = step(&points, at);
        let shorter = (0..HALVINGS).map(|halvings| 0.5_f64.powi(i32::try_from(halvings).unwrap_or(0)));
        let tried = shorter.map(|part| [at[0] - part * step_a, at[1] - part * step_d]);
        let Some((better, loss)) = tried.map(|to| (to, loss(&points, to))).find(|(_, loss)| *loss < lowest) else {
            break;
        };
        (at, lowest) = (better, loss);
    }
    (at[0], at[1])
}

/// Negative log-likelihood and log-prior, up to a constant.
fn loss(points: &[(f64, f64)], [a, d]: [f64; 2]) -> f64 {
    let of_answers: f64 = points
        .iter()
        .map(|(x, right)| {
            let z = a * x + d;
            // ln(1 + exp(z)) without overflow.
            z.max(0.0) + (-z.abs()).exp().ln_1p() - right * z
        })
        .sum();
    let of_prior: f64 = PRIOR.iter().zip([a, d]).map(|((mean, sd), value)| ((value - mean) / sd).powi(2)).sum();
    of_answers + of_prior / 2.0
}

/// Newton's step: the inverse of the Hessian times the gradient.
fn step(points: &[(f64, f64)], [a, d]: [f64; 2]) -> [f64; 2] {
    let [(mean_a, sd_a), (mean_d, sd_d)] = PRIOR;
    let (mut g_a, mut g_d) = ((a - mean_a) / sd_a.powi(2), (d - mean_d) / sd_d.powi(2));
    let (mut by_slope, mut mixed, mut by_intercept) = (1.0 / sd_a.powi(2), 0.0, 1.0 / sd_d.powi(2));
    for (x, right) in points {
        let p = sigmoid(a * x + d);
        let (miss, weight) = (p - right, p * (1.0 - p));
        g_a += miss * x;
        g_d += miss;
        by_slope += weight * x * x;
        mixed += weight * x;
        by_intercept += weight;
    }
    let determinant = by_slope * by_intercept - mixed * mixed;
    [(by_intercept * g_a - mixed * g_d) / determinant, (by_slope * g_d - mixed * g_a) / determinant]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred answers whose share of right ones rises with the score.
    fn answers() -> Vec<(f32, bool)> {
        (0..100_u16).map(|i| (f32::from(i) / 100.0 + 0.005, i * 7 % 100 < i)).collect()
    }

    /// scipy 1.17, with `x` the logits and `y` the rights of these points, and `z = p[0]*x + p[1]`:
    /// `minimize(lambda p: sum(logaddexp(0, z) - y*z) + (((p[0]-1.2)/.3)**2 + ((p[1]-.5)/.5)**2)/2, [1, 0]).x`.
    #[test]
    fn the_fit_matches_a_reference() {
        let (a, d) = fit(&answers());
        assert!((a - 1.147_358).abs() < 1e-5 && (d - 0.051_285).abs() < 1e-5, "{a} {d}");
    }

    #[test]
    fn without_answers_the_prior_speaks_and_extremes_do_not_run_away() {
        let (a, d) = fit(&[]);
        assert!((a - 1.2).abs() < 1e-9 && (d - 0.5).abs() < 1e-9);
        let (a, d) = fit(&vec![(1.0, true); 5_000]);
        assert!(a.is_finite() && d.is_finite() && a > 0.0, "{a} {d}");
        let (a, d) = fit(&vec![(0.0, false); 5_000]);
        assert!(a.is_finite() && d.is_finite() && a > 0.0, "{a} {d}");
    }
}
