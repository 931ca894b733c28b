//! The same value with a derivative of zero, and straight-through estimators.

use crate::shape::Layout;
use crate::tape::Var;
use crate::tape::op::{Accepts, Derivative, Form, Meta, Metas, Op, Signature};

/// The same elements, through which no derivative passes.
#[derive(Debug, PartialEq, Eq, Hash)]
struct StopGradient;

impl Op for StopGradient {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Any]);

    fn name(&self) -> &'static str {
        "stop_gradient"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        Ok(smallvec::smallvec![inputs[0].clone()])
    }

    fn form(&self) -> Form {
        Form::View
    }

    fn view(&self, input: &Layout) -> Option<Layout> {
        Some(input.clone())
    }

    fn derivative(&self, _input: usize) -> Derivative {
        Derivative::Zero
    }
}

impl<'g> Var<'g> {
    /// The same value with a derivative of zero: PyTorch's `detach`.
    #[track_caller]
    pub fn stop_gradient(self) -> Var<'g> {
        self.graph().call(StopGradient, &[self])
    }

    /// The value of `forward` with the derivatives of this variable, `forward + x − stop_gradient(x)`: a
    /// straight-through estimator, for functions without a useful derivative. The value is exact where this variable is
    /// finite.
    ///
    /// A model with it fails a comparison with differences, which depend on values alone. A custom op declares a
    /// surrogate derivative by [`Op::is_surrogate`](crate::Op::is_surrogate).
    ///
    /// # Panics
    /// If the shapes do not broadcast, or a variable is an index.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([0.4, 1.7]));
    /// let y = x.straight_through(x.round());
    /// let slope = graph.grad((y * y).sum(), &[x])?[0];
    /// assert_eq!((graph.eval(y)?.data(), graph.eval(slope)?.data()), (&[0.0, 2.0][..], &[0.0, 4.0][..]));
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    ///
    /// # Reference
    /// Bengio, Léonard and Courville, "Estimating or propagating gradients through stochastic neurons for conditional
    /// computation" (2013).
    #[track_caller]
    pub fn straight_through(self, forward: Var<'g>) -> Var<'g> {
        // In this order, the difference is exactly 0 and does not change the value.
        forward.stop_gradient() + (self - self.stop_gradient())
    }
}

crate::tape::op::saved_ops!("stop_gradient": StopGradient {});

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{any_tensor, shape};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    let samples = shape(5).prop_flat_map(any_tensor).prop_map(|x| Sample::new(StopGradient, [x]));
    vec![Entry::new("stop_gradient", "`x`, through which no derivative passes", samples).stops()]
}

#[cfg(test)]
mod tests {
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    #[test]
    fn no_derivative_passes_a_stopped_gradient() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([2.0]));
        let slope = graph.grad((x * x.stop_gradient()).sum(), &[x]).unwrap()[0];
        assert_eq!(graph.eval(slope).unwrap().data(), [2.0]);
    }

    #[test]
    fn a_straight_through_value_is_exact_and_its_derivatives_are_those_of_the_variable() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([0.1, -1e20, 3.0]));
        let forward = x.sign() * 0.3 + x.exp();
        let y = x.square().straight_through(forward);
        assert_eq!(graph.eval(y).unwrap(), graph.eval(forward).unwrap());
        let first = graph.grad(y.sum(), &[x]).unwrap()[0];
        let second = graph.grad(first.sum(), &[x]).unwrap()[0];
        assert_eq!(graph.eval(first).unwrap(), graph.eval(x * 2).unwrap());
        assert_eq!(graph.eval(second).unwrap().data(), [2.0; 3]);
        let along = graph.jvp(&[y], &[x], &[graph.ones([3])]).unwrap()[0];
        assert_eq!(graph.eval(along).unwrap(), graph.eval(x * 2).unwrap());
    }
}
