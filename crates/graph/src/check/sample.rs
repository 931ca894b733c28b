//! An op with the tensors that it is checked on.

use std::fmt;
use std::sync::Arc;

use crate::tape::op::{AnyOp, Op};
use crate::tensor::AnyTensor;

/// An op with tensors to apply it to.
#[derive(Clone)]
pub struct Sample {
    pub(crate) op: Arc<dyn AnyOp>,
    pub(crate) inputs: Vec<AnyTensor<f64>>,
}

impl Sample {
    /// The op on the given tensors, real numbers or indices.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::check::Sample;
    /// use gradus_graph::{Pointwise, Real, Tensor, Var};
    ///
    /// #[derive(Debug, PartialEq, Eq, Hash)]
    /// struct Double;
    ///
    /// impl Pointwise for Double {
    ///     const NAME: &'static str = "double";
    ///     fn value<T: Real>(&self, x: &[T]) -> T {
    ///         x[0] + x[0]
    ///     }
    ///     fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
    ///         x[0].graph().full(x[0].shape(), 2.0)
    ///     }
    /// }
    ///
    /// let sample = Sample::new(Double, [Tensor::from([0.5]).into()]);
    /// assert_eq!(format!("{sample:?}"), "Double on [0.5]");
    /// ```
    pub fn new(op: impl Op, inputs: impl IntoIterator<Item = AnyTensor<f64>>) -> Self {
        Self { op: Arc::new(op), inputs: inputs.into_iter().collect() }
    }
}

impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} on ", self.op)?;
        for (number, input) in self.inputs.iter().enumerate() {
            let comma = if number > 0 { ", " } else { "" };
            match input {
                AnyTensor::Real(tensor) => write!(f, "{comma}{tensor}")?,
                AnyTensor::Index(tensor) => write!(f, "{comma}{tensor}")?,
            }
        }
        Ok(())
    }
}
