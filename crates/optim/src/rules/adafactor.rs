//! The rule `Adafactor`.

use std::ops::Bound::{Excluded, Included};

use gradus_graph::{Param, Real, Tensor, expect_setting};

use crate::reductions::sum_of_squares;
use crate::{
    Block, Chain, DecayWeights, Norm, Over, Part, Rate, RateSchedule, StateTensor, StepInfo, Sum, Sums,
    TensorTransform, Tensorwise, Transform, WholeTensor,
};

/// Adafactor: almost no state for matrices, and steps in proportion to the parameter.
///
/// A second moment of one number for each row and each column of a matrix.
///
/// `r ← r + t⁻ᶜ(mean of g² over columns − r)`, `c ← c + t⁻ᶜ(mean of g² over rows − c)`, `v = r·c/mean(r)`; for vectors
/// `v ← v + t⁻ᶜ(g² − v)`; `u = g/√v`, `u ← u/max(1, rms(u)/d)`, `p ← p − max(ε₂, rms(p))·min(lr, 1/√t)·u − lr·decay·p`.
///
/// As `torch.optim.Adafactor`: `mean(r)` is at least ε₁ and `v` at least ε₁². A tensor of more axes counts as many
/// matrices. The usual learning rate is 1e-2.
///
/// Defaults: c 0.8, ε₁ the precision's ε, ε₂ 1e-3, d 1, no decay. State: `row_moment`, `column_moment` or
/// `second_moment`, from zero.
///
/// Shazeer, Stern: Adafactor: adaptive learning rates with sublinear memory cost, 2018.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Adafactor, Optimizer};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from_rows([[2.0, 2.0], [2.0, 2.0]]));
/// let mut rule = Optimizer::new(Adafactor::new(0.25));
/// rule.step(&mut params, [(&x, &Tensor::from_rows([[1.0, -2.0], [3.0, 6.0]]))]).unwrap();
/// // The squares are a product of rows and columns, so all of u is ±1; the root mean square of x is 2.
/// let expected = Tensor::from_rows([[1.5, 2.5], [1.5, 1.5]]);
/// params.get(&x).assert_close(&expected, 1e-15, 0.0);
/// assert_eq!(rule.state().tensors["x/row_moment"].shape().sizes(), [2]);
/// ```
#[derive(Clone, Debug)]
pub struct Adafactor {
    learning_rate: Rate,
    moments: Moments,
    relative: ScaleToParameter,
    decay: f64,
}

impl Adafactor {
    /// Adafactor with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        Self {
            learning_rate: Rate::new(learning_rate),
            moments: Moments { power: 0.8, floor: None },
            relative: ScaleToParameter { smallest: 1e-3, limit: 1.0 },
            decay: 0.0,
        }
    }

    /// c: the power of the step with which new gradients count less.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn power(mut self, power: f64) -> Self {
        expect_setting("`Adafactor::power`: power", power, 0.0..);
        self.moments.power = power;
        self
    }

    /// ε₁ and ε₂: the bound of the moments, and the smallest root mean square of a parameter.
    ///
    /// # Panics
    /// If a number is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn eps(mut self, moments: f64, parameter: f64) -> Self {
        expect_setting("`Adafactor::eps`: moments", moments, 0.0..);
        expect_setting("`Adafactor::eps`: parameter", parameter, 0.0..);
        self.moments.floor = Some(moments);
        self.relative.smallest = parameter;
        self
    }

    /// d: the largest root mean square of a step, before it is scaled to the parameter.
    ///
    /// # Panics
    /// If it is not positive.
    #[must_use]
    #[track_caller]
    pub fn limit(mut self, limit: f64) -> Self {
        expect_setting("`Adafactor::limit`: limit", limit, (Excluded(0.0), Included(f64::INFINITY)));
        self.relative.limit = limit;
        self
    }

    /// The factor of the decoupled weight decay (default: none).
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn decay(self, decay: f64) -> Self {
        expect_setting("`Adafactor::decay`: decay", decay, 0.0..);
        Self { decay, ..self }
    }
}

impl Part for Adafactor {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        let is_factored =
            |param: &Param| matches!(param.shape().sizes(), [.., rows, columns] if rows.min(columns) > &0);
        chain.only(move |param| !is_factored(param), WholeMoment(self.moments.clone()));
        chain.only(is_factored, Tensorwise(FactoredMoment(self.moments))).then(self.relative);
        if self.decay > 0.0 {
            chain.then(DecayWeights::new(self.decay));
        }
        chain.learning_rate(self.learning_rate);
    }
}

/// How second moments are kept.
#[derive(Clone, Debug)]
struct Moments {
    power: f64,
    /// The bound of a moment; the precision's ε unless stated.
    floor: Option<f64>,
}

impl Moments {
    /// The share of the new gradient, and the bound.
    fn numbers<T: Real>(&self, step: &StepInfo) -> (T, T) {
        (T::of((step.number as f64).powf(-self.power)), T::of(self.floor.unwrap_or(T::EPS)))
    }
}

/// Divides a matrix by the root of its factored second moment.
#[derive(Clone, Debug)]
struct FactoredMoment(Moments);

impl TensorTransform for FactoredMoment {
    fn state(&self) -> &[&'static str] {
        &["row_moment", "column_moment"]
    }

    fn initial<T: Real>(&self, slot: usize, parameter: &Tensor<T>) -> Tensor<T> {
        let mut sizes = parameter.shape().sizes().to_vec();
        // One number for each row, or one for each column.
        sizes.remove(if slot == 0 { sizes.len() - 1 } else { sizes.len() - 2 });
        Tensor::zeros(sizes)
    }

    fn transform<T: Real>(&self, step: &StepInfo, tensor: WholeTensor<'_, T>) {
        let &[.., rows, columns] = tensor.shape.sizes() else { return };
        let (take, floor) = self.0.numbers::<T>(step);
        let [row_moments, column_moments] = tensor.state else { return };
        let moments = row_moments.data_mut().chunks_mut(rows).zip(column_moments.data_mut().chunks_mut(columns));
        for (update, (row_moment, column_moment)) in tensor.update.chunks_mut(rows * columns).zip(moments) {
            let share = take / T::of(rows as f64);
            column_moment.iter_mut().for_each(|moment| *moment -= take * *moment);
            for (row, moment) in update.chunks(columns).zip(&mut *row_moment) {
                let mut sum = T::zero();
                for (&x, column) in row.iter().zip(&mut *column_moment) {
                    let square = x * x;
                    sum += square;
                    *column += share * square;
                }
                *moment += take * (sum / T::of(columns as f64) - *moment);
            }
            let mean = row_moment.iter().fold(T::zero(), |sum, &moment| sum + moment) / T::of(rows as f64);
            let inverse = T::one() / mean.max(floor);
            for (row, &moment) in update.chunks_mut(columns).zip(&*row_moment) {
                let factor = moment * inverse;
                for (x, &column) in row.iter_mut().zip(&*column_moment) {
                    *x /= (factor * column).max(floor * floor).sqrt();
                }
            }
        }
    }
}

/// Divides by the root of a second moment of every element.
#[derive(Clone, Debug)]
struct WholeMoment(Moments);

impl Transform for WholeMoment {
    fn state(&self) -> Vec<StateTensor> {
        vec![StateTensor::zeros("second_moment")]
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let (take, floor) = self.0.numbers::<T>(step);
        let bound = floor * floor;
        move |block| {
            block.each(|_, update, [second]| {
                *second += take * (update * update - *second);
                update / second.max(bound).sqrt()
            })
        }
    }
}

/// Clips the root mean square of the step, and scales it to that of the parameter.
#[derive(Clone, Debug)]
struct ScaleToParameter {
    smallest: f64,
    limit: f64,
}

impl Transform for ScaleToParameter {
    fn measures(&self) -> Option<Over> {
        Some(Over::Tensor)
    }

    fn measure<T: Real>(&self, _step: &StepInfo, parameter: &[T], update: &[T], _state: &[&[T]]) -> Sums {
        let count = Sum::from(parameter.len() as f64);
        [Norm::Two.sum(parameter), sum_of_squares(update).into(), count, Sum::default()]
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let [own, update, count, _] = step.measured;
        let parameter = Norm::Two.length(own.over(count.value())).value();
        let update = (update.value() / count.value()).sqrt();
        let rate = step.learning_rate;
        let bound = (step.number as f64).sqrt().recip();
        // The chain multiplies by the learning rate: here is what makes the smaller of it and the bound of it.
        let rest = if rate > bound { bound / rate } else { 1.0 };
        let scale = T::of(parameter.max(self.smallest) * rest / (update / self.limit).max(1.0));
        move |block| block.each(|_, update, []| update * scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Optimizer, testing};
    use gradus_graph::Params;

    #[test]
    fn many_matrices_are_factored_each() {
        let mut params: Params<f64> = Params::new(0);
        let both = params.add("both", Tensor::full([2, 2, 3], 1.0));
        let alone = params.add("alone", Tensor::full([2, 3], 1.0));
        let gradient = Tensor::from_fn([2, 2, 3], |k| (1.0 + (k * k) as f64).sin());
        let second = Tensor::new([2, 3], gradient.data()[6..].to_vec());
        let mut rule = Optimizer::new(Adafactor::new(0.1).limit(1e9));
        rule.step(&mut params, [(&both, &gradient), (&alone, &second)]).unwrap();
        let state = rule.state();
        assert_eq!(state.tensors["both/column_moment"].shape().sizes(), [2, 3]);
        assert_eq!(state.tensors["both/column_moment"].data()[3..], *state.tensors["alone/column_moment"].data());
        assert_eq!(params.get(&both).data()[6..], *params.get(&alone).data());
    }

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule(Adafactor::new(1e-2));
        testing::assert_rule(Adafactor::new(1e-3).decay(1e-2));
    }
}
