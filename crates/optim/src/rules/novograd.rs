//! The rule `NovoGrad`.

use gradus_graph::{Real, expect_setting};

use crate::norm::{Factor, Length};
use crate::{Block, Chain, DecayWeights, Momentum, Norm, Numbers, Over, Part, Rate, RateSchedule, StepInfo, Transform};

/// NovoGrad: momentum over gradients of norm about one, and one number of second moment for each tensor.
///
/// `v ← β₂v + (1−β₂)‖g‖²` for each tensor (`v = ‖g‖²` at first), `m ← β₁m + g/(√v + ε) + decay·p`,
/// `p ← p − lr·m`.
///
/// As `optax.novograd`: the momentum is a sum, and nothing is corrected.
///
/// Defaults: β₁ 0.9, β₂ 0.25, ε 1e-6, no decay. State: `momentum`, from zero, and the number `mean_norm`, √v.
///
/// Ginsburg et al.: Training deep networks with stochastic normalized gradient descent, 2019.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{NovoGrad, Optimizer};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0, 1.0]));
/// let mut rule = Optimizer::new(NovoGrad::new(0.5).eps(0.0));
/// rule.step(&mut params, [(&x, &Tensor::from([6.0, 8.0]))]).unwrap();
/// params.get(&x).assert_close(&Tensor::from([0.7, 0.6]), 1e-15, 0.0);
/// ```
#[derive(Clone, Debug)]
pub struct NovoGrad {
    learning_rate: Rate,
    scale: ScaleByNorm,
    beta1: f64,
    decay: f64,
}

impl NovoGrad {
    /// NovoGrad with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        let scale = ScaleByNorm { beta2: 0.25, eps: 1e-6 };
        Self { learning_rate: Rate::new(learning_rate), scale, beta1: 0.9, decay: 0.0 }
    }

    /// The factor of the momentum, and the decay rate of the mean square norm.
    ///
    /// # Panics
    /// If a rate lies outside `0..1`.
    #[must_use]
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        expect_setting("`NovoGrad::betas`: beta1", beta1, 0.0..1.0);
        expect_setting("`NovoGrad::betas`: beta2", beta2, 0.0..1.0);
        self.beta1 = beta1;
        self.scale.beta2 = beta2;
        self
    }

    /// The number that keeps the denominator from zero.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Self {
        expect_setting("`NovoGrad::eps`: eps", eps, 0.0..);
        self.scale.eps = eps;
        self
    }

    /// The factor of the weight decay inside the momentum (default: none).
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn decay(self, decay: f64) -> Self {
        expect_setting("`NovoGrad::decay`: decay", decay, 0.0..);
        Self { decay, ..self }
    }
}

impl Part for NovoGrad {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.then(self.scale);
        if self.decay > 0.0 {
            chain.then(DecayWeights::new(self.decay));
        }
        chain.then(Momentum::new(self.beta1)).learning_rate(self.learning_rate);
    }
}

/// NovoGrad's transform.
#[derive(Clone, Debug)]
struct ScaleByNorm {
    beta2: f64,
    eps: f64,
}

impl Transform for ScaleByNorm {
    fn numbers(&self) -> Vec<(&'static str, f64)> {
        vec![("mean_norm", 0.0)]
    }

    fn measures(&self) -> Option<Over> {
        Some(Over::Tensor)
    }

    fn update_numbers(&self, step: &StepInfo, [norm, ..]: &mut Numbers) {
        let now = Norm::Two.length(step.measured[0]).value();
        let (keep, take) = (self.beta2.sqrt(), (1.0 - self.beta2).sqrt());
        *norm = if step.number == 1 { now } else { (keep * *norm).hypot(take * now) };
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let norm = Length::from(step.numbers[0] + self.eps);
        // A gradient that has always been zero stays so.
        let scale: Factor<T> = if norm.is_zero() { norm.over(1.0.into()) } else { Length::from(1.0).over(norm) };
        move |block| block.each(|_, update, []| scale.times(update))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Optimizer, testing};
    use gradus_graph::{Params, Tensor};

    #[test]
    fn a_gradient_of_any_size_is_of_norm_one() {
        for size in [1e-200, 1.0, 1e200] {
            let mut params: Params<f64> = Params::new(0);
            let x = params.add("x", Tensor::from([0.0, 0.0]));
            let mut rule = Optimizer::new(NovoGrad::new(1.0).betas(0.0, 0.5).eps(0.0));
            for _ in 0..2 {
                rule.step(&mut params, [(&x, &Tensor::from([3.0 * size, 4.0 * size]))]).unwrap();
            }
            params.get(&x).assert_close(&Tensor::from([-1.2, -1.6]), 1e-15, 0.0);
        }
    }

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule(NovoGrad::new(1e-3));
        testing::assert_rule(NovoGrad::new(1e-3).decay(1e-2));
    }
}
