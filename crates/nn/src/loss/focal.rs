//! The focal loss.

use gradus_graph::{Var, expect_setting};

use super::{binary_cross_entropy_with_logits_terms, cross_entropy_terms};

/// The mean focal loss of logits with targets 0 and 1, each class by itself: the binary cross entropy times
/// `(1 − p)^γ`, where `p` is the probability that the model gives to the target. Examples that are classified correctly
/// count for little, so that many easy ones do not dominate the few hard ones.
///
/// `1 − p` is computed as `(1 − t)·σ(x) + t·σ(−x)` from logits `x` and targets `t`, without a difference from 1.
///
/// With `alpha` the terms of targets 1 are multiplied by it and those of targets 0 by `1 − alpha`. The paper has
/// `alpha` 0.25 and `gamma` 2; with `None` and 0 it is
/// [`binary_cross_entropy_with_logits`](super::binary_cross_entropy_with_logits).
///
/// # Shapes
/// Logits and targets of one shape; the result is a scalar.
///
/// # Panics
/// If the shapes differ, `gamma` is negative or `alpha` is not within 0 and 1.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let logits = graph.constant(&Tensor::from([3.0_f64.ln(), 3.0_f64.ln()]));
/// let targets = graph.constant(&Tensor::from([1.0, 0.0]));
/// let terms = graph.eval(loss::binary_focal_terms(logits, targets, None, 2.0))?;
/// terms.assert_close(&Tensor::from([(4.0_f64 / 3.0).ln() / 16.0, 4.0_f64.ln() * 9.0 / 16.0]), 1e-15, 0.0);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Lin et al., "Focal loss for dense object detection" (2017).
#[track_caller]
pub fn binary_focal<'g>(logits: Var<'g>, targets: Var<'g>, alpha: Option<f64>, gamma: f64) -> Var<'g> {
    binary_focal_terms(logits, targets, alpha, gamma).mean()
}

/// The focal loss of each logit with its target.
///
/// # Panics
/// As [`binary_focal`].
#[track_caller]
pub fn binary_focal_terms<'g>(logits: Var<'g>, targets: Var<'g>, alpha: Option<f64>, gamma: f64) -> Var<'g> {
    expect_exponent("binary_focal", gamma);
    let terms = binary_cross_entropy_with_logits_terms(logits, targets);
    let missing = (1.0 - targets) * logits.sigmoid() + targets * (-logits).sigmoid();
    let terms = terms * missing.powf(gamma);
    let Some(alpha) = alpha else { return terms };
    expect_setting("`binary_focal`: alpha", alpha, 0.0..=1.0);
    terms * (targets * alpha + (1.0 - targets) * (1.0 - alpha))
}

/// The mean focal loss of rows of logits with their labels: the cross entropy `c` times `(1 − p)^γ`, where `1 − p` is
/// computed as `−expm1(−c)`. With a `gamma` of 0 it is
/// [`cross_entropy`](super::cross_entropy).
///
/// # Shapes
/// Logits of `[…, classes]` and index labels of `[…]`; the result is a scalar.
///
/// # Panics
/// If the shapes do not fit, the labels are real, or `gamma` is negative.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let logits = graph.constant(&Tensor::from_rows([[0.0, 3.0_f64.ln()]]));
/// let labels = graph.index_constant(&Tensor::from([1]));
/// let expected = (4.0_f64 / 3.0).ln() / 16.0;
/// assert!((graph.eval(loss::focal(logits, labels, 2.0))?.item() - expected).abs() < 1e-16);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Lin et al., "Focal loss for dense object detection" (2017).
#[track_caller]
pub fn focal<'g>(logits: Var<'g>, labels: Var<'g>, gamma: f64) -> Var<'g> {
    focal_terms(logits, labels, gamma).mean()
}

/// The focal loss of each row of logits with its label, `[…]`.
///
/// # Panics
/// As [`focal`].
#[track_caller]
pub fn focal_terms<'g>(logits: Var<'g>, labels: Var<'g>, gamma: f64) -> Var<'g> {
    expect_exponent("focal", gamma);
    let terms = cross_entropy_terms(logits, labels);
    terms * (-(-terms).exp_m1()).powf(gamma)
}

#[track_caller]
fn expect_exponent(loss: &str, gamma: f64) {
    expect_setting(&format!("`{loss}`: gamma"), gamma, 0.0..);
}

#[cfg(test)]
mod tests {
    use gradus_graph::check::assert_property;
    use gradus_graph::check::strategies::{alike, tensor};
    use gradus_graph::{Graph, Tensor};
    use proptest::prelude::*;

    use super::*;

    fn targets<'g>(x: Var<'g>) -> Var<'g> {
        x.graph().constant(&Tensor::from_fn(x.shape(), |k| (k % 2) as f64))
    }

    fn labels<'g>(x: Var<'g>) -> Var<'g> {
        x.graph().index_constant(&Tensor::from_fn([x.shape()[0]], |row| row as i64 % 3))
    }

    #[test]
    fn gradients() {
        for (alpha, gamma) in [(None, 2.0), (Some(0.25), 1.5)] {
            assert_property(alike(1, -3.0..3.0), |x| binary_focal_terms(x[0], targets(x[0]), alpha, gamma));
        }
        let rows = (0..3_usize).prop_flat_map(|size| vec![tensor([size, 3], -2.0..2.0)]);
        assert_property(rows, |x| focal_terms(x[0], labels(x[0]), 2.0));
    }

    #[test]
    fn without_focus_it_is_the_cross_entropy() {
        let graph = Graph::new();
        let logits = graph.constant(&Tensor::from_rows([[50.0, -50.0, 0.5], [-1.0, 2.0, 0.0]]));
        let targets = graph.constant(&Tensor::from_rows([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]));
        let labels = graph.index_constant(&Tensor::from([0, 2]));
        let same = |a: Var<'_>, b: Var<'_>| graph.eval(a).unwrap().assert_close(&graph.eval(b).unwrap(), 1e-15, 0.0);
        same(binary_focal_terms(logits, targets, None, 0.0), binary_cross_entropy_with_logits_terms(logits, targets));
        same(focal_terms(logits, labels, 0.0), cross_entropy_terms(logits, labels));
    }

    #[test]
    fn an_example_that_is_right_beyond_doubt_makes_no_nan() {
        let graph = Graph::new();
        let logits = graph.constant(&Tensor::from([800.0, 0.0]));
        let losses = [
            focal(logits, graph.index_constant(&Tensor::scalar(0)), 1.5),
            binary_focal(logits, graph.ones([2]), Some(0.25), 1.5),
        ];
        for loss in losses {
            let slope = graph.eval(graph.grad(loss, &[logits]).unwrap()[0]).unwrap();
            assert!(slope.data().iter().all(|value| value.is_finite()), "{slope}");
        }
    }

    #[test]
    #[should_panic(expected = "`focal`: gamma must be at least 0 and finite, not -1")]
    fn a_negative_exponent_is_refused() {
        let graph = Graph::new();
        focal(graph.zeros([1, 2]), graph.index_constant(&Tensor::from([0])), -1.0);
    }
}
