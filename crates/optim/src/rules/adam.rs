//! Adam: `m ← β₁m + (1−β₁)g`, `v ← β₂v + (1−β₂)g²`, `p ← p − lr·m̂ / (√v̂ + ε)` with `m̂ = m/(1−β₁ᵗ)`, `v̂ = v/(1−β₂ᵗ)`.
//!
//! As `torch.optim.Adam` and the paper's Algorithm 1: ε is outside the root and the moments are corrected. With
//! `eps_inside_root` the denominator is `√(v̂ + ε)` (Optax's `eps_root`).
//!
//! Defaults: β₁ 0.9, β₂ 0.999, ε 1e-8. State: `first_moment`, `second_moment`, from zero.
//!
//! Kingma, Ba: Adam: a method for stochastic optimization, 2015.

use gradus_graph::{Real, expect_setting};

use crate::{Block, Chain, Part, Rate, RateSchedule, StateTensor, StepInfo, Transform};

/// Adam: a step of about the learning rate for each element, whatever the scale of its gradient.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Adam, Optimizer};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0, 1.0]));
/// let mut adam = Optimizer::new(Adam::new(0.25).betas(0.9, 0.99));
/// adam.step(&mut params, [(&x, &Tensor::from([1e-3, -1e3]))]).unwrap();
/// params.get(&x).assert_close(&Tensor::from([0.75, 1.25]), 1e-5, 0.0);
/// ```
#[derive(Clone, Debug)]
pub struct Adam {
    learning_rate: Rate,
    moments: ScaleByMoments,
}

impl Adam {
    /// Adam with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        Self { learning_rate: Rate::new(learning_rate), moments: ScaleByMoments::default() }
    }

    /// The decay rates of the two moments.
    ///
    /// # Panics
    /// If a rate lies outside `0..1`.
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        expect_setting("`Adam::betas`: beta1", beta1, 0.0..1.0);
        expect_setting("`Adam::betas`: beta2", beta2, 0.0..1.0);
        self.moments.beta1 = beta1;
        self.moments.beta2 = beta2;
        self
    }

    /// The number that keeps the denominator from zero.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Self {
        expect_setting("`Adam::eps`: eps", eps, 0.0..);
        self.moments.eps = eps;
        self
    }

    /// Adds `eps` to the corrected second moment, under the root.
    pub fn eps_inside_root(mut self) -> Self {
        self.moments.eps_inside_root = true;
        self
    }
}

impl Part for Adam {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.then(self.moments).learning_rate(self.learning_rate);
    }
}

/// Adam's transform: divides the mean of the update by the root of its mean square.
#[derive(Clone, Debug)]
pub(super) struct ScaleByMoments {
    pub(super) beta1: f64,
    pub(super) beta2: f64,
    pub(super) eps: f64,
    pub(super) eps_inside_root: bool,
}

impl Default for ScaleByMoments {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, eps_inside_root: false }
    }
}

impl Transform for ScaleByMoments {
    fn state(&self) -> Vec<StateTensor> {
        ["first_moment", "second_moment"].map(StateTensor::zeros).to_vec()
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let [beta1, beta2, eps] = [self.beta1, self.beta2, self.eps].map(T::of);
        let [take1, take2] = [self.beta1, self.beta2].map(|beta| T::of(1.0 - beta));
        // The corrections as factors: a division an element would cost more than all the rest.
        let [correct1, correct2] = [self.beta1, self.beta2].map(|beta| 1.0 / (1.0 - beta.powf(step.number as f64)));
        let (correct1, correct2, root2) = (T::of(correct1), T::of(correct2), T::of(correct2.sqrt()));
        move |block| {
            if self.eps_inside_root {
                block.each(|_, update, [first, second]| {
                    *first = beta1 * *first + take1 * update;
                    *second = beta2 * *second + take2 * update * update;
                    correct1 * *first / (correct2 * *second + eps).sqrt()
                });
            } else {
                block.each(|_, update, [first, second]| {
                    *first = beta1 * *first + take1 * update;
                    *second = beta2 * *second + take2 * update * update;
                    correct1 * *first / (root2 * second.sqrt() + eps)
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Optimizer, testing};
    use gradus_graph::{Params, Tensor};

    #[test]
    fn by_hand() {
        let mut params: Params<f64> = Params::new(0);
        let x = params.add("x", Tensor::from([1.0]));
        let mut adam = Optimizer::new(Adam::new(0.1).betas(0.5, 0.75).eps(1.0));
        adam.step(&mut params, [(&x, &Tensor::from([2.0]))]).unwrap(); // m̂ = 2, v̂ = 4: 2/3 of 0.1
        // m = 0.5·1 + 0.5·1 = 1, m̂ = 4/3; v = 0.75·1 + 0.25·1 = 1, v̂ = 16/7.
        adam.step(&mut params, [(&x, &Tensor::from([1.0]))]).unwrap();
        let expected = 1.0 - 0.1 * (2.0 / 3.0) - 0.1 * (4.0 / 3.0) / (1.0 + 4.0 / 7.0_f64.sqrt());
        params.get(&x).assert_close(&Tensor::from([expected]), 1e-15, 0.0);
    }

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule(Adam::new(0.01));
        testing::assert_rule(Adam::new(0.01).eps_inside_root());
    }
}
