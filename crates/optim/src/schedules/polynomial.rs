//! The schedule `Polynomial`.

use gradus_graph::expect_setting;

use super::some_steps;
use crate::RateSchedule;

/// Goes from the rate to an end, in a straight line unless another power is given, and stays there.
///
/// `end + (lr − end)·(1 − min(t, T)/T)^power`.
///
/// As `optax.polynomial_schedule`, and with end 0 as `torch.optim.lr_scheduler.PolynomialLR`. Defaults: power 1 (a
/// straight line), end 0.
///
/// # Example
/// ```
/// use gradus_optim::{Polynomial, RateSchedule};
/// let line = Polynomial::new(1.0, 100).end(0.5);
/// assert_eq!([line.at(0), line.at(50), line.at(1000)], [1.0, 0.75, 0.5]);
/// let square = Polynomial::new(1.0, 100).power(2.0);
/// assert_eq!(square.at(50), 0.25);
/// ```
#[derive(Clone, Debug)]
pub struct Polynomial {
    rate: f64,
    steps: u64,
    power: f64,
    end: f64,
}

impl Polynomial {
    /// Starts at `rate` and reaches 0 after `steps` steps.
    ///
    /// # Panics
    /// If the rate is negative or not finite, or there are no steps.
    #[track_caller]
    pub fn new(rate: f64, steps: u64) -> Self {
        expect_setting("`Polynomial::new`: rate", rate, 0.0..);
        Self { rate, steps: some_steps(steps), power: 1.0, end: 0.0 }
    }

    /// The power of the share of the steps that is left.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn power(self, power: f64) -> Self {
        expect_setting("`Polynomial::power`: power", power, 0.0..);
        Self { power, ..self }
    }

    /// The rate at the end; above the first it makes the schedule a rise.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn end(self, end: f64) -> Self {
        expect_setting("`Polynomial::end`: end", end, 0.0..);
        Self { end, ..self }
    }
}

impl RateSchedule for Polynomial {
    fn at(&self, done: u64) -> f64 {
        let left = 1.0 - done.min(self.steps) as f64 / self.steps as f64;
        self.end + (self.rate - self.end) * left.powf(self.power)
    }
}
