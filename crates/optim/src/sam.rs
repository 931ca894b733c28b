//! Sharpness-aware minimisation.

use gradus_graph::{Param, Params, Real, Tensor, expect_setting};

use crate::error::StepError;
use crate::gradient::Gradient;
use crate::gradient_checks::{check_finite, check_fit};
use crate::norm::{Factor, Length, Norm, Sum};

/// Moves parameters uphill for the second gradient of a step, and back to the bit.
///
/// The gradient is taken at `p + ρ·g/(‖g‖ + 1e-12)`, and moves `p`.
///
/// As the authors' code. The adaptive form (ASAM) measures `g` by the size of the parameter: `p + ρ·p²·g / ‖|p|·g‖`.
/// The norm is that of all gradients together. Defaults: not adaptive. It has no state between steps.
///
/// Foret, Kleiner, Mobahi, Neyshabur: Sharpness-aware minimization for efficiently improving generalization, 2021;
/// Kwon, Kim, Park, Choi: ASAM, 2021.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Optimizer, Sam, Sgd};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0]));
/// let slope = |params: &Params<f64>| params.get(&x).map(|x| 2.0 * x);
/// let (mut sgd, mut sam) = (Optimizer::new(Sgd::new(0.25)), Sam::new(0.5));
///
/// let gradient = slope(&params);
/// sam.perturb(&mut params, [(&x, &gradient)])?;
/// params.get(&x).assert_close(&Tensor::from([1.5]), 1e-12, 0.0);
/// let gradient = slope(&params);
/// sam.restore(&mut params);
/// sgd.step(&mut params, [(&x, &gradient)])?;
/// params.get(&x).assert_close(&Tensor::from([0.25]), 1e-12, 0.0); // 1 − 0.25·(2·1.5)
/// # Ok::<(), gradus_optim::StepError>(())
/// ```
#[derive(Debug)]
pub struct Sam<T = f32> {
    rho: f64,
    adaptive: bool,
    /// The parameters with their values before the perturbation, or, between steps, memory for them.
    saved: Vec<(Param, Tensor<T>)>,
    perturbed: bool,
}

impl<T: Real> Sam<T> {
    /// Takes the gradient at the distance ρ: 0.05 is usual.
    ///
    /// # Panics
    /// If the distance is negative or not finite.
    #[track_caller]
    pub fn new(rho: f64) -> Self {
        expect_setting("`Sam::new`: rho", rho, 0.0..);
        Self { rho, adaptive: false, saved: Vec::new(), perturbed: false }
    }

    /// Measures distances by the size of each element (ASAM, whose ρ is larger: 0.5 to 2).
    #[must_use]
    pub fn adaptive(self) -> Self {
        Self { adaptive: true, ..self }
    }

    /// Moves the parameters uphill along the gradients of the present point.
    ///
    /// # Errors
    /// As [`Optimizer::step`](crate::Optimizer::step); nothing has been changed then.
    ///
    /// # Panics
    /// If the parameters were not restored since the last call.
    #[track_caller]
    pub fn perturb<'a>(
        &mut self,
        params: &mut Params<T>,
        gradients: impl IntoIterator<Item = (&'a Param, impl Into<Gradient<'a, T>>)>,
    ) -> Result<(), StepError> {
        assert!(!self.perturbed, "the parameters are perturbed: restore them first");
        let gradients: Vec<(&Param, Gradient<'_, T>)> =
            gradients.into_iter().map(|(param, gradient)| (param, gradient.into())).collect();
        check_fit(params, &gradients)?;
        check_finite(1, &gradients)?;
        let mut sum = Sum::default();
        for &(param, gradient) in &gradients {
            let gradient = gradient.dense().data();
            if self.adaptive {
                for (values, gradient) in params.get(param).data().chunks(CHUNK).zip(gradient.chunks(CHUNK)) {
                    let mut products = [0.0; CHUNK];
                    for ((product, p), g) in products.iter_mut().zip(values).zip(gradient) {
                        *product = p.as_f64() * g.as_f64();
                    }
                    sum = sum.join(Norm::Two.sum(&products));
                }
            } else {
                sum = sum.join(Norm::Two.sum(gradient));
            }
        }
        let scale: Factor<T> = Length::from(self.rho).over(Norm::Two.length(sum).plus(1e-12));
        let same = self.saved.iter().map(|(param, _)| param).eq(gradients.iter().map(|&(param, _)| param));
        if !same {
            let memory = gradients.iter().map(|&(param, _)| (param.clone(), Tensor::zeros(param.shape())));
            self.saved = memory.collect();
        }
        for ((param, gradient), (_, saved)) in gradients.into_iter().zip(&mut self.saved) {
            saved.data_mut().copy_from_slice(params.get(param).data());
            let value = params.get_mut(param).data_mut();
            for (p, &g) in value.iter_mut().zip(gradient.dense().data()) {
                *p += if self.adaptive { *p * *p * scale.times(g) } else { scale.times(g) };
            }
        }
        self.perturbed = true;
        Ok(())
    }

    /// Puts the parameters back to where they were, to the bit.
    ///
    /// # Panics
    /// If the parameters are not perturbed, or belong to another store.
    #[track_caller]
    pub fn restore(&mut self, params: &mut Params<T>) {
        assert!(self.perturbed, "the parameters are not perturbed: there is nothing to restore");
        for (param, saved) in &mut self.saved {
            params.get_mut(param).data_mut().copy_from_slice(saved.data());
        }
        self.perturbed = false;
    }
}

/// The number of products of the adaptive form that are summed at once.
const CHUNK: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (Params<f64>, [Param; 2]) {
        let mut params: Params<f64> = Params::new(0);
        let list = [params.add("a", Tensor::from([3.0, 0.1])), params.add("b", Tensor::from([-2.0]))];
        (params, list)
    }

    #[test]
    fn the_parameters_move_by_rho_and_come_back() {
        let (mut params, list) = store();
        let before: Vec<Tensor<f64>> = params.iter().map(|(_, value)| value.clone()).collect();
        let mut sam = Sam::new(0.5);
        for gradients in
            [[Tensor::from([3.0, 0.0]), Tensor::from([4.0])], [Tensor::from([0.0, 10.0]), Tensor::from([0.0])]]
        {
            sam.perturb(&mut params, list.iter().zip(&gradients)).expect("the gradients are right");
            let moved = params.iter().zip(&before).map(|((_, now), before)| {
                now.data().iter().zip(before.data()).map(|(now, before)| (now - before).powi(2)).sum::<f64>()
            });
            assert!((moved.sum::<f64>().sqrt() - 0.5).abs() < 1e-12);
            sam.restore(&mut params);
            assert!(params.iter().map(|(_, value)| value).eq(&before));
        }
    }

    #[test]
    fn a_gradient_of_any_size_moves_by_rho() {
        for size in [1e-200, 1e200] {
            let (mut params, list) = store();
            let gradients = [Tensor::from([3.0 * size, 0.0]), Tensor::from([4.0 * size])];
            Sam::new(0.5).perturb(&mut params, list.iter().zip(&gradients)).expect("the gradients are right");
            // The 1e-12 beside the norm leaves nothing of the step for the tiny gradient.
            let share = if size < 1.0 { 0.0 } else { 1.0 };
            params.get(&list[0]).assert_close(&Tensor::from([3.0 + 0.3 * share, 0.1]), 1e-15, 0.0);
            params.get(&list[1]).assert_close(&Tensor::from([-2.0 + 0.4 * share]), 1e-15, 0.0);
        }
    }

    #[test]
    fn the_adaptive_form_by_hand() {
        let (mut params, list) = store();
        let mut sam = Sam::new(1.0).adaptive();
        // |p|·g is (3, 0) and 8, of norm √73; p²·g is (9, 0) and 16.
        let gradients = [Tensor::from([1.0, 0.0]), Tensor::from([4.0])];
        sam.perturb(&mut params, list.iter().zip(&gradients)).expect("the gradients are right");
        let norm = 73.0_f64.sqrt() + 1e-12;
        params.get(&list[0]).assert_close(&Tensor::from([3.0 + 9.0 / norm, 0.1]), 1e-12, 0.0);
        params.get(&list[1]).assert_close(&Tensor::from([-2.0 + 16.0 / norm]), 1e-12, 0.0);
    }

    #[test]
    fn gradients_that_are_not_finite_move_nothing() {
        let (mut params, list) = store();
        let before = format!("{:?}", params.iter().collect::<Vec<_>>());
        let gradients = [Tensor::from([1.0, 0.0]), Tensor::from([f64::NAN])];
        let mut sam = Sam::new(1.0);
        let error = sam.perturb(&mut params, list.iter().zip(&gradients)).unwrap_err();
        assert!(error.to_string().starts_with("the gradient of `b` is NaN at [0]"), "{error}");
        assert_eq!(format!("{:?}", params.iter().collect::<Vec<_>>()), before);
        let twice = [(&list[0], &gradients[0]), (&list[0], &gradients[0])];
        assert_eq!(sam.perturb(&mut params, twice).unwrap_err(), StepError::Twice(list[0].clone()));
    }
}
