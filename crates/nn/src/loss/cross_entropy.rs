//! Cross entropy of a softmax with labels or distributions, and the negative log-likelihood of given log-probabilities.
//!
//! With logits `x` and `ℓ = ln softmax(x)` along the last axis: `−ℓ[label]`, `−Σᵢ pᵢ·ℓᵢ`, and with smoothing `s`
//! `(1 − s)·(−ℓ[label]) + s·(−mean ℓ)`. Logits go in, never probabilities: the logarithm of a sum of exponentials is
//! taken as one step, which neither overflows nor loses digits.
//!
//! Classes are the last axis, not the second as in PyTorch; for matrices both are the same.

use gradus_graph::Var;

/// The mean cross entropy of rows of logits with their labels.
///
/// A label that is no class is an error of the run.
///
/// # Shapes
/// Logits of `[…, classes]` and index labels of `[…]`; a scalar comes out.
///
/// # Panics
/// If the shapes do not fit, or the labels are real.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let logits = graph.constant(&Tensor::from_rows([[0.0, 0.0], [0.0, 3.0_f64.ln()]]));
/// let labels = graph.index_constant(&Tensor::from([0, 1]));
/// let expected = (2.0_f64.ln() + (4.0_f64 / 3.0).ln()) / 2.0;
/// assert!((graph.eval(loss::cross_entropy(logits, labels))?.item() - expected).abs() < 1e-15);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[track_caller]
pub fn cross_entropy<'g>(logits: Var<'g>, labels: Var<'g>) -> Var<'g> {
    cross_entropy_terms(logits, labels).mean()
}

/// The cross entropy of each row of logits with its label, `[…]`.
///
/// # Panics
/// If the shapes do not fit, or the labels are real.
#[track_caller]
pub fn cross_entropy_terms<'g>(logits: Var<'g>, labels: Var<'g>) -> Var<'g> {
    logits.cross_entropy(labels)
}

/// The mean cross entropy of rows of logits with distributions over the classes.
///
/// # Shapes
/// Logits and probabilities of `[…, classes]`; a scalar comes out.
///
/// # Panics
/// If the shapes differ.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let logits = graph.constant(&Tensor::from_rows([[0.0, 3.0_f64.ln()]]));
/// let chances = graph.constant(&Tensor::from_rows([[0.5, 0.5]]));
/// let expected = (4.0_f64.ln() + (4.0_f64 / 3.0).ln()) / 2.0;
/// assert!((graph.eval(loss::cross_entropy_with(logits, chances))?.item() - expected).abs() < 1e-15);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[track_caller]
pub fn cross_entropy_with<'g>(logits: Var<'g>, distribution: Var<'g>) -> Var<'g> {
    cross_entropy_with_terms(logits, distribution).mean()
}

/// The cross entropy of each row of logits with a distribution over the classes, `[…]`.
///
/// # Panics
/// If the shapes differ.
#[track_caller]
pub fn cross_entropy_with_terms<'g>(logits: Var<'g>, distribution: Var<'g>) -> Var<'g> {
    logits.cross_entropy_with(distribution)
}

/// The mean cross entropy with smoothed labels: the share `smoothing` of each target is spread evenly over all classes,
/// as PyTorch's `label_smoothing` does.
///
/// # Shapes
/// Logits of `[…, classes]` and index labels of `[…]`; a scalar comes out.
///
/// # Panics
/// If the shapes do not fit, the labels are real, or the share is not within 0 and 1.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let logits = graph.constant(&Tensor::from([1.0, 0.0]));
/// let label = graph.index_constant(&Tensor::scalar(0));
/// let smoothed = loss::cross_entropy_smoothed(logits, label, 0.5);
/// let same = loss::cross_entropy_with(logits, graph.constant(&Tensor::from([0.75, 0.25])));
/// assert!((graph.eval(smoothed - same)?.item()).abs() < 1e-15);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Szegedy et al., "Rethinking the inception architecture for computer vision" (2016).
#[track_caller]
pub fn cross_entropy_smoothed<'g>(logits: Var<'g>, labels: Var<'g>, smoothing: f64) -> Var<'g> {
    cross_entropy_smoothed_terms(logits, labels, smoothing).mean()
}

/// The cross entropy of each row of logits with its smoothed label, `[…]`.
///
/// # Panics
/// If the shapes do not fit, the labels are real, or the share is not within 0 and 1.
#[track_caller]
pub fn cross_entropy_smoothed_terms<'g>(logits: Var<'g>, labels: Var<'g>, smoothing: f64) -> Var<'g> {
    assert!((0.0..=1.0).contains(&smoothing), "`cross_entropy_smoothed` needs a share from 0 to 1, not {smoothing}");
    let spread = logits.log_softmax(-1).mean_axes(-1);
    logits.cross_entropy(labels) * (1.0 - smoothing) - spread * smoothing
}

/// The mean negative log-likelihood of labels, from log-probabilities: for models whose last step is a
/// [`LogSoftmax`](crate::LogSoftmax). From logits, take [`cross_entropy`].
///
/// A label that is no class is an error of the run.
///
/// # Shapes
/// Log-probabilities of `[…, classes]` and index labels of `[…]`; a scalar comes out.
///
/// # Panics
/// If the shapes do not fit, or the labels are real.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let chances = graph.constant(&Tensor::from_rows([[-1.0, -2.0], [-3.0, -4.0]]));
/// let labels = graph.index_constant(&Tensor::from([1, 0]));
/// assert_eq!(graph.eval(loss::nll(chances, labels))?.item(), 2.5);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[track_caller]
pub fn nll<'g>(log_probabilities: Var<'g>, labels: Var<'g>) -> Var<'g> {
    nll_terms(log_probabilities, labels).mean()
}

/// The negative log-likelihood of each label, `[…]`.
///
/// # Panics
/// If the shapes do not fit, or the labels are real.
#[track_caller]
pub fn nll_terms<'g>(log_probabilities: Var<'g>, labels: Var<'g>) -> Var<'g> {
    -log_probabilities.take_along(-1, labels.unsqueeze(-1)).squeeze(-1)
}

#[cfg(test)]
mod tests {
    use gradus_graph::check::assert_property;
    use gradus_graph::check::strategies::tensor;
    use gradus_graph::{Graph, Tensor};
    use proptest::prelude::*;

    use super::*;

    /// Rows of three classes.
    fn rows(count: usize) -> impl Strategy<Value = Vec<Tensor<f64>>> {
        (0..4_usize).prop_flat_map(move |size| prop::collection::vec(tensor([size, 3], -3.0..3.0), count))
    }

    fn labels<'g>(x: Var<'g>) -> Var<'g> {
        x.graph().index_constant(&Tensor::from_fn([x.shape()[0]], |row| (row as i64 * 2) % 3))
    }

    #[test]
    fn gradients() {
        assert_property(rows(1), |x| cross_entropy_terms(x[0], labels(x[0])));
        assert_property(rows(1), |x| cross_entropy_smoothed_terms(x[0], labels(x[0]), 0.1));
        assert_property(rows(2), |x| cross_entropy_with_terms(x[0], x[1].softmax(-1)));
        assert_property(rows(1), |x| nll_terms(x[0].square(), labels(x[0])));
    }

    #[test]
    fn cross_entropy_is_the_nll_of_log_softmax() {
        let graph = Graph::new();
        let logits = graph.constant(&Tensor::from_fn([2, 4, 3], |k| ((k * 7) % 5) as f64));
        let labels = graph.index_constant(&Tensor::from_fn([2, 4], |k| k as i64 % 3));
        let one_hot = labels.one_hot(3);
        let terms = cross_entropy_terms(logits, labels);
        assert_eq!(terms.shape().sizes(), [2, 4]);
        let expected = graph.eval(terms).unwrap();
        for same in [nll_terms(logits.log_softmax(-1), labels), cross_entropy_with_terms(logits, one_hot)] {
            graph.eval(same).unwrap().assert_close(&expected, 1e-14, 1e-14);
        }
        let smoothed = cross_entropy_smoothed_terms(logits, labels, 0.3);
        let same = cross_entropy_with_terms(logits, one_hot * 0.7 + 0.1);
        graph.eval(smoothed).unwrap().assert_close(&graph.eval(same).unwrap(), 1e-14, 1e-14);
    }
}
