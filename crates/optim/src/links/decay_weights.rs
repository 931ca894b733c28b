//! Weight decay: `u ← u + decay·p`.
//!
//! Before a rule's own links this is L2 regularisation (the decay passes through momentum and moments, PyTorch's
//! `weight_decay` of SGD and Adam); after them it is decoupled (AdamW, scaled by the learning rate). No state.

use gradus_graph::{Real, expect_setting};

use crate::{Block, Link, Step};

/// Adds a multiple of the parameter to the update.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{DecayWeights, Optimizer, Sgd};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([8.0]));
/// let mut rule = Optimizer::new((DecayWeights::new(0.25), Sgd::new(0.5)));
/// rule.step(&mut params, [(&x, &Tensor::from([0.0]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [7.0]);
/// ```
#[derive(Clone, Debug)]
pub struct DecayWeights {
    decay: f64,
}

impl DecayWeights {
    /// Decay with the given factor.
    ///
    /// # Panics
    /// If the factor is negative or not finite.
    #[track_caller]
    pub fn new(decay: f64) -> Self {
        expect_setting("`DecayWeights::new`: decay", decay, 0.0..);
        Self { decay }
    }
}

impl Link for DecayWeights {
    fn at<T: Real>(&self, _step: &Step) -> impl Fn(&mut Block<'_, T>) + Sync {
        let decay = T::of(self.decay);
        move |block| block.each(|parameter, update, []| update + decay * parameter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sgd, battery};

    #[test]
    fn battery() {
        battery::check((DecayWeights::new(1e-3), Sgd::new(0.0005)));
    }
}
