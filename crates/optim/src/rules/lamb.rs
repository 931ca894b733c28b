//! The rule `Lamb`.

use gradus_graph::{Real, expect_setting};

use super::adam::ScaleByMoments;
use super::moments::Moments;
use crate::{Chain, DecayWeights, Part, Rate, RateSchedule, TrustRatio};

/// LAMB: Adam with steps in proportion to the norm of each tensor.
///
/// Adam's step and decoupled decay, `u = m̂/(√v̂ + ε) + decay·p`, then `p ← p − lr·u·‖p‖/‖u‖` for each tensor.
///
/// As `optax.lamb`: the ratio is 1 if either norm is zero, and it is not clipped.
///
/// Defaults: β₁ 0.9, β₂ 0.999, ε 1e-6 outside the root, no decay. State: as [`Adam`](crate::Adam).
///
/// You et al.: Large batch optimization for deep learning: training BERT in 76 minutes, 2020.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Lamb, Optimizer};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([6.0, 8.0])); // of norm 10
/// let mut rule = Optimizer::new(Lamb::new(0.25).eps(0.0));
/// rule.step(&mut params, [(&x, &Tensor::from([0.5, 0.5]))]).unwrap(); // Adam's step is (1, 1)
/// let each = 0.25 * 10.0 / 2.0_f64.sqrt();
/// params.get(&x).assert_close(&Tensor::from([6.0 - each, 8.0 - each]), 1e-14, 0.0);
/// ```
#[derive(Clone, Debug)]
pub struct Lamb {
    learning_rate: Rate,
    scale: ScaleByMoments,
    decay: f64,
}

impl Lamb {
    /// LAMB with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        let scale = ScaleByMoments::new(Moments { eps: 1e-6, ..Moments::ADAM });
        Self { learning_rate: Rate::new(learning_rate), scale, decay: 0.0 }
    }

    /// The decay rates of the two moments.
    ///
    /// # Panics
    /// If a rate lies outside `0..1`.
    #[must_use]
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.scale.moments = self.scale.moments.with_betas("Lamb", beta1, beta2);
        self
    }

    /// The number that keeps the denominator from zero.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Self {
        self.scale.moments = self.scale.moments.with_eps("Lamb", eps);
        self
    }

    /// The factor of the weight decay inside the ratio (default: none).
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn decay(self, decay: f64) -> Self {
        expect_setting("`Lamb::decay`: decay", decay, 0.0..);
        Self { decay, ..self }
    }
}

impl Part for Lamb {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.then(self.scale);
        if self.decay > 0.0 {
            chain.then(DecayWeights::new(self.decay));
        }
        chain.then(TrustRatio::new()).learning_rate(self.learning_rate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule(Lamb::new(0.01));
        testing::assert_rule(Lamb::new(0.01).decay(1e-2));
    }
}
