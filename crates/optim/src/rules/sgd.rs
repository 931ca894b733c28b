//! The rule `Sgd`.

use gradus_graph::Real;

use crate::{Chain, Momentum, Part, Rate, RateSchedule};

/// Stochastic gradient descent, with momentum if asked.
///
/// `p ← p − lr·g`, with momentum `m ← momentum·m + (1 − dampening)·g`, `p ← p − lr·m`.
///
/// As `torch.optim.SGD`: the learning rate is outside the momentum, so that a change of it takes effect immediately.
/// Of a gradient that comes as rows ([`Gradient`](crate::Gradient)), plain descent moves these rows alone. With momentum
/// it is taken as a tensor: rows move on without a gradient. (PyTorch keeps a sparse momentum, which is the same.)
///
/// Defaults: no momentum, no dampening, no Nesterov. State: `momentum`, if there is any.
///
/// Robbins, Monro: A stochastic approximation method, 1951; for momentum see [`Momentum`].
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Optimizer, Sgd};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0]));
/// let mut sgd = Optimizer::new(Sgd::new(0.25).momentum(0.5).nesterov());
/// sgd.step(&mut params, [(&x, &Tensor::from([1.0]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [0.625]); // 1 − 0.25·(1 + 0.5·1)
/// ```
#[derive(Clone, Debug)]
pub struct Sgd {
    learning_rate: Rate,
    momentum: Momentum,
}

impl Sgd {
    /// Plain descent with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        Self { learning_rate: Rate::new(learning_rate), momentum: Momentum::of("Sgd") }
    }

    /// Keeps a running sum of the gradients, with this factor.
    ///
    /// # Panics
    /// If the factor is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn momentum(self, momentum: f64) -> Self {
        Self { momentum: self.momentum.momentum(momentum), ..self }
    }

    /// Takes `1 − dampening` of each gradient after the first into the momentum.
    ///
    /// # Panics
    /// If it lies outside `0..=1`, or is not 0 beside [`nesterov`](Self::nesterov).
    #[must_use]
    #[track_caller]
    pub fn dampening(self, dampening: f64) -> Self {
        Self { momentum: self.momentum.dampening(dampening), ..self }
    }

    /// Looks ahead by one step of the [`momentum`](Self::momentum), which is stated before.
    ///
    /// # Panics
    /// If there is no momentum, or there is dampening.
    #[must_use]
    #[track_caller]
    pub fn nesterov(self) -> Self {
        Self { momentum: self.momentum.nesterov(), ..self }
    }
}

impl Part for Sgd {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        if self.momentum.is_on() {
            chain.then(self.momentum);
        }
        chain.learning_rate(self.learning_rate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Optimizer, testing};
    use gradus_graph::{Params, Tensor};

    #[test]
    fn by_hand() {
        let mut params: Params<f64> = Params::new(0);
        let x = params.add("x", Tensor::from([1.0]));
        let mut sgd = Optimizer::new(Sgd::new(0.5).momentum(0.5).dampening(0.25));
        sgd.step(&mut params, [(&x, &Tensor::from([1.0]))]).unwrap(); // m = 1, x = 0.5
        sgd.step(&mut params, [(&x, &Tensor::from([2.0]))]).unwrap(); // m = 0.5 + 0.75·2 = 2
        assert_eq!(params.get(&x).data(), [-0.5]);
    }

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule(Sgd::new(1e-3));
        testing::assert_rule(Sgd::new(1e-4).momentum(0.9));
    }
}
