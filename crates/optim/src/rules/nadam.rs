//! NAdam: Adam with Nesterov's look ahead: `p ← p − lr·(μₜ₊₁·m/(1−Πₜ₊₁) + (1−μₜ)·g/(1−Πₜ)) / (√v̂ + ε)`, where
//! `μₜ = β₁(1 − ½·0.96^(tψ))` and `Πₜ = μ₁⋯μₜ`.
//!
//! As `torch.optim.NAdam`. With `constant_momentum` μ is β₁ at all times, as in `optax.nadam`; Keras has ψ 1. The usual
//! learning rate is 2e-3.
//!
//! Defaults: β₁ 0.9, β₂ 0.999, ε 1e-8 outside the root, ψ 4e-3, no decay. State: `first_moment`, `second_moment`, from
//! zero, and the number `product_of_momenta`, from one.
//!
//! Dozat: Incorporating Nesterov momentum into Adam, 2016.

use gradus_graph::{Real, expect_setting};

use super::end;
use crate::{Block, Chain, Numbers, Part, Rate, RateSchedule, StateTensor, StepInfo, Transform};

/// NAdam: Adam that looks ahead by one step of momentum.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{NAdam, Optimizer};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0]));
/// let mut rule = Optimizer::new(NAdam::new(0.25).betas(0.5, 0.75).eps(1.0).constant_momentum());
/// rule.step(&mut params, [(&x, &Tensor::from([3.0]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [0.75]); // (0.5·1.5/0.75 + 0.5·3/0.5)/(3 + 1) = 1 of 0.25
/// ```
#[derive(Clone, Debug)]
pub struct NAdam {
    learning_rate: Rate,
    scale: ScaleAhead,
    decay: f64,
}

impl NAdam {
    /// NAdam with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        let scale = ScaleAhead { beta1: 0.9, beta2: 0.999, eps: 1e-8, momentum_decay: Some(4e-3) };
        Self { learning_rate: Rate::new(learning_rate), scale, decay: 0.0 }
    }

    /// The decay rates of the two moments.
    ///
    /// # Panics
    /// If a rate lies outside `0..1`.
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        expect_setting("`NAdam::betas`: beta1", beta1, 0.0..1.0);
        expect_setting("`NAdam::betas`: beta2", beta2, 0.0..1.0);
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
        expect_setting("`NAdam::eps`: eps", eps, 0.0..);
        self.scale.eps = eps;
        self
    }

    /// How fast the momentum rises to β₁: the exponent ψ.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[track_caller]
    pub fn momentum_decay(mut self, momentum_decay: f64) -> Self {
        expect_setting("`NAdam::momentum_decay`: momentum_decay", momentum_decay, 0.0..);
        self.scale.momentum_decay = Some(momentum_decay);
        self
    }

    /// Holds the momentum at β₁.
    pub fn constant_momentum(mut self) -> Self {
        self.scale.momentum_decay = None;
        self
    }

    /// The factor of the decoupled weight decay (default: none).
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[track_caller]
    pub fn decay(self, decay: f64) -> Self {
        expect_setting("`NAdam::decay`: decay", decay, 0.0..);
        Self { decay, ..self }
    }
}

impl Part for NAdam {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        end(chain.then(self.scale), self.decay, self.learning_rate);
    }
}

/// NAdam's transform.
#[derive(Clone, Debug)]
struct ScaleAhead {
    beta1: f64,
    beta2: f64,
    eps: f64,
    momentum_decay: Option<f64>,
}

impl ScaleAhead {
    /// The momentum of a step.
    fn momentum(&self, number: u64) -> f64 {
        self.momentum_decay.map_or(self.beta1, |decay| self.beta1 * (1.0 - 0.5 * 0.96_f64.powf(number as f64 * decay)))
    }
}

impl Transform for ScaleAhead {
    fn state(&self) -> Vec<StateTensor> {
        ["first_moment", "second_moment"].map(StateTensor::zeros).to_vec()
    }

    fn numbers(&self) -> Vec<(&'static str, f64)> {
        vec![("product_of_momenta", 1.0)]
    }

    fn update_numbers(&self, step: &StepInfo, [product, ..]: &mut Numbers) {
        *product *= self.momentum(step.number);
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let [beta1, beta2, eps] = [self.beta1, self.beta2, self.eps].map(T::of);
        let [take1, take2] = [self.beta1, self.beta2].map(|beta| T::of(1.0 - beta));
        let root2 = T::of((1.0 - self.beta2.powf(step.number as f64)).sqrt().recip());
        let (product, next) = (step.numbers[0], self.momentum(step.number + 1));
        let of_mean = T::of(next / (1.0 - product * next));
        let of_update = T::of((1.0 - self.momentum(step.number)) / (1.0 - product));
        move |block| {
            block.each(|_, update, [first, second]| {
                *first = beta1 * *first + take1 * update;
                *second = beta2 * *second + take2 * update * update;
                (of_mean * *first + of_update * update) / (root2 * second.sqrt() + eps)
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
        testing::assert_rule(NAdam::new(0.01));
        testing::assert_rule(NAdam::new(0.01).constant_momentum().decay(1e-2));
    }
}
