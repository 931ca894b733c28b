//! Losses of the angle between vectors.

use gradus_graph::{Var, expect_setting};

use super::expect_alike;

/// The smallest norm.
const SMALLEST: f64 = 1e-8;

/// The cosine of the angle between each pair of vectors along the last axis, `a·b/(‖a‖·‖b‖)`.
///
/// Norms count as at least 10⁻⁸, as in PyTorch, so that vectors of zeros have cosine 0 and no NaN in the derivative.
///
/// # Shapes
/// Both `[…, n]`; the result is `[…]`.
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
    (unit(a) * unit(b)).sum_axes(-1)
}

/// The vectors along the last axis at length 1; norms count as at least 10⁻⁸.
#[track_caller]
pub(super) fn unit(x: Var<'_>) -> Var<'_> {
    x / x.norm_keep(-1).maximum(SMALLEST)
}

/// The mean of `1 − cos`: 0 where prediction and target point the same way, 2 where they are opposed.
///
/// # Shapes
/// Both `[…, n]`; the result is a scalar.
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

/// The mean loss of pairs of vectors: `1 − cos` where the target is 1, `max(0, cos − margin)` where it is −1. PyTorch's
/// `CosineEmbeddingLoss`, whose margin is 0 unless given.
///
/// # Shapes
/// Vectors both `[…, n]`, targets `[…]`; the result is a scalar.
///
/// # Panics
/// If the shapes do not fit.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let a = graph.constant(&Tensor::from_rows([[3.0, 4.0], [3.0, 4.0]]));
/// let b = graph.constant(&Tensor::from_rows([[4.0, 3.0], [4.0, 3.0]]));
/// let terms = loss::cosine_embedding_terms(a, b, graph.constant(&Tensor::from([1.0, -1.0])), 0.5);
/// graph.eval(terms)?.assert_close(&Tensor::from([0.04, 0.46]), 1e-14, 0.0);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[track_caller]
pub fn cosine_embedding<'g>(a: Var<'g>, b: Var<'g>, targets: Var<'g>, margin: f64) -> Var<'g> {
    cosine_embedding_terms(a, b, targets, margin).mean()
}

/// The loss of each pair of vectors, `[…]`.
///
/// # Panics
/// If the shapes do not fit.
#[track_caller]
pub fn cosine_embedding_terms<'g>(a: Var<'g>, b: Var<'g>, targets: Var<'g>, margin: f64) -> Var<'g> {
    expect_setting("`cosine_embedding`: margin", margin, -1.0..=1.0);
    let cosine = cosine_similarity(a, b);
    expect_alike("cosine_embedding", cosine, targets);
    targets.greater(0.0).where_(1.0 - cosine, (cosine - margin).relu())
}

#[cfg(test)]
mod tests {
    use gradus_graph::check::assert_property;
    use gradus_graph::check::strategies::tensor;
    use gradus_graph::{Feed, Graph, Params, Tensor};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn gradients() {
        let rows = (0..3_usize).prop_flat_map(|size| vec![tensor([size, 3], 0.5..2.0), tensor([size, 3], -2.0..2.0)]);
        // Shifted by no multiple of 1/64, so that no vector is zero.
        assert_property(rows, |x| cosine_terms(x[0], x[1] + 0.405));
    }

    #[test]
    fn vectors_of_any_length_keep_their_digits() {
        for scale in [1e-7, 1.0, 1e30] {
            let graph = Graph::new();
            let a = graph.constant(&Tensor::from_rows([[3.0, 4.0]])) * scale;
            let cosine = cosine_similarity(a, graph.constant(&Tensor::from_rows([[4.0, 3.0]])) * scale);
            let slope = graph.grad(cosine.sum(), &[a]).unwrap()[0] * scale;
            let found = graph.eval_with::<f32>(&[cosine, slope], &Params::new(0), &Feed::new()).unwrap();
            found[0].real().assert_close(&Tensor::from([0.96]), 1e-6, 0.0);
            found[1].real().assert_close(&Tensor::from_rows([[0.0448, -0.0336]]), 1e-5, 0.0);
        }
    }

    #[test]
    fn a_vector_of_zeros_makes_no_nan() {
        let graph = Graph::new();
        let (zero, one) = (graph.constant(&Tensor::from([0.0, 0.0])), graph.ones([2]));
        let slope = graph.grad(cosine(zero, one), &[zero]).unwrap()[0];
        assert!(graph.eval(slope).unwrap().data().iter().all(|value| value.is_finite()));
    }

    #[test]
    fn gradients_of_pairs() {
        let rows = (0..4_usize).prop_flat_map(|size| vec![tensor([size, 3], 0.5..2.0), tensor([size, 3], -2.0..2.0)]);
        assert_property(rows, |x| {
            let sides = Tensor::from_fn([x[0].shape()[0]], |row| if row % 2 == 0 { 1.0 } else { -1.0 });
            cosine_embedding_terms(x[0], x[1] + 0.405, x[0].graph().constant(&sides), 0.1)
        });
    }

    #[test]
    #[should_panic(expected = "`cosine_embedding` of [2] and [2, 1]: prediction and target must have one shape")]
    fn a_pair_has_one_target() {
        let graph = Graph::new();
        cosine_embedding(graph.ones([2, 3]), graph.ones([2, 3]), graph.ones([2, 1]), 0.0);
    }
}
