//! The schedule `MultiStep`.

use gradus_graph::expect_setting;

use crate::RateSchedule;

/// Multiplies the rate by γ at each milestone.
///
/// `lr·γ^n`, with `n` the number of milestones that are not after `t`.
///
/// As `torch.optim.lr_scheduler.MultiStepLR`. Defaults: γ 0.1.
///
/// # Example
/// ```
/// use gradus_optim::{MultiStep, RateSchedule};
/// let rate = MultiStep::new(1.0, [10, 15]).gamma(0.5);
/// assert_eq!([rate.at(9), rate.at(10), rate.at(15)], [1.0, 0.5, 0.25]);
/// ```
#[derive(Clone, Debug)]
pub struct MultiStep {
    rate: f64,
    milestones: Vec<u64>,
    gamma: f64,
}

impl MultiStep {
    /// Starts at `rate` and takes a tenth after each of these numbers of steps, in any order.
    ///
    /// # Panics
    /// If the rate is negative or not finite.
    #[track_caller]
    pub fn new(rate: f64, milestones: impl IntoIterator<Item = u64>) -> Self {
        expect_setting("`MultiStep::new`: rate", rate, 0.0..);
        Self { rate, milestones: milestones.into_iter().collect(), gamma: 0.1 }
    }

    /// The factor γ.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn gamma(self, gamma: f64) -> Self {
        expect_setting("`MultiStep::gamma`: gamma", gamma, 0.0..);
        Self { gamma, ..self }
    }
}

impl RateSchedule for MultiStep {
    fn at(&self, done: u64) -> f64 {
        let passed = self.milestones.iter().filter(|&&milestone| milestone <= done).count();
        self.rate * self.gamma.powf(passed as f64)
    }
}
