//! Random matrices with orthonormal rows or columns: `Q` of `A = Q·R` for a matrix `A` of normal numbers.
//!
//! Gram–Schmidt gives the `Q` whose `R` has a positive diagonal, so `Q` is distributed evenly over all orthogonal
//! matrices and no signs are left to correct (Mezzadri, "How to generate random matrices from the classical compact
//! groups", 2007).

use gradus_graph::kernel::random::RandomStream;
use gradus_linalg::orthonormalize;

/// Row-major; the rows are orthonormal if there are no more rows than columns, else the columns are.
pub(super) fn orthogonal(rows: usize, columns: usize, stream: RandomStream) -> Vec<f64> {
    let (count, length) = (rows.min(columns), rows.max(columns));
    let mut vectors = vec![0.0; count * length];
    stream.normal(0, &mut vectors);
    orthonormalize(&mut vectors, length);
    if rows <= columns {
        return vectors;
    }
    (0..rows * columns).map(|index| vectors[index % columns * length + index / columns]).collect()
}
