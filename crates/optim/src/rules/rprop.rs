//! The rule `Rprop`.

use std::ops::Bound::{Excluded, Unbounded};

use gradus_graph::{POSITIVE, Real, expect_setting};

use crate::transforms::sign;
use crate::{Block, Chain, Part, StateTensor, StepInfo, Transform};

/// Rprop: full-batch descent by the signs of the gradient alone.
///
/// Each element has a step of its own, which grows by η⁺ where the gradient keeps its sign and shrinks by η⁻
/// where it changes; `p ← p − sign(g)·step`, and no move where the sign has just changed.
///
/// As `torch.optim.Rprop`: the variant without going back, iRprop⁻. (`optax.rprop` 0.2.8 makes every move one step
/// late.) For full batches: the signs of noisy gradients mean little. The learning rate is the first step, and there is
/// no schedule.
///
/// Defaults: η⁻ 0.5, η⁺ 1.2, steps from 1e-6 to 50. State: `previous_gradient`, from zero; `step_size`, from the
/// learning rate.
///
/// Riedmiller, Braun: A direct adaptive method for faster backpropagation learning: the RPROP algorithm, 1993; Igel,
/// Hüsken: Improving the Rprop learning algorithm, 2000.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Optimizer, Rprop};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0]));
/// let mut rule = Optimizer::new(Rprop::new(0.5).factors(0.5, 2.0));
/// for gradient in [0.1, 7.0, -2.0, -2.0] {
///     rule.step(&mut params, [(&x, &Tensor::from([gradient]))]).unwrap(); // −0.5, −1, 0, +0.5
/// }
/// assert_eq!(params.get(&x).data(), [0.0]);
/// ```
#[derive(Clone, Debug)]
pub struct Rprop {
    first: f64,
    shrink: f64,
    grow: f64,
    smallest: f64,
    largest: f64,
}

impl Rprop {
    /// Rprop with steps that start at the given length.
    ///
    /// # Panics
    /// If the length is not positive and finite.
    #[track_caller]
    pub fn new(learning_rate: f64) -> Self {
        expect_setting("`Rprop::new`: learning_rate", learning_rate, POSITIVE);
        Self { first: learning_rate, shrink: 0.5, grow: 1.2, smallest: 1e-6, largest: 50.0 }
    }

    /// The factors by which a step shrinks and grows.
    ///
    /// # Panics
    /// Unless `0 < shrink < 1 < grow`.
    #[must_use]
    #[track_caller]
    pub fn factors(self, shrink: f64, grow: f64) -> Self {
        expect_setting("`Rprop::factors`: shrink", shrink, (Excluded(0.0), Excluded(1.0)));
        expect_setting("`Rprop::factors`: grow", grow, (Excluded(1.0), Unbounded));
        Self { shrink, grow, ..self }
    }

    /// The smallest and the largest step.
    ///
    /// # Panics
    /// If the smallest is negative or not finite, or the largest is below it.
    #[must_use]
    #[track_caller]
    pub fn limits(self, smallest: f64, largest: f64) -> Self {
        expect_setting("`Rprop::limits`: smallest", smallest, 0.0..);
        expect_setting("`Rprop::limits`: largest", largest, smallest..=f64::INFINITY);
        Self { smallest, largest, ..self }
    }
}

impl Part for Rprop {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.then(StepBySign(self)).learning_rate(1.0);
    }
}

/// Rprop's transform.
#[derive(Clone, Debug)]
struct StepBySign(Rprop);

impl Transform for StepBySign {
    fn state(&self) -> Vec<StateTensor> {
        vec![StateTensor::zeros("previous_gradient"), StateTensor::full("step_size", self.0.first)]
    }

    fn prepare<T: Real>(&self, _step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let Rprop { shrink, grow, smallest, largest, .. } = self.0;
        let [shrink, grow, smallest, largest] = [shrink, grow, smallest, largest].map(T::of);
        move |block| {
            block.each(|_, update, [previous, size]| {
                let agreement = update * *previous;
                let factor = if agreement < T::zero() { shrink } else { T::one() };
                let factor = if agreement > T::zero() { grow } else { factor };
                *size = (*size * factor).max(smallest).min(largest);
                *previous = if agreement < T::zero() { T::zero() } else { update };
                sign(*previous) * *size
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule(Rprop::new(1e-3));
    }
}
