//! The transform `Momentum`.

use gradus_graph::{Real, expect_setting};

use crate::{Block, StateTensor, StepInfo, Transform};

/// Replaces the update by its running sum.
///
/// `m ← momentum·m + (1 − dampening)·u`, `u ← m`; Nesterov: `u ← u + momentum·m`.
///
/// As `torch.optim.SGD`: a sum, not a mean, and the first step sets `m = u` without dampening.
///
/// Defaults: dampening 0, no Nesterov. State: `momentum`, from zero.
///
/// Polyak: Some methods of speeding up the convergence of iteration methods, 1964; Sutskever, Martens, Dahl, Hinton:
/// On the importance of initialization and momentum in deep learning, 2013.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{LearningRate, Momentum, Optimizer};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([0.0]));
/// let mut rule = Optimizer::new((Momentum::new(0.5), LearningRate::new(1.0)));
/// for _ in 0..2 {
///     rule.step(&mut params, [(&x, &Tensor::from([1.0]))]).unwrap();
/// }
/// assert_eq!(params.get(&x).data(), [-2.5]); // 1, then 1.5
/// ```
#[derive(Clone, Debug)]
pub struct Momentum {
    /// What messages call it: the rule whose momentum it is.
    rule: &'static str,
    momentum: f64,
    dampening: f64,
    nesterov: bool,
}

impl Momentum {
    /// Momentum with the given factor.
    ///
    /// # Panics
    /// If the factor is negative or not finite.
    #[track_caller]
    pub fn new(momentum: f64) -> Self {
        expect_setting("`Momentum::new`: momentum", momentum, 0.0..);
        Self { momentum, ..Self::of("Momentum") }
    }

    /// None yet, for a rule of the given name.
    pub(crate) fn of(rule: &'static str) -> Self {
        Self { rule, momentum: 0.0, dampening: 0.0, nesterov: false }
    }

    /// Whether the factor is above 0.
    pub(crate) fn is_on(&self) -> bool {
        self.momentum > 0.0
    }

    /// The factor, for the method `momentum` of a rule.
    #[track_caller]
    pub(crate) fn momentum(self, momentum: f64) -> Self {
        expect_setting(&format!("`{}::momentum`: momentum", self.rule), momentum, 0.0..);
        Self { momentum, ..self }.checked()
    }

    /// Takes `1 − dampening` of each update after the first.
    ///
    /// # Panics
    /// If it lies outside `0..=1`, or is not 0 beside [`nesterov`](Self::nesterov).
    #[must_use]
    #[track_caller]
    pub fn dampening(self, dampening: f64) -> Self {
        expect_setting(&format!("`{}::dampening`: dampening", self.rule), dampening, 0.0..=1.0);
        Self { dampening, ..self }.checked()
    }

    /// Looks ahead by one step of momentum (Nesterov).
    ///
    /// # Panics
    /// If the momentum is 0, or there is dampening.
    #[must_use]
    #[track_caller]
    pub fn nesterov(self) -> Self {
        Self { nesterov: true, ..self }.checked()
    }

    /// Asserts that there is something to look ahead by, as PyTorch does.
    #[track_caller]
    fn checked(self) -> Self {
        let Self { rule, momentum, dampening, nesterov } = self;
        assert!(
            !nesterov || (momentum > 0.0 && dampening == 0.0),
            "`{rule}::nesterov` needs a momentum above 0 and a dampening of 0, not a momentum of {momentum} and a \
             dampening of {dampening}"
        );
        self
    }
}

impl Transform for Momentum {
    fn state(&self) -> Vec<StateTensor> {
        vec![StateTensor::zeros("momentum")]
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let momentum = T::of(self.momentum);
        let take = T::of(if step.number == 1 { 1.0 } else { 1.0 - self.dampening });
        move |block| {
            if self.nesterov {
                block.each(|_, update, [sum]| {
                    *sum = momentum * *sum + take * update;
                    update + momentum * *sum
                });
            } else {
                block.each(|_, update, [sum]| {
                    *sum = momentum * *sum + take * update;
                    *sum
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LearningRate, testing};

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule((Momentum::new(0.9).nesterov(), LearningRate::new(1e-4)));
    }
}
