//! The outer product of two vectors, `yᵢⱼ = aᵢ·bⱼ`.

use crate::tape::{Var, refuse};

impl<'g> Var<'g> {
    /// The outer product of two vectors, `yᵢⱼ = aᵢ·bⱼ`.
    ///
    /// # Shapes
    /// `[m]` and `[n]` give `[m, n]`.
    ///
    /// # Panics
    /// If one of them is not a vector.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let a = graph.constant(&Tensor::from([1.0, 2.0]));
    /// let b = graph.constant(&Tensor::from([3.0, 4.0]));
    /// assert_eq!(graph.eval(a.outer(b))?, Tensor::from_rows([[3.0, 4.0], [6.0, 8.0]]));
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn outer(self, other: Var<'g>) -> Var<'g> {
        let (left, right) = (self.shape(), other.shape());
        if left.rank() != 1 || right.rank() != 1 {
            refuse("outer", &[&left, &right], "both must have one axis");
        }
        self.unsqueeze(1) * other.unsqueeze(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::check::assert_property;
    use crate::check::strategies::tensor;
    use crate::tape::Graph;

    #[test]
    fn gradients_of_vectors_of_unequal_length() {
        let vectors = (0..4_usize, 0..4_usize).prop_flat_map(|(m, n)| vec![tensor(m, -3.0..3.0), tensor(n, -3.0..3.0)]);
        assert_property(vectors, |x| x[0].outer(x[1]).square());
    }

    #[test]
    #[should_panic(expected = "`outer` of [2] and [2, 1]: both must have one axis")]
    fn a_matrix_is_refused() {
        let graph = Graph::new();
        graph.zeros([2]).outer(graph.zeros([2, 1]));
    }
}
