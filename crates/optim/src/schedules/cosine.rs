//! The schedule `Cosine`.

use gradus_graph::expect_setting;

use super::{half_wave, some_steps};
use crate::RateSchedule;

/// Goes from the rate to an end along half a wave of the cosine, and stays there.
///
/// `end + (lr − end)·(1 + cos(π·min(t, T)/T))/2`.
///
/// As `optax.cosine_decay_schedule`, which stays at the end; `torch.optim.lr_scheduler.CosineAnnealingLR` has the same
/// values up to T and climbs again after it. Defaults: end 0.
///
/// Loshchilov, Hutter: SGDR: stochastic gradient descent with warm restarts, 2017.
///
/// # Example
/// ```
/// use gradus_optim::{Cosine, RateSchedule};
/// let rate = Cosine::new(1.0, 100).end(0.5);
/// assert_eq!([rate.at(0), rate.at(50), rate.at(1000)], [1.0, 0.75, 0.5]);
/// ```
#[derive(Clone, Debug)]
pub struct Cosine {
    rate: f64,
    steps: u64,
    end: f64,
}

impl Cosine {
    /// Starts at `rate` and reaches 0 after `steps` steps.
    ///
    /// # Panics
    /// If the rate is negative or not finite, or there are no steps.
    #[track_caller]
    pub fn new(rate: f64, steps: u64) -> Self {
        expect_setting("`Cosine::new`: rate", rate, 0.0..);
        Self { rate, steps: some_steps(steps), end: 0.0 }
    }

    /// The rate at the end.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn end(self, end: f64) -> Self {
        expect_setting("`Cosine::end`: end", end, 0.0..);
        Self { end, ..self }
    }
}

impl RateSchedule for Cosine {
    fn at(&self, done: u64) -> f64 {
        half_wave(self.rate, self.end, done.min(self.steps) as f64 / self.steps as f64)
    }
}
