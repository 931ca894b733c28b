//! The transform `Lookahead`.

use gradus_graph::{Real, Tensor, expect_setting};

use crate::{Block, Chain, Part, StateTensor, StepInfo, Transform};

/// Pulls the parameters back towards slow ones every few steps of the rule before it;
/// [`Optimizer::averaged`](crate::Optimizer::averaged) gives the slow ones.
///
/// Every `k` steps `slow ← slow + α·(p − slow)`, `p ← slow`; between them the rule before it runs as it is.
///
/// As the paper's Algorithm 1 and `optax.lookahead` without reset: the state of the rule is kept.
///
/// Defaults: k 5, α 0.5. State: `slow`, from the parameter.
///
/// Zhang, Lucas, Hinton, Ba: Lookahead optimizer: k steps forward, 1 step back, 2019.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Lookahead, Optimizer, Sgd};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([0.0]));
/// let mut rule = Optimizer::new((Sgd::new(1.0), Lookahead::new().every(2).alpha(0.25)));
/// let mut step = || {
///     rule.step(&mut params, [(&x, &Tensor::from([-4.0]))]).unwrap();
///     params.get(&x).item()
/// };
/// assert_eq!([step(), step(), step(), step()], [4.0, 2.0, 6.0, 4.0]);
/// ```
#[derive(Clone, Debug)]
pub struct Lookahead {
    every: u64,
    alpha: f64,
}

impl Default for Lookahead {
    fn default() -> Self {
        Self::new()
    }
}

impl Lookahead {
    /// The paper's defaults: 5 steps, and α ½.
    pub fn new() -> Self {
        Self { every: 5, alpha: 0.5 }
    }

    /// The number of steps to look ahead.
    ///
    /// # Panics
    /// If it is 0.
    #[must_use]
    #[track_caller]
    pub fn every(self, steps: u64) -> Self {
        assert!(steps > 0, "to look ahead takes at least one step");
        Self { every: steps, ..self }
    }

    /// The factor α by which the slow parameters are moved towards the others.
    ///
    /// # Panics
    /// If it lies outside `0..=1`.
    #[must_use]
    #[track_caller]
    pub fn alpha(self, alpha: f64) -> Self {
        expect_setting("`Lookahead::alpha`: alpha", alpha, 0.0..=1.0);
        Self { alpha, ..self }
    }
}

impl Part for Lookahead {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.expect_rate("lookahead");
        chain.then(PullBack(self));
    }
}

struct PullBack(Lookahead);

impl Transform for PullBack {
    fn state(&self) -> Vec<StateTensor> {
        vec![StateTensor::parameter("slow")]
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let alpha = T::of(self.0.alpha);
        let due = step.number.is_multiple_of(self.0.every);
        move |block| {
            if due {
                block.each(|parameter, update, [slow]| {
                    *slow += alpha * (parameter - update - *slow);
                    parameter - *slow
                });
            }
        }
    }

    fn averaged<T: Real>(&self, _step: &StepInfo, _parameter: &Tensor<T>, state: &[Tensor<T>]) -> Option<Tensor<T>> {
        state.first().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Adam, Average, Optimizer, Sgd, testing};

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule((Adam::new(0.01), Lookahead::new()));
        testing::assert_rule((Sgd::new(0.0005).momentum(0.5), Lookahead::new().every(3).alpha(0.8), Average::ema(0.9)));
    }

    #[test]
    #[should_panic(expected = "lookahead follows the rule")]
    fn lookahead_before_the_rule_is_refused() {
        let _ = Optimizer::<f32>::new((Lookahead::new(), Sgd::new(0.1)));
    }
}
