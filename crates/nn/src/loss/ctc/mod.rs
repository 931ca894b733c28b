//! Connectionist temporal classification.

mod labels;
mod lattice;
mod op;

use std::panic::Location;

use gradus_graph::{Ops, Var};

use labels::Extended;
use op::CtcLoss;

/// The labels of a batch and its lengths.
#[derive(Clone, Copy, Debug)]
pub struct CtcTargets<'g> {
    /// Classes `[batch, largest number of labels]`; entries beyond a sequence's own number of labels are ignored.
    pub labels: Var<'g>,
    /// The number of labels of each sequence, indices `[batch]`.
    pub label_lengths: Var<'g>,
    /// The number of time steps of each sequence, indices `[batch]`.
    pub input_lengths: Var<'g>,
}

/// Connectionist temporal classification: the negative logarithm of the probability that a sequence of classes, with
/// repetitions and blanks removed, reads as the labels. PyTorch's `CTCLoss(blank, zero_infinity)`.
///
/// The labels `l` are extended by blanks to `l' = (−, l₁, −, l₂, …, −)` of size `2·labels + 1`. A path through the
/// lattice of time steps and elements of `l'` stays, advances by one, or skips a blank between unlike labels. With
/// log-probabilities `ℓ`, and all sums of exponentials in log space,
/// `α_t(s) = ℓ_t(l'_s) + ln(e^α_{t−1}(s) + e^α_{t−1}(s−1) + [skip] e^α_{t−1}(s−2))` sums the paths to `s`, `β_t(s)`
/// those from it to the end, and the loss is `−ln p` with `p` the sum of `e^α` over the last two elements. Its
/// derivative with respect to `ℓ_t(k)` is `−Σ_{s: l'_s = k} e^(α_t(s) + β_t(s))/p`.
///
/// # Example
/// Two steps can read as the one label 1 in three ways: 11, −1, 1−.
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss::{Ctc, CtcTargets};
/// let graph = Graph::new();
/// let chances = graph.constant(&Tensor::from([0.25, 0.75, 0.5, 0.5])).reshape([2, 1, 2]);
/// let index = |values: Tensor<i64>| graph.index_constant(&values);
/// let targets = CtcTargets {
///     labels: index(Tensor::from_rows([[1]])),
///     label_lengths: index(Tensor::from([1])),
///     input_lengths: index(Tensor::from([2])),
/// };
/// let loss = Ctc::new().blank(0).loss(chances.ln(), targets);
/// let ways: f64 = 0.75 * 0.5 + 0.25 * 0.5 + 0.75 * 0.5;
/// assert!((graph.eval(loss)?.item() + ways.ln()).abs() < 1e-15);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Graves et al., "Connectionist temporal classification: labelling unsegmented sequence data with recurrent neural
/// networks" (2006).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ctc {
    blank: usize,
    zero_infinity: bool,
}

/// The mean over the batch of the losses of connectionist temporal classification, each divided by its number of
/// labels, as PyTorch's `ctc_loss` has it; the blank is class 0.
///
/// # Shapes
/// Log-probabilities of `[time, batch, classes]`, labels as in [`CtcTargets`]; the result is a scalar.
///
/// # Panics
/// If the shapes do not fit, or labels or lengths are real.
///
/// # Reference
/// Graves et al., "Connectionist temporal classification: labelling unsegmented sequence data with recurrent neural
/// networks" (2006).
#[track_caller]
pub fn ctc<'g>(log_probabilities: Var<'g>, targets: CtcTargets<'g>) -> Var<'g> {
    Ctc::new().loss(log_probabilities, targets)
}

/// The losses of connectionist temporal classification, `[batch]`, not divided by the number of labels.
///
/// # Panics
/// As [`ctc`].
#[track_caller]
pub fn ctc_terms<'g>(log_probabilities: Var<'g>, targets: CtcTargets<'g>) -> Var<'g> {
    Ctc::new().terms(log_probabilities, targets)
}

impl Ctc {
    /// PyTorch's defaults: the blank is class 0, and the loss of labels that no path reads as is infinite.
    pub fn new() -> Self {
        Self::default()
    }

    /// The class that stands for no label; 0 by default.
    #[must_use]
    pub fn blank(self, class: usize) -> Self {
        Self { blank: class, ..self }
    }

    /// Makes the loss of labels that no path reads as 0; by default it is infinite.
    #[must_use]
    pub fn zero_infinity(self) -> Self {
        Self { zero_infinity: true, ..self }
    }

    /// The mean over the batch of the losses, each divided by its number of labels (by 1 if it has none).
    ///
    /// This is the `mean` of PyTorch; that of the [`terms`](Ctc::terms) alone weighs long sequences more.
    ///
    /// # Shapes
    /// Log-probabilities of `[time, batch, classes]`, labels as in [`CtcTargets`]; the result is a scalar.
    ///
    /// # Panics
    /// If the shapes do not fit, or labels or lengths are real.
    #[track_caller]
    pub fn loss<'g>(&self, log_probabilities: Var<'g>, targets: CtcTargets<'g>) -> Var<'g> {
        let terms = self.terms(log_probabilities, targets);
        (terms / targets.label_lengths.to_real().maximum(1.0)).mean()
    }

    /// The loss of each sequence, `[batch]`.
    ///
    /// It is infinite, or 0 with `zero_infinity`, where no path reads as the labels, as when there are fewer steps than
    /// labels; the gradient there is 0. A label that is no class or the blank, and a length beyond its axis, are errors
    /// of the run.
    ///
    /// The gradient is that for log-probabilities as they are given. PyTorch's is that for log-probabilities of a
    /// `log_softmax`, with the softmax added: both give the same gradient of the logits.
    ///
    /// # Panics
    /// As [`Ctc::loss`].
    #[track_caller]
    pub fn terms<'g>(&self, log_probabilities: Var<'g>, targets: CtcTargets<'g>) -> Var<'g> {
        let graph = log_probabilities.graph();
        // Also of the nodes that the ops make.
        let _line = graph.at_line(Location::caller());
        let CtcTargets { labels, label_lengths, input_lengths } = targets;
        let classes = log_probabilities.shape().last().copied().unwrap_or(0);
        let extended = match graph.apply(Extended { blank: self.blank, classes }, &[labels, label_lengths]) {
            Ok(extended) => extended,
            Err(error) => error.panic(),
        };
        let inputs = [log_probabilities, extended[0], extended[1], extended[2], input_lengths];
        let terms = graph.call(CtcLoss, &inputs);
        if self.zero_infinity { terms.equal(f64::INFINITY).where_(0.0, terms) } else { terms }
    }
}

/// Adds the ops that files may hold.
pub(super) fn saved(ops: Ops) -> Ops {
    ops.with::<labels::Extended>().with::<lattice::Lattice>()
}

#[cfg(test)]
mod tests {
    use gradus_graph::{Feed, Graph, Params, Tensor, check};

    use super::*;

    /// A batch: log-probabilities that need not sum to 1, labels, their numbers, and the numbers of steps.
    struct Batch {
        log_p: Tensor<f64>,
        labels: Vec<Vec<i64>>,
        steps: Vec<i64>,
        blank: usize,
    }

    impl Batch {
        fn new(time: usize, classes: usize, blank: usize, sequences: &[(&[i64], i64)]) -> Self {
            let log_p = Tensor::from_fn([time, sequences.len(), classes], |k| ((k * k + 3 * k + 1) as f64).sin() - 1.0);
            let labels = sequences.iter().map(|(labels, _)| labels.to_vec()).collect();
            Self { log_p, labels, steps: sequences.iter().map(|(_, steps)| *steps).collect(), blank }
        }

        fn targets<'g>(&self, graph: &'g Graph) -> CtcTargets<'g> {
            let most = self.labels.iter().map(Vec::len).max().unwrap_or(0);
            // Entries beyond the labels are not classes.
            let label = |k: usize| self.labels[k / most].get(k % most).copied().unwrap_or(-9);
            let lengths: Vec<i64> = self.labels.iter().map(|labels| labels.len() as i64).collect();
            CtcTargets {
                labels: graph.index_constant(&Tensor::from_fn([self.labels.len(), most], label)),
                label_lengths: graph.index_constant(&Tensor::from(lengths)),
                input_lengths: graph.index_constant(&Tensor::from(self.steps.clone())),
            }
        }

        fn terms(&self) -> Vec<f64> {
            let graph = Graph::new();
            let loss = Ctc::new().blank(self.blank);
            graph.eval(loss.terms(graph.constant(&self.log_p), self.targets(&graph))).unwrap().into_vec()
        }

        /// Over all sequences of classes: those that read as the labels.
        fn enumerated(&self) -> Vec<f64> {
            let [_, batch, classes] = self.log_p.shape()[..] else { unreachable!() };
            let loss = |sequence: usize| {
                let steps = self.steps[sequence] as u32;
                let mut total = 0.0;
                for path in 0..classes.pow(steps) {
                    let class = |step: u32| path / classes.pow(step) % classes;
                    let mut read: Vec<i64> = Vec::new();
                    for step in 0..steps {
                        let repeated = step > 0 && class(step) == class(step - 1);
                        if class(step) != self.blank && !repeated {
                            read.push(class(step) as i64);
                        }
                    }
                    if read == self.labels[sequence] {
                        let log: f64 = (0..steps).map(|t| self.log_p.at(&[t as usize, sequence, class(t)])).sum();
                        total += log.exp();
                    }
                }
                -f64::ln(total)
            };
            (0..batch).map(loss).collect()
        }
    }

    fn batches() -> Vec<Batch> {
        vec![
            Batch::new(5, 3, 0, &[(&[1, 2], 5), (&[1, 1], 4), (&[2], 3), (&[], 4), (&[2, 1], 2)]),
            Batch::new(4, 4, 2, &[(&[0, 3, 1], 4), (&[3, 3], 3), (&[0], 1)]),
            Batch::new(1, 2, 1, &[(&[0], 1), (&[], 1), (&[], 0)]),
        ]
    }

    #[test]
    fn losses_are_those_of_all_paths_together() {
        for batch in batches() {
            for (loss, expected) in batch.terms().into_iter().zip(batch.enumerated()) {
                assert!((loss - expected).abs() < 1e-13 * (1.0 + expected.abs()), "{loss} is not {expected}");
            }
        }
    }

    #[test]
    fn gradients() {
        for batch in batches() {
            let Batch { log_p, blank, .. } = &batch;
            let loss = Ctc::new().blank(*blank);
            check::assert_gradients(std::slice::from_ref(log_p), |x| loss.terms(x[0], batch.targets(x[0].graph())));
            check::assert_gradients(std::slice::from_ref(log_p), |x| {
                loss.loss(x[0].log_softmax(-1), batch.targets(x[0].graph()))
            });
        }
    }

    #[test]
    fn impossible_labels_have_no_gradient() {
        // Two equal labels need a blank between them.
        let batch = Batch::new(3, 3, 0, &[(&[1, 1], 2), (&[1, 2], 1), (&[1], 0), (&[1], 3)]);
        let graph = Graph::new();
        let x = graph.constant(&batch.log_p);
        for zero_infinity in [false, true] {
            let terms = Ctc { zero_infinity, ..Ctc::new() }.terms(x, batch.targets(&graph));
            let slope = graph.grad(terms.sum(), &[x]).unwrap()[0];
            let curved = graph.grad(slope.square().sum(), &[x]).unwrap()[0];
            let losses = graph.eval(terms).unwrap().into_vec();
            let impossible = if zero_infinity { 0.0 } else { f64::INFINITY };
            assert_eq!(losses[..3], [impossible; 3]);
            assert!(losses[3].is_finite());
            for derivative in [slope, curved] {
                let derivative = graph.eval(derivative).unwrap();
                assert!(derivative.first_non_finite().is_none());
                for (k, &value) in derivative.data().iter().enumerate() {
                    assert!(value == 0.0 || k / 3 % 4 == 3, "{k}: {value}");
                }
            }
        }
    }

    /// A class of probability 0, and entries beyond the last step, may be infinite.
    #[test]
    fn infinite_log_probabilities_leave_derivatives_finite() {
        let mut batch = Batch::new(4, 3, 0, &[(&[1], 3)]);
        batch.log_p.data_mut()[2] = f64::NEG_INFINITY;
        batch.log_p.data_mut()[4] = f64::NEG_INFINITY;
        batch.log_p.data_mut()[9..].fill(f64::NAN);
        assert!((batch.terms()[0] - batch.enumerated()[0]).abs() < 1e-13);
        let graph = Graph::new();
        let x = graph.constant(&batch.log_p);
        let slope = graph.grad(Ctc::new().loss(x, batch.targets(&graph)), &[x]).unwrap()[0];
        let slope = graph.eval(slope).unwrap();
        assert!(slope.first_non_finite().is_none() && slope.data()[9..] == [0.0; 3], "{slope:?}");
    }

    /// Sums of logarithms round at each step; the weights of the states of a step do so alike.
    #[test]
    fn a_long_sequence_in_single_precision() {
        let labels: Vec<i64> = (0..60).map(|k| 1 + k % 4).collect();
        let mut batch = Batch::new(500, 5, 0, &[(&labels, 500)]);
        batch.log_p = batch.log_p.cast::<f32>().cast();
        let graph = Graph::new();
        let x = graph.constant(&batch.log_p);
        let loss = ctc_terms(x, batch.targets(&graph));
        let slope = graph.grad(loss.sum(), &[x]).unwrap()[0];
        let exact = graph.eval_with::<f64>(&[loss, slope], &Params::new(0), &Feed::new()).unwrap();
        let single = graph.eval_with::<f32>(&[loss, slope], &Params::new(0), &Feed::new()).unwrap();
        let [loss, slope] = [0, 1].map(|k| single[k].real().cast::<f64>());
        loss.assert_close(exact[0].real(), 500.0 * f64::from(f32::EPSILON), 0.0);
        slope.assert_close(exact[1].real(), 0.0, 1e-3);
        // Each step is at some class.
        for step in slope.data().chunks(5) {
            assert!((step.iter().sum::<f64>() + 1.0).abs() < 1e-5);
        }
    }

    #[test]
    fn an_empty_batch_and_no_steps() {
        let empty = Batch::new(3, 2, 0, &[]);
        assert!(empty.terms().is_empty());
        assert_eq!(Batch::new(0, 2, 0, &[(&[], 0), (&[1], 0)]).terms(), [0.0, f64::INFINITY]);
    }

    #[test]
    fn what_is_wrong_is_an_error_of_the_run() {
        let refused = |sequences: &[(&[i64], i64)]| {
            let graph = Graph::new();
            let batch = Batch::new(2, 3, 0, sequences);
            graph.eval(ctc(graph.constant(&batch.log_p), batch.targets(&graph))).unwrap_err().to_string()
        };
        for label in [3, -1, 0] {
            let error = refused(&[(&[1], 2), (&[2, label], 2)]);
            let message = format!("label {label} at position [1, 1] is none of 3 classes without the blank 0");
            assert!(error.ends_with(&message), "{error}");
        }
        assert!(refused(&[(&[1], 3)]).ends_with("sequence 0 cannot have 3 of 2 steps"));
    }

    #[test]
    #[should_panic(expected = "`ctc` of [4, 2, 3] and [1, 3] and [1, 3] and [1, 3] and [1]: there must be one row of \
                               labels a sequence, and there are 2 sequences")]
    fn shapes_that_do_not_fit_are_named() {
        let graph = Graph::new();
        ctc(graph.zeros([4, 2, 3]), Batch::new(4, 3, 0, &[(&[1], 4)]).targets(&graph));
    }
}
