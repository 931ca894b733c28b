//! The rule `Asgd`.

use gradus_graph::{Real, expect_setting};

use crate::{Average, Block, Chain, Part, Rate, RateSchedule, StepInfo, Transform};

/// ASGD: descent with a falling rate, and the average of its path.
///
/// `p ← p − ηₜ(g + λp)` with `ηₜ = lr/(1 + λ·lr·(t−1))^α`, and the average of the points after step `t₀`.
///
/// As `torch.optim.ASGD`. [`Optimizer::averaged`](crate::Optimizer::averaged) gives the average; until step `t₀` that
/// is the parameter itself. The usual learning rate is 1e-2.
///
/// Defaults: λ 1e-4, α 0.75, t₀ 1,000,000. State: `average`.
///
/// Polyak, Juditsky: Acceleration of stochastic approximation by averaging, 1992; Bottou: Large-scale machine learning
/// with stochastic gradient descent, 2010.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Asgd, Optimizer};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([4.0]));
/// let mut rule = Optimizer::new(Asgd::new(0.5).decay(0.0).start(0));
/// for _ in 0..3 {
///     rule.step(&mut params, [(&x, &Tensor::from([2.0]))]).unwrap();
/// }
/// assert_eq!(params.get(&x).data(), [1.0]);
/// assert_eq!(rule.averaged(&params).get(&x).data(), [1.5]); // of 2 and 1: PyTorch's average leaves out the first
/// ```
#[derive(Clone, Debug)]
pub struct Asgd {
    learning_rate: Rate,
    slow: SlowDown,
    start: u64,
}

impl Asgd {
    /// ASGD with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        let slow = SlowDown { decay: 1e-4, power: 0.75 };
        Self { learning_rate: Rate::new(learning_rate), slow, start: 1_000_000 }
    }

    /// λ: the weight decay, which is also the speed at which the rate falls.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn decay(mut self, decay: f64) -> Self {
        expect_setting("`Asgd::decay`: decay", decay, 0.0..);
        self.slow.decay = decay;
        self
    }

    /// α: the power with which the rate falls.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn power(mut self, power: f64) -> Self {
        expect_setting("`Asgd::power`: power", power, 0.0..);
        self.slow.power = power;
        self
    }

    /// t₀: the step after which the average begins.
    #[must_use]
    pub fn start(self, start: u64) -> Self {
        Self { start, ..self }
    }
}

impl Part for Asgd {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        // PyTorch's average leaves out the first point after t₀.
        chain.then(self.slow).learning_rate(self.learning_rate).then(Average::swa(self.start + 2, 1));
    }
}

/// The decay and the fall of the rate.
#[derive(Clone, Debug)]
struct SlowDown {
    decay: f64,
    power: f64,
}

impl Transform for SlowDown {
    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let fall = 1.0 + self.decay * step.learning_rate * (step.number - 1) as f64;
        let (decay, factor) = (T::of(self.decay), T::of(fall.powf(-self.power)));
        move |block| block.each(|parameter, update, []| factor * (update + decay * parameter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule(Asgd::new(5e-4).decay(0.1).start(20));
    }
}
