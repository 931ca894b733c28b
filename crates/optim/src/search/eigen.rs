//! Eigenvalues and eigenvectors of a symmetric matrix, by Jacobi's rotations.
//!
//! Golub, Van Loan: Matrix computations, section 8.5.

/// Turns the columns of `basis`, an orthogonal matrix, into eigenvectors of the symmetric matrix, and gives the
/// eigenvalues in their order. Both are row by row. A basis that is near to the eigenvectors makes it fast.
pub(super) fn diagonalize(matrix: &[f64], basis: &mut [f64], n: usize) -> Vec<f64> {
    // The matrix in the basis; the vectors as rows, so that a rotation runs along memory.
    let mut vectors: Vec<f64> = (0..n * n).map(|k| basis[k % n * n + k / n]).collect();
    let mut turned = vec![0.0; n * n];
    for i in 0..n {
        let image: Vec<f64> = (0..n).map(|row| dot(&matrix[row * n..][..n], &vectors[i * n..][..n])).collect();
        for j in 0..n {
            turned[i * n + j] = dot(&image, &vectors[j * n..][..n]);
        }
    }
    for _ in 0..SWEEPS {
        let size: f64 = (0..n).map(|i| turned[i * n + i].abs()).fold(f64::MIN_POSITIVE, f64::max);
        let mut rotated = false;
        for p in 0..n {
            for q in p + 1..n {
                let off = turned[p * n + q];
                if off.abs() <= f64::EPSILON * size {
                    continue;
                }
                rotated = true;
                let ratio = (turned[q * n + q] - turned[p * n + p]) / (2.0 * off);
                let tangent = ratio.signum() / (ratio.abs() + ratio.hypot(1.0));
                let cosine = 1.0 / tangent.hypot(1.0);
                let sine = tangent * cosine;
                rotate(&mut turned, n, p, q, cosine, sine);
                for k in 0..n {
                    let (a, b) = (turned[k * n + p], turned[k * n + q]);
                    (turned[k * n + p], turned[k * n + q]) = (cosine * a - sine * b, sine * a + cosine * b);
                }
                rotate(&mut vectors, n, p, q, cosine, sine);
            }
        }
        if !rotated {
            break;
        }
    }
    (0..n * n).for_each(|k| basis[k] = vectors[k % n * n + k / n]);
    (0..n).map(|i| turned[i * n + i]).collect()
}

/// Sweeps converge quadratically; more than ten are never needed in practice.
const SWEEPS: usize = 30;

/// Turns rows p and q.
fn rotate(matrix: &mut [f64], n: usize, p: usize, q: usize, cosine: f64, sine: f64) {
    let (head, tail) = matrix.split_at_mut(q * n);
    for (a, b) in head[p * n..][..n].iter_mut().zip(&mut tail[..n]) {
        (*a, *b) = (cosine * *a - sine * *b, sine * *a + cosine * *b);
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::Draws;

    #[test]
    fn eigenvectors_diagonalise() {
        let n = 12;
        let z = Draws::new(1, 0, 0).normals(n * n);
        let matrix: Vec<f64> = (0..n * n).map(|k| z[k] + z[k % n * n + k / n]).collect();
        let mut basis: Vec<f64> = (0..n * n).map(|k| if k / n == k % n { 1.0 } else { 0.0 }).collect();
        let values = diagonalize(&matrix, &mut basis, n);
        let column = |j: usize| -> Vec<f64> { (0..n).map(|i| basis[i * n + j]).collect() };
        for j in 0..n {
            let vector = column(j);
            for i in 0..n {
                let image = dot(&matrix[i * n..][..n], &vector);
                assert!((image - values[j] * vector[i]).abs() < 1e-13, "element {i} of vector {j}");
                let expected = if i == j { 1.0 } else { 0.0 };
                assert!((dot(&column(i), &vector) - expected).abs() < 1e-14);
            }
        }
        // From its own eigenvectors nothing changes.
        let before = basis.clone();
        diagonalize(&matrix, &mut basis, n);
        basis.iter().zip(&before).for_each(|(after, before)| assert!((after - before).abs() < 1e-13));
    }
}
