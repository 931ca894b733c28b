//! Eigenvalues and eigenvectors of symmetric matrices, by Jacobi's rotations.
//!
//! Golub, Van Loan: Matrix computations, section 8.6.3.

use gradus_graph::Real;
use gradus_graph::kernel::simd::{Loop, vectorized};

use crate::matrix::{Matrix, multiply, set_identity};
use crate::vector::{dot, power_of_two_near};

/// Writes the eigenvectors of a symmetric matrix without negative eigenvalues to the rows of `basis`, in order of
/// falling eigenvalues, and the eigenvalues to `values`. Overwrites `matrix`.
///
/// Jacobi's method in the one-sided form of Hestenes: the rows of `V·A` are rotated in pairs until all are orthogonal.
/// An eigenvalue that rounding makes negative counts as zero.
pub fn eigenbasis<T: Real>(matrix: &mut [T], basis: &mut [T], values: &mut [T]) {
    set_identity(basis, values.len());
    refine_eigenbasis(matrix, basis, values);
}

/// As [`eigenbasis`], from orthonormal rows in `basis` that may be near to the eigenvectors, which makes it fast.
/// `product` is the product of `basis` and the matrix, and is overwritten.
pub fn refine_eigenbasis<T: Real>(product: &mut [T], basis: &mut [T], values: &mut [T]) {
    let n = values.len();
    // Squares of large and of small elements would leave the range.
    let unit = power_of_two_near(product);
    product.iter_mut().for_each(|x| *x /= unit);
    let total: f64 = (0..n).map(|i| dot(row(product, n, i), row(product, n, i)).as_f64()).sum();
    // Rows this short are rounding errors of longer ones, and their angles mean nothing.
    let nothing = total * (T::EPS * T::EPS);
    for _ in 0..SWEEPS {
        let mut turned = false;
        for p in 0..n {
            for q in p + 1..n {
                let (first, second) = two_rows(product, n, p, q);
                let (alpha, beta, gamma) =
                    (dot(first, first).as_f64(), dot(second, second).as_f64(), dot(first, second).as_f64());
                if alpha.min(beta) <= nothing || gamma.abs() <= T::EPS * (alpha * beta).sqrt() {
                    continue;
                }
                turned = true;
                let (cosine, sine) = rotation(alpha, beta, gamma);
                rotate(first, second, cosine, sine);
                let (first, second) = two_rows(basis, n, p, q);
                rotate(first, second, cosine, sine);
            }
        }
        if !turned {
            break;
        }
    }
    for (i, value) in values.iter_mut().enumerate() {
        *value = dot(row(product, n, i), row(basis, n, i)).max(T::zero()) * unit;
    }
    for i in 0..n {
        let largest = (i..n).fold(i, |largest, j| if values[j] > values[largest] { j } else { largest });
        if largest > i {
            values.swap(i, largest);
            let (upper, lower) = two_rows(basis, n, i, largest);
            upper.swap_with_slice(lower);
        }
    }
}

/// More sweeps than any matrix was seen to need; the method converges quadratically, after six to ten.
const SWEEPS: usize = 40;

/// `root = matrix^exponent` for a symmetric matrix, with eigenvalues of at least `smallest`.
///
/// `matrix` is overwritten. `basis` and `scaled` have its size, `values` has its side, and `room` is a workspace for
/// the product of two such matrices ([`workspace`](crate::workspace)).
pub fn inverse_root<T: Real>(
    matrix: &mut [T],
    basis: &mut [T],
    scaled: &mut [T],
    values: &mut [T],
    (smallest, exponent): (f64, f64),
    root: &mut [T],
    room: &mut [T],
) {
    let n = values.len();
    eigenbasis(matrix, basis, values);
    scaled.copy_from_slice(basis);
    for (i, value) in values.iter().enumerate() {
        let power = T::of(value.as_f64().max(smallest).powf(exponent));
        scaled[i * n..(i + 1) * n].iter_mut().for_each(|x| *x *= power);
    }
    multiply(Matrix::new(basis, n, n).transposed(), Matrix::new(scaled, n, n), root, room);
}

/// The cosine and sine that make two rows of these squares and this product orthogonal; the smaller of the angles.
fn rotation(alpha: f64, beta: f64, gamma: f64) -> (f64, f64) {
    let zeta = (beta - alpha) / (2.0 * gamma);
    let tangent = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
    let cosine = 1.0 / tangent.hypot(1.0);
    (cosine, cosine * tangent)
}

fn row<T>(matrix: &[T], n: usize, i: usize) -> &[T] {
    &matrix[i * n..(i + 1) * n]
}

fn two_rows<T>(matrix: &mut [T], n: usize, p: usize, q: usize) -> (&mut [T], &mut [T]) {
    let (upper, lower) = matrix.split_at_mut(q * n);
    (&mut upper[p * n..(p + 1) * n], &mut lower[..n])
}

/// `(x, y) ← (cosine·x − sine·y, sine·x + cosine·y)`.
fn rotate<T: Real>(x: &mut [T], y: &mut [T], cosine: f64, sine: f64) {
    vectorized(Rotate { x, y, cosine: T::of(cosine), sine: T::of(sine) });
}

struct Rotate<'a, T> {
    x: &'a mut [T],
    y: &'a mut [T],
    cosine: T,
    sine: T,
}

impl<T: Real> Loop for Rotate<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (x, y) in self.x.iter_mut().zip(self.y) {
            (*x, *y) = (self.cosine * *x - self.sine * *y, self.sine * *x + self.cosine * *y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenbases_give_the_matrix_back() {
        for (n, rank) in [(1, 1), (2, 2), (3, 3), (7, 7), (20, 20), (20, 5), (33, 1), (4, 0)] {
            let factor: Vec<f64> =
                (0..n * rank).map(|k| (0.7 + 1.3 * (k * k) as f64).sin() * 3.0_f64.powi(-(k as i32 % 7))).collect();
            let entry = |i: usize, j: usize| (0..rank).map(|k| factor[i * rank + k] * factor[j * rank + k]).sum();
            let matrix: Vec<f64> = (0..n * n).map(|k| entry(k / n, k % n)).collect();
            let (mut basis, mut values) = (vec![0.0; n * n], vec![0.0; n]);
            eigenbasis(&mut matrix.clone(), &mut basis, &mut values);
            for i in 0..n {
                for j in 0..n {
                    let product = dot(row(&basis, n, i), row(&basis, n, j));
                    assert!((product - f64::from(u8::from(i == j))).abs() < 1e-13, "{i}, {j} of {n}: {product}");
                }
            }
            assert!(values.is_sorted_by(|a, b| a >= b), "{values:?}");
            let scale = values[0];
            for i in 0..n {
                for j in 0..n {
                    let sum: f64 = (0..n).map(|k| values[k] * basis[k * n + i] * basis[k * n + j]).sum();
                    assert!(
                        (sum - matrix[i * n + j]).abs() <= 1e-14 * n as f64 * scale,
                        "rank {rank} of {n}: {i}, {j}"
                    );
                }
            }
            assert!(values[rank..].iter().all(|&value| value <= 1e-14 * scale), "rank {rank}: {values:?}");
        }
    }

    #[test]
    fn from_its_own_eigenvectors_a_basis_does_not_change() {
        let n = 12;
        let factor: Vec<f64> = (0..n * n).map(|k| (0.3 + 1.7 * (k * k) as f64).sin()).collect();
        let entry = |i: usize, j: usize| dot(row(&factor, n, i), row(&factor, n, j));
        let matrix: Vec<f64> = (0..n * n).map(|k| entry(k / n, k % n)).collect();
        let (mut basis, mut values) = (vec![0.0; n * n], vec![0.0; n]);
        eigenbasis(&mut matrix.clone(), &mut basis, &mut values);
        let mut product: Vec<f64> = (0..n * n).map(|k| dot(row(&basis, n, k / n), row(&matrix, n, k % n))).collect();
        let (before, largest) = (basis.clone(), values[0]);
        let old = values.clone();
        refine_eigenbasis(&mut product, &mut basis, &mut values);
        basis.iter().zip(&before).for_each(|(after, before)| assert!((after - before).abs() < 1e-12));
        values.iter().zip(&old).for_each(|(after, before)| assert!((after - before).abs() < 1e-14 * largest));
    }

    #[test]
    fn matrices_of_any_scale_have_the_same_basis() {
        let entries = [4.0_f32, 1.0, 0.5, 1.0, 3.0, 0.25, 0.5, 0.25, 2.0];
        let of = |scale: f32| {
            let (mut basis, mut values) = ([0.0; 9], [0.0; 3]);
            eigenbasis(&mut entries.map(|x| x * scale), &mut basis, &mut values);
            (basis, values.map(|value| value / scale))
        };
        for exponent in [-110, -60, 60, 120] {
            assert_eq!(of(2.0_f32.powi(exponent)), of(1.0), "{exponent}");
        }
    }
}
