//! The schedule `Join`.

use crate::{Rate, RateSchedule};

/// Follows one schedule after another.
///
/// Schedules one after another, each counted from its own beginning.
///
/// As `optax.join_schedules` and `torch.optim.lr_scheduler.SequentialLR`.
///
/// # Example
/// ```
/// use gradus_optim::{Cosine, Join, RateSchedule};
/// let rate = Join::new(1.0).then(50, Cosine::new(1.0, 100)).then(150, 1e-3);
/// assert_eq!([rate.at(0), rate.at(50), rate.at(100), rate.at(150)], [1.0, 1.0, 0.5, 1e-3]);
/// ```
#[derive(Clone, Debug)]
pub struct Join {
    /// Each schedule with the step that it begins at.
    parts: Vec<(u64, Rate)>,
}

impl Join {
    /// Begins with that schedule.
    ///
    /// # Panics
    /// If it is a number that is negative or not finite.
    #[track_caller]
    pub fn new(first: impl RateSchedule) -> Self {
        Self { parts: vec![(0, Rate::new(first))] }
    }

    /// Follows `next` from step `start` on.
    ///
    /// # Panics
    /// If an earlier schedule begins later.
    #[must_use]
    #[track_caller]
    pub fn then(mut self, start: u64, next: impl RateSchedule) -> Self {
        let earlier = self.parts.last().map_or(0, |&(earlier, _)| earlier);
        assert!(start >= earlier, "schedules are joined in order: one from step {start} cannot follow {earlier}");
        self.parts.push((start, Rate::new(next)));
        self
    }
}

impl RateSchedule for Join {
    fn at(&self, done: u64) -> f64 {
        let begun = self.parts.iter().rfind(|&&(start, _)| start <= done);
        begun.map_or(0.0, |(start, schedule)| schedule.at(done - start))
    }
}
