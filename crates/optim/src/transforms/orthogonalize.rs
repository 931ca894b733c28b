//! The transform `Orthogonalize`.

use gradus_graph::{Real, expect_setting};
use gradus_linalg::{Matrix, multiply, workspace};

use crate::norm::{Factor, Length};
use crate::whole_tensor::{is_matrix, parts};
use crate::{Chain, Norm, Part, StepInfo, TensorTransform, Tensorwise, WholeTensor};

/// A factor for the update of a matrix that depends on its shape.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum MatrixScale {
    /// One.
    #[default]
    One,
    /// `√max(1, rows/columns)`: for weights of the shape `[outputs, inputs]` (PyTorch's "original").
    Tall,
    /// `rms·√max(rows, columns)`: gives the update about that root mean square; with 0.2 that of AdamW.
    Rms(f64),
}

impl MatrixScale {
    fn of(self, rows: usize, columns: usize) -> f64 {
        let (rows, columns) = (rows as f64, columns as f64);
        match self {
            Self::One => 1.0,
            Self::Tall => (rows / columns).max(1.0).sqrt(),
            Self::Rms(rms) => rms * rows.max(columns).sqrt(),
        }
    }
}

/// Replaces a matrix by one near the nearest orthogonal matrix; leaves other tensors as they are.
///
/// Five steps of Newton and Schulz.
///
/// `X ← U/max(‖U‖, ε)`, then `A = XXᵀ`, `X ← aX + (bA + cA²)X` five times (with `XᵀX` on the other side where there
/// are more rows than columns). The coefficients lift small singular values fastest and leave all of them between
/// about 0.7 and 1.2, not at 1: as in `torch.optim.Muon`. Differences: in the precision of the parameters, where
/// PyTorch works in bfloat16.
///
/// Defaults: a 3.4445, b −4.7750, c 2.0315, 5 steps, ε 1e-7, no scale. For matrices only; no state.
///
/// Bernstein, Newhouse: Old optimizer, new norm: an anthology, 2024; Jordan et al.: Muon, 2024.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{LearningRate, Optimizer, Orthogonalize};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::zeros([2, 2]));
/// let mut rule = Optimizer::new((Orthogonalize::new().polynomial(1.5, -0.5, 0.0).steps(20), LearningRate::new(1.0)));
/// rule.step(&mut params, [(&x, &Tensor::from_rows([[0.0, 3.0], [-5.0, 0.0]]))]).unwrap();
/// params.get(&x).assert_close(&Tensor::from_rows([[0.0, -1.0], [1.0, 0.0]]), 1e-12, 1e-12);
/// ```
#[derive(Clone, Debug)]
pub struct Orthogonalize {
    polynomial: [f64; 3],
    steps: usize,
    eps: f64,
    scale: MatrixScale,
}

impl Orthogonalize {
    /// Five steps with Muon's polynomial.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self { polynomial: [3.4445, -4.7750, 2.0315], steps: 5, eps: 1e-7, scale: MatrixScale::One }
    }

    /// The polynomial `aσ + bσ³ + cσ⁵` that each step applies to the singular values.
    ///
    /// # Panics
    /// If a number is not finite.
    #[must_use]
    #[track_caller]
    pub fn polynomial(self, a: f64, b: f64, c: f64) -> Self {
        expect_setting("`Orthogonalize::polynomial`: a", a, ..);
        expect_setting("`Orthogonalize::polynomial`: b", b, ..);
        expect_setting("`Orthogonalize::polynomial`: c", c, ..);
        Self { polynomial: [a, b, c], ..self }
    }

    /// The number of steps.
    #[must_use]
    pub fn steps(self, steps: usize) -> Self {
        Self { steps, ..self }
    }

    /// The smallest norm that is divided by.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn eps(self, eps: f64) -> Self {
        expect_setting("`Orthogonalize::eps`: eps", eps, 0.0..);
        Self { eps, ..self }
    }

    /// The factor of the result.
    #[must_use]
    pub fn scale(self, scale: MatrixScale) -> Self {
        Self { scale, ..self }
    }
}

impl Part for Orthogonalize {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.only(is_matrix, Tensorwise(self));
    }
}

impl TensorTransform for Orthogonalize {
    fn transform<T: Real>(&self, _step: &StepInfo, tensor: WholeTensor<'_, T>) {
        let &[rows, columns] = tensor.shape.sizes() else { return };
        let small = rows.min(columns);
        let inverse: Factor<T> = Length::from(1.0).over(Norm::Two.of(tensor.update).at_least(self.eps));
        tensor.update.iter_mut().for_each(|x| *x = inverse.times(*x));
        let [a, b, c] = self.polynomial.map(T::of);
        let room = workspace::<T>(&[(small, rows.max(columns), small), (small, small, small), (rows, small, columns)]);
        let square = small * small;
        let [gram, quintic, next, room] = parts(tensor.scratch, [square, square, rows * columns, room]);
        for _ in 0..self.steps {
            let x = Matrix::new(tensor.update, rows, columns);
            let (left, right) = if rows > columns { (x.transposed(), x) } else { (x, x.transposed()) };
            multiply(left, right, gram, room);
            multiply(Matrix::new(gram, small, small), Matrix::new(gram, small, small), quintic, room);
            for (i, (quintic, &gram)) in quintic.iter_mut().zip(&*gram).enumerate() {
                let diagonal = if i % (small + 1) == 0 { a } else { T::zero() };
                *quintic = diagonal + b * gram + c * *quintic;
            }
            let factor = Matrix::new(quintic, small, small);
            let (left, right) = if rows > columns { (x, factor) } else { (factor, x) };
            multiply(left, right, next, room);
            tensor.update.copy_from_slice(next);
        }
        let scale = T::of(self.scale.of(rows, columns));
        tensor.update.iter_mut().for_each(|x| *x *= scale);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LearningRate, Optimizer, testing};
    use gradus_graph::{Params, Tensor};

    /// The update that a gradient becomes.
    fn orthogonal(transform: Orthogonalize, gradient: Tensor<f64>) -> Tensor<f64> {
        let mut params: Params<f64> = Params::new(0);
        let x = params.add("x", Tensor::zeros(gradient.shape()));
        let mut rule = Optimizer::new((transform, LearningRate::new(1.0)));
        rule.step(&mut params, [(&x, &gradient)]).unwrap();
        params.get(&x).map(|x| -x)
    }

    #[test]
    fn the_rows_or_columns_become_orthonormal() {
        // Newton and Schulz's own polynomial converges to orthogonality, with either side the longer one.
        let transform = Orthogonalize::new().polynomial(1.5, -0.5, 0.0).steps(40);
        for [rows, columns] in [[3, 5], [5, 3], [4, 4], [1, 6]] {
            let wave = Tensor::from_fn([rows, columns], |k| (1.0 + 2.3 * (k * k) as f64).sin());
            let x = orthogonal(transform.clone(), wave);
            for i in 0..rows.min(columns) {
                for j in 0..rows.min(columns) {
                    let at = |i: usize, k: usize| if rows > columns { x.at(&[k, i]) } else { x.at(&[i, k]) };
                    let product: f64 = (0..rows.max(columns)).map(|k| at(i, k) * at(j, k)).sum();
                    assert!((product - f64::from(u8::from(i == j))).abs() < 1e-12, "{rows}×{columns}: {product}");
                }
            }
        }
    }

    #[test]
    fn singular_values_are_lifted_by_the_quintic() {
        let x = orthogonal(Orthogonalize::new().steps(1), Tensor::from_rows([[3.0, 0.0], [0.0, 4.0]]));
        let lift = |s: f64| 3.4445 * s - 4.7750 * s.powi(3) + 2.0315 * s.powi(5);
        x.assert_close(&Tensor::from_rows([[lift(0.6), 0.0], [0.0, lift(0.8)]]), 1e-14, 0.0);
    }

    #[test]
    fn matrices_of_any_size_are_orthogonalized() {
        let entries = Tensor::from_rows([[1.0, 2.0, -1.0], [0.5, 1.0, 3.0]]);
        let transform = Orthogonalize::new().eps(0.0);
        let expected = orthogonal(transform.clone(), entries.clone());
        for size in [1e-200, 1e200] {
            orthogonal(transform.clone(), entries.map(|x| size * x)).assert_close(&expected, 1e-14, 0.0);
        }
    }

    #[test]
    fn scales() {
        let scales = [MatrixScale::One, MatrixScale::Tall, MatrixScale::Rms(0.5)];
        assert_eq!(scales.map(|scale| scale.of(4, 1)), [1.0, 2.0, 1.0]);
        assert_eq!(scales.map(|scale| scale.of(1, 4)), [1.0, 1.0, 1.0]);
    }

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule((Orthogonalize::new(), LearningRate::new(1e-4)));
    }
}
