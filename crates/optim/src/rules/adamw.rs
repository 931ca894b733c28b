//! The rule `AdamW`.

use gradus_graph::{Real, expect_setting};

use super::adam::ScaleByMoments;
use super::moments::Moments;
use crate::{Chain, DecayWeights, Part, Rate, RateSchedule};

/// [`Adam`](crate::Adam) with decoupled weight decay.
///
/// `p ← p − lr·decay·p`, then Adam's step: weight decay that does not enter the moments.
///
/// As `torch.optim.AdamW`: the decay is multiplied by the learning rate and takes the parameter from before the step.
/// Defaults: decay 1e-2 (Optax: 1e-4), β₁ 0.9, β₂ 0.999, ε 1e-8 outside the root. State: as [`Adam`](crate::Adam).
///
/// Loshchilov, Hutter: Decoupled weight decay regularization, 2019.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{AdamW, Optimizer};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([8.0]));
/// let mut adamw = Optimizer::new(AdamW::new(0.5).decay(0.25));
/// adamw.step(&mut params, [(&x, &Tensor::from([0.0]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [7.0]); // 8 − 0.5·0.25·8
/// ```
#[derive(Clone, Debug)]
pub struct AdamW {
    learning_rate: Rate,
    moments: ScaleByMoments,
    decay: f64,
}

impl AdamW {
    /// AdamW with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        Self { learning_rate: Rate::new(learning_rate), moments: ScaleByMoments::new(Moments::ADAM), decay: 1e-2 }
    }

    /// The factor of the weight decay (default: 1e-2).
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn decay(self, decay: f64) -> Self {
        expect_setting("`AdamW::decay`: decay", decay, 0.0..);
        Self { decay, ..self }
    }

    /// The decay rates of the two moments.
    ///
    /// # Panics
    /// If a rate lies outside `0..1`.
    #[must_use]
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.moments.moments = self.moments.moments.with_betas("AdamW", beta1, beta2);
        self
    }

    /// The number that keeps the denominator from zero.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Self {
        self.moments.moments = self.moments.moments.with_eps("AdamW", eps);
        self
    }
}

impl Part for AdamW {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.then(self.moments).then(DecayWeights::new(self.decay)).learning_rate(self.learning_rate);
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
        let x = params.add("x", Tensor::from([2.0]));
        let mut adamw = Optimizer::new(AdamW::new(0.5).decay(0.1).eps(1.0));
        adamw.step(&mut params, [(&x, &Tensor::from([3.0]))]).unwrap();
        // Decay 0.5·0.1·2 = 0.1; Adam 0.5·3/(3 + 1) = 0.375.
        params.get(&x).assert_close(&Tensor::from([1.525]), 1e-15, 0.0);
    }

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule(AdamW::new(0.01));
    }
}
