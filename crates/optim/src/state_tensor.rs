//! The tensors of state that a transform keeps.

use gradus_graph::{Real, Tensor, expect_setting};

/// A tensor of state that a [`Transform`](crate::Transform) keeps for each parameter, of the parameter's shape: its
/// name and its first value.
///
/// # Example
/// ```
/// use gradus_optim::StateTensor;
/// let state = [StateTensor::zeros("mean"), StateTensor::full("step_size", 0.1), StateTensor::parameter("slow")];
/// # let _ = state;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct StateTensor {
    pub(crate) name: &'static str,
    initial: Initial,
    /// The decay rate of the running mean of what is observed, if the tensor is one.
    pub(crate) observed: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
enum Initial {
    Full(f64),
    Parameter,
}

impl StateTensor {
    /// A tensor that starts at zero.
    pub fn zeros(name: &'static str) -> Self {
        Self::full(name, 0.0)
    }

    /// A tensor whose elements start at `value`.
    pub fn full(name: &'static str, value: f64) -> Self {
        Self { name, initial: Initial::Full(value), observed: None }
    }

    /// A tensor that starts as a copy of the parameter.
    pub fn parameter(name: &'static str) -> Self {
        Self { name, initial: Initial::Parameter, observed: None }
    }

    /// Makes the tensor the running mean of what is given to [`Optimizer::observe`](crate::Optimizer::observe), such as
    /// estimates of the curvature: `s ← decay·s + (1 − decay)·observed`.
    ///
    /// # Panics
    /// If the decay rate lies outside `0..1`.
    #[track_caller]
    #[must_use]
    pub fn mean_of_observed(self, decay: f64) -> Self {
        expect_setting("`StateTensor::mean_of_observed`: decay", decay, 0.0..1.0);
        Self { observed: Some(decay), ..self }
    }

    pub(crate) fn initial<T: Real>(&self, parameter: &Tensor<T>) -> Tensor<T> {
        match self.initial {
            Initial::Full(value) => Tensor::full(parameter.shape(), T::of(value)),
            Initial::Parameter => parameter.clone(),
        }
    }
}
