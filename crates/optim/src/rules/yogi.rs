//! The rule `Yogi`.

use gradus_graph::{Real, expect_setting};

use super::moments::Moments;
use crate::transforms::sign;
use crate::{Block, Chain, Part, Rate, RateSchedule, StateTensor, StepInfo, Transform};

/// Yogi: Adam whose second moment changes by no more than the square of the gradient.
///
/// `m ← β₁m + (1−β₁)g`, `v ← v − (1−β₂)·sign(v − g²)·g²`, `p ← p − lr·m̂ / (√v̂ + ε)`.
///
/// As `optax.yogi`: both moments start at 1e-6 and are corrected all the same (in the paper the first
/// starts at zero).
///
/// Defaults: β₁ 0.9, β₂ 0.999, ε 1e-3 outside the root, initial 1e-6. State: `first_moment`,
/// `second_moment`.
///
/// Zaheer, Reddi, Sachan, Kale, Kumar: Adaptive methods for nonconvex optimization, 2018.
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
}

impl Yogi {
    /// Yogi with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        let scale = ScaleBySlowMoments { moments: Moments { eps: 1e-3, ..Moments::ADAM }, initial: 1e-6 };
        Self { learning_rate: Rate::new(learning_rate), scale }
    }

    /// The decay rates of the two moments.
    ///
    /// # Panics
    /// If a rate lies outside `0..1`.
    #[must_use]
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.scale.moments = self.scale.moments.with_betas("Yogi", beta1, beta2);
        self
    }

    /// The number that keeps the denominator from zero.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Self {
        self.scale.moments = self.scale.moments.with_eps("Yogi", eps);
        self
    }

    /// What both moments start at.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn initial(mut self, initial: f64) -> Self {
        expect_setting("`Yogi::initial`: initial", initial, 0.0..);
        self.scale.initial = initial;
        self
    }
}

impl Part for Yogi {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.then(self.scale).learning_rate(self.learning_rate);
    }
}

/// Yogi's transform.
#[derive(Clone, Debug)]
struct ScaleBySlowMoments {
    moments: Moments,
    initial: f64,
}

impl Transform for ScaleBySlowMoments {
    fn state(&self) -> Vec<StateTensor> {
        ["first_moment", "second_moment"].map(|name| StateTensor::full(name, self.initial)).to_vec()
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let moments = self.moments.at::<T>(step.number);
        move |block| {
            block.each(|_, update, [first, second]| {
                moments.average(first, update);
                let square = update * update;
                *second -= moments.take2 * sign(*second - square) * square;
                moments.correct1 * *first / moments.denominator(*second)
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
        testing::assert_rule(Yogi::new(0.01).initial(0.0));
    }
}
