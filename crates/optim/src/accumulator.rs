//! Accumulation of gradients over the parts of a batch.

use gradus_graph::{POSITIVE, Param, Params, Real, SparseRows, Tensor, expect_setting};

use crate::error::StepError;
use crate::gradient::Gradient;
use crate::gradient_checks::check_fit;
use crate::optimizer::Optimizer;
use crate::state::{RestoreError, Restoring, SavedState, Stateful};

/// Sums the gradients of several parts of a batch for one step.
///
/// `Σ wᵢ·gᵢ / Σ wᵢ` over the parts of a batch, as one gradient.
///
/// The weight of a part is the number of what its mean loss counts (samples, tokens), so that parts of any sizes give
/// the gradient of the whole batch. Clipping then acts once a step. Sums are in the precision of the parameters.
///
/// State: `sum` of each parameter that has a gradient, and `weight`.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Accumulator, Optimizer, Sgd};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([0.0]));
/// let (mut sgd, mut sum) = (Optimizer::new(Sgd::new(1.0)), Accumulator::new());
/// sum.add(&params, [(&x, &Tensor::from([1.0]))], 3.0)?; // the mean over three samples
/// sum.add(&params, [(&x, &Tensor::from([5.0]))], 1.0)?; // and that of one
/// sum.step(&mut sgd, &mut params)?;
/// assert_eq!(params.get(&x).data(), [-2.0]);
/// # Ok::<(), gradus_optim::StepError>(())
/// ```
#[derive(Debug, Default)]
pub struct Accumulator<T = f32> {
    /// The sum of each parameter, by its index in the store.
    sums: Vec<Option<Sum<T>>>,
    weight: f64,
}

#[derive(Debug)]
struct Sum<T> {
    param: Param,
    sum: Tensor<T>,
    /// Whether a gradient was added since the last step.
    given: bool,
    /// The rows outside of which the sum is zero, ascending, as long as all gradients came as rows ([`Gradient`]).
    rows: Option<Vec<usize>>,
    /// The memory in which a step takes them.
    taken: SparseRows<T>,
}

impl<T: Real> Sum<T> {
    fn new(param: &Param, sum: Tensor<T>, given: bool, rows: Option<Vec<usize>>) -> Self {
        Self { param: param.clone(), sum, given, rows, taken: SparseRows::new() }
    }

    /// Adds a gradient, times `scale`.
    fn add(&mut self, gradient: Gradient<'_, T>, scale: T) {
        let is_first = !std::mem::replace(&mut self.given, true);
        match gradient {
            Gradient::Rows(rows) if is_first || self.rows.is_some() => self.add_rows(rows, scale, is_first),
            _ => {
                self.rows = None;
                let pairs = self.sum.data_mut().iter_mut().zip(gradient.dense().data());
                if is_first {
                    pairs.for_each(|(sum, &g)| *sum = scale * g);
                } else {
                    pairs.for_each(|(sum, &g)| *sum += scale * g);
                }
            }
        }
    }

    /// Adds rows where all others were rows too.
    fn add_rows(&mut self, gradient: &SparseRows<T>, scale: T, is_first: bool) {
        let width = gradient.width();
        let sum = self.sum.data_mut();
        let mut rows = self.rows.take();
        if is_first {
            match &rows {
                Some(rows) => rows.iter().for_each(|row| sum[row * width..][..width].fill(T::zero())),
                None => sum.fill(T::zero()),
            }
        }
        let rows = rows.get_or_insert_default();
        if is_first {
            rows.clear();
        }
        // A zero is added to the rows that this gradient does not have: it changes the sign of a zero.
        rows.iter().for_each(|row| sum[row * width..][..width].iter_mut().for_each(|sum| *sum += T::zero()));
        for (number, row) in gradient.indices().iter().enumerate() {
            let pairs = sum[row * width..][..width].iter_mut().zip(&gradient.values()[number * width..]);
            if is_first {
                pairs.for_each(|(sum, &g)| *sum = scale * g);
            } else {
                pairs.for_each(|(sum, &g)| *sum += scale * g);
            }
        }
        rows.extend_from_slice(gradient.indices());
        rows.sort_unstable();
        rows.dedup();
        self.rows = Some(std::mem::take(rows));
    }

    /// The sum times `share`.
    fn scaled(&mut self, share: T) -> Gradient<'_, T> {
        let sum = self.sum.data_mut();
        match &self.rows {
            None => {
                sum.iter_mut().for_each(|sum| *sum *= share);
                Gradient::Dense(&self.sum)
            }
            Some(rows) => {
                let width = self.param.shape().iter().skip(1).product();
                rows.iter().for_each(|row| sum[row * width..][..width].iter_mut().for_each(|sum| *sum *= share));
                self.taken.set_rows(&self.sum, rows);
                Gradient::Rows(&self.taken)
            }
        }
    }
}

impl<T: Real> Accumulator<T> {
    /// The empty sum.
    pub fn new() -> Self {
        Self { sums: Vec::new(), weight: 0.0 }
    }

    /// The sum of the weights since the last step.
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// Adds the gradients of a part of the batch, which counts as `weight`. A parameter without a gradient adds
    /// nothing.
    ///
    /// # Errors
    /// If a parameter is unknown, frozen or given twice, or if a shape differs. Nothing has been added then. A gradient
    /// that is not finite is found by the step.
    ///
    /// # Panics
    /// If the weight is not positive and finite.
    #[track_caller]
    pub fn add<'a>(
        &mut self,
        params: &Params<T>,
        gradients: impl IntoIterator<Item = (&'a Param, impl Into<Gradient<'a, T>>)>,
        weight: f64,
    ) -> Result<(), StepError> {
        expect_setting("`Accumulator::add`: weight", weight, POSITIVE);
        let gradients: Vec<(&Param, Gradient<'_, T>)> =
            gradients.into_iter().map(|(param, gradient)| (param, gradient.into())).collect();
        check_fit(params, &gradients)?;
        if self.sums.len() < params.len() {
            self.sums.resize_with(params.len(), || None);
        }
        let scale = T::of(weight);
        for (param, gradient) in gradients {
            let entry = &mut self.sums[param.index()];
            let fresh = || Sum::new(param, Tensor::zeros(param.shape()), false, Some(Vec::new()));
            if entry.as_ref().is_none_or(|sum| sum.param != *param) {
                *entry = Some(fresh());
            }
            entry.get_or_insert_with(fresh).add(gradient, scale);
        }
        self.weight += weight;
        Ok(())
    }

    /// Makes one step with the weighted mean, and begins a new sum whatever comes of it.
    ///
    /// # Errors
    /// As [`Optimizer::step`].
    ///
    /// # Panics
    /// If nothing was added since the last step.
    #[track_caller]
    pub fn step(&mut self, optimizer: &mut Optimizer<T>, params: &mut Params<T>) -> Result<(), StepError> {
        assert!(self.weight > 0.0, "a step needs a gradient: nothing was added since the last one");
        let share = T::of(1.0 / self.weight);
        let given = self.sums.iter_mut().flatten().filter(|sum| sum.given);
        let gradients: Vec<(Param, Gradient<'_, T>)> =
            given.map(|sum| (sum.param.clone(), sum.scaled(share))).collect();
        let result = optimizer.step(params, gradients.iter().map(|(param, gradient)| (param, *gradient)));
        self.clear();
        result
    }

    /// Begins a new sum.
    pub fn clear(&mut self) {
        self.weight = 0.0;
        self.sums.iter_mut().flatten().for_each(|sum| sum.given = false);
    }
}

impl<T: Real> Stateful<T> for Accumulator<T> {
    fn state(&self) -> SavedState<T> {
        let mut state = SavedState::default();
        state.numbers.insert("weight".to_owned(), self.weight);
        for sum in self.sums.iter().flatten().filter(|sum| sum.given) {
            state.tensors.insert(format!("{}/sum", sum.param.name()), sum.sum.clone());
        }
        state
    }

    fn restore(&mut self, params: &Params<T>, state: &SavedState<T>) -> Result<(), RestoreError> {
        let mut from = Restoring::new(state);
        let weight = from.number("weight");
        let mut sums = Vec::new();
        for param in params.iter().map(|(param, _)| param) {
            let name = format!("{}/sum", param.name());
            sums.push(from.has_tensor(&name).then(|| {
                let mut sum = Tensor::zeros(param.shape());
                from.tensor(&name, &mut sum);
                Sum::new(param, sum, true, None)
            }));
        }
        from.finish()?;
        (self.sums, self.weight) = (sums, weight);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Adam, ClipGlobalNorm};

    /// Parts of a batch, with a restart between two of them, are the batch.
    #[test]
    fn parts_are_the_whole() {
        let new = || Optimizer::new((ClipGlobalNorm::new(1.0), Adam::new(0.1)));
        let store = || {
            let mut params: Params<f64> = Params::new(0);
            let list = [params.add("a", Tensor::from([1.0, 2.0])), params.add("b", Tensor::from([3.0]))];
            (params, list)
        };
        let (mut params, list) = store();
        let (mut parts, mut adam) = (Accumulator::new(), new());
        for _ in 0..3 {
            let first = [Tensor::from([1.0, 2.0]), Tensor::from([4.0])];
            parts.add(&params, list.iter().zip(&first), 2.0).expect("the gradients are right");
            let mut resumed = Accumulator::new();
            resumed.restore(&params, &parts.state()).expect("the state fits");
            let second = Tensor::from([4.0, -1.0]);
            resumed.add(&params, [(&list[0], &second)], 1.0).expect("the gradient is right");
            resumed.step(&mut adam, &mut params).expect("the step is made");
            parts.clear();
        }
        let (mut whole, others) = store();
        let mut adam = new();
        for _ in 0..3 {
            let gradients = [Tensor::from([2.0, 1.0]), Tensor::from([8.0 / 3.0])];
            adam.step(&mut whole, others.iter().zip(&gradients)).expect("the gradients are right");
        }
        for (param, other) in list.iter().zip(&others) {
            params.get(param).assert_close(whole.get(other), 1e-14, 0.0);
        }
    }

    #[test]
    fn a_refused_step_begins_anew() {
        let mut params: Params<f64> = Params::new(0);
        let x = params.add("x", Tensor::from([1.0]));
        let (mut parts, mut sgd) = (Accumulator::new(), Optimizer::new(crate::Sgd::new(1.0)));
        parts.add(&params, [(&x, &Tensor::from([f64::NAN]))], 1.0).expect("a step looks at it");
        parts.step(&mut sgd, &mut params).unwrap_err();
        parts.add(&params, [(&x, &Tensor::from([1.0]))], 4.0).expect("the gradient is right");
        parts.step(&mut sgd, &mut params).expect("the gradient is right");
        assert_eq!(params.get(&x).data(), [0.0]);
        let wrong = parts.add(&params, [(&x, &Tensor::from([1.0, 2.0]))], 1.0).unwrap_err();
        assert_eq!(wrong.to_string(), "parameter `x` has shape [1]; its gradient has [2]");
    }
}
