//! The schedule `Cyclic`.

use gradus_graph::expect_setting;

use super::some_steps;
use crate::RateSchedule;

/// Goes up and down between two rates.
///
/// `low + (high − low)·h·scale`, `h` rising from 0 to 1 in `up` steps and falling again in `down`.
///
/// As `torch.optim.lr_scheduler.CyclicLR`: the scale is 1 (triangular), halves with each cycle (triangular2), or is
/// `γ^t` (exp_range). Defaults: `down` as `up`, triangular.
///
/// Smith: Cyclical learning rates for training neural networks, 2017.
///
/// # Example
/// ```
/// use gradus_optim::{Cyclic, RateSchedule};
/// let rate = Cyclic::new(1.0, 3.0, 10).halving();
/// assert_eq!([rate.at(0), rate.at(5), rate.at(10), rate.at(20), rate.at(30)], [1.0, 2.0, 3.0, 1.0, 2.0]);
/// ```
#[derive(Clone, Debug)]
pub struct Cyclic {
    low: f64,
    high: f64,
    up: u64,
    down: u64,
    scale: Scale,
}

#[derive(Clone, Copy, Debug)]
enum Scale {
    Constant,
    Halving,
    Exponential(f64),
}

impl Cyclic {
    /// Between `low` and `high`, with `up` steps up and as many down.
    ///
    /// # Panics
    /// If the rates are negative, not finite or out of order, or there are no steps.
    #[track_caller]
    pub fn new(low: f64, high: f64, up: u64) -> Self {
        expect_setting("`Cyclic::new`: low", low, 0.0..);
        expect_setting("`Cyclic::new`: high", high, low..);
        Self { low, high, up: some_steps(up), down: up, scale: Scale::Constant }
    }

    /// The number of steps down.
    ///
    /// # Panics
    /// If there are none.
    #[must_use]
    #[track_caller]
    pub fn down(self, down: u64) -> Self {
        Self { down: some_steps(down), ..self }
    }

    /// Halves the height with each cycle (triangular2).
    #[must_use]
    pub fn halving(self) -> Self {
        Self { scale: Scale::Halving, ..self }
    }

    /// Multiplies the height by `gamma` with each step (exp_range).
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn exponential(self, gamma: f64) -> Self {
        expect_setting("`Cyclic::exponential`: gamma", gamma, 0.0..);
        Self { scale: Scale::Exponential(gamma), ..self }
    }
}

impl RateSchedule for Cyclic {
    fn at(&self, done: u64) -> f64 {
        let period = self.up + self.down;
        let (cycle, into) = (done / period, done % period);
        let height = match into < self.up {
            true => into as f64 / self.up as f64,
            false => (period - into) as f64 / self.down as f64,
        };
        let scale = match self.scale {
            Scale::Constant => 1.0,
            Scale::Halving => 0.5_f64.powf(cycle as f64),
            Scale::Exponential(gamma) => gamma.powf(done as f64),
        };
        self.low + (self.high - self.low) * height * scale
    }
}
