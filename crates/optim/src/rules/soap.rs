//! The rule `Soap`.

use gradus_graph::{Real, Tensor, expect_setting};
use gradus_linalg::{Matrix, dot, eigenbasis, multiply, orthonormalize, workspace};

use super::adam::ScaleByMoments;
use super::end;
use super::moments::Moments;
use crate::whole_tensor::{is_matrix, parts};
use crate::{Chain, Part, Rate, RateSchedule, StepInfo, TensorTransform, Tensorwise, WholeTensor};

/// SOAP: Adam along the directions in which the gradients of a matrix vary independently.
///
/// Adam in the eigenbasis of Shampoo's matrices, for matrices; Adam for the rest.
///
/// `m ← β₁m + (1−β₁)G`, `v ← β₂v + (1−β₂)(QₗGQᵣᵀ)²`, `u = Qₗᵀ(√(1−β₂ᵗ)/(1−β₁ᵗ)·QₗmQᵣᵀ/(√v + ε))Qᵣ`, `P ← P − lr·(u +
/// decay·P)`; then `L ← β₂L + (1−β₂)GGᵀ`, `R ← β₂R + (1−β₂)GᵀG`. The rows of Qₗ and Qᵣ are eigenvectors of L and R
/// after the first step, and every n steps one power iteration more: `Q ← orthonormal(QL)`.
///
/// As the authors' `soap.py`: the first step only makes the bases, so that no gradient is used in a basis of its own,
/// and `t` counts those after. (There the decay takes the parameter after the step.)
///
/// Defaults: β₁ 0.95, β₂ 0.95, ε 1e-8, new bases every 10 steps, decay 1e-2, no basis for sides above 10,000. State of
/// matrices: `first_moment`, `second_moment` (in the basis), `left`, `right`, `left_basis`, `right_basis`, from zero.
///
/// Vyas et al.: SOAP: improving and stabilizing Shampoo using Adam, 2025.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Optimizer, Soap};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::zeros([2, 2]));
/// let mut rule = Optimizer::new(Soap::new(0.5));
/// let gradient = Tensor::from_rows([[0.0, 5.0], [-2.0, 0.0]]);
/// rule.step(&mut params, [(&x, &gradient)]).unwrap(); // makes the bases
/// assert_eq!(params.get(&x).data(), [0.0; 4]);
/// rule.step(&mut params, [(&x, &gradient)]).unwrap(); // Adam's first step in them
/// params.get(&x).assert_close(&Tensor::from_rows([[0.0, -0.5], [0.5, 0.0]]), 1e-7, 1e-7);
/// ```
#[derive(Clone, Debug)]
pub struct Soap {
    learning_rate: Rate,
    rotated: AdamInBasis,
    decay: f64,
}

impl Soap {
    /// SOAP with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        let rotated =
            AdamInBasis { moments: Moments { beta1: 0.95, beta2: 0.95, ..Moments::ADAM }, every: 10, largest: 10_000 };
        Self { learning_rate: Rate::new(learning_rate), rotated, decay: 1e-2 }
    }

    /// The decay rates of the two moments; the second is that of the matrices, too.
    ///
    /// # Panics
    /// If a rate lies outside `0..1`.
    #[must_use]
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.rotated.moments = self.rotated.moments.with_betas("Soap", beta1, beta2);
        self
    }

    /// The number that keeps the denominator from zero.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Self {
        self.rotated.moments = self.rotated.moments.with_eps("Soap", eps);
        self
    }

    /// Computes new bases every `steps` steps.
    ///
    /// # Panics
    /// If the number is zero.
    #[must_use]
    #[track_caller]
    pub fn every(mut self, steps: u64) -> Self {
        assert!(steps > 0, "bases are taken every 1 step or more, not 0");
        self.rotated.every = steps;
        self
    }

    /// The longest side that has a basis.
    #[must_use]
    pub fn largest_side(mut self, side: usize) -> Self {
        self.rotated.largest = side;
        self
    }

    /// The factor of the decoupled weight decay (default: 1e-2).
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn decay(self, decay: f64) -> Self {
        expect_setting("`Soap::decay`: decay", decay, 0.0..);
        Self { decay, ..self }
    }
}

impl Part for Soap {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        let rest = ScaleByMoments::new(self.rotated.moments);
        chain.only(is_matrix, Tensorwise(self.rotated)).only(|param| !is_matrix(param), rest);
        end(chain, self.decay, self.learning_rate);
    }
}

/// SOAP's transform.
#[derive(Clone, Debug)]
struct AdamInBasis {
    moments: Moments,
    every: u64,
    largest: usize,
}

impl TensorTransform for AdamInBasis {
    fn state(&self) -> &[&'static str] {
        &["first_moment", "second_moment", "left", "right", "left_basis", "right_basis"]
    }

    fn initial<T: Real>(&self, slot: usize, parameter: &Tensor<T>) -> Tensor<T> {
        if slot < 2 {
            return Tensor::zeros(parameter.shape());
        }
        let side = parameter.shape().sizes()[slot % 2];
        // A side without a basis has an empty one.
        let side = if side <= self.largest { side } else { 0 };
        Tensor::zeros([side, side])
    }

    fn transform<T: Real>(&self, step: &StepInfo, tensor: WholeTensor<'_, T>) {
        let &[rows, columns] = tensor.shape.sizes() else { return };
        let [first, second, left, right, left_basis, right_basis] = tensor.state else { return };
        let [first, second] = [first, second].map(Tensor::data_mut);
        let [left, right, left_basis, right_basis] = [left, right, left_basis, right_basis].map(Tensor::data_mut);
        let side = rows.max(columns);
        let sizes = [(rows, columns, rows), (columns, rows, columns), (rows, columns, columns), (side, side, side)];
        let (size, square) = (rows * columns, side * side);
        let scratch = parts(tensor.scratch, [size, size, size, square, side, workspace::<T>(&sizes)]);
        let [gradient, rotated, half, work, values, room] = scratch;
        gradient.copy_from_slice(tensor.update);
        if step.number == 1 {
            tensor.update.fill(T::zero());
        } else {
            let turn = Turn { rows, columns, left: left_basis, right: right_basis };
            let moments = self.moments.at::<T>(step.number - 1);
            first.iter_mut().zip(&*gradient).for_each(|(m, &g)| moments.average(m, g));
            turn.turn_in(gradient, rotated, half, room);
            second.iter_mut().zip(&*rotated).for_each(|(v, &g)| moments.average_square(v, g));
            turn.turn_in(first, rotated, half, room);
            let [left1, left2] =
                [self.moments.beta1, self.moments.beta2].map(|beta| 1.0 - beta.powf((step.number - 1) as f64));
            let factor = T::of(left2.sqrt() / left1);
            rotated.iter_mut().zip(&*second).for_each(|(m, v)| *m = factor * *m / (v.sqrt() + moments.eps));
            turn.turn_back(rotated, tensor.update, half, room);
        }
        let (keep, take) = (T::of(self.moments.beta2), T::of(1.0 - self.moments.beta2));
        let gradient = Matrix::new(gradient, rows, columns);
        for (sum, n, factor) in [(&mut *left, rows, gradient), (&mut *right, columns, gradient.transposed())] {
            if !sum.is_empty() {
                multiply(factor, factor.transposed(), &mut work[..n * n], room);
                sum.iter_mut().zip(&*work).for_each(|(sum, &x)| *sum = keep * *sum + take * x);
            }
        }
        let refresh = step.number > 1 && (step.number - 1).is_multiple_of(self.every);
        for (sum, basis, n, along_rows) in [(left, left_basis, rows, true), (right, right_basis, columns, false)] {
            let (work, values) = (&mut work[..n * n], &mut values[..n]);
            if sum.is_empty() {
                continue;
            }
            if step.number == 1 {
                work.copy_from_slice(sum);
                eigenbasis(work, basis, values);
            } else if refresh {
                multiply(Matrix::new(basis, n, n), Matrix::new(sum, n, n), work, room);
                for (i, value) in values.iter_mut().enumerate() {
                    *value = dot(&work[i * n..(i + 1) * n], &basis[i * n..(i + 1) * n]);
                }
                // The directions in order of falling eigenvalues, and the second moment with them.
                for i in 0..n {
                    let largest = (i..n).fold(i, |largest, j| if values[j] > values[largest] { j } else { largest });
                    if largest > i {
                        values.swap(i, largest);
                        swap_rows(work, n, i, largest);
                        if along_rows {
                            swap_rows(second, columns, i, largest);
                        } else {
                            second.chunks_mut(columns).for_each(|row| row.swap(i, largest));
                        }
                    }
                }
                orthonormalize(work, n);
                basis.copy_from_slice(work);
            }
        }
    }
}

/// The bases of both sides; empty for a side without one.
struct Turn<'a, T> {
    rows: usize,
    columns: usize,
    left: &'a [T],
    right: &'a [T],
}

impl<T: Real> Turn<'_, T> {
    /// `to = Qₗ·from·Qᵣᵀ`.
    fn turn_in(&self, from: &[T], to: &mut [T], half: &mut [T], room: &mut [T]) {
        self.turn(from, to, half, room, |left| left, |right| right.transposed());
    }

    /// `to = Qₗᵀ·from·Qᵣ`.
    fn turn_back(&self, from: &[T], to: &mut [T], half: &mut [T], room: &mut [T]) {
        self.turn(from, to, half, room, |left| left.transposed(), |right| right);
    }

    fn turn<'b>(
        &'b self,
        from: &[T],
        to: &mut [T],
        half: &mut [T],
        room: &mut [T],
        left: impl Fn(Matrix<'b, T>) -> Matrix<'b, T>,
        right: impl Fn(Matrix<'b, T>) -> Matrix<'b, T>,
    ) {
        let Self { rows, columns, .. } = *self;
        if self.left.is_empty() {
            half.copy_from_slice(from);
        } else {
            multiply(left(Matrix::new(self.left, rows, rows)), Matrix::new(from, rows, columns), half, room);
        }
        if self.right.is_empty() {
            to.copy_from_slice(half);
        } else {
            let basis = right(Matrix::new(self.right, columns, columns));
            multiply(Matrix::new(half, rows, columns), basis, to, room);
        }
    }
}

fn swap_rows<T>(matrix: &mut [T], columns: usize, i: usize, j: usize) {
    let (upper, lower) = matrix.split_at_mut(j * columns);
    upper[i * columns..(i + 1) * columns].swap_with_slice(&mut lower[..columns]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Adam, Optimizer, testing};
    use gradus_graph::Params;

    #[test]
    fn without_bases_it_is_adam_a_step_late() {
        let mut params: Params<f64> = Params::new(0);
        let list = ["soap", "adam"].map(|name| params.add(name, Tensor::full([3, 2], 1.0)));
        let mut soap = Optimizer::new(Soap::new(0.1).largest_side(1).decay(0.0).eps(0.0));
        let mut adam = Optimizer::new(Adam::new(0.1).betas(0.95, 0.95).eps(0.0));
        for number in 0..12 {
            let gradient = Tensor::from_fn([3, 2], |k| (1.3 * (k + 6 * number) as f64).sin());
            soap.step(&mut params, [(&list[0], &gradient)]).unwrap();
            if number > 0 {
                adam.step(&mut params, [(&list[1], &gradient)]).unwrap();
            }
        }
        params.get(&list[0]).assert_close(params.get(&list[1]), 1e-13, 0.0);
    }

    #[test]
    fn second_moments_follow_their_directions_when_the_order_changes() {
        // On diagonal matrices the bases are the axes, and SOAP is Adam, whichever of the axes is the first.
        let mut params: Params<f64> = Params::new(0);
        let matrix = params.add("matrix", Tensor::zeros([3, 3]));
        let diagonal = params.add("diagonal", Tensor::zeros([3]));
        let mut soap = Optimizer::new(Soap::new(0.1).betas(0.5, 0.5).decay(0.0).eps(1e-300).every(1));
        let mut adam = Optimizer::new(Adam::new(0.1).betas(0.5, 0.5).eps(0.0));
        for number in 0..12 {
            // Each axis is the steepest in turn.
            let slope = |k: usize| if (number / 3) % 3 == k { 4.0 + number as f64 } else { 1.0 + k as f64 };
            let slopes = Tensor::from_fn([3, 3], |k| if k % 4 == 0 { slope(k / 4) } else { 0.0 });
            soap.step(&mut params, [(&matrix, &slopes)]).unwrap();
            if number > 0 {
                adam.step(&mut params, [(&diagonal, &Tensor::from_fn([3], slope))]).unwrap();
            }
        }
        let found = Tensor::from_fn([3], |k| params.get(&matrix).at(&[k, k]));
        found.assert_close(params.get(&diagonal), 1e-12, 0.0);
    }

    #[test]
    fn it_does_not_see_a_rotation() {
        // Turning the parameter and its gradients turns the path of SOAP with them.
        let (cosine, sine) = (0.6, 0.8);
        let turn = |x: &Tensor<f64>| {
            let [a, b, c, d] = [0, 1, 2, 3].map(|k| x.data()[k]);
            Tensor::from_rows([
                [cosine * a - sine * c, cosine * b - sine * d],
                [sine * a + cosine * c, sine * b + cosine * d],
            ])
        };
        let mut params: Params<f64> = Params::new(0);
        let list = ["plain", "turned"].map(|name| params.add(name, Tensor::zeros([2, 2])));
        let mut rules = [0, 1].map(|_| Optimizer::new(Soap::new(0.1).every(3)));
        for number in 0..20 {
            let gradient = Tensor::from_fn([2, 2], |k| (1.0 + ((k + 4 * number) * k) as f64).sin());
            rules[0].step(&mut params, [(&list[0], &gradient)]).unwrap();
            rules[1].step(&mut params, [(&list[1], &turn(&gradient))]).unwrap();
        }
        params.get(&list[1]).assert_close(&turn(params.get(&list[0])), 1e-9, 1e-9);
    }

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule(Soap::new(0.01));
        testing::assert_rule(Soap::new(0.01).every(2).largest_side(1));
    }
}
