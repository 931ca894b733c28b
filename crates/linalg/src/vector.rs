//! Products and norms of vectors, in one order of additions, so that results depend on nothing but the numbers.

use gradus_graph::Real;
use gradus_graph::kernel::simd::{Loop, vectorized};

/// The sum of products, in an order that depends on the length alone.
///
/// # Panics
/// If the lengths differ.
pub fn dot<T: Real>(x: &[T], y: &[T]) -> T {
    assert!(x.len() == y.len(), "vectors of {} and {} elements have no product", x.len(), y.len());
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

/// A power of two near the largest magnitude: a vector divided by it, which rounds nothing, has squares that neither
/// overflow nor all underflow. 1 for zeros, and where an element is not finite.
///
/// # Example
/// ```
/// use gradus_linalg::{dot, power_of_two_near};
/// let gradient = [3e200_f64, -4e200];
/// let unit = power_of_two_near(&gradient);
/// let scaled = gradient.map(|g| g / unit);
/// assert!((dot(&scaled, &scaled).sqrt() * unit / 5e200 - 1.0).abs() < 1e-15);
/// ```
pub fn power_of_two_near<T: Real>(values: &[T]) -> T {
    let largest = values.iter().fold(T::zero(), |largest, &x| if x.abs() > largest { x.abs() } else { largest });
    let least = T::min_positive_value();
    if largest == T::zero() || !largest.is_finite() {
        return T::one();
    }
    T::of(largest.max(least).as_f64().log2().floor().exp2())
}

/// `√Σ aᵢ²`, without overflow or underflow of the squares; NaN or infinite if an element is.
pub fn norm(a: &[f64]) -> f64 {
    let largest = max_norm(a);
    if largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    largest * a.iter().map(|a| (a / largest) * (a / largest)).sum::<f64>().sqrt()
}

/// `max |aᵢ|`; NaN if an element is.
pub fn max_norm(a: &[f64]) -> f64 {
    // `f64::max` passes over a NaN, this comparison keeps it.
    a.iter().fold(0.0, |largest, a| if a.abs() <= largest || f64::is_nan(largest) { largest } else { a.abs() })
}

/// `a ← a + c·b`
pub fn add_scaled(a: &mut [f64], c: f64, b: &[f64]) {
    for (a, b) in a.iter_mut().zip(b) {
        *a += c * b;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_of_any_size() {
        for size in [1e-320, 1e-200, 1.0, 1e200, 1e308] {
            assert!((norm(&[0.6 * size, -0.8 * size]) / size - 1.0).abs() < 1e-3, "{size:e}");
        }
        assert_eq!(norm(&[]), 0.0);
        assert!(norm(&[1.0, f64::NAN]).is_nan() && max_norm(&[f64::NAN, 1.0]).is_nan());
        assert_eq!(norm(&[1.0, f64::NEG_INFINITY]), f64::INFINITY);
    }

    #[test]
    fn powers_of_two() {
        let of = |values: &[f64]| power_of_two_near(values);
        assert_eq!([of(&[3.0, -5.0]), of(&[0.0]), of(&[f64::INFINITY]), of(&[])], [4.0, 1.0, 1.0, 1.0]);
        assert_eq!(of(&[5e-324]), f64::MIN_POSITIVE);
    }
}
