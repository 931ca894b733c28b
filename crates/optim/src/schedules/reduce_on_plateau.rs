//! Reduction of the learning rate on a plateau.

use gradus_graph::{Params, Real, expect_setting};

use crate::state::{RestoreError, Restoring, SavedState, Stateful};

/// Reduces the factor of the learning rate when a metric that should decrease has stopped improving.
///
/// It is not a [`RateSchedule`](crate::RateSchedule), since it depends on more than the step: the program reports the
/// metric to it, and passes its factor to [`Optimizer::scale_rate`](crate::Optimizer::scale_rate). A value that is not
/// a number is not better.
///
/// The factor of the rate is multiplied by γ when a metric has not improved for a while.
///
/// As `torch.optim.lr_scheduler.ReduceLROnPlateau`: a value counts as better if it is below `best·(1 − threshold)`;
/// more than `patience` values in a row that are not better cut the rate; in the `cooldown` after a cut none is
/// counted; a cut by no more than ε is not made. Differences: the bound and ε are of the factor, where PyTorch's
/// `min_lr` and `eps` are of the rate (divide them by the first rate).
///
/// Defaults: γ 0.1, patience 10, threshold 1e-4, cooldown 0, least factor 0, ε 1e-8. State: `factor`, `best`,
/// `waited`, `cooling`.
///
/// # Example
/// ```
/// use gradus_optim::{Optimizer, ReduceOnPlateau, Sgd};
/// let mut optimizer = Optimizer::<f32>::new(Sgd::new(0.5));
/// let mut plateau = ReduceOnPlateau::new().gamma(0.5).patience(1);
/// for loss in [3.0, 2.0, 2.0, 2.0] {
///     optimizer.scale_rate(plateau.report(loss));
/// }
/// assert_eq!(optimizer.learning_rate(), 0.25);
/// ```
#[derive(Clone, Debug)]
pub struct ReduceOnPlateau {
    gamma: f64,
    patience: u64,
    threshold: f64,
    absolute: bool,
    maximize: bool,
    pause: u64,
    least: f64,
    eps: f64,
    factor: f64,
    best: f64,
    waited: u64,
    cooling: u64,
}

impl Default for ReduceOnPlateau {
    fn default() -> Self {
        Self::new()
    }
}

impl ReduceOnPlateau {
    /// PyTorch's defaults.
    pub fn new() -> Self {
        Self {
            gamma: 0.1,
            patience: 10,
            threshold: 1e-4,
            absolute: false,
            maximize: false,
            pause: 0,
            least: 0.0,
            eps: 1e-8,
            factor: 1.0,
            best: f64::INFINITY,
            waited: 0,
            cooling: 0,
        }
    }

    /// The factor γ of each cut.
    ///
    /// # Panics
    /// If it lies outside `0..1`.
    #[must_use]
    #[track_caller]
    pub fn gamma(self, gamma: f64) -> Self {
        expect_setting("`ReduceOnPlateau::gamma`: gamma", gamma, 0.0..1.0);
        Self { gamma, ..self }
    }

    /// The number of values in a row without improvement before the rate is reduced; 10 by default.
    #[must_use]
    pub fn patience(self, patience: u64) -> Self {
        Self { patience, ..self }
    }

    /// By what share of the best value a better one differs from it.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn threshold(self, threshold: f64) -> Self {
        expect_setting("`ReduceOnPlateau::threshold`: threshold", threshold, 0.0..);
        Self { threshold, absolute: false, ..self }
    }

    /// By how much a better value differs from the best.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn absolute_threshold(self, threshold: f64) -> Self {
        expect_setting("`ReduceOnPlateau::absolute_threshold`: threshold", threshold, 0.0..);
        Self { threshold, absolute: true, ..self }
    }

    /// Whether the metric should go up.
    pub fn is_maximizing(&self) -> bool {
        self.maximize
    }

    /// For a metric that should go up.
    #[must_use]
    pub fn maximize(self) -> Self {
        Self { maximize: true, best: f64::NEG_INFINITY, ..self }
    }

    /// The number of values after a cut that are not counted.
    #[must_use]
    pub fn cooldown(self, values: u64) -> Self {
        Self { pause: values, ..self }
    }

    /// The least factor to go down to.
    ///
    /// # Panics
    /// If it lies outside `0..=1`.
    #[must_use]
    #[track_caller]
    pub fn least(self, factor: f64) -> Self {
        expect_setting("`ReduceOnPlateau::least`: factor", factor, 0.0..=1.0);
        Self { least: factor, ..self }
    }

    /// The change of the factor that is too small to be made.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn eps(self, eps: f64) -> Self {
        expect_setting("`ReduceOnPlateau::eps`: eps", eps, 0.0..);
        Self { eps, ..self }
    }

    /// Takes the next value of the metric and returns the factor of the learning rate from now on.
    pub fn report(&mut self, metric: f64) -> f64 {
        let sign = if self.maximize { 1.0 } else { -1.0 };
        let margin = if self.absolute { self.threshold } else { self.best * self.threshold };
        // Before the first value the margin is infinite or not a number, and any value is better.
        let bar = if self.best.is_finite() { self.best + sign * margin } else { self.best };
        if if self.maximize { metric > bar } else { metric < bar } {
            (self.best, self.waited) = (metric, 0);
        } else {
            self.waited += 1;
        }
        if self.cooling > 0 {
            (self.cooling, self.waited) = (self.cooling - 1, 0);
        }
        if self.waited > self.patience {
            let cut = (self.factor * self.gamma).max(self.least);
            if self.factor - cut > self.eps {
                self.factor = cut;
            }
            (self.cooling, self.waited) = (self.pause, 0);
        }
        self.factor
    }
}

impl<T: Real> Stateful<T> for ReduceOnPlateau {
    fn state(&self) -> SavedState<T> {
        let mut state = SavedState::default();
        state.numbers.extend([("factor".to_owned(), self.factor), ("best".to_owned(), self.best)]);
        state.counts.extend([("waited".to_owned(), self.waited), ("cooling".to_owned(), self.cooling)]);
        state
    }

    fn restore(&mut self, _params: &Params<T>, state: &SavedState<T>) -> Result<(), RestoreError> {
        let mut from = Restoring::new(state);
        let (factor, best) = (from.number("factor"), from.number("best"));
        let (waited, cooling) = (from.count("waited"), from.count("cooling"));
        from.finish()?;
        (self.factor, self.best, self.waited, self.cooling) = (factor, best, waited, cooling);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restored_watch_goes_on() {
        let metrics = [5.0, 4.0, f64::NAN, 4.5, 4.2, 3.0, 3.5, 3.5, 3.5, 3.5, 3.5];
        let new = || ReduceOnPlateau::new().gamma(0.5).patience(1).cooldown(1).least(0.2);
        let mut whole = new();
        let factors = metrics.map(|metric| whole.report(metric));
        assert_eq!(factors, [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2]);
        for cut in 0..metrics.len() {
            let (mut first, mut second) = (new(), new());
            for &metric in &metrics[..cut] {
                first.report(metric);
            }
            let state: SavedState<f32> = first.state();
            second.restore(&Params::new(0), &state).expect("the state fits");
            let rest: Vec<f64> = metrics[cut..].iter().map(|&metric| second.report(metric)).collect();
            assert_eq!(rest, factors[cut..]);
        }
        let refused = whole.restore(&Params::<f32>::new(0), &SavedState::default()).unwrap_err();
        assert_eq!(refused.missing, ["factor", "best", "waited", "cooling"]);
    }
}
