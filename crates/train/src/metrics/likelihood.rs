//! How probable a classifier finds the labels.

use gradus_graph::{AnyTensor, Error, Real, Tensor};

use super::reading::{Reading, log_softmax};
use super::sum::LongSum;
use super::{Metric, Score, refused};

/// The mean of minus the logarithm of what the label's probability was, in nats.
///
/// Of logits it is exact however small the probability. Probabilities ([`LogLoss::probabilities`]) are first moved
/// into the range from the precision's epsilon to 1 less that, as scikit-learn does.
///
/// # Example
/// ```
/// use gradus_graph::Tensor;
/// use gradus_train::metrics::{LogLoss, Metric, Score};
/// let mut loss = LogLoss::new().probabilities();
/// loss.update(&Tensor::<f64>::from_rows([[0.25, 0.75], [0.5, 0.5]]), &Tensor::from([1, 0]).into())?;
/// assert!((loss.value() + (0.75_f64.ln() + 0.5_f64.ln()) / 2.0).abs() < 1e-15);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LogLoss {
    reading: Reading,
    sum: LongSum,
    count: u64,
}

impl Default for LogLoss {
    fn default() -> Self {
        Self::new()
    }
}

impl LogLoss {
    /// The loss of logits.
    pub fn new() -> Self {
        let reading = Reading { softmax: true, ..Reading::default() };
        Self { reading, sum: LongSum::default(), count: 0 }
    }

    /// Takes the outputs as probabilities.
    #[must_use]
    pub fn probabilities(mut self) -> Self {
        self.reading.softmax = false;
        self
    }

    /// Leaves out rows with this label.
    #[must_use]
    pub fn ignored(mut self, label: i64) -> Self {
        self.reading.ignored = Some(label);
        self
    }

    fn add<T: Real>(&mut self, name: &str, outputs: &Tensor<T>, targets: &AnyTensor<T>) -> Result<(), Error> {
        let unit = T::zero()..=T::one();
        if !self.reading.softmax
            && let Some(value) = outputs.data().iter().find(|value| !unit.contains(value))
        {
            return Err(refused(name, &format!("{value} is not a probability")));
        }
        let (mut losses, mut logs, softmax) = (Vec::new(), Vec::new(), self.reading.softmax);
        self.reading.read(name, outputs, targets, |row, label| {
            let loss = match row {
                [score] => match (softmax, label, score.as_f64()) {
                    (true, 1, logit) => softplus(-logit),
                    (true, _, logit) => softplus(logit),
                    (false, 1, probability) => -clipped::<T>(probability).ln(),
                    (false, _, probability) => -clipped::<T>(1.0 - probability).ln(),
                },
                row if softmax => {
                    logs.clear();
                    log_softmax(row, &mut logs);
                    -logs[label]
                }
                row => -clipped::<T>(row[label].as_f64()).ln(),
            };
            losses.push(loss);
        })?;
        losses.iter().for_each(|&loss| self.sum.add(loss));
        self.count += losses.len() as u64;
        Ok(())
    }
}

/// `ln(1 + exp x)`.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn clipped<T: Real>(probability: f64) -> f64 {
    probability.clamp(T::EPS, 1.0 - T::EPS)
}

impl Score for LogLoss {
    fn name(&self) -> &str {
        "log loss"
    }

    fn higher_is_better(&self) -> bool {
        false
    }

    fn value(&self) -> f64 {
        self.sum.value() / self.count as f64
    }

    fn reset(&mut self) {
        (self.sum, self.count, self.reading.width) = (LongSum::default(), 0, None);
    }
}

impl<T: Real> Metric<T> for LogLoss {
    fn update(&mut self, outputs: &Tensor<T>, targets: &AnyTensor<T>) -> Result<(), Error> {
        self.add("log loss", outputs, targets)
    }
}

/// The exponential of the [`LogLoss`]: among how many equally probable classes the choice would be as hard.
///
/// # Example
/// ```
/// use gradus_graph::Tensor;
/// use gradus_train::metrics::{Metric, Perplexity, Score};
/// let mut perplexity = Perplexity::new();
/// perplexity.update(&Tensor::<f32>::zeros([3, 10]), &Tensor::from([1, 2, 3]).into())?;
/// assert!((perplexity.value() - 10.0).abs() < 1e-12);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Perplexity(LogLoss);

impl Perplexity {
    /// The perplexity of logits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the outputs as probabilities.
    #[must_use]
    pub fn probabilities(self) -> Self {
        Self(self.0.probabilities())
    }

    /// Leaves out rows with this label.
    #[must_use]
    pub fn ignored(self, label: i64) -> Self {
        Self(self.0.ignored(label))
    }
}

impl Score for Perplexity {
    fn name(&self) -> &str {
        "perplexity"
    }

    fn higher_is_better(&self) -> bool {
        false
    }

    fn value(&self) -> f64 {
        self.0.value().exp()
    }

    fn reset(&mut self) {
        self.0.reset();
    }
}

impl<T: Real> Metric<T> for Perplexity {
    fn update(&mut self, outputs: &Tensor<T>, targets: &AnyTensor<T>) -> Result<(), Error> {
        self.0.add("perplexity", outputs, targets)
    }
}
