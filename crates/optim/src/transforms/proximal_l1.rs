//! The transform `ProximalL1`.

use gradus_graph::{Real, expect_setting};

use crate::{Block, StepInfo, Transform};

/// Shrinks the moved parameter towards zero, and sets it to zero where the step would cross it.
///
/// `p ← soft(p − u, lr·penalty)` with `soft(x, t) = sign(x)·max(|x| − t, 0)`.
///
/// For the end of a chain, after the rule: `(Sgd::new(0.1), ProximalL1::new(0.01))` is the iteration of soft
/// thresholding (ISTA). What the penalty holds at zero is exactly zero. No state.
///
/// Daubechies, Defrise, De Mol: An iterative thresholding algorithm for linear inverse problems with a sparsity
/// constraint, 2004; Parikh, Boyd: Proximal algorithms, 2014.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Optimizer, ProximalL1, Sgd};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([3.0, 0.25, -3.0]));
/// let mut rule = Optimizer::new((Sgd::new(0.5), ProximalL1::new(1.0)));
/// rule.step(&mut params, [(&x, &Tensor::from([1.0, 0.0, 0.0]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [2.0, 0.0, -2.5]); // soft(2.5, 0.5), soft(0.25, 0.5), soft(−3, 0.5)
/// ```
#[derive(Clone, Debug)]
pub struct ProximalL1 {
    penalty: f64,
}

impl ProximalL1 {
    /// The proximal step for a penalty of the given factor.
    ///
    /// # Panics
    /// If the factor is negative or not finite.
    #[track_caller]
    pub fn new(penalty: f64) -> Self {
        expect_setting("`ProximalL1::new`: penalty", penalty, 0.0..);
        Self { penalty }
    }
}

impl Transform for ProximalL1 {
    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let threshold = T::of(self.penalty * step.learning_rate);
        move |block| {
            block.each(|parameter, update, []| {
                let moved = parameter - update;
                // Where `moved` is inside the threshold the update is the parameter itself, which leaves exactly zero.
                let kept = moved.min(threshold).max(-threshold);
                parameter - (moved - kept)
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Optimizer, Sgd, testing};
    use gradus_graph::{Params, Tensor};

    #[test]
    fn the_lasso_has_exact_zeros() {
        // The minimum of Σ (x − target)²/2 + |x| is soft(target, 1).
        let mut params: Params<f64> = Params::new(0);
        let x = params.add("x", Tensor::from([1.0, 1.0, 1.0]));
        let target = [3.0, 0.75, -1.5];
        let mut rule = Optimizer::new((Sgd::new(0.5), ProximalL1::new(1.0)));
        for _ in 0..100 {
            let gradient = Tensor::from_fn([3], |i| params.get(&x).data()[i] - target[i]);
            rule.step(&mut params, [(&x, &gradient)]).unwrap();
        }
        params.get(&x).assert_close(&Tensor::from([2.0, 0.0, -0.5]), 1e-14, 0.0);
        assert_eq!(params.get(&x).data()[1], 0.0);
    }

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule((Sgd::new(0.0005), ProximalL1::new(1e-3)));
    }
}
