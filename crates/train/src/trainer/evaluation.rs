//! The loss and the metrics of a model on data that it is not trained on.

use std::fmt;

use gradus_graph::{AnyTensor, Data, Graph, Params, Real, Var};

use super::batch::{BatchInputs, rows};
use super::error::TrainError;
use crate::function::Function;
use crate::metrics::Metric;

/// A closure that gives a loss and a prediction, with metrics that compare the prediction with the last input of a
/// batch, the targets.
///
/// The loss of a data set is the mean of those of its batches, each weighted by its number of rows; metrics are exact,
/// whatever the batches are.
///
/// # Example
/// ```
/// use gradus_data::digits;
/// use gradus_graph::Params;
/// use gradus_nn::{Dense, Layer, loss};
/// use gradus_train::{Evaluation, metrics::Accuracy};
/// let mut params: Params = Params::new(0);
/// let model = Dense::new(&mut params, "model", 64, 10);
/// let mut evaluation = Evaluation::new(|_, [images, digits]| {
///     let logits = model.forward(images);
///     [loss::cross_entropy(logits, digits), logits]
/// })
/// .metric(Accuracy::new());
/// let test = digits::load().test.reshaped([64]);
/// let scores = evaluation.run(&params, test.batches(100))?;
/// assert!(scores.get("accuracy") < 0.5, "{scores}");
/// # Ok::<(), gradus_train::TrainError>(())
/// ```
#[must_use]
pub struct Evaluation<F, const N: usize, T = f32> {
    outputs: Function<F, N, 2, T>,
    metrics: Vec<(String, Box<dyn Metric<T>>)>,
}

impl<F, T: Real, const N: usize> Evaluation<F, N, T>
where
    F: for<'g> Fn(&'g Graph, [Var<'g>; N]) -> [Var<'g>; 2],
{
    /// The evaluation by a closure from the inputs of a batch to the mean loss of its rows, and the prediction.
    pub fn new(outputs: F) -> Self {
        Self { outputs: Function::new(outputs), metrics: Vec::new() }
    }

    /// Adds a metric.
    ///
    /// # Panics
    /// If another metric has its name: [`metric_as`](Self::metric_as) gives it another.
    #[track_caller]
    pub fn metric(self, metric: impl Metric<T> + 'static) -> Self {
        let name = metric.name().to_owned();
        self.metric_as(name, metric)
    }

    /// Adds a metric under a name, such as that of one of two that differ in an option alone.
    ///
    /// # Panics
    /// If another metric, or the loss, has that name.
    #[track_caller]
    pub fn metric_as(mut self, name: impl Into<String>, metric: impl Metric<T> + 'static) -> Self {
        let name = name.into();
        let taken = name == LOSS || self.metrics.iter().any(|(known, _)| *known == name);
        assert!(
            !taken,
            "`Evaluation::metric`: two scores are named `{name}`; `Evaluation::metric_as` gives another name"
        );
        self.metrics.push((name, Box::new(metric)));
        self
    }

    /// The names of the scores, and whether larger ones are better.
    pub(super) fn scores(&self) -> Vec<(String, bool)> {
        let metrics = self.metrics.iter().map(|(name, metric)| (name.clone(), metric.higher_is_better()));
        std::iter::once((LOSS.to_owned(), false)).chain(metrics).collect()
    }

    /// The scores of the model with these parameters on these batches.
    ///
    /// # Errors
    /// If there is no batch, if the iterator gives an error in place of one, or if a run fails.
    ///
    /// # Panics
    /// Where the closure or a metric does, if the shapes do not fit.
    #[track_caller]
    pub fn run<B: BatchInputs<T, N>>(
        &mut self,
        params: &Params<T>,
        batches: impl IntoIterator<Item = B>,
    ) -> Result<Scores, TrainError> {
        let (mut sum, mut count) = (0.0, 0);
        for (_, metric) in &mut self.metrics {
            metric.reset();
        }
        for batch in batches {
            let inputs = batch.inputs().map_err(TrainError::before)?;
            let [loss, prediction] = self.outputs.run(params, inputs).map_err(TrainError::before)?;
            let n = rows(&inputs);
            sum += loss.real().item().as_f64() * n as f64;
            count += n;
            let Some(targets) = inputs.last() else { continue };
            let targets = match *targets {
                Data::Real(targets) => AnyTensor::Real(targets.clone()),
                Data::Index(targets) => AnyTensor::Index(targets.clone()),
            };
            for (_, metric) in &mut self.metrics {
                metric.update(prediction.real(), &targets).map_err(TrainError::before)?;
            }
        }
        if count == 0 {
            return Err(TrainError::before("there is nothing to evaluate: the iterator gave no batch with a row"));
        }
        let metrics = self.metrics.iter().map(|(name, metric)| (name.clone(), metric.value()));
        Ok(Scores(std::iter::once((LOSS.to_owned(), sum / count as f64)).chain(metrics).collect()))
    }
}

pub(super) const LOSS: &str = "loss";

/// The loss and the metrics of a model on a data set, by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores(Vec<(String, f64)>);

impl Scores {
    /// The score of that name; NaN if there is none.
    pub fn get(&self, name: &str) -> f64 {
        self.iter().find(|(known, _)| *known == name).map_or(f64::NAN, |(_, value)| value)
    }

    /// Names and values, the loss first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }
}

impl fmt::Display for Scores {
    /// `loss 0.0523, accuracy 0.9917`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, value)) in self.iter().enumerate() {
            write!(f, "{}{name} {value:.4}", if number > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}
