//! The rule `AdaBelief`.

use gradus_graph::Real;

use super::moments::Moments;
use crate::{Block, Chain, Part, Rate, RateSchedule, StateTensor, StepInfo, Transform};

/// AdaBelief: long steps where the gradient is near its running mean.
///
/// `m ← β₁m + (1−β₁)g`, `s ← β₂s + (1−β₂)(g−m)² + ε`, `p ← p − lr·m̂ / (√ŝ + ε)`.
///
/// As `optax.adabelief` and the paper: ε is added to `s` itself at every step, and so grows in it.
///
/// Defaults: β₁ 0.9, β₂ 0.999, ε 1e-16. State: `first_moment`, `variance`, from zero.
///
/// Zhuang et al.: AdaBelief optimizer: adapting stepsizes by the belief in observed gradients, 2020.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{AdaBelief, Optimizer};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0]));
/// let mut rule = Optimizer::new(AdaBelief::new(0.25).betas(0.5, 0.75).eps(0.0));
/// rule.step(&mut params, [(&x, &Tensor::from([3.0]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [0.5]); // 3/√((3 − 1.5)²) = 2 of 0.25
/// ```
#[derive(Clone, Debug)]
pub struct AdaBelief {
    learning_rate: Rate,
    scale: ScaleByVariance,
}

impl AdaBelief {
    /// AdaBelief with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        let scale = ScaleByVariance(Moments { eps: 1e-16, ..Moments::ADAM });
        Self { learning_rate: Rate::new(learning_rate), scale }
    }

    /// The decay rates of the two moments.
    ///
    /// # Panics
    /// If a rate lies outside `0..1`.
    #[must_use]
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.scale.0 = self.scale.0.with_betas("AdaBelief", beta1, beta2);
        self
    }

    /// The number that is added to the variance at every step, and to its root.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Self {
        self.scale.0 = self.scale.0.with_eps("AdaBelief", eps);
        self
    }
}

impl Part for AdaBelief {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.then(self.scale).learning_rate(self.learning_rate);
    }
}

/// AdaBelief's transform.
#[derive(Clone, Debug)]
struct ScaleByVariance(Moments);

impl Transform for ScaleByVariance {
    fn state(&self) -> Vec<StateTensor> {
        ["first_moment", "variance"].map(StateTensor::zeros).to_vec()
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let moments = self.0.at::<T>(step.number);
        move |block| {
            block.each(|_, update, [first, variance]| {
                moments.average(first, update);
                moments.average_square(variance, update - *first);
                *variance += moments.eps;
                moments.correct1 * *first / moments.denominator(*variance)
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
    }
}
