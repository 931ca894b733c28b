//! Gradient centralisation: `uᵢ ← uᵢ − mean(uᵢ)` for each unit `i`, all that leads into one output.
//!
//! A unit is what one index of the first axis selects, as in the authors' code for PyTorch; with
//! [`outputs_last`](Centralize::outputs_last) of the last axis (`optax.centralize` takes the mean over all axes but the
//! first, whatever the layout). A parameter of one axis or none passes unchanged. No state.
//!
//! Yong, Huang, Hua, Zhang: Gradient centralization: a new optimization technique for deep neural networks, 2020.

use gradus_graph::Real;

use super::output_axis::OutputAxis;
use crate::{Chain, Part, StepInfo, TensorTransform, Tensorwise, WholeTensor};

/// Subtracts from the update of each unit its mean.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Centralize, Optimizer, Sgd};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from_rows([[0.0, 0.0], [0.0, 0.0]]));
/// let mut rule = Optimizer::new((Centralize::new(), Sgd::new(1.0)));
/// rule.step(&mut params, [(&x, &Tensor::from_rows([[1.0, 3.0], [5.0, 5.0]]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [1.0, -1.0, 0.0, 0.0]);
/// ```
#[derive(Clone, Debug)]
pub struct Centralize {
    units: OutputAxis,
}

impl Default for Centralize {
    fn default() -> Self {
        Self::new()
    }
}

impl Centralize {
    /// The outputs are counted by the first axis.
    pub fn new() -> Self {
        Self { units: OutputAxis::First }
    }

    /// The outputs are counted by the last axis.
    pub fn outputs_last(self) -> Self {
        Self { units: OutputAxis::Last }
    }
}

impl Part for Centralize {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.then(Tensorwise(self));
    }
}

impl TensorTransform for Centralize {
    fn transform<T: Real>(&self, _step: &StepInfo, tensor: WholeTensor<'_, T>) {
        let (update, sums) = (tensor.update, tensor.scratch);
        if tensor.shape.rank() < 2 || update.is_empty() {
            return;
        }
        let outputs = self.units.outputs(tensor.shape);
        let inputs = update.len() / outputs;
        if self.units == OutputAxis::First {
            for update in update.chunks_mut(inputs) {
                let sum = update.iter().fold(0.0, |sum, u| sum + u.as_f64());
                let mean = T::of(sum / inputs as f64);
                update.iter_mut().for_each(|u| *u -= mean);
            }
            return;
        }
        sums.clear();
        sums.resize(outputs, T::zero());
        for update in update.chunks(outputs) {
            sums.iter_mut().zip(update).for_each(|(sum, &u)| *sum += u);
        }
        let share = T::of(1.0 / inputs as f64);
        for update in update.chunks_mut(outputs) {
            update.iter_mut().zip(sums.iter()).for_each(|(u, &sum)| *u -= sum * share);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Optimizer, Sgd, testing};
    use gradus_graph::{Params, Tensor};

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule((Centralize::new(), Sgd::new(0.0005)));
    }

    #[test]
    fn the_last_axis_counts_outputs_if_asked() {
        let mut params: Params<f64> = Params::new(0);
        let x = params.add("x", Tensor::zeros([3, 2]));
        let mut rule = Optimizer::new((Centralize::new().outputs_last(), Sgd::new(1.0)));
        let gradient = Tensor::from_rows([[1.0, 4.0], [2.0, 4.0], [3.0, 7.0]]);
        rule.step(&mut params, [(&x, &gradient)]).expect("the gradient is right");
        params.get(&x).assert_close(&Tensor::from_rows([[1.0, 1.0], [0.0, 1.0], [-1.0, -2.0]]), 1e-15, 0.0);
    }
}
