//! The rule `DAdaptAdam`.

use gradus_graph::{POSITIVE, Real, expect_setting};

use super::moments::Moments;
use crate::reductions::sum;
use crate::{Block, Chain, Numbers, Over, Part, Rate, RateSchedule, StateTensor, StepInfo, Sum, Sums, Transform};

/// Adam without a learning rate to choose.
///
/// The learning rate is `d`, a lower estimate of the distance to the solution.
///
/// With `λ = d·lr·√(1−β₂ᵗ)/(1−β₁ᵗ)` and `σ = √β₂`, over all parameters together:
/// `r ← σr + (1−σ)λ⟨g, s/(√v + ε)⟩`, `s ← σs + (1−σ)λg`, `d ← max(d, r/((1−σ)‖s‖₁))`;
/// `m ← β₁m + (1−β₁)λg`, `v ← β₂v + (1−β₂)g²`, `p ← p − (m/(√v + ε) + λ·decay·p)`.
///
/// As `optax.contrib.dadapt_adamw`: λ takes the estimate from before the step, `r` the `v` from before it. The learning
/// rate is 1, or falls from 1 to 0 at the end.
///
/// Defaults: β₁ 0.9, β₂ 0.999, ε 1e-8, first estimate 1e-6, no decay. State: `first_moment`, `second_moment`,
/// `weighted_gradients`, from zero; and for all parameters together the numbers `distance`, `previous_distance` and
/// `numerator`.
///
/// Defazio, Mishchenko: Learning-rate-free learning by D-Adaptation, 2023.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{DAdaptAdam, Optimizer};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([30.0, -20.0]));
/// let mut rule = Optimizer::new(DAdaptAdam::new(1.0));
/// for _ in 0..400 {
///     let gradient = params.get(&x).map(|x| x - 1.0);
///     rule.step(&mut params, [(&x, &gradient)]).unwrap();
/// }
/// assert!(rule.state().numbers["distance"] > 1e-2); // from 1e-6
/// ```
#[derive(Clone, Debug)]
pub struct DAdaptAdam {
    learning_rate: Rate,
    scale: ScaleByDistance,
}

impl DAdaptAdam {
    /// Adam with the given factor of the estimated learning rate, usually 1: a number, or a function of the number of
    /// steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        let scale = ScaleByDistance { moments: Moments::ADAM, initial: 1e-6, decay: 0.0 };
        Self { learning_rate: Rate::new(learning_rate), scale }
    }

    /// The decay rates of the two moments.
    ///
    /// # Panics
    /// If a rate lies outside `0..1`.
    #[must_use]
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.scale.moments = self.scale.moments.with_betas("DAdaptAdam", beta1, beta2);
        self
    }

    /// The number that keeps the denominator from zero.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Self {
        self.scale.moments = self.scale.moments.with_eps("DAdaptAdam", eps);
        self
    }

    /// The first estimate: small, since it only grows.
    ///
    /// # Panics
    /// If it is not positive.
    #[must_use]
    #[track_caller]
    pub fn initial(mut self, initial: f64) -> Self {
        expect_setting("`DAdaptAdam::initial`: initial", initial, POSITIVE);
        self.scale.initial = initial;
        self
    }

    /// The factor of the decoupled weight decay (default: none).
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn decay(mut self, decay: f64) -> Self {
        expect_setting("`DAdaptAdam::decay`: decay", decay, 0.0..);
        self.scale.decay = decay;
        self
    }
}

impl Part for DAdaptAdam {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        // The learning rate is inside the first moment: the transform applies it.
        let rate = self.learning_rate;
        chain.then(self.scale).learning_rate_inside(rate);
    }
}

/// The transform of D-Adaptation for Adam.
#[derive(Clone, Debug)]
struct ScaleByDistance {
    moments: Moments,
    initial: f64,
    decay: f64,
}

impl ScaleByDistance {
    /// λ for this estimate.
    fn length(&self, step: &StepInfo, distance: f64) -> f64 {
        let [left1, left2] = [self.moments.beta1, self.moments.beta2].map(|beta| 1.0 - beta.powf(step.number as f64));
        distance * step.learning_rate * left2.sqrt() / left1
    }
}

impl Transform for ScaleByDistance {
    fn state(&self) -> Vec<StateTensor> {
        ["first_moment", "second_moment", "weighted_gradients"].map(StateTensor::zeros).to_vec()
    }

    fn numbers(&self) -> Vec<(&'static str, f64)> {
        vec![("distance", self.initial), ("previous_distance", self.initial), ("numerator", 0.0)]
    }

    fn measures(&self) -> Option<Over> {
        Some(Over::All)
    }

    fn measure<T: Real>(&self, step: &StepInfo, _parameter: &[T], update: &[T], state: &[&[T]]) -> Sums {
        let (second, weighted) = (state[1], state[2]);
        let sigma = self.moments.beta2.sqrt();
        let weight = (1.0 - sigma) * self.length(step, step.numbers[0]);
        let product = sum(update.len(), |i| {
            update[i].as_f64() * weighted[i].as_f64() / (second[i].as_f64().sqrt() + self.moments.eps)
        });
        let length = sum(update.len(), |i| (sigma * weighted[i].as_f64() + weight * update[i].as_f64()).abs());
        [product.into(), length.into(), Sum::default(), Sum::default()]
    }

    fn update_numbers(&self, step: &StepInfo, [distance, previous, numerator, _]: &mut Numbers) {
        let [product, length, ..] = step.measured.map(Sum::value);
        let sigma = self.moments.beta2.sqrt();
        *numerator = sigma * *numerator + (1.0 - sigma) * self.length(step, *distance) * product;
        *previous = *distance;
        if length > 0.0 {
            *distance = distance.max(*numerator / ((1.0 - sigma) * length));
        }
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let length = self.length(step, step.numbers[1]);
        let sigma = self.moments.beta2.sqrt();
        let [beta1, beta2, eps] = [self.moments.beta1, self.moments.beta2, self.moments.eps].map(T::of);
        let (take1, take2) = (T::of((1.0 - self.moments.beta1) * length), T::of(1.0 - self.moments.beta2));
        let (keep, weight, decay) = (T::of(sigma), T::of((1.0 - sigma) * length), T::of(length * self.decay));
        move |block| {
            block.each(|parameter, update, [first, second, weighted]| {
                *first = beta1 * *first + take1 * update;
                *second = beta2 * *second + take2 * update * update;
                *weighted = keep * *weighted + weight * update;
                *first / (second.sqrt() + eps) + decay * parameter
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
        testing::assert_rule(DAdaptAdam::new(0.1).initial(1e-3));
        testing::assert_rule(DAdaptAdam::new(0.1).initial(1e-3).decay(1e-2));
    }
}
