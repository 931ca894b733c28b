//! Norms whose squares may leave the range of a number.
//!
//! A norm is summed plainly; only where that sum is 0 or near either end of the range of f64 is it summed a second
//! time in units of a power of two, so what is returned is right for every finite vector. The unit is kept beside the
//! sum until the end.

use gradus_graph::Real;
use gradus_graph::kernel::simd::{Loop, vectorized};

use crate::reductions::{sum, sum_of_squares};

/// The norm of a vector.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{ClipNorm, Norm, Optimizer, Sgd};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([0.0, 0.0]));
/// let mut rule = Optimizer::new((ClipNorm::new(2.0).norm(Norm::Max), Sgd::new(1.0)));
/// rule.step(&mut params, [(&x, &Tensor::from([3.0, -4.0]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [-1.5, 2.0]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Norm {
    /// The sum of magnitudes, `Σ|xᵢ|`.
    One,
    /// The Euclidean norm, `√Σxᵢ²`.
    #[default]
    Two,
    /// The largest magnitude, `max |xᵢ|`.
    Max,
}

/// A sum over elements, or their largest magnitude: what a [`Transform`](crate::Transform) measures.
///
/// It is kept as `value·2^exponent`, so that sums of squares of any elements are in range. Sums over parts of a tensor
/// are added; largest magnitudes are compared.
///
/// # Example
/// ```
/// use gradus_optim::Sum;
/// assert_eq!(Sum::from(1.5).value(), 1.5);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sum {
    value: f64,
    exponent: i32,
    is_largest: bool,
}

impl From<f64> for Sum {
    /// A plain sum.
    fn from(value: f64) -> Self {
        Self { value, exponent: 0, is_largest: false }
    }
}

impl Sum {
    /// The sum as a number, infinite or 0 if no number can hold it.
    pub fn value(self) -> f64 {
        times_power(self.value, self.exponent)
    }

    /// The sum divided by `count`.
    pub(crate) fn over(self, count: f64) -> Self {
        Self { value: self.value / count, ..self }
    }

    /// The sum over both parts.
    pub(crate) fn join(self, other: Self) -> Self {
        if self.is_largest || other.is_largest {
            return Self { value: self.value.max(other.value), exponent: 0, is_largest: true };
        }
        if self.value == 0.0 || other.value == 0.0 {
            return if self.value == 0.0 { other } else { self };
        }
        let (a, b) = if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        let b_value = if a.exponent == b.exponent { b.value } else { times_power(b.value, b.exponent - a.exponent) };
        Self { value: a.value + b_value, ..a }
    }
}

/// The exponent of the unit of sums that would be too large; those that would be too small have its negative.
const EXPONENT: i32 = 600;

/// The unit of sums that would be too large.
const LARGE: f64 = f64::from_bits(((1023 + EXPONENT) as u64) << 52);

/// Plain sums are trusted within 2^±900: a term that underflows beside one of them does not count, and no number of
/// them overflows.
const LARGEST: f64 = f64::from_bits((1023 + 900) << 52);

impl Norm {
    /// The sum over a block of elements.
    pub(crate) fn sum<T: Real>(self, values: &[T]) -> Sum {
        let in_units = |inverse: f64| match self {
            Self::One => sum(values.len(), |i| (values[i].as_f64() * inverse).abs()),
            Self::Two => sum(values.len(), |i| {
                let value = values[i].as_f64() * inverse;
                value * value
            }),
            Self::Max => largest(values).as_f64() * inverse,
        };
        let plain = match self {
            Self::Two => sum_of_squares(values),
            Self::One | Self::Max => in_units(1.0),
        };
        let power = if self == Self::Two { 2 * EXPONENT } else { EXPONENT };
        match self {
            Self::Max => Sum { is_largest: true, ..Sum::from(plain) },
            _ if plain < 1.0 / LARGEST => Sum { value: in_units(LARGE), exponent: -power, is_largest: false },
            _ if plain <= LARGEST => Sum::from(plain),
            _ => Sum { value: in_units(1.0 / LARGE), exponent: power, is_largest: false },
        }
    }

    /// The norm with this sum.
    pub(crate) fn length(self, sum: Sum) -> Length {
        let (units, exponent) =
            if self == Self::Two { (sum.value.sqrt(), sum.exponent / 2) } else { (sum.value, sum.exponent) };
        Length { units, unit: 2.0_f64.powi(exponent) }
    }

    /// The norm of a vector.
    pub(crate) fn of<T: Real>(self, values: &[T]) -> Length {
        self.length(self.sum(values))
    }
}

/// The largest magnitude; 0 if there is none, and a NaN is passed over.
fn largest<T: Real>(values: &[T]) -> T {
    vectorized(Largest(values))
}

struct Largest<'a, T>(&'a [T]);

impl<T: Real> Loop for Largest<'_, T> {
    type Output = T;

    #[inline(always)]
    fn run(self) -> T {
        let larger = |a: T, b: T| if b > a { b } else { a };
        let mut lanes = [T::zero(); 32];
        let (rows, rest) = self.0.as_chunks::<32>();
        for k in 0..rows.len() {
            for i in 0..lanes.len() {
                lanes[i] = larger(lanes[i], rows[k][i].abs());
            }
        }
        let mut most = T::zero();
        for i in 0..lanes.len() {
            most = larger(most, lanes[i]);
        }
        for i in 0..rest.len() {
            most = larger(most, rest[i].abs());
        }
        most
    }
}

/// A length that is not negative: `units·unit`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Length {
    units: f64,
    /// A power of two.
    unit: f64,
}

impl Length {
    /// The length as a number, infinite or 0 if no number can hold it.
    pub(crate) fn value(self) -> f64 {
        self.units * self.unit
    }

    pub(crate) fn is_zero(self) -> bool {
        self.units == 0.0
    }

    /// `share·self`
    pub(crate) fn times(self, share: f64) -> Self {
        Self { units: share * self.units, ..self }
    }

    /// `self + eps`
    pub(crate) fn plus(self, eps: f64) -> Self {
        // Beside a length that no number can hold, ε is nothing.
        if eps > 0.0 && self.value().is_finite() { Self::from(self.value() + eps) } else { self }
    }

    /// The larger of both.
    pub(crate) fn at_least(self, least: f64) -> Self {
        if self.value() < least { Self::from(least) } else { self }
    }

    /// `self / other`, to multiply vectors of the length of `other` by.
    pub(crate) fn over<T: Real>(self, other: Self) -> Factor<T> {
        let (lowest, highest) = (T::min_positive_value().as_f64(), T::max_value().as_f64());
        let plain = self.units / other.units;
        let regular = |length: Self| length.units > 0.0 && length.units.is_finite();
        if self.unit == other.unit && (lowest..=highest).contains(&plain) || !regular(self) || !regular(other) {
            return Factor { first: T::one(), second: T::of(plain) };
        }
        // The first factor brings the vector to a length near one, as far as a power of two of this precision can.
        let ((a, a_exponent), (b, b_exponent), least) = (self.parts(), other.parts(), exponent(lowest));
        let first = (-b_exponent).clamp(least, 1 - least);
        let second = times_power(a / b, a_exponent - b_exponent - first);
        Factor { first: T::of(2.0_f64.powi(first)), second: T::of(second) }
    }

    /// A number near one and the exponent of the power of two that it is multiplied by.
    fn parts(self) -> (f64, i32) {
        let of_units = exponent(self.units);
        (times_power(self.units, -of_units), of_units + exponent(self.unit))
    }

    /// `limit / self`, the factor for a vector of this length, if the vector is longer than the limit.
    pub(crate) fn clip<T: Real>(self, limit: f64) -> Option<Factor<T>> {
        self.clip_to(Self::from(limit))
    }

    /// [`clip`](Self::clip) to a limit that is a length.
    pub(crate) fn clip_to<T: Real>(self, limit: Self) -> Option<Factor<T>> {
        let longer = limit.units / self.units * (limit.unit / self.unit) < 1.0;
        longer.then(|| limit.over(self))
    }
}

impl From<f64> for Length {
    fn from(value: f64) -> Self {
        Self { units: value, unit: 1.0 }
    }
}

/// The exponent of a positive number; the least one for those that are subnormal.
fn exponent(value: f64) -> i32 {
    (value.to_bits() >> 52 & 0x7ff) as i32 - 1023
}

/// `value·2^exponent`
fn times_power(value: f64, exponent: i32) -> f64 {
    let half = exponent / 2;
    value * 2.0_f64.powi(half) * 2.0_f64.powi(exponent - half)
}

/// A factor that may be too large or too small for one number, as two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Factor<T> {
    /// A power of two.
    pub(crate) first: T,
    pub(crate) second: T,
}

impl<T: Real> Factor<T> {
    /// One.
    pub(crate) fn one() -> Self {
        Self { first: T::one(), second: T::one() }
    }

    /// The element times the factor.
    #[inline(always)]
    pub(crate) fn times(self, value: T) -> T {
        value * self.first * self.second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled<T: Real>(values: &[T], norm: Norm, to: f64) -> Vec<f64> {
        let factor = Length::from(to).over::<T>(norm.of(values));
        values.iter().map(|&value| factor.times(value).as_f64()).collect()
    }

    #[test]
    fn vectors_of_any_length_are_brought_to_any_other() {
        let lengths = [5e-324, 1e-310, 1e-200, 1e-150, 1.0, 1e150, 1e200, 1e300, f64::MAX];
        for norm in [Norm::One, Norm::Two, Norm::Max] {
            for length in lengths {
                for to in [1e-200, 1.0, 1e200] {
                    let values = scaled(&[length, -length, 0.0], norm, to);
                    let share = match norm {
                        Norm::One => 0.5,
                        Norm::Two => 0.5_f64.sqrt(),
                        Norm::Max => 1.0,
                    };
                    assert!(
                        (values[0] / (to * share) - 1.0).abs() < 1e-15,
                        "{norm:?} {length:e} to {to:e}: {values:?}"
                    );
                    assert_eq!((values[1], values[2]), (-values[0], 0.0));
                }
            }
            for length in [1e-45_f32, 1e-40, 1e-20, 1.0, 1e20, f32::MAX] {
                for to in [1e-30, 1.0, 1e30] {
                    let values = scaled(&[length; 1], norm, to);
                    assert!((values[0] / to - 1.0).abs() < 3e-7, "{norm:?} {length:e} to {to:e}: {values:?}");
                }
            }
        }
    }

    #[test]
    fn blocks_of_different_scales_join() {
        for norm in [Norm::One, Norm::Two, Norm::Max] {
            for (a, b) in
                [(3e200, 4e200), (3e-200, 4e-200), (3e200, 4e-200), (3.0, 4e-300), (1e155, 1e130), (0.0, 1e-200)]
            {
                let whole = norm.of(&[a, b]);
                let (a, b) = (norm.sum(&[a]), norm.sum(&[b]));
                let start = Sum::default().join(a.join(b));
                assert!((norm.length(start).value() / whole.value() - 1.0).abs() < 1e-15);
                assert_eq!(a.join(b), b.join(a));
            }
        }
        assert_eq!(Norm::Two.of::<f64>(&[]).value(), 0.0);
        assert!(Norm::Two.of(&[0.0, -0.0]).is_zero());
        assert!(Norm::Two.of(&[f64::NAN, 1.0]).value().is_nan());
        assert!(Norm::Two.of(&[f64::INFINITY, 1.0]).value().is_infinite());
    }
}
