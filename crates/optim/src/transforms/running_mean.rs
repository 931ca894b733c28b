//! The transform `RunningMean`.

use gradus_graph::{Real, expect_setting};

use crate::{Block, StateTensor, StepInfo, Transform};

/// Replaces the update by its running mean. (For a running sum see [`Momentum`](crate::Momentum).)
///
/// `m ← decay·m + (1 − decay)·u`, `u ← m`; corrected: `u ← m/(1 − decayᵗ)`.
///
/// As `optax.ema`, corrected unless [`uncorrected`](Self::uncorrected). State: `mean`, from zero.
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
}

impl RunningMean {
    /// The mean with the given decay rate.
    ///
    /// # Panics
    /// If the rate lies outside `0..1`.
    #[track_caller]
    pub fn new(decay: f64) -> Self {
        expect_setting("`RunningMean::new`: decay", decay, 0.0..1.0);
        Self { decay, corrected: true }
    }

    /// Leaves out the correction of the bias towards zero.
    #[must_use]
    pub fn uncorrected(self) -> Self {
        Self { corrected: false, ..self }
    }
}

impl Transform for RunningMean {
    fn state(&self) -> Vec<StateTensor> {
        vec![StateTensor::zeros("mean")]
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let (keep, take) = (T::of(self.decay), T::of(1.0 - self.decay));
        let correct = if self.corrected { 1.0 / (1.0 - self.decay.powf(step.number as f64)) } else { 1.0 };
        let correct = T::of(correct);
        move |block| {
            block.each(|_, update, [mean]| {
                *mean = keep * *mean + take * update;
                correct * *mean
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LearningRate, testing};

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule((RunningMean::new(0.9), LearningRate::new(1e-3)));
        testing::assert_rule((RunningMean::new(0.9).uncorrected(), LearningRate::new(1e-3)));
    }
}
