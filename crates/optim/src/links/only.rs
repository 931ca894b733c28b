//! A mask: a link that leaves some parameters out. State: the inner link's, for the parameters that it applies to.

use std::sync::Arc;

use gradus_graph::{Param, Real, Tensor};

use crate::{Block, Link, Over, Step};

/// Applies a link to the parameters whose dotted name satisfies a predicate; the others pass it by.
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
pub struct Only<L> {
    matches: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    link: L,
}

impl<L: Link> Only<L> {
    /// Applies `link` where the predicate holds.
    pub fn new(matches: impl Fn(&str) -> bool + Send + Sync + 'static, link: L) -> Self {
        Self { matches: Arc::new(matches), link }
    }
}

impl<L: Link> Link for Only<L> {
    fn state(&self) -> &[&'static str] {
        self.link.state()
    }

    fn initial<T: Real>(&self, slot: usize, parameter: &Tensor<T>) -> Tensor<T> {
        self.link.initial(slot, parameter)
    }

    fn applies_to(&self, param: &Param) -> bool {
        (self.matches)(param.name()) && self.link.applies_to(param)
    }

    fn measures(&self) -> Option<Over> {
        self.link.measures()
    }

    fn measure<T: Real>(&self, parameter: &[T], update: &[T]) -> [f64; 2] {
        self.link.measure(parameter, update)
    }

    fn at<T: Real>(&self, step: &Step) -> impl Fn(&mut Block<'_, T>) + Sync {
        self.link.at(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClipGlobalNorm, Momentum, Sgd, battery};

    #[test]
    fn battery() {
        let momentum = Only::new(|name| name == "x", Momentum::new(0.5));
        let clip = Only::new(|name| name != "x", ClipGlobalNorm::new(1.0));
        battery::check((momentum, clip, Sgd::new(0.0005)));
    }
}
