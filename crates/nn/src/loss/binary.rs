//! Binary cross entropy, from logits and from probabilities.

use gradus_graph::{Domain, Operand, Ops, Pointwise, Real, Var, saved_op};

use super::expect_alike;

/// From logits and targets: one op, because each part of the stable form has a kink at 0 although the whole has none.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OfLogits;

impl Pointwise for OfLogits {
    const NAME: &'static str = "binary_cross_entropy_with_logits";
    const ARITY: usize = 2;

    #[inline(always)]
    fn value<T: Real>(&self, inputs: &[T]) -> T {
        let (x, t) = (inputs[0], inputs[1]);
        let positive = if x > T::zero() { x } else { T::zero() };
        positive - x * t + (-x.abs()).exp().ln_1p()
    }

    fn slope<'g>(&self, inputs: &[Var<'g>], _y: Var<'g>, input: usize) -> Var<'g> {
        let (x, t) = (inputs[0], inputs[1]);
        // `σ(x) − t`, of which no digits cancel where the target is 0 or 1.
        if input == 0 { (1.0 - t) * x.softplus_slope() - t * (-x).softplus_slope() } else { -x }
    }
}

/// The least value that a logarithm of a probability counts as.
const LEAST_LOG: f64 = -100.0;

/// The least probability that a derivative divides by: PyTorch's, which is 10⁻¹² in single precision.
const LEAST_DIVISOR: f64 = 1e-12_f32 as f64;

/// From probabilities and targets.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OfProbabilities;

impl Pointwise for OfProbabilities {
    const NAME: &'static str = "binary_cross_entropy";
    const ARITY: usize = 2;

    #[inline(always)]
    fn value<T: Real>(&self, inputs: &[T]) -> T {
        let (p, t) = (inputs[0], inputs[1]);
        let bounded = |log: T| if log < T::of(LEAST_LOG) { T::of(LEAST_LOG) } else { log };
        (t - T::one()) * bounded((-p).ln_1p()) - t * bounded(p.ln())
    }

    fn slope<'g>(&self, inputs: &[Var<'g>], _y: Var<'g>, input: usize) -> Var<'g> {
        let (p, t) = (inputs[0], inputs[1]);
        let rest = 1.0 - p;
        if input == 0 {
            (1.0 - t) / rest.maximum(LEAST_DIVISOR) - t / p.maximum(LEAST_DIVISOR)
        } else {
            (-p).ln_1p().maximum(LEAST_LOG) - p.ln().maximum(LEAST_LOG)
        }
    }

    /// At the ends the bounds hold, which no difference shows.
    fn domain(&self, input: usize) -> Domain {
        if input == 0 { Domain::between(LEAST_DIVISOR, 1.0 - LEAST_DIVISOR) } else { Domain::REAL }
    }
}

/// The mean binary cross entropy of probabilities with targets between 0 and 1, `−t·ln p − (1 − t)·ln(1 − p)`:
/// PyTorch's `BCELoss`.
///
/// A logarithm counts as at least −100, so that a probability of exactly 0 or 1 on the wrong side costs 100 and not ∞.
/// A derivative divides by at least 10⁻¹² (PyTorch's by at least 10⁻¹² where it divides by `p·(1 − p)`: so at 0 and 1
/// on the right side it is 0 there, and ±1 here, which is the limit). A value outside 0 to 1 gives NaN. Where a sigmoid
/// comes before, take [`binary_cross_entropy_with_logits`], which loses no digits.
///
/// # Shapes
/// Probabilities and targets of one shape; the result is a scalar.
///
/// # Panics
/// If the shapes differ.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let chances = graph.constant(&Tensor::from([0.5, 0.75, 1.0, 0.0]));
/// let targets = graph.constant(&Tensor::from([1.0, 0.0, 1.0, 1.0]));
/// let terms = loss::binary_cross_entropy_terms(chances, targets);
/// graph.eval(terms)?.assert_close(&Tensor::from([2.0_f64.ln(), 4.0_f64.ln(), 0.0, 100.0]), 1e-15, 0.0);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[track_caller]
pub fn binary_cross_entropy<'g>(probabilities: Var<'g>, targets: Var<'g>) -> Var<'g> {
    binary_cross_entropy_terms(probabilities, targets).mean()
}

/// The binary cross entropy of each probability with its target.
///
/// # Panics
/// If the shapes differ.
#[track_caller]
pub fn binary_cross_entropy_terms<'g>(probabilities: Var<'g>, targets: Var<'g>) -> Var<'g> {
    expect_alike("binary_cross_entropy", probabilities, targets);
    probabilities.graph().call(OfProbabilities, &[probabilities, targets])
}

/// The mean binary cross entropy of logits with targets between 0 and 1: PyTorch's `BCEWithLogitsLoss`.
///
/// `−t·ln σ(x) − (1 − t)·ln(1 − σ(x))`, computed as `max(x, 0) − x·t + ln(1 + e^{−|x|})`. The derivatives are
/// `σ(x) − t` and `−x`.
///
/// # Shapes
/// Logits and targets of one shape; the result is a scalar.
///
/// # Panics
/// If the shapes differ.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let logits = graph.constant(&Tensor::from([0.0, 3.0_f64.ln(), 1e4, -1e4]));
/// let targets = graph.constant(&Tensor::from([1.0, 0.0, 1.0, 1.0]));
/// let terms = loss::binary_cross_entropy_with_logits_terms(logits, targets);
/// let expected = Tensor::from([2.0_f64.ln(), 4.0_f64.ln(), 0.0, 1e4]);
/// graph.eval(terms)?.assert_close(&expected, 1e-15, 0.0);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[track_caller]
pub fn binary_cross_entropy_with_logits<'g>(logits: Var<'g>, targets: Var<'g>) -> Var<'g> {
    binary_cross_entropy_with_logits_terms(logits, targets).mean()
}

/// The binary cross entropy of each logit with its target.
///
/// # Panics
/// If the shapes differ.
#[track_caller]
pub fn binary_cross_entropy_with_logits_terms<'g>(logits: Var<'g>, targets: Var<'g>) -> Var<'g> {
    expect_alike("binary_cross_entropy_with_logits", logits, targets);
    logits.graph().call(OfLogits, &[logits, targets])
}

/// The mean binary cross entropy in which targets of 1 count `positive` times: PyTorch's
/// `BCEWithLogitsLoss(pos_weight)`, `(1 − t)·softplus(x) + w·t·softplus(−x)` for a weight `w`. With more negative than
/// positive targets, their ratio balances both.
///
/// # Shapes
/// Logits and targets of one shape; `positive` is a number, or a variable that broadcasts to their shape (one weight a
/// class, `[classes]`). The result is a scalar.
///
/// # Panics
/// If the shapes do not fit.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let targets = graph.constant(&Tensor::from([1.0, 0.0, 0.0, 0.0]));
/// let terms = loss::binary_cross_entropy_with_logits_weighted_terms(graph.zeros([4]), targets, 3.0);
/// let one = 2.0_f64.ln();
/// assert_eq!(graph.eval(terms)?.data(), [3.0 * one, one, one, one]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[track_caller]
pub fn binary_cross_entropy_with_logits_weighted<'g>(
    logits: Var<'g>,
    targets: Var<'g>,
    positive: impl Operand<'g>,
) -> Var<'g> {
    binary_cross_entropy_with_logits_weighted_terms(logits, targets, positive).mean()
}

/// The weighted binary cross entropy of each logit with its target.
///
/// # Panics
/// If the shapes do not fit.
#[track_caller]
pub fn binary_cross_entropy_with_logits_weighted_terms<'g>(
    logits: Var<'g>,
    targets: Var<'g>,
    positive: impl Operand<'g>,
) -> Var<'g> {
    expect_alike("binary_cross_entropy_with_logits_weighted", logits, targets);
    let weighted = targets * positive;
    expect_alike("binary_cross_entropy_with_logits_weighted", logits, weighted);
    (1.0 - targets) * logits.softplus() + weighted * (-logits).softplus()
}

saved_op!("nn.binary_cross_entropy_with_logits": OfLogits {});
saved_op!("nn.binary_cross_entropy": OfProbabilities {});

/// Adds the ops that files may hold.
pub(super) fn saved(ops: Ops) -> Ops {
    ops.with::<OfLogits>().with::<OfProbabilities>()
}

#[cfg(test)]
mod tests {
    use gradus_graph::check::strategies::alike;
    use gradus_graph::check::{assert_gradients, assert_op, assert_property};
    use gradus_graph::{Graph, Tensor};

    use super::*;

    #[test]
    fn gradients_also_at_zero() {
        assert_op(OfLogits);
        assert_op(OfProbabilities);
        assert_gradients(&[Tensor::from([0.0, -0.0]), Tensor::from([0.0, 1.0])], |x| {
            binary_cross_entropy_with_logits_terms(x[0], x[1])
        });
    }

    #[test]
    fn probabilities_of_zero_and_one() {
        let graph = Graph::new();
        let chances = graph.constant(&Tensor::from([0.0, 0.0, 1.0, 1.0, 1e-300]));
        let targets = graph.constant(&Tensor::from([0.0, 1.0, 0.0, 1.0, 1.0]));
        let terms = binary_cross_entropy_terms(chances, targets);
        assert_eq!(graph.eval(terms).unwrap().data(), [0.0, 100.0, 100.0, 0.0, 100.0]);
        let slopes = graph.grad(terms.sum(), &[chances, targets]).unwrap();
        let most = 1.0 / LEAST_DIVISOR;
        assert_eq!(graph.eval(slopes[0]).unwrap().data(), [1.0, -most, most, -1.0, -most]);
        assert_eq!(graph.eval(slopes[1]).unwrap().data(), [100.0, 100.0, -100.0, -100.0, 100.0]);
    }

    #[test]
    fn small_losses_and_their_derivatives_keep_their_digits() {
        let graph = Graph::new();
        let logits = graph.constant(&Tensor::from([40.0, -40.0]));
        let targets = graph.constant(&Tensor::from([1.0, 0.0]));
        let terms = binary_cross_entropy_with_logits_terms(logits, targets);
        let tiny = (-40.0_f64).exp();
        graph.eval(terms).unwrap().assert_close(&Tensor::full([2], tiny), 1e-15, 0.0);
        let slope = graph.grad(terms.sum(), &[logits]).unwrap()[0];
        graph.eval(slope).unwrap().assert_close(&Tensor::from([-tiny, tiny]), 1e-15, 0.0);
        let curved = graph.grad(slope.sum(), &[logits]).unwrap()[0];
        graph.eval(curved).unwrap().assert_close(&Tensor::full([2], tiny), 1e-15, 0.0);
    }

    #[test]
    fn gradients_with_a_weight() {
        assert_property(alike(3, -3.0..3.0), |x| {
            binary_cross_entropy_with_logits_weighted_terms(x[0], x[1], x[2].square() + 0.5)
        });
    }

    #[test]
    fn a_weight_of_one_changes_nothing_and_classes_have_their_own() {
        let graph = Graph::new();
        let logits = graph.constant(&Tensor::from_rows([[0.5, -40.0], [0.0, 40.0]]));
        let targets = graph.constant(&Tensor::from_rows([[0.25, 0.0], [1.0, 1.0]]));
        let plain = graph.eval(binary_cross_entropy_with_logits_terms(logits, targets)).unwrap();
        let same = graph.eval(binary_cross_entropy_with_logits_weighted_terms(logits, targets, 1.0)).unwrap();
        same.assert_close(&plain, 1e-15, 0.0);
        let classes = graph.constant(&Tensor::from([2.0, 3.0]));
        let weighted = graph.eval(binary_cross_entropy_with_logits_weighted_terms(logits, targets, classes)).unwrap();
        let (low, high) = ((-0.5_f64).exp().ln_1p(), 0.5_f64.exp().ln_1p());
        let tiny = (-40.0_f64).exp();
        let expected = Tensor::from_rows([[0.75 * high + 0.5 * low, tiny], [2.0 * 2.0_f64.ln(), 3.0 * tiny]]);
        weighted.assert_close(&expected, 1e-15, 0.0);
    }

    #[test]
    #[should_panic(
        expected = "`binary_cross_entropy_with_logits_weighted` of [3] and [2, 3]: prediction and target must have one"
    )]
    fn a_weight_that_does_not_fit_is_named() {
        let graph = Graph::new();
        binary_cross_entropy_with_logits_weighted(graph.zeros([3]), graph.zeros([3]), graph.ones([2, 3]));
    }
}
