//! Several axes as one.

use gradus_graph::{Shape, Var};

use crate::axis::resolve;
use crate::layer::layer;

/// Merges neighbouring axes into one; by default all but the first, as between convolutions and dense layers.
///
/// # Shapes
/// `[N, a, b, …]` gives `[N, a·b·…]`.
///
/// # Example
/// ```
/// use gradus_graph::Graph;
/// use gradus_nn::Flatten;
/// let x = Graph::new();
/// let x = x.zeros([10, 64, 7, 7]);
/// assert_eq!(Flatten::new().forward(x).shape().sizes(), [10, 3136]);
/// assert_eq!(Flatten::axes(0, -2).forward(x).shape().sizes(), [4480, 7]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flatten {
    first: isize,
    last: isize,
}

impl Default for Flatten {
    fn default() -> Self {
        Self::new()
    }
}

impl Flatten {
    /// Merges all axes but the first.
    pub const fn new() -> Self {
        Self::axes(1, -1)
    }

    /// Merges the axes from `first` to `last`; negative ones are counted from the end.
    pub const fn axes(first: isize, last: isize) -> Self {
        Self { first, last }
    }

    /// `x` with the axes merged.
    ///
    /// # Panics
    /// If `x` has no such axes, or the first comes after the last.
    #[track_caller]
    pub fn forward<'g>(&self, x: Var<'g>) -> Var<'g> {
        let shape = x.shape();
        let [first, last] = [self.first, self.last].map(|axis| resolve(axis, shape.rank()));
        let (Some(first), Some(last)) = (first, last) else {
            panic!("`Flatten` of {shape}: there must be axes {} to {}", self.first, self.last)
        };
        assert!(first <= last, "`Flatten` of {shape}: axis {first} must not come after axis {last}");
        let one = shape[first..=last].iter().product();
        x.reshape(
            shape[..first].iter().copied().chain([one]).chain(shape[last + 1..].iter().copied()).collect::<Shape>(),
        )
    }
}

layer!(Flatten, forward);

#[cfg(test)]
mod tests {
    use gradus_graph::check::assert_gradients;
    use gradus_graph::{Graph, Tensor};

    use super::*;

    #[test]
    fn axes_are_joined_in_order() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from_fn([2, 3, 2], |k| k as f64));
        let y = graph.eval(Flatten::new().forward(x)).unwrap();
        assert_eq!((y.shape().sizes(), y.data()[6]), (&[2, 6][..], 6.0));
        assert_eq!(Flatten::axes(-2, 1).forward(x).shape().sizes(), [2, 3, 2]);
        assert_eq!(Flatten::new().forward(graph.zeros([0, 3, 2])).shape().sizes(), [0, 6]);
        assert_gradients(&[Tensor::from_fn([2, 1, 3], |k| k as f64 - 2.5)], |x| Flatten::new().forward(x[0]).square());
    }

    #[test]
    #[should_panic(expected = "`Flatten` of [5]: there must be axes 1 to -1")]
    fn missing_axes_are_named() {
        Flatten::new().forward(Graph::new().zeros([5]));
    }
}
