//! The schedule `Exponential`.

use gradus_graph::expect_setting;

use super::some_steps;
use crate::RateSchedule;

/// Multiplies the rate by γ over each interval of steps, evenly.
///
/// `lr·γ^(t/every)`.
///
/// As `optax.exponential_decay`, and with `every` 1 as `torch.optim.lr_scheduler.ExponentialLR`. Defaults: `every` 1.
///
/// # Example
/// ```
/// use gradus_optim::{Exponential, RateSchedule};
/// let rate = Exponential::new(1.0, 0.25).every(10);
/// assert_eq!([rate.at(0), rate.at(5), rate.at(10)], [1.0, 0.5, 0.25]);
/// ```
#[derive(Clone, Debug)]
pub struct Exponential {
    rate: f64,
    gamma: f64,
    every: u64,
}

impl Exponential {
    /// Starts at `rate` and multiplies it by `gamma` at each step.
    ///
    /// # Panics
    /// If a number is negative or not finite.
    #[track_caller]
    pub fn new(rate: f64, gamma: f64) -> Self {
        expect_setting("`Exponential::new`: rate", rate, 0.0..);
        expect_setting("`Exponential::new`: gamma", gamma, 0.0..);
        Self { rate, gamma, every: 1 }
    }

    /// The number of steps over which the rate is multiplied by γ.
    ///
    /// # Panics
    /// If it is 0.
    #[must_use]
    #[track_caller]
    pub fn every(self, steps: u64) -> Self {
        Self { every: some_steps(steps), ..self }
    }
}

impl RateSchedule for Exponential {
    fn at(&self, done: u64) -> f64 {
        self.rate * self.gamma.powf(done as f64 / self.every as f64)
    }
}
