//! A running mean: `m ← decay·m + (1 − decay)·u`, `u ← m`; corrected: `u ← m/(1 − decayᵗ)`.
//!
//! As `optax.ema`, corrected unless told not to. With Nesterov's look ahead, as in Optax's Adam and Muon:
//! `u ← decay·m/(1 − decayᵗ⁺¹) + (1 − decay)·u/(1 − decayᵗ)`. State: `mean`, from zero.

use gradus_graph::{Real, expect_setting};

use crate::{Block, StateTensor, StepInfo, Transform};

/// Replaces the update by its running mean. (For a running sum see [`Momentum`](crate::Momentum).)
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{LearningRate, Optimizer, RunningMean};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([0.0]));
/// let mut rule = Optimizer::new((RunningMean::new(0.5).uncorrected(), LearningRate::new(1.0)));
/// for _ in 0..2 {
///     rule.step(&mut params, [(&x, &Tensor::from([1.0]))]).unwrap();
/// }
/// assert_eq!(params.get(&x).data(), [-1.25]); // 0.5, then 0.75
/// ```
#[derive(Clone, Debug)]
pub struct RunningMean {
    decay: f64,
    corrected: bool,
    nesterov: bool,
}

impl RunningMean {
    /// The mean with the given decay rate.
    ///
    /// # Panics
    /// If the rate lies outside `0..1`.
    #[track_caller]
    pub fn new(decay: f64) -> Self {
        expect_setting("`RunningMean::new`: decay", decay, 0.0..1.0);
        Self { decay, corrected: true, nesterov: false }
    }

    /// Leaves the mean as it is, near zero at first.
    pub fn uncorrected(self) -> Self {
        Self { corrected: false, ..self }
    }

    /// Looks ahead by one step (Nesterov).
    pub fn nesterov(self) -> Self {
        Self { nesterov: true, ..self }
    }
}

impl Transform for RunningMean {
    fn state(&self) -> Vec<StateTensor> {
        vec![StateTensor::zeros("mean")]
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let (keep, take) = (T::of(self.decay), T::of(1.0 - self.decay));
        let correction = |number: f64| if self.corrected { 1.0 / (1.0 - self.decay.powf(number)) } else { 1.0 };
        let (now, next) = (correction(step.number as f64), correction(step.number as f64 + 1.0));
        // The update is `of_mean·m + of_update·u`.
        let (of_mean, of_update) =
            if self.nesterov { (self.decay * next, (1.0 - self.decay) * now) } else { (now, 0.0) };
        let (of_mean, of_update) = (T::of(of_mean), T::of(of_update));
        move |block| {
            block.each(|_, update, [mean]| {
                *mean = keep * *mean + take * update;
                of_mean * *mean + of_update * update
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LearningRate, Optimizer, testing};
    use gradus_graph::{Params, Tensor};

    #[test]
    fn by_hand() {
        let mut params: Params<f64> = Params::new(0);
        let x = params.add("x", Tensor::from([0.0]));
        let mut rule = Optimizer::new((RunningMean::new(0.5).nesterov(), LearningRate::new(1.0)));
        rule.step(&mut params, [(&x, &Tensor::from([3.0]))]).unwrap(); // 0.5·1.5/0.75 + 0.5·3/0.5
        assert_eq!(params.get(&x).data(), [-4.0]);
    }

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule((RunningMean::new(0.9), LearningRate::new(1e-3)));
        testing::assert_rule((RunningMean::new(0.9).nesterov(), LearningRate::new(1e-3)));
    }
}
