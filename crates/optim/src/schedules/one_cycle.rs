//! The schedule `OneCycle`.

use gradus_graph::{POSITIVE, expect_setting};

use super::half_wave;
use crate::RateSchedule;

/// Goes up once and down once, to far below where it began.
///
/// From `high/div` up to `high` in the share `rise` of all steps, then down to `high/(div·final_div)`.
///
/// As `torch.optim.lr_scheduler.OneCycleLR`: the parts are half waves of the cosine, or straight lines; with three
/// phases the rate goes down to `high/div` as slowly as it rose, and then on to the end. Defaults: rise 0.3, div 25,
/// final_div 1e4, cosine, two phases. After the last step the rate stays.
///
/// Smith, Topin: Super-convergence: very fast training of neural networks using large learning rates, 2018.
///
/// # Example
/// ```
/// use gradus_optim::{OneCycle, RateSchedule};
/// let rate = OneCycle::new(1.0, 101).rise(50.0 / 101.0).divide(4.0, 2.0).linear();
/// assert_eq!([rate.at(0), rate.at(49), rate.at(100)], [0.25, 1.0, 0.125]);
/// ```
#[derive(Clone, Debug)]
pub struct OneCycle {
    high: f64,
    steps: u64,
    rise: f64,
    divisors: (f64, f64),
    linear: bool,
    three_phases: bool,
}

impl OneCycle {
    /// A cycle of `steps` steps with the largest rate `high`.
    ///
    /// # Panics
    /// If the rate is negative or not finite, or there are fewer than two steps.
    #[track_caller]
    pub fn new(high: f64, steps: u64) -> Self {
        expect_setting("`OneCycle::new`: high", high, 0.0..);
        assert!(steps > 1, "a cycle needs at least two steps");
        Self { high, steps, rise: 0.3, divisors: (25.0, 1e4), linear: false, three_phases: false }
    }

    /// The share of the steps in which the rate rises.
    ///
    /// # Panics
    /// If it lies outside `0..1`.
    #[must_use]
    #[track_caller]
    pub fn rise(self, rise: f64) -> Self {
        expect_setting("`OneCycle::rise`: rise", rise, 0.0..1.0);
        Self { rise, ..self }
    }

    /// How many times smaller than the largest rate the first is, and than the first the last.
    ///
    /// # Panics
    /// If a number is not positive and finite.
    #[must_use]
    #[track_caller]
    pub fn divide(self, first: f64, last: f64) -> Self {
        expect_setting("`OneCycle::divide`: first", first, POSITIVE);
        expect_setting("`OneCycle::divide`: last", last, POSITIVE);
        Self { divisors: (first, last), ..self }
    }

    /// Straight lines instead of half waves.
    #[must_use]
    pub fn linear(self) -> Self {
        Self { linear: true, ..self }
    }

    /// Goes down to the first rate in as many steps as it rose in, and then on to the last.
    #[must_use]
    pub fn three_phases(self) -> Self {
        Self { three_phases: true, ..self }
    }
}

impl RateSchedule for OneCycle {
    fn at(&self, done: u64) -> f64 {
        let first = self.high / self.divisors.0;
        let last = first / self.divisors.1;
        let (step, end) = (done as f64, (self.steps - 1) as f64);
        let top = self.rise * self.steps as f64 - 1.0;
        let turn = if self.three_phases { 2.0 * top } else { end };
        let (from, to, start, stop) = match step {
            step if step <= top => (first, self.high, 0.0, top),
            step if self.three_phases && step <= turn => (self.high, first, top, turn),
            _ if self.three_phases => (first, last, turn, end),
            _ => (self.high, last, top, end),
        };
        let share = if stop > start { ((step - start) / (stop - start)).min(1.0) } else { 1.0 };
        if self.linear { from + (to - from) * share } else { half_wave(from, to, share) }
    }
}
