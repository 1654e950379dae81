//! The regression itself, by linfa.

use linfa::Dataset;
use linfa::traits::Fit as _;
use linfa_logistic::MultiLogisticRegression;
use ndarray::{Array1, Array2, ArrayViewMut1};

use crate::{Error, Result};

/// Strength of the L2 penalty. By cross-validation 0.05 is best or near it on two data sets.
const PENALTY: f32 = 0.05;
/// More change nothing on vectors of unit length.
const ITERATIONS: u64 = 50;
/// Multiplications that one fit may take: some ten seconds on one processor.
const BUDGET: usize = 60_000_000_000;
/// Passes over the rows that an iteration takes, the search along its line included.
const PASSES: usize = 3;

/// How many rows a fit may use for so many numbers a row and classes.
pub(super) fn affordable_rows(dimension: usize, classes: usize) -> usize {
    let a_row = dimension * classes * PASSES * usize::try_from(ITERATIONS).unwrap_or(usize::MAX);
    BUDGET / a_row.max(1)
}

/// So many of them (or all, where there are fewer), evenly over their order: sorted by class, every
/// class keeps its share.
pub(super) fn spread(ordered: &[usize], wanted: usize) -> Vec<usize> {
    let wanted = wanted.min(ordered.len());
    (0..wanted).map(|place| ordered[place * ordered.len() / wanted]).collect()
}

/// Logits into probabilities.
pub(super) fn softmax(mut logits: ArrayViewMut1<f32>) {
    let highest = logits.fold(f32::NEG_INFINITY, |highest, &logit| highest.max(logit));
    logits.mapv_inplace(|logit| (logit - highest).exp());
    let total = logits.sum();
    logits /= total;
}

/// Weights (a row of `dimension` for each class) and, after them, biases. Classes without a row
/// get a bias that rules them out.
pub(super) fn fit(rows: Vec<f32>, labels: Vec<usize>, dimension: usize, classes: usize) -> Result<Vec<f32>> {
    let failed = |e: &dyn std::fmt::Display| Error::internal(format!("the probe cannot be trained: {e}"));
    let rows = Array2::from_shape_vec((labels.len(), dimension), rows).map_err(|e| failed(&e))?;
    let model = MultiLogisticRegression::default()
        .alpha(PENALTY)
        .max_iterations(ITERATIONS)
        .gradient_tolerance(1e-2)
        .fit(&Dataset::new(rows, Array1::from(labels)))
        .map_err(|e| failed(&e))?;
    let mut weights = vec![0.0; classes * dimension];
    let mut biases = vec![f32::MIN / 4.0; classes];
    for (column, &class) in model.classes().iter().enumerate() {
        let target = &mut weights[class * dimension..(class + 1) * dimension];
        for (weight, value) in target.iter_mut().zip(model.params().column(column)) {
            *weight = *value;
        }
        biases[class] = model.intercept()[column];
    }
    weights.extend(biases);
    Ok(weights)
}
