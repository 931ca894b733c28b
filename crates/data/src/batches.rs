//! Cuts the rows of a data set into batches.
//!
//! The order is a vector of row numbers; a batch copies the rows whose numbers come next.

use std::fmt;

use gradus_graph::Tensor;

use crate::dataset::Dataset;
use crate::shuffle::shuffle;

/// Some rows of a data set.
#[derive(Clone, PartialEq)]
pub struct Batch<X: Clone = f32, Y: Clone = i64> {
    /// The inputs, one row of the first axis each.
    pub inputs: Tensor<X>,
    /// The targets, one row of the first axis each.
    pub targets: Tensor<Y>,
}

impl<X: Clone, Y: Clone> Batch<X, Y> {
    /// The number of rows: the weight of a last, smaller batch in an average.
    #[allow(clippy::len_without_is_empty)] // Iteration gives no batch without rows.
    pub fn len(&self) -> usize {
        self.inputs.shape()[0]
    }
}

impl<X: Clone + fmt::Debug, Y: Clone + fmt::Debug> fmt::Debug for Batch<X, Y> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("inputs", &self.inputs).field("targets", &self.targets).finish()
    }
}

/// The batches of a data set, made by [`Dataset::batches`]; its length is the number of batches to come.
///
/// # Example
/// ```
/// use gradus_data::Dataset;
/// use gradus_graph::Tensor;
///
/// let data = Dataset::new(Tensor::from_fn([10, 3], |k| k as f32), Tensor::from_fn([10], |k| k as i64));
/// assert_eq!(data.batches(4).map(|batch| batch.len()).collect::<Vec<_>>(), [4, 4, 2]);
/// assert_eq!(data.batches(4).drop_last().len(), 2);
///
/// let first = |epoch| data.batches(4).shuffled(7, epoch).next().unwrap().targets;
/// assert_eq!(first(0), first(0));
/// assert_ne!(first(0), first(1));
/// ```
#[derive(Clone, Debug)]
#[must_use = "batches are made as they are asked for"]
pub struct Batches<'a, X: Clone = f32, Y: Clone = i64> {
    dataset: &'a Dataset<X, Y>,
    size: usize,
    order: Vec<usize>,
    start: usize,
    whole_only: bool,
}

impl<'a, X: Clone, Y: Clone> Batches<'a, X, Y> {
    #[track_caller]
    pub(crate) fn new(dataset: &'a Dataset<X, Y>, size: usize) -> Self {
        assert!(size > 0, "a batch has at least one row; the size given is 0");
        Self { dataset, size, order: (0..dataset.len()).collect(), start: 0, whole_only: false }
    }

    /// Puts the rows into the order that belongs to the seed and the epoch: another one for each of either, always the
    /// same for both, on every platform.
    pub fn shuffled(mut self, seed: u64, epoch: u64) -> Self {
        shuffle(&mut self.order[self.start..], seed, epoch);
        self
    }

    /// Leaves out the last batch if it is smaller than the others; fewer rows than one batch give none. After
    /// shuffling, other rows are left out in each epoch.
    pub fn drop_last(self) -> Self {
        Self { whole_only: true, ..self }
    }

    /// The numbers of the rows to come.
    fn rest(&self) -> &[usize] {
        let rest = &self.order[self.start..];
        if self.whole_only { &rest[..rest.len() - rest.len() % self.size] } else { rest }
    }
}

impl<X: Clone, Y: Clone> Iterator for Batches<'_, X, Y> {
    type Item = Batch<X, Y>;

    fn next(&mut self) -> Option<Batch<X, Y>> {
        let rows = self.rest().chunks(self.size).next()?;
        let batch = self.dataset.select(rows).full_batch();
        self.start += batch.len();
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = self.rest().len().div_ceil(self.size);
        (count, Some(count))
    }
}

impl<X: Clone, Y: Clone> ExactSizeIterator for Batches<'_, X, Y> {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbered(rows: usize) -> Dataset<f32, f32> {
        Dataset::new(Tensor::from_fn([rows, 2, 1], |k| k as f32), Tensor::from_fn([rows, 1], |k| k as f32))
    }

    #[test]
    fn which_rows_are_left_out_is_drawn_whatever_is_called_first() {
        let data = numbered(10);
        let one = data.batches(4).drop_last().shuffled(3, 1);
        let other = data.batches(4).shuffled(3, 1).drop_last();
        assert!(one.eq(other));
    }

    #[test]
    #[should_panic = "a batch has at least one row; the size given is 0"]
    fn an_empty_batch_is_refused() {
        let _ = numbered(3).batches(0);
    }

    #[test]
    fn a_batch_may_be_larger_than_the_data() {
        assert_eq!(numbered(3).batches(usize::MAX).next(), Some(numbered(3).full_batch()));
        assert_eq!(numbered(3).batches(4).drop_last().next(), None);
        assert_eq!(numbered(0).batches(4).next(), None);
    }

    proptest! {
        #[test]
        fn every_row_comes_once_with_its_target(rows in 0_usize..40, size in 1_usize..12, seed: u64, epoch: u64) {
            let data = numbered(rows);
            let batches: Vec<_> = data.batches(size).shuffled(seed, epoch).collect();
            prop_assert_eq!(batches.len(), data.batches(size).len());
            prop_assert!(batches.iter().rev().skip(1).all(|batch| batch.len() == size));
            let mut seen = Vec::new();
            for batch in batches {
                for row in 0..batch.len() {
                    let target = batch.targets.at(&[row, 0]);
                    prop_assert_eq!(batch.inputs.at(&[row, 0, 0]), 2.0 * target);
                    seen.push(target as usize);
                }
            }
            seen.sort_unstable();
            prop_assert!(seen.into_iter().eq(0..rows));
        }
    }
}
