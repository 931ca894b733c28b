//! One whole tensor on its way through a chain.

use gradus_graph::{Shape, Tensor};

/// A whole tensor: its value, the update so far, and the state of the link that runs.
pub struct Whole<'a, T> {
    /// The shape of the parameter and of the update.
    pub shape: &'a Shape,
    /// The value of the parameter before the step.
    pub parameter: &'a [T],
    /// The update so far, to write to.
    pub update: &'a mut [T],
    /// The tensors that the link named, in order.
    pub state: &'a mut [Tensor<T>],
    /// Memory that all links share and whose contents no link can rely on: a link makes it as long as it needs, and it
    /// stays so.
    pub scratch: &'a mut Vec<T>,
}
