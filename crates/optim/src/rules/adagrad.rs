//! The rule `Adagrad`.

use gradus_graph::{Real, expect_setting};

use crate::{Block, Chain, Part, Rate, RateSchedule, StateTensor, StepInfo, Transform};

/// Adagrad: divides each gradient by the root of the sum of all its squares so far.
///
/// `s ← s + g²`, `p ← p − lr·g / (√s + ε)`, with `lr` divided by `1 + t·lr_decay` after `t` steps.
///
/// As `torch.optim.Adagrad`: the sum starts at 0 and ε is 1e-10.
///
/// Of a gradient that comes as rows ([`Gradient`](crate::Gradient)), these rows alone are moved, with the same result:
/// an element whose gradient is 0 stays, and so does its sum.
///
/// Defaults: initial sum 0, ε 1e-10, no decay of the learning rate (PyTorch's own is 1e-2). State: `sum_of_squares`.
///
/// Duchi, Hazan, Singer: Adaptive subgradient methods for online learning and stochastic optimization, 2011.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Adagrad, Optimizer};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0]));
/// let mut rule = Optimizer::new(Adagrad::new(0.5).initial_sum(16.0).eps(1.0));
/// rule.step(&mut params, [(&x, &Tensor::from([3.0]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [0.75]); // 1 − 0.5·3/(√(16 + 9) + 1)
/// ```
#[derive(Clone, Debug)]
pub struct Adagrad {
    learning_rate: Rate,
    lr_decay: f64,
    scale: ScaleBySum,
}

impl Adagrad {
    /// Adagrad with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        let scale = ScaleBySum { initial: 0.0, eps: 1e-10 };
        Self { learning_rate: Rate::new(learning_rate), lr_decay: 0.0, scale }
    }

    /// Divides the learning rate by `1 + t·lr_decay` after `t` steps.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn lr_decay(self, lr_decay: f64) -> Self {
        expect_setting("`Adagrad::lr_decay`: lr_decay", lr_decay, 0.0..);
        Self { lr_decay, ..self }
    }

    /// The initial value of the sum of squares; 0 by default.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn initial_sum(mut self, initial: f64) -> Self {
        expect_setting("`Adagrad::initial_sum`: initial", initial, 0.0..);
        self.scale.initial = initial;
        self
    }

    /// The number that keeps the denominator from zero.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Self {
        expect_setting("`Adagrad::eps`: eps", eps, 0.0..);
        self.scale.eps = eps;
        self
    }
}

impl Part for Adagrad {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        let Self { learning_rate, lr_decay, scale } = self;
        chain.then(scale).learning_rate(move |done: u64| learning_rate.at(done) / (1.0 + done as f64 * lr_decay));
    }
}

/// Adagrad's transform.
#[derive(Clone, Debug)]
pub(super) struct ScaleBySum {
    pub(super) initial: f64,
    pub(super) eps: f64,
}

impl Transform for ScaleBySum {
    fn state(&self) -> Vec<StateTensor> {
        vec![StateTensor::full("sum_of_squares", self.initial)]
    }

    fn keeps_zeros(&self) -> bool {
        // Zero divided by a sum of zero is not zero.
        self.eps > 0.0 || self.initial > 0.0
    }

    fn prepare<T: Real>(&self, _step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let eps = T::of(self.eps);
        move |block| {
            block.each(|_, update, [sum]| {
                *sum += update * update;
                update / (sum.sqrt() + eps)
            })
        }
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
        let mut rule = Optimizer::new(Adagrad::new(0.5).lr_decay(1.0));
        rule.step(&mut params, [(&x, &Tensor::from([3.0]))]).unwrap(); // 0.5·3/3
        rule.step(&mut params, [(&x, &Tensor::from([4.0]))]).unwrap(); // 0.25·4/5
        params.get(&x).assert_close(&Tensor::from([0.3]), 1e-9, 0.0);
    }

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule(Adagrad::new(0.05));
        testing::assert_rule(Adagrad::new(0.05).lr_decay(1e-3).initial_sum(0.1));
    }
}
