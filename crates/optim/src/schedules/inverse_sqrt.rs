//! The schedule `InverseSqrt`.

use gradus_graph::expect_setting;

use super::some_steps;
use crate::RateSchedule;

/// Is constant for a number of steps, and then decreases as one over the root of the step.
///
/// `lr·√(k / max(t, k))`, constant for the first `k` steps.
///
/// The decay of the Transformer's schedule; with a [`WarmUp`](crate::WarmUp) before it, it is that schedule.
///
/// Vaswani and others: Attention is all you need, 2017.
///
/// # Example
/// ```
/// use gradus_optim::{InverseSqrt, RateSchedule};
/// let rate = InverseSqrt::new(1.0, 100);
/// assert_eq!([rate.at(0), rate.at(100), rate.at(400)], [1.0, 1.0, 0.5]);
/// ```
#[derive(Clone, Debug)]
pub struct InverseSqrt {
    rate: f64,
    constant: u64,
}

impl InverseSqrt {
    /// Starts at `rate` and goes down after `constant` steps.
    ///
    /// # Panics
    /// If the rate is negative or not finite, or `constant` is 0.
    #[track_caller]
    pub fn new(rate: f64, constant: u64) -> Self {
        expect_setting("`InverseSqrt::new`: rate", rate, 0.0..);
        Self { rate, constant: some_steps(constant) }
    }
}

impl RateSchedule for InverseSqrt {
    fn at(&self, done: u64) -> f64 {
        self.rate * (self.constant as f64 / done.max(self.constant) as f64).sqrt()
    }
}
