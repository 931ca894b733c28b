//! The rule `RmsProp`.

use gradus_graph::{Real, expect_setting};

use crate::{Block, Chain, Momentum, Part, Rate, RateSchedule, StateTensor, StepInfo, Transform};

/// RMSprop: divides the gradient by the root of its mean square.
///
/// `v ← αv + (1−α)g²`, `p ← p − lr·g / (√v + ε)`; centred: `ḡ ← αḡ + (1−α)g` and `√(v − ḡ²)` for `√v`.
///
/// As `torch.optim.RMSprop`: ε is outside the root, and the momentum sums `g / (√v + ε)` without the learning
/// rate. Difference: a variance
/// that rounding makes negative counts as zero, where PyTorch gets NaN.
///
/// Defaults: α 0.99, ε 1e-8, not centred, no momentum. State: `mean_square`; `mean` if centred; `momentum` if any.
///
/// Tieleman, Hinton: Lecture 6.5, 2012; centred: Graves, Generating sequences with recurrent neural networks, 2013.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Optimizer, RmsProp};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0]));
/// let mut rule = Optimizer::new(RmsProp::new(0.25).alpha(0.75).eps(0.0));
/// rule.step(&mut params, [(&x, &Tensor::from([3.0]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [0.5]); // 1 − 0.25·3/√(0.25·9)
/// ```
#[derive(Clone, Debug)]
pub struct RmsProp {
    learning_rate: Rate,
    scale: ScaleByRoot,
    momentum: f64,
}

impl RmsProp {
    /// RMSprop with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        let (learning_rate, scale) = (Rate::new(learning_rate), ScaleByRoot::default());
        Self { learning_rate, scale, momentum: 0.0 }
    }

    /// The decay rate of the means.
    ///
    /// # Panics
    /// If the rate lies outside `0..1`.
    #[must_use]
    #[track_caller]
    pub fn alpha(mut self, alpha: f64) -> Self {
        expect_setting("`RmsProp::alpha`: alpha", alpha, 0.0..1.0);
        self.scale.alpha = alpha;
        self
    }

    /// The number that keeps the denominator from zero.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Self {
        expect_setting("`RmsProp::eps`: eps", eps, 0.0..);
        self.scale.eps = eps;
        self
    }

    /// Divides by the standard deviation instead of the root of the mean square.
    #[must_use]
    pub fn centred(mut self) -> Self {
        self.scale.centred = true;
        self
    }

    /// Keeps a running sum of the scaled gradients, with this factor.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn momentum(self, momentum: f64) -> Self {
        expect_setting("`RmsProp::momentum`: momentum", momentum, 0.0..);
        Self { momentum, ..self }
    }
}

impl Part for RmsProp {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.then(self.scale);
        if self.momentum > 0.0 {
            chain.then(Momentum::new(self.momentum));
        }
        chain.learning_rate(self.learning_rate);
    }
}

/// RMSprop's transform.
#[derive(Clone, Debug)]
pub(super) struct ScaleByRoot {
    pub(super) alpha: f64,
    pub(super) eps: f64,
    pub(super) centred: bool,
    pub(super) corrected: bool,
}

impl Default for ScaleByRoot {
    fn default() -> Self {
        Self { alpha: 0.99, eps: 1e-8, centred: false, corrected: false }
    }
}

impl Transform for ScaleByRoot {
    fn state(&self) -> Vec<StateTensor> {
        let names: &[&str] = if self.centred { &["mean_square", "mean"] } else { &["mean_square"] };
        names.iter().copied().map(StateTensor::zeros).collect()
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let left = if self.corrected { 1.0 - self.alpha.powf(step.number as f64) } else { 1.0 };
        let correct = T::of(1.0 / left);
        let (alpha, take) = (T::of(self.alpha), T::of(1.0 - self.alpha));
        let eps = T::of(self.eps);
        move |block| {
            if self.centred {
                block.each(|_, update, [square, mean]| {
                    *square = alpha * *square + take * update * update;
                    *mean = alpha * *mean + take * update;
                    let corrected = correct * *mean;
                    let variance = (correct * *square - corrected * corrected).max(T::zero());
                    update / (variance.sqrt() + eps)
                });
            } else {
                block.each(|_, update, [square]| {
                    *square = alpha * *square + take * update * update;
                    update / ((correct * *square).sqrt() + eps)
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Optimizer, testing};
    use gradus_graph::{Params, Tensor};

    #[test]
    fn by_hand() {
        let mut params: Params<f64> = Params::new(0);
        let x = params.add("x", Tensor::from([1.0]));
        let mut rule = Optimizer::new(RmsProp::new(0.1).alpha(0.5).eps(1.0).centred());
        rule.step(&mut params, [(&x, &Tensor::from([4.0]))]).unwrap();
        // v = 8, mean 2, variance 4: 0.1·4/(2 + 1).
        params.get(&x).assert_close(&Tensor::from([1.0 - 0.4 / 3.0]), 1e-15, 0.0);
    }

    #[test]
    fn a_steady_gradient_does_not_turn_the_centred_rule_to_nan() {
        let mut params: Params<f32> = Params::new(0);
        let x = params.add("x", Tensor::full([64], 1.0));
        let gradient = Tensor::from_fn([64], |k| 0.1 + 0.01 * k as f32);
        let mut rule = Optimizer::new(RmsProp::new(1e-6).alpha(0.5).centred());
        for _ in 0..200 {
            rule.step(&mut params, [(&x, &gradient)]).unwrap();
        }
        assert_eq!(params.get(&x).first_non_finite(), None);
    }

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule(RmsProp::new(1e-3));
        testing::assert_rule(RmsProp::new(1e-4).centred().momentum(0.9));
    }
}
