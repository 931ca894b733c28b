//! Windows of a long series, each with what comes after it.

use gradus_graph::{Shape, Tensor};

use crate::batches::Batch;
use crate::error::DataError;
use crate::rows::Rows;

/// Pieces of a series along its first axis, each with the steps that follow it as its target. The series is held once;
/// a window is copied when it is asked for.
///
/// # Example
/// ```
/// use gradus_data::{Rows, Windows};
/// use gradus_graph::Tensor;
/// let series = Tensor::from_fn([10], |k| k as f32);
/// let windows = Windows::new(series, 3, 2).stride(2);
/// assert_eq!(windows.len(), 3);
/// let batch = windows.get(&[1])?;
/// assert_eq!(batch.inputs, Tensor::from_rows([[2.0, 3.0, 4.0]]));
/// assert_eq!(batch.targets, Tensor::from_rows([[5.0, 6.0]]));
/// # Ok::<(), gradus_data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Windows<T: Clone> {
    series: Tensor<T>,
    length: usize,
    horizon: usize,
    stride: usize,
    /// From the beginning of a window to that of its target.
    offset: usize,
}

impl<T: Clone> Windows<T> {
    /// Windows of `length` steps at every place of the series, each with the next `horizon` steps as its target.
    ///
    /// # Panics
    /// If the series is a scalar, or the length is 0.
    #[track_caller]
    pub fn new(series: Tensor<T>, length: usize, horizon: usize) -> Self {
        assert!(series.shape().rank() > 0, "`Windows::new`: a series is a tensor of one axis or more, not a scalar");
        assert!(length > 0, "`Windows::new`: a window of no steps");
        Self { series, length, horizon, stride: 1, offset: length }
    }

    /// Windows of `length` steps, each with a target that is as long and begins one step later: what a model learns that
    /// says the next step after each.
    ///
    /// # Panics
    /// If the series is a scalar, or the length is 0.
    ///
    /// # Example
    /// ```
    /// use gradus_data::{Rows, Windows};
    /// use gradus_graph::Tensor;
    /// let batch = Windows::next_steps(Tensor::from([5, 6, 7, 8]), 3).get(&[0])?;
    /// assert_eq!((batch.inputs.data(), batch.targets.data()), (&[5, 6, 7][..], &[6, 7, 8][..]));
    /// # Ok::<(), gradus_data::DataError>(())
    /// ```
    #[track_caller]
    pub fn next_steps(series: Tensor<T>, length: usize) -> Self {
        Self { offset: 1, ..Self::new(series, length, length) }
    }

    /// A window at every `stride`-th place.
    ///
    /// # Panics
    /// If the stride is 0.
    #[must_use]
    #[track_caller]
    pub fn stride(self, stride: usize) -> Self {
        assert!(stride > 0, "`Windows::stride`: windows are at least one step apart");
        Self { stride, ..self }
    }

    /// Moves the targets by `gap` steps away from their windows.
    #[must_use]
    pub fn gap(self, gap: usize) -> Self {
        Self { offset: self.offset.saturating_add(gap), ..self }
    }
}

impl<T: Clone> Rows for Windows<T> {
    type Batch = Batch<T, T>;

    fn len(&self) -> usize {
        let whole = self.offset.saturating_add(self.horizon).max(self.length);
        match self.series.shape()[0].checked_sub(whole) {
            Some(last) => last / self.stride + 1,
            None => 0,
        }
    }

    fn get(&self, rows: &[usize]) -> Result<Self::Batch, DataError> {
        let pieces = |offset: usize, length: usize| {
            let step = &self.series.shape()[1..];
            let width: usize = step.iter().product();
            let shape: Shape = [rows.len(), length].into_iter().chain(step.iter().copied()).collect();
            let mut values = Vec::with_capacity(shape.len());
            for &row in rows {
                assert!(row < self.len(), "window {row} of {}", self.len());
                let start = row * self.stride + offset;
                values.extend_from_slice(&self.series.data()[start * width..(start + length) * width]);
            }
            Tensor::new(shape, values)
        };
        let (inputs, targets) = (pieces(0, self.length), pieces(self.offset, self.horizon));
        Ok(Batch { inputs, targets })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_whole_window_is_there() {
        let series = |steps: usize| Tensor::from_fn([steps, 2], |k| k as f32);
        for (steps, length, horizon, stride, gap, count) in
            [(10, 3, 2, 1, 0, 6), (10, 3, 2, 2, 1, 3), (4, 3, 1, 1, 0, 1), (3, 3, 1, 1, 0, 0), (5, 5, 0, 3, 0, 1)]
        {
            let windows = Windows::new(series(steps), length, horizon).stride(stride).gap(gap);
            assert_eq!(windows.len(), count);
            for row in 0..count {
                let batch = windows.get(&[row]).unwrap();
                let start = row * stride;
                assert_eq!(batch.inputs, series(steps).rows(start, start + length).reshape([1, length, 2]));
                let target = start + length + gap;
                assert_eq!(batch.targets, series(steps).rows(target, target + horizon).reshape([1, horizon, 2]));
            }
        }
    }
}
