//! The rule `AmsGrad`.

use gradus_graph::Real;

use super::moments::Moments;
use crate::{Block, Chain, Part, Rate, RateSchedule, StateTensor, StepInfo, Transform};

/// AMSGrad: Adam whose denominator never falls.
///
/// Adam with the largest second moment so far: `v̄ ← max(v̄, v)`, `p ← p − lr·m̂ / (√(v̄/(1−β₂ᵗ)) + ε)`.
///
/// As `torch.optim.Adam(amsgrad=True)`: the maximum is taken before the correction (Optax takes it of the corrected
/// moment).
///
/// Defaults: β₁ 0.9, β₂ 0.999, ε 1e-8 outside the root. State: `first_moment`, `second_moment`,
/// `largest_second_moment`, from zero.
///
/// Reddi, Kale, Kumar: On the convergence of Adam and beyond, 2018.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{AmsGrad, Optimizer};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0]));
/// let mut rule = Optimizer::new(AmsGrad::new(0.5).betas(0.0, 0.75).eps(0.0));
/// rule.step(&mut params, [(&x, &Tensor::from([4.0]))]).unwrap(); // v = 4, corrected 16: one of 0.5
/// rule.step(&mut params, [(&x, &Tensor::from([0.0]))]).unwrap(); // nothing, but the maximum stays 4
/// rule.step(&mut params, [(&x, &Tensor::from([1.0]))]).unwrap(); // 4/(1 − 0.75³) = 256/37
/// params.get(&x).assert_close(&Tensor::from([0.5 - 0.5 * 37.0_f64.sqrt() / 16.0]), 1e-15, 0.0);
/// ```
#[derive(Clone, Debug)]
pub struct AmsGrad {
    learning_rate: Rate,
    scale: ScaleByLargestMoment,
}

impl AmsGrad {
    /// AMSGrad with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        Self { learning_rate: Rate::new(learning_rate), scale: ScaleByLargestMoment(Moments::ADAM) }
    }

    /// The decay rates of the two moments.
    ///
    /// # Panics
    /// If a rate lies outside `0..1`.
    #[must_use]
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.scale.0 = self.scale.0.with_betas("AmsGrad", beta1, beta2);
        self
    }

    /// The number that keeps the denominator from zero.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Self {
        self.scale.0 = self.scale.0.with_eps("AmsGrad", eps);
        self
    }
}

impl Part for AmsGrad {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.then(self.scale).learning_rate(self.learning_rate);
    }
}

/// AMSGrad's transform.
#[derive(Clone, Debug)]
struct ScaleByLargestMoment(Moments);

impl Transform for ScaleByLargestMoment {
    fn state(&self) -> Vec<StateTensor> {
        ["first_moment", "second_moment", "largest_second_moment"].map(StateTensor::zeros).to_vec()
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let moments = self.0.at::<T>(step.number);
        move |block| {
            block.each(|_, update, [first, second, largest]| {
                moments.average(first, update);
                moments.average_square(second, update);
                *largest = largest.max(*second);
                moments.correct1 * *first / moments.denominator(*largest)
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
        testing::assert_rule(AmsGrad::new(0.01));
    }
}
