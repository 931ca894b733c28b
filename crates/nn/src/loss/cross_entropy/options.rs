//! Cross entropy with an axis of classes, weights, an ignored label and smoothed labels.

use gradus_graph::{Tensor, Var, expect_setting};

use super::ignore::Ignore;
use crate::axis::resolve;
#[cfg(doc)]
use crate::loss::cross_entropy;
use crate::loss::expect_unambiguous;

/// Cross entropy with an axis of classes, weights of the classes, an ignored label, smoothed labels, or any of these
/// together: PyTorch's `CrossEntropyLoss(weight, ignore_index, label_smoothing)`.
///
/// With `ℓ = ln softmax(x)`, weights `w` of `C` classes and smoothing `s`, the loss of a row is
/// `−(1 − s)·w[label]·ℓ[label] − s/C·Σᵢ wᵢ·ℓᵢ`.
///
/// [`cross_entropy`] is the [`loss`](CrossEntropy::loss) of the default, in which every row counts alike.
/// Log-probabilities may stand in for logits (they are their own log-softmax), so this is also PyTorch's
/// `NLLLoss(weight, ignore_index)`.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss::CrossEntropy;
/// let graph = Graph::new();
/// let logits = graph.zeros([3, 2]);
/// let labels = graph.index_constant(&Tensor::from([0, 1, -100]));
/// let loss = CrossEntropy::new().weights([1.0, 3.0]).ignored(-100);
/// let one = 2.0_f64.ln();
/// assert_eq!(graph.eval(loss.terms(logits, labels))?.data(), [one, 3.0 * one, 0.0]);
/// assert_eq!(graph.eval(loss.loss(logits, labels))?.item(), one);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Szegedy et al., "Rethinking the inception architecture for computer vision" (2016), for smoothed labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CrossEntropy {
    pub(super) weights: Option<Vec<f64>>,
    pub(super) ignored: Option<i64>,
    pub(super) smoothing: f64,
    pub(super) axis: Option<isize>,
}

impl CrossEntropy {
    /// The cross entropy without options, [`cross_entropy`].
    pub fn new() -> Self {
        Self::default()
    }

    /// A factor for each class; by default all count alike.
    ///
    /// # Panics
    /// If one is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn weights(self, weights: impl Into<Vec<f64>>) -> Self {
        let weights = weights.into();
        for (class, &weight) in weights.iter().enumerate() {
            expect_setting(&format!("`CrossEntropy::weights`: weights[{class}]"), weight, 0.0..);
        }
        Self { weights: Some(weights), ..self }
    }

    /// A label whose rows have a loss of 0 and no gradient, whatever their logits, as for padding. It need not be a
    /// class. PyTorch's is −100; here there is none by default.
    #[must_use]
    pub fn ignored(self, label: i64) -> Self {
        Self { ignored: Some(label), ..self }
    }

    /// The share of each target that is spread evenly over all classes, from 0 to 1; 0 by default.
    ///
    /// # Panics
    /// If it is outside `0..=1`.
    #[must_use]
    #[track_caller]
    pub fn smoothing(self, smoothing: f64) -> Self {
        expect_setting("`CrossEntropy::smoothing`: smoothing", smoothing, 0.0..=1.0);
        Self { smoothing, ..self }
    }

    /// The axis of the classes, counted from the end if negative: 1 is PyTorch's. By default the last, as long as
    /// labels do not fit axis 1 too.
    #[must_use]
    pub fn axis(self, axis: isize) -> Self {
        Self { axis: Some(axis), ..self }
    }

    /// The sum of the terms divided by the sum of the weights of the labels that count: the mean of the terms where
    /// there are no weights and nothing is ignored.
    ///
    /// As in PyTorch it is NaN where no label counts.
    ///
    /// # Shapes
    /// Logits of `[…, classes]`, or with the classes in the stated axis, and index labels of `[…]`; the result is a
    /// scalar.
    ///
    /// # Panics
    /// If the shapes do not fit, or fit two ways with no axis stated, the labels are real, or there is not one weight a
    /// class.
    #[track_caller]
    pub fn loss<'g>(&self, logits: Var<'g>, labels: Var<'g>) -> Var<'g> {
        let logits = self.classes_last(logits, Some(labels));
        let terms = self.terms_of_rows(logits, labels);
        let (labels, counted) = self.counted(labels);
        let weights = match (self.weights_on(logits), counted) {
            (None, None) => return terms.mean(),
            (None, Some(counted)) => counted,
            (Some(weights), None) => of_labels(weights, labels),
            (Some(weights), Some(counted)) => of_labels(weights, labels) * counted,
        };
        terms.sum() / weights.sum()
    }

    /// The loss of each row, `[…]`.
    ///
    /// # Panics
    /// As [`CrossEntropy::loss`].
    #[track_caller]
    pub fn terms<'g>(&self, logits: Var<'g>, labels: Var<'g>) -> Var<'g> {
        self.terms_of_rows(self.classes_last(logits, Some(labels)), labels)
    }

    /// The same with the classes in the last axis.
    #[track_caller]
    fn terms_of_rows<'g>(&self, logits: Var<'g>, labels: Var<'g>) -> Var<'g> {
        let (labels, counted) = self.counted(labels);
        let weights = self.weights_on(logits);
        let mut terms = logits.cross_entropy(labels);
        if let Some(weights) = weights {
            terms *= of_labels(weights, labels);
        }
        if self.smoothing > 0.0 {
            let logs = logits.log_softmax(-1);
            let weighted = match weights {
                Some(weights) => logs * weights,
                None => logs,
            };
            terms = terms * (1.0 - self.smoothing) - weighted.mean_axes(-1) * self.smoothing;
        }
        match counted {
            Some(counted) => counted.where_(terms, 0.0),
            None => terms,
        }
    }

    /// The mean of the losses of rows whose targets are distributions over the classes, `−Σᵢ wᵢ·qᵢ·ℓᵢ` with
    /// `q = (1 − s)·p + s/C`. As in PyTorch it is divided by the number of rows, whatever the weights.
    ///
    /// # Shapes
    /// Logits and probabilities of `[…, classes]`, or with the classes in the stated axis; the result is a scalar.
    ///
    /// # Panics
    /// If the shapes differ, there is not one weight a class, or a label is ignored: there are no labels.
    #[track_caller]
    pub fn loss_with<'g>(&self, logits: Var<'g>, distribution: Var<'g>) -> Var<'g> {
        self.terms_with(logits, distribution).mean()
    }

    /// The loss of each row with a distribution over the classes, `[…]`.
    ///
    /// # Panics
    /// As [`CrossEntropy::loss_with`].
    #[track_caller]
    pub fn terms_with<'g>(&self, logits: Var<'g>, distribution: Var<'g>) -> Var<'g> {
        assert!(self.ignored.is_none(), "`CrossEntropy` ignores a label, but distributions were given and no labels");
        let (logits, mut target) = (self.classes_last(logits, None), self.classes_last(distribution, None));
        if self.smoothing > 0.0 {
            let classes = target.shape().last().copied().unwrap_or(1);
            target = target * (1.0 - self.smoothing) + self.smoothing / classes as f64;
        }
        if let Some(weights) = self.weights_on(logits) {
            target *= weights;
        }
        logits.cross_entropy_with(target)
    }

    /// The view with the classes in the last axis.
    #[track_caller]
    fn classes_last<'g>(&self, logits: Var<'g>, labels: Option<Var<'g>>) -> Var<'g> {
        let (rank, shape) = (logits.rank(), logits.shape());
        let Some(axis) = self.axis else {
            if let Some(labels) = labels {
                expect_unambiguous("CrossEntropy", logits, labels);
            }
            return logits;
        };
        let Some(axis) = resolve(axis, rank) else {
            panic!("`CrossEntropy` of logits {shape}: there is no axis {axis}");
        };
        if axis == rank - 1 {
            return logits;
        }
        let others = (0..rank).filter(|&other| other != axis);
        logits.permute(others.chain([axis]).map(|axis| axis as isize).collect::<Vec<_>>())
    }

    /// The weights, `[classes]`.
    #[track_caller]
    fn weights_on<'g>(&self, logits: Var<'g>) -> Option<Var<'g>> {
        let weights = self.weights.as_ref()?;
        let (shape, count) = (logits.shape(), weights.len());
        assert!(
            shape.last() == Some(&count),
            "`CrossEntropy` of logits {shape} with {count} weights: there must be one weight a class"
        );
        Some(logits.graph().constant(&Tensor::from_fn([count], |class| weights[class])))
    }

    /// The labels, with class 0 for those that are ignored, and a mask of those that count.
    #[track_caller]
    fn counted<'g>(&self, labels: Var<'g>) -> (Var<'g>, Option<Var<'g>>) {
        let Some(ignored) = self.ignored else { return (labels, None) };
        match labels.graph().apply(Ignore { label: ignored }, &[labels]) {
            Ok(outputs) => (outputs[0], Some(outputs[1])),
            Err(error) => error.panic(),
        }
    }
}

/// The weight of each label.
#[track_caller]
fn of_labels<'g>(weights: Var<'g>, labels: Var<'g>) -> Var<'g> {
    let shape = labels.shape();
    weights.index_select(0, labels.reshape([shape.len()])).reshape(shape)
}
