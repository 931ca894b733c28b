//! The rule `Adamax`.

use gradus_graph::Real;

use super::moments::Moments;
use crate::{Block, Chain, Part, Rate, RateSchedule, StateTensor, StepInfo, Transform};

/// Adamax: Adam with a decaying maximum of the gradients instead of the root of the mean square.
///
/// `m ← β₁m + (1−β₁)g`, `u ← max(β₂u, |g| + ε)`, `p ← p − lr·m̂/u` with `m̂ = m/(1−β₁ᵗ)`.
///
/// As `torch.optim.Adamax`. The usual learning rate is 2e-3.
///
/// Defaults: β₁ 0.9, β₂ 0.999, ε 1e-8. State: `first_moment`, `largest`, from zero.
///
/// Kingma, Ba: Adam: a method for stochastic optimization, 2015, section 7.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Adamax, Optimizer};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0]));
/// let mut rule = Optimizer::new(Adamax::new(0.5).betas(0.5, 0.5).eps(1.0));
/// rule.step(&mut params, [(&x, &Tensor::from([3.0]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [0.625]); // 1 − 0.5·3/(3 + 1)
/// ```
#[derive(Clone, Debug)]
pub struct Adamax {
    learning_rate: Rate,
    scale: ScaleByLargest,
}

impl Adamax {
    /// Adamax with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        Self { learning_rate: Rate::new(learning_rate), scale: ScaleByLargest(Moments::ADAM) }
    }

    /// The decay rates of the two moments.
    ///
    /// # Panics
    /// If a rate lies outside `0..1`.
    #[must_use]
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.scale.0 = self.scale.0.with_betas("Adamax", beta1, beta2);
        self
    }

    /// The number that keeps the denominator from zero.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Self {
        self.scale.0 = self.scale.0.with_eps("Adamax", eps);
        self
    }
}

impl Part for Adamax {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.then(self.scale).learning_rate(self.learning_rate);
    }
}

/// Adamax's transform.
#[derive(Clone, Debug)]
struct ScaleByLargest(Moments);

impl Transform for ScaleByLargest {
    fn state(&self) -> Vec<StateTensor> {
        ["first_moment", "largest"].map(StateTensor::zeros).to_vec()
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let moments = self.0.at::<T>(step.number);
        move |block| {
            block.each(|_, update, [first, largest]| {
                moments.average(first, update);
                *largest = (moments.beta2 * *largest).max(update.abs() + moments.eps);
                moments.correct1 * *first / *largest
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
        testing::assert_rule(Adamax::new(0.01));
    }
}
