//! Elementwise functions as formulas without branches, tables or calls, which are vectorised in loops; exceptions are
//! documented.
//!
//! The largest error in units in the last place, rounded up. It was measured at every second argument from 0.0005 to
//! 128 and every 61st of the others (f32), and at 10⁵ and more of every size (f64); for `powf` at 40,000 pairs:
//!
//! | function   | f32 | f64 |
//! |------------|-----|-----|
//! | `exp`      | 1.0 | 0.9 |
//! | `exp_m1`   | 1.3 | 1.3 |
//! | `ln`       | 0.9 | 0.9 |
//! | `ln_1p`    | 1.1 | 1.1 |
//! | `log2`     | 0.6 | 0.8 |
//! | `tanh`     | 1.4 | 1.4 |
//! | `sigmoid`  | 1.9 | 1.9 |
//! | `softplus` | 0.6 | 1.8 |
//! | `sin`      | 0.6 | 0.8 |
//! | `cos`      | 0.6 | 0.8 |
//! | `tan`      | 0.8 | 1.8 |
//! | `sinh`     | 0.6 | 2.1 |
//! | `cosh`     | 0.6 | 1.6 |
//! | `powf`     | 0.7 | 0.9 |
//! | `erf`      | 1.6 | 2.1 |
//! | `asin`     | libm | libm |
//! | `acos`     | libm | libm |
//! | `atan`     | libm | libm |
//! | `atan2`    | libm | libm |
//!
//! `sqrt` and `round_even` are single instructions and exact. The crate `libm` states no errors; those of its functions
//! here are below one unit.
//! Zeros keep their sign, infinities and NaN go through as in C, and results may be subnormal.
//! A result has the same bits in a vector and alone, and on every machine that multiplies and adds with one rounding:
//! x86-64 with AVX2 and FMA, 64-bit ARM. On others polynomials are rounded twice a step (`kernel/multiply_add.rs`), so that the
//! last bit may differ; the errors are within the table there too. No result is one of the C library, but for a single
//! multiplication with addition, which is exact but for one rounding everywhere. Logarithms, sines and cosines of `f64`,
//! and with them random numbers, have the same bits on all machines. Only which NaN comes out is left open.
//!
//! The coefficients are minimax fits of the relative error by the Remez exchange, in 50 digits, rounded at the end:
//!
//! | fit | degree | where | error |
//! |-----|--------|-------|-------|
//! | `(exp(r) - 1 - r)/r²` | 5 / 10 (f32 / f64) | ±0.350 | 2⁻³¹ / 2⁻⁶¹ |
//! | the same, f32 `exp` | 4 | ±0.348 | 2⁻²⁸ of `exp` |
//! | `(exp(2r) - 1 - 2r)/r²`, f32 | 4 | ±0.174 | 2⁻²⁸ of `exp` |
//! | `(2ʳ - 1)/r`, for f32 in f64 | 6 | ±0.501 | 2⁻³² |
//! | `(ln(1 + f) - f + f²/2)/f³`, f32 | 8 | -0.294 to 0.415 | 2⁻³⁰ |
//! | `ln(1 + f)/f`, for f32 in f64 | 11 | -0.294 to 0.415; 0 to 1 | 2⁻³³ |
//! | `(2·artanh(s)/s - 2)/s²`, f64, in s² | 6 | ±0.172 | 2⁻⁵⁷ |
//! | `(tanh(x)/x - 1)/x²`, f32, in x² | 4 | ±0.665 | 2⁻²⁶ of `tanh` |
//! | the same, f64, a fraction interpolated at Chebyshev nodes | 2/3 | ±0.640 | 2⁻⁵⁹ |
//! | `sin(r)/r` and `cos(r)`, for f32 in f64, in r² | 3 and 4 | ±0.786 | 2⁻²⁸ and 2⁻³⁴ |
//! | the same, f64 | 5 and 6 (of `(cos(r) - 1 + r²/2)/r⁴`: 5) | ±0.786 | 2⁻⁵⁸ and 2⁻⁶⁴ |
//! | `(3·artanh(s)/s - 3 - s²)/s⁴`, f64, in s² | 6 | ±0.172 | 2⁻⁶⁶ of the logarithm |
//! | `erf(x)/x - 1`, f32, in x² | 6 | ±0.95 | 2⁻³¹ |
//! | the same, f64 | 9 | ±0.65 | 2⁻⁵⁷ |
//! | `ln(1 - erf(x))`, f32 | 7 | 0.9 to 4 | 2⁻²⁶ of erf |
//! | `(x + K)·Φ(-x)/φ(x)`, in `(x - K)/(x + K)` | 7 / 19 | 1.34 to 14.5 / 0.919 to 39 | 2⁻²⁶ / 2⁻⁵⁵ |

use num_traits::float::FloatCore;

/// A polynomial, coefficients in ascending order, at least two.
///
/// Horner's rule for the even and the odd coefficients apart: two short chains of operations instead of a long one, of
/// which each step would wait for the last.
macro_rules! polynomial {
    ($x:expr; $($c:expr),+) => {{
        let x = $x;
        let square = x * x;
        polynomial!(@even square; $($c),+) + x * polynomial!(@odd square; $($c),+)
    }};
    (@even $s:ident; $a:expr $(, $b:expr)?) => { $a };
    (@even $s:ident; $a:expr, $b:expr, $($rest:expr),+) => { $a + $s * polynomial!(@even $s; $($rest),+) };
    (@odd $s:ident; $a:expr, $b:expr $(, $c:expr)?) => { $b };
    (@odd $s:ident; $a:expr, $b:expr, $($rest:expr),+) => { $b + $s * polynomial!(@odd $s; $($rest),+) };
}

mod f32;
mod f64;

pub(crate) mod special;

pub(super) use f64::sin_and_cos;

/// Functions of one number; the file's header states their errors.
///
/// # Example
/// ```
/// use gradus_graph::Real;
/// fn entropy<T: Real>(p: T) -> T {
///     -p * p.log2()
/// }
/// assert_eq!(entropy(0.25_f32), 0.5);
/// ```
pub trait Math: Sized {
    /// `√x`, correctly rounded; NaN below 0.
    fn sqrt(self) -> Self;

    /// `self·by + plus`, rounded once where the machine has an instruction for it, as a step of a product of matrices.
    #[doc(hidden)]
    fn product_plus(self, by: Self, plus: Self) -> Self;

    /// `eˣ`.
    fn exp(self) -> Self;

    /// `eˣ - 1`, exact also near 0.
    fn exp_m1(self) -> Self;

    /// The natural logarithm; `-∞` at 0, NaN below.
    fn ln(self) -> Self;

    /// `ln(1 + x)`, exact also near 0; `-∞` at -1, NaN below.
    fn ln_1p(self) -> Self;

    /// The logarithm to base two; exact for powers of two, `-∞` at 0, NaN below.
    fn log2(self) -> Self;

    /// The sine of an angle in radians, of any size; NaN at `±∞`; in double precision one number at a time.
    fn sin(self) -> Self;

    /// The cosine of an angle in radians, of any size; NaN at `±∞`; in double precision one number at a time.
    fn cos(self) -> Self;

    /// [`sin`](Math::sin) of an angle that [is near](Math::angle_is_near), without branches.
    #[doc(hidden)]
    fn near_sin(self) -> Self;

    /// [`cos`](Math::cos) of an angle that [is near](Math::angle_is_near), without branches.
    #[doc(hidden)]
    fn near_cos(self) -> Self;

    /// [`tan`](Math::tan) of an angle that [is near](Math::angle_is_near), without branches.
    #[doc(hidden)]
    fn near_tan(self) -> Self;

    /// Whether an angle is small enough to be reduced to one turn without branches.
    #[doc(hidden)]
    fn angle_is_near(self) -> bool;

    /// The tangent of an angle in radians, of any size; NaN at `±∞`.
    fn tan(self) -> Self;

    /// The angle in `[-π/2, π/2]` with this sine; NaN outside of `[-1, 1]`; one call for each number.
    fn asin(self) -> Self;

    /// The angle in `[0, π]` with this cosine; NaN outside of `[-1, 1]`; one call for each number.
    fn acos(self) -> Self;

    /// The angle in `[-π/2, π/2]` with this tangent; one call for each number.
    fn atan(self) -> Self;

    /// The angle in `[-π, π]` of the point whose ordinate is `self` and abscissa `x`; one call for each number.
    fn atan2(self, x: Self) -> Self;

    /// `(eˣ - e⁻ˣ)/2`.
    fn sinh(self) -> Self;

    /// `(eˣ + e⁻ˣ)/2`.
    fn cosh(self) -> Self;

    /// `(eˣ - e⁻ˣ)/(eˣ + e⁻ˣ)`, from -1 to 1.
    fn tanh(self) -> Self;

    /// `1/(1 + e⁻ˣ)`, from 0 to 1, without overflow.
    fn sigmoid(self) -> Self;

    /// `ln(1 + eˣ)`, without overflow.
    fn softplus(self) -> Self;

    /// `2/√π · ∫₀ˣ exp(-t²) dt`, from -1 to 1.
    fn erf(self) -> Self;

    /// `φ(x)` and `Φ(-|x|)`, the density and the smaller tail of the normal distribution.
    #[doc(hidden)]
    fn normal_tail(self) -> (Self, Self);

    /// `x` to the power of `exponent`; NaN for a negative `x` unless the exponent is an integer, otherwise by the rules
    /// of C.
    fn powf(self, exponent: Self) -> Self;

    /// The nearest integer, halfway cases to the even one.
    fn round_even(self) -> Self;
}

/// `1/√(2π)`, the density of the normal distribution at 0.
pub(crate) const DENSITY_AT_0: f64 = 0.398_942_280_401_432_7;

/// The larger of `x` and `bound`; NaN stays NaN, unlike with `max`.
#[inline(always)]
fn at_least<T: PartialOrd>(x: T, bound: T) -> T {
    if x < bound { bound } else { x }
}

/// The smaller of `x` and `bound`; NaN stays NaN, unlike with `min`.
#[inline(always)]
fn at_most<T: PartialOrd>(x: T, bound: T) -> T {
    if x > bound { bound } else { x }
}

/// A logarithm's value `inside` of its domain, and at its border: `-∞` at 0, NaN below and of NaN, `∞` at `∞`.
#[inline(always)]
fn ln_border<T: FloatCore>(from_zero: T, x: T, inside: T) -> T {
    let below = if from_zero == T::zero() { T::neg_infinity() } else { T::nan() };
    let upper = if x == T::infinity() { x } else { inside };
    if from_zero > T::zero() { upper } else { below }
}

/// `xʸ` by the rules of C, from a `size` that is `|x|ʸ` where `x` is neither 0 nor infinite. From `one_apart` on, a
/// power of two, all numbers are whole; from twice that on they are even.
#[inline(always)]
fn power_border<T: FloatCore>(x: T, y: T, size: T, one_apart: T) -> T {
    let (zero, one, infinity) = (T::zero(), T::one(), T::infinity());
    let is_whole = |x: T| x >= one_apart || (x + one_apart) - one_apart == x;
    let digits = at_most(y.abs(), one_apart + one_apart);
    let whole = is_whole(digits);
    let odd = whole && !is_whole(digits / (one + one));
    let base = x.abs();
    let (at_zero, at_infinity) = if y > zero { (zero, infinity) } else { (infinity, zero) };
    let size = if base == zero { at_zero } else { size };
    let size = if base == infinity { at_infinity } else { size };
    let size = if x < zero && base < infinity && !whole { T::nan() } else { size };
    let size = if x.is_nan() || y.is_nan() { T::nan() } else { size };
    let value = if odd && x.is_sign_negative() { -size } else { size };
    if y == zero || x == one { one } else { value }
}

#[cfg(test)]
mod tests;
