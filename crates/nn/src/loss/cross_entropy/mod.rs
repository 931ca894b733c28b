//! Cross entropy of a softmax with labels or distributions, and the negative log-likelihood of given log-probabilities.

mod ignore;
mod options;

use gradus_graph::{Ops, Var};

use super::expect_unambiguous;
pub use options::CrossEntropy;

/// The mean cross entropy of rows of logits with their labels, `−ℓ[label]` with `ℓ = ln softmax(x)`.
///
/// Logits are expected, not probabilities: the logarithm of a sum of exponentials is one step, which neither overflows
/// nor loses digits. Classes are the last axis, not the second as in PyTorch; for matrices both are the same.
///
/// A label that is no class is an error of the run.
///
/// # Shapes
/// Logits of `[…, classes]` and index labels of `[…]`; the result is a scalar. [`CrossEntropy`] takes the classes from
/// any axis.
///
/// # Panics
/// If the shapes do not fit, or the labels are real; or if the classes may as well be axis 1, where PyTorch has them,
/// as in `[2, 3, 3]` with labels of `[2, 3]`: state [`CrossEntropy::axis`] then.
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
    expect_unambiguous("cross_entropy", logits, labels);
    logits.cross_entropy(labels)
}

/// The mean cross entropy of rows of logits with distributions `p` over the classes, `−Σᵢ pᵢ·ℓᵢ`.
///
/// # Shapes
/// Logits and probabilities of `[…, classes]`; the result is a scalar.
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

/// The mean negative log-likelihood of labels, from log-probabilities: for models whose last step is a
/// [`LogSoftmax`](crate::LogSoftmax). From logits, take [`cross_entropy`]; with weights or an ignored label
/// [`CrossEntropy`], which takes log-probabilities as well.
///
/// A label that is no class is an error of the run.
///
/// # Shapes
/// Log-probabilities of `[…, classes]` and index labels of `[…]`; the result is a scalar.
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
    expect_unambiguous("nll", log_probabilities, labels);
    -log_probabilities.take_along(-1, labels.unsqueeze(-1)).squeeze(-1)
}

/// Adds the op that files may hold.
pub(super) fn saved(ops: Ops) -> Ops {
    ops.with::<ignore::Ignore>()
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

    /// All options at once.
    fn weighted() -> CrossEntropy {
        CrossEntropy::new().weights([0.5, 2.0, 1.25]).ignored(-100).smoothing(0.1)
    }

    #[test]
    fn gradients() {
        assert_property(rows(1), |x| cross_entropy_terms(x[0], labels(x[0])));
        assert_property(rows(2), |x| cross_entropy_with_terms(x[0], x[1].softmax(-1)));
        assert_property(rows(1), |x| nll_terms(x[0].square(), labels(x[0])));
    }

    #[test]
    fn gradients_with_weights_an_ignored_label_and_smoothing() {
        let some = |x: Var<'_>| Tensor::from_fn([x.shape()[0]], |row| [1, -100, 2, 0][row % 4]);
        assert_property(rows(1), |x| weighted().terms(x[0], x[0].graph().index_constant(&some(x[0]))));
        let full = (1..4_usize).prop_flat_map(|size| vec![tensor([size, 3], -3.0..3.0)]);
        assert_property(full, |x| weighted().loss(x[0], x[0].graph().index_constant(&some(x[0]))));
        let plain = CrossEntropy { ignored: None, ..weighted() };
        assert_property(rows(2), |x| plain.terms_with(x[0], x[1].softmax(-1)));
    }

    /// The formula in plain loops, and the weights of the labels that count.
    fn by_hand(loss: &CrossEntropy, logits: &[[f64; 3]], labels: &[i64]) -> (Vec<f64>, f64) {
        let weight = |class: usize| loss.weights.as_ref().map_or(1.0, |weights| weights[class]);
        let (mut terms, mut total) = (Vec::new(), 0.0);
        for (row, &label) in logits.iter().zip(labels) {
            if loss.ignored == Some(label) {
                terms.push(0.0);
                continue;
            }
            let log_sum = row.iter().map(|x| x.exp()).sum::<f64>().ln();
            let mut term = -(1.0 - loss.smoothing) * weight(label as usize) * (row[label as usize] - log_sum);
            for (class, x) in row.iter().enumerate() {
                term -= loss.smoothing / 3.0 * weight(class) * (x - log_sum);
            }
            terms.push(term);
            total += weight(label as usize);
        }
        (terms, total)
    }

    #[test]
    fn every_option_with_every_other() {
        let logits = [[0.5, -1.0, 2.0], [0.0, 0.25, -0.5], [1.0, 1.0, 1.0], [-2.0, 3.0, 0.125]];
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from_rows(logits));
        for number in 0..8 {
            let all = weighted();
            let loss = CrossEntropy {
                weights: all.weights.filter(|_| number & 1 > 0),
                ignored: all.ignored.filter(|_| number & 2 > 0),
                smoothing: if number & 4 > 0 { 0.1 } else { 0.0 },
                axis: None,
            };
            let labels = [2, if number & 2 > 0 { -100 } else { 0 }, 1, 0];
            let (terms, total) = by_hand(&loss, &logits, &labels);
            let indices = graph.index_constant(&Tensor::from(labels));
            let mean = graph.eval(loss.loss(x, indices)).unwrap().item();
            assert!((mean - terms.iter().sum::<f64>() / total).abs() < 1e-14, "{loss:?}");
            let indices = indices.reshape([2, 2]);
            let values = graph.eval(loss.terms(x.reshape([2, 2, 3]), indices)).unwrap();
            values.assert_close(&Tensor::new([2, 2], terms), 1e-14, 1e-15);
        }
    }

    #[test]
    fn an_ignored_row_has_no_gradient_whatever_its_logits() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from_rows([[f64::NEG_INFINITY, 0.0, 1.0], [0.0, 1.0, 2.0]]));
        let labels = graph.index_constant(&Tensor::from([-100, 1]));
        let loss = CrossEntropy::new().ignored(-100);
        let mean = loss.loss(x, labels);
        let slope = graph.eval(graph.grad(mean, &[x]).unwrap()[0]).unwrap();
        assert!(graph.eval(mean).unwrap().item().is_finite());
        assert_eq!(slope.data()[..3], [0.0; 3]);
        let other = graph.index_constant(&Tensor::from([-1, 1]));
        let error = graph.eval(loss.loss(x, other)).unwrap_err().to_string();
        assert!(error.contains("label -1 at position [0]"), "{error}");
        let nothing = graph.eval(loss.loss(x, graph.index_constant(&Tensor::full([2], -100)))).unwrap();
        assert!(nothing.item().is_nan());
    }

    #[test]
    fn classes_in_any_axis() {
        let graph = Graph::new();
        let logits = graph.constant(&Tensor::from_fn([2, 3, 4, 5], |k| ((k * 7) % 11) as f64 / 4.0));
        for (axis, back, shape) in [
            (1, [0, 2, 3, 1], [2, 4, 5]),
            (-2, [0, 1, 3, 2], [2, 3, 5]),
            (0, [1, 2, 3, 0], [3, 4, 5]),
            (3, [0, 1, 2, 3], [2, 3, 4]),
        ] {
            let moved = logits.permute(back);
            let classes = moved.shape()[3];
            let labels = graph.index_constant(&Tensor::from_fn(shape, |k| (k % classes) as i64 - i64::from(k == 3)));
            let weights: Vec<f64> = (1..=classes).map(|class| class as f64).collect();
            let rows = CrossEntropy::new().weights(weights).ignored(-1).smoothing(0.1).axis(-1);
            let loss = rows.clone().axis(axis);
            for (one, other) in [
                (loss.loss(logits, labels), rows.loss(moved, labels)),
                (loss.terms(logits, labels), rows.terms(moved, labels)),
            ] {
                assert_eq!(graph.eval(one).unwrap(), graph.eval(other).unwrap());
            }
            let plain = |loss: CrossEntropy| CrossEntropy { ignored: None, ..loss };
            let one = plain(loss).loss_with(logits, logits.softmax(axis));
            let other = plain(rows).loss_with(moved, moved.softmax(-1));
            let difference = graph.eval(one).unwrap().item() - graph.eval(other).unwrap().item();
            assert!(difference.abs() < 1e-14, "{difference:e}");
        }
    }

    #[test]
    fn classes_that_may_be_either_axis_are_refused() {
        let graph = Graph::new();
        let message = |f: &dyn Fn()| {
            let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).unwrap_err();
            panic.downcast_ref::<String>().expect("a message").clone()
        };
        let labels = graph.index_constant(&Tensor::full([2, 3], 1));
        let (both, second) = (graph.zeros([2, 3, 3]), graph.zeros([2, 5, 3]));
        for (found, loss) in [
            (message(&|| _ = cross_entropy(both, labels)), "`cross_entropy`"),
            (message(&|| _ = CrossEntropy::new().loss(both, labels)), "`CrossEntropy`"),
            (message(&|| _ = nll(both, labels)), "`nll`"),
        ] {
            let expected = "of [2, 3, 3] with labels [2, 3]: the classes may be the last axis, or axis 1 as in PyTorch; say \
                            which with `CrossEntropy::new().axis(-1)` or `axis(1)`";
            assert!(found.starts_with(&format!("{loss} {expected}")), "{found}");
        }
        let found = message(&|| _ = cross_entropy(second, labels));
        assert!(
            found.starts_with("`cross_entropy` of [2, 5, 3] with labels [2, 3]: the classes are expected in the last")
        );
        for axis in [1, -1] {
            let stated = CrossEntropy::new().axis(axis);
            assert!((graph.eval(stated.loss(both, labels)).unwrap().item() - 3.0_f64.ln()).abs() < 1e-15);
        }
        let found = message(&|| _ = CrossEntropy::new().axis(3).loss(both, labels));
        assert_eq!(found, "`CrossEntropy` of logits [2, 3, 3]: there is no axis 3");
    }

    #[test]
    #[should_panic(expected = "`CrossEntropy` of logits [2, 3] with 2 weights: there must be one weight a class")]
    fn weights_that_do_not_fit_are_counted() {
        let graph = Graph::new();
        let loss = CrossEntropy::new().weights([1.0, 2.0]);
        loss.loss(graph.zeros([2, 3]), graph.index_constant(&Tensor::full([2], 0)));
    }

    #[test]
    #[should_panic(expected = "`CrossEntropy::smoothing`: smoothing must be at least 0 and at most 1, not 1.5")]
    fn more_than_everything_cannot_be_spread() {
        let _ = CrossEntropy::new().smoothing(1.5);
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
        let loss = CrossEntropy::new().smoothing(0.3).weights([1.0, 0.25, 2.0]);
        let (smoothed, same) = (loss.terms(logits, labels), loss.terms_with(logits, one_hot));
        graph.eval(smoothed).unwrap().assert_close(&graph.eval(same).unwrap(), 1e-14, 1e-14);
    }
}
