//! Sequences of different lengths, padded to the longest of a batch.

use gradus_graph::{Shape, Tensor};

use crate::error::DataError;
use crate::rows::Rows;

/// Sequences of different lengths, each a tensor whose first axis is its steps. A batch is the padded sequences,
/// `[rows, steps, …]`, and their lengths.
///
/// [`RowBatches::bucketed`](crate::RowBatches::bucketed) makes batches of sequences of like lengths.
///
/// # Example
/// ```
/// use gradus_data::{Rows, Sequences};
/// use gradus_graph::Tensor;
/// let texts = Sequences::new(vec![Tensor::from([5, 3]), Tensor::from([8]), Tensor::from([1, 2, 9])], 0);
/// let (padded, lengths) = texts.get(&[1, 0])?;
/// assert_eq!(padded, Tensor::from_rows([[8, 0], [5, 3]]));
/// assert_eq!(lengths.data(), [1, 2]);
/// # Ok::<(), gradus_data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sequences<T: Clone> {
    sequences: Vec<Tensor<T>>,
    padding: T,
}

impl<T: Clone> Sequences<T> {
    /// These sequences, and the value that stands after their ends.
    ///
    /// # Panics
    /// If a sequence is a scalar, or the steps of two differ in shape.
    #[track_caller]
    pub fn new(sequences: Vec<Tensor<T>>, padding: T) -> Self {
        let _: Shape = step(&sequences);
        Self { sequences, padding }
    }

    /// The number of steps of each sequence.
    pub fn lengths(&self) -> Vec<usize> {
        self.sequences.iter().map(|sequence| sequence.shape()[0]).collect()
    }
}

impl<T: Clone> Rows for Sequences<T> {
    type Batch = (Tensor<T>, Tensor<i64>);

    fn len(&self) -> usize {
        self.sequences.len()
    }

    fn get(&self, rows: &[usize]) -> Result<Self::Batch, DataError> {
        Ok(pad(rows.iter().map(|&row| &self.sequences[row]), self.padding.clone()))
    }
}

/// The shape of a step.
#[track_caller]
fn step<T: Clone>(sequences: &[impl std::borrow::Borrow<Tensor<T>>]) -> Shape {
    let mut steps = sequences.iter().map(|sequence| {
        let shape = sequence.borrow().shape();
        assert!(shape.rank() > 0, "a sequence is a tensor of one axis or more, not a scalar");
        &shape[1..]
    });
    let first = steps.next().unwrap_or_default();
    for (number, other) in (1..).zip(steps) {
        assert!(
            first == other,
            "steps of sequence 0 have the sizes {first:?}, and those of sequence {number} {other:?}"
        );
    }
    Shape::from(first)
}

/// Sequences as one tensor, `[rows, steps, …]`, padded to the longest; and their lengths.
///
/// # Panics
/// If a sequence is a scalar, or the steps of two differ in shape.
///
/// # Example
/// ```
/// use gradus_data::pad;
/// use gradus_graph::Tensor;
/// let (padded, lengths) = pad(&[Tensor::from([1.0]), Tensor::from([2.0, 3.0])], -1.0);
/// assert_eq!(padded, Tensor::from_rows([[1.0, -1.0], [2.0, 3.0]]));
/// assert_eq!(lengths.data(), [1, 2]);
/// ```
#[track_caller]
pub fn pad<'a, T: Clone + 'a>(
    sequences: impl IntoIterator<Item = &'a Tensor<T>>,
    padding: T,
) -> (Tensor<T>, Tensor<i64>) {
    let sequences: Vec<&Tensor<T>> = sequences.into_iter().collect();
    let step = step::<T>(&sequences);
    let lengths: Vec<i64> = sequences.iter().map(|sequence| sequence.shape()[0] as i64).collect();
    let longest = lengths.iter().max().map_or(0, |&longest| longest as usize);
    let shape: Shape = [sequences.len(), longest].into_iter().chain(step.iter().copied()).collect();
    let mut values = Vec::with_capacity(shape.len());
    for (row, sequence) in sequences.iter().enumerate() {
        values.extend_from_slice(sequence.data());
        values.resize((row + 1) * longest * step.len(), padding.clone());
    }
    (Tensor::new(shape, values), Tensor::from(lengths))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_keep_their_shape() {
        let short = Tensor::from_fn([1, 2], |k| k as f32);
        let (padded, lengths) = pad([&short, &Tensor::full([3, 2], 9.0)], 0.5);
        assert_eq!(padded.shape().sizes(), [2, 3, 2]);
        assert_eq!(padded.data()[..6], [0.0, 1.0, 0.5, 0.5, 0.5, 0.5]);
        assert_eq!(lengths.data(), [1, 3]);
        assert_eq!(pad(&[] as &[Tensor<f32>], 0.0).0.shape().sizes(), [0, 0]);
    }

    #[test]
    #[should_panic = "steps of sequence 0 have the sizes [2], and those of sequence 1 [3]"]
    fn steps_of_different_shapes_are_refused() {
        Sequences::new(vec![Tensor::full([1, 2], 0.0), Tensor::full([1, 3], 0.0)], 0.0);
    }
}
