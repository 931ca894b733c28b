//! The functions of [`Math`] in double precision.
//!
//! `sin`, `cos` and `tan` branch: reducing a large argument to one turn takes more bits of π than a formula without
//! branches can carry at a fair price, so arguments above [`FAR`] are left to the crate `libm`.

use super::{DENSITY_AT_0, Math, at_least, at_most, ln_border, power_border};
use crate::kernel::multiply_add::{MultiplyAdd, fused_polynomial, is_fused};

/// Adding 1.5·2⁵² rounds to an integer and leaves it in the low bits.
const SHIFT: f64 = 6_755_399_441_055_744.0;
/// ln 2 in two parts. The upper has 42 bits, so that an integer of 11 bits times it is exact.
const LN_2_HIGH: f64 = 0.693_147_180_559_890_3;
const LN_2_LOW: f64 = 5.497_923_018_708_371e-14;

/// The bits of `2^(n + biased − 1023)` and `r`, where `x = n·ln 2 + r` with `|r| ≤ ln 2 / 2`. Where the exponent takes
/// more than eleven bits, so does the first.
#[inline(always)]
fn reduce(x: f64, biased: f64) -> (u64, f64) {
    let (bits, high, n) = reduce_partly(x, biased);
    (bits, (-n).times_plus(LN_2_LOW, high))
}

/// The same bits, and `exp(r) - 1` in two parts, of which the first has no rounding error.
#[inline(always)]
fn reduce_in_parts(x: f64, biased: f64) -> (u64, f64, f64) {
    let (bits, high, n) = reduce_partly(x, biased);
    let low = n * LN_2_LOW;
    let r = high - low;
    (bits, high, (r * r).times_plus(exp_series(r), -low))
}

/// The same bits, `x` less `n` times the upper part of ln 2, without a rounding error, and `n`.
#[inline(always)]
fn reduce_partly(x: f64, biased: f64) -> (u64, f64, f64) {
    let shift = SHIFT + biased;
    let shifted = x.times_plus(std::f64::consts::LOG2_E, shift);
    let n = shifted - shift;
    (shifted.to_bits() << 52, (-n).times_plus(LN_2_HIGH, x), n)
}

/// `(exp(r) - 1 - r)/r²` for `|r| ≤ 0.35`.
#[inline(always)]
fn exp_series(r: f64) -> f64 {
    fused_polynomial!(
        r; 0.5, 0.166_666_666_666_666_77, 0.041_666_666_666_666_49, 0.008_333_333_333_320_737,
        0.001_388_888_888_896_838_3, 0.000_198_412_698_886_849_62, 2.480_158_716_470_296e-5, 2.755_724_136_757_698e-6,
        2.755_740_598_013_577e-7, 2.511_011_038_175_842_7e-8, 2.087_530_558_081_936_6e-9
    )
}

/// `value·2ⁿ` for `-1080 ≤ n ≤ 1030`, from the bits of `2^(n + 1023)`, which are more than a number has.
#[inline(always)]
fn scale(value: f64, both: u64) -> f64 {
    // Half of the exponent at a time, since 2ⁿ itself may be out of range; the sum of both is never negative.
    let half = (both >> 1) & f64::INFINITY.to_bits();
    value * f64::from_bits(half) * f64::from_bits(both.wrapping_sub(half))
}

/// `exp(x)` for `-746 ≤ x ≤ 710`.
#[inline(always)]
fn exp_clamped(x: f64) -> f64 {
    if !is_fused() {
        // Each step is rounded twice, so that the last ones would lose too much.
        let (both, high, rest) = reduce_in_parts(x, 2046.0);
        return scale(1.0 + (high + rest), both);
    }
    let (both, r) = reduce(x, 2046.0);
    scale(r.times_plus(r.times_plus(exp_series(r), 1.0), 1.0), both)
}

/// `exp(x)` for `-746 ≤ x ≤ 0`.
#[inline(always)]
fn exp_of_negative(x: f64) -> f64 {
    const TWO_TO_MINUS_54: f64 = 5.551_115_123_125_783e-17;
    // 2ⁿ may be out of range, 2ⁿ⁺⁵⁴ is not.
    let (power, r) = reduce(x, 1023.0 + 54.0);
    let power = f64::from_bits(power);
    power.times_plus((r * r).times_plus(exp_series(r), r), power) * TWO_TO_MINUS_54
}

/// `exp(x) + 1` for `0 ≤ x ≤ 700`.
#[inline(always)]
fn exp_plus_1(x: f64) -> f64 {
    let (power, r) = reduce(x, 1023.0);
    let power = f64::from_bits(power);
    power.times_plus((r * r).times_plus(exp_series(r), r), power + 1.0)
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

/// An integer below 2⁵² as a float, less `bias`; older machines have no instruction for it.
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

/// Up to here an angle has no more than 2¹¹ quarters of a turn.
const FAR: f64 = 3216.0;
/// Below it an angle is its own sine and tangent.
const NEAR: f64 = 1e-8;

/// `x = n·π/2 + r + low` with `|r| ≤ π/4`: the bits of `n + SHIFT`, `r` and `low`; `|x| ≤ FAR`.
#[inline(always)]
fn quarters(x: f64) -> (u64, f64, f64) {
    // π/2 in parts, the first two of 42 bits, so that an integer of 11 bits times one of them is exact.
    const FIRST: f64 = 1.570_796_326_794_607;
    const SECOND: f64 = 2.896_073_971_621_817_5e-13;
    const REST: f64 = 1.644_625_693_632_425_8e-26;
    let shifted = x * std::f64::consts::FRAC_2_PI + SHIFT;
    let n = shifted - SHIFT;
    let (a, b) = (x - n * FIRST, n * SECOND);
    // What rounding takes from the difference is kept: near a multiple of π/2 it is what is left.
    let difference = a - b;
    let of_b = a - difference;
    let low = ((a - (difference + of_b)) - (b - of_b)) - n * REST;
    let r = difference + low;
    (shifted.to_bits(), r, (difference - r) + low)
}

/// The sine and the cosine of `r + low`.
#[inline(always)]
fn waves(r: f64, low: f64) -> [f64; 2] {
    let square = r * r;
    let half = 0.5 * square;
    let sin = polynomial!(
        square; -0.166_666_666_666_666_32, 0.008_333_333_333_322_368, -0.000_198_412_698_297_688_1,
        2.755_731_367_780_821_8e-6, -2.505_075_582_144_404e-8, 1.589_665_809_016_784_5e-10
    );
    let cos = polynomial!(
        square; 0.041_666_666_666_666_6, -0.001_388_888_888_887_406_2, 2.480_158_728_944_152_7e-5,
        -2.755_731_434_004_296e-7, 2.087_572_153_372_694e-9, -1.135_955_438_487_619_1e-11
    );
    let near_one = 1.0 - half;
    [
        r + (square * r * sin + (low - low * half)),
        near_one + (((1.0 - near_one) - half) + (square * square * cos - r * low)),
    ]
}

/// `sin(x + more·π/2)` for `|x| ≤ FAR`.
#[inline(always)]
fn wave(x: f64, more: u64) -> f64 {
    let (bits, r, low) = quarters(x);
    let [sin, cos] = waves(r, low);
    let quadrant = bits.wrapping_add(more);
    let value = if quadrant & 1 == 0 { sin } else { cos };
    f64::from_bits(value.to_bits() ^ ((quadrant & 2) << 62))
}

/// The sine and the cosine, with the bits of [`Math::sin`] and [`Math::cos`], of an angle from 0 to a full turn.
#[inline(always)]
pub(in crate::kernel) fn sin_and_cos(x: f64) -> [f64; 2] {
    let (bits, r, low) = quarters(x);
    let [sin, cos] = waves(r, low);
    match bits & 3 {
        0 => [sin, cos],
        1 => [cos, -sin],
        2 => [-sin, -cos],
        _ => [-cos, sin],
    }
}

/// The tangent of an angle for `|x| ≤ FAR`.
#[inline(always)]
fn tangent(x: f64) -> f64 {
    let (bits, r, low) = quarters(x);
    let [sin, cos] = waves(r, low);
    // sin/cos, and -cos/sin a quarter further.
    let above = if bits & 1 == 0 { sin } else { -cos };
    let below = if bits & 1 == 0 { cos } else { sin };
    above / below
}

/// `eˣ` and `e⁻ˣ` for `0 ≤ x ≤ 710.5`, as `4p·(1 + u)` and `4q·(1 - v)`.
#[inline(always)]
fn exp_both(x: f64) -> [f64; 4] {
    let (p, high, rest) = reduce_in_parts(x, 1021.0);
    let u = high + rest;
    // 2⁻ⁿ⁻² from 2ⁿ⁻². What is smaller by 2²⁰⁰⁰ does not count, and it is to be in range.
    const BOTH: u64 = 2042 << 52;
    const MOST: u64 = 2021 << 52;
    let p = f64::from_bits(p);
    let q = f64::from_bits(BOTH.wrapping_sub(at_most(p, f64::from_bits(MOST)).to_bits()));
    [p, u, q, u / (1.0 + u)]
}

/// The upper 26 bits of a number, so that the product of two such is exact.
#[inline(always)]
fn upper(x: f64) -> f64 {
    f64::from_bits(x.to_bits() & !0x07ff_ffff)
}

/// `log₂x` in two parts, the first of 26 bits, for a positive finite `x`; the error is below 2⁻⁶⁴ of it.
///
/// `ln(1 + f) = ⅔·s·(3 + s² + s⁴·P(s²))` with `s = f/(2 + f)`, and all but `P` in two parts.
#[inline(always)]
fn log2_in_parts(x: f64) -> (f64, f64) {
    // 2/(3·ln 2), whole and in parts.
    const FACTOR: f64 = 0.961_796_693_925_975_6;
    const FACTOR_HIGH: f64 = 0.961_796_686_053_276_1;
    const FACTOR_LOW: f64 = 7.872_699_542_894_897e-9;
    let (k, f) = split_any(x);
    let below = 2.0 + f;
    let s = f / below;
    let (s_high, below_high) = (upper(s), upper(below));
    let below_low = (below - below_high) + (f - (below - 2.0));
    let s_low = ((f - s_high * below_high) - s_high * below_low) / below;
    let (square_high, square_low) = (s_high * s_high, s_low * (s_high + s));
    let square = square_high + square_low;
    let series = polynomial!(
        square; 0.600_000_000_000_034, 0.428_571_428_551_451_47, 0.333_333_337_806_745_57, 0.272_726_764_785_505_95,
        0.230_801_394_452_583_21, 0.198_851_436_214_887_16, 0.197_952_867_183_050_16
    );
    let rest = square_low + square * square * series;
    let sum_high = upper(3.0 + square_high + rest);
    let sum_low = rest - ((sum_high - 3.0) - square_high);
    let product = s_high * sum_high;
    let product_low = s_low * sum_high + sum_low * s;
    let product_high = upper(product + product_low);
    let product_low = product_low - (product_high - product);
    let (high, low) = (FACTOR_HIGH * product_high, FACTOR_LOW * product_high + product_low * FACTOR);
    let log = upper(k + (high + low));
    (log, low - ((log - k) - high))
}

/// `xʸ` for a positive finite `x` and any `y`.
#[inline(always)]
fn power(x: f64, y: f64) -> f64 {
    const LN_2_UPPER: f64 = 0.693_147_167_563_438_4;
    const LN_2_LOWER: f64 = 1.299_650_689_388_988_9e-8;
    const LARGE: f64 = 1e20;
    let (log, log_low) = log2_in_parts(x);
    // Beyond it all powers but those of 1 are 0 or ∞.
    let y = at_most(at_least(y, -LARGE), LARGE);
    let y_high = upper(y);
    let (t, t_low) = (y_high * log, (y - y_high) * log + y * log_low);
    const BIASED: f64 = SHIFT + 2046.0;
    let shifted = at_most(at_least(t + t_low, -1080.0), 1030.0) + BIASED;
    let rest = t - (shifted - BIASED);
    let r = rest + t_low;
    let r_high = upper(r);
    let high = r_high * LN_2_UPPER;
    let low = r_high * LN_2_LOWER + ((rest - r_high) + t_low) * std::f64::consts::LN_2;
    let sum = high + low;
    let value = scale(1.0 + (high + (low + sum * sum * exp_series(sum))), shifted.to_bits() << 52);
    let upper = if t > 1030.0 { f64::INFINITY } else { value };
    if t < -1080.0 { 0.0 } else { upper }
}

/// Functions that are seldom needed and stay out of line.
#[cold]
#[inline(never)]
fn far(function: fn(f64) -> f64, x: f64) -> f64 {
    function(x)
}

/// `erf(x)` for `|x| ≤ 0.65`.
#[inline(always)]
fn erf_near_0(x: f64) -> f64 {
    let square = x * x;
    let series = fused_polynomial!(
        square; 0.128_379_167_095_512_56, -0.376_126_389_031_835_43, 0.112_837_916_709_386_98,
        -0.026_866_170_640_177_46, 0.005_223_977_549_435_492, -0.000_854_832_031_099_154, 0.000_120_549_711_266_592_5,
        -1.491_352_865_927_342_4e-5, 1.621_491_774_535_503_6e-6, -1.352_583_357_642_791e-7
    );
    x.times_plus(series, x)
}

/// `φ(x)` of the normal distribution, and `Φ(-x)` for `x ≥ 0.919`.
#[inline(always)]
fn density_and_tail(x: f64) -> (f64, f64) {
    const K: f64 = 4.0;
    // Beyond it the density is 0.
    let x = at_most(x, 38.6);
    let inverse = 1.0 / (x + K);
    let q = (x - K) * inverse;
    let ratio = fused_polynomial!(
        q; 1.893_219_063_308_485_3, -1.523_770_910_819_983_7, 0.970_409_554_867_575_7, -0.467_540_962_998_277_1,
        0.151_391_762_313_230_5, -0.018_900_450_864_827_59, -0.008_722_295_292_577_97, 0.004_087_855_753_857_016,
        0.000_334_244_818_508_851_17, -0.000_579_270_180_020_037_4, -4.784_381_486_305_888_4e-6,
        8.810_176_036_103_725e-5, 1.798_890_108_511_925_5e-6, -1.486_794_219_589_168_2e-5,
        -1.575_314_699_227_018_2e-6, 2.627_932_686_410_544e-6, 6.512_866_397_967_523e-7, -4.770_423_609_576_857e-7,
        -1.511_361_968_444_956_1e-7, 8.504_208_374_755_713e-8
    );
    let density = DENSITY_AT_0 * exp_of_negative(-0.5 * x * x);
    (density, density * (ratio * inverse))
}

impl Math for f64 {
    #[inline(always)]
    fn product_plus(self, by: Self, plus: Self) -> Self {
        self.times_plus(by, plus)
    }

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
        // Half of the result, since 2ⁿ itself may be out of range. The first sum loses nothing where terms cancel.
        let (half, high, rest) = reduce_in_parts(at_most(at_least(self, -40.0), 710.0), 1022.0);
        let half = f64::from_bits(half);
        let value = 2.0 * half.times_plus(rest, half.times_plus(high, half - 0.5));
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

    #[inline(always)]
    fn sin(self) -> Self {
        if self.angle_is_near() { self.near_sin() } else { far(libm::sin, self) }
    }

    #[inline(always)]
    fn cos(self) -> Self {
        if self.angle_is_near() { self.near_cos() } else { far(libm::cos, self) }
    }

    #[inline(always)]
    fn near_sin(self) -> Self {
        let value = wave(self, 0);
        if self.abs() < NEAR { self } else { value }
    }

    #[inline(always)]
    fn near_cos(self) -> Self {
        wave(self, 1)
    }

    #[inline(always)]
    fn angle_is_near(self) -> bool {
        self.abs() <= FAR
    }

    #[inline(always)]
    fn near_tan(self) -> Self {
        let value = tangent(self);
        if self.abs() < NEAR { self } else { value }
    }

    #[inline(always)]
    fn tan(self) -> Self {
        if self.angle_is_near() { self.near_tan() } else { far(libm::tan, self) }
    }

    #[inline]
    fn asin(self) -> Self {
        libm::asin(self)
    }

    #[inline]
    fn acos(self) -> Self {
        libm::acos(self)
    }

    #[inline]
    fn atan(self) -> Self {
        libm::atan(self)
    }

    #[inline]
    fn atan2(self, x: Self) -> Self {
        libm::atan2(self, x)
    }

    #[inline(always)]
    fn sinh(self) -> Self {
        let size = self.abs();
        let [p, u, q, v] = exp_both(at_most(size, 710.5));
        let value = (2.0 * ((p - q) + (p * u + q * v))).copysign(self);
        if size < NEAR { self } else { value }
    }

    #[inline(always)]
    fn cosh(self) -> Self {
        let [p, u, q, v] = exp_both(at_most(self.abs(), 710.5));
        2.0 * ((p + q) + (p * u - q * v))
    }

    #[inline(always)]
    fn tanh(self) -> Self {
        // Small: x + x³·P(x²)/Q(x²). Large: 1 - 2/(exp(2x) + 1). Selecting the parts leaves one division.
        let x = at_most(self.abs(), 20.0);
        let square = x * x;
        let above = fused_polynomial!(square; -1_614.194_109_542, -99.263_824_014_637_35, -0.964_389_831_913_654);
        let below = fused_polynomial!(square; 4_842.582_328_626, 2_234.824_403_494_291, 112.785_791_973_672_81, 1.0);
        let small = x < 0.625;
        let above = if small { x * square * above } else { -2.0 };
        let below = if small { below } else { exp_plus_1(2.0 * x) };
        ((if small { x } else { 1.0 }) + above / below).copysign(self)
    }

    #[inline(always)]
    fn sigmoid(self) -> Self {
        let z = exp_of_negative(at_least(-self.abs(), -746.0));
        // z/(1 + z) = z - z·q and 1/(1 + z) = 1 - q: the error of 1 + z counts for less than in the quotients.
        let q = z / (1.0 + z);
        let side = if self.is_sign_negative() { z } else { 1.0 };
        (-side).times_plus(q, side)
    }

    #[inline(always)]
    fn softplus(self) -> Self {
        let z = exp_of_negative(at_least(-self.abs(), -746.0));
        (if self > 0.0 { self } else { 0.0 }) + ln_of_sum(z, 1.0 + z)
    }

    #[inline(always)]
    fn erf(self) -> Self {
        let large = 1.0 - 2.0 * density_and_tail(self.abs() * std::f64::consts::SQRT_2).1;
        if self.abs() < 0.65 { erf_near_0(self) } else { large.copysign(self) }
    }

    #[inline(always)]
    fn normal_tail(self) -> (Self, Self) {
        let x = self.abs();
        let (density, tail) = density_and_tail(x);
        let near = (-0.5_f64).times_plus(erf_near_0(x * std::f64::consts::FRAC_1_SQRT_2), 0.5);
        (density, if x < 0.919 { near } else { tail })
    }

    #[inline(always)]
    fn powf(self, exponent: Self) -> Self {
        power_border(self, exponent, power(self.abs(), exponent), 4_503_599_627_370_496.0)
    }

    #[inline(always)]
    fn round_even(self) -> Self {
        self.round_ties_even()
    }
}
