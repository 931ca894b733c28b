//! What a closure sets for each parameter.

use gradus_graph::{Param, Real, Tensor};

use crate::parameter_vector::ParameterVector;

/// Takes a gradient, or another vector with a number for each trainable scalar, from a closure.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_minimize::ConjugateGradient;
/// let mut params: Params<f32> = Params::new(0);
/// let (a, b) = (params.add("a", Tensor::from([4.0, 1.0])), params.add("b", Tensor::scalar(3.0)));
/// let outcome = ConjugateGradient::new().minimize(&mut params, |params, slope| {
///     let (x, y) = (params.get(&a), params.get(&b));
///     slope.set([(&a, &x.map(|x| 2.0 * x)), (&b, &y.map(|y| 2.0 * (y - 1.0)))]);
///     Ok(x.data().iter().map(|x| x * x).sum::<f32>() + (y.item() - 1.0).powi(2))
/// })?;
/// assert!(outcome.reason.is_converged() && outcome.value < 1e-12);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
pub struct Slope<'a> {
    layout: &'a ParameterVector,
    vector: &'a mut [f64],
}

impl<'a> Slope<'a> {
    /// Over the vector, which is zero until it is set.
    pub(crate) fn new(layout: &'a ParameterVector, vector: &'a mut [f64]) -> Self {
        vector.fill(0.0);
        Self { layout, vector }
    }

    /// Takes the tensors, such as the gradients of a step. Trainable parameters without one have zeros.
    ///
    /// # Panics
    /// If a parameter is unknown or frozen, or a shape differs.
    #[track_caller]
    pub fn set<'t, T: Real>(&mut self, tensors: impl IntoIterator<Item = (&'t Param, &'t Tensor<T>)>) {
        for (param, tensor) in tensors {
            let Some(range) = self.layout.range(param) else { panic!("{}", unknown(param)) };
            assert!(
                tensor.shape() == param.shape(),
                "parameter `{}` has shape {}; its tensor has {}",
                param.name(),
                param.shape(),
                tensor.shape()
            );
            for (index, value) in range.zip(tensor.data()) {
                self.vector[index] = value.as_f64() * self.layout.unit(index);
            }
        }
    }
}

/// The message for a parameter that is not in the vector.
pub(crate) fn unknown(param: &Param) -> String {
    format!("parameter `{}` of shape {} is not a trainable one of this store", param.name(), param.shape())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_graph::Params;

    fn store() -> (Params<f64>, Param) {
        let mut params = Params::new(0);
        let x = params.add("x", Tensor::from([1.0, 2.0]));
        (params, x)
    }

    #[test]
    #[should_panic(expected = "parameter `x` has shape [2]; its tensor has [3]")]
    fn a_wrong_shape_is_an_error() {
        let (params, x) = store();
        Slope::new(&ParameterVector::new(&params), &mut [0.0; 2]).set([(&x, &Tensor::from([1.0, 2.0, 3.0]))]);
    }

    #[test]
    #[should_panic(expected = "parameter `x` of shape [2] is not a trainable one of this store")]
    fn a_frozen_parameter_is_an_error() {
        let (mut params, x) = store();
        params.set_trainable(false, |_| true);
        Slope::new(&ParameterVector::new(&params), &mut []).set([(&x, &Tensor::from([1.0, 2.0]))]);
    }
}
