//! The transform `LossScale`.

use std::ops::Bound::{Excluded, Unbounded};

use gradus_graph::{POSITIVE, Real, expect_setting};

use crate::{Block, Chain, Numbers, Over, Part, StepInfo, Sums, Transform};

/// Undoes a factor of the loss that keeps small gradients of a reduced precision from becoming zero.
///
/// It is the first part of a tuple. The program multiplies the loss, or the gradient that the backward sweep starts
/// from, by [`Optimizer::number`](crate::Optimizer::number) of `loss_scale`, read before the step. Gradients that are
/// known to be finite ([`NonFinite::Trust`](crate::NonFinite::Trust)) are not checked, so the factor only grows.
///
/// The program multiplies the loss by a factor, and the update begins with `u ← u / factor`.
///
/// As `torch.amp.GradScaler`: where a gradient is not finite the step is skipped and the factor halves; after n steps
/// in a row without that it doubles. The division is in double precision, rounded to the number that is kept.
///
/// Defaults: factor 2¹⁶, growth 2, backoff ½, interval 2000. Numbers: `loss_scale`, `clean_steps`, for all parameters.
///
/// Micikevicius and others: Mixed precision training, 2018.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{LossScale, Optimizer, Sgd};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0]));
/// let mut rule = Optimizer::new((LossScale::dynamic(), Sgd::new(0.5)));
/// let scale = rule.number("loss_scale").unwrap();
/// rule.step(&mut params, [(&x, &Tensor::from([scale * 1.0]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [0.5]);
/// rule.step(&mut params, [(&x, &Tensor::from([f64::INFINITY]))]).unwrap(); // skipped
/// assert_eq!((rule.skipped(), rule.number("loss_scale")), (1, Some(scale / 2.0)));
/// ```
#[derive(Clone, Debug)]
pub struct LossScale {
    factor: f64,
    dynamic: bool,
    growth: f64,
    backoff: f64,
    interval: u64,
}

impl LossScale {
    /// A factor that adapts: it shrinks after gradients that are not finite and grows otherwise.
    pub fn dynamic() -> Self {
        Self { factor: 65536.0, dynamic: true, growth: 2.0, backoff: 0.5, interval: 2000 }
    }

    /// A constant factor. Gradients that are not finite are refused or skipped as without it.
    ///
    /// # Panics
    /// If the factor is not positive and finite.
    #[track_caller]
    pub fn fixed(factor: f64) -> Self {
        expect_setting("`LossScale::fixed`: factor", factor, POSITIVE);
        Self { dynamic: false, ..Self::dynamic() }.start(factor)
    }

    /// The initial factor; 2¹⁶ by default.
    ///
    /// # Panics
    /// If the factor is not positive and finite.
    #[must_use]
    #[track_caller]
    pub fn start(self, factor: f64) -> Self {
        expect_setting("`LossScale::start`: factor", factor, POSITIVE);
        Self { factor, ..self }
    }

    /// What the factor is multiplied by after `interval` steps without a gradient that is not finite.
    ///
    /// # Panics
    /// If the factor does not grow or the interval is 0.
    #[must_use]
    #[track_caller]
    pub fn growth(self, growth: f64, interval: u64) -> Self {
        expect_setting("`LossScale::growth`: growth", growth, (Excluded(1.0), Unbounded));
        assert!(interval > 0, "`LossScale::growth`: interval must be above 0, not 0");
        Self { growth, interval, ..self }
    }

    /// What the factor is multiplied by after a gradient that is not finite.
    ///
    /// # Panics
    /// If it lies outside `0..1`.
    #[must_use]
    #[track_caller]
    pub fn backoff(self, backoff: f64) -> Self {
        expect_setting("`LossScale::backoff`: backoff", backoff, (Excluded(0.0), Excluded(1.0)));
        Self { backoff, ..self }
    }
}

/// The indices of the numbers: the factor from now on, the steps since it changed, the factor of this step's loss.
const FACTOR: usize = 0;
const CLEAN: usize = 1;
const USED: usize = 2;

impl Part for LossScale {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        let (dynamic, backoff) = (self.dynamic, self.backoff);
        chain.then(Unscale(self));
        if dynamic {
            chain.on_non_finite(move |numbers| {
                (numbers[FACTOR], numbers[CLEAN]) = (numbers[FACTOR] * backoff, 0.0);
            });
        }
    }
}

struct Unscale(LossScale);

impl Transform for Unscale {
    fn numbers(&self) -> Vec<(&'static str, f64)> {
        vec![("loss_scale", self.0.factor), ("clean_steps", 0.0)]
    }

    /// Over all, since the factor is that of all gradients.
    fn measures(&self) -> Option<Over> {
        Some(Over::All)
    }

    fn keeps_zeros(&self) -> bool {
        true
    }

    fn measure<T: Real>(&self, _step: &StepInfo, _parameter: &[T], _update: &[T], _state: &[&[T]]) -> Sums {
        Sums::default()
    }

    fn update_numbers(&self, _step: &StepInfo, numbers: &mut Numbers) {
        numbers[USED] = numbers[FACTOR];
        numbers[CLEAN] += 1.0;
        if self.0.dynamic && numbers[CLEAN] >= self.0.interval as f64 {
            // A factor that no number can hold would be of no use.
            let grown = numbers[FACTOR] * self.0.growth;
            (numbers[FACTOR], numbers[CLEAN]) = (if grown.is_finite() { grown } else { numbers[FACTOR] }, 0.0);
        }
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let unscale = 1.0 / step.numbers[USED];
        move |block| block.each(|_, update, []| T::of(update.as_f64() * unscale))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Adam, ClipGlobalNorm, NonFinite, Optimizer, Sgd, testing};
    use gradus_graph::{Params, Tensor};

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule((LossScale::fixed(4.0), Adam::new(0.01)));
        testing::assert_rule((LossScale::fixed(0.5), ClipGlobalNorm::new(1.0), Sgd::new(0.002)));
        // A factor that the gradients of the testing do not have: the run is another, but saved and resumed alike.
        testing::assert_rule((LossScale::dynamic().start(1.0).growth(1.01, 7), Sgd::new(0.0005)));
    }

    #[test]
    fn the_factor_goes_with_the_gradients() {
        let mut params: Params<f64> = Params::new(0);
        let x = params.add("x", Tensor::from([0.0]));
        let scale = LossScale::dynamic().start(8.0).growth(4.0, 2).backoff(0.25);
        let mut rule = Optimizer::new((scale, Sgd::new(1.0)));
        let mut at = 0.0;
        let mut factors = Vec::new();
        for slope in [1.0, 1.0, 1.0, f64::NAN, 1.0, f64::INFINITY, 1.0, 1.0, 1.0] {
            let factor = rule.number("loss_scale").expect("the transform keeps it");
            factors.push(factor);
            rule.step(&mut params, [(&x, &Tensor::from([factor * slope]))]).expect("the step is made or skipped");
            at -= if slope.is_finite() { 1.0 } else { 0.0 };
            assert_eq!(params.get(&x).data(), [at]);
        }
        assert_eq!(factors, [8.0, 8.0, 32.0, 32.0, 8.0, 8.0, 2.0, 2.0, 8.0]);
        assert_eq!((rule.steps(), rule.skipped()), (7, 2));
    }

    #[test]
    fn a_fixed_factor_leaves_the_policy_alone() {
        let mut params: Params<f64> = Params::new(0);
        let x = params.add("x", Tensor::from([0.0]));
        let new = || Optimizer::new((LossScale::fixed(8.0), Sgd::new(1.0)));
        let bad = Tensor::from([f64::NAN]);
        new().step(&mut params, [(&x, &bad)]).unwrap_err();
        let mut skipping = new().on_non_finite(NonFinite::Skip);
        skipping.step(&mut params, [(&x, &bad)]).expect("the step is skipped");
        assert_eq!((skipping.skipped(), skipping.number("loss_scale")), (1, Some(8.0)));
    }
}
