//! The rule `NAdam`.

use gradus_graph::{Real, expect_setting};

use super::moments::Moments;
use crate::{Block, Chain, Numbers, Part, Rate, RateSchedule, StateTensor, StepInfo, Transform};

/// NAdam: Adam that looks ahead by one step of momentum.
///
/// Adam with Nesterov's look ahead: `p ← p − lr·(μₜ₊₁·m/(1−Πₜ₊₁) + (1−μₜ)·g/(1−Πₜ)) / (√v̂ + ε)`, where
/// `μₜ = β₁(1 − ½·0.96^(tψ))` and `Πₜ = μ₁⋯μₜ`.
///
/// As `torch.optim.NAdam`. The usual learning rate is 2e-3.
///
/// Defaults: β₁ 0.9, β₂ 0.999, ε 1e-8 outside the root, ψ 4e-3. State: `first_moment`, `second_moment`, from
/// zero, and the number `product_of_momenta`, from one.
///
/// Dozat: Incorporating Nesterov momentum into Adam, 2016.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{NAdam, Optimizer};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0]));
/// let mut rule = Optimizer::new(NAdam::new(0.25).betas(0.5, 0.75).eps(1.0).momentum_decay(0.0));
/// rule.step(&mut params, [(&x, &Tensor::from([3.0]))]).unwrap();
/// // μ = 0.5·(1 − ½) = 0.25: (0.25·1.5/(1 − 0.25²) + 0.75·3/(1 − 0.25))/(3 + 1) = 0.85 of 0.25.
/// params.get(&x).assert_close(&Tensor::from([1.0 - 0.85 * 0.25]), 1e-15, 0.0);
/// ```
#[derive(Clone, Debug)]
pub struct NAdam {
    learning_rate: Rate,
    scale: ScaleAhead,
}

impl NAdam {
    /// NAdam with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        let scale = ScaleAhead { moments: Moments::ADAM, momentum_decay: 4e-3 };
        Self { learning_rate: Rate::new(learning_rate), scale }
    }

    /// The decay rates of the two moments.
    ///
    /// # Panics
    /// If a rate lies outside `0..1`.
    #[must_use]
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.scale.moments = self.scale.moments.with_betas("NAdam", beta1, beta2);
        self
    }

    /// The number that keeps the denominator from zero.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Self {
        self.scale.moments = self.scale.moments.with_eps("NAdam", eps);
        self
    }

    /// How fast the momentum rises to β₁: the exponent ψ.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn momentum_decay(mut self, momentum_decay: f64) -> Self {
        expect_setting("`NAdam::momentum_decay`: momentum_decay", momentum_decay, 0.0..);
        self.scale.momentum_decay = momentum_decay;
        self
    }
}

impl Part for NAdam {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.then(self.scale).learning_rate(self.learning_rate);
    }
}

/// NAdam's transform.
#[derive(Clone, Debug)]
struct ScaleAhead {
    moments: Moments,
    momentum_decay: f64,
}

impl ScaleAhead {
    /// The momentum of a step.
    fn momentum(&self, number: u64) -> f64 {
        self.moments.beta1 * (1.0 - 0.5 * 0.96_f64.powf(number as f64 * self.momentum_decay))
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
        let moments = self.moments.at::<T>(step.number);
        let (product, next) = (step.numbers[0], self.momentum(step.number + 1));
        let of_mean = T::of(next / (1.0 - product * next));
        let of_update = T::of((1.0 - self.momentum(step.number)) / (1.0 - product));
        move |block| {
            block.each(|_, update, [first, second]| {
                moments.average(first, update);
                moments.average_square(second, update);
                (of_mean * *first + of_update * update) / moments.denominator(*second)
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
        testing::assert_rule(NAdam::new(0.01).momentum_decay(0.1));
    }
}
