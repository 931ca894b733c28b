//! Matrices in slices: products, the eigenbasis of a symmetric matrix, and orthonormal rows.
//!
//! Nothing here allocates, and no bit of a result depends on the number of threads.

use gradus_graph::kernel::gemm::{self, product, product_workspace};
use gradus_graph::kernel::simd::{Loop, vectorized};
use gradus_graph::{Param, Real};

/// Whether the parameter is one for the rules of matrices: of two axes, and not empty.
pub(crate) fn is_matrix(param: &Param) -> bool {
    param.shape().rank() == 2 && !param.shape().is_empty()
}

/// A row-major matrix, or its transpose.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    transposed: bool,
}

impl<'a, T> Matrix<'a, T> {
    /// The matrix whose rows stand one after another in `data`.
    pub(crate) fn new(data: &'a [T], rows: usize, columns: usize) -> Self {
        Self { data, rows, columns, transposed: false }
    }

    /// The transpose, without moving an element.
    pub(crate) fn transposed(self) -> Self {
        Self { rows: self.columns, columns: self.rows, transposed: !self.transposed, ..self }
    }

    fn operand(&self) -> gemm::Matrix<'a, T> {
        let (row, col) = if self.transposed { (1, self.rows as isize) } else { (self.columns as isize, 1) };
        gemm::Matrix { data: self.data, offset: 0, row, col }
    }
}

/// `c = a·b`, with the room that [`workspace`] says.
pub(crate) fn multiply<T: Real>(a: Matrix<'_, T>, b: Matrix<'_, T>, c: &mut [T], room: &mut [T]) {
    product(a.rows, a.columns, b.columns, a.operand(), b.operand(), false, c, room);
}

/// The room that products of these sizes need: rows, summed columns, columns.
pub(crate) fn workspace<T: Real>(sizes: &[(usize, usize, usize)]) -> usize {
    sizes.iter().map(|&(m, k, n)| product_workspace::<T>(m, k, n)).max().unwrap_or(0)
}

/// Slices of these lengths, side by side in memory that is made long enough.
pub(crate) fn parts<T: Real, const N: usize>(scratch: &mut Vec<T>, lengths: [usize; N]) -> [&mut [T]; N] {
    let total = lengths.iter().sum();
    if scratch.len() < total {
        scratch.resize(total, T::zero());
    }
    let mut rest = &mut scratch[..];
    lengths.map(|length| {
        let (part, others) = std::mem::take(&mut rest).split_at_mut(length);
        rest = others;
        part
    })
}

/// The eigenvectors of a symmetric matrix without negative eigenvalues become the rows of `basis`, in order of falling
/// eigenvalues, which go to `values`. `matrix` is used up.
///
/// Jacobi's method in the one-sided form of Hestenes: the rows of `V·A` are rotated in pairs until all are orthogonal.
/// An eigenvalue that rounding makes negative counts as zero.
pub(crate) fn eigenbasis<T: Real>(matrix: &mut [T], basis: &mut [T], values: &mut [T]) {
    let n = values.len();
    identity(basis, n);
    // Squares of large and of small elements would leave the range.
    let unit = unit(matrix);
    matrix.iter_mut().for_each(|x| *x /= unit);
    let total: f64 = (0..n).map(|i| dot(row(matrix, n, i), row(matrix, n, i)).as_f64()).sum();
    // Rows this short are rounding errors of longer ones, and their angles mean nothing.
    let nothing = total * (T::EPS * T::EPS);
    for _ in 0..SWEEPS {
        let mut turned = false;
        for p in 0..n {
            for q in p + 1..n {
                let (first, second) = two_rows(matrix, n, p, q);
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
        *value = dot(row(matrix, n, i), row(basis, n, i)).max(T::zero()) * unit;
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

/// `root = matrix^exponent` for a symmetric matrix, with eigenvalues of at least `smallest`. `matrix`, `basis`, `scaled`
/// and `values` are work space of the matrix's size and side; `matrix` holds it at first.
pub(crate) fn inverse_root<T: Real>(
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

/// Makes the rows orthonormal, one after another: what is left of each when its parts along those before are taken
/// away. A row of which nothing is left is replaced by a direction that no row has.
pub(crate) fn orthonormalize<T: Real>(rows: &mut [T], n: usize) {
    for i in 0..n {
        let (before, current) = rows.split_at_mut(i * n);
        let current = &mut current[..n];
        let unit = unit(current);
        current.iter_mut().for_each(|x| *x /= unit);
        let mut axis = 0;
        loop {
            let length = dot(current, current).sqrt();
            // Twice is enough: what rounding leaves of the first pass goes with the second.
            for _ in 0..2 {
                for other in before.chunks_exact(n) {
                    let along = dot(current, other);
                    current.iter_mut().zip(other).for_each(|(x, &y)| *x -= along * y);
                }
            }
            let left = dot(current, current).sqrt();
            if left > length * T::of(16.0 * T::EPS) && left > T::zero() {
                current.iter_mut().for_each(|x| *x /= left);
                break;
            }
            current.fill(T::zero());
            current[axis] = T::one();
            axis += 1;
        }
    }
}

/// A power of two near the largest magnitude, or 1 for zeros: dividing by it rounds nothing.
fn unit<T: Real>(values: &[T]) -> T {
    let largest = values.iter().fold(T::zero(), |largest, &x| if x.abs() > largest { x.abs() } else { largest });
    let least = T::min_positive_value();
    if largest == T::zero() || !largest.is_finite() {
        return T::one();
    }
    T::of(largest.max(least).as_f64().log2().floor().exp2())
}

/// Sets a square matrix to one.
pub(crate) fn identity<T: Real>(matrix: &mut [T], n: usize) {
    matrix.fill(T::zero());
    matrix.iter_mut().step_by(n + 1).for_each(|x| *x = T::one());
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

/// The sum of products, in an order that depends on the length alone.
pub(crate) fn dot<T: Real>(x: &[T], y: &[T]) -> T {
    vectorized(Dot(x, y))
}

struct Dot<'a, T>(&'a [T], &'a [T]);

/// The number of sums that run side by side; fixed, so that the result does not depend on the instruction set.
const LANES: usize = 16;

impl<T: Real> Loop for Dot<'_, T> {
    type Output = T;

    #[inline(always)]
    fn run(self) -> T {
        let (x, y) = (self.0.chunks_exact(LANES), self.1.chunks_exact(LANES));
        let rest = x.remainder().iter().zip(y.remainder());
        let mut sums = [T::zero(); LANES];
        for (sum, (&x, &y)) in sums.iter_mut().zip(rest) {
            *sum = x * y;
        }
        for (x, y) in x.zip(y) {
            for i in 0..LANES {
                sums[i] += x[i] * y[i];
            }
        }
        sums.iter().fold(T::zero(), |sum, &lane| sum + lane)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_basis(basis: &[f64], n: usize) {
        for i in 0..n {
            for j in 0..n {
                let product = dot(row(basis, n, i), row(basis, n, j));
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-13, "{i}, {j} of {n}: {product}");
            }
        }
    }

    #[test]
    fn a_product_with_a_transpose() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let a = Matrix::new(&a, 2, 3);
        let (mut c, mut room) = ([0.0; 4], vec![0.0; workspace::<f64>(&[(2, 3, 2)])]);
        multiply(a, a.transposed(), &mut c, &mut room);
        assert_eq!(c, [14.0, 32.0, 32.0, 77.0]);
    }

    #[test]
    fn eigenbases_give_the_matrix_back() {
        for (n, rank) in [(1, 1), (2, 2), (3, 3), (7, 7), (20, 20), (20, 5), (33, 1), (4, 0)] {
            let factor: Vec<f64> =
                (0..n * rank).map(|k| (0.7 + 1.3 * (k * k) as f64).sin() * 3.0_f64.powi(-(k as i32 % 7))).collect();
            let entry = |i: usize, j: usize| (0..rank).map(|k| factor[i * rank + k] * factor[j * rank + k]).sum();
            let matrix: Vec<f64> = (0..n * n).map(|k| entry(k / n, k % n)).collect();
            let (mut basis, mut values) = (vec![0.0; n * n], vec![0.0; n]);
            eigenbasis(&mut matrix.clone(), &mut basis, &mut values);
            check_basis(&basis, n);
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
    fn matrices_of_any_scale_have_the_same_basis() {
        let entries = [4.0_f32, 1.0, 0.5, 1.0, 3.0, 0.25, 0.5, 0.25, 2.0];
        let of = |scale: f32| {
            let (mut basis, mut values) = ([0.0; 9], [0.0; 3]);
            eigenbasis(&mut entries.map(|x| x * scale), &mut basis, &mut values);
            let mut rows = entries.map(|x| x * scale);
            orthonormalize(&mut rows, 3);
            (basis, values.map(|value| value / scale), rows)
        };
        for exponent in [-110, -60, 60, 120] {
            assert_eq!(of(2.0_f32.powi(exponent)), of(1.0), "{exponent}");
        }
    }

    #[test]
    fn rows_become_orthonormal_whatever_their_rank() {
        for (n, rank) in [(1, 1), (5, 5), (6, 3), (6, 0)] {
            let mut rows: Vec<f64> = (0..n * n).map(|k| ((1 + k % n) * (1 + (k / n) % rank.max(1))) as f64).collect();
            rows.iter_mut()
                .enumerate()
                .for_each(|(k, x)| *x = if rank == 0 { 0.0 } else { (*x + (k / n % rank) as f64).sin() });
            orthonormalize(&mut rows, n);
            check_basis(&rows, n);
        }
    }
}
