//! The cosine of the angle between vectors along the last axis, `a·b/(‖a‖·‖b‖)`, and the loss `1 − cos`.
//!
//! Norms count as at least 10⁻⁸, as in PyTorch, so that vectors of zeros have cosine 0 and no NaN in the derivative.

use gradus_graph::Var;

use super::expect_alike;

/// The square of the smallest norm.
const SMALLEST: f64 = 1e-16;

/// The cosine of the angle between each pair of vectors.
///
/// # Shapes
/// Both `[…, n]`; `[…]` comes out.
///
/// # Panics
/// If the shapes differ or have no axis.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let a = graph.constant(&Tensor::from_rows([[3.0, 4.0], [1.0, 0.0], [0.0, 0.0]]));
/// let b = graph.constant(&Tensor::from_rows([[4.0, 3.0], [-2.0, 0.0], [1.0, 1.0]]));
/// assert_eq!(graph.eval(loss::cosine_similarity(a, b))?.data(), [0.96, -1.0, 0.0]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[track_caller]
pub fn cosine_similarity<'g>(a: Var<'g>, b: Var<'g>) -> Var<'g> {
    expect_alike("cosine_similarity", a, b);
    let square = |x: Var<'g>| x.square().sum_axes(-1).maximum(SMALLEST);
    (a * b).sum_axes(-1) / (square(a).sqrt() * square(b).sqrt())
}

/// The mean of `1 − cos`: 0 where prediction and target point the same way, 2 where they are opposed.
///
/// # Shapes
/// Both `[…, n]`; a scalar comes out.
///
/// # Panics
/// If the shapes differ or have no axis.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let prediction = graph.constant(&Tensor::from_rows([[2.0, 0.0], [0.0, 1.0]]));
/// let target = graph.constant(&Tensor::from_rows([[1.0, 0.0], [1.0, 0.0]]));
/// assert_eq!(graph.eval(loss::cosine(prediction, target))?.item(), 0.5);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[track_caller]
pub fn cosine<'g>(prediction: Var<'g>, target: Var<'g>) -> Var<'g> {
    cosine_terms(prediction, target).mean()
}

/// `1 − cos` of each pair of vectors, `[…]`.
///
/// # Panics
/// If the shapes differ or have no axis.
#[track_caller]
pub fn cosine_terms<'g>(prediction: Var<'g>, target: Var<'g>) -> Var<'g> {
    expect_alike("cosine", prediction, target);
    1.0 - cosine_similarity(prediction, target)
}

#[cfg(test)]
mod tests {
    use gradus_graph::check::assert_property;
    use gradus_graph::check::strategies::tensor;
    use gradus_graph::{Graph, Tensor};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn gradients() {
        let rows = (0..3_usize).prop_flat_map(|size| vec![tensor([size, 3], 0.5..2.0), tensor([size, 3], -2.0..2.0)]);
        // Shifted by no multiple of 1/64, so that no vector is zero.
        assert_property(rows, |x| cosine_terms(x[0], x[1] + 0.405));
    }

    #[test]
    fn a_vector_of_zeros_makes_no_nan() {
        let graph = Graph::new();
        let (zero, one) = (graph.constant(&Tensor::from([0.0, 0.0])), graph.ones([2]));
        let slope = graph.grad(cosine(zero, one), &[zero]).unwrap()[0];
        assert!(graph.eval(slope).unwrap().data().iter().all(|value| value.is_finite()));
    }
}
