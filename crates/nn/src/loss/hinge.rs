//! The hinge loss `max(0, 1 − t·s)` of a score `s` and a target `t` of −1 or 1.

use gradus_graph::Var;

use super::expect_alike;

/// The mean hinge loss. The derivative at the hinge itself is that of the flat side, 0.
///
/// # Shapes
/// Scores and targets alike; a scalar comes out. Targets are −1 or 1.
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

#[cfg(test)]
mod tests {
    use gradus_graph::check::assert_gradients;
    use gradus_graph::{Graph, Tensor};

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
}
