//! Tensors of evenly spaced numbers, and the identity matrix.

use super::Tensor;
use crate::real::Real;

impl<T: Real> Tensor<T> {
    /// The numbers `start`, `start + step`, … before `end`, as NumPy's `arange`. Each is computed from its index, so
    /// that rounding errors do not add up.
    ///
    /// # Panics
    /// If the step is 0, or the numbers are not finite or too many for a tensor.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Tensor;
    /// assert_eq!(Tensor::arange(0.0, 5.0, 2.0).data(), [0.0, 2.0, 4.0]);
    /// assert_eq!(Tensor::arange(3.0, 0.0, -1.0).data(), [3.0, 2.0, 1.0]);
    /// ```
    #[track_caller]
    pub fn arange(start: T, end: T, step: T) -> Self {
        let count = ((end.as_f64() - start.as_f64()) / step.as_f64()).ceil();
        assert!(step != T::zero() && count.is_finite(), "`Tensor::arange` of {start}, {end}, {step}: there is no end");
        Self::from_fn(count.max(0.0) as usize, |k| T::of(start.as_f64() + k as f64 * step.as_f64()))
    }

    /// `count` evenly spaced numbers from `start` to `end`, both included, as NumPy's `linspace`.
    ///
    /// # Panics
    /// If they are too many for a tensor.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Tensor;
    /// assert_eq!(Tensor::linspace(0.0, 1.0, 5).data(), [0.0, 0.25, 0.5, 0.75, 1.0]);
    /// ```
    #[track_caller]
    pub fn linspace(start: T, end: T, count: usize) -> Self {
        let last = count.saturating_sub(1);
        let (from, to) = (start.as_f64(), end.as_f64());
        let value = |k: usize| from + (to - from) * (k as f64 / last as f64);
        Self::from_fn(count, |k| match k {
            0 => start,
            k if k == last => end,
            k => T::of(value(k)),
        })
    }

    /// The identity matrix of `size` rows.
    ///
    /// # Panics
    /// If they are too many for a tensor.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Tensor;
    /// assert_eq!(Tensor::eye(2), Tensor::from_rows([[1.0, 0.0], [0.0, 1.0]]));
    /// ```
    #[track_caller]
    pub fn eye(size: usize) -> Self {
        Self::from_fn([size, size], |k| if k / size == k % size { T::one() } else { T::zero() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_numpys() {
        assert_eq!(Tensor::<f32>::arange(1.0, 1.0, 0.5).len(), 0);
        assert_eq!(Tensor::<f32>::arange(1.0, 0.0, 0.5).len(), 0);
        assert_eq!(Tensor::arange(0.0, 1.0, 0.1).len(), 10);
        assert_eq!(Tensor::arange(0.0, 1.0, 0.1).data()[7], 7.0 * 0.1);
        assert_eq!(Tensor::linspace(2.0, 3.0, 0).len(), 0);
        assert_eq!(Tensor::linspace(2.0, 3.0, 1).data(), [2.0]);
        assert_eq!(Tensor::<f32>::linspace(0.0, 0.3, 4).data()[3], 0.3);
        assert_eq!(Tensor::<f32>::eye(0).shape().sizes(), [0, 0]);
    }

    #[test]
    #[should_panic(expected = "`Tensor::arange` of 0, 1, 0: there is no end")]
    fn a_step_of_zero_is_refused() {
        Tensor::arange(0.0, 1.0, 0.0);
    }
}
