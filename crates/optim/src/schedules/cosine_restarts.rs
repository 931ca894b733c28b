//! The schedule `CosineRestarts`.

use gradus_graph::expect_setting;

use super::{half_wave, some_steps};
use crate::RateSchedule;

/// Goes down half a wave of the cosine again and again, in periods that may grow.
///
/// `end + (lr − end)·(1 + cos(π·s/Tᵢ))/2`, `s` steps into period `i` of length
/// `Tᵢ = T₀·multⁱ`.
///
/// As `torch.optim.lr_scheduler.CosineAnnealingWarmRestarts`. Defaults: end 0, mult 1.
///
/// Loshchilov, Hutter: SGDR: stochastic gradient descent with warm restarts, 2017.
///
/// # Example
/// ```
/// use gradus_optim::{CosineRestarts, RateSchedule};
/// let rate = CosineRestarts::new(1.0, 10).multiply(2);
/// assert_eq!([rate.at(0), rate.at(10), rate.at(20), rate.at(30)], [1.0, 1.0, 0.5, 1.0]);
/// ```
#[derive(Clone, Debug)]
pub struct CosineRestarts {
    rate: f64,
    period: u64,
    multiply: u64,
    end: f64,
}

impl CosineRestarts {
    /// Starts each period of `period` steps at `rate`.
    ///
    /// # Panics
    /// If the rate is negative or not finite, or there are no steps.
    #[track_caller]
    pub fn new(rate: f64, period: u64) -> Self {
        expect_setting("`CosineRestarts::new`: rate", rate, 0.0..);
        Self { rate, period: some_steps(period), multiply: 1, end: 0.0 }
    }

    /// The factor by which each period is longer than the one before.
    ///
    /// # Panics
    /// If it is 0.
    #[must_use]
    #[track_caller]
    pub fn multiply(self, multiply: u64) -> Self {
        assert!(multiply > 0, "a period of a schedule has at least one step");
        Self { multiply, ..self }
    }

    /// The rate that each period goes down to.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn end(self, end: f64) -> Self {
        expect_setting("`CosineRestarts::end`: end", end, 0.0..);
        Self { end, ..self }
    }
}

impl RateSchedule for CosineRestarts {
    fn at(&self, done: u64) -> f64 {
        let (mut into, mut period) = (done, self.period);
        if self.multiply == 1 {
            into %= period;
        }
        // Periods at least double, so there are no more than 64 before any step.
        while into >= period {
            into -= period;
            period = period.saturating_mul(self.multiply);
        }
        half_wave(self.rate, self.end, into as f64 / period as f64)
    }
}
