//! Cuts the rows of a data set into batches.
//!
//! The order is a vector of row numbers; a batch copies the rows whose numbers come next.

use std::fmt;

use gradus_graph::Tensor;

use crate::dataset::Dataset;
use crate::shuffle::{permutation, shuffle};

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

impl<X: Clone, Y: Clone> From<(Tensor<X>, Tensor<Y>)> for Batch<X, Y> {
    /// The batch of inputs and targets.
    ///
    /// # Panics
    /// If the numbers of rows differ or a tensor is a scalar.
    #[track_caller]
    fn from((inputs, targets): (Tensor<X>, Tensor<Y>)) -> Self {
        Dataset::new(inputs, targets).full_batch()
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
    order: Order,
}

impl<'a, X: Clone, Y: Clone> Batches<'a, X, Y> {
    #[track_caller]
    pub(crate) fn new(dataset: &'a Dataset<X, Y>, size: usize) -> Self {
        Self { dataset, order: Order::new(dataset.len(), size) }
    }

    /// Puts the rows into the order that belongs to the seed and the epoch: another one for each of either, always the
    /// same for both, on every platform.
    pub fn shuffled(mut self, seed: u64, epoch: u64) -> Self {
        self.order.shuffle(seed, epoch);
        self
    }

    /// Leaves out the last batch if it is smaller than the others; fewer rows than one batch give none. After
    /// shuffling, other rows are left out in each epoch.
    pub fn drop_last(mut self) -> Self {
        self.order.drop_last();
        self
    }

    /// The batches with the numbers of their rows, by which a random transform of a row can be drawn.
    ///
    /// # Example
    /// ```
    /// let digits = gradus_data::digits::all();
    /// let (rows, batch) = digits.batches(2).shuffled(7, 0).numbered().next().unwrap();
    /// assert_eq!(batch, digits.select(&rows).full_batch());
    /// ```
    pub fn numbered(self) -> impl ExactSizeIterator<Item = (Vec<usize>, Batch<X, Y>)> + use<'a, X, Y> {
        let Self { dataset, order } = self;
        let make = |rows: Vec<usize>| {
            let batch = dataset.select(&rows).full_batch();
            (rows, batch)
        };
        Made { order, make }
    }
}

impl<X: Clone, Y: Clone> Iterator for Batches<'_, X, Y> {
    type Item = Batch<X, Y>;

    fn next(&mut self) -> Option<Batch<X, Y>> {
        self.nth(0)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.order.size_hint()
    }

    /// No batch that is passed over is made.
    fn nth(&mut self, n: usize) -> Option<Batch<X, Y>> {
        Some(self.dataset.select(&self.order.nth(n)?).full_batch())
    }
}

impl<X: Clone, Y: Clone> ExactSizeIterator for Batches<'_, X, Y> {}

/// The numbers of the rows of each batch of an epoch.
#[derive(Clone, Debug)]
pub struct Order {
    rows: Vec<usize>,
    start: usize,
    size: usize,
    whole_only: bool,
}

/// How many batches are sorted by length at once.
const POOL: usize = 100;

impl Order {
    #[track_caller]
    pub(crate) fn new(rows: usize, size: usize) -> Self {
        assert!(size > 0, "a batch has at least one row; the size given is 0");
        Self { rows: (0..rows).collect(), size, start: 0, whole_only: false }
    }

    pub(crate) fn shuffle(&mut self, seed: u64, epoch: u64) {
        shuffle(&mut self.rows[self.start..], seed, epoch);
    }

    pub(crate) fn drop_last(&mut self) {
        self.whole_only = true;
    }

    /// Sorts the rows of each hundred batches by their lengths, then puts the whole batches into an order of their own.
    pub(crate) fn bucket(&mut self, lengths: &[usize], seed: u64, epoch: u64) {
        let size = self.size;
        let rows = &mut self.rows[self.start..];
        for pool in rows.chunks_mut(size.saturating_mul(POOL)) {
            pool.sort_by_key(|&row| lengths[row]);
        }
        let whole = rows.len() / size;
        let batches: Vec<usize> = permutation(whole, seed, !epoch);
        let mut moved: Vec<usize> = Vec::with_capacity(rows.len());
        batches.iter().for_each(|&batch| moved.extend(&rows[batch * size..(batch + 1) * size]));
        rows[..moved.len()].copy_from_slice(&moved);
    }

    /// The numbers of the rows to come.
    fn rest(&self) -> &[usize] {
        let rest = &self.rows[self.start..];
        if self.whole_only { &rest[..rest.len() - rest.len() % self.size] } else { rest }
    }
}

impl Iterator for Order {
    type Item = Vec<usize>;

    fn next(&mut self) -> Option<Vec<usize>> {
        self.nth(0)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = self.rest().len().div_ceil(self.size);
        (count, Some(count))
    }

    fn nth(&mut self, n: usize) -> Option<Vec<usize>> {
        let passed = self.size.saturating_mul(n).min(self.rest().len());
        let rows = self.rest()[passed..].chunks(self.size).next().map(<[usize]>::to_vec);
        self.start += passed + rows.as_ref().map_or(0, Vec::len);
        rows
    }
}

impl ExactSizeIterator for Order {}

/// What a function makes of the rows of each batch; unlike `Map`, it makes nothing of those that are passed over.
pub(crate) struct Made<F> {
    pub(crate) order: Order,
    pub(crate) make: F,
}

impl<B, F: FnMut(Vec<usize>) -> B> Iterator for Made<F> {
    type Item = B;

    fn next(&mut self) -> Option<B> {
        self.nth(0)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.order.size_hint()
    }

    fn nth(&mut self, n: usize) -> Option<B> {
        self.order.nth(n).map(&mut self.make)
    }
}

impl<B, F: FnMut(Vec<usize>) -> B> ExactSizeIterator for Made<F> {}

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

    #[test]
    fn batches_that_are_passed_over_leave_the_rest_as_it_is() {
        let data = numbered(23);
        for passed in 0..9 {
            let all: Vec<_> = data.batches(4).shuffled(5, 2).skip(passed).collect();
            let mut rest = data.batches(4).shuffled(5, 2);
            let count = rest.len();
            let next = if passed == 0 { rest.next() } else { rest.nth(passed) };
            assert_eq!(next.as_ref(), all.first(), "{passed}");
            assert_eq!(rest.len(), count.saturating_sub(passed + 1));
            assert!(rest.eq(all.into_iter().skip(1)));
        }
        assert_eq!(data.batches(4).drop_last().nth(5), None);
        assert_eq!(data.batches(4).nth(usize::MAX), None);
    }

    #[test]
    fn a_bucket_has_every_row_once() {
        let lengths: Vec<usize> = (0..1003).map(|row| (row * 7919) % 61).collect();
        let bucketed = |epoch| {
            let mut order = Order::new(1003, 4);
            order.shuffle(3, epoch);
            order.bucket(&lengths, 3, epoch);
            order
        };
        let mut rows: Vec<usize> = bucketed(0).flatten().collect();
        assert!(rows.iter().ne(bucketed(1).flatten().collect::<Vec<_>>().iter()));
        rows.sort_unstable();
        assert!(rows.into_iter().eq(0..1003));
        let spread = bucketed(0).map(|rows| {
            let lengths = rows.iter().map(|&row| lengths[row]);
            lengths.clone().max().unwrap() - lengths.min().unwrap()
        });
        assert!(spread.sum::<usize>() < 251 * 2);
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
