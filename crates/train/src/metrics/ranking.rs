//! How well scores order what is of a class before what is not.

use gradus_graph::{AnyTensor, Error, Real, Tensor};

use super::reading::{Reading, log_softmax};
use super::{Averaging, Metric, Score};

/// All scores, with what they are scores of.
#[derive(Clone, Debug)]
struct Ranking {
    reading: Reading,
    averaging: Averaging,
    /// One of each row, if there are two classes, or as many as classes.
    scores: Vec<f64>,
    labels: Vec<usize>,
}

/// The rows of a class and the others among those that share a score, from the largest score on.
type Ties = Vec<(u64, u64)>;

impl Ranking {
    fn new() -> Self {
        let (scores, labels) = (Vec::new(), Vec::new());
        let reading = Reading { softmax: true, ..Reading::default() };
        Self { reading, averaging: Averaging::Macro, scores, labels }
    }

    fn update<T: Real>(&mut self, name: &str, outputs: &Tensor<T>, targets: &AnyTensor<T>) -> Result<(), Error> {
        let Self { reading, scores, labels, .. } = self;
        let softmax = reading.softmax;
        reading.read(name, outputs, targets, |row, label| {
            match row {
                [score] => scores.push(score.as_f64()),
                [negative, positive] if softmax => scores.push(positive.as_f64() - negative.as_f64()),
                [_, score] => scores.push(score.as_f64()),
                row if softmax => log_softmax(row, scores),
                row => scores.extend(row.iter().map(|score| score.as_f64())),
            }
            labels.push(label);
        })
    }

    /// The average over the classes of a score of the order.
    fn value(&self, of: fn(&Ties) -> f64) -> f64 {
        let width = match self.reading.width {
            _ if self.labels.is_empty() => return f64::NAN,
            // Of two classes one score is kept, that of the second: the positive one, unless a class is asked for.
            None | Some(1 | 2) => {
                return match self.averaging {
                    Averaging::Class(0) => of(&self.ties([(0, 0)].into_iter(), 1, -1.0)),
                    Averaging::Class(number) if number > 1 => f64::NAN,
                    _ => of(&self.ties([(0, 1)].into_iter(), 1, 1.0)),
                };
            }
            Some(width) => width,
        };
        let class = |class: usize| of(&self.ties([(class, class)].into_iter(), width, 1.0));
        let count = |class: usize| self.labels.iter().filter(|label| **label == class).count() as f64;
        match self.averaging {
            Averaging::Class(number) => {
                if number < width {
                    class(number)
                } else {
                    f64::NAN
                }
            }
            Averaging::Micro => of(&self.ties((0..width).map(|class| (class, class)), width, 1.0)),
            Averaging::Macro => (0..width).map(class).sum::<f64>() / width as f64,
            Averaging::Weighted => {
                (0..width).map(|number| count(number) * class(number)).sum::<f64>() / self.labels.len() as f64
            }
        }
    }

    /// The order of the scores in some columns, each given with the class whose scores they are.
    fn ties(&self, columns: impl Iterator<Item = (usize, usize)>, width: usize, sign: f64) -> Ties {
        let rows = || self.scores.chunks(width).zip(&self.labels);
        let mut order: Vec<(f64, bool)> = columns
            .flat_map(|(column, class)| rows().map(move |(row, label)| (sign * row[column], *label == class)))
            .collect();
        order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        // 0 and −0 are one score; they stand together in the order.
        let groups = order.chunk_by(|a, b| a.0 == b.0);
        let counted = |group: &[(f64, bool)]| {
            let positive = group.iter().filter(|(_, is_positive)| *is_positive).count() as u64;
            (positive, group.len() as u64 - positive)
        };
        groups.map(counted).collect()
    }
}

/// The share of pairs of a positive and a negative row that the scores order rightly; equal scores count half.
fn roc_area(ties: &Ties) -> f64 {
    let (mut positives, mut negatives, mut twice) = (0, 0, 0_u128);
    for &(positive, negative) in ties {
        twice += u128::from(negative) * u128::from(2 * positives + positive);
        positives += positive;
        negatives += negative;
    }
    twice as f64 / (2 * u128::from(positives) * u128::from(negatives)) as f64
}

/// The recalls and precisions of all thresholds, from the highest on.
fn curve(ties: &Ties) -> impl Iterator<Item = (f64, f64)> {
    let all: u64 = ties.iter().map(|tie| tie.0).sum();
    ties.iter().scan((0, 0), move |(hits, taken), &(positive, negative)| {
        *hits += positive;
        *taken += positive + negative;
        Some((*hits as f64 / all as f64, *hits as f64 / *taken as f64))
    })
}

fn average_precision(ties: &Ties) -> f64 {
    if ties.iter().all(|tie| tie.0 == 0) {
        return 0.0;
    }
    let mut before = 0.0;
    curve(ties).map(|(recall, precision)| (recall - std::mem::replace(&mut before, recall)) * precision).sum()
}

fn pr_area(ties: &Ties) -> f64 {
    let mut before = (0.0, 1.0);
    let trapezoid = |point: (f64, f64)| {
        let last = std::mem::replace(&mut before, point);
        (point.0 - last.0) * 0.5 * (point.1 + last.1)
    };
    curve(ties).map(trapezoid).sum()
}

/// A metric over the order of scores.
macro_rules! ranking {
    ($(#[$doc:meta])* $type:ident, $name:literal, $of:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $type(Ranking);

        impl Default for $type {
            fn default() -> Self {
                Self::new()
            }
        }

        impl $type {
            /// The metric of logits: of the positive of two classes, or the mean over each class against all others.
            pub fn new() -> Self {
                Self(Ranking::new())
            }

            /// How the values of more than two classes are averaged.
            #[must_use]
            pub fn averaging(mut self, averaging: Averaging) -> Self {
                self.0.averaging = averaging;
                self
            }

            /// Takes scores as they are: a softmax of those of several classes, which decides the order between rows,
            /// is behind them already.
            #[must_use]
            pub fn probabilities(mut self) -> Self {
                self.0.reading.softmax = false;
                self
            }

            /// Leaves out rows with this label.
            #[must_use]
            pub fn ignored(mut self, label: i64) -> Self {
                self.0.reading.ignored = Some(label);
                self
            }
        }

        impl Score for $type {
            fn name(&self) -> &str {
                $name
            }

            fn higher_is_better(&self) -> bool {
                true
            }

            fn value(&self) -> f64 {
                self.0.value($of)
            }

            fn reset(&mut self) {
                self.0.scores.clear();
                self.0.labels.clear();
                self.0.reading.width = None;
            }
        }

        impl<T: Real> Metric<T> for $type {
            fn update(&mut self, outputs: &Tensor<T>, targets: &AnyTensor<T>) -> Result<(), Error> {
                self.0.update($name, outputs, targets)
            }
        }
    };
}

ranking! {
    /// The area under the receiver operating characteristic: the probability that a row of the class has a larger score
    /// than one of another class. It is exact, equal scores count half, and it is NaN if a class has no rows or all. Keeps
    /// all scores.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Tensor;
    /// use gradus_train::metrics::{Metric, RocAuc, Score};
    /// let mut auc = RocAuc::new();
    /// auc.update(&Tensor::<f32>::from([0.1, 0.4, 0.35, 0.8]), &Tensor::from([0, 0, 1, 1]).into())?;
    /// assert_eq!(auc.value(), 0.75);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    RocAuc, "ROC AUC", roc_area
}

ranking! {
    /// The mean precision over the steps of the recall, `Σ (Rₙ − Rₙ₋₁)·Pₙ`: the area under the precision and recall curve
    /// as steps. 0 for a class without rows. Keeps all scores.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Tensor;
    /// use gradus_train::metrics::{AveragePrecision, Metric, Score};
    /// let mut precision = AveragePrecision::new();
    /// precision.update(&Tensor::<f32>::from([0.1, 0.4, 0.35, 0.8]), &Tensor::from([0, 0, 1, 1]).into())?;
    /// assert_eq!(precision.value(), 0.5 + 0.5 * 2.0 / 3.0);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    AveragePrecision, "average precision", average_precision
}

ranking! {
    /// The area under straight lines between the points of the precision and recall curve, which begins at recall 0 with
    /// precision 1. It is a little too large; [`AveragePrecision`] is not. NaN if a class has no rows. Keeps all scores.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Tensor;
    /// use gradus_train::metrics::{Metric, PrAuc, Score};
    /// let mut area = PrAuc::new();
    /// area.update(&Tensor::<f32>::from([0.1, 0.4, 0.35, 0.8]), &Tensor::from([0, 0, 1, 1]).into())?;
    /// assert!((area.value() - 0.791_666_666_666_666_6).abs() < 1e-15);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    PrAuc, "PR AUC", pr_area
}
