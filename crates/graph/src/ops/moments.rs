//! Mean, variance and standard deviation over axes: `Σx/n`, `Σ(x − mean)²/(n − c)` and its square root.
//!
//! The variance takes two passes, so that a large mean costs it no digits. The standard deviation is a norm, so that
//! its derivative where all elements are equal is 0 and not NaN.

use smallvec::SmallVec;

use super::axes::Axes;
use super::reduction::reduction;
use crate::tape::Var;

impl<'g> Var<'g> {
    #[track_caller]
    fn mean_resolved(self, axes: SmallVec<[usize; 4]>) -> Var<'g> {
        let count = self.count(&axes);
        self.sum_resolved(axes) / count as f64
    }

    /// The number of elements that each result of a reduction is made of.
    fn count(self, axes: &[usize]) -> usize {
        let shape = self.shape();
        axes.iter().map(|&axis| shape[axis]).product()
    }
}

reduction! {
    ///
    /// That of no elements is NaN.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from_rows([[1.0, 2.0], [3.0, 4.0]]));
    /// assert_eq!(graph.eval(x.mean())?.item(), 2.5);
    /// assert_eq!(graph.eval(x.mean_axes(0))?.data(), [2.0, 3.0]);
    /// assert_eq!(x.mean_keep(1).shape().sizes(), [2, 1]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    "mean", mean, mean_axes, mean_keep = mean_resolved
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::check::assert_property;
    use crate::check::strategies::{alike, tensor};
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    fn cube() -> impl Strategy<Value = Vec<Tensor<f64>>> {
        prop::collection::vec(1..4_usize, 3).prop_flat_map(|s| tensor(s, -3.0..3.0).prop_map(|x| vec![x]))
    }

    #[test]
    fn gradients_of_the_mean() {
        assert_property(alike(1, -3.0..3.0), |x| {
            let whole = x[0].square().sum();
            if x[0].shape().len() == 0 { whole } else { whole + x[0].square().mean() }
        });
        assert_property(cube(), |x| x[0].square().mean_axes([-1, 0]));
        assert_property(cube(), |x| x[0] * x[0].mean_keep(1));
    }

    #[test]
    fn the_mean_of_nothing_is_nan() {
        let graph = Graph::new();
        assert!(graph.eval(graph.zeros([0, 2]).mean()).unwrap().item().is_nan());
        assert!(graph.eval(graph.zeros([0, 2]).mean_axes(0)).unwrap().data().iter().all(|m| m.is_nan()));
    }
}
