//! How the outputs of a classifier and their labels are read.

use gradus_graph::{AnyTensor, Error, Real, Tensor};

use super::refused;

/// The number that a real target of two classes is.
fn positive(value: f64) -> Option<i64> {
    if value == 0.0 || value == 1.0 { Some(value as i64) } else { None }
}

/// What is known of the outputs of a classifier.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    /// The label that does not count.
    pub(super) ignored: Option<i64>,
    /// Whether several scores of a row go through a softmax, for which the largest must be finite.
    pub(super) softmax: bool,
    /// The number of scores a row in the batches so far.
    pub(super) width: Option<usize>,
}

impl Reading {
    /// Checks a batch, and calls `each` with the scores and the label of each row that counts. A row of one score has
    /// the label 0 or 1.
    pub(super) fn read<T: Real>(
        &mut self,
        metric: &str,
        outputs: &Tensor<T>,
        targets: &AnyTensor<T>,
        mut each: impl FnMut(&[T], usize),
    ) -> Result<(), Error> {
        let width = self.width(outputs, targets).map_err(|problem| refused(metric, &problem))?;
        let classes = width.max(2) as i64;
        let labels: Vec<i64> = match targets {
            AnyTensor::Index(labels) => labels.data().to_vec(),
            AnyTensor::Real(targets) if width == 1 => {
                let label = |value: &T| {
                    positive(value.as_f64()).ok_or_else(|| refused(metric, &format!("a target is {value}, not 0 or 1")))
                };
                targets.data().iter().map(label).collect::<Result<_, _>>()?
            }
            AnyTensor::Real(targets) => {
                let shape = targets.shape();
                return Err(refused(
                    metric,
                    &format!("labels of classes are indices, `Tensor<i64>`; the labels {shape} are real numbers"),
                ));
            }
        };
        let rows =
            || outputs.data().chunks(width.max(1)).zip(&labels).filter(|(_, label)| Some(**label) != self.ignored);
        for (scores, &label) in rows() {
            if !(0..classes).contains(&label) {
                return Err(refused(metric, &format!("the label {label} is not one of {classes} classes")));
            }
            if scores.iter().any(|score| score.is_nan()) {
                return Err(refused(metric, "a score is NaN"));
            }
            if self.softmax && width > 1 && scores[largest(scores)].is_infinite() {
                return Err(refused(metric, "the largest logit of a row is infinite"));
            }
        }
        rows().for_each(|(scores, &label)| each(scores, label as usize));
        self.width = Some(width);
        Ok(())
    }

    /// The number of scores a row.
    fn width<T: Real>(&self, outputs: &Tensor<T>, targets: &AnyTensor<T>) -> Result<usize, String> {
        let (scores, labels) = (outputs.shape(), targets.shape());
        let width = match (&scores[..], &labels[..]) {
            (scores, labels) if scores == labels => 1,
            ([scores @ .., 1], labels) if scores == labels => 1,
            (scores, [labels @ .., 1]) if scores == labels => 1,
            ([scores @ .., classes], labels) if scores == labels && *classes > 0 => *classes,
            _ => {
                let wanted = "outputs need the shape […, classes] beside targets […], or both have one shape";
                return Err(format!("{wanted}; these have {scores} and {labels}"));
            }
        };
        match self.width.filter(|before| *before != width) {
            Some(before) => Err(format!("a row has {width} scores here, and had {before} in the batches before")),
            None => Ok(width),
        }
    }
}

/// The class that the scores of a row say: the first with the largest score, or whether the only one is above the
/// threshold.
pub(super) fn predicted<T: Real>(scores: &[T], threshold: f64) -> usize {
    match scores {
        [score] => usize::from(score.as_f64() > threshold),
        scores => largest(scores),
    }
}

/// The position of the first largest element.
pub(super) fn largest<T: Real>(row: &[T]) -> usize {
    row.iter().enumerate().fold(0, |best, (index, value)| if *value > row[best] { index } else { best })
}

/// The logarithms of the probabilities that belong to logits, in double precision.
pub(super) fn log_softmax<T: Real>(logits: &[T], into: &mut Vec<f64>) {
    let largest = logits[largest(logits)].as_f64();
    let sum: f64 = logits.iter().map(|logit| (logit.as_f64() - largest).exp()).sum();
    into.extend(logits.iter().map(|logit| logit.as_f64() - largest - sum.ln()));
}
