//! Orthonormal rows, by Gram and Schmidt.

use gradus_graph::Real;

use crate::vector::{dot, power_of_two_near};

/// Makes the rows of this length orthonormal, one after another, by subtracting from each its projections on the rows
/// before it, twice. A row that depends on those before it is replaced by a direction that none of them has.
///
/// So `A = R·Q` with `Q` the result and `R` lower triangular with a positive diagonal.
///
/// # Panics
/// If there are more rows than a row has elements.
///
/// # Example
/// ```
/// let mut rows = [3.0, 4.0, 1.0, 7.0];
/// gradus_linalg::orthonormalize(&mut rows, 2);
/// for (found, expected) in rows.iter().zip([0.6, 0.8, -0.8, 0.6]) {
///     assert!((found - expected as f64).abs() < 1e-15);
/// }
/// ```
pub fn orthonormalize<T: Real>(rows: &mut [T], length: usize) {
    let count = rows.len() / length.max(1);
    assert!(count <= length, "at most {length} vectors of {length} elements are orthonormal, not {count}");
    for i in 0..count {
        let (before, current) = rows.split_at_mut(i * length);
        let current = &mut current[..length];
        let unit = power_of_two_near(current);
        current.iter_mut().for_each(|x| *x /= unit);
        let mut axis = 0;
        loop {
            let size = dot(current, current).sqrt();
            // Twice is enough: what rounding leaves of the first pass goes with the second.
            for _ in 0..2 {
                for other in before.chunks_exact(length) {
                    let along = dot(current, other);
                    current.iter_mut().zip(other).for_each(|(x, &y)| *x -= along * y);
                }
            }
            let left = dot(current, current).sqrt();
            if left > size * T::of(16.0 * T::EPS) && left > T::zero() {
                current.iter_mut().for_each(|x| *x /= left);
                break;
            }
            current.fill(T::zero());
            current[axis] = T::one();
            axis += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_orthonormal_whatever_their_rank() {
        for (count, n, rank) in [(1, 1, 1), (5, 5, 5), (3, 20, 3), (6, 6, 3), (6, 6, 0), (0, 3, 0)] {
            let entry = |k: usize| {
                let (row, column) = (k / n, k % n);
                if rank == 0 { 0.0 } else { (((1 + column) * (1 + row % rank)) as f64 + (row % rank) as f64).sin() }
            };
            let mut rows: Vec<f64> = (0..count * n).map(entry).collect();
            orthonormalize(&mut rows, n);
            for i in 0..count {
                for j in 0..count {
                    let product = dot(&rows[i * n..][..n], &rows[j * n..][..n]);
                    assert!((product - f64::from(u8::from(i == j))).abs() < 1e-13, "{i}, {j} of {n}: {product}");
                }
            }
        }
    }

    #[test]
    fn rows_of_any_scale_have_the_same_directions() {
        let entries = [4.0_f32, 1.0, 0.5, 1.0, 3.0, 0.25, 0.5, 0.25, 2.0];
        let of = |scale: f32| {
            let mut rows = entries.map(|x| x * scale);
            orthonormalize(&mut rows, 3);
            rows
        };
        for exponent in [-110, -60, 60, 120] {
            assert_eq!(of(2.0_f32.powi(exponent)), of(1.0), "{exponent}");
        }
    }
}
