//! AdaBelief: `m ← β₁m + (1−β₁)g`, `s ← β₂s + (1−β₂)(g−m)² + ε₀`, `p ← p − lr·m̂ / (√ŝ + ε)`.
//!
//! As `optax.adabelief` and the paper: ε₀ is added to `s` itself at every step, and so grows in it.
//!
//! Defaults: β₁ 0.9, β₂ 0.999, ε 1e-16, ε₀ 1e-16, no decay. State: `first_moment`, `variance`, from zero.
//!
//! Zhuang et al.: AdaBelief optimizer: adapting stepsizes by the belief in observed gradients, 2020.

use gradus_graph::{Real, expect_setting};

use super::end;
use crate::{Block, Chain, Part, Rate, RateSchedule, StateTensor, StepInfo, Transform};

/// AdaBelief: long steps where the gradient is near its running mean.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{AdaBelief, Optimizer};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0]));
/// let mut rule = Optimizer::new(AdaBelief::new(0.25).betas(0.5, 0.75).eps(0.0).eps_of_variance(0.0));
/// rule.step(&mut params, [(&x, &Tensor::from([3.0]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [0.5]); // 3/√((3 − 1.5)²) = 2 of 0.25
/// ```
#[derive(Clone, Debug)]
pub struct AdaBelief {
    learning_rate: Rate,
    scale: ScaleByVariance,
    decay: f64,
}

impl AdaBelief {
    /// AdaBelief with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        let scale = ScaleByVariance { beta1: 0.9, beta2: 0.999, eps: 1e-16, eps_of_variance: 1e-16 };
        Self { learning_rate: Rate::new(learning_rate), scale, decay: 0.0 }
    }

    /// The decay rates of the two moments.
    ///
    /// # Panics
    /// If a rate lies outside `0..1`.
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        expect_setting("`AdaBelief::betas`: beta1", beta1, 0.0..1.0);
        expect_setting("`AdaBelief::betas`: beta2", beta2, 0.0..1.0);
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
        expect_setting("`AdaBelief::eps`: eps", eps, 0.0..);
        self.scale.eps = eps;
        self
    }

    /// The number that is added to the variance at every step.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[track_caller]
    pub fn eps_of_variance(mut self, eps: f64) -> Self {
        expect_setting("`AdaBelief::eps_of_variance`: eps", eps, 0.0..);
        self.scale.eps_of_variance = eps;
        self
    }

    /// The factor of the decoupled weight decay (default: none).
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[track_caller]
    pub fn decay(self, decay: f64) -> Self {
        expect_setting("`AdaBelief::decay`: decay", decay, 0.0..);
        Self { decay, ..self }
    }
}

impl Part for AdaBelief {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        end(chain.then(self.scale), self.decay, self.learning_rate);
    }
}

/// AdaBelief's transform.
#[derive(Clone, Debug)]
struct ScaleByVariance {
    beta1: f64,
    beta2: f64,
    eps: f64,
    eps_of_variance: f64,
}

impl Transform for ScaleByVariance {
    fn state(&self) -> Vec<StateTensor> {
        ["first_moment", "variance"].map(StateTensor::zeros).to_vec()
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let [beta1, beta2, eps, grain] = [self.beta1, self.beta2, self.eps, self.eps_of_variance].map(T::of);
        let [take1, take2] = [self.beta1, self.beta2].map(|beta| T::of(1.0 - beta));
        let [correct1, correct2] = [self.beta1, self.beta2].map(|beta| 1.0 / (1.0 - beta.powf(step.number as f64)));
        let (correct1, root2) = (T::of(correct1), T::of(correct2.sqrt()));
        move |block| {
            block.each(|_, update, [first, variance]| {
                *first = beta1 * *first + take1 * update;
                let surprise = update - *first;
                *variance = beta2 * *variance + take2 * surprise * surprise + grain;
                correct1 * *first / (root2 * variance.sqrt() + eps)
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
        testing::assert_rule(AdaBelief::new(5e-3));
        testing::assert_rule(AdaBelief::new(5e-3).decay(1e-2));
    }
}
