//! What must be known about whole gradients before the first write: whether they are finite, and sums over them.

use gradus_graph::Real;
use gradus_graph::kernel::simd::{Loop, vectorized};

/// The number of sums that run side by side; fixed, so that the result does not depend on the instruction set.
const LANES: usize = 32;

/// Whether all elements are finite.
pub(crate) fn all_finite<T: Real>(values: &[T]) -> bool {
    vectorized(Finite(values))
}

/// The sum of squares in double precision, in an order that depends on the length alone.
pub(crate) fn sum_of_squares<T: Real>(values: &[T]) -> f64 {
    vectorized(Squares(values))
}

struct Finite<'a, T>(&'a [T]);

impl<T: Real> Loop for Finite<'_, T> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        // Four streams side by side: one alone does not keep the memory busy.
        let (streams, rest) = self.0.split_at(self.0.len() / (4 * LANES) * (4 * LANES));
        let quarter = streams.len() / 4;
        let (a, others) = streams.split_at(quarter);
        let (b, others) = others.split_at(quarter);
        let (c, d) = others.split_at(quarter);
        // Zero times a finite number is zero; times an infinity or a NaN it is NaN.
        let zero = T::zero();
        let mut sums = [zero; LANES];
        let pairs = a.chunks_exact(LANES).zip(b.chunks_exact(LANES));
        for ((a, b), (c, d)) in pairs.zip(c.chunks_exact(LANES).zip(d.chunks_exact(LANES))) {
            for i in 0..LANES {
                sums[i] += ((a[i] * zero) + (b[i] * zero)) + ((c[i] * zero) + (d[i] * zero));
            }
        }
        let (rows, rest) = rest.split_at(rest.len() / LANES * LANES);
        for row in rows.chunks_exact(LANES) {
            for i in 0..LANES {
                sums[i] += row[i] * zero;
            }
        }
        let sum = sums.iter().fold(zero, |sum, &lane| sum + lane);
        sum == zero && rest.iter().all(|value| value.is_finite())
    }
}

/// The sum of `term(i)` over all indices below `len`, in an order that depends on the length alone.
pub(crate) fn sum(len: usize, term: impl Fn(usize) -> f64) -> f64 {
    vectorized(Sum { len, term })
}

struct Sum<F> {
    len: usize,
    term: F,
}

impl<F: Fn(usize) -> f64> Loop for Sum<F> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let mut sums = [0.0; LANES];
        let whole = self.len / LANES * LANES;
        for start in (0..whole).step_by(LANES) {
            for i in 0..LANES {
                sums[i] += (self.term)(start + i);
            }
        }
        for i in whole..self.len {
            sums[i - whole] += (self.term)(i);
        }
        sums.iter().sum()
    }
}

struct Squares<'a, T>(&'a [T]);

impl<T: Real> Loop for Squares<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let chunks = self.0.chunks_exact(LANES);
        let rest = chunks.remainder();
        let mut sums = [0.0; LANES];
        for chunk in chunks {
            for i in 0..LANES {
                let value = chunk[i].as_f64();
                sums[i] += value * value;
            }
        }
        for (sum, value) in sums.iter_mut().zip(rest) {
            *sum += value.as_f64() * value.as_f64();
        }
        sums.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_position_is_looked_at() {
        for len in [0, 1, 127, 128, 129, 1000] {
            let mut values = vec![f32::MAX; len];
            assert!(all_finite(&values));
            for i in 0..len {
                for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                    let good = std::mem::replace(&mut values[i], bad);
                    assert!(!all_finite(&values), "{bad} at {i} of {len}");
                    values[i] = good;
                }
            }
        }
    }

    #[test]
    fn squares_add_up() {
        let values: Vec<f32> = (0..100).map(|k| k as f32).collect();
        assert_eq!(sum_of_squares(&values), 328_350.0);
        assert_eq!(sum_of_squares(&[f32::MAX, 3.0]), f64::from(f32::MAX).powi(2) + 9.0);
    }
}
