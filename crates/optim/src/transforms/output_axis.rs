//! The units of a parameter: what leads into one output each.

use gradus_graph::Shape;

/// Which axis of a parameter counts its outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutputAxis {
    /// The first, as in the weights of Gradus and PyTorch.
    First,
    /// The last, as in those of JAX's libraries and Keras.
    Last,
}

impl OutputAxis {
    /// The number of outputs: 1 for a parameter of one axis or none, which is one unit.
    pub(super) fn outputs(self, shape: &Shape) -> usize {
        match (shape.sizes(), self) {
            ([] | [_], _) => 1,
            ([first, ..], Self::First) => *first,
            ([.., last], Self::Last) => *last,
        }
    }
}
