//! The Kullback–Leibler divergence.

use gradus_graph::{Domain, Ops, Pointwise, Real, Var, saved_op};

use super::expect_alike;

/// From `ln q` and `p`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Divergence;

impl Pointwise for Divergence {
    const NAME: &'static str = "kl_divergence";
    const ARITY: usize = 2;

    #[inline(always)]
    fn value<T: Real>(&self, inputs: &[T]) -> T {
        let (log_q, p) = (inputs[0], inputs[1]);
        let term = p * (p.ln() - log_q);
        if p == T::zero() { T::zero() } else { term }
    }

    fn slope<'g>(&self, inputs: &[Var<'g>], _y: Var<'g>, input: usize) -> Var<'g> {
        let (log_q, p) = (inputs[0], inputs[1]);
        if input == 0 {
            return -p;
        }
        let counts = p.not_equal(0.0);
        counts.where_(counts.where_(p, 1.0).ln() + 1.0 - log_q, 0.0)
    }

    fn domain(&self, input: usize) -> Domain {
        if input == 0 { Domain::REAL } else { Domain::POSITIVE }
    }
}

/// From `ln q` and `ln p`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct DivergenceOfLogs;

impl Pointwise for DivergenceOfLogs {
    const NAME: &'static str = "kl_divergence_of_logs";
    const ARITY: usize = 2;

    #[inline(always)]
    fn value<T: Real>(&self, inputs: &[T]) -> T {
        let (log_q, log_p) = (inputs[0], inputs[1]);
        let term = log_p.exp() * (log_p - log_q);
        if log_p == T::neg_infinity() { T::zero() } else { term }
    }

    fn slope<'g>(&self, inputs: &[Var<'g>], y: Var<'g>, input: usize) -> Var<'g> {
        let log_p = inputs[1];
        if input == 0 { -log_p.exp() } else { y + log_p.exp() }
    }
}

/// The mean over rows of the divergence of a predicted distribution `q`, given by its logarithm, from a target `p`:
/// `Σᵢ pᵢ·(ln pᵢ − ln qᵢ)` along the last axis.
///
/// Terms with `p = 0` are 0, whatever `q`: classes that are masked on both sides do not make NaN. Derivatives are `−p`
/// for `ln q` and `ln p + 1 − ln q` for `p`; where `p = 0` both are 0. (That for `p` has the limit −∞ there, which
/// would make NaN of a target that is a softmax.)
///
/// This is PyTorch's `kl_div(log_q, p, reduction="batchmean")` for matrices; PyTorch's default divides by the number of
/// classes as well, which is not the divergence.
///
/// # Shapes
/// Both `[…, classes]`; the result is a scalar.
///
/// # Panics
/// If the shapes differ or have no axis.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let logits = graph.constant(&Tensor::from_rows([[0.0, 0.0, f64::NEG_INFINITY]]));
/// let target = graph.constant(&Tensor::from_rows([[1.0, 0.0, 0.0]]));
/// assert_eq!(graph.eval(loss::kl_divergence(logits.log_softmax(-1), target))?.item(), 2.0_f64.ln());
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[track_caller]
pub fn kl_divergence<'g>(log_prediction: Var<'g>, target: Var<'g>) -> Var<'g> {
    kl_divergence_terms(log_prediction, target).mean()
}

/// The divergence of each row, `[…]`.
///
/// # Panics
/// If the shapes differ or have no axis.
#[track_caller]
pub fn kl_divergence_terms<'g>(log_prediction: Var<'g>, target: Var<'g>) -> Var<'g> {
    expect_alike("kl_divergence", log_prediction, target);
    log_prediction.graph().call(Divergence, &[log_prediction, target]).sum_axes(-1)
}

/// [`kl_divergence`] from a target that is given by its logarithm too: PyTorch's `log_target=True`. It keeps the digits
/// of probabilities that are too small for a number, and needs no exponential first where the target is a model's
/// (distillation). The derivative for `ln p` is `p·(ln p + 1 − ln q)`.
///
/// # Shapes
/// Both `[…, classes]`; the result is a scalar.
///
/// # Panics
/// If the shapes differ or have no axis.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let prediction = graph.constant(&Tensor::from_rows([[0.5_f64.ln(), 0.5_f64.ln()]]));
/// let target = graph.constant(&Tensor::from_rows([[0.0, f64::NEG_INFINITY]]));
/// assert_eq!(graph.eval(loss::kl_divergence_of_logs(prediction, target))?.item(), 2.0_f64.ln());
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[track_caller]
pub fn kl_divergence_of_logs<'g>(log_prediction: Var<'g>, log_target: Var<'g>) -> Var<'g> {
    kl_divergence_of_logs_terms(log_prediction, log_target).mean()
}

/// The divergence of each row, `[…]`, from a target that is given by its logarithm.
///
/// # Panics
/// If the shapes differ or have no axis.
#[track_caller]
pub fn kl_divergence_of_logs_terms<'g>(log_prediction: Var<'g>, log_target: Var<'g>) -> Var<'g> {
    expect_alike("kl_divergence_of_logs", log_prediction, log_target);
    log_prediction.graph().call(DivergenceOfLogs, &[log_prediction, log_target]).sum_axes(-1)
}

saved_op!("nn.kl_divergence": Divergence {});
saved_op!("nn.kl_divergence_of_logs": DivergenceOfLogs {});

/// Adds the ops that files may hold.
pub(super) fn saved(ops: Ops) -> Ops {
    ops.with::<Divergence>().with::<DivergenceOfLogs>()
}

#[cfg(test)]
mod tests {
    use gradus_graph::check::assert_op;
    use gradus_graph::{Graph, Tensor};

    use super::*;

    #[test]
    fn gradients() {
        assert_op(Divergence);
        assert_op(DivergenceOfLogs);
    }

    #[test]
    fn a_target_of_zero_has_finite_derivatives() {
        let graph = Graph::new();
        // A softmax whose other classes underflow, against predictions of any kind.
        let logits = graph.constant(&Tensor::from_rows([[0.0, -1e4, -1e4]]));
        let prediction = graph.constant(&Tensor::from_rows([[0.5_f64.ln(), 0.5_f64.ln(), f64::NEG_INFINITY]]));
        let target = logits.softmax(-1);
        let loss = kl_divergence(prediction, target);
        assert_eq!(graph.eval(loss).unwrap().item(), 2.0_f64.ln());
        let slopes = graph.grad(loss, &[prediction, target, logits]).unwrap();
        assert_eq!(graph.eval(slopes[0]).unwrap().data(), [-1.0, 0.0, 0.0]);
        assert_eq!(graph.eval(slopes[1]).unwrap().data(), [1.0 + 2.0_f64.ln(), 0.0, 0.0]);
        assert_eq!(graph.eval(slopes[2]).unwrap().data(), [0.0, 0.0, 0.0]);
    }

    #[test]
    fn equal_distributions_have_none() {
        let graph = Graph::new();
        let logits = graph.constant(&Tensor::from_rows([[0.5, -1.0, 2.0], [0.0, 3.0, -3.0]]));
        let terms = graph.eval(kl_divergence_terms(logits.log_softmax(-1), logits.softmax(-1))).unwrap();
        terms.assert_close(&Tensor::zeros([2]), 0.0, 1e-15);
    }

    #[test]
    fn a_target_by_its_logarithm_is_the_same_target() {
        let graph = Graph::new();
        let logits = graph.constant(&Tensor::from_rows([[0.5, -1.0, 2.0], [0.0, 3.0, -3.0]]));
        let target = graph.constant(&Tensor::from_rows([[0.25, 0.5, 0.25], [1.0, 0.0, 0.0]]));
        let prediction = logits.log_softmax(-1);
        let (one, other) =
            (kl_divergence_terms(prediction, target), kl_divergence_of_logs_terms(prediction, target.ln()));
        graph.eval(other).unwrap().assert_close(&graph.eval(one).unwrap(), 1e-15, 0.0);
        let slope = graph.grad(other.sum(), &[logits]).unwrap()[0];
        assert!(graph.eval(slope).unwrap().data().iter().all(|value| value.is_finite()));
    }
}
