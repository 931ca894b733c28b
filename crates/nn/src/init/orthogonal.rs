//! Random matrices with orthonormal rows or columns: `Q` of `A = Q·R` for a matrix `A` of normal numbers.
//!
//! Gram–Schmidt gives the `Q` whose `R` has a positive diagonal, so `Q` is distributed evenly over all orthogonal
//! matrices and no signs are left to correct (Mezzadri, "How to generate random matrices from the classical compact
//! groups", 2007). Each vector is orthogonalised twice, which brings it to rounding.

use gradus_graph::kernel::random::Stream;

/// Row-major; the rows are orthonormal if there are no more rows than columns, else the columns are.
pub(super) fn orthogonal(rows: usize, columns: usize, stream: Stream) -> Vec<f64> {
    let (count, length) = (rows.min(columns), rows.max(columns));
    let mut vectors = vec![0.0; count * length];
    stream.normal(0, &mut vectors);
    for number in 0..count {
        let (earlier, rest) = vectors.split_at_mut(number * length);
        let vector = &mut rest[..length];
        for _ in 0..2 {
            for unit in earlier.chunks_exact(length) {
                let along = dot(unit, vector);
                vector.iter_mut().zip(unit).for_each(|(v, u)| *v -= along * u);
            }
            let norm = dot(vector, vector).sqrt();
            vector.iter_mut().for_each(|v| *v /= norm);
        }
    }
    if rows <= columns {
        return vectors;
    }
    (0..rows * columns).map(|place| vectors[place % columns * length + place / columns]).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
