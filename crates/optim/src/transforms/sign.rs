//! The transform `Sign`.

use gradus_graph::Real;

use crate::{Block, StepInfo, Transform};

/// Replaces each element of the update by its sign.
///
/// `u ← sign(u)`, with `sign(0) = 0`. No state.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{LearningRate, Optimizer, Sign};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([0.0, 0.0, 0.0]));
/// let mut rule = Optimizer::new((Sign, LearningRate::new(0.5)));
/// rule.step(&mut params, [(&x, &Tensor::from([3.0, -1e-9, 0.0]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [-0.5, 0.5, 0.0]);
/// ```
#[derive(Clone, Debug)]
pub struct Sign;

impl Transform for Sign {
    fn keeps_zeros(&self) -> bool {
        true
    }

    fn prepare<T: Real>(&self, _step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        |block| block.each(|_, update, []| sign(update))
    }
}

/// The sign, which unlike `signum` is zero at zero.
#[inline(always)]
pub(crate) fn sign<T: Real>(x: T) -> T {
    let positive = if x > T::zero() { T::one() } else { T::zero() };
    let negative = if x < T::zero() { T::one() } else { T::zero() };
    positive - negative
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LearningRate, testing};

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule((Sign, LearningRate::new(1e-3)));
    }
}
