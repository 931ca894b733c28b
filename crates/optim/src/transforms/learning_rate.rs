//! The part `LearningRate`.

use gradus_graph::Real;

use crate::{Block, Chain, Part, Rate, RateSchedule, StepInfo, Transform};

/// The learning rate of a chain that holds no ready-made rule.
///
/// `u ← lr·u`, with `lr` a function of the step. No state.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{LearningRate, Momentum, Optimizer};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0]));
/// let halving = |done: u64| 0.5 * 0.5_f64.powi(done as i32);
/// let mut rule = Optimizer::new((Momentum::new(0.0), LearningRate::new(halving)));
/// for _ in 0..2 {
///     rule.step(&mut params, [(&x, &Tensor::from([1.0]))]).unwrap();
/// }
/// assert_eq!(params.get(&x).data(), [0.25]);
/// ```
#[derive(Clone, Debug)]
pub struct LearningRate(Rate);

impl LearningRate {
    /// A number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(schedule: impl RateSchedule) -> Self {
        Self(Rate::new(schedule))
    }
}

impl Part for LearningRate {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.learning_rate(self.0);
    }
}

/// Scales by the learning rate in the middle of a chain.
#[derive(Clone, Debug)]
pub(crate) struct ScaleByRate;

impl Transform for ScaleByRate {
    fn keeps_zeros(&self) -> bool {
        true
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let rate = T::of(step.learning_rate);
        move |block| block.each(|_, update, []| rate * update)
    }
}

#[cfg(test)]
mod tests {
    use crate::{ClipValue, Optimizer, Sgd, testing};
    use gradus_graph::{Params, Tensor};

    #[test]
    fn a_transform_after_the_rate_sees_the_change_itself() {
        let mut params: Params<f64> = Params::new(0);
        let x = params.add("x", Tensor::from([0.0, 0.0]));
        let mut rule = Optimizer::new((Sgd::new(0.5), ClipValue::new(1.0)));
        rule.step(&mut params, [(&x, &Tensor::from([1.0, 4.0]))]).unwrap();
        assert_eq!(params.get(&x).data(), [-0.5, -1.0]);
        testing::assert_rule((Sgd::new(0.0005), ClipValue::new(0.1)));
    }
}
