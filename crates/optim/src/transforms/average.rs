//! The transform `Average`.

use gradus_graph::{Real, Tensor, expect_setting};

use crate::{Block, Chain, Part, StateTensor, StepInfo, Transform};

/// Keeps an average of the parameters as the rule before it leaves them;
/// [`Optimizer::averaged`](crate::Optimizer::averaged) gives the parameters with it.
///
/// `a ← decay·a + (1 − decay)·p`, or the mean of all `p`.
///
/// As PyTorch's `AveragedModel` with `get_ema_avg_fn` (the first value is copied) or `get_swa_avg_fn`.
///
/// State: `average`. A chain with an average is still one pass over memory.
///
/// Polyak, Juditsky: Acceleration of stochastic approximation by averaging, 1992; Izmailov and others: Averaging
/// weights leads to wider optima and better generalization, 2018 (SWA).
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Average, Optimizer, Sgd};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([0.0]));
/// let mut rule = Optimizer::new((Sgd::new(1.0), Average::ema(0.75)));
/// for _ in 0..2 {
///     rule.step(&mut params, [(&x, &Tensor::from([-4.0]))]).unwrap();
/// }
/// assert_eq!(params.get(&x).data(), [8.0]);
/// assert_eq!(rule.averaged(&params).get(&x).data(), [5.0]); // 0.75·4 + 0.25·8
/// ```
#[derive(Clone, Debug)]
pub struct Average(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Exponential { decay: f64 },
    Mean { start: u64, every: u64 },
}

impl Average {
    /// The exponential moving average: 0.999 is usual.
    ///
    /// # Panics
    /// If the decay lies outside `0..1`.
    #[track_caller]
    pub fn ema(decay: f64) -> Self {
        expect_setting("`Average::ema`: decay", decay, 0.0..1.0);
        Self(Kind::Exponential { decay })
    }

    /// The mean of the parameters after every step (Polyak, Ruppert).
    pub fn polyak() -> Self {
        Self(Kind::Mean { start: 1, every: 1 })
    }

    /// The mean of the parameters after step `start` and after every `every` steps from there on (SWA).
    ///
    /// # Panics
    /// If a number is 0.
    #[track_caller]
    pub fn swa(start: u64, every: u64) -> Self {
        assert!(start > 0 && every > 0, "an average starts after step 1 or later, and takes every step or fewer");
        Self(Kind::Mean { start, every })
    }
}

impl Part for Average {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.expect_rate("an average");
        chain.then(KeepAverage(self.0));
    }
}

struct KeepAverage(Kind);

impl Transform for KeepAverage {
    fn state(&self) -> Vec<StateTensor> {
        vec![StateTensor::zeros("average")]
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let share = match self.0 {
            Kind::Exponential { .. } if step.number == 1 => Some((0.0, 1.0)),
            Kind::Exponential { decay } => Some((decay, 1.0 - decay)),
            Kind::Mean { start, every } => {
                let since = step.number.checked_sub(start).filter(|since| since.is_multiple_of(every));
                since.map(|since| 1.0 / (since / every + 1) as f64).map(|share| (1.0 - share, share))
            }
        };
        let mean = matches!(self.0, Kind::Mean { .. });
        move |block| {
            let Some((keep, take)) = share.map(|(keep, take)| (T::of(keep), T::of(take))) else { return };
            if mean {
                // In this form the mean of equal numbers is that number.
                block.each(|parameter, update, [average]| {
                    *average += take * (parameter - update - *average);
                    update
                });
            } else {
                block.each(|parameter, update, [average]| {
                    *average = keep * *average + take * (parameter - update);
                    update
                });
            }
        }
    }

    fn averaged<T: Real>(&self, step: &StepInfo, _parameter: &Tensor<T>, state: &[Tensor<T>]) -> Option<Tensor<T>> {
        let begun = match self.0 {
            Kind::Exponential { .. } => step.number > 0,
            Kind::Mean { start, .. } => step.number >= start,
        };
        state.first().filter(|_| begun).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Adam, Optimizer, Sgd, testing};
    use gradus_graph::Params;

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule((Adam::new(0.01), Average::ema(0.9)));
        testing::assert_rule((Sgd::new(0.0005), Average::swa(3, 2)));
    }

    /// The averages after each of eight steps to 1, 2, …, 8.
    fn averages(average: Average) -> [f64; 8] {
        let mut params: Params<f64> = Params::new(0);
        let x = params.add("x", Tensor::from([0.0]));
        let mut rule = Optimizer::new((Sgd::new(1.0), average));
        std::array::from_fn(|_| {
            rule.step(&mut params, [(&x, &Tensor::from([-1.0]))]).expect("the gradient is right");
            rule.averaged(&params).get(&x).item()
        })
    }

    #[test]
    fn by_hand() {
        assert_eq!(averages(Average::polyak()), [1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5]);
        assert_eq!(averages(Average::swa(3, 2)), [1.0, 2.0, 3.0, 3.0, 4.0, 4.0, 5.0, 5.0]);
        assert_eq!(averages(Average::ema(0.5))[..3], [1.0, 1.5, 2.25]);
    }

    /// The average is of the parameters as they are, to the bit.
    #[test]
    fn the_average_of_one_step_is_the_parameter() {
        let mut params: Params<f32> = Params::new(0);
        let x = params.add("x", Tensor::from_fn([1000], |k| (0.1 * k as f32).sin()));
        let mut rule = Optimizer::new((Adam::new(0.1), Average::polyak()));
        let gradient = params.get(&x).map(|x| x.cos());
        rule.step(&mut params, [(&x, &gradient)]).expect("the gradient is right");
        assert_eq!(rule.averaged(&params).get(&x), params.get(&x));
    }

    #[test]
    #[should_panic(expected = "an average follows the rule")]
    fn an_average_before_the_rule_is_refused() {
        let _ = Optimizer::<f32>::new((Average::polyak(), Sgd::new(0.1)));
    }
}
