//! The schedule `WarmUp`.

use gradus_graph::expect_setting;

use super::some_steps;
use crate::RateSchedule;

/// Rises in a straight line to the first rate of a schedule, and then follows it.
///
/// `lr(0)·(from + (1 − from)·t/k)` for the first `k` steps, and then `lr(t − k)`.
///
/// As `optax.warmup_cosine_decay_schedule` for any schedule after it, and as PyTorch's `SequentialLR` of `LinearLR` and
/// another. Defaults: from 0, so that the very first step moves nothing (PyTorch: from a third).
///
/// # Example
/// ```
/// use gradus_optim::{Cosine, RateSchedule, WarmUp};
/// let rate = WarmUp::new(10, Cosine::new(1.0, 100));
/// assert_eq!([rate.at(0), rate.at(5), rate.at(10), rate.at(60)], [0.0, 0.5, 1.0, 0.5]);
/// ```
#[derive(Clone, Debug)]
pub struct WarmUp<S> {
    steps: u64,
    from: f64,
    then: S,
}

impl<S: RateSchedule> WarmUp<S> {
    /// Takes `steps` steps to the first rate of `then`.
    ///
    /// # Panics
    /// If there are no steps, or `then` is a number that is negative or not finite.
    #[track_caller]
    pub fn new(steps: u64, then: S) -> Self {
        if let Some(rate) = then.constant() {
            expect_setting("`WarmUp::new`: then", rate, 0.0..);
        }
        Self { steps: some_steps(steps), from: 0.0, then }
    }

    /// The share of the rate to begin with.
    ///
    /// # Panics
    /// If it lies outside `0..=1`.
    #[must_use]
    #[track_caller]
    pub fn from(self, from: f64) -> Self {
        expect_setting("`WarmUp::from`: from", from, 0.0..=1.0);
        Self { from, ..self }
    }
}

impl<S: RateSchedule> RateSchedule for WarmUp<S> {
    fn at(&self, done: u64) -> f64 {
        match done.checked_sub(self.steps) {
            Some(after) => self.then.at(after),
            None => self.then.at(0) * (self.from + (1.0 - self.from) * (done as f64 / self.steps as f64)),
        }
    }
}
