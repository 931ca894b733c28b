//! RAdam: Adam that waits for its second moment: `p ← p − lr·m̂·r·√(1−β₂ᵗ)/(√v + ε)` once `ρ > 5`, and
//! `p ← p − lr·m̂` before, with `ρ∞ = 2/(1−β₂) − 1`, `ρ = ρ∞ − 2tβ₂ᵗ/(1−β₂ᵗ)` and
//! `r = √((ρ−4)(ρ−2)ρ∞ / ((ρ∞−4)(ρ∞−2)ρ))`.
//!
//! As `torch.optim.RAdam`: ε is added to the uncorrected root. With `eps_after_correction` the denominator is `√v̂ + ε`,
//! as in `optax.radam`, which also begins at `ρ ≥ 5`.
//!
//! Defaults: β₁ 0.9, β₂ 0.999, ε 1e-8, no decay. State: `first_moment`, `second_moment`, from zero.
//!
//! Liu, Jiang, He, Chen, Liu, Gao, Han: On the variance of the adaptive learning rate and beyond, 2020.

use gradus_graph::{Real, expect_setting};

use super::end;
use crate::{Block, Chain, Part, Rate, RateSchedule, StateTensor, StepInfo, Transform};

/// RAdam: Adam with a warm-up of its own, as long as the second moment is a guess.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Optimizer, RAdam};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0]));
/// let mut rule = Optimizer::new(RAdam::new(0.125));
/// rule.step(&mut params, [(&x, &Tensor::from([3.0]))]).unwrap();
/// params.get(&x).assert_close(&Tensor::from([0.625]), 1e-15, 0.0); // plain descent at first
/// ```
#[derive(Clone, Debug)]
pub struct RAdam {
    learning_rate: Rate,
    scale: ScaleRectified,
    decay: f64,
}

impl RAdam {
    /// RAdam with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        let scale = ScaleRectified { beta1: 0.9, beta2: 0.999, eps: 1e-8, eps_after_correction: false };
        Self { learning_rate: Rate::new(learning_rate), scale, decay: 0.0 }
    }

    /// The decay rates of the two moments.
    ///
    /// # Panics
    /// If a rate lies outside `0..1`.
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        expect_setting("`RAdam::betas`: beta1", beta1, 0.0..1.0);
        expect_setting("`RAdam::betas`: beta2", beta2, 0.0..1.0);
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
        expect_setting("`RAdam::eps`: eps", eps, 0.0..);
        self.scale.eps = eps;
        self
    }

    /// Adds `eps` to the corrected root.
    pub fn eps_after_correction(mut self) -> Self {
        self.scale.eps_after_correction = true;
        self
    }

    /// The factor of the decoupled weight decay (default: none).
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[track_caller]
    pub fn decay(self, decay: f64) -> Self {
        expect_setting("`RAdam::decay`: decay", decay, 0.0..);
        Self { decay, ..self }
    }
}

impl Part for RAdam {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        end(chain.then(self.scale), self.decay, self.learning_rate);
    }
}

/// RAdam's transform.
#[derive(Clone, Debug)]
struct ScaleRectified {
    beta1: f64,
    beta2: f64,
    eps: f64,
    eps_after_correction: bool,
}

impl Transform for ScaleRectified {
    fn state(&self) -> Vec<StateTensor> {
        ["first_moment", "second_moment"].map(StateTensor::zeros).to_vec()
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let (beta1, beta2, number) = (self.beta1, self.beta2, step.number as f64);
        let [left1, left2] = [beta1, beta2].map(|beta| 1.0 - beta.powf(number));
        let longest = 2.0 / (1.0 - beta2) - 1.0;
        let length = longest - 2.0 * number * (1.0 - left2) / left2;
        let rectified = length > 5.0;
        let rectifier = ((length - 4.0) * (length - 2.0) * longest) / ((longest - 4.0) * (longest - 2.0) * length);
        let factor = if rectified { rectifier.sqrt() / left1 } else { 1.0 / left1 };
        // The correction of the root, as a factor before `eps` is added, or of the whole quotient.
        let (before, after) = if self.eps_after_correction { (left2.sqrt(), 1.0) } else { (1.0, left2.sqrt()) };
        let (before, factor) = (T::of(1.0 / before), T::of(if rectified { factor * after } else { factor }));
        let [beta1, beta2, eps] = [beta1, beta2, self.eps].map(T::of);
        let [take1, take2] = [self.beta1, self.beta2].map(|beta| T::of(1.0 - beta));
        move |block| {
            if rectified {
                block.each(|_, update, [first, second]| {
                    *first = beta1 * *first + take1 * update;
                    *second = beta2 * *second + take2 * update * update;
                    factor * *first / (before * second.sqrt() + eps)
                });
            } else {
                block.each(|_, update, [first, second]| {
                    *first = beta1 * *first + take1 * update;
                    *second = beta2 * *second + take2 * update * update;
                    factor * *first
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule(RAdam::new(1e-3));
        testing::assert_rule(RAdam::new(1e-3).eps_after_correction().decay(1e-2));
    }
}
