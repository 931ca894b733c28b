//! The transform `ClipNorm`.

use std::ops::Bound::{Excluded, Included};

use gradus_graph::{Real, expect_setting};

use crate::{Block, Norm, Over, StepInfo, Sum, Sums, Transform};

/// Scales the update of each parameter down to a norm of at most `limit`.
///
/// `u ← u·min(1, limit / ‖u‖)`.
///
/// As Keras' `clipnorm`; Optax's `clip_by_block_rms` is the same with a limit times the root of the number of elements.
/// The norm is summed in double precision, right for every finite vector, and does not depend on the number of threads.
/// Defaults: the Euclidean norm; [`Norm`] has the others. No state.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{ClipNorm, Optimizer, Sgd};
/// let mut params: Params<f64> = Params::new(0);
/// let list = [params.add("a", Tensor::from([0.0, 0.0])), params.add("b", Tensor::from([0.0]))];
/// let mut rule = Optimizer::new((ClipNorm::new(2.5), Sgd::new(1.0)));
/// let gradients = [Tensor::from([3.0, 4.0]), Tensor::from([2.0])];
/// rule.step(&mut params, list.iter().zip(&gradients)).unwrap();
/// assert_eq!(params.get(&list[0]).data(), [-1.5, -2.0]);
/// assert_eq!(params.get(&list[1]).data(), [-2.0]);
/// ```
#[derive(Clone, Debug)]
pub struct ClipNorm {
    limit: f64,
    norm: Norm,
}

impl ClipNorm {
    /// Clips to the given norm.
    ///
    /// # Panics
    /// If the limit is not positive.
    #[track_caller]
    pub fn new(limit: f64) -> Self {
        expect_setting("`ClipNorm::new`: limit", limit, (Excluded(0.0), Included(f64::INFINITY)));
        Self { limit, norm: Norm::Two }
    }

    /// The norm that is limited (default: the Euclidean).
    #[must_use]
    pub fn norm(self, norm: Norm) -> Self {
        Self { norm, ..self }
    }
}

impl Transform for ClipNorm {
    fn measures(&self) -> Option<Over> {
        Some(Over::Tensor)
    }

    fn keeps_zeros(&self) -> bool {
        true
    }

    fn measure<T: Real>(&self, _step: &StepInfo, _parameter: &[T], update: &[T], _state: &[&[T]]) -> Sums {
        [self.norm.sum(update), Sum::default(), Sum::default(), Sum::default()]
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let factor = self.norm.length(step.measured[0]).clip(self.limit);
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
    use crate::{ClipAdaptive, ClipGlobalNorm, Momentum, Optimizer, Sgd, testing};
    use gradus_graph::{Params, Tensor};

    /// The change that a clipped gradient makes with the learning rate 1.
    fn clipped<T: Real>(transform: impl crate::Part, gradient: &[f64]) -> Vec<f64> {
        let mut params: Params<T> = Params::new(0);
        let x = params.add("x", Tensor::zeros([gradient.len()]));
        let gradient = Tensor::from_fn([gradient.len()], |i| T::of(gradient[i]));
        Optimizer::new((transform, Sgd::new(1.0)))
            .step(&mut params, [(&x, &gradient)])
            .expect("the gradient is finite");
        params.get(&x).data().iter().map(|x| -x.as_f64()).collect()
    }

    #[test]
    fn gradients_of_any_size_are_clipped() {
        let close = |found: Vec<f64>, expected: [f64; 2], tolerance: f64| {
            for (found, expected) in found.iter().zip(expected) {
                assert!((found / expected - 1.0).abs() < tolerance, "{found:e} for {expected:e}");
            }
        };
        for (gradient, direction) in [
            ([1e200, 1e200], [0.5_f64.sqrt(); 2]),
            ([3e200, 4e200], [0.6, 0.8]),
            ([1.5e308, 1.5e308], [0.5_f64.sqrt(); 2]),
        ] {
            close(clipped::<f64>(ClipNorm::new(1.0), &gradient), direction, 1e-15);
            close(clipped::<f64>(ClipGlobalNorm::new(1.0), &gradient), direction, 1e-15);
            close(clipped::<f64>(ClipAdaptive::new(1.0).eps(1.0), &gradient), direction, 1e-15);
        }
        for gradient in [[3e20, 4e20], [2.1e38, 2.8e38]] {
            for limit in [1.0, 1e-6] {
                let expected = [0.6 * limit, 0.8 * limit];
                close(clipped::<f32>(ClipNorm::new(limit), &gradient), expected, 2e-7);
                close(clipped::<f32>(ClipGlobalNorm::new(limit), &gradient), expected, 2e-7);
                close(clipped::<f32>(ClipAdaptive::new(limit).eps(1.0), &gradient), expected, 2e-7);
            }
        }
        close(clipped::<f64>(ClipNorm::new(1e-210), &[3e-200, 4e-200]), [0.6e-210, 0.8e-210], 1e-15);
        close(clipped::<f64>(ClipNorm::new(1e-210), &[3e-170, 4e-200]), [1e-210, 4.0 / 3.0 * 1e-240], 1e-15);
    }

    #[test]
    fn the_other_norms() {
        let gradient = [3.0, -4.0];
        assert_eq!(clipped::<f64>(ClipNorm::new(3.5).norm(Norm::One), &gradient), [1.5, -2.0]);
        assert_eq!(clipped::<f64>(ClipNorm::new(2.0).norm(Norm::Max), &gradient), [1.5, -2.0]);
        for limit in [4.0, 1e9] {
            assert_eq!(clipped::<f64>(ClipNorm::new(limit).norm(Norm::Max), &gradient), gradient);
        }
    }

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule((ClipNorm::new(1.0), Sgd::new(0.002)));
        testing::assert_rule((ClipNorm::new(1.0).norm(Norm::Max), Sgd::new(0.002)));
        testing::assert_rule((Momentum::new(0.5), ClipNorm::new(1.0), Sgd::new(0.002)));
    }
}
