//! Adaptive clipping: `uᵢ ← uᵢ·min(1, λ·max(‖pᵢ‖, ε) / ‖uᵢ‖)` for each unit `i`, all that leads into one output.
//!
//! A unit is what one index of the first axis selects (a row of a dense weight `[outputs, inputs]`, a filter of a
//! convolution); a parameter of one axis or none is one unit, as in the authors' code and `optax.adaptive_grad_clip`,
//! whose layouts have the outputs last: see [`outputs_last`](ClipAdaptive::outputs_last).
//!
//! Defaults: ε 1e-3. No state.
//!
//! Brock, De, Smith, Simonyan: High-performance large-scale image recognition without normalization, 2021.

use std::ops::Bound::{Excluded, Included};

use gradus_graph::{Real, expect_setting};

use super::output_axis::OutputAxis;
use crate::norm::{Factor, Length};
use crate::whole_tensor::parts;
use crate::{Chain, Norm, Part, StepInfo, TensorTransform, Tensorwise, WholeTensor};

/// Scales the update of each unit down to a share of the unit's own norm.
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
    units: OutputAxis,
}

impl ClipAdaptive {
    /// Clips to the share λ of the norm of the unit: 0.01 in the paper's large batches.
    ///
    /// # Panics
    /// If the share is not positive.
    #[track_caller]
    pub fn new(share: f64) -> Self {
        expect_setting("`ClipAdaptive::new`: share", share, (Excluded(0.0), Included(f64::INFINITY)));
        Self { share, eps: 1e-3, units: OutputAxis::First }
    }

    /// The norm that a unit is taken to have at least.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[track_caller]
    pub fn eps(self, eps: f64) -> Self {
        expect_setting("`ClipAdaptive::eps`: eps", eps, 0.0..);
        Self { eps, ..self }
    }

    /// A unit is what one index of the last axis selects.
    pub fn outputs_last(self) -> Self {
        Self { units: OutputAxis::Last, ..self }
    }
}

impl Part for ClipAdaptive {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.then(Tensorwise(self));
    }
}

impl TensorTransform for ClipAdaptive {
    fn transform<T: Real>(&self, _step: &StepInfo, tensor: WholeTensor<'_, T>) {
        let (parameter, update, sums) = (tensor.parameter, tensor.update, tensor.scratch);
        let factor = |size: Length, norm: Length| {
            let factor: Option<Factor<T>> = norm.clip_to(size.at_least(self.eps).times(self.share));
            factor
        };
        let outputs = self.units.outputs(tensor.shape);
        if outputs == 1 || self.units == OutputAxis::First {
            let len = (update.len() / outputs.max(1)).max(1);
            for (parameter, update) in parameter.chunks(len).zip(update.chunks_mut(len)) {
                if let Some(factor) = factor(Norm::Two.of(parameter), Norm::Two.of(update)) {
                    update.iter_mut().for_each(|u| *u = factor.times(*u));
                }
            }
            return;
        }
        // The sums of squares of all columns side by side: of the parameter and of the update.
        let rows = update.len() / outputs.max(1);
        let [own, change, unit] = parts(sums, [outputs, outputs, rows]);
        own.fill(T::zero());
        change.fill(T::zero());
        for (parameter, update) in parameter.chunks(outputs).zip(update.chunks(outputs)) {
            for column in 0..outputs {
                own[column] += parameter[column] * parameter[column];
                change[column] += update[column] * update[column];
            }
        }
        // Where a sum left the range of the precision, the column is looked at by itself.
        let least = T::min_positive_value() / T::of(T::EPS);
        let mut length = |sum: T, values: &[T], column: usize| {
            if sum >= least && sum.is_finite() {
                return Length::from(sum.as_f64().sqrt());
            }
            let elements = values.iter().skip(column).step_by(outputs);
            unit.iter_mut().zip(elements).for_each(|(unit, &value)| *unit = value);
            Norm::Two.of(unit)
        };
        for column in 0..outputs {
            let (size, norm) = (length(own[column], parameter, column), length(change[column], update, column));
            let factor = factor(size, norm).unwrap_or_else(Factor::one);
            (own[column], change[column]) = (factor.first, factor.second);
        }
        for update in update.chunks_mut(outputs) {
            for column in 0..outputs {
                update[column] = update[column] * own[column] * change[column];
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
    fn columns_of_any_size_are_clipped() {
        let mut params: Params<f32> = Params::new(0);
        let x = params.add("x", Tensor::from_rows([[3e20, 0.0, 1.0], [4e20, 0.0, 0.0]]));
        let gradient = Tensor::from_rows([[4e30, 3e20, 0.5], [3e30, 4e20, 1e-30]]);
        let clip = ClipAdaptive::new(1.0).eps(1.0).outputs_last();
        Optimizer::new((clip, Sgd::new(1.0))).step(&mut params, [(&x, &gradient)]).expect("the gradient is right");
        let expected = Tensor::from_rows([[-1e20, -0.6, 0.5], [1e20, -0.8, -1e-30]]);
        params.get(&x).assert_close(&expected, 1e-6, 0.0);
    }

    #[test]
    fn the_last_axis_is_the_first_of_the_transpose() {
        let step = |value: Tensor<f64>, gradient: Tensor<f64>, clip: ClipAdaptive| {
            let mut params = Params::new(0);
            let x = params.add("x", value);
            Optimizer::new((clip, Sgd::new(1.0))).step(&mut params, [(&x, &gradient)]).expect("the gradient is right");
            params.get(&x).clone()
        };
        let rows = step(
            Tensor::from_rows([[1.0, 2.0, 2.0], [0.0, 0.0, 0.0]]),
            Tensor::from_rows([[9.0, 0.0, 0.0], [0.0, 1.0, 1.0]]),
            ClipAdaptive::new(1.0).eps(0.5),
        );
        let columns = step(
            Tensor::from_rows([[1.0, 0.0], [2.0, 0.0], [2.0, 0.0]]),
            Tensor::from_rows([[9.0, 0.0], [0.0, 1.0], [0.0, 1.0]]),
            ClipAdaptive::new(1.0).eps(0.5).outputs_last(),
        );
        let half = 0.5 / 2.0_f64.sqrt();
        rows.assert_close(&Tensor::from_rows([[-2.0, 2.0, 2.0], [0.0, -half, -half]]), 1e-15, 0.0);
        columns.assert_close(&Tensor::from_rows([[-2.0, 0.0], [2.0, -half], [2.0, -half]]), 1e-15, 0.0);
    }
}
