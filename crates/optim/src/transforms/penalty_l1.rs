//! The transform `PenaltyL1`.

use gradus_graph::{Real, expect_setting};

use super::sign::sign;
use crate::{Block, StepInfo, Transform};

/// Adds the gradient of an L1 penalty to the update.
///
/// `u ← u + penalty·sign(p)`, with `sign(0) = 0`.
///
/// The gradient of `penalty·Σ|p|`. It moves parameters towards zero and beyond it; for exact zeros see
/// [`ProximalL1`](crate::ProximalL1). Its square counterpart, the L2 penalty, is [`DecayWeights`](crate::DecayWeights).
/// After a rule, whose steps have the learning rate in them, it is `u ← u + lr·penalty·sign(p)`. No state.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Optimizer, PenaltyL1, Sgd};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([8.0, -2.0, 0.0]));
/// let mut rule = Optimizer::new((PenaltyL1::new(0.5), Sgd::new(1.0)));
/// rule.step(&mut params, [(&x, &Tensor::from([0.0, 0.0, 0.0]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [7.5, -1.5, 0.0]);
/// ```
#[derive(Clone, Debug)]
pub struct PenaltyL1 {
    penalty: f64,
}

impl PenaltyL1 {
    /// The penalty with the given factor.
    ///
    /// # Panics
    /// If the factor is negative or not finite.
    #[track_caller]
    pub fn new(penalty: f64) -> Self {
        expect_setting("`PenaltyL1::new`: penalty", penalty, 0.0..);
        Self { penalty }
    }
}

impl Transform for PenaltyL1 {
    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let penalty = T::of(if step.scaled { step.learning_rate * self.penalty } else { self.penalty });
        move |block| block.each(|parameter, update, []| update + penalty * sign(parameter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sgd, testing};

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule((PenaltyL1::new(1e-3), Sgd::new(0.0005)));
    }
}
