//! The rule `Shampoo`.

use gradus_graph::{POSITIVE, Real, Tensor, expect_setting};
use gradus_linalg::{Matrix, inverse_root, multiply, set_identity, workspace};

use super::adagrad::ScaleBySum;
use crate::whole_tensor::{is_matrix, parts};
use crate::{Chain, Part, Rate, RateSchedule, StepInfo, TensorTransform, Tensorwise, WholeTensor};

/// Shampoo: Adagrad for rows and columns, with all of their correlations.
///
/// `L ← L + GGᵀ`, `R ← R + GᵀG`, `P ← P − lr·L^(−¼)·G·R^(−¼)` for matrices; Adagrad's diagonal for the rest.
///
/// As the paper's Algorithm 1. The roots come from eigenvalues by Jacobi's method, in the precision of the parameters,
/// at the first step and every n steps after. For momentum put [`RunningMean`](crate::RunningMean) first.
///
/// Defaults: ε 1e-4, on the diagonal of L and R from the start and inside Adagrad's root; roots at every step. State of
/// matrices: `left`, `right`, `left_root`, `right_root`; of the rest: `sum_of_squares`.
///
/// Gupta, Koren, Singer: Shampoo: preconditioned stochastic tensor optimization, 2018.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Optimizer, Shampoo};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::zeros([2, 2]));
/// let mut rule = Optimizer::new(Shampoo::new(1.0).eps(1e-12));
/// rule.step(&mut params, [(&x, &Tensor::from_rows([[0.0, 5.0], [-2.0, 0.0]]))]).unwrap();
/// // The first step is the nearest orthogonal matrix.
/// params.get(&x).assert_close(&Tensor::from_rows([[0.0, -1.0], [1.0, 0.0]]), 1e-10, 1e-10);
/// ```
#[derive(Clone, Debug)]
pub struct Shampoo {
    learning_rate: Rate,
    eps: f64,
    every: u64,
}

impl Shampoo {
    /// Shampoo with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        Self { learning_rate: Rate::new(learning_rate), eps: 1e-4, every: 1 }
    }

    /// What the sums start at, on their diagonals.
    ///
    /// # Panics
    /// If it is not positive: the sums could have no root.
    #[must_use]
    #[track_caller]
    pub fn eps(self, eps: f64) -> Self {
        expect_setting("`Shampoo::eps`: eps", eps, POSITIVE);
        Self { eps, ..self }
    }

    /// Computes new roots every `steps` steps.
    ///
    /// # Panics
    /// If the number is zero.
    #[must_use]
    #[track_caller]
    pub fn every(self, steps: u64) -> Self {
        assert!(steps > 0, "roots are taken every 1 step or more, not 0");
        Self { every: steps, ..self }
    }
}

impl Part for Shampoo {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        let rest = ScaleBySum { initial: self.eps, eps: 0.0 };
        chain.only(is_matrix, Tensorwise(ScaleByRoots { eps: self.eps, every: self.every }));
        chain.only(|param| !is_matrix(param), rest).learning_rate(self.learning_rate);
    }
}

/// Shampoo's transform.
#[derive(Clone, Debug)]
struct ScaleByRoots {
    eps: f64,
    every: u64,
}

impl TensorTransform for ScaleByRoots {
    fn state(&self) -> &[&'static str] {
        &["left", "right", "left_root", "right_root"]
    }

    fn initial<T: Real>(&self, slot: usize, parameter: &Tensor<T>) -> Tensor<T> {
        let side = parameter.shape().sizes()[slot % 2];
        let mut square = Tensor::zeros([side, side]);
        if slot < 2 {
            set_identity(square.data_mut(), side);
            square.data_mut().iter_mut().for_each(|x| *x *= T::of(self.eps));
        }
        square
    }

    fn transform<T: Real>(&self, step: &StepInfo, tensor: WholeTensor<'_, T>) {
        let &[rows, columns] = tensor.shape.sizes() else { return };
        let [left, right, left_root, right_root] = tensor.state else { return };
        let [left, right, left_root, right_root] = [left, right, left_root, right_root].map(Tensor::data_mut);
        let side = rows.max(columns);
        let sizes = [(rows, columns, rows), (columns, rows, columns), (side, side, side), (rows, columns, columns)];
        let room = workspace::<T>(&sizes);
        let square = side * side;
        let [a, b, c, values, room] = parts(tensor.scratch, [square, square, square, side, room]);
        let gradient = Matrix::new(tensor.update, rows, columns);
        multiply(gradient, gradient.transposed(), &mut a[..rows * rows], room);
        left.iter_mut().zip(&*a).for_each(|(sum, &x)| *sum += x);
        multiply(gradient.transposed(), gradient, &mut a[..columns * columns], room);
        right.iter_mut().zip(&*a).for_each(|(sum, &x)| *sum += x);
        if (step.number - 1).is_multiple_of(self.every) {
            for (sum, root, n) in [(left, &mut *left_root, rows), (right, &mut *right_root, columns)] {
                let (a, b, c) = (&mut a[..n * n], &mut b[..n * n], &mut c[..n * n]);
                a.copy_from_slice(sum);
                inverse_root(a, b, c, &mut values[..n], (self.eps, -0.25), root, room);
            }
        }
        let half = &mut a[..rows * columns];
        multiply(Matrix::new(left_root, rows, rows), gradient, half, room);
        let right_root = Matrix::new(right_root, columns, columns);
        multiply(Matrix::new(half, rows, columns), right_root, tensor.update, room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Optimizer, testing};
    use gradus_graph::Params;

    #[test]
    fn two_steps_by_hand() {
        // On diagonal matrices Shampoo divides each element by the root of its sum of squares, as Adagrad does.
        let mut params: Params<f64> = Params::new(0);
        let x = params.add("x", Tensor::zeros([2, 2]));
        let mut rule = Optimizer::new(Shampoo::new(1.0).eps(1e-9));
        for [a, b] in [[3.0, -5.0], [4.0, 12.0]] {
            rule.step(&mut params, [(&x, &Tensor::from_rows([[a, 0.0], [0.0, b]]))]).unwrap();
        }
        let expected = Tensor::from_rows([[-1.8, 0.0], [0.0, 1.0 - 12.0 / 13.0]]);
        params.get(&x).assert_close(&expected, 1e-8, 1e-9);
    }

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule(Shampoo::new(0.05));
        testing::assert_rule(Shampoo::new(0.05).every(3));
    }
}
