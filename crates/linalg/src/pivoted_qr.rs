//! `AP = QR` by Householder reflections, the column with the largest remainder first; and least squares with a diagonal
//! added: `min ‖Ax − b‖² + ‖Dx‖²`.
//!
//! Golub, Van Loan: Matrix computations, section 5.4. Moré: The Levenberg-Marquardt algorithm, implementation and
//! theory, 1978, section 3.

use crate::vector::{add_scaled, dot, norm};

/// A matrix with at least as many rows as columns, factored.
///
/// # Example
/// ```
/// use gradus_linalg::PivotedQr;
/// // The line a + b·t that is nearest to (0, 1), (1, 3), (2, 5); columns 1 and t.
/// let qr = PivotedQr::new(vec![1.0, 1.0, 1.0, 0.0, 1.0, 2.0], 3);
/// let mut z = qr.transposed_times(&[1.0, 3.0, 5.0]);
/// qr.triangle().solve(&mut z);
/// let x = qr.in_parameter_order(&z);
/// assert!((x[0] - 1.0).abs() < 1e-14 && (x[1] - 2.0).abs() < 1e-14);
/// ```
pub struct PivotedQr {
    rows: usize,
    /// Column by column: R above the diagonal, the vectors of the reflections from the diagonal on.
    columns: Vec<f64>,
    diagonal: Vec<f64>,
    /// The index in the matrix of each column of R.
    pub order: Vec<usize>,
}

/// An upper triangle, row by row.
pub struct Triangle {
    n: usize,
    rows: Vec<f64>,
}

impl PivotedQr {
    /// Factors the matrix that is given column by column.
    pub fn new(mut columns: Vec<f64>, rows: usize) -> Self {
        let n = columns.len() / rows.max(1);
        let mut order: Vec<usize> = (0..n).collect();
        let mut diagonal = Vec::with_capacity(n);
        for j in 0..n {
            let remainder = |column: usize| norm(&columns[column * rows + j..(column + 1) * rows]);
            // The first of equals, so that the order is that of the parameters where nothing speaks against it.
            let pivot = (j + 1..n).fold((j, remainder(j)), |best, column| {
                let size = remainder(column);
                if size > best.1 { (column, size) } else { best }
            });
            if pivot.0 != j {
                order.swap(j, pivot.0);
                (0..rows).for_each(|row| columns.swap(j * rows + row, pivot.0 * rows + row));
            }
            let (head, tail) = columns.split_at_mut((j + 1) * rows);
            let vector = &mut head[j * rows + j..];
            // The sign that avoids cancellation in v₁ = x₁ ± ‖x‖.
            let size = if vector[0] < 0.0 { -pivot.1 } else { pivot.1 };
            diagonal.push(-size);
            if size == 0.0 {
                continue;
            }
            vector.iter_mut().for_each(|element| *element /= size);
            vector[0] += 1.0;
            for column in tail.chunks_mut(rows) {
                reflect(vector, &mut column[j..]);
            }
        }
        Self { rows, columns, diagonal, order }
    }

    /// The first elements of `Qᵀb`, one for each column.
    pub fn transposed_times(&self, b: &[f64]) -> Vec<f64> {
        let mut b = b.to_vec();
        b.resize(self.rows, 0.0);
        for j in 0..self.order.len() {
            reflect(&self.columns[j * self.rows + j..(j + 1) * self.rows], &mut b[j..]);
        }
        b.truncate(self.order.len());
        b
    }

    /// The factor `R`.
    pub fn triangle(&self) -> Triangle {
        let n = self.order.len();
        let mut rows = vec![0.0; n * n];
        for j in 0..n {
            (0..j).for_each(|i| rows[i * n + j] = self.columns[j * self.rows + i]);
            rows[j * n + j] = self.diagonal[j];
        }
        Triangle { n, rows }
    }

    /// The solution of the damped problem for `Qᵀb`, in the order of the parameters, and the triangle `S` with
    /// `SᵀS = Pᵀ(AᵀA + D²)P`.
    pub fn damped(&self, qtb: &[f64], d: &[f64]) -> (Vec<f64>, Triangle) {
        let (n, mut s, mut z) = (self.order.len(), self.triangle(), qtb.to_vec());
        for j in 0..n {
            // Rotates the row with D's element into the triangle.
            let mut row = vec![0.0; n];
            let mut last = 0.0;
            row[j] = d[self.order[j]];
            for k in j..n {
                if row[k] == 0.0 {
                    continue;
                }
                let diagonal = s.rows[k * n + k];
                let size = diagonal.hypot(row[k]);
                let (cosine, sine) = (diagonal / size, row[k] / size);
                for (upper, lower) in s.rows[k * n + k..(k + 1) * n].iter_mut().zip(&mut row[k..]) {
                    (*upper, *lower) = (cosine * *upper + sine * *lower, cosine * *lower - sine * *upper);
                }
                (z[k], last) = (cosine * z[k] + sine * last, cosine * last - sine * z[k]);
            }
        }
        s.solve(&mut z);
        (self.in_parameter_order(&z), s)
    }

    /// The vector with its elements in the order of the matrix's columns, from that of R's.
    pub fn in_parameter_order(&self, z: &[f64]) -> Vec<f64> {
        let mut x = vec![0.0; z.len()];
        self.order.iter().zip(z).for_each(|(&index, &value)| x[index] = value);
        x
    }
}

impl Triangle {
    /// The number of leading diagonal elements that are not zero.
    pub fn rank(&self) -> usize {
        (0..self.n).find(|i| self.rows[i * self.n + i] == 0.0).unwrap_or(self.n)
    }

    /// Solves `Rz = b` in place; zeros beyond the rank.
    pub fn solve(&self, z: &mut [f64]) {
        let rank = self.rank();
        z[rank..].fill(0.0);
        for i in (0..rank).rev() {
            let row = &self.rows[i * self.n..(i + 1) * self.n];
            z[i] = (z[i] - dot(&row[i + 1..rank], &z[i + 1..rank])) / row[i];
        }
    }

    /// Solves `Rᵀw = b` in place, for a triangle of full rank.
    pub fn solve_transposed(&self, w: &mut [f64]) {
        for i in 0..self.n {
            let row = &self.rows[i * self.n..(i + 1) * self.n];
            w[i] /= row[i];
            let value = w[i];
            add_scaled(&mut w[i + 1..], -value, &row[i + 1..]);
        }
    }

    /// The product `Rz`.
    pub fn times(&self, z: &[f64]) -> Vec<f64> {
        (0..self.n).map(|i| dot(&self.rows[i * self.n + i..(i + 1) * self.n], &z[i..])).collect()
    }

    /// The product `Rᵀz`.
    pub fn transposed_times(&self, z: &[f64]) -> Vec<f64> {
        let mut product = vec![0.0; self.n];
        for (row, &z) in self.rows.chunks(self.n.max(1)).zip(z) {
            add_scaled(&mut product, z, row);
        }
        product
    }
}

/// Applies `I − v·vᵀ / v₁`.
fn reflect(vector: &[f64], column: &mut [f64]) {
    if vector[0] != 0.0 {
        let share = dot(vector, column) / vector[0];
        add_scaled(column, -share, vector);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns (1, 2, 2, 0), (1, 0, 1, 1), (4, 4, −2, 1).
    const MATRIX: [f64; 12] = [1.0, 2.0, 2.0, 0.0, 1.0, 0.0, 1.0, 1.0, 4.0, 4.0, -2.0, 1.0];

    fn normal_equations(x: &[f64], b: &[f64], d: &[f64]) -> f64 {
        let mut residual = b.to_vec();
        x.iter().zip(MATRIX.chunks(4)).for_each(|(&x, column)| add_scaled(&mut residual, -x, column));
        let gradient = |j: usize| dot(&MATRIX[4 * j..4 * j + 4], &residual) - d[j] * d[j] * x[j];
        (0..3).map(|j| gradient(j).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn least_squares_with_and_without_a_diagonal() {
        let (qr, b) = (PivotedQr::new(MATRIX.to_vec(), 4), [1.0, -2.0, 3.0, 0.5]);
        assert_eq!(qr.order[0], 2, "the longest column comes first");
        let qtb = qr.transposed_times(&b);
        let mut z = qtb.clone();
        qr.triangle().solve(&mut z);
        assert!(normal_equations(&qr.in_parameter_order(&z), &b, &[0.0; 3]) < 1e-14);
        let d = [0.5, 0.0, 2.0];
        assert!(normal_equations(&qr.damped(&qtb, &d).0, &b, &d) < 1e-14);
    }

    #[test]
    fn a_triangle_and_its_transpose_undo_their_products() {
        let r = PivotedQr::new(MATRIX.to_vec(), 4).triangle();
        let z = [1.0, -2.0, 0.5];
        let mut back = r.times(&z);
        r.solve(&mut back);
        back.iter().zip(z).for_each(|(back, z)| assert!((back - z).abs() < 1e-14));
        let mut back = r.transposed_times(&z);
        r.solve_transposed(&mut back);
        back.iter().zip(z).for_each(|(back, z)| assert!((back - z).abs() < 1e-14));
    }

    #[test]
    fn what_a_matrix_of_low_rank_leaves_open_is_zero() {
        let qr = PivotedQr::new(vec![0.0, 0.0, 3.0, 4.0], 2);
        let mut z = qr.transposed_times(&[6.0, 8.0]);
        assert_eq!(qr.triangle().rank(), 1);
        qr.triangle().solve(&mut z);
        let x = qr.in_parameter_order(&z);
        assert!(x[0] == 0.0 && (x[1] - 2.0).abs() < 1e-15, "{x:?}");
    }
}
