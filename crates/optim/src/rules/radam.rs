//! The rule `RAdam`.

use gradus_graph::Real;

use super::moments::Moments;
use crate::{Block, Chain, Part, Rate, RateSchedule, StateTensor, StepInfo, Transform};

/// RAdam: Adam with a warm-up derived from the variance of the second moment, which is large in the first steps.
///
/// `p ← p − lr·m̂·r·√(1−β₂ᵗ)/(√v + ε)` once `ρ > 5`, and
/// `p ← p − lr·m̂` before, with `ρ∞ = 2/(1−β₂) − 1`, `ρ = ρ∞ − 2tβ₂ᵗ/(1−β₂ᵗ)` and
/// `r = √((ρ−4)(ρ−2)ρ∞ / ((ρ∞−4)(ρ∞−2)ρ))`.
///
/// As `torch.optim.RAdam`: ε is added to the uncorrected root.
///
/// Defaults: β₁ 0.9, β₂ 0.999, ε 1e-8. State: `first_moment`, `second_moment`, from zero.
///
/// Liu, Jiang, He, Chen, Liu, Gao, Han: On the variance of the adaptive learning rate and beyond, 2020.
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
}

impl RAdam {
    /// RAdam with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        Self { learning_rate: Rate::new(learning_rate), scale: ScaleRectified(Moments::ADAM) }
    }

    /// The decay rates of the two moments.
    ///
    /// # Panics
    /// If a rate lies outside `0..1`.
    #[must_use]
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.scale.0 = self.scale.0.with_betas("RAdam", beta1, beta2);
        self
    }

    /// The number that keeps the denominator from zero.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Self {
        self.scale.0 = self.scale.0.with_eps("RAdam", eps);
        self
    }
}

impl Part for RAdam {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.then(self.scale).learning_rate(self.learning_rate);
    }
}

/// RAdam's transform.
#[derive(Clone, Debug)]
struct ScaleRectified(Moments);

impl Transform for ScaleRectified {
    fn state(&self) -> Vec<StateTensor> {
        ["first_moment", "second_moment"].map(StateTensor::zeros).to_vec()
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let (Moments { beta1, beta2, .. }, number) = (self.0, step.number as f64);
        let [left1, left2] = [beta1, beta2].map(|beta| 1.0 - beta.powf(number));
        let longest = 2.0 / (1.0 - beta2) - 1.0;
        let length = longest - 2.0 * number * (1.0 - left2) / left2;
        let rectified = length > 5.0;
        let rectifier = ((length - 4.0) * (length - 2.0) * longest) / ((longest - 4.0) * (longest - 2.0) * length);
        let factor = T::of(if rectified { rectifier.sqrt() / left1 * left2.sqrt() } else { 1.0 / left1 });
        let moments = self.0.at::<T>(step.number);
        move |block| {
            if rectified {
                block.each(|_, update, [first, second]| {
                    moments.average(first, update);
                    moments.average_square(second, update);
                    factor * *first / (second.sqrt() + moments.eps)
                });
            } else {
                block.each(|_, update, [first, second]| {
                    moments.average(first, update);
                    moments.average_square(second, update);
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
    }
}
