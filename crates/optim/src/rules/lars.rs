//! The rule `Lars`.

use gradus_graph::{POSITIVE, Real, expect_setting};

use crate::{Chain, DecayWeights, Momentum, Part, Rate, RateSchedule, TrustRatio};

/// LARS: momentum with steps in proportion to the norm of each tensor.
///
/// `u = g + decay·p`, `m ← momentum·m + lr·trust·u·‖p‖/(‖u‖ + ε)` for each tensor, `p ← p − m`.
///
/// As `optax.lars` and the paper: the learning rate is inside the momentum, and the ratio is 1 if either norm is zero.
///
/// Defaults: momentum 0.9, trust 1e-3, ε 0, no decay, no Nesterov. State: `momentum`.
///
/// You, Gitman, Ginsburg: Large batch training of convolutional networks, 2017.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Lars, Optimizer};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([3.0, 4.0])); // of norm 5
/// let mut rule = Optimizer::new(Lars::new(0.5).trust(0.25));
/// rule.step(&mut params, [(&x, &Tensor::from([8.0, 0.0]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [2.375, 4.0]); // 3 − 0.5·0.25·5
/// ```
#[derive(Clone, Debug)]
pub struct Lars {
    learning_rate: Rate,
    ratio: TrustRatio,
    momentum: Momentum,
    decay: f64,
}

impl Lars {
    /// LARS with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        let (ratio, momentum) = (TrustRatio::new().trust(1e-3), Momentum::of("Lars").momentum(0.9));
        Self { learning_rate: Rate::new(learning_rate), ratio, momentum, decay: 0.0 }
    }

    /// The factor of the momentum.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn momentum(self, momentum: f64) -> Self {
        Self { momentum: self.momentum.momentum(momentum), ..self }
    }

    /// Looks ahead by one step of momentum.
    ///
    /// # Panics
    /// If the momentum is 0.
    #[must_use]
    #[track_caller]
    pub fn nesterov(self) -> Self {
        Self { momentum: self.momentum.nesterov(), ..self }
    }

    /// The factor of the ratio of the norms.
    ///
    /// # Panics
    /// If it is not positive and finite.
    #[must_use]
    #[track_caller]
    pub fn trust(self, trust: f64) -> Self {
        expect_setting("`Lars::trust`: trust", trust, POSITIVE);
        Self { ratio: self.ratio.trust(trust), ..self }
    }

    /// The number that keeps the denominator of the ratio from zero.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn eps(self, eps: f64) -> Self {
        expect_setting("`Lars::eps`: eps", eps, 0.0..);
        Self { ratio: self.ratio.eps(eps), ..self }
    }

    /// The factor of the weight decay inside the ratio (default: none).
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn decay(self, decay: f64) -> Self {
        expect_setting("`Lars::decay`: decay", decay, 0.0..);
        Self { decay, ..self }
    }
}

impl Part for Lars {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        if self.decay > 0.0 {
            chain.then(DecayWeights::new(self.decay));
        }
        chain.then(self.ratio).learning_rate(self.learning_rate).then(self.momentum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule(Lars::new(0.5));
        testing::assert_rule(Lars::new(0.5).nesterov().decay(1e-3).eps(1e-9));
    }
}
