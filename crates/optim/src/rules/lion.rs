//! The rule `Lion`.

use gradus_graph::{Real, expect_setting};

use super::end;
use crate::transforms::sign;
use crate::{Block, Chain, Part, Rate, RateSchedule, StateTensor, StepInfo, Transform};

/// Lion: the sign of a momentum, and one tensor of state.
///
/// `p ← p − lr·(sign(β₁m + (1−β₁)g) + decay·p)`, then `m ← β₂m + (1−β₂)g`.
///
/// As `optax.lion` and the paper. The usual learning rate is a tenth of Adam's, the usual decay ten times as large.
///
/// Defaults: β₁ 0.9, β₂ 0.99, decay 1e-3. State: `first_moment`, from zero.
///
/// Chen et al.: Symbolic discovery of optimization algorithms, 2023.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Lion, Optimizer};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([2.0, 2.0]));
/// let mut rule = Optimizer::new(Lion::new(0.25).decay(0.5));
/// rule.step(&mut params, [(&x, &Tensor::from([1e-3, -7.0]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [1.5, 2.0]); // 2 − 0.25·(±1 + 0.5·2)
/// ```
#[derive(Clone, Debug)]
pub struct Lion {
    learning_rate: Rate,
    scale: SignOfMean,
    decay: f64,
}

impl Lion {
    /// Lion with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        let scale = SignOfMean { beta1: 0.9, beta2: 0.99 };
        Self { learning_rate: Rate::new(learning_rate), scale, decay: 1e-3 }
    }

    /// The share of the mean in the direction, and the decay rate of the mean.
    ///
    /// # Panics
    /// If a rate lies outside `0..1`.
    #[must_use]
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        expect_setting("`Lion::betas`: beta1", beta1, 0.0..1.0);
        expect_setting("`Lion::betas`: beta2", beta2, 0.0..1.0);
        self.scale.beta1 = beta1;
        self.scale.beta2 = beta2;
        self
    }

    /// The factor of the decoupled weight decay (default: 1e-3).
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn decay(self, decay: f64) -> Self {
        expect_setting("`Lion::decay`: decay", decay, 0.0..);
        Self { decay, ..self }
    }
}

impl Part for Lion {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        end(chain.then(self.scale), self.decay, self.learning_rate);
    }
}

/// Lion's transform.
#[derive(Clone, Debug)]
struct SignOfMean {
    beta1: f64,
    beta2: f64,
}

impl Transform for SignOfMean {
    fn state(&self) -> Vec<StateTensor> {
        vec![StateTensor::zeros("first_moment")]
    }

    fn prepare<T: Real>(&self, _step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let [beta1, beta2] = [self.beta1, self.beta2].map(T::of);
        let [take1, take2] = [self.beta1, self.beta2].map(|beta| T::of(1.0 - beta));
        move |block| {
            block.each(|_, update, [first]| {
                let direction = sign(beta1 * *first + take1 * update);
                *first = beta2 * *first + take2 * update;
                direction
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule(Lion::new(1e-3));
    }
}
