//! The transform `TrustRatio`.

use gradus_graph::{POSITIVE, Real, expect_setting};

use crate::norm::Factor;
use crate::{Block, Norm, Over, StepInfo, Sum, Sums, Transform};

/// Scales the update of each tensor to a multiple of the norm of the tensor.
///
/// `u ← u·trust·‖p‖ / (‖u‖ + ε)` for each tensor, and `u` as it is if either norm is zero.
///
/// As `optax.scale_by_trust_ratio`. The norms are those of one tensor, summed in double precision and right for every
/// finite tensor. Defaults: trust 1, ε 0. No state.
///
/// You, Gitman, Ginsburg: Large batch training of convolutional networks, 2017.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{LearningRate, Optimizer, TrustRatio};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([3.0, 4.0])); // of norm 5
/// let mut rule = Optimizer::new((TrustRatio::new(), LearningRate::new(0.5)));
/// rule.step(&mut params, [(&x, &Tensor::from([0.0, 8.0]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [3.0, 1.5]);
/// ```
#[derive(Clone, Debug)]
pub struct TrustRatio {
    trust: f64,
    eps: f64,
}

impl TrustRatio {
    /// The ratio of the norms as it is.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self { trust: 1.0, eps: 0.0 }
    }

    /// The factor of the ratio.
    ///
    /// # Panics
    /// If it is not positive and finite.
    #[must_use]
    #[track_caller]
    pub fn trust(self, trust: f64) -> Self {
        expect_setting("`TrustRatio::trust`: trust", trust, POSITIVE);
        Self { trust, ..self }
    }

    /// The number that keeps the denominator from zero.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn eps(self, eps: f64) -> Self {
        expect_setting("`TrustRatio::eps`: eps", eps, 0.0..);
        Self { eps, ..self }
    }
}

impl Transform for TrustRatio {
    fn measures(&self) -> Option<Over> {
        Some(Over::Tensor)
    }

    fn measure<T: Real>(&self, _step: &StepInfo, parameter: &[T], update: &[T], _state: &[&[T]]) -> Sums {
        [Norm::Two.sum(parameter), Norm::Two.sum(update), Sum::default(), Sum::default()]
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let [parameter, update] = [0, 1].map(|i| Norm::Two.length(step.measured[i]));
        let known = !parameter.is_zero() && !update.is_zero();
        let ratio: Factor<T> =
            if known { parameter.times(self.trust).over(update.plus(self.eps)) } else { Factor::one() };
        move |block| block.each(|_, update, []| ratio.times(update))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LearningRate, Momentum, Optimizer, testing};
    use gradus_graph::{Params, Tensor};

    #[test]
    fn a_parameter_at_zero_can_leave_it() {
        let mut params: Params<f64> = Params::new(0);
        let x = params.add("x", Tensor::from([0.0]));
        let mut rule = Optimizer::new((TrustRatio::new().trust(0.1), LearningRate::new(0.5)));
        rule.step(&mut params, [(&x, &Tensor::from([2.0]))]).unwrap();
        assert_eq!(params.get(&x).data(), [-1.0]);
    }

    #[test]
    fn norms_of_any_size_have_a_ratio() {
        for size in [1e-200, 1.0, 1e200, 1e307] {
            for slope in [1e-300, 1e-200, 1.0, 1e200] {
                let mut params: Params<f64> = Params::new(0);
                let x = params.add("x", Tensor::from([3.0 * size, 4.0 * size]));
                let mut rule = Optimizer::new((TrustRatio::new(), LearningRate::new(0.5)));
                rule.step(&mut params, [(&x, &Tensor::from([0.0, 8.0 * slope]))]).unwrap();
                params.get(&x).assert_close(&Tensor::from([3.0 * size, 1.5 * size]), 1e-15, 0.0);
            }
        }
    }

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule((TrustRatio::new(), LearningRate::new(1e-3)));
        testing::assert_rule((Momentum::new(0.5), TrustRatio::new(), LearningRate::new(1e-3)));
    }
}
