//! Clipping by the norm of each parameter's update by itself: `u ← u·min(1, limit / ‖u‖)`.
//!
//! As Keras' `clipnorm`; Optax's `clip_by_block_rms` is the same with a limit times the root of the number of elements.
//! The norm is summed in double precision, and does not depend on the number of threads. No state.

use std::ops::Bound::{Excluded, Included};

use gradus_graph::{Real, expect_setting};

use crate::{Block, Link, Over, Step};

/// Scales the update of each parameter down to a Euclidean norm of at most `limit`.
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
}

impl ClipNorm {
    /// Clips to the given norm.
    ///
    /// # Panics
    /// If the limit is not positive.
    #[track_caller]
    pub fn new(limit: f64) -> Self {
        expect_setting("`ClipNorm::new`: limit", limit, (Excluded(0.0), Included(f64::INFINITY)));
        Self { limit }
    }
}

impl Link for ClipNorm {
    fn measures(&self) -> Option<Over> {
        Some(Over::Tensor)
    }

    fn at<T: Real>(&self, step: &Step) -> impl Fn(&mut Block<'_, T>) + Sync {
        let norm = step.measured[0].sqrt();
        let scale = T::of(self.limit / norm);
        move |block| {
            // An update within the limit passes unchanged, and unread.
            if norm > self.limit {
                block.each(|_, update, []| update * scale);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Momentum, Sgd, battery};

    #[test]
    fn battery() {
        battery::check((ClipNorm::new(1.0), Sgd::new(0.002)));
        battery::check((Momentum::new(0.5), ClipNorm::new(1.0), Sgd::new(0.002)));
    }
}
