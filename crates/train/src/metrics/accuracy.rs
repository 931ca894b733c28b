//! How often a classifier is right, at once or within a few guesses.

use gradus_graph::{AnyTensor, Error, Real, Tensor, expect_setting};

use super::reading::{Reading, predicted};
use super::{Metric, Score, refused};

/// How many of all were right.
#[derive(Clone, Debug, Default)]
struct Share {
    right: u64,
    all: u64,
}

impl Share {
    fn count(&mut self, is_right: bool) {
        self.right += u64::from(is_right);
        self.all += 1;
    }

    fn value(&self) -> f64 {
        self.right as f64 / self.all as f64
    }
}

/// The share of rows whose class is predicted.
///
/// # Example
/// ```
/// use gradus_graph::Tensor;
/// use gradus_train::metrics::{Accuracy, Metric, Score};
/// let mut accuracy = Accuracy::new();
/// accuracy.update(&Tensor::<f32>::from([-1.0, 2.0, 3.0]), &Tensor::from([0, 1, 0]).into())?;
/// assert_eq!(accuracy.value(), 2.0 / 3.0);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Accuracy {
    reading: Reading,
    threshold: f64,
    share: Share,
}

impl Accuracy {
    /// The accuracy of logits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of two classes, what is above the threshold is positive: 0 for logits, 0.5 for probabilities.
    ///
    /// # Panics
    /// If the threshold is NaN.
    #[must_use]
    #[track_caller]
    pub fn threshold(mut self, threshold: f64) -> Self {
        expect_setting("`Accuracy::threshold`: threshold", threshold, f64::NEG_INFINITY..=f64::INFINITY);
        self.threshold = threshold;
        self
    }

    /// Leaves out rows with this label.
    #[must_use]
    pub fn ignored(mut self, label: i64) -> Self {
        self.reading.ignored = Some(label);
        self
    }
}

impl Score for Accuracy {
    fn name(&self) -> &str {
        "accuracy"
    }

    fn higher_is_better(&self) -> bool {
        true
    }

    fn value(&self) -> f64 {
        self.share.value()
    }

    fn reset(&mut self) {
        (self.share, self.reading.width) = (Share::default(), None);
    }
}

impl<T: Real> Metric<T> for Accuracy {
    fn update(&mut self, outputs: &Tensor<T>, targets: &AnyTensor<T>) -> Result<(), Error> {
        let Self { reading, threshold, share } = self;
        reading.read("accuracy", outputs, targets, |scores, label| share.count(predicted(scores, *threshold) == label))
    }
}

/// The share of rows whose label is among the `k` classes with the largest scores. Of equal scores the class with the
/// larger number is taken first, as scikit-learn does.
///
/// # Example
/// ```
/// use gradus_graph::Tensor;
/// use gradus_train::metrics::{Metric, Score, TopK};
/// let mut top = TopK::new(2);
/// top.update(&Tensor::<f32>::from_rows([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]), &Tensor::from([1, 2]).into())?;
/// assert_eq!((top.name(), top.value()), ("top-2 accuracy", 0.5));
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TopK {
    reading: Reading,
    name: String,
    k: usize,
    share: Share,
}

impl TopK {
    /// The accuracy of `k` guesses.
    ///
    /// # Panics
    /// If `k` is 0.
    #[track_caller]
    pub fn new(k: usize) -> Self {
        assert!(k > 0, "`TopK` needs at least one guess");
        Self { reading: Reading::default(), name: format!("top-{k} accuracy"), k, share: Share::default() }
    }

    /// Leaves out rows with this label.
    #[must_use]
    pub fn ignored(mut self, label: i64) -> Self {
        self.reading.ignored = Some(label);
        self
    }
}

impl Score for TopK {
    fn name(&self) -> &str {
        &self.name
    }

    fn higher_is_better(&self) -> bool {
        true
    }

    fn value(&self) -> f64 {
        self.share.value()
    }

    fn reset(&mut self) {
        (self.share, self.reading.width) = (Share::default(), None);
    }
}

impl<T: Real> Metric<T> for TopK {
    fn update(&mut self, outputs: &Tensor<T>, targets: &AnyTensor<T>) -> Result<(), Error> {
        if outputs.shape().rank() != targets.shape().rank() + 1 {
            let (outputs, targets) = (outputs.shape(), targets.shape());
            let problem =
                format!("outputs need the shape […, classes] beside labels […]; these have {outputs} and {targets}");
            return Err(refused(&self.name, &problem));
        }
        let Self { reading, name, k, share } = self;
        reading.read(name, outputs, targets, |scores, label| {
            let own = scores[label.min(scores.len() - 1)];
            let before = |(class, score): &(usize, &T)| **score > own || **score == own && *class > label;
            share.count(scores.iter().enumerate().filter(before).count() < *k);
        })
    }
}
