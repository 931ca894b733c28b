//! The transform `ClipAdaptive`.

use std::ops::Bound::{Excluded, Included};

use gradus_graph::{Real, expect_setting};

use crate::norm::Factor;
use crate::{Chain, Norm, Part, StepInfo, TensorTransform, Tensorwise, WholeTensor};

/// Scales the update of each unit down to a share of the unit's own norm.
///
/// `uᵢ ← uᵢ·min(1, λ·max(‖pᵢ‖, ε) / ‖uᵢ‖)` for each unit `i`, all that leads into one output.
///
/// A unit is what one index of the first axis selects (a row of a dense weight `[outputs, inputs]`, a filter of a
/// convolution); a parameter of one axis or none is one unit, as in the authors' code,
/// whose layouts have the outputs last.
///
/// Defaults: ε 1e-3. No state.
///
/// Brock, De, Smith, Simonyan: High-performance large-scale image recognition without normalization, 2021.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{ClipAdaptive, Optimizer, Sgd};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from_rows([[3.0, 4.0], [0.6, 0.8]]));
/// let mut rule = Optimizer::new((ClipAdaptive::new(0.5), Sgd::new(1.0)));
/// rule.step(&mut params, [(&x, &Tensor::from_rows([[1.0, 1.0], [0.0, 8.0]]))]).unwrap();
/// // The first row, of norm 5, allows 2.5; the second, of norm 1, allows 0.5.
/// params.get(&x).assert_close(&Tensor::from_rows([[2.0, 3.0], [0.6, 0.3]]), 1e-15, 0.0);
/// ```
#[derive(Clone, Debug)]
pub struct ClipAdaptive {
    share: f64,
    eps: f64,
}

impl ClipAdaptive {
    /// Clips to the share λ of the norm of the unit: 0.01 in the paper's large batches.
    ///
    /// # Panics
    /// If the share is not positive.
    #[track_caller]
    pub fn new(share: f64) -> Self {
        expect_setting("`ClipAdaptive::new`: share", share, (Excluded(0.0), Included(f64::INFINITY)));
        Self { share, eps: 1e-3 }
    }

    /// The norm that a unit is taken to have at least.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn eps(self, eps: f64) -> Self {
        expect_setting("`ClipAdaptive::eps`: eps", eps, 0.0..);
        Self { eps, ..self }
    }
}

impl Part for ClipAdaptive {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.then(Tensorwise(self));
    }
}

impl TensorTransform for ClipAdaptive {
    fn transform<T: Real>(&self, _step: &StepInfo, tensor: WholeTensor<'_, T>) {
        let (parameter, update) = (tensor.parameter, tensor.update);
        let outputs = if let [outputs, _, ..] = tensor.shape.sizes() { *outputs } else { 1 };
        let len = (update.len() / outputs.max(1)).max(1);
        for (parameter, update) in parameter.chunks(len).zip(update.chunks_mut(len)) {
            let limit = Norm::Two.of(parameter).at_least(self.eps).times(self.share);
            let factor: Option<Factor<T>> = Norm::Two.of(update).clip_to(limit);
            if let Some(factor) = factor {
                update.iter_mut().for_each(|u| *u = factor.times(*u));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Momentum, Optimizer, Sgd, testing};
    use gradus_graph::{Params, Tensor};

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule((ClipAdaptive::new(0.5), Sgd::new(0.001)));
        testing::assert_rule((Momentum::new(0.5), ClipAdaptive::new(0.5).eps(0.1), Sgd::new(0.0005)));
    }

    #[test]
    fn units_of_any_size_are_clipped() {
        let mut params: Params<f32> = Params::new(0);
        let x = params.add("x", Tensor::from_rows([[3e20, 4e20], [0.0, 0.0], [1.0, 0.0]]));
        let gradient = Tensor::from_rows([[4e30, 3e30], [3e20, 4e20], [0.5, 1e-30]]);
        let clip = ClipAdaptive::new(1.0).eps(1.0);
        Optimizer::new((clip, Sgd::new(1.0))).step(&mut params, [(&x, &gradient)]).expect("the gradient is right");
        let expected = Tensor::from_rows([[-1e20, 1e20], [-0.6, -0.8], [0.5, -1e-30]]);
        params.get(&x).assert_close(&expected, 1e-6, 0.0);
    }
}
