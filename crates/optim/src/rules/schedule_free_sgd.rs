//! The rule `ScheduleFreeSgd`.

use std::ops::Bound::{Excluded, Included};

use gradus_graph::{Real, expect_setting};

use crate::{Chain, Part, Rate, RateSchedule, ScheduleFree};

/// Gradient descent that averages instead of a falling learning rate.
///
/// Gradients are taken between the point that SGD moves and its average; see
/// [`ScheduleFree`](crate::ScheduleFree) for the formula.
///
/// As `SGDScheduleFree` of the authors' package `schedulefree`. The learning rate is constant, or rises at first and
/// then stays: their `warmup_steps` of k is `WarmUp::new(k - 1, lr).from(1.0 / k)`. Evaluate and keep
/// [`Optimizer::averaged`](crate::Optimizer::averaged). For decay put [`DecayWeights`](crate::DecayWeights) first.
/// Differences: as in [`ScheduleFreeAdamW`](crate::ScheduleFreeAdamW).
///
/// Defaults: β 0.9, power 2. State: `moved_point`, and the numbers `sum_of_weights` and `largest_rate`.
///
/// Defazio, Yang, Mehta, Mishchenko, Khaled, Cutkosky: The road less scheduled, 2024.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Optimizer, ScheduleFreeSgd};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([0.0]));
/// let mut rule = Optimizer::new(ScheduleFreeSgd::new(1.0).beta(0.5));
/// for _ in 0..2 {
///     rule.step(&mut params, [(&x, &Tensor::from([1.0]))]).unwrap();
/// }
/// assert_eq!(rule.averaged(&params).get(&x).data(), [-1.5]); // of −1 and −2
/// ```
#[derive(Clone, Debug)]
pub struct ScheduleFreeSgd {
    learning_rate: Rate,
    averaging: ScheduleFree,
}

impl ScheduleFreeSgd {
    /// Schedule-free descent with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        Self { learning_rate: Rate::new(learning_rate), averaging: ScheduleFree::new() }
    }

    /// The share of the average in the point at which gradients are taken.
    ///
    /// # Panics
    /// If the share is not above 0 and at most 1.
    #[must_use]
    #[track_caller]
    pub fn beta(self, beta: f64) -> Self {
        expect_setting("`ScheduleFreeSgd::beta`: beta", beta, (Excluded(0.0), Included(1.0)));
        Self { averaging: self.averaging.beta(beta), ..self }
    }

    /// The power of the largest learning rate so far with which a step counts in the average.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn power(self, power: f64) -> Self {
        expect_setting("`ScheduleFreeSgd::power`: power", power, 0.0..);
        Self { averaging: self.averaging.power(power), ..self }
    }
}

impl Part for ScheduleFreeSgd {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.learning_rate(self.learning_rate).then(self.averaging);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule(ScheduleFreeSgd::new(1e-3));
    }
}
