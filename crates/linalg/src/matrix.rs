//! Products of matrices in slices, and the identity.

use gradus_graph::Real;
use gradus_graph::kernel::gemm::{self, product, product_workspace};

/// A row-major matrix, or its transpose.
#[derive(Clone, Copy)]
pub struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    transposed: bool,
}

impl<'a, T> Matrix<'a, T> {
    /// The matrix with the rows in `data`, one after another.
    pub fn new(data: &'a [T], rows: usize, columns: usize) -> Self {
        Self { data, rows, columns, transposed: false }
    }

    /// The transpose, without moving an element.
    pub fn transposed(self) -> Self {
        Self { rows: self.columns, columns: self.rows, transposed: !self.transposed, ..self }
    }

    fn operand(&self) -> gemm::MatrixView<'a, T> {
        let (row, col) = if self.transposed { (1, self.rows as isize) } else { (self.columns as isize, 1) };
        gemm::MatrixView { data: self.data, offset: 0, row, col }
    }
}

/// `c = a·b`, with a workspace of the length that [`workspace`] gives.
///
/// # Panics
/// If the inner sides differ, or `c` or the workspace has the wrong length.
///
/// # Example
/// ```
/// use gradus_linalg::{Matrix, multiply, workspace};
/// let a = [1.0, 2.0, 3.0, 4.0];
/// let a = Matrix::new(&a, 2, 2);
/// let mut c = [0.0; 4];
/// multiply(a, a.transposed(), &mut c, &mut vec![0.0; workspace::<f64>(&[(2, 2, 2)])]);
/// assert_eq!(c, [5.0, 11.0, 11.0, 25.0]);
/// ```
pub fn multiply<T: Real>(a: Matrix<'_, T>, b: Matrix<'_, T>, c: &mut [T], workspace: &mut [T]) {
    product(a.rows, a.columns, b.columns, a.operand(), b.operand(), false, c, workspace);
}

/// The length of a workspace for products of these sizes: rows of the left factor, its columns, columns of the right
/// one.
pub fn workspace<T: Real>(sizes: &[(usize, usize, usize)]) -> usize {
    sizes.iter().map(|&(m, k, n)| product_workspace::<T>(m, k, n)).max().unwrap_or(0)
}

/// Sets a square matrix of `n` rows to the identity.
pub fn set_identity<T: Real>(matrix: &mut [T], n: usize) {
    matrix.fill(T::zero());
    matrix.iter_mut().step_by(n + 1).for_each(|x| *x = T::one());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_with_a_transpose() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let a = Matrix::new(&a, 2, 3);
        let (mut c, mut room) = ([0.0; 4], vec![0.0; workspace::<f64>(&[(2, 3, 2)])]);
        multiply(a, a.transposed(), &mut c, &mut room);
        assert_eq!(c, [14.0, 32.0, 32.0, 77.0]);
    }
}
