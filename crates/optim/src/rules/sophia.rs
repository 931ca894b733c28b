//! The rule `Sophia`.

use std::ops::Bound::{Excluded, Included};

use gradus_graph::{POSITIVE, Real, Tensor, expect_setting};

use super::end;
use crate::{Block, Chain, Part, Rate, RateSchedule, StateTensor, StepInfo, Transform};

/// Sophia: Newton's step along each coordinate where the curvature is known to be large, clipped elsewhere.
///
/// `m ← β₁m + (1−β₁)g`, `p ← p − lr·(clip(m̂/max(γh, ε), 1) + decay·p)`, where `h` is a running mean of
/// estimates of the diagonal of the Hessian, `h ← β₂h + (1−β₂)ĥ`.
///
/// As `optax.contrib.sophia`. The estimates come from outside, every ten steps or so, by
/// [`Optimizer::observe`](crate::Optimizer::observe): for Sophia-G, [`Sophia::gauss_newton_bartlett`] of a gradient at
/// labels drawn from the model; for Sophia-H, `z ⊙ Hz` with random signs `z`. Until the first, `h` is zero and the step
/// is that of the sign. (The authors' code does not correct the mean and adds ε where Optax takes the maximum.)
///
/// Defaults: β₁ 0.965, β₂ 0.99, γ 0.01, ε 1e-8, limit 1, decay 1e-4. State: `first_moment`, `curvature`, from zero.
///
/// Liu, Li, Hall, Liang, Ma: Sophia: a scalable stochastic second-order optimizer for language model pre-training,
/// 2024.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Optimizer, Sophia};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0, 1.0]));
/// let mut rule = Optimizer::new(Sophia::new(0.5).betas(0.0, 0.0).gamma(0.5).decay(0.0));
/// let sampled = Tensor::from([2.0, 0.5]);
/// rule.observe(&params, [(&x, &Sophia::gauss_newton_bartlett(&sampled, 8))]).unwrap(); // h = 8·(4, 0.25)
/// rule.step(&mut params, [(&x, &Tensor::from([4.0, 4.0]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [0.875, 0.5]); // 4/(0.5·32), and 4/(0.5·2) clipped to 1
/// ```
#[derive(Clone, Debug)]
pub struct Sophia {
    learning_rate: Rate,
    scale: ScaleByCurvature,
    decay: f64,
}

impl Sophia {
    /// Sophia with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        let scale = ScaleByCurvature { beta1: 0.965, beta2: 0.99, gamma: 0.01, eps: 1e-8, limit: 1.0 };
        Self { learning_rate: Rate::new(learning_rate), scale, decay: 1e-4 }
    }

    /// The estimate of Gauss, Newton and Bartlett: `batch·ĝ²`, where ĝ is the gradient of the mean loss over a batch of
    /// `batch` examples whose labels were drawn from the model's own predictions.
    pub fn gauss_newton_bartlett<T: Real>(sampled_gradient: &Tensor<T>, batch: usize) -> Tensor<T> {
        let batch = T::of(batch as f64);
        sampled_gradient.map(|&slope| batch * slope * slope)
    }

    /// The decay rates of the means of the gradient and of the curvature.
    ///
    /// # Panics
    /// If a rate lies outside `0..1`.
    #[must_use]
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        expect_setting("`Sophia::betas`: beta1", beta1, 0.0..1.0);
        expect_setting("`Sophia::betas`: beta2", beta2, 0.0..1.0);
        self.scale.beta1 = beta1;
        self.scale.beta2 = beta2;
        self
    }

    /// The factor of the curvature: the smaller it is, the more steps are clipped.
    ///
    /// # Panics
    /// If it is not positive and finite.
    #[must_use]
    #[track_caller]
    pub fn gamma(mut self, gamma: f64) -> Self {
        expect_setting("`Sophia::gamma`: gamma", gamma, POSITIVE);
        self.scale.gamma = gamma;
        self
    }

    /// The smallest denominator.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Self {
        expect_setting("`Sophia::eps`: eps", eps, 0.0..);
        self.scale.eps = eps;
        self
    }

    /// The largest step, before the learning rate.
    ///
    /// # Panics
    /// If it is not positive.
    #[must_use]
    #[track_caller]
    pub fn limit(mut self, limit: f64) -> Self {
        expect_setting("`Sophia::limit`: limit", limit, (Excluded(0.0), Included(f64::INFINITY)));
        self.scale.limit = limit;
        self
    }

    /// The factor of the decoupled weight decay (default: 1e-4).
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn decay(self, decay: f64) -> Self {
        expect_setting("`Sophia::decay`: decay", decay, 0.0..);
        Self { decay, ..self }
    }
}

impl Part for Sophia {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        end(chain.then(self.scale), self.decay, self.learning_rate);
    }
}

/// Sophia's transform.
#[derive(Clone, Debug)]
struct ScaleByCurvature {
    beta1: f64,
    beta2: f64,
    gamma: f64,
    eps: f64,
    limit: f64,
}

impl Transform for ScaleByCurvature {
    fn state(&self) -> Vec<StateTensor> {
        vec![StateTensor::zeros("first_moment"), StateTensor::zeros("curvature").mean_of_observed(self.beta2)]
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let [beta1, gamma, eps, limit] = [self.beta1, self.gamma, self.eps, self.limit].map(T::of);
        let take = T::of(1.0 - self.beta1);
        let correct = T::of(1.0 / (1.0 - self.beta1.powf(step.number as f64)));
        move |block| {
            block.each(|_, update, [first, curvature]| {
                *first = beta1 * *first + take * update;
                (correct * *first / (gamma * *curvature).max(eps)).min(limit).max(-limit)
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
        testing::assert_rule(Sophia::new(1e-3));
    }
}
