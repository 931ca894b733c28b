//! The rule `ScheduleFreeAdamW`.

use std::ops::Bound::{Excluded, Included};

use gradus_graph::{Real, expect_setting};

use super::end;
use super::rmsprop::ScaleByRoot;
use crate::{Chain, Part, Rate, RateSchedule, ScheduleFree};

/// AdamW that averages instead of momentum and of a falling learning rate.
///
/// `z ← z − lr·(g/(√v̂ + ε) + decay·y)` at the point `y` between `z` and its average; see
/// [`ScheduleFree`](crate::ScheduleFree) for the rest of the formula.
///
/// As `AdamWScheduleFree` of the authors' package `schedulefree`: no first moment, since the average takes its place.
/// The learning rate is constant, or rises at first and then stays: their `warmup_steps` of k is `WarmUp::new(k - 1,
/// lr).from(1.0 / k)`. Evaluate and keep [`Optimizer::averaged`](crate::Optimizer::averaged). The usual learning rate
/// is 2.5e-3.
///
/// Differences: their weights may grow with the step (`r`, 0 there by default), here not.
/// `optax.contrib.schedule_free_adamw` is the same with a constant rate; while the rate rises it gives each step the
/// weight of the next one's rate.
///
/// Defaults: β₁ 0.9, β₂ 0.999, ε 1e-8 outside the root, no decay, power 2. State: `mean_square`, from zero;
/// `moved_point`; the numbers `sum_of_weights` and `largest_rate`.
///
/// Defazio, Yang, Mehta, Mishchenko, Khaled, Cutkosky: The road less scheduled, 2024.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Optimizer, ScheduleFreeAdamW};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0]));
/// let mut rule = Optimizer::new(ScheduleFreeAdamW::new(0.25).eps(0.0));
/// rule.step(&mut params, [(&x, &Tensor::from([-3.0]))]).unwrap();
/// params.get(&x).assert_close(&Tensor::from([1.25]), 1e-15, 0.0); // all three points are one
/// ```
#[derive(Clone, Debug)]
pub struct ScheduleFreeAdamW {
    learning_rate: Rate,
    scale: ScaleByRoot,
    decay: f64,
    averaging: ScheduleFree,
}

impl ScheduleFreeAdamW {
    /// Schedule-free AdamW with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        let scale = ScaleByRoot { alpha: 0.999, corrected: true, ..ScaleByRoot::default() };
        Self { learning_rate: Rate::new(learning_rate), scale, decay: 0.0, averaging: ScheduleFree::new() }
    }

    /// The share of the average in the point at which gradients are taken, and the decay rate of the mean square.
    ///
    /// # Panics
    /// If the share is not above 0 and at most 1, or the rate lies outside `0..1`.
    #[must_use]
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        expect_setting("`ScheduleFreeAdamW::betas`: beta1", beta1, (Excluded(0.0), Included(1.0)));
        expect_setting("`ScheduleFreeAdamW::betas`: beta2", beta2, 0.0..1.0);
        self.averaging = self.averaging.beta(beta1);
        self.scale.alpha = beta2;
        self
    }

    /// The number that keeps the denominator from zero.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Self {
        expect_setting("`ScheduleFreeAdamW::eps`: eps", eps, 0.0..);
        self.scale.eps = eps;
        self
    }

    /// The factor of the decoupled weight decay (default: none).
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn decay(self, decay: f64) -> Self {
        expect_setting("`ScheduleFreeAdamW::decay`: decay", decay, 0.0..);
        Self { decay, ..self }
    }

    /// The power of the largest learning rate so far with which a step counts in the average.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn power(self, power: f64) -> Self {
        expect_setting("`ScheduleFreeAdamW::power`: power", power, 0.0..);
        Self { averaging: self.averaging.power(power), ..self }
    }
}

impl Part for ScheduleFreeAdamW {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        end(chain.then(self.scale), self.decay, self.learning_rate);
        chain.then(self.averaging);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule(ScheduleFreeAdamW::new(0.01));
        testing::assert_rule(ScheduleFreeAdamW::new(0.01).decay(1e-2));
    }
}
