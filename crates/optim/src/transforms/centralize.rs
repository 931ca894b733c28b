//! The transform `Centralize`.

use gradus_graph::Real;

use crate::{Chain, Part, StepInfo, TensorTransform, Tensorwise, WholeTensor};

/// Subtracts from the update of each unit its mean.
///
/// `uᵢ ← uᵢ − mean(uᵢ)` for each unit `i`, all that leads into one output.
///
/// A unit is what one index of the first axis selects, as in the authors' code for PyTorch. A parameter of one axis or
/// none passes unchanged. No state.
///
/// Yong, Huang, Hua, Zhang: Gradient centralization: a new optimization technique for deep neural networks, 2020.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Centralize, Optimizer, Sgd};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from_rows([[0.0, 0.0], [0.0, 0.0]]));
/// let mut rule = Optimizer::new((Centralize, Sgd::new(1.0)));
/// rule.step(&mut params, [(&x, &Tensor::from_rows([[1.0, 3.0], [5.0, 5.0]]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [1.0, -1.0, 0.0, 0.0]);
/// ```
#[derive(Clone, Debug)]
pub struct Centralize;

impl Part for Centralize {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.then(Tensorwise(self));
    }
}

impl TensorTransform for Centralize {
    fn transform<T: Real>(&self, _step: &StepInfo, tensor: WholeTensor<'_, T>) {
        let &[outputs, _, ..] = tensor.shape.sizes() else { return };
        let inputs = (tensor.update.len() / outputs.max(1)).max(1);
        for update in tensor.update.chunks_mut(inputs) {
            let sum = update.iter().fold(0.0, |sum, u| sum + u.as_f64());
            let mean = T::of(sum / inputs as f64);
            update.iter_mut().for_each(|u| *u -= mean);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sgd, testing};

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule((Centralize, Sgd::new(0.0005)));
    }
}
