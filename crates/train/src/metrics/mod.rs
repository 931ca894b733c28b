//! Metrics over batches: classification, ranking, likelihood and regression, with the values of scikit-learn.
//!
//! A metric is fed batch by batch with [`Metric::update`], and [`Score::value`] is the value over all that was fed: the
//! exact one, not a mean over batches, and bit for bit the same for any division into batches. Before anything is fed it
//! is NaN. A batch that does not fit is an error that names the metric and the shapes, and counts for nothing.
//!
//! # Outputs and targets
//! - **Classes**: scores `[…, classes]` with labels `[…]`, indices. The prediction is the first class with the largest
//!   score.
//! - **Two classes**, negative and positive: scores `[…]` or `[…, 1]` with targets of the same shape, indices or real
//!   numbers that are 0 or 1. Positive is what is above a threshold.
//! - **Regression**: predictions and targets of one shape, `[n]`, `[n, 1]` or `[…, outputs]`; the value is the mean of those of
//!   the outputs.
//!
//! Scores are logits, unless a metric is told that they are probabilities. A label may be ignored, as in
//! `CrossEntropy`.
//!
//! | metric | scikit-learn | keeps |
//! |---|---|---|
//! | [`Accuracy`], [`TopK`] | `accuracy_score`, `top_k_accuracy_score` | two numbers |
//! | [`Precision`], [`Recall`], [`F1`] | `precision_score`, `recall_score`, `f1_score` | three numbers a class |
//! | [`RocAuc`], [`AveragePrecision`], [`PrAuc`] | `roc_auc_score`, `average_precision_score`, `auc` of `precision_recall_curve` | all scores |
//! | [`LogLoss`], [`Perplexity`] | `log_loss`, its exponential | a sum |
//! | [`Mae`], [`Mse`], [`Rmse`], [`Mape`] | `mean_absolute_error`, … | a sum an output |
//! | [`R2`], [`ExplainedVariance`] | `r2_score`, `explained_variance_score` | a few sums an output |
//! | [`MedianAbsoluteError`] | `median_absolute_error` | all errors |
//!
//! [`Confusion`](crate::Confusion) counts pairs of labels and predictions.
//!
//! # Example
//! ```
//! use gradus_graph::Tensor;
//! use gradus_train::metrics::{Averaging, F1, Metric, Score};
//! let mut f1 = F1::new(Averaging::Macro);
//! for (logits, labels) in [([[2.0, 0.0], [0.5, 1.0]], [0, 1]), ([[0.0, 1.0], [3.0, 1.0]], [0, 0])] {
//!     f1.update(&Tensor::<f32>::from_rows(logits), &Tensor::from(labels).into())?;
//! }
//! assert!((f1.value() - (0.8 + 2.0 / 3.0) / 2.0).abs() < 1e-15);
//! # Ok::<(), gradus_graph::Error>(())
//! ```

mod accuracy;
mod by_class;
pub(crate) mod confusion;
mod likelihood;
mod ranking;
mod reading;
mod regression;
mod sum;

use gradus_graph::{AnyTensor, Error, ErrorKind, Real, Tensor};

pub use accuracy::{Accuracy, TopK};
pub use by_class::{F1, Precision, Recall};
pub use likelihood::{LogLoss, Perplexity};
pub use ranking::{AveragePrecision, PrAuc, RocAuc};
pub use regression::{ExplainedVariance, Mae, Mape, MedianAbsoluteError, Mse, R2, Rmse};

/// What a metric says, in any precision.
pub trait Score {
    /// The name, as logs show it.
    fn name(&self) -> &str;

    /// Whether a larger value is a better one.
    fn higher_is_better(&self) -> bool;

    /// The value over all batches since the start or the last reset; NaN if there were none.
    fn value(&self) -> f64;

    /// Forgets all batches.
    fn reset(&mut self);
}

/// A metric over batches of the precision `T`. See [the module](self) for outputs, targets and shapes.
///
/// # Example
/// A metric of one's own:
/// ```
/// use gradus_graph::{AnyTensor, Error, Real, Tensor};
/// use gradus_train::metrics::{Metric, Score};
/// /// The largest error.
/// struct Worst(f64);
/// impl Score for Worst {
///     fn name(&self) -> &str {
///         "worst"
///     }
///     fn higher_is_better(&self) -> bool {
///         false
///     }
///     fn value(&self) -> f64 {
///         self.0
///     }
///     fn reset(&mut self) {
///         self.0 = f64::NAN;
///     }
/// }
/// impl<T: Real> Metric<T> for Worst {
///     fn update(&mut self, outputs: &Tensor<T>, targets: &AnyTensor<T>) -> Result<(), Error> {
///         let errors = outputs.data().iter().zip(targets.real().data()).map(|(a, b)| (a.as_f64() - b.as_f64()).abs());
///         self.0 = errors.fold(self.0, f64::max);
///         Ok(())
///     }
/// }
/// let mut worst: Box<dyn Metric> = Box::new(Worst(f64::NAN));
/// worst.update(&Tensor::from([1.0, 2.0]), &Tensor::from([1.5, 2.0]).into())?;
/// assert_eq!(worst.value(), 0.5);
/// # Ok::<(), Error>(())
/// ```
pub trait Metric<T: Real = f32>: Score {
    /// Counts a batch.
    ///
    /// # Errors
    /// If the shapes do not fit the metric or the batches before, a label is none of the classes, or a number is NaN (or
    /// infinite, in regression). Nothing of the batch is counted then.
    fn update(&mut self, outputs: &Tensor<T>, targets: &AnyTensor<T>) -> Result<(), Error>;
}

/// Which of the values of the classes is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Averaging {
    /// All decisions count alike, whichever class they are of.
    Micro,
    /// The mean over the classes.
    Macro,
    /// The mean over the classes, weighted by how often each is the label.
    Weighted,
    /// The value of one class; `Class(1)` is that of the positive of two.
    Class(usize),
}

impl Averaging {
    /// The name of a metric with this averaging.
    fn name(self, metric: &str) -> String {
        match self {
            Self::Micro => format!("micro {metric}"),
            Self::Macro => format!("macro {metric}"),
            Self::Weighted => format!("weighted {metric}"),
            Self::Class(class) => format!("{metric} of class {class}"),
        }
    }
}

/// The error of a batch that does not fit a metric.
fn refused(metric: &str, problem: &str) -> Error {
    Error::new(ErrorKind::Feed, format!("the metric `{metric}`: {problem}"))
}
