//! The rule `SignSgd`.

use gradus_graph::{Real, expect_setting};

use crate::{Chain, Momentum, Part, Rate, RateSchedule, Sign};

/// signSGD: steps of the learning rate, down, in every element.
///
/// `p ← p − lr·sign(g)`, with `sign(0) = 0`; with momentum (Signum) the sign of `m ← momentum·m + g`.
///
/// As `optax.sign_sgd`. The momentum may be a sum or a mean: the sign is the same. Defaults: no momentum. State:
/// `momentum`, if there is any.
///
/// Bernstein, Wang, Azizzadenesheli, Anandkumar: signSGD: compressed optimisation for non-convex problems, 2018.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Optimizer, SignSgd};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0, 1.0]));
/// let mut rule = Optimizer::new(SignSgd::new(0.25));
/// rule.step(&mut params, [(&x, &Tensor::from([1e-6, -9.0]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [0.75, 1.25]);
/// ```
#[derive(Clone, Debug)]
pub struct SignSgd {
    learning_rate: Rate,
    momentum: f64,
}

impl SignSgd {
    /// signSGD with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        Self { learning_rate: Rate::new(learning_rate), momentum: 0.0 }
    }

    /// Takes the sign of a running sum with this factor (Signum).
    ///
    /// # Panics
    /// If it lies outside `0..1`.
    #[must_use]
    #[track_caller]
    pub fn momentum(self, momentum: f64) -> Self {
        expect_setting("`SignSgd::momentum`: momentum", momentum, 0.0..1.0);
        Self { momentum, ..self }
    }
}

impl Part for SignSgd {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        if self.momentum > 0.0 {
            chain.then(Momentum::new(self.momentum));
        }
        chain.then(Sign).learning_rate(self.learning_rate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Optimizer, testing};
    use gradus_graph::{Params, Tensor};

    #[test]
    fn the_sign_of_the_momentum_lags() {
        let mut params: Params<f64> = Params::new(0);
        let x = params.add("x", Tensor::from([0.0]));
        let mut rule = Optimizer::new(SignSgd::new(1.0).momentum(0.5));
        for gradient in [4.0, -1.0, -2.0] {
            rule.step(&mut params, [(&x, &Tensor::from([gradient]))]).unwrap(); // m: 4, 1, −1.5
        }
        assert_eq!(params.get(&x).data(), [-1.0]);
    }

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule(SignSgd::new(1e-3));
        testing::assert_rule(SignSgd::new(1e-3).momentum(0.9));
    }
}
