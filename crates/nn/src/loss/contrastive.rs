//! Contrastive losses of embeddings.

use gradus_graph::{POSITIVE, Tensor, Var, expect_setting};

use super::cosine::unit;
use super::{cross_entropy_terms, expect_alike};

/// The mean contrastive loss of pairs by their distance: `½·d²` where `same` is 1, `½·max(0, margin − d)²` where it is
/// 0.
///
/// In the paper the label is 0 for similar pairs and 1 for others. For the Euclidean distance see
/// [`distance`](super::distance).
///
/// # Shapes
/// Distances and `same` of one shape; the result is a scalar.
///
/// # Panics
/// If the shapes differ.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let distances = graph.constant(&Tensor::from([0.5, 0.5, 2.0]));
/// let same = graph.constant(&Tensor::from([1.0, 0.0, 0.0]));
/// assert_eq!(graph.eval(loss::contrastive_terms(distances, same, 1.5))?.data(), [0.125, 0.5, 0.0]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Hadsell, Chopra and LeCun, "Dimensionality reduction by learning an invariant mapping" (2006).
#[track_caller]
pub fn contrastive<'g>(distances: Var<'g>, same: Var<'g>, margin: f64) -> Var<'g> {
    contrastive_terms(distances, same, margin).mean()
}

/// The contrastive loss of each pair.
///
/// # Panics
/// If the shapes differ.
#[track_caller]
pub fn contrastive_terms<'g>(distances: Var<'g>, same: Var<'g>, margin: f64) -> Var<'g> {
    expect_alike("contrastive", distances, same);
    expect_setting("`contrastive`: margin", margin, 0.0..);
    (same * distances.square() + (1.0 - same) * (margin - distances).relu().square()) * 0.5
}

/// The mean InfoNCE loss, `−ln(exp(sᵢᵢ/τ)/Σⱼ exp(sᵢⱼ/τ))` with `sᵢⱼ = cos(aᵢ, bⱼ)`: the cross entropy of finding the
/// key of each query among the keys of all queries of the batch.
///
/// Only queries look for keys; for the symmetric loss take the mean of both directions.
///
/// # Shapes
/// Both `[n, features]`, pairs in one row; the result is a scalar.
///
/// # Panics
/// If the shapes differ or have not two axes, or the temperature is not positive.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let queries = graph.constant(&Tensor::from_rows([[2.0, 0.0], [0.0, 1.0]]));
/// let loss = graph.eval(loss::info_nce(queries, queries, 0.5))?.item();
/// assert!((loss - (-2.0_f64).exp().ln_1p()).abs() < 1e-15);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Van den Oord, Li and Vinyals, "Representation learning with contrastive predictive coding" (2018).
#[track_caller]
pub fn info_nce<'g>(queries: Var<'g>, keys: Var<'g>, temperature: f64) -> Var<'g> {
    info_nce_terms(queries, keys, temperature).mean()
}

/// The InfoNCE loss of each query, `[n]`.
///
/// # Panics
/// As [`info_nce`].
#[track_caller]
pub fn info_nce_terms<'g>(queries: Var<'g>, keys: Var<'g>, temperature: f64) -> Var<'g> {
    expect_batches("info_nce", queries, keys, temperature);
    let count = queries.shape()[0];
    let logits = unit(queries).matmul(unit(keys).t()) / temperature;
    cross_entropy_terms(logits, queries.graph().index_constant(&Tensor::from_fn([count], |row| row as i64)))
}

/// The mean NT-Xent loss of SimCLR: of two views of each of `n` examples, each view must find the other among the
/// `2n − 1` other views.
///
/// # Shapes
/// Both `[n, features]`, two views of an example in one row; the result is a scalar.
///
/// # Panics
/// If the shapes differ or have not two axes, or the temperature is not positive.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let views = graph.constant(&Tensor::from_rows([[2.0, 0.0], [0.0, 1.0]]));
/// let loss = graph.eval(loss::nt_xent(views, views, 0.5))?.item();
/// assert!((loss - (2.0 * (-2.0_f64).exp()).ln_1p()).abs() < 1e-15);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Chen et al., "A simple framework for contrastive learning of visual representations" (2020).
#[track_caller]
pub fn nt_xent<'g>(first: Var<'g>, second: Var<'g>, temperature: f64) -> Var<'g> {
    nt_xent_terms(first, second, temperature).mean()
}

/// The NT-Xent loss of each view, those of `first` before those of `second`, `[2n]`.
///
/// # Panics
/// As [`nt_xent`].
#[track_caller]
pub fn nt_xent_terms<'g>(first: Var<'g>, second: Var<'g>, temperature: f64) -> Var<'g> {
    expect_batches("nt_xent", first, second, temperature);
    let (graph, count) = (first.graph(), first.shape()[0]);
    let views = unit(graph.concat(&[first, second], 0));
    // A view is not its own partner: its cosine with itself has no weight in the sum.
    let itself = Tensor::from_fn([2 * count, 2 * count], |k| f64::from(u8::from(k % (2 * count + 1) == 0)));
    let logits = views.matmul(views.t()) / temperature;
    let logits = graph.constant(&itself).where_(f64::NEG_INFINITY, logits);
    let partners = Tensor::from_fn([2 * count], |row| ((row + count) % (2 * count)) as i64);
    cross_entropy_terms(logits, graph.index_constant(&partners))
}

#[track_caller]
fn expect_batches(loss: &str, a: Var<'_>, b: Var<'_>, temperature: f64) {
    expect_alike(loss, a, b);
    let shape = a.shape();
    assert!(shape.rank() == 2, "`{loss}` of {shape}: it takes rows of features, [n, features]");
    expect_setting(&format!("`{loss}`: temperature"), temperature, POSITIVE);
}

#[cfg(test)]
mod tests {
    use gradus_graph::Graph;
    use gradus_graph::check::assert_property;
    use gradus_graph::check::strategies::{alike, tensor};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn gradients() {
        fn same<'g>(x: Var<'g>) -> Var<'g> {
            x.graph().constant(&Tensor::from_fn(x.shape(), |k| (k % 2) as f64))
        }
        // Shifted by no multiple of 1/64, so that nothing falls on a kink.
        assert_property(alike(1, 0.0..3.0), |x| contrastive_terms(x[0] + 0.005, same(x[0]), 1.5));
        let pairs =
            || (1..4_usize).prop_flat_map(|size| vec![tensor([size, 3], 0.5..2.0), tensor([size, 3], -2.0..-0.5)]);
        assert_property(pairs(), |x| info_nce_terms(x[0], x[1], 0.5));
        assert_property(pairs(), |x| nt_xent_terms(x[0], x[1], 0.5));
    }

    #[test]
    fn values_are_those_of_plain_loops() {
        let (a, b) = ([[1.0, 2.0], [0.5, -1.0], [3.0, 0.25]], [[2.0, 2.0], [1.0, -1.0], [-1.0, 0.5]]);
        let cosine = |x: [f64; 2], y: [f64; 2]| (x[0] * y[0] + x[1] * y[1]) / x[0].hypot(x[1]) / y[0].hypot(y[1]);
        let graph = Graph::new();
        let (first, second) = (graph.constant(&Tensor::from_rows(a)), graph.constant(&Tensor::from_rows(b)));
        let expected = Tensor::from_fn([3], |i| {
            let sum: f64 = (0..3).map(|j| (cosine(a[i], b[j]) / 0.25).exp()).sum();
            sum.ln() - cosine(a[i], b[i]) / 0.25
        });
        graph.eval(info_nce_terms(first, second, 0.25)).unwrap().assert_close(&expected, 1e-14, 1e-15);
        let views = [a, b].concat();
        let expected = Tensor::from_fn([6], |i| {
            let others = (0..6).filter(|&j| j != i);
            let sum: f64 = others.map(|j| (cosine(views[i], views[j]) / 0.25).exp()).sum();
            sum.ln() - cosine(views[i], views[(i + 3) % 6]) / 0.25
        });
        graph.eval(nt_xent_terms(first, second, 0.25)).unwrap().assert_close(&expected, 1e-14, 1e-15);
    }

    #[test]
    fn no_rows_and_rows_of_zeros() {
        let graph = Graph::new();
        let none = graph.zeros([0, 3]);
        assert_eq!(graph.eval(info_nce_terms(none, none, 1.0)).unwrap().shape().sizes(), [0]);
        assert_eq!(graph.eval(nt_xent_terms(none, none, 1.0)).unwrap().shape().sizes(), [0]);
        let zeros = graph.zeros([2, 3]);
        let slope = graph.grad(nt_xent(zeros, zeros, 1.0), &[zeros]).unwrap()[0];
        assert!(graph.eval(slope).unwrap().data().iter().all(|value| value.is_finite()));
    }

    #[test]
    #[should_panic(expected = "`nt_xent` of [3]: it takes rows of features, [n, features]")]
    fn a_vector_is_no_batch() {
        let graph = Graph::new();
        nt_xent(graph.ones([3]), graph.ones([3]), 1.0);
    }
}
