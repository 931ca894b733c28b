//! The functions of [`Math`] in double precision.
//!
//! `sin` and `cos` are those of std here: reducing a large argument to one turn takes more bits of π than a formula
//! without branches can carry at a fair price.

use super::{Math, at_least, at_most, ln_border};

/// Adding 1.5·2⁵² rounds to a whole number and leaves it in the low bits.
const SHIFT: f64 = 6_755_399_441_055_744.0;
/// ln 2 in two parts. The upper has 42 bits, so that a whole number of 11 bits times it is exact.
const LN_2_HIGH: f64 = 0.693_147_180_559_890_3;
const LN_2_LOW: f64 = 5.497_923_018_708_371e-14;

/// `x = n·ln 2 + r` with `|r| ≤ ln 2 / 2`.
struct Reduced {
    /// The bits of `n + SHIFT`.
    bits: u64,
    /// `r = high - low`, with a `high` that has no rounding error.
    high: f64,
    low: f64,
    /// `exp(r) - 1 - r`.
    rest: f64,
}

#[inline(always)]
fn reduce(x: f64) -> Reduced {
    let shifted = x * std::f64::consts::LOG2_E + SHIFT;
    let n = shifted - SHIFT;
    let high = x - n * LN_2_HIGH;
    let low = n * LN_2_LOW;
    let r = high - low;
    let series = polynomial!(
        r; 0.5, 0.166_666_666_666_666_77, 0.041_666_666_666_666_49, 0.008_333_333_333_320_737,
        0.001_388_888_888_896_838_3, 0.000_198_412_698_886_849_62, 2.480_158_716_470_296e-5, 2.755_724_136_757_698e-6,
        2.755_740_598_013_577e-7, 2.511_011_038_175_842_7e-8, 2.087_530_558_081_936_6e-9
    );
    Reduced { bits: shifted.to_bits(), high, low, rest: r * r * series }
}

/// `2ⁿ` for `-1022 ≤ n ≤ 1023`, from the bits of `n + SHIFT`.
#[inline(always)]
fn power_of_two(bits: u64) -> f64 {
    f64::from_bits(bits.wrapping_add(1023) << 52)
}

/// `exp(x)` for `-746 ≤ x ≤ 710`.
#[inline(always)]
fn exp_clamped(x: f64) -> f64 {
    let Reduced { bits, high, low, rest } = reduce(x);
    let scaled = 1.0 + (high + (rest - low));
    // Half of the exponent at a time, since 2ⁿ itself may be out of range; the biased sum is never negative.
    let biased = bits.wrapping_sub(SHIFT.to_bits()).wrapping_add(2046);
    let half = biased >> 1;
    let other = biased.wrapping_sub(half);
    scaled * f64::from_bits(half << 52) * f64::from_bits(other << 52)
}

/// `exp(x)` for `-708 ≤ x ≤ 709`.
#[inline(always)]
fn exp_normal(x: f64) -> f64 {
    let Reduced { bits, high, low, rest } = reduce(x);
    (1.0 + (high + (rest - low))) * power_of_two(bits)
}

/// `x = 2ᵏ·(1 + f)` with `√½ ≤ 1 + f < √2`, for a positive normal `x`: the pair `(k + 1023, f)`.
#[inline(always)]
fn split(x: f64) -> (u64, f64) {
    const SQRT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    const ONE: u64 = 0x3ff0_0000_0000_0000;
    const MANTISSA: u64 = 0x000f_ffff_ffff_ffff;
    let bits = x.to_bits().wrapping_add(ONE - SQRT_HALF);
    (bits >> 52, f64::from_bits((bits & MANTISSA).wrapping_add(SQRT_HALF)) - 1.0)
}

/// A whole number below 2⁵² as a float, less `bias`; older machines have no instruction for it.
#[inline(always)]
fn whole(bits: u64, bias: f64) -> f64 {
    const TWO_TO_52: f64 = 4_503_599_627_370_496.0;
    f64::from_bits(bits | TWO_TO_52.to_bits()) - (TWO_TO_52 + bias)
}

/// `ln(1 + f) - f + f²/2`, as `s·(f²/2 + R(s²))` with `s = f/(2 + f)`, where `R(s²) = 2·artanh(s)/s - 2`.
#[inline(always)]
fn ln_rest(f: f64) -> f64 {
    let s = f / (2.0 + f);
    let square = s * s;
    let series = polynomial!(
        square; 0.666_666_666_666_671_3, 0.399_999_999_994_900_5, 0.285_714_287_374_266, 0.222_221_981_370_717_64,
        0.181_836_258_447_739_46, 0.153_116_807_157_894_7, 0.148_261_077_844_977_1
    );
    s * (0.5 * f * f + square * series)
}

/// `ln(1 + x)` for a `sum = 1 + x` that is positive and normal.
#[inline(always)]
fn ln_of_sum(x: f64, sum: f64) -> f64 {
    let lost = if sum < 2.0 { x - (sum - 1.0) } else { 1.0 - (sum - x) };
    let (exponent, f) = split(sum);
    // What the sum lost, divided by it: 1/(1 + f) to first order, and 2⁻ᵏ by way of 2¹⁻ᵏ, which is always in range.
    let lost = lost * 0.5 * f64::from_bits(2047_u64.wrapping_sub(exponent) << 52);
    let k = whole(exponent, 1023.0);
    let low = ln_rest(f) + (k * LN_2_LOW + (lost - lost * f));
    k * LN_2_HIGH + (f - (0.5 * f * f - low))
}

/// `k` and `f` of any positive number; see [`split`].
#[inline(always)]
fn split_any(x: f64) -> (f64, f64) {
    const TWO_TO_54: f64 = 18_014_398_509_481_984.0;
    let tiny = x < f64::MIN_POSITIVE;
    let (exponent, f) = split(if tiny { x * TWO_TO_54 } else { x });
    (whole(exponent, if tiny { 1023.0 + 54.0 } else { 1023.0 }), f)
}

impl Math for f64 {
    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }

    #[inline(always)]
    fn exp(self) -> Self {
        exp_clamped(at_most(at_least(self, -746.0), 710.0))
    }

    #[inline(always)]
    fn exp_m1(self) -> Self {
        let Reduced { bits, high, low, rest } = reduce(at_most(at_least(self, -40.0), 710.0));
        // Half of the result, since 2ⁿ itself may be out of range. The first sum loses nothing where terms cancel.
        let half = power_of_two(bits.wrapping_sub(1));
        let value = 2.0 * (((half - 0.5) + half * high) + half * (rest - low));
        if self.abs() < 1e-18 { self } else { value }
    }

    #[inline(always)]
    fn ln(self) -> Self {
        let (k, f) = split_any(self);
        ln_border(self, self, k * LN_2_HIGH + (f - (0.5 * f * f - (ln_rest(f) + k * LN_2_LOW))))
    }

    #[inline(always)]
    fn ln_1p(self) -> Self {
        let sum = 1.0 + self;
        let inside = ln_of_sum(self, sum);
        ln_border(sum, self, if self.abs() < 1e-18 { self } else { inside })
    }

    #[inline(always)]
    fn log2(self) -> Self {
        // log₂e in two parts, the upper with 32 bits, and a logarithm in two parts, the upper with 21.
        const HIGH: f64 = 1.442_695_040_721_446_3;
        const LOW: f64 = 1.675_171_316_488_651_2e-10;
        let (k, f) = split_any(self);
        let half_square = 0.5 * f * f;
        let high = f64::from_bits((f - half_square).to_bits() & 0xffff_ffff_0000_0000);
        let low = ((f - high) - half_square) + ln_rest(f);
        let product = high * HIGH;
        let rest = low * HIGH + (low + high) * LOW;
        let sum = k + product;
        ln_border(self, self, sum + (((k - sum) + product) + rest))
    }

    #[inline]
    fn sin(self) -> Self {
        f64::sin(self)
    }

    #[inline]
    fn cos(self) -> Self {
        f64::cos(self)
    }

    #[inline]
    fn tan(self) -> Self {
        f64::tan(self)
    }

    #[inline]
    fn asin(self) -> Self {
        f64::asin(self)
    }

    #[inline]
    fn acos(self) -> Self {
        f64::acos(self)
    }

    #[inline]
    fn atan(self) -> Self {
        f64::atan(self)
    }

    #[inline]
    fn atan2(self, x: Self) -> Self {
        f64::atan2(self, x)
    }

    #[inline]
    fn sinh(self) -> Self {
        f64::sinh(self)
    }

    #[inline]
    fn cosh(self) -> Self {
        f64::cosh(self)
    }

    #[inline(always)]
    fn tanh(self) -> Self {
        // Small: x + x³·P(x²)/Q(x²). Large: 1 - 2/(exp(2x) + 1). Selecting the parts leaves one division.
        let x = at_most(self.abs(), 20.0);
        let square = x * x;
        let above = polynomial!(square; -1_614.194_109_542, -99.263_824_014_637_35, -0.964_389_831_913_654);
        let below = polynomial!(square; 4_842.582_328_626, 2_234.824_403_494_291, 112.785_791_973_672_81, 1.0);
        let small = x < 0.625;
        let above = if small { x * square * above } else { -2.0 };
        let below = if small { below } else { exp_normal(2.0 * x) + 1.0 };
        ((if small { x } else { 1.0 }) + above / below).copysign(self)
    }

    #[inline(always)]
    fn sigmoid(self) -> Self {
        let z = exp_clamped(at_least(-self.abs(), -746.0));
        // z/(1 + z) = z - z·q and 1/(1 + z) = 1 - q: the error of 1 + z counts for less than in the quotients.
        let q = z / (1.0 + z);
        let side = if self < 0.0 { z } else { 1.0 };
        side - side * q
    }

    #[inline(always)]
    fn softplus(self) -> Self {
        let z = exp_clamped(at_least(-self.abs(), -746.0));
        (if self > 0.0 { self } else { 0.0 }) + ln_of_sum(z, 1.0 + z)
    }

    #[inline]
    fn erf(self) -> Self {
        libm::erf(self)
    }

    #[inline]
    fn powf(self, exponent: Self) -> Self {
        f64::powf(self, exponent)
    }

    #[inline(always)]
    fn round_even(self) -> Self {
        self.round_ties_even()
    }
}
