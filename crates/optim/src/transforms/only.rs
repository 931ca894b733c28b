//! A mask: transforms that leave some parameters out. State: the inner transforms', for the parameters that they apply
//! to.

use std::sync::Arc;

use gradus_graph::Real;

use crate::{Chain, Part};

/// Applies a transform, or a tuple of transforms, to the parameters whose dotted name satisfies a predicate; the others
/// pass it by.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{DecayWeights, Only, Optimizer, Sgd};
/// let mut params: Params<f64> = Params::new(0);
/// let list = [params.add("weight", Tensor::from([1.0])), params.add("bias", Tensor::from([1.0]))];
/// let decay = Only::new(|name| !name.ends_with("bias"), DecayWeights::new(0.5));
/// let mut rule = Optimizer::new((decay, Sgd::new(1.0)));
/// let gradients = [Tensor::from([0.0]), Tensor::from([0.0])];
/// rule.step(&mut params, list.iter().zip(&gradients)).unwrap();
/// assert_eq!(params.get(&list[0]).data(), [0.5]);
/// assert_eq!(params.get(&list[1]).data(), [1.0]);
/// ```
#[derive(Clone)]
pub struct Only<P> {
    matches: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    part: P,
}

impl<P: Part> Only<P> {
    /// Applies `part` where the predicate holds.
    pub fn new(matches: impl Fn(&str) -> bool + Send + Sync + 'static, part: P) -> Self {
        Self { matches: Arc::new(matches), part }
    }
}

impl<P: Part> Part for Only<P> {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.only(move |param| (self.matches)(param.name()), self.part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClipGlobalNorm, ClipValue, Momentum, Optimizer, Sgd, testing};

    #[test]
    fn passes_the_tests_of_rules() {
        let momentum = Only::new(|name| name == "x", (Momentum::new(0.5), ClipValue::new(1e3)));
        let clip = Only::new(|name| name != "x", ClipGlobalNorm::new(1.0));
        testing::assert_rule((momentum, clip, Sgd::new(0.0005)));
    }

    #[test]
    #[should_panic(expected = "a mask holds transforms")]
    fn a_mask_around_a_rule_is_refused() {
        let _ = Optimizer::<f64>::new(Only::new(|name| name == "x", Sgd::new(0.1)));
    }
}
