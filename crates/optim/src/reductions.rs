//! What must be known about whole gradients before the first write: whether they are finite, and sums over them.

use gradus_graph::Real;
use gradus_graph::kernel::simd::{Loop, vectorized};

/// The number of sums that run side by side; fixed, so that the result does not depend on the instruction set. The loops
/// go by indices: adapters of iterators are not always inlined here, and then neither compiled for that set.
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
        let (rows, rest) = self.0.as_chunks::<LANES>();
        // Four streams side by side: one alone does not keep the memory busy.
        let quarter = rows.len() / 4;
        let (a, b, c, d) =
            (&rows[..quarter], &rows[quarter..2 * quarter], &rows[2 * quarter..3 * quarter], &rows[3 * quarter..]);
        // Zero times a finite number is zero; times an infinity or a NaN it is NaN.
        let zero = T::zero();
        let mut sums = [zero; LANES];
        for k in 0..quarter {
            for i in 0..LANES {
                sums[i] += ((a[k][i] * zero) + (b[k][i] * zero)) + ((c[k][i] * zero) + (d[k][i] * zero));
            }
        }
        for k in quarter..d.len() {
            for i in 0..LANES {
                sums[i] += d[k][i] * zero;
            }
        }
        for i in 0..rest.len() {
            sums[i] += rest[i] * zero;
        }
        let mut sum = zero;
        for i in 0..LANES {
            sum += sums[i];
        }
        sum == zero
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
        let rows = self.len / LANES;
        for k in 0..rows {
            for i in 0..LANES {
                sums[i] += (self.term)(k * LANES + i);
            }
        }
        for i in 0..self.len - rows * LANES {
            sums[i] += (self.term)(rows * LANES + i);
        }
        total(&sums)
    }
}

struct Squares<'a, T>(&'a [T]);

impl<T: Real> Loop for Squares<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let (rows, rest) = self.0.as_chunks::<LANES>();
        let mut sums = [0.0; LANES];
        for k in 0..rows.len() {
            for i in 0..LANES {
                let value = rows[k][i].as_f64();
                sums[i] += value * value;
            }
        }
        for i in 0..rest.len() {
            sums[i] += rest[i].as_f64() * rest[i].as_f64();
        }
        total(&sums)
    }
}

/// The sum over the lanes, from the first to the last.
#[inline(always)]
fn total(sums: &[f64; LANES]) -> f64 {
    let mut total = 0.0;
    for i in 0..LANES {
        total += sums[i];
    }
    total
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
