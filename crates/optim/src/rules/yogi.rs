//! Yogi: `m ← β₁m + (1−β₁)g`, `v ← v − (1−β₂)·sign(v − g²)·g²`, `p ← p − lr·m̂ / (√v̂ + ε)`.
//!
//! As `optax.yogi`: both moments start at 1e-6 and are corrected all the same. With `first_moment_from_zero` only the
//! second does, as in the paper.
//!
//! Defaults: β₁ 0.9, β₂ 0.999, ε 1e-3 outside the root, initial 1e-6, no decay. State: `first_moment`,
//! `second_moment`.
//!
//! Zaheer, Reddi, Sachan, Kale, Kumar: Adaptive methods for nonconvex optimization, 2018.

use gradus_graph::{Real, expect_setting};

use super::end;
use crate::transforms::sign;
use crate::{Block, Chain, Part, Rate, RateSchedule, StateTensor, StepInfo, Transform};

/// Yogi: Adam whose second moment changes by no more than the square of the gradient.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Optimizer, Yogi};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0]));
/// let mut rule = Optimizer::new(Yogi::new(0.25).betas(0.5, 0.75).eps(1.0).initial(0.0));
/// rule.step(&mut params, [(&x, &Tensor::from([3.0]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [0.8125]); // 0.25·3/(3 + 1)
/// ```
#[derive(Clone, Debug)]
pub struct Yogi {
    learning_rate: Rate,
    scale: ScaleBySlowMoments,
    decay: f64,
}

impl Yogi {
    /// Yogi with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        let scale = ScaleBySlowMoments { beta1: 0.9, beta2: 0.999, eps: 1e-3, initial: [1e-6, 1e-6] };
        Self { learning_rate: Rate::new(learning_rate), scale, decay: 0.0 }
    }

    /// The decay rates of the two moments.
    ///
    /// # Panics
    /// If a rate lies outside `0..1`.
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        expect_setting("`Yogi::betas`: beta1", beta1, 0.0..1.0);
        expect_setting("`Yogi::betas`: beta2", beta2, 0.0..1.0);
        self.scale.beta1 = beta1;
        self.scale.beta2 = beta2;
        self
    }

    /// The number that keeps the denominator from zero.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Self {
        expect_setting("`Yogi::eps`: eps", eps, 0.0..);
        self.scale.eps = eps;
        self
    }

    /// What both moments start at.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[track_caller]
    pub fn initial(mut self, initial: f64) -> Self {
        expect_setting("`Yogi::initial`: initial", initial, 0.0..);
        self.scale.initial = [initial, initial];
        self
    }

    /// Starts the first moment at zero.
    pub fn first_moment_from_zero(mut self) -> Self {
        self.scale.initial[0] = 0.0;
        self
    }

    /// The factor of the decoupled weight decay (default: none).
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[track_caller]
    pub fn decay(self, decay: f64) -> Self {
        expect_setting("`Yogi::decay`: decay", decay, 0.0..);
        Self { decay, ..self }
    }
}

impl Part for Yogi {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        end(chain.then(self.scale), self.decay, self.learning_rate);
    }
}

/// Yogi's transform.
#[derive(Clone, Debug)]
struct ScaleBySlowMoments {
    beta1: f64,
    beta2: f64,
    eps: f64,
    initial: [f64; 2],
}

impl Transform for ScaleBySlowMoments {
    fn state(&self) -> Vec<StateTensor> {
        vec![StateTensor::full("first_moment", self.initial[0]), StateTensor::full("second_moment", self.initial[1])]
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let [beta1, eps] = [self.beta1, self.eps].map(T::of);
        let [take1, take2] = [self.beta1, self.beta2].map(|beta| T::of(1.0 - beta));
        let [correct1, correct2] = [self.beta1, self.beta2].map(|beta| 1.0 / (1.0 - beta.powf(step.number as f64)));
        let (correct1, root2) = (T::of(correct1), T::of(correct2.sqrt()));
        move |block| {
            block.each(|_, update, [first, second]| {
                *first = beta1 * *first + take1 * update;
                let square = update * update;
                *second -= take2 * sign(*second - square) * square;
                correct1 * *first / (root2 * second.sqrt() + eps)
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
        testing::assert_rule(Yogi::new(0.01));
        testing::assert_rule(Yogi::new(0.01).first_moment_from_zero().decay(1e-2));
    }
}
