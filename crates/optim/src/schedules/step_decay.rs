//! The schedule `StepDecay`.

use gradus_graph::expect_setting;

use super::some_steps;
use crate::RateSchedule;

/// Multiplies the rate by γ at regular intervals.
///
/// `lr·γ^⌊t/every⌋`.
///
/// As `torch.optim.lr_scheduler.StepLR`. Defaults: γ 0.1.
///
/// # Example
/// ```
/// use gradus_optim::{RateSchedule, StepDecay};
/// let rate = StepDecay::new(1.0, 30).gamma(0.5);
/// assert_eq!([rate.at(29), rate.at(30), rate.at(60)], [1.0, 0.5, 0.25]);
/// ```
#[derive(Clone, Debug)]
pub struct StepDecay {
    rate: f64,
    every: u64,
    gamma: f64,
}

impl StepDecay {
    /// Starts at `rate` and takes a tenth every `every` steps.
    ///
    /// # Panics
    /// If the rate is negative or not finite, or `every` is 0.
    #[track_caller]
    pub fn new(rate: f64, every: u64) -> Self {
        expect_setting("`StepDecay::new`: rate", rate, 0.0..);
        Self { rate, every: some_steps(every), gamma: 0.1 }
    }

    /// The factor γ.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn gamma(self, gamma: f64) -> Self {
        expect_setting("`StepDecay::gamma`: gamma", gamma, 0.0..);
        Self { gamma, ..self }
    }
}

impl RateSchedule for StepDecay {
    fn at(&self, done: u64) -> f64 {
        self.rate * self.gamma.powf((done / self.every) as f64)
    }
}
