//! The two parts of a data set: for training and for testing.

use gradus_graph::IntoShape;

use crate::Dataset;
use crate::dataset::expect_shape;

/// A data set in two parts that share no row.
#[derive(Clone, Debug, PartialEq)]
pub struct Split<X: Clone = f32, Y: Clone = i64> {
    /// The rows to learn from.
    pub train: Dataset<X, Y>,
    /// The rows held out.
    pub test: Dataset<X, Y>,
}

impl<X: Clone, Y: Clone> Split<X, Y> {
    /// [`Dataset::reshaped`] of both parts.
    ///
    /// # Panics
    /// If `shape` does not have as many elements as the inputs of one row.
    ///
    /// # Example
    /// ```
    /// let split = gradus_data::digits::load().reshaped([64]);
    /// assert_eq!(split.train.inputs().shape().sizes(), [1437, 64]);
    /// ```
    #[track_caller]
    pub fn reshaped(&self, shape: impl IntoShape) -> Self {
        let shape = expect_shape("Split::reshaped", shape);
        Self { train: self.train.reshaped(&shape), test: self.test.reshaped(&shape) }
    }
}
