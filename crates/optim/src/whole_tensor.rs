//! A whole tensor, passed through the transforms that need it at once.

use gradus_graph::{Param, Real, Shape, Tensor};

/// A whole tensor: its value, the update so far, and the state of the transform that runs.
pub struct WholeTensor<'a, T> {
    /// The shape of the parameter and of the update.
    pub shape: &'a Shape,
    /// The value of the parameter before the step.
    pub parameter: &'a [T],
    /// The update so far, to write to.
    pub update: &'a mut [T],
    /// The tensors that the transform named, in order.
    pub state: &'a mut [Tensor<T>],
    /// Memory that all transforms share and whose contents no transform can rely on: a transform makes it as long as it
    /// needs, and it stays so.
    pub scratch: &'a mut Vec<T>,
}

/// Whether the parameter is one for the rules of matrices: of two axes, and not empty.
pub(crate) fn is_matrix(param: &Param) -> bool {
    param.shape().rank() == 2 && !param.shape().is_empty()
}

/// Slices of these lengths, side by side in memory that is made long enough.
pub(crate) fn parts<T: Real, const N: usize>(scratch: &mut Vec<T>, lengths: [usize; N]) -> [&mut [T]; N] {
    let total = lengths.iter().sum();
    if scratch.len() < total {
        scratch.resize(total, T::zero());
    }
    let mut rest = &mut scratch[..];
    lengths.map(|length| {
        let (part, others) = std::mem::take(&mut rest).split_at_mut(length);
        rest = others;
        part
    })
}
