//! The transform `ClipValue`.

use std::ops::Bound::{Excluded, Included};

use gradus_graph::{Real, expect_setting};

use crate::{Block, StepInfo, Transform};

/// Clips each element of the update to `−limit..=limit`.
///
/// `u ← min(max(u, −limit), limit)`.
///
/// As `torch.nn.utils.clip_grad_value_`. No state.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{ClipValue, Optimizer, Sgd};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([0.0, 0.0, 0.0]));
/// let mut rule = Optimizer::new((ClipValue::new(2.0), Sgd::new(1.0)));
/// rule.step(&mut params, [(&x, &Tensor::from([5.0, -3.0, 1.0]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [-2.0, 2.0, -1.0]);
/// ```
#[derive(Clone, Debug)]
pub struct ClipValue {
    limit: f64,
}

impl ClipValue {
    /// Clips to `−limit..=limit`.
    ///
    /// # Panics
    /// If the limit is not positive.
    #[track_caller]
    pub fn new(limit: f64) -> Self {
        expect_setting("`ClipValue::new`: limit", limit, (Excluded(0.0), Included(f64::INFINITY)));
        Self { limit }
    }
}

impl Transform for ClipValue {
    fn keeps_zeros(&self) -> bool {
        true
    }

    fn prepare<T: Real>(&self, _step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let limit = T::of(self.limit);
        move |block| block.each(|_, update, []| update.min(limit).max(-limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sgd, testing};

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule((ClipValue::new(1.0), Sgd::new(0.002)));
    }
}
