//! The regression itself, by linfa.

use linfa::Dataset;
use linfa::traits::Fit as _;
use linfa_logistic::MultiLogisticRegression;
use ndarray::{Array1, Array2};

use crate::{Error, Result};

/// Strength of the L2 penalty. By cross-validation on two data sets, 0.05 is the best or near it.
const PENALTY: f32 = 0.05;
/// The most iterations. More change nothing on vectors of unit length.
const ITERATIONS: u64 = 50;
/// How many multiplications one fit may take: some ten seconds on one processor.
const BUDGET: usize = 60_000_000_000;
/// How many passes over the rows an iteration takes, with its line search.
const PASSES: usize = 3;

/// How many rows a fit may use, given the numbers in a row and the classes.
pub(super) fn affordable_rows(dimension: usize, classes: usize) -> usize {
    let a_row = dimension * classes * PASSES * usize::try_from(ITERATIONS).unwrap_or(usize::MAX);
    BUDGET / a_row.max(1)
}

/// Takes so many items (or all, where there are fewer), evenly over their order. Sorted by class, every class
/// keeps its share.
pub(super) fn spread(ordered: &[usize], wanted: usize) -> Vec<usize> {
    let wanted = wanted.min(ordered.len());
    (0..wanted).map(|place| ordered[place * ordered.len() / wanted]).collect()
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
