//! The number of steps until a value is held.

use std::fmt;

use gradus::train::History;
use gradus::train::sweep::{Spread, SweepRow};

/// A loss that is to be held: not exceeded.
#[derive(Clone, Copy)]
pub(crate) struct Target(pub(crate) f64);

/// Evaluations in a row at which a target must hold.
const HELD: usize = 3;

impl Target {
    /// The step of the first of three evaluations in a row at which the target holds; `None` if there is none.
    pub(crate) fn reached(self, history: &History, column: &str) -> Option<f64> {
        let held = history.column(column).windows(HELD).position(|values| values.iter().all(|&value| value <= self.0));
        held.map(|first| history.column("step")[first])
    }
}

/// The convergence steps of several runs.
pub(crate) struct Convergence {
    /// Over the runs that reached the target.
    pub(crate) steps: Spread,
    /// The number of all runs.
    pub(crate) runs: usize,
}

impl Convergence {
    /// Of the runs of a combination of options.
    pub(crate) fn of<T>(row: &SweepRow<T>, column: &str, target: Target) -> Self {
        let steps = row.runs().iter().filter_map(|(_, history)| target.reached(history, column));
        Self { steps: Spread::of(steps), runs: row.runs().len() }
    }

    /// The mean, if all runs reached the target, and else infinity.
    pub(crate) fn mean(&self) -> f64 {
        if self.steps.count == self.runs { self.steps.mean } else { f64::INFINITY }
    }

    /// Whether all runs reached the target, and the others did not, or needed more steps by over two standard errors of the
    /// difference.
    pub(crate) fn is_clearly_below(&self, other: &Self) -> bool {
        let squared_errors = [self, other].map(|of| of.steps.deviation.powi(2) / of.runs as f64);
        self.mean().is_finite() && other.mean() - self.mean() > 2.0 * squared_errors.iter().sum::<f64>().sqrt()
    }
}

impl fmt::Display for Convergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.steps.count {
            0 => f.write_str("not reached"),
            count if count == self.runs => write!(f, "{:.0}", self.steps),
            count => write!(f, "{:.0} ({count} of {})", self.steps, self.runs),
        }
    }
}
