//! The rule `Prodigy`.

use gradus_graph::{POSITIVE, Real, expect_setting};

use super::moments::Moments;
use crate::reductions::sum;
use crate::{Block, Chain, Numbers, Over, Part, Rate, RateSchedule, StateTensor, StepInfo, Sum, Sums, Transform};

/// Prodigy: Adam without a learning rate to choose.
///
/// AdamW that finds its own learning rate, `d`, as a lower estimate of the distance to the solution.
///
/// With `λ = d·lr·√(1−β₂ᵗ)/(1−β₁ᵗ)`, over all parameters together:
/// `r ← β₃r + (d/d₀)λ⟨g, p₀ − p⟩`, `s ← β₃s + (d/d₀)λg`, `d ← max(d, c·r/‖s‖₁)`;
/// `m ← β₁m + (1−β₁)dg`, `v ← β₂v + (1−β₂)d²g²`, `p ← p − λ·(m/(√v + dε) + decay·p)`.
///
/// As `optax.contrib.prodigy`: λ and the moments take the estimate from before the step, ε the new one. The learning
/// rate is 1, or falls from 1 to 0 at the end.
///
/// Defaults: β₁ 0.9, β₂ 0.999, β₃ √β₂, ε 1e-8, d₀ 1e-6, c 1, no decay. State: `first_moment`, `second_moment`,
/// `weighted_gradients`, from zero; `start`, the first value; and for all parameters together the numbers `distance`,
/// `previous_distance` and `numerator`.
///
/// Mishchenko, Defazio: Prodigy: an expeditiously adaptive parameter-free learner, 2024.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Optimizer, Prodigy};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([30.0, -20.0]));
/// let mut rule = Optimizer::new(Prodigy::new(1.0));
/// for _ in 0..400 {
///     let gradient = params.get(&x).map(|x| x - 1.0);
///     rule.step(&mut params, [(&x, &gradient)]).unwrap();
/// }
/// params.get(&x).assert_close(&Tensor::from([1.0, 1.0]), 0.2, 0.0);
/// assert!(rule.state().numbers["distance"] > 1.0); // from 1e-6
/// ```
#[derive(Clone, Debug)]
pub struct Prodigy {
    learning_rate: Rate,
    scale: ScaleByDistance,
}

impl Prodigy {
    /// Prodigy with the given factor of the estimated learning rate, usually 1: a number, or a function of the number
    /// of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        let scale = ScaleByDistance {
            moments: Moments::ADAM,
            beta3: None,
            initial: 1e-6,
            coefficient: 1.0,
            decay: 0.0,
            safeguard: false,
        };
        Self { learning_rate: Rate::new(learning_rate), scale }
    }

    /// The decay rates of the two moments.
    ///
    /// # Panics
    /// If a rate lies outside `0..1`.
    #[must_use]
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.scale.moments = self.scale.moments.with_betas("Prodigy", beta1, beta2);
        self
    }

    /// The decay rate of the sums behind the estimate; the root of β₂ by default.
    ///
    /// # Panics
    /// If it lies outside `0..1`.
    #[must_use]
    #[track_caller]
    pub fn beta3(mut self, beta3: f64) -> Self {
        expect_setting("`Prodigy::beta3`: beta3", beta3, 0.0..1.0);
        self.scale.beta3 = Some(beta3);
        self
    }

    /// The number that keeps the denominator from zero, in units of the estimate.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Self {
        self.scale.moments = self.scale.moments.with_eps("Prodigy", eps);
        self
    }

    /// The first estimate: small, since it only grows.
    ///
    /// # Panics
    /// If it is not positive.
    #[must_use]
    #[track_caller]
    pub fn initial(mut self, initial: f64) -> Self {
        expect_setting("`Prodigy::initial`: initial", initial, POSITIVE);
        self.scale.initial = initial;
        self
    }

    /// The factor of new estimates.
    ///
    /// # Panics
    /// If it is not positive and finite.
    #[must_use]
    #[track_caller]
    pub fn coefficient(mut self, coefficient: f64) -> Self {
        expect_setting("`Prodigy::coefficient`: coefficient", coefficient, POSITIVE);
        self.scale.coefficient = coefficient;
        self
    }

    /// The factor of the decoupled weight decay (default: none).
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn decay(mut self, decay: f64) -> Self {
        expect_setting("`Prodigy::decay`: decay", decay, 0.0..);
        self.scale.decay = decay;
        self
    }

    /// Leaves the learning rate out of `s`, for a long warm-up.
    #[must_use]
    pub fn safeguard_warm_up(mut self) -> Self {
        self.scale.safeguard = true;
        self
    }
}

impl Part for Prodigy {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.then(self.scale).learning_rate(self.learning_rate);
    }
}

/// Prodigy's transform.
#[derive(Clone, Debug)]
struct ScaleByDistance {
    moments: Moments,
    beta3: Option<f64>,
    initial: f64,
    coefficient: f64,
    decay: f64,
    safeguard: bool,
}

impl ScaleByDistance {
    fn beta3(&self) -> f64 {
        self.beta3.unwrap_or(self.moments.beta2.sqrt())
    }

    /// λ without the learning rate, for this estimate.
    fn length(&self, step: &StepInfo, distance: f64) -> f64 {
        let [left1, left2] = [self.moments.beta1, self.moments.beta2].map(|beta| 1.0 - beta.powf(step.number as f64));
        distance * left2.sqrt() / left1
    }

    /// The factor of the gradient in `s`, for this estimate.
    fn weight(&self, step: &StepInfo, distance: f64) -> f64 {
        let length = if self.safeguard { distance } else { step.learning_rate * self.length(step, distance) };
        length * distance / self.initial
    }
}

impl Transform for ScaleByDistance {
    fn state(&self) -> Vec<StateTensor> {
        vec![
            StateTensor::zeros("first_moment"),
            StateTensor::zeros("second_moment"),
            StateTensor::zeros("weighted_gradients"),
            StateTensor::parameter("start"),
        ]
    }

    fn numbers(&self) -> Vec<(&'static str, f64)> {
        vec![("distance", self.initial), ("previous_distance", self.initial), ("numerator", 0.0)]
    }

    fn measures(&self) -> Option<Over> {
        Some(Over::All)
    }

    fn measure<T: Real>(&self, step: &StepInfo, parameter: &[T], update: &[T], state: &[&[T]]) -> Sums {
        let (weighted, start) = (state[2], state[3]);
        let (beta3, weight) = (self.beta3(), self.weight(step, step.numbers[0]));
        let progress = sum(update.len(), |i| update[i].as_f64() * (start[i] - parameter[i]).as_f64());
        let length = sum(update.len(), |i| (beta3 * weighted[i].as_f64() + weight * update[i].as_f64()).abs());
        [progress.into(), length.into(), Sum::default(), Sum::default()]
    }

    fn update_numbers(&self, step: &StepInfo, [distance, previous, numerator, _]: &mut Numbers) {
        let [progress, length, ..] = step.measured.map(Sum::value);
        let weight = *distance / self.initial * step.learning_rate * self.length(step, *distance);
        *numerator = self.beta3() * *numerator + weight * progress;
        *previous = *distance;
        if length > 0.0 {
            *distance = distance.max(self.coefficient * *numerator / length);
        }
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let [distance, previous, ..] = step.numbers;
        let [beta1, beta2, beta3] = [self.moments.beta1, self.moments.beta2, self.beta3()].map(T::of);
        let (take1, take2) =
            (T::of((1.0 - self.moments.beta1) * previous), T::of((1.0 - self.moments.beta2) * previous * previous));
        let (weight, eps) = (T::of(self.weight(step, previous)), T::of(distance * self.moments.eps));
        let (length, decay) = (T::of(self.length(step, previous)), T::of(self.decay));
        move |block| {
            block.each(|parameter, update, [first, second, weighted, _start]| {
                *first = beta1 * *first + take1 * update;
                *second = beta2 * *second + take2 * update * update;
                *weighted = beta3 * *weighted + weight * update;
                length * (*first / (second.sqrt() + eps) + decay * parameter)
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
        testing::assert_rule(Prodigy::new(0.1).initial(1e-3));
        testing::assert_rule(Prodigy::new(0.1).initial(1e-3).safeguard_warm_up().decay(1e-2));
    }
}
