//! Losses with a margin.

use gradus_graph::{Var, expect_setting};

use super::expect_alike;

/// The mean hinge loss `max(0, 1 − t·s)` of scores `s` with targets `t`. The derivative at the hinge itself is that of
/// the flat side, 0.
///
/// # Shapes
/// Scores and targets of one shape; the result is a scalar. Targets are −1 or 1.
///
/// # Panics
/// If the shapes differ.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let scores = graph.constant(&Tensor::from([0.5, 0.5, 3.0]));
/// let targets = graph.constant(&Tensor::from([1.0, -1.0, 1.0]));
/// assert_eq!(graph.eval(loss::hinge_terms(scores, targets))?.data(), [0.5, 1.5, 0.0]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[track_caller]
pub fn hinge<'g>(scores: Var<'g>, targets: Var<'g>) -> Var<'g> {
    hinge_terms(scores, targets).mean()
}

/// The hinge loss of each score.
///
/// # Panics
/// If the shapes differ.
#[track_caller]
pub fn hinge_terms<'g>(scores: Var<'g>, targets: Var<'g>) -> Var<'g> {
    expect_alike("hinge", scores, targets);
    (1.0 - targets * scores).relu()
}

/// The mean logistic loss `ln(1 + e^{−t·s})` of scores with targets of −1 or 1: PyTorch's `SoftMarginLoss`. It is the
/// [`binary_cross_entropy_with_logits`](super::binary_cross_entropy_with_logits) with targets of 0 or 1.
///
/// # Shapes
/// Scores and targets of one shape; the result is a scalar. Targets are −1 or 1.
///
/// # Panics
/// If the shapes differ.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let scores = graph.constant(&Tensor::from([3.0_f64.ln(), 3.0_f64.ln()]));
/// let terms = loss::soft_margin_terms(scores, graph.constant(&Tensor::from([1.0, -1.0])));
/// graph.eval(terms)?.assert_close(&Tensor::from([(4.0_f64 / 3.0).ln(), 4.0_f64.ln()]), 1e-15, 0.0);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[track_caller]
pub fn soft_margin<'g>(scores: Var<'g>, targets: Var<'g>) -> Var<'g> {
    soft_margin_terms(scores, targets).mean()
}

/// The logistic loss of each score.
///
/// # Panics
/// If the shapes differ.
#[track_caller]
pub fn soft_margin_terms<'g>(scores: Var<'g>, targets: Var<'g>) -> Var<'g> {
    expect_alike("soft_margin", scores, targets);
    (-(targets * scores)).softplus()
}

/// The mean loss of pairs of scores, `max(0, margin − t·(a − b))`: with a target of 1 `a` should be above `b` by the
/// margin, with −1 below. PyTorch's `MarginRankingLoss`, whose margin is 0 unless given.
///
/// # Shapes
/// All three of one shape; the result is a scalar.
///
/// # Panics
/// If the shapes differ.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let (a, b) = (graph.constant(&Tensor::from([1.0, 1.0])), graph.constant(&Tensor::from([0.75, 0.75])));
/// let order = graph.constant(&Tensor::from([1.0, -1.0]));
/// assert_eq!(graph.eval(loss::margin_ranking_terms(a, b, order, 0.5))?.data(), [0.25, 0.75]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[track_caller]
pub fn margin_ranking<'g>(a: Var<'g>, b: Var<'g>, targets: Var<'g>, margin: f64) -> Var<'g> {
    margin_ranking_terms(a, b, targets, margin).mean()
}

/// The ranking loss of each pair.
///
/// # Panics
/// If the shapes differ.
#[track_caller]
pub fn margin_ranking_terms<'g>(a: Var<'g>, b: Var<'g>, targets: Var<'g>, margin: f64) -> Var<'g> {
    expect_alike("margin_ranking", a, b);
    expect_alike("margin_ranking", a, targets);
    expect_setting("`margin_ranking`: margin", margin, ..);
    (margin - targets * (a - b)).relu()
}

/// The mean hinge loss of rows of scores with their labels, `Σᵢ max(0, m − s[label] + sᵢ)/C` over the classes that are
/// not the label. PyTorch's `MultiMarginLoss`, whose margin is 1 unless given.
///
/// # Shapes
/// Scores of `[…, classes]` and index labels of `[…]`; the result is a scalar.
///
/// # Panics
/// If the shapes do not fit or the labels are real.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let scores = graph.constant(&Tensor::from_rows([[0.5, 1.0, -1.0, 0.25]]));
/// let labels = graph.index_constant(&Tensor::from([1]));
/// assert_eq!(graph.eval(loss::multi_margin(scores, labels, 1.0))?.item(), (0.5 + 0.25) / 4.0);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Weston and Watkins, "Support vector machines for multi-class pattern recognition" (1999).
#[track_caller]
pub fn multi_margin<'g>(scores: Var<'g>, labels: Var<'g>, margin: f64) -> Var<'g> {
    multi_margin_terms(scores, labels, margin).mean()
}

/// The hinge loss of each row of scores with its label, `[…]`.
///
/// # Panics
/// If the shapes do not fit or the labels are real.
#[track_caller]
pub fn multi_margin_terms<'g>(scores: Var<'g>, labels: Var<'g>, margin: f64) -> Var<'g> {
    expect_setting("`multi_margin`: margin", margin, ..);
    let reached = scores.take_along(-1, labels.unsqueeze(-1));
    let others = 1.0 - labels.one_hot(scores.shape()[scores.rank() - 1]);
    ((scores - reached + margin).relu() * others).mean_axes(-1)
}

#[cfg(test)]
mod tests {
    use gradus_graph::check::strategies::{alike, tensor};
    use gradus_graph::check::{assert_gradients, assert_property};
    use gradus_graph::{Graph, Tensor};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn gradients() {
        let scores = Tensor::from([-2.0, -0.5, 0.25, 3.0]);
        assert_gradients(&[scores, Tensor::from([1.0, -1.0, 1.0, 1.0])], |x| hinge_terms(x[0], x[1]));
    }

    #[test]
    fn the_hinge_itself_is_flat() {
        let graph = Graph::new();
        let score = graph.constant(&Tensor::from([1.0]));
        let slope = graph.grad(hinge(score, graph.ones([1])), &[score]).unwrap()[0];
        assert_eq!(graph.eval(slope).unwrap().data(), [0.0]);
    }

    #[test]
    fn gradients_of_the_others() {
        // Shifted by no multiple of 1/64, so that nothing falls on a kink.
        assert_property(alike(2, -3.0..3.0), |x| soft_margin_terms(x[0], x[1]));
        assert_property(alike(3, -2.0..2.0), |x| margin_ranking_terms(x[0] + 0.005, x[1], x[2].square() + 1.0, 0.3));
        let rows = (0..3_usize).prop_flat_map(|size| vec![tensor([size, 3], -2.0..2.0)]);
        assert_property(rows, |x| {
            let apart = x[0] + x[0].graph().constant(&Tensor::from([0.005, 0.0, 0.003]));
            let labels = x[0].graph().index_constant(&Tensor::from_fn([x[0].shape()[0]], |row| row as i64 % 3));
            multi_margin_terms(apart, labels, 1.0)
        });
    }

    #[test]
    #[should_panic(expected = "`margin_ranking` of [3] and [3, 1]: prediction and target must have one shape")]
    fn shapes_do_not_broadcast() {
        let graph = Graph::new();
        margin_ranking(graph.zeros([3]), graph.zeros([3]), graph.zeros([3, 1]), 0.0);
    }
}
