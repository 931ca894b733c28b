//! AMSGrad: Adam with the largest second moment so far: `v̄ ← max(v̄, v)`, `p ← p − lr·m̂ / (√(v̄/(1−β₂ᵗ)) + ε)`.
//!
//! As `torch.optim.Adam(amsgrad=True)`: the maximum is taken before the correction. With `maximum_of_corrected` it is
//! taken of the corrected moment, `v̄ ← max(v̄, v/(1−β₂ᵗ))`, as in `optax.amsgrad`.
//!
//! Defaults: β₁ 0.9, β₂ 0.999, ε 1e-8 outside the root, no decay. State: `first_moment`, `second_moment`,
//! `largest_second_moment`, from zero.
//!
//! Reddi, Kale, Kumar: On the convergence of Adam and beyond, 2018.

use gradus_graph::{Real, expect_setting};

use super::end;
use crate::{Block, Chain, Part, Rate, RateSchedule, StateTensor, StepInfo, Transform};

/// AMSGrad: Adam whose denominator never falls.
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
    decay: f64,
}

impl AmsGrad {
    /// AMSGrad with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        let scale = ScaleByLargestMoment { beta1: 0.9, beta2: 0.999, eps: 1e-8, of_corrected: false };
        Self { learning_rate: Rate::new(learning_rate), scale, decay: 0.0 }
    }

    /// The decay rates of the two moments.
    ///
    /// # Panics
    /// If a rate lies outside `0..1`.
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        expect_setting("`AmsGrad::betas`: beta1", beta1, 0.0..1.0);
        expect_setting("`AmsGrad::betas`: beta2", beta2, 0.0..1.0);
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
        expect_setting("`AmsGrad::eps`: eps", eps, 0.0..);
        self.scale.eps = eps;
        self
    }

    /// Takes the maximum of the corrected second moments.
    pub fn maximum_of_corrected(mut self) -> Self {
        self.scale.of_corrected = true;
        self
    }

    /// The factor of the decoupled weight decay (default: none).
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[track_caller]
    pub fn decay(self, decay: f64) -> Self {
        expect_setting("`AmsGrad::decay`: decay", decay, 0.0..);
        Self { decay, ..self }
    }
}

impl Part for AmsGrad {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        end(chain.then(self.scale), self.decay, self.learning_rate);
    }
}

/// AMSGrad's transform.
#[derive(Clone, Debug)]
struct ScaleByLargestMoment {
    beta1: f64,
    beta2: f64,
    eps: f64,
    of_corrected: bool,
}

impl Transform for ScaleByLargestMoment {
    fn state(&self) -> Vec<StateTensor> {
        ["first_moment", "second_moment", "largest_second_moment"].map(StateTensor::zeros).to_vec()
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let [beta1, beta2, eps] = [self.beta1, self.beta2, self.eps].map(T::of);
        let [take1, take2] = [self.beta1, self.beta2].map(|beta| T::of(1.0 - beta));
        let [correct1, correct2] = [self.beta1, self.beta2].map(|beta| 1.0 / (1.0 - beta.powf(step.number as f64)));
        // The correction comes before the maximum, or after it.
        let (before, after) = if self.of_corrected { (correct2, 1.0) } else { (1.0, correct2) };
        let (correct1, before, after) = (T::of(correct1), T::of(before), T::of(after.sqrt()));
        move |block| {
            block.each(|_, update, [first, second, largest]| {
                *first = beta1 * *first + take1 * update;
                *second = beta2 * *second + take2 * update * update;
                *largest = largest.max(before * *second);
                correct1 * *first / (after * largest.sqrt() + eps)
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
        testing::assert_rule(AmsGrad::new(0.01).maximum_of_corrected().decay(1e-2));
    }
}
