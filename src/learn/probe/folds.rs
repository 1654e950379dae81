//! For every example, what a regression says of it that has not learned from it.

use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};

use super::fit;
use super::train::{MIN_EXAMPLES, is_enough};
use crate::statistics::softmax;
use crate::{Error, Result};

/// Every example is judged by a regression on the other four fifths.
const FOLDS: usize = 5;
/// How many folds are worked on at once.
const THREADS: usize = 2;

/// The probability of each class (columns) for each example (rows of `vectors`, of unit length) by
/// a regression that has not seen the example. `labels` are columns; `tick` is told how many more
/// rows are done. `None` when there are too few examples.
pub fn out_of_fold(
    vectors: &Array2<f32>,
    labels: &[usize],
    classes: usize,
    tick: &(dyn Fn(usize) + Sync),
) -> Result<Option<Array2<f32>>> {
    let mut counts = vec![0_usize; classes];
    for &label in labels {
        counts[label] += 1;
    }
    // Classes with more than one example: wherever one is judged, another is left to learn from.
    let learnable = counts.iter().filter(|&&count| count > 1).count();
    if !is_enough(labels.len(), learnable) {
        return Ok(None);
    }
    // By class and in turns, so that every class keeps its share in every fold.
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by_key(|&position| labels[position]);
    let affordable = fit::affordable_rows(vectors.ncols(), classes).max(MIN_EXAMPLES);
    let judge = |fold: usize| -> Result<(Vec<usize>, Array2<f32>)> {
        let part = |held_out: bool| -> Vec<usize> {
            let places = order.iter().enumerate().filter(|(place, _)| (place % FOLDS == fold) == held_out);
            places.map(|(_, &position)| position).collect()
        };
        let (held_out, kept) = (part(true), part(false));
        let used = fit::spread(&kept, affordable);
        let rows = used.iter().flat_map(|&position| vectors.row(position)).copied().collect();
        let known = used.iter().map(|&position| labels[position]).collect();
        let weights = fit::fit(rows, known, vectors.ncols(), classes)?;
        let opinions = opinions(&vectors.select(Axis(0), &held_out), &weights, classes)?;
        tick(held_out.len());
        Ok((held_out, opinions))
    };
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<_>> {
        let folds = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&fold| fold < FOLDS));
        folds.map(judge).collect()
    };
    let done = std::thread::scope(|scope| -> Result<Vec<_>> {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        let stopped = |_| Err(Error::internal("training the probe stopped"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(stopped)).collect()
    })?;
    let mut all = Array2::zeros((labels.len(), classes));
    for (positions, opinions) in done.into_iter().flatten() {
        for (position, opinion) in positions.into_iter().zip(opinions.outer_iter()) {
            all.row_mut(position).assign(&opinion);
        }
    }
    Ok(Some(all))
}

/// A row of probabilities for each vector, by the weights of [`fit::fit`].
fn opinions(vectors: &Array2<f32>, weights: &[f32], classes: usize) -> Result<Array2<f32>> {
    let (rows, biases) = weights.split_at(classes * vectors.ncols());
    let rows = ArrayView2::from_shape((classes, vectors.ncols()), rows)
        .map_err(|e| Error::internal(format!("the probe's weights have the wrong shape: {e}")))?;
    let mut opinions = vectors.dot(&rows.t()) + ArrayView1::from(biases);
    // The rows of a matrix in standard order are slices.
    opinions.outer_iter_mut().filter_map(ndarray::ArrayViewMut1::into_slice).for_each(softmax);
    Ok(opinions)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two directions, one for each class, and one example of the first that has the second's label.
    #[test]
    fn an_example_is_judged_by_what_was_learned_from_the_others() {
        let n = 220;
        let vectors = Array2::from_shape_fn((n, 2), |(row, column)| if row % 2 == column { 1.0 } else { 0.0 });
        let mut labels: Vec<usize> = (0..n).map(|row| row % 2).collect();
        labels[100] = 1;
        let judged = out_of_fold(&vectors, &labels, 3, &|_| {}).unwrap().expect("there are enough");
        assert_eq!(judged.dim(), (n, 3));
        for (position, (row, &label)) in judged.outer_iter().zip(&labels).enumerate() {
            assert!((row.sum() - 1.0).abs() < 1e-5 && row[2] < 1e-6, "{row}");
            assert_eq!(row[label] > 0.5, position != 100, "{position}: {row}");
        }
    }

    #[test]
    fn classes_of_one_example_do_not_make_enough() {
        let vectors = Array2::from_elem((220, 2), 0.5);
        let mut labels = vec![0; 220];
        labels[7] = 1;
        assert!(out_of_fold(&vectors, &labels, 2, &|_| {}).unwrap().is_none());
    }
}
