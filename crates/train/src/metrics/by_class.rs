//! Precision, recall and F1, of each class and together.

use gradus_graph::{AnyTensor, Error, Real, Tensor, expect_setting};

use super::reading::{Reading, predicted};
use super::{Averaging, Metric, Score};

/// How often a class was predicted rightly, predicted, and the label.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    hits: u64,
    predicted: u64,
    labelled: u64,
}

/// What the three metrics share.
#[derive(Clone, Debug)]
struct ByClass {
    reading: Reading,
    threshold: f64,
    averaging: Averaging,
    name: String,
    counts: Vec<Counts>,
}

impl ByClass {
    fn new(averaging: Averaging, metric: &str) -> Self {
        let (reading, counts) = (Reading::default(), Vec::new());
        Self { reading, threshold: 0.0, averaging, name: averaging.name(metric), counts }
    }

    fn update<T: Real>(&mut self, outputs: &Tensor<T>, targets: &AnyTensor<T>) -> Result<(), Error> {
        let Self { reading, threshold, name, counts, .. } = self;
        reading.read(name, outputs, targets, |scores, label| {
            counts.resize(scores.len().max(2), Counts::default());
            let predicted = predicted(scores, *threshold);
            counts[label].labelled += 1;
            counts[predicted].predicted += 1;
            counts[label].hits += u64::from(predicted == label);
        })
    }

    fn value(&self, of: fn(Counts) -> f64) -> f64 {
        // A class that is neither label nor prediction is none.
        let there = || self.counts.iter().copied().filter(|class| class.labelled + class.predicted > 0);
        let all = self.counts.iter().map(|class| class.labelled).sum::<u64>() as f64;
        match self.averaging {
            _ if all == 0.0 => f64::NAN,
            Averaging::Class(class) => self.counts.get(class).map_or(f64::NAN, |&counts| of(counts)),
            Averaging::Macro => there().map(of).sum::<f64>() / there().count() as f64,
            Averaging::Weighted => there().map(|class| class.labelled as f64 * of(class)).sum::<f64>() / all,
            Averaging::Micro => of(self.counts.iter().fold(Counts::default(), |sum, class| Counts {
                hits: sum.hits + class.hits,
                predicted: sum.predicted + class.predicted,
                labelled: sum.labelled + class.labelled,
            })),
        }
    }
}

/// A share, or 0 of nothing.
fn share(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}

/// A metric over the counts of classes.
macro_rules! by_class {
    ($(#[$doc:meta])* $type:ident, $name:literal, $of:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $type(ByClass);

        impl $type {
            /// The value for logits, of one class or averaged over the classes.
            pub fn new(averaging: Averaging) -> Self {
                Self(ByClass::new(averaging, $name))
            }

            /// Of two classes, what is above the threshold is positive: 0 for logits, 0.5 for probabilities.
            ///
            /// # Panics
            /// If the threshold is NaN.
            #[must_use]
            #[track_caller]
            pub fn threshold(mut self, threshold: f64) -> Self {
                expect_setting(concat!("`", stringify!($type), "::threshold`: threshold"), threshold, f64::NEG_INFINITY..=f64::INFINITY);
                self.0.threshold = threshold;
                self
            }

            /// Leaves out rows with this label.
            #[must_use]
            pub fn ignored(mut self, label: i64) -> Self {
                self.0.reading.ignored = Some(label);
                self
            }

            /// The value of each class.
            pub fn per_class(&self) -> Vec<f64> {
                self.0.counts.iter().map(|&counts| $of(counts)).collect()
            }
        }

        impl Score for $type {
            fn name(&self) -> &str {
                &self.0.name
            }

            fn higher_is_better(&self) -> bool {
                true
            }

            fn value(&self) -> f64 {
                self.0.value($of)
            }

            fn reset(&mut self) {
                self.0.counts.clear();
                self.0.reading.width = None;
            }
        }

        impl<T: Real> Metric<T> for $type {
            fn update(&mut self, outputs: &Tensor<T>, targets: &AnyTensor<T>) -> Result<(), Error> {
                self.0.update(outputs, targets)
            }
        }
    };
}

by_class! {
    /// Of the predictions of a class, the share that is right; 0 if there are none. Classes that are neither label nor
    /// prediction do not count in an average.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Tensor;
    /// use gradus_train::metrics::{Averaging, Metric, Precision, Score};
    /// let mut precision = Precision::new(Averaging::Class(1)).threshold(0.5);
    /// precision.update(&Tensor::<f32>::from([0.9, 0.8, 0.1]), &Tensor::from([1, 0, 1]).into())?;
    /// assert_eq!((precision.value(), precision.per_class()), (0.5, vec![0.0, 0.5]));
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    Precision, "precision", |class: Counts| share(class.hits, class.predicted)
}

by_class! {
    /// Of the rows with the label of a class, the share that is predicted; 0 if there are none. Classes that are neither
    /// label nor prediction do not count in an average.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Tensor;
    /// use gradus_train::metrics::{Averaging, Metric, Recall, Score};
    /// let mut recall = Recall::new(Averaging::Class(1)).threshold(0.5);
    /// recall.update(&Tensor::<f32>::from([0.9, 0.8, 0.1]), &Tensor::from([1, 0, 1]).into())?;
    /// assert_eq!(recall.value(), 0.5);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    Recall, "recall", |class: Counts| share(class.hits, class.labelled)
}

by_class! {
    /// The harmonic mean of precision and recall: of the predictions and labels of a class, the share that agrees; 0 if
    /// there are none. Classes that are neither label nor prediction do not count in an average.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Tensor;
    /// use gradus_train::metrics::{Averaging, F1, Metric, Score};
    /// let mut f1 = F1::new(Averaging::Class(1)).threshold(0.5);
    /// f1.update(&Tensor::<f32>::from([0.9, 0.8, 0.1]), &Tensor::from([1, 0, 1]).into())?;
    /// assert_eq!(f1.value(), 0.5);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    F1, "F1", |class: Counts| share(2 * class.hits, class.predicted + class.labelled)
}
