//! Adamax: `m ← β₁m + (1−β₁)g`, `u ← max(β₂u, |g| + ε)`, `p ← p − lr·m̂/u` with `m̂ = m/(1−β₁ᵗ)`.
//!
//! As `torch.optim.Adamax` and `optax.adamax`. The usual learning rate is 2e-3.
//!
//! Defaults: β₁ 0.9, β₂ 0.999, ε 1e-8, no decay. State: `first_moment`, `largest`, from zero.
//!
//! Kingma, Ba: Adam: a method for stochastic optimization, 2015, section 7.

use gradus_graph::{Real, expect_setting};

use super::end;
use crate::{Block, Chain, Part, Rate, RateSchedule, StateTensor, StepInfo, Transform};

/// Adamax: Adam with a decaying maximum of the gradients instead of the root of the mean square.
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
    decay: f64,
}

impl Adamax {
    /// Adamax with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        let scale = ScaleByLargest { beta1: 0.9, beta2: 0.999, eps: 1e-8 };
        Self { learning_rate: Rate::new(learning_rate), scale, decay: 0.0 }
    }

    /// The decay rates of the two moments.
    ///
    /// # Panics
    /// If a rate lies outside `0..1`.
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        expect_setting("`Adamax::betas`: beta1", beta1, 0.0..1.0);
        expect_setting("`Adamax::betas`: beta2", beta2, 0.0..1.0);
        self.scale.beta1 = beta1;
        self.scale.beta2 = beta2;
        self
    }

    /// The number that keeps the denominator from zero.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Self {
        expect_setting("`Adamax::eps`: eps", eps, 0.0..);
        self.scale.eps = eps;
        self
    }

    /// The factor of the decoupled weight decay (default: none).
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[track_caller]
    pub fn decay(self, decay: f64) -> Self {
        expect_setting("`Adamax::decay`: decay", decay, 0.0..);
        Self { decay, ..self }
    }
}

impl Part for Adamax {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        end(chain.then(self.scale), self.decay, self.learning_rate);
    }
}

/// Adamax's transform.
#[derive(Clone, Debug)]
struct ScaleByLargest {
    beta1: f64,
    beta2: f64,
    eps: f64,
}

impl Transform for ScaleByLargest {
    fn state(&self) -> Vec<StateTensor> {
        ["first_moment", "largest"].map(StateTensor::zeros).to_vec()
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let [beta1, beta2, eps] = [self.beta1, self.beta2, self.eps].map(T::of);
        let take = T::of(1.0 - self.beta1);
        let correct = T::of(1.0 / (1.0 - self.beta1.powf(step.number as f64)));
        move |block| {
            block.each(|_, update, [first, largest]| {
                *first = beta1 * *first + take * update;
                *largest = (beta2 * *largest).max(update.abs() + eps);
                correct * *first / *largest
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
        testing::assert_rule(Adamax::new(0.01).decay(1e-2));
    }
}
