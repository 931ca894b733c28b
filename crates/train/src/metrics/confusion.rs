//! Which classes are taken for which.

use std::fmt;

use gradus_graph::{Real, Tensor};

use super::reading::largest;

/// The share of rows whose largest logit is that of the label.
///
/// # Shapes
/// `logits` `[n, classes]`, `labels` `[n]`.
///
/// # Panics
/// If the shapes do not fit.
///
/// # Example
/// ```
/// use gradus_graph::Tensor;
/// let logits = Tensor::from_rows([[2.0_f32, 1.0], [0.0, 3.0], [1.0, 0.0]]);
/// let share = gradus_train::accuracy(&logits, &Tensor::from([0, 1, 1]));
/// assert_eq!(share, 2.0 / 3.0);
/// ```
#[track_caller]
pub fn accuracy<T: Real>(logits: &Tensor<T>, labels: &Tensor<i64>) -> f64 {
    Confusion::new(logits, labels).accuracy()
}

/// The confusion matrix: how often each class was predicted for each label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    counts: Vec<usize>,
}

impl Confusion {
    /// Counts the rows of `logits` by label and by largest logit.
    ///
    /// # Panics
    /// If the shapes do not fit or a label is not one of the classes.
    #[track_caller]
    pub fn new<T: Real>(logits: &Tensor<T>, labels: &Tensor<i64>) -> Self {
        let (shape, rows) = (logits.shape(), labels.shape());
        assert!(
            shape.rank() == 2 && rows.rank() == 1 && shape[0] == rows[0],
            "`logits` need the shape [n, classes] and `labels` [n]; these have {shape} and {rows}"
        );
        let classes = shape[1];
        let mut counts = vec![0; classes * classes];
        for (row, &label) in logits.data().chunks(classes.max(1)).zip(labels.data()) {
            assert!((0..classes as i64).contains(&label), "label {label} is not one of {classes} classes");
            counts[label as usize * classes + largest(row)] += 1;
        }
        Self { classes, counts }
    }

    /// The counts, a row a label and a column a prediction: what [`HeatMap`](crate::plot::HeatMap) draws.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Tensor;
    /// use gradus_train::Confusion;
    /// let logits = Tensor::<f32>::from_rows([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]]);
    /// let confusion = Confusion::new(&logits, &Tensor::from([0, 1, 1]));
    /// assert_eq!(confusion.matrix(), Tensor::from_rows([[1.0, 0.0], [1.0, 1.0]]));
    /// ```
    pub fn matrix(&self) -> Tensor<f64> {
        Tensor::from_fn([self.classes, self.classes], |k| self.counts[k] as f64)
    }

    /// Adds the counts of another part of the data.
    ///
    /// # Panics
    /// If the numbers of classes differ.
    #[track_caller]
    pub fn add(&mut self, other: &Self) {
        assert!(self.classes == other.classes, "{} classes and {} classes", self.classes, other.classes);
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, other)| *count += other);
    }

    /// How often the class `predicted` was predicted for the label `label`.
    ///
    /// # Panics
    /// If one of them is not a class.
    pub fn count(&self, label: usize, predicted: usize) -> usize {
        assert!(label < self.classes && predicted < self.classes, "there are {} classes", self.classes);
        self.counts[label * self.classes + predicted]
    }

    /// The share of rows that were classified correctly; 0 if nothing was counted.
    pub fn accuracy(&self) -> f64 {
        let right: usize = (0..self.classes).map(|class| self.counts[class * self.classes + class]).sum();
        let all: usize = self.counts.iter().sum();
        if all == 0 { 0.0 } else { right as f64 / all as f64 }
    }
}

impl fmt::Display for Confusion {
    /// One row a label, one column a prediction; zeros are dots.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.counts.iter().max().map_or(1, |count| count.to_string().len()).max(2) + 1;
        write!(f, "label")?;
        for class in 0..self.classes {
            write!(f, "{class:>width$}")?;
        }
        for (label, row) in self.counts.chunks(self.classes.max(1)).enumerate() {
            write!(f, "\n{label:>5}")?;
            for &count in row {
                let text = if count == 0 { "·".to_owned() } else { count.to_string() };
                write!(f, "{text:>width$}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confusion_is_a_table() {
        let logits = Tensor::from_rows([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]]);
        let confusion = Confusion::new(&logits, &Tensor::from([0, 1, 1]));
        assert_eq!(confusion.to_string(), "label  0  1\n    0  1  ·\n    1  1  1");
        assert_eq!((confusion.count(1, 0), confusion.count(0, 1)), (1, 0));
        let mut twice = confusion.clone();
        twice.add(&confusion);
        assert_eq!((twice.count(1, 0), twice.accuracy()), (2, confusion.accuracy()));
    }
}
