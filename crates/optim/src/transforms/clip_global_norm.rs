//! The transform `ClipGlobalNorm`.

use std::ops::Bound::{Excluded, Included};

use gradus_graph::{Real, expect_setting};

use crate::{Block, Norm, Over, StepInfo, Sum, Sums, Transform};

/// Scales the update of all parameters down to a norm of at most `limit` together.
///
/// `u ← u·min(1, limit / (‖u‖ + 1e-6))`.
///
/// As `torch.nn.utils.clip_grad_norm_`, with its 1e-6 (Optax has none) and its other norms ([`Norm`]). The norm runs
/// over every gradient of the step, is summed in double precision, right for every finite gradient (PyTorch's sum of
/// squares overflows in the precision of the gradients), and does not depend on the number of threads. Defaults: the
/// Euclidean norm. No state.
///
/// Pascanu, Mikolov, Bengio: On the difficulty of training recurrent neural networks, 2013.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{ClipGlobalNorm, Optimizer, Sgd};
/// let mut params: Params<f64> = Params::new(0);
/// let list = [params.add("a", Tensor::from([0.0])), params.add("b", Tensor::from([0.0]))];
/// let mut rule = Optimizer::new((ClipGlobalNorm::new(1.0), Sgd::new(1.0)));
/// let gradients = [Tensor::from([3.0]), Tensor::from([4.0])]; // together of norm 5
/// rule.step(&mut params, list.iter().zip(&gradients)).unwrap();
/// assert!((params.get(&list[0]).item() + 0.6).abs() < 1e-6);
/// assert!((params.get(&list[1]).item() + 0.8).abs() < 1e-6);
/// ```
#[derive(Clone, Debug)]
pub struct ClipGlobalNorm {
    limit: f64,
    norm: Norm,
}

impl ClipGlobalNorm {
    /// Clips to the given norm.
    ///
    /// # Panics
    /// If the limit is not positive.
    #[track_caller]
    pub fn new(limit: f64) -> Self {
        expect_setting("`ClipGlobalNorm::new`: limit", limit, (Excluded(0.0), Included(f64::INFINITY)));
        Self { limit, norm: Norm::Two }
    }

    /// The norm that is limited (default: the Euclidean).
    #[must_use]
    pub fn norm(self, norm: Norm) -> Self {
        Self { norm, ..self }
    }
}

impl Transform for ClipGlobalNorm {
    fn measures(&self) -> Option<Over> {
        Some(Over::All)
    }

    fn keeps_zeros(&self) -> bool {
        true
    }

    fn measure<T: Real>(&self, _step: &StepInfo, _parameter: &[T], update: &[T], _state: &[&[T]]) -> Sums {
        [self.norm.sum(update), Sum::default(), Sum::default(), Sum::default()]
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let factor = self.norm.length(step.measured[0]).plus(1e-6).clip(self.limit);
        move |block| {
            // An update within the limit passes unchanged, and unread.
            if let Some(factor) = factor {
                block.each(|_, update, []| factor.times(update));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Adam, Momentum, Optimizer, Sgd, testing};
    use gradus_graph::{Params, Tensor};

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule((ClipGlobalNorm::new(1.0), Sgd::new(0.002)));
        testing::assert_rule((Momentum::new(0.5), ClipGlobalNorm::new(2.0), Adam::new(0.01)));
    }

    #[test]
    fn within_the_limit_nothing_changes() {
        let mut params: Params<f64> = Params::new(0);
        let x = params.add("x", Tensor::from([0.1, 0.2]));
        let mut rule = Optimizer::new((ClipGlobalNorm::new(1.0), Sgd::new(1.0)));
        rule.step(&mut params, [(&x, &Tensor::from([0.1, 0.2]))]).unwrap();
        assert_eq!(params.get(&x).data(), [0.0, 0.0]);
    }

    #[test]
    fn in_the_middle_of_a_chain_the_update_is_measured() {
        let mut params: Params<f64> = Params::new(0);
        let list = [params.add("a", Tensor::from([0.0])), params.add("b", Tensor::from([0.0]))];
        let mut rule = Optimizer::new((Momentum::new(1.0), ClipGlobalNorm::new(5.0), Sgd::new(1.0)));
        let gradients = [Tensor::from([3.0]), Tensor::from([4.0])];
        rule.step(&mut params, list.iter().zip(&gradients)).unwrap();
        params.get(&list[0]).assert_close(&Tensor::from([-3.0]), 1e-6, 0.0);
        // The momentum is now twice the gradient, of norm 10, clipped to 5.
        rule.step(&mut params, list.iter().zip(&gradients)).unwrap();
        params.get(&list[0]).assert_close(&Tensor::from([-6.0]), 1e-6, 0.0);
        params.get(&list[1]).assert_close(&Tensor::from([-8.0]), 1e-6, 0.0);
    }
}
