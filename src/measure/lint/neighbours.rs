//! The nearest neighbours of every example among all others, exactly.

use std::sync::Mutex;

use ndarray::{Array2, ArrayView1, Axis, Slice};

use crate::stages::retrieve::rounded;

/// How many similarities a thread holds at once: 16 MB.
const BLOCK: usize = 4 << 20;
/// Rows that are compared at a time. With fewer the matrix product is slow, with more nothing is gained.
const ROWS: std::ops::RangeInclusive<usize> = 16..=512;

/// Another example and its cosine similarity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Neighbour {
    pub(super) position: usize,
    pub(super) cosine: f32,
}

/// For each row (of unit length) the `keep` nearest other rows by cosine, best first, ties by
/// position. It works on blocks of rows, so the memory does not grow with the square of their number.
/// `tick` is told how many more rows are done.
pub(super) fn nearest(vectors: &Array2<f32>, keep: usize, tick: &(dyn Fn(usize) + Sync)) -> Vec<Vec<Neighbour>> {
    let rows = (BLOCK / vectors.nrows().max(1)).clamp(*ROWS.start(), *ROWS.end());
    let mut found = vec![Vec::new(); vectors.nrows()];
    let blocks = Mutex::new(found.chunks_mut(rows).enumerate());
    let work = || {
        while let Some((block, targets)) = blocks.lock().ok().and_then(|mut blocks| blocks.next()) {
            let first = block * rows;
            let cosines = vectors.slice_axis(Axis(0), Slice::from(first..first + targets.len())).dot(&vectors.t());
            for (offset, (row, target)) in cosines.outer_iter().zip(targets.iter_mut()).enumerate() {
                *target = best(row, first + offset, keep);
            }
            tick(targets.len());
        }
    };
    std::thread::scope(|scope| {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        (0..processors).for_each(|_| drop(scope.spawn(work)));
    });
    found
}

fn best(cosines: ArrayView1<f32>, own: usize, keep: usize) -> Vec<Neighbour> {
    let order = |a: &Neighbour, b: &Neighbour| b.cosine.total_cmp(&a.cosine).then_with(|| a.position.cmp(&b.position));
    let mut kept: Vec<Neighbour> = Vec::with_capacity(4 * keep);
    let mut floor = f32::NEG_INFINITY;
    for (position, &cosine) in cosines.iter().enumerate() {
        let cosine = rounded(cosine);
        if cosine < floor || position == own {
            continue;
        }
        kept.push(Neighbour { position, cosine });
        if kept.len() == 4 * keep {
            let (_, last, _) = kept.select_nth_unstable_by(keep - 1, order);
            floor = last.cosine;
            kept.truncate(keep);
        }
    }
    kept.sort_unstable_by(order);
    kept.truncate(keep);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::cosine;

    /// More rows than a block has, compared with a plain search.
    #[test]
    fn all_others_are_compared_and_the_nearest_kept_in_order() {
        // Spread without a pattern by the golden ratio; every tenth is the same as the one before.
        let angle = |row: usize| {
            let row = u16::try_from(if row % 10 == 9 { row - 1 } else { row }).unwrap();
            f32::from(row) * 2.399_963
        };
        let n = 2 * ROWS.end() + 77;
        let vectors = Array2::from_shape_fn(
            (n, 2),
            |(row, column)| {
                if column == 0 { angle(row).cos() } else { angle(row).sin() }
            },
        );
        let found = nearest(&vectors, 7, &|_| {});
        for (own, found) in found.iter().enumerate() {
            let vector = |row: usize| vectors.row(row).to_vec();
            let mut all: Vec<Neighbour> = (0..n)
                .filter(|&other| other != own)
                .map(|position| Neighbour { position, cosine: rounded(cosine(&vector(own), &vector(position))) })
                .collect();
            all.sort_by(|a, b| b.cosine.total_cmp(&a.cosine).then_with(|| a.position.cmp(&b.position)));
            for (found, wanted) in found.iter().zip(&all[..7]) {
                assert!((found.cosine - wanted.cosine).abs() < 2e-5, "{own}: {found:?} {wanted:?}");
            }
            assert_eq!(found.len(), 7);
        }
    }

    #[test]
    fn few_rows_have_few_neighbours() {
        let found = nearest(&Array2::from_elem((2, 2), 0.7), 50, &|_| {});
        assert_eq!(found.iter().map(|found| found[0].position).collect::<Vec<_>>(), [1, 0]);
        assert!(nearest(&Array2::zeros((0, 2)), 50, &|_| {}).is_empty());
    }
}
