//! Losses of a difference `d = prediction − target`: squared, absolute, and Huber's.

use gradus_graph::{POSITIVE, Var, expect_setting};

use super::expect_alike;

/// The mean squared error.
///
/// # Shapes
/// Prediction and target of one shape; the result is a scalar.
///
/// # Panics
/// If the shapes differ.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let prediction = graph.constant(&Tensor::from([1.0, 2.0]));
/// let target = graph.constant(&Tensor::from([0.0, 4.0]));
/// assert_eq!(graph.eval(loss::mse(prediction, target))?.item(), 2.5);
/// assert_eq!(graph.eval(loss::mse_terms(prediction, target).sum())?.item(), 5.0);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[track_caller]
pub fn mse<'g>(prediction: Var<'g>, target: Var<'g>) -> Var<'g> {
    mse_terms(prediction, target).mean()
}

/// The squared error of each element.
///
/// # Panics
/// If the shapes differ.
#[track_caller]
pub fn mse_terms<'g>(prediction: Var<'g>, target: Var<'g>) -> Var<'g> {
    expect_alike("mse", prediction, target);
    (prediction - target).square()
}

/// The mean absolute error. Its derivative where both are equal is 0.
///
/// # Shapes
/// Prediction and target of one shape; the result is a scalar.
///
/// # Panics
/// If the shapes differ.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let prediction = graph.constant(&Tensor::from([1.0, 2.0]));
/// let target = graph.constant(&Tensor::from([0.0, 4.0]));
/// assert_eq!(graph.eval(loss::mae(prediction, target))?.item(), 1.5);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[track_caller]
pub fn mae<'g>(prediction: Var<'g>, target: Var<'g>) -> Var<'g> {
    mae_terms(prediction, target).mean()
}

/// The absolute error of each element.
///
/// # Panics
/// If the shapes differ.
#[track_caller]
pub fn mae_terms<'g>(prediction: Var<'g>, target: Var<'g>) -> Var<'g> {
    expect_alike("mae", prediction, target);
    (prediction - target).abs()
}

/// The mean of Huber's loss: `d²/2` where `|d| ≤ δ`, else `δ·(|d| − δ/2)`. PyTorch's `delta` is 1 unless given, and its
/// smooth L1 loss with `beta` is this one divided by `beta`.
///
/// # Shapes
/// Prediction and target of one shape; the result is a scalar.
///
/// # Panics
/// If the shapes differ or `delta` is not positive.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let prediction = graph.constant(&Tensor::from([0.5, 3.0]));
/// let terms = loss::huber_terms(prediction, graph.zeros([2]), 1.0);
/// assert_eq!(graph.eval(terms)?.data(), [0.125, 2.5]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Huber, "Robust estimation of a location parameter" (1964).
#[track_caller]
pub fn huber<'g>(prediction: Var<'g>, target: Var<'g>, delta: f64) -> Var<'g> {
    huber_terms(prediction, target, delta).mean()
}

/// Huber's loss of each element.
///
/// # Panics
/// If the shapes differ or `delta` is not positive.
#[track_caller]
pub fn huber_terms<'g>(prediction: Var<'g>, target: Var<'g>, delta: f64) -> Var<'g> {
    expect_alike("huber", prediction, target);
    expect_setting("`huber`: delta", delta, POSITIVE);
    let difference = prediction - target;
    let cut = difference.clamp(-delta, delta);
    cut * (difference - cut * 0.5)
}

#[cfg(test)]
mod tests {
    use gradus_graph::check::assert_property;
    use gradus_graph::check::strategies::alike;
    use gradus_graph::{Graph, Tensor};

    use super::*;

    #[test]
    fn gradients() {
        assert_property(alike(2, -3.0..3.0), |x| mse_terms(x[0], x[1]));
        // Shifted by no multiple of 1/64, so that nothing falls on a kink.
        assert_property(alike(2, -3.0..3.0), |x| mae_terms(x[0] + 0.005, x[1]));
        assert_property(alike(2, -3.0..3.0), |x| huber_terms(x[0] + 0.005, x[1], 0.75));
    }

    #[test]
    fn huber_is_smooth_where_its_branches_meet() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([-3.0, -2.0, -1.0, 0.0, 2.0, 5.0]));
        let terms = huber_terms(x, graph.zeros([6]), 2.0);
        assert_eq!(graph.eval(terms).unwrap().data(), [4.0, 2.0, 0.5, 0.0, 2.0, 8.0]);
        let slope = graph.grad(terms.sum(), &[x]).unwrap()[0];
        assert_eq!(graph.eval(slope).unwrap().data(), [-2.0, -2.0, -1.0, 0.0, 2.0, 2.0]);
    }

    #[test]
    #[should_panic(expected = "`mse` of [8, 1] and [8]: prediction and target must have one shape")]
    fn shapes_do_not_broadcast() {
        let graph = Graph::new();
        mse(graph.zeros([8, 1]), graph.zeros([8]));
    }
}
