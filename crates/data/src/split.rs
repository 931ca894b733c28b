//! The two parts of a data set: what a model learns from, and what it is judged by.

use gradus_graph::Shape;

use crate::Dataset;

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
    /// If `shape` has not as many elements as the inputs of one row.
    ///
    /// # Example
    /// ```
    /// let split = gradus_data::digits::load().reshaped([64]);
    /// assert_eq!(split.train.inputs().shape().sizes(), [1437, 64]);
    /// ```
    #[track_caller]
    pub fn reshaped(&self, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        Self { train: self.train.reshaped(&shape), test: self.test.reshaped(&shape) }
    }
}
