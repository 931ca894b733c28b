//! The learning-rate range test.

use std::ops::Bound::{Excluded, Unbounded};

use gradus_graph::{POSITIVE, expect_setting};

use crate::RateSchedule;

/// How many times the least smoothed loss ends the test.
const DIVERGED: f64 = 4.0;

/// The share that the smoothed loss keeps of its past.
const KEEP: f64 = 0.9;

/// Finds a learning rate by trying all from a very small one to a very large one.
///
/// It is itself the [`RateSchedule`] of the rates, for the optimizer of the test. The test moves the parameters: run it
/// on a clone of them.
///
/// Train with a rate that grows at each step, `low·(high/low)^(t/(T−1))`, and look where
/// the loss falls fastest and where it grows again.
///
/// Smith: Cyclical learning rates for training neural networks, 2017. The growth is exponential and the suggestion the
/// rate of the steepest fall of the smoothed loss over the logarithm of the rate, as fastai does it (the paper grows
/// the rate linearly and reads the plot by eye).
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Optimizer, RangeTest, Sgd};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([8.0]));
/// let test = RangeTest::new(1e-4, 100.0, 100);
/// let mut sgd = Optimizer::new(Sgd::new(test.clone()));
/// let curve = test.run(|| {
///     let loss = params.get(&x).item().powi(2); // descent on x² diverges from a rate of 1 on
///     let gradient = params.get(&x).map(|x| 2.0 * x);
///     sgd.step(&mut params, [(&x, &gradient)])?;
///     Ok::<f64, gradus_optim::StepError>(loss)
/// })?;
/// assert!(curve.suggestion().is_some_and(|rate| (1e-3..1.0).contains(&rate)));
/// # Ok::<(), gradus_optim::StepError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RangeTest {
    low: f64,
    high: f64,
    steps: u64,
}

/// What a [`RangeTest`] found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RangeCurve {
    /// The rates that were tried, each with the loss before the step that it made.
    pub points: Vec<(f64, f64)>,
    /// The same with the losses smoothed.
    pub smooth: Vec<(f64, f64)>,
}

impl RangeTest {
    /// A test of the rates from `low` to `high` in `steps` steps.
    ///
    /// # Panics
    /// If the rates are not positive and growing, or there are fewer than two steps.
    #[track_caller]
    pub fn new(low: f64, high: f64, steps: u64) -> Self {
        expect_setting("`RangeTest::new`: low", low, POSITIVE);
        expect_setting("`RangeTest::new`: high", high, (Excluded(low), Unbounded));
        assert!(steps > 1, "a range test needs at least two steps");
        Self { low, high, steps }
    }

    /// Calls `step`, which makes one training step at the scheduled rate and returns the loss before it, until the
    /// rates are used up, or the loss is not finite or four times as large as the least (both smoothed).
    ///
    /// # Errors
    /// Those of `step`.
    pub fn run<E>(&self, mut step: impl FnMut() -> Result<f64, E>) -> Result<RangeCurve, E> {
        let mut curve = RangeCurve::default();
        let (mut mean, mut least) = (0.0, f64::INFINITY);
        for done in 0..self.steps {
            let loss = step()?;
            if !loss.is_finite() {
                break;
            }
            mean = KEEP * mean + (1.0 - KEEP) * loss;
            let smooth = mean / (1.0 - KEEP.powf((done + 1) as f64));
            if smooth > least + (DIVERGED - 1.0) * least.abs() {
                break;
            }
            least = least.min(smooth);
            curve.points.push((self.at(done), loss));
            curve.smooth.push((self.at(done), smooth));
        }
        Ok(curve)
    }
}

impl RateSchedule for RangeTest {
    fn at(&self, done: u64) -> f64 {
        self.low * (self.high / self.low).powf(done as f64 / (self.steps - 1) as f64)
    }
}

impl RangeCurve {
    /// The rate at which the smoothed loss falls fastest over the logarithm of the rate; none if it never falls.
    pub fn suggestion(&self) -> Option<f64> {
        // The slope over two steps, so that it belongs to the point between them; the rates are evenly spaced.
        let slopes = self.smooth.windows(3).map(|three| (three[1].0, three[2].1 - three[0].1));
        let (rate, slope) = slopes.min_by(|a, b| a.1.total_cmp(&b.1))?;
        (slope < 0.0).then_some(rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[test]
    fn the_suggestion_is_where_the_loss_falls() {
        let test = RangeTest::new(1e-5, 10.0, 121);
        let mut done = 0;
        // A loss that falls around a rate of 1e-2 and is not finite from 1 on.
        let step = || {
            let rate = test.at(done);
            done += 1;
            let loss = 1.0 + 1.0 / (1.0 + (3.0 * (rate / 1e-2).ln()).exp());
            Ok::<f64, Infallible>(if rate < 1.0 { loss } else { f64::NAN })
        };
        let Ok(curve) = test.run(step);
        assert_eq!(curve.points.len(), 100);
        let rate = curve.suggestion().expect("the loss falls");
        assert!((8e-3..3e-2).contains(&rate), "{rate}");
    }

    #[test]
    fn a_loss_that_only_grows_suggests_nothing() {
        let mut loss = 1.0;
        let Ok(curve) = RangeTest::new(1e-5, 10.0, 100).run(|| {
            loss *= 1.2;
            Ok::<f64, Infallible>(loss)
        });
        assert_eq!(curve.suggestion(), None);
        assert!(curve.points.len() < 100, "the test ends when the loss is four times as large");
    }
}
