//! Learning rates that depend on the step.
//!
//! A schedule is a closed-form function of the number of steps taken so far, never a recursion with a memory of its
//! own: so a resumed run needs only the step count to go on exactly.

use std::fmt;
use std::sync::Arc;

use gradus_graph::expect_setting;

/// The learning rate as a function of the number of steps taken before this one: the first step asks for `at(0)`, as
/// in PyTorch and Optax.
///
/// A number is the constant schedule, and a closure from `u64` to `f64` is a schedule.
///
/// # Example
/// ```
/// use gradus_optim::{Adam, Optimizer, RateSchedule};
/// let constant = 1e-3;
/// assert_eq!(constant.at(1000), 1e-3);
/// let warm_up = |done: u64| 1e-3 * (1.0_f64).min((done + 1) as f64 / 100.0);
/// assert_eq!(warm_up.at(49), 5e-4);
/// let _adam = Optimizer::<f32>::new(Adam::new(warm_up));
/// ```
pub trait RateSchedule: Send + Sync + 'static {
    /// The learning rate of the step that follows `done` steps. A rule refuses the step if it is negative or not
    /// finite.
    fn at(&self, done: u64) -> f64;

    /// The rate, if it is the same at all steps: what a rule refuses when it is made, and not at its first step.
    #[doc(hidden)]
    fn constant(&self) -> Option<f64> {
        None
    }

    /// What messages call the schedule.
    #[doc(hidden)]
    fn name(&self) -> &'static str {
        std::any::type_name::<Self>()
    }
}

impl RateSchedule for f64 {
    fn at(&self, _done: u64) -> f64 {
        *self
    }

    fn constant(&self) -> Option<f64> {
        Some(*self)
    }
}

impl<F: Fn(u64) -> f64 + Send + Sync + 'static> RateSchedule for F {
    fn at(&self, done: u64) -> f64 {
        self(done)
    }
}

/// A schedule that rules hold and clone. It is itself a [`RateSchedule`].
#[derive(Clone)]
pub struct Rate(Arc<dyn RateSchedule>);

impl Rate {
    /// Holds the schedule.
    ///
    /// # Panics
    /// If it is a number that is negative or not finite.
    #[track_caller]
    pub fn new(schedule: impl RateSchedule) -> Self {
        if let Some(rate) = schedule.constant() {
            expect_setting("the learning rate", rate, 0.0..);
        }
        Self(Arc::new(schedule))
    }
}

impl RateSchedule for Rate {
    fn at(&self, done: u64) -> f64 {
        self.0.at(done)
    }

    fn constant(&self) -> Option<f64> {
        self.0.constant()
    }

    fn name(&self) -> &'static str {
        self.0.name()
    }
}

impl fmt::Debug for Rate {
    /// The rate of the first step.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at the first step", self.at(0))
    }
}
