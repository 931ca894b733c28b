//! The rule `DAdaptSgd`.

use gradus_graph::{POSITIVE, Real, expect_setting};

use crate::reductions::{sum, sum_of_squares};
use crate::{Block, Chain, Norm, Numbers, Over, Part, Rate, RateSchedule, StateTensor, StepInfo, Sum, Sums, Transform};

/// Gradient descent without a learning rate to choose.
///
/// The learning rate is `d/‖g₁‖`, with `d` a lower estimate of the distance to the
/// solution.
///
/// With `λ = d·lr/‖g₁‖`, over all parameters together: `r ← r + λ⟨g, s⟩`, `s ← s + λg`, `d ← max(d, 2r/‖s‖)`;
/// `z = p₀ − s`, `p ← momentum·p + (1 − momentum)·z`.
///
/// As `DAdaptSGD` of the authors' package `dadaptation`: λ takes the estimate from before the step. The learning rate
/// is 1, or falls from 1 to 0 at the end. For L2 regularisation put [`DecayWeights`](crate::DecayWeights) first.
///
/// Defaults: momentum 0, first estimate 1e-6, growth without limit. State: `weighted_gradients`, from zero; `start`,
/// the first value; and for all parameters together the numbers `distance`, `rate`, `numerator` and `first_norm`.
///
/// Defazio, Mishchenko: Learning-rate-free learning by D-Adaptation, 2023.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{DAdaptSgd, Optimizer};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0, 1.0]));
/// let mut rule = Optimizer::new(DAdaptSgd::new(1.0).initial(0.5));
/// rule.step(&mut params, [(&x, &Tensor::from([6.0, 8.0]))]).unwrap(); // s = 0.5·g/‖g‖
/// params.get(&x).assert_close(&Tensor::from([0.7, 0.6]), 1e-15, 0.0);
/// ```
#[derive(Clone, Debug)]
pub struct DAdaptSgd {
    learning_rate: Rate,
    walk: WalkByDistance,
}

impl DAdaptSgd {
    /// Descent with the given factor of the estimated learning rate, usually 1: a number, or a function of the number
    /// of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        let walk = WalkByDistance { momentum: 0.0, initial: 1e-6, growth: f64::INFINITY };
        Self { learning_rate: Rate::new(learning_rate), walk }
    }

    /// The share of the parameter that stays at each step.
    ///
    /// # Panics
    /// If the share lies outside `0..1`.
    #[must_use]
    #[track_caller]
    pub fn momentum(mut self, momentum: f64) -> Self {
        expect_setting("`DAdaptSgd::momentum`: momentum", momentum, 0.0..1.0);
        self.walk.momentum = momentum;
        self
    }

    /// The first estimate: small, since it only grows.
    ///
    /// # Panics
    /// If it is not positive.
    #[must_use]
    #[track_caller]
    pub fn initial(mut self, initial: f64) -> Self {
        expect_setting("`DAdaptSgd::initial`: initial", initial, POSITIVE);
        self.walk.initial = initial;
        self
    }

    /// The factor by which the estimate may grow at a step.
    ///
    /// # Panics
    /// If the factor is below 1.
    #[must_use]
    #[track_caller]
    pub fn growth(mut self, growth: f64) -> Self {
        expect_setting("`DAdaptSgd::growth`: growth", growth, 1.0..=f64::INFINITY);
        self.walk.growth = growth;
        self
    }
}

impl Part for DAdaptSgd {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.then(self.walk).learning_rate_inside(self.learning_rate);
    }
}

/// The transform of D-Adaptation for descent.
#[derive(Clone, Debug)]
struct WalkByDistance {
    momentum: f64,
    initial: f64,
    growth: f64,
}

impl Transform for WalkByDistance {
    fn state(&self) -> Vec<StateTensor> {
        vec![StateTensor::zeros("weighted_gradients"), StateTensor::parameter("start")]
    }

    fn numbers(&self) -> Vec<(&'static str, f64)> {
        vec![("distance", self.initial), ("rate", 0.0), ("numerator", 0.0), ("first_norm", 0.0)]
    }

    fn measures(&self) -> Option<Over> {
        Some(Over::All)
    }

    fn measure<T: Real>(&self, _step: &StepInfo, _parameter: &[T], update: &[T], state: &[&[T]]) -> Sums {
        let weighted = state[0];
        let product = sum(update.len(), |i| update[i].as_f64() * weighted[i].as_f64());
        [Norm::Two.sum(update), product.into(), sum_of_squares(weighted).into(), Sum::default()]
    }

    fn update_numbers(&self, step: &StepInfo, [distance, rate, numerator, first_norm]: &mut Numbers) {
        let [gradient, product, weighted, _] = step.measured;
        let (gradient, product) = (Norm::Two.length(gradient).value(), product.value());
        // The first gradient that is not zero sets the scale.
        if *first_norm == 0.0 {
            *first_norm = gradient;
        }
        *rate = if *first_norm > 0.0 { *distance * step.learning_rate / *first_norm } else { 0.0 };
        *numerator += *rate * product;
        let length = (weighted.value() + 2.0 * *rate * product + (*rate * gradient).powi(2)).max(0.0).sqrt();
        if length > 0.0 {
            *distance = distance.max((2.0 * *numerator / length).min(*distance * self.growth));
        }
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let (rate, take) = (T::of(step.numbers[1]), T::of(1.0 - self.momentum));
        move |block| {
            block.each(|parameter, update, [weighted, start]| {
                *weighted += rate * update;
                take * (parameter - (*start - *weighted))
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
        testing::assert_rule(DAdaptSgd::new(0.05).initial(1e-2).growth(1.02));
        testing::assert_rule(DAdaptSgd::new(0.05).initial(1e-2).growth(1.02).momentum(0.5));
    }
}
