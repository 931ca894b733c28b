//! How far predicted numbers are from the true ones.

use gradus_graph::{AnyTensor, Error, Real, Tensor};

use super::sum::LongSum;
use super::{Metric, Score, refused};

/// What a metric keeps of the rows of one output.
trait Column: Clone + Default {
    fn add(&mut self, prediction: f64, target: f64);

    /// The value over `count` rows, at least one.
    fn value(&self, count: f64) -> f64;
}

/// The columns of the outputs, and the number of rows.
#[derive(Clone, Debug)]
struct Columns<C> {
    columns: Vec<C>,
    rows: u64,
}

impl<C: Column> Columns<C> {
    fn update<T: Real>(&mut self, metric: &str, outputs: &Tensor<T>, targets: &AnyTensor<T>) -> Result<(), Error> {
        let (predicted, wanted) = (outputs.shape(), targets.shape());
        let width = match (&predicted[..], &wanted[..]) {
            ([_], [_, 1]) | ([_, 1], [_]) if predicted[0] == wanted[0] => 1,
            (a, b) if a != b => {
                let problem = format!("predictions and targets need one shape; these have {predicted} and {wanted}");
                return Err(refused(metric, &problem));
            }
            ([] | [_], _) => 1,
            ([.., width], _) => *width,
        };
        if !self.columns.is_empty() && self.columns.len() != width {
            let before = self.columns.len();
            let problem = format!("a row has {width} outputs here, and had {before} in the batches before");
            return Err(refused(metric, &problem));
        }
        let targets: Vec<f64> = match targets {
            AnyTensor::Real(targets) => targets.data().iter().map(|target| target.as_f64()).collect(),
            AnyTensor::Index(targets) => targets.data().iter().map(|&target| target as f64).collect(),
        };
        if let Some(value) = outputs.data().iter().find(|value| !value.is_finite()) {
            return Err(refused(metric, &format!("a prediction is {value}")));
        }
        if let Some(value) = targets.iter().find(|value| !value.is_finite()) {
            return Err(refused(metric, &format!("a target is {value}")));
        }
        if targets.is_empty() {
            return Ok(());
        }
        self.columns.resize(width, C::default());
        for (predictions, targets) in outputs.data().chunks(width).zip(targets.chunks(width)) {
            for ((column, prediction), target) in self.columns.iter_mut().zip(predictions).zip(targets) {
                column.add(prediction.as_f64(), *target);
            }
            self.rows += 1;
        }
        Ok(())
    }

    fn value(&self) -> f64 {
        self.columns.iter().map(|column| column.value(self.rows as f64)).sum::<f64>() / self.columns.len() as f64
    }
}

impl<C> Default for Columns<C> {
    fn default() -> Self {
        Self { columns: Vec::new(), rows: 0 }
    }
}

/// A metric over columns.
macro_rules! regression {
    ($(#[$doc:meta])* $type:ident, $name:literal, $column:ty, higher_is_better: $better:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $type(Columns<$column>);

        impl $type {
            /// The metric before any batch.
            pub fn new() -> Self {
                Self::default()
            }
        }

        impl Score for $type {
            fn name(&self) -> &str {
                $name
            }

            fn higher_is_better(&self) -> bool {
                $better
            }

            fn value(&self) -> f64 {
                self.0.value()
            }

            fn reset(&mut self) {
                self.0 = Columns::default();
            }
        }

        impl<T: Real> Metric<T> for $type {
            fn update(&mut self, outputs: &Tensor<T>, targets: &AnyTensor<T>) -> Result<(), Error> {
                self.0.update($name, outputs, targets)
            }
        }
    };
}

#[derive(Clone, Debug, Default)]
struct Absolute(LongSum);

impl Column for Absolute {
    fn add(&mut self, prediction: f64, target: f64) {
        self.0.add((target - prediction).abs());
    }

    fn value(&self, count: f64) -> f64 {
        self.0.value() / count
    }
}

regression! {
    /// The mean absolute error.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Tensor;
    /// use gradus_train::metrics::{Mae, Metric, Score};
    /// let mut error = Mae::new();
    /// error.update(&Tensor::<f32>::from([2.5, 0.0, 2.0, 8.0]), &Tensor::from([3.0, -0.5, 2.0, 7.0]).into())?;
    /// assert_eq!(error.value(), 0.5);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    Mae, "MAE", Absolute, higher_is_better: false
}

#[derive(Clone, Debug, Default)]
struct Squared(LongSum);

impl Column for Squared {
    fn add(&mut self, prediction: f64, target: f64) {
        self.0.add_square(target - prediction);
    }

    fn value(&self, count: f64) -> f64 {
        self.0.value() / count
    }
}

regression! {
    /// The mean squared error.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Tensor;
    /// use gradus_train::metrics::{Metric, Mse, Score};
    /// let mut error = Mse::new();
    /// error.update(&Tensor::<f32>::from([2.5, 0.0, 2.0, 8.0]), &Tensor::from([3.0, -0.5, 2.0, 7.0]).into())?;
    /// assert_eq!(error.value(), 0.375);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    Mse, "MSE", Squared, higher_is_better: false
}

#[derive(Clone, Debug, Default)]
struct Root(Squared);

impl Column for Root {
    fn add(&mut self, prediction: f64, target: f64) {
        self.0.add(prediction, target);
    }

    fn value(&self, count: f64) -> f64 {
        self.0.value(count).sqrt()
    }
}

regression! {
    /// The root of the mean squared error.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Tensor;
    /// use gradus_train::metrics::{Metric, Rmse, Score};
    /// let mut error = Rmse::new();
    /// error.update(&Tensor::<f32>::from([3.0, 1.0]), &Tensor::from([1.0, -1.0]).into())?;
    /// assert_eq!(error.value(), 2.0);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    Rmse, "RMSE", Root, higher_is_better: false
}

#[derive(Clone, Debug, Default)]
struct Relative(LongSum);

impl Column for Relative {
    fn add(&mut self, prediction: f64, target: f64) {
        self.0.add((target - prediction).abs() / target.abs().max(f64::EPSILON));
    }

    fn value(&self, count: f64) -> f64 {
        self.0.value() / count
    }
}

regression! {
    /// The mean of the absolute error divided by the magnitude of the target: 0.1 for ten per cent. A target of 0 counts
    /// as the epsilon of f64, so an error there is huge, as in scikit-learn.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Tensor;
    /// use gradus_train::metrics::{Mape, Metric, Score};
    /// let mut error = Mape::new();
    /// error.update(&Tensor::<f32>::from([3.0, 1.0]), &Tensor::from([2.0, -1.0]).into())?;
    /// assert_eq!(error.value(), 1.25);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    Mape, "MAPE", Relative, higher_is_better: false
}

#[derive(Clone, Debug, Default)]
struct Median(Vec<f64>);

impl Column for Median {
    fn add(&mut self, prediction: f64, target: f64) {
        self.0.push((target - prediction).abs());
    }

    fn value(&self, _: f64) -> f64 {
        let mut errors = self.0.clone();
        let half = errors.len() / 2;
        let (below, middle, _) = errors.select_nth_unstable_by(half, f64::total_cmp);
        let middle = *middle;
        if self.0.len() % 2 == 1 {
            return middle;
        }
        0.5 * below.iter().fold(0.0, |largest: f64, &error| largest.max(error)) + 0.5 * middle
    }
}

regression! {
    /// The median of the absolute errors; of an even number of them, the mean of the middle two. Keeps all errors.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Tensor;
    /// use gradus_train::metrics::{MedianAbsoluteError, Metric, Score};
    /// let mut error = MedianAbsoluteError::new();
    /// error.update(&Tensor::<f32>::from([2.5, 0.0, 2.0, 8.0]), &Tensor::from([3.0, -0.5, 2.0, 7.0]).into())?;
    /// assert_eq!(error.value(), 0.5);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    MedianAbsoluteError, "median absolute error", Median, higher_is_better: false
}

/// Sums of numbers and of their squares, from which the spread about their mean follows.
#[derive(Clone, Debug)]
struct Moments {
    sum: LongSum,
    squares: LongSum,
    low: f64,
    high: f64,
}

impl Default for Moments {
    fn default() -> Self {
        let (sum, squares) = (LongSum::default(), LongSum::default());
        Self { sum, squares, low: f64::INFINITY, high: f64::NEG_INFINITY }
    }
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.sum.add(value);
        self.squares.add_square(value);
        (self.low, self.high) = (self.low.min(value), self.high.max(value));
    }

    /// The sum of squared distances from the mean: 0 if all are equal, whatever is rounded.
    fn spread(&self, count: f64) -> f64 {
        if self.low == self.high { 0.0 } else { self.squares.about_mean(self.sum, count) }
    }
}

/// `1 − part/whole`; without a whole, 1 for no part and 0 for any.
fn explained(part: f64, whole: f64) -> f64 {
    match (part == 0.0, whole == 0.0) {
        (true, true) => 1.0,
        (false, true) => 0.0,
        _ => 1.0 - part / whole,
    }
}

#[derive(Clone, Debug, Default)]
struct Determination {
    errors: Squared,
    targets: Moments,
}

impl Column for Determination {
    fn add(&mut self, prediction: f64, target: f64) {
        self.errors.add(prediction, target);
        self.targets.add(target);
    }

    fn value(&self, count: f64) -> f64 {
        if count < 2.0 {
            return f64::NAN;
        }
        explained(self.errors.0.value(), self.targets.spread(count))
    }
}

regression! {
    /// The coefficient of determination, R²: 1 less the squared errors beside those of the mean. For targets that are all
    /// equal it is 1 if all predictions are right, else 0; for fewer than two rows it is NaN.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Tensor;
    /// use gradus_train::metrics::{Metric, R2, Score};
    /// let mut score = R2::new();
    /// score.update(&Tensor::<f32>::from([1.0, 2.0, 4.0]), &Tensor::from([1.0, 2.0, 3.0]).into())?;
    /// assert_eq!(score.value(), 0.5);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    R2, "R²", Determination, higher_is_better: true
}

#[derive(Clone, Debug, Default)]
struct Explained {
    errors: Moments,
    targets: Moments,
}

impl Column for Explained {
    fn add(&mut self, prediction: f64, target: f64) {
        self.errors.add(target - prediction);
        self.targets.add(target);
    }

    fn value(&self, count: f64) -> f64 {
        explained(self.errors.spread(count), self.targets.spread(count))
    }
}

regression! {
    /// The explained variance: 1 less the variance of the errors beside that of the targets. Unlike [`R2`] it does not
    /// mind errors that are all equal. For targets that are all equal it is 1 if the errors are too, else 0.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Tensor;
    /// use gradus_train::metrics::{ExplainedVariance, Metric, Score};
    /// let mut score = ExplainedVariance::new();
    /// score.update(&Tensor::<f32>::from([2.0, 3.0, 4.0]), &Tensor::from([1.0, 2.0, 3.0]).into())?;
    /// assert_eq!(score.value(), 1.0);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    ExplainedVariance, "explained variance", Explained, higher_is_better: true
}
