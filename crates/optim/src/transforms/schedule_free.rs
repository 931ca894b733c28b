//! The transform `ScheduleFree`.

use std::ops::Bound::{Excluded, Included};

use gradus_graph::{Real, Tensor, expect_setting};

use crate::{Block, Numbers, StateTensor, StepInfo, Transform};

/// Keeps a second point that the update moves, and sets the parameter between it and its average.
///
/// Gradients are taken at `y`, between the point `z` that the rule moves and its average `x`.
///
/// `z ← z − u`, `x ← (1−c)x + cz`, `y ← (1−β)z + βx`, with `c = w/Σw`, `w = (largest lr so far)^power`. As the
/// authors' package `schedulefree` in training mode: the parameters in the store are `y`, and `x = (y − (1−β)z)/β` is
/// not stored. `optax.contrib.schedule_free` takes the weight from the rate of the next step, which is another while
/// the rate rises. [`Optimizer::averaged`](crate::Optimizer::averaged) gives `x`, to evaluate and to keep.
///
/// For the end of a chain, after a rule without momentum. Defaults: β 0.9, power 2. State: `moved_point`, from the
/// parameter; the numbers `sum_of_weights` and `largest_rate`.
///
/// Defazio, Yang, Mehta, Mishchenko, Khaled, Cutkosky: The road less scheduled, 2024.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Optimizer, ScheduleFree, Sgd};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([0.0]));
/// let mut rule = Optimizer::new((Sgd::new(1.0), ScheduleFree::new().beta(0.5)));
/// for _ in 0..2 {
///     rule.step(&mut params, [(&x, &Tensor::from([1.0]))]).unwrap();
/// }
/// // z: −1, −2; x: −1, −1.5; y: −1, −1.75.
/// assert_eq!(params.get(&x).data(), [-1.75]);
/// assert_eq!(rule.averaged(&params).get(&x).data(), [-1.5]);
/// ```
#[derive(Clone, Debug)]
pub struct ScheduleFree {
    beta: f64,
    power: f64,
}

impl ScheduleFree {
    /// The averaging with its usual constants.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self { beta: 0.9, power: 2.0 }
    }

    /// The share of the average in the point at which gradients are taken.
    ///
    /// # Panics
    /// If the share is not in `0..=1`, or is zero: then the average cannot be computed from `y` and `z`.
    #[must_use]
    #[track_caller]
    pub fn beta(self, beta: f64) -> Self {
        expect_setting("`ScheduleFree::beta`: beta", beta, (Excluded(0.0), Included(1.0)));
        Self { beta, ..self }
    }

    /// The power of the largest learning rate so far with which a step counts in the average.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn power(self, power: f64) -> Self {
        expect_setting("`ScheduleFree::power`: power", power, 0.0..);
        Self { power, ..self }
    }
}

impl Transform for ScheduleFree {
    fn state(&self) -> Vec<StateTensor> {
        vec![StateTensor::parameter("moved_point")]
    }

    fn numbers(&self) -> Vec<(&'static str, f64)> {
        vec![("sum_of_weights", 0.0), ("largest_rate", 0.0)]
    }

    fn update_numbers(&self, step: &StepInfo, [sum, largest, ..]: &mut Numbers) {
        *largest = largest.max(step.learning_rate);
        *sum += largest.powf(self.power);
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let [sum, largest, ..] = step.numbers;
        let weight = largest.powf(self.power);
        let share = if weight > 0.0 { weight / sum } else { 0.0 };
        let (share, rest) = (T::of(share), T::of(1.0 - share));
        let (beta, without, invert) = (T::of(self.beta), T::of(1.0 - self.beta), T::of(1.0 / self.beta));
        move |block| {
            block.each(|parameter, update, [point]| {
                let average = (parameter - without * *point) * invert;
                *point -= update;
                let average = rest * average + share * *point;
                parameter - (beta * average + without * *point)
            })
        }
    }

    fn averaged<T: Real>(&self, _step: &StepInfo, parameter: &Tensor<T>, state: &[Tensor<T>]) -> Option<Tensor<T>> {
        let (without, invert) = (T::of(1.0 - self.beta), T::of(1.0 / self.beta));
        let (parameter, point) = (parameter.data(), state[0].data());
        Some(Tensor::from_fn(state[0].shape(), |i| (parameter[i] - without * point[i]) * invert))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RmsProp, Sgd, testing};

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule((Sgd::new(1e-3), ScheduleFree::new()));
        testing::assert_rule((RmsProp::new(|done: u64| 1e-3 / (1.0 + done as f64)), ScheduleFree::new().power(1.0)));
    }
}
