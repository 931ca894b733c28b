//! Inputs and targets, paired row by row along their first axes.
//!
//! `X` and `Y` are the element types: `Dataset` alone has `f32` inputs and `i64` labels, `Dataset<f32, f32>` has real
//! targets for regression, `Dataset<i64, i64>` has indices on both sides, as a text does.

use std::fmt;

use gradus_graph::{IntoShape, Shape, Tensor};

use crate::batches::{Batch, Batches};
use crate::shuffle::permutation;
use crate::split::Split;

/// A tensor of inputs and a tensor of targets with as many rows. Cloning shares the elements.
///
/// # Example
/// ```
/// use gradus_data::Dataset;
/// use gradus_graph::Tensor;
///
/// let inputs = Tensor::from_rows([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0_f32]]);
/// let xor = Dataset::new(inputs, Tensor::from([0, 1, 1, 0]));
/// assert_eq!(xor.len(), 4);
/// assert_eq!(xor.classes(), 2);
/// assert_eq!(xor.batches(3).count(), 2);
/// ```
#[derive(Clone, PartialEq)]
pub struct Dataset<X: Clone = f32, Y: Clone = i64> {
    inputs: Tensor<X>,
    targets: Tensor<Y>,
}

impl<X: Clone, Y: Clone> Dataset<X, Y> {
    /// The data set of these rows; inputs and targets may have any further axes.
    ///
    /// # Panics
    /// If the numbers of rows differ or a tensor is a scalar.
    #[track_caller]
    pub fn new(inputs: Tensor<X>, targets: Tensor<Y>) -> Self {
        assert!(
            matches!((inputs.shape().first(), targets.shape().first()), (Some(a), Some(b)) if a == b),
            "a data set pairs each row of inputs with one of targets; the shapes are {} and {}",
            inputs.shape(),
            targets.shape()
        );
        Self { inputs, targets }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.inputs.shape()[0]
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The inputs, one row of the first axis each.
    pub fn inputs(&self) -> &Tensor<X> {
        &self.inputs
    }

    /// The targets, one row of the first axis each.
    pub fn targets(&self) -> &Tensor<Y> {
        &self.targets
    }

    /// The rows in their order, `size` at a time; the last batch may be smaller. See [`Batches`] for shuffling.
    ///
    /// # Panics
    /// If the size is 0.
    ///
    /// # Example
    /// ```
    /// use gradus_data::Dataset;
    /// use gradus_graph::Tensor;
    ///
    /// let squares = Dataset::new(Tensor::from([1.0, 2.0, 3.0_f32]), Tensor::from([1.0, 4.0, 9.0_f32]));
    /// let sums: Vec<f32> = squares.batches(2).map(|batch| batch.targets.data().iter().sum()).collect();
    /// assert_eq!(sums, [5.0, 9.0]);
    /// ```
    #[track_caller]
    pub fn batches(&self, size: usize) -> Batches<'_, X, Y> {
        Batches::new(self, size)
    }

    /// All rows as one batch, without a copy.
    pub fn full_batch(&self) -> Batch<X, Y> {
        Batch { inputs: self.inputs.clone(), targets: self.targets.clone() }
    }

    /// One row as a batch; its first axes have size 1.
    ///
    /// # Panics
    /// If there is no such row.
    ///
    /// # Example
    /// ```
    /// let first = gradus_data::digits::all().sample(0);
    /// assert_eq!(first.inputs.shape().sizes(), [1, 8, 8]);
    /// assert_eq!(first.targets.item(), 0);
    /// ```
    #[track_caller]
    pub fn sample(&self, row: usize) -> Batch<X, Y> {
        self.select(&[row]).full_batch()
    }

    /// The data set of the rows with these numbers, in this order.
    ///
    /// # Panics
    /// If there is no such row.
    #[track_caller]
    pub fn select(&self, rows: &[usize]) -> Self {
        Self { inputs: self.inputs.select_rows(rows), targets: self.targets.select_rows(rows) }
    }

    /// Holds out `held_out` rows, drawn by the seed, as the test part; both parts keep the order of the rows.
    ///
    /// # Panics
    /// If there are fewer rows than are to be held out.
    ///
    /// # Example
    /// ```
    /// use gradus_data::{Split, digits};
    /// let Split { train, test: validation } = digits::load().train.split(200, 1);
    /// assert_eq!((train.len(), validation.len()), (1237, 200));
    /// ```
    #[track_caller]
    pub fn split(&self, held_out: usize, seed: u64) -> Split<X, Y> {
        assert!(held_out <= self.len(), "{held_out} of {} rows cannot be held out", self.len());
        let mut test = permutation(self.len(), seed, 0);
        let mut train = test.split_off(held_out);
        test.sort_unstable();
        train.sort_unstable();
        Split { train: self.select(&train), test: self.select(&test) }
    }

    /// The same rows with the inputs of each under another shape: `[64]` for a dense layer, `[1, 8, 8]` for a channel.
    ///
    /// # Panics
    /// If `shape` does not have as many elements as the inputs of one row.
    ///
    /// # Example
    /// ```
    /// let images = gradus_data::digits::all().reshaped([1, 8, 8]);
    /// assert_eq!(images.inputs().shape().sizes(), [1797, 1, 8, 8]);
    /// ```
    #[track_caller]
    pub fn reshaped(&self, shape: impl IntoShape) -> Self {
        let row = expect_shape("Dataset::reshaped", shape);
        let shape: Shape = std::iter::once(self.len()).chain(row.iter().copied()).collect();
        Self { inputs: self.inputs.reshape(shape), targets: self.targets.clone() }
    }
}

/// The shape of the inputs of one row. Panics if the sizes make none.
#[track_caller]
pub(crate) fn expect_shape(method: &str, shape: impl IntoShape) -> Shape {
    match shape.try_into_shape() {
        Ok(shape) => shape,
        Err(problem) => panic!("`{method}`: {problem}"),
    }
}

impl<X: Clone> Dataset<X, i64> {
    /// The number of classes: one more than the largest label, 0 if there is none.
    pub fn classes(&self) -> usize {
        self.targets.data().iter().max().map_or(0, |&label| label.saturating_add(1).max(0) as usize)
    }
}

impl<X: Clone, Y: Clone> fmt::Debug for Dataset<X, Y> {
    /// The shapes only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dataset").field("inputs", self.inputs.shape()).field("targets", self.targets.shape()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(rows: usize) -> Dataset {
        Dataset::new(Tensor::from_fn([rows, 2], |k| k as f32), Tensor::from_fn([rows], |k| k as i64))
    }

    #[test]
    fn a_split_is_a_partition_that_keeps_the_order() {
        let split = numbered(50).split(20, 4);
        let (train, test) = (split.train.targets().data(), split.test.targets().data());
        assert!(train.is_sorted() && test.is_sorted());
        let mut both = [train, test].concat();
        both.sort_unstable();
        assert!(both.into_iter().eq(0..50));
        assert_ne!(split, numbered(50).split(20, 5));
        assert_eq!(numbered(3).split(3, 0).train.len(), 0);
    }

    #[test]
    fn rows_stay_paired() {
        let chosen = numbered(4).select(&[3, 1]);
        assert_eq!(chosen.inputs(), &Tensor::from_rows([[6.0, 7.0], [2.0, 3.0]]));
        assert_eq!(chosen.targets(), &Tensor::from([3, 1]));
    }

    #[test]
    fn classes_are_counted_from_the_labels() {
        assert_eq!(numbered(5).classes(), 5);
        assert_eq!(numbered(0).classes(), 0);
        let ignored = Dataset::new(Tensor::from([0.0_f32]), Tensor::from([-1]));
        assert_eq!(ignored.classes(), 0);
    }

    #[test]
    #[should_panic = "a data set pairs each row of inputs with one of targets; the shapes are [3, 2] and [2]"]
    fn unpaired_rows_are_refused() {
        Dataset::new(Tensor::<f32>::zeros([3, 2]), Tensor::from([0, 1]));
    }

    #[test]
    #[should_panic = "the shapes are [] and []"]
    fn scalars_are_refused() {
        Dataset::new(Tensor::scalar(1.0), Tensor::scalar(1.0));
    }

    #[test]
    #[should_panic = "`Dataset::reshaped`: "]
    fn sizes_that_make_no_shape_are_refused() {
        numbered(3).reshaped([usize::MAX, 2]);
    }

    #[test]
    #[should_panic = "4 of 3 rows cannot be held out"]
    fn more_than_all_cannot_be_held_out() {
        numbered(3).split(4, 0);
    }
}
