//! The functions of [`Math`] in single precision.
//!
//! `exp`, `exp_m1`, `ln`, `ln_1p`, `tanh`, `sigmoid`, `erf` and `normal_tail` compute in single precision, where a
//! vector holds most numbers. The others compute in double precision and round once: there a plain formula is exact
//! enough, and cheap.

use super::{DENSITY_AT_0, Math, at_least, at_most, ln_border, power_border};
use crate::kernel::multiply_add::{MultiplyAdd, fused_polynomial, is_fused};

/// Adding 1.5·2²³ rounds to an integer and leaves it in the low bits.
const SHIFT: f32 = 12_582_912.0;
/// The same in double precision: 1.5·2⁵².
const DOUBLE_SHIFT: f64 = 6_755_399_441_055_744.0;
/// ln 2 in two parts. The upper has 15 bits, so that an integer of 8 bits times it is exact.
const LN_2_HIGH: f32 = 0.693_145_75;
const LN_2_LOW: f32 = 1.428_606_8e-6;

/// The bits of `2^(n + biased − 127)` and `r`, where `x = n·ln 2 + r` with `|r| ≤ ln 2 / 2`. Where the exponent takes
/// more than eight bits, so does the first.
#[inline(always)]
fn reduce(x: f32, biased: f32) -> (u32, f32) {
    let (bits, high, n) = reduce_partly(x, biased);
    (bits, (-n).times_plus(LN_2_LOW, high))
}

/// The same bits, and `exp(r) - 1` in two parts, of which the first has no rounding error.
#[inline(always)]
fn reduce_in_parts(x: f32, biased: f32) -> (u32, f32, f32) {
    let (bits, high, n) = reduce_partly(x, biased);
    let low = n * LN_2_LOW;
    let r = high - low;
    (bits, high, (r * r).times_plus(exp_series(r), -low))
}

/// The same bits, `x` less `n` times the upper part of ln 2, without a rounding error, and `n`.
#[inline(always)]
fn reduce_partly(x: f32, biased: f32) -> (u32, f32, f32) {
    let shift = SHIFT + biased;
    let shifted = x.times_plus(std::f32::consts::LOG2_E, shift);
    let n = shifted - shift;
    (shifted.to_bits() << 23, (-n).times_plus(LN_2_HIGH, x), n)
}

/// `(exp(r) - 1 - r)/r²` for `|r| ≤ 0.35`.
#[inline(always)]
fn exp_series(r: f32) -> f32 {
    fused_polynomial!(r; 0.5, 0.166_666_67, 0.041_666_225, 0.008_333_284, 0.001_394_978_3, 0.000_199_089_06)
}

/// The bits of [`reduce`] and `exp(r)`.
#[inline(always)]
fn exp_of_rest(x: f32, biased: f32) -> (u32, f32) {
    if !is_fused() {
        // Each step is rounded twice, so that the last ones would lose too much.
        let (bits, high, rest) = reduce_in_parts(x, biased);
        return (bits, 1.0 + (high + rest));
    }
    let (bits, r) = reduce(x, biased);
    // One coefficient after another: there is an operation less, and a rounding less that counts.
    let mut value = 0.001_381_402_8;
    for next in [0.008_368_992, 0.041_668_415, 0.166_665_18, 0.499_999_94, 1.0, 1.0] {
        value = r.times_plus(value, next);
    }
    (bits, value)
}

/// `2ᵏ`.
const fn two_to(k: i32) -> f32 {
    f32::from_bits((127 + k).cast_unsigned() << 23)
}

/// `exp(x)` for `-104 ≤ x ≤ 89`.
#[inline(always)]
fn exp_clamped(x: f32) -> f32 {
    // Half of the exponent at a time, since 2ⁿ itself may be out of range; the sum of both is never negative.
    let (both, value) = exp_of_rest(x, 254.0);
    let half = (both >> 1) & f32::INFINITY.to_bits();
    value * f32::from_bits(half) * f32::from_bits(both.wrapping_sub(half))
}

/// `exp(x)` for `-86 ≤ x ≤ 88`.
#[inline(always)]
fn exp_in_range(x: f32) -> f32 {
    let (power, value) = exp_of_rest(x, 127.0);
    value * f32::from_bits(power)
}

/// `exp(x)` for `-104 ≤ x ≤ 0`.
#[inline(always)]
fn exp_of_negative(x: f32) -> f32 {
    // 2ⁿ may be out of range, 2ⁿ⁺²⁴ is not.
    let (power, r) = reduce(x, 127.0 + 24.0);
    let power = f32::from_bits(power);
    power.times_plus((r * r).times_plus(exp_series(r), r), power) * two_to(-24)
}

/// `(exp(2x) + 1)/2` for `0.6 ≤ x ≤ 40`. The lower part of ln 2 is left out: what it changes, [`tanh`](Math::tanh)
/// does not show.
#[inline(always)]
fn half_of_exp_of_double_plus_1(x: f32) -> f32 {
    const ONE_LESS: f32 = SHIFT + 126.0;
    let shifted = x.times_plus(2.0 * std::f32::consts::LOG2_E, ONE_LESS);
    let r = (ONE_LESS - shifted).times_plus(0.5 * std::f32::consts::LN_2, x);
    let power = f32::from_bits(shifted.to_bits() << 23);
    let series = fused_polynomial!(r; 1.999_999_8, 1.333_321_5, 0.666_694_64, 0.267_807_75, 0.088_409_78);
    (power * r).times_plus(r.times_plus(series, 2.0), power + 0.5)
}

/// `erf(x)` for `|x| ≤ 0.95`.
#[inline(always)]
fn erf_near_0(x: f32) -> f32 {
    let square = x * x;
    let series = fused_polynomial!(
        square; 0.128_379_17, -0.376_126_32, 0.112_836_644, -0.026_857_706, 0.005_196_954, -0.000_809_771_07,
        8.185_086e-5
    );
    x.times_plus(series, x)
}

/// A number that is not negative, with the sign of another.
#[inline(always)]
fn with_sign(size: f32, sign: f32) -> f32 {
    f32::from_bits(size.to_bits() | (sign.to_bits() & (-0.0_f32).to_bits()))
}

/// `x = 2ᵏ·(1 + f)` with `√½ ≤ 1 + f < √2`, for a positive normal `x`: the pair `(k, f)`.
#[inline(always)]
fn split(x: f32) -> (i32, f32) {
    const SQRT_HALF: u32 = 0x3f35_04f3;
    let bits = x.to_bits().wrapping_sub(SQRT_HALF);
    let k = (bits as i32) >> 23;
    (k, f32::from_bits((bits & 0x007f_ffff).wrapping_add(SQRT_HALF)) - 1.0)
}

/// `ln(1 + f) - f + f²/2`.
#[inline(always)]
fn ln_rest(f: f32) -> f32 {
    let series = fused_polynomial!(
        f; 0.333_333_13, -0.250_000_1, 0.200_021_67, -0.166_680_95, 0.142_185_63, -0.124_030_1, 0.118_934_005,
        -0.116_947_42, 0.067_582_68
    );
    f * f * f * series
}

/// `2ⁿ` and `2ʳ - 1` for `x = n + r`, in double precision; `|x| ≤ 1000`.
#[inline(always)]
fn exp2_in_double(x: f64) -> (f64, f64) {
    let shifted = x + DOUBLE_SHIFT;
    let r = x - (shifted - DOUBLE_SHIFT);
    let scale = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    let series = fused_polynomial!(
        r; 0.693_147_180_581_966, 0.240_226_509_234_930_72, 0.055_504_107_259_271_74, 0.009_618_056_340_376_399,
        0.001_333_367_015_134_638_8, 0.000_154_615_992_911_708_32, 1.525_280_119_671_207_7e-5
    );
    (scale, r * series)
}

/// The same for `x·log₂e = n + r`; `|x| ≤ 700`.
#[inline(always)]
fn exp_in_double(x: f64) -> (f64, f64) {
    exp2_in_double(x * std::f64::consts::LOG2_E)
}

/// The logarithm to base two of a positive finite number, in double precision.
#[inline(always)]
fn log2_in_double(x: f32) -> f64 {
    let tiny = x < f32::MIN_POSITIVE;
    let (k, f) = split(if tiny { x * two_to(23) } else { x });
    let k = k - if tiny { 23 } else { 0 };
    let f = f64::from(f);
    let series = fused_polynomial!(
        f; 1.000_000_000_035_853_3, -0.500_000_003_438_245_8, 0.333_333_314_868_632_4, -0.249_999_313_351_701_97,
        0.200_001_130_018_814_95, -0.166_705_714_959_211_47, 0.142_856_190_520_078_6, -0.124_091_500_728_838_54,
        0.110_182_219_420_961_17, -0.108_877_462_394_061_54, 0.107_538_632_997_316_28, -0.059_959_576_031_678_556
    );
    f64::from(k) + std::f64::consts::LOG2_E * f * series
}

/// Up to here an angle has less than 2²⁰ quarters of a turn.
const NEAR: f32 = 1e6;

/// `r` and the bits of `n + DOUBLE_SHIFT`, where `x = n·π/2 + r` with `|r| ≤ π/4`, for `|x| ≤ NEAR`.
#[inline(always)]
fn near_quarters(x: f32) -> (f64, u64) {
    // π/2 in two parts. The upper has 32 bits, so that an integer of 20 bits times it is exact.
    const HIGH: f64 = 1.570_796_326_734_125_6;
    const LOW: f64 = 6.077_100_506_506_192e-11;
    let x = f64::from(x);
    let shifted = x.times_plus(std::f64::consts::FRAC_2_PI, DOUBLE_SHIFT);
    let n = shifted - DOUBLE_SHIFT;
    ((-n).times_plus(LOW, (-n).times_plus(HIGH, x)), shifted.to_bits())
}

/// `sin(x + more·π/2)` for `|x| ≤ NEAR`.
#[inline(always)]
fn near_wave(x: f32, more: u64) -> f32 {
    let (r, quarters) = near_quarters(x);
    quarter_wave(r, quarters.wrapping_add(more))
}

/// `sin(x + quarters·π/2)`, for `x` of any size.
///
/// The turns of `x` are the product with 2/π, of which only the part below four counts. So of the bits of 2/π only
/// those are taken whose products with `x`, a multiple of its last bit, are no multiples of four: 28 bits, 28 bits and
/// the rest, which makes the first two products exact (Payne and Hanek 1983).
#[inline(always)]
fn wave(x: f32, quarters: u64) -> f32 {
    const FOURS: f64 = 4.0 * DOUBLE_SHIFT;
    let size = x.abs();
    let bits = |below_52: f64, below_80: f64, below_108: f64, above: f64| {
        let small = if size < two_to(52) { below_52 } else { below_80 };
        let large = if size < two_to(108) { below_108 } else { above };
        if size < two_to(80) { small } else { large }
    };
    // Constants in the calls and not in a table: a table would be read, lane by lane.
    let first =
        bits(0.636_619_769_036_769_9, 3.330_811_459_978_378e-9, 1.615_379_780_392_580_4e-17, 7.696_704_847_356_705e-26);
    let second = bits(
        3.330_811_473_856_165_6e-9,
        1.615_379_780_392_580_4e-17,
        7.696_704_847_356_705e-26,
        1.668_286_765_701_952_5e-34,
    );
    let third = bits(
        2.276_010_073_078_396e-18,
        7.696_704_864_039_572e-26,
        1.668_286_766_860_824e-34,
        1.158_871_335_342_814_3e-43,
    );
    let x = f64::from(x);
    // Whole turns fall away.
    let high = x * first;
    let high = high - ((high + FOURS) - FOURS);
    let middle = x * second;
    let middle = middle - ((middle + FOURS) - FOURS);
    let low = x * third;
    let shifted = (high + middle + low) + DOUBLE_SHIFT;
    let n = shifted - DOUBLE_SHIFT;
    let r = (((high - n) + middle) + low) * std::f64::consts::FRAC_PI_2;

    quarter_wave(r, shifted.to_bits().wrapping_add(quarters))
}

/// The sine and the cosine of an angle for `|r| ≤ π/4`.
#[inline(always)]
fn quarter_waves(r: f64) -> [f64; 2] {
    let square = r * r;
    let sin = fused_polynomial!(
        square; 0.999_999_996_901_760_4, -0.166_666_506_035_713_95, 0.008_332_031_710_139_956,
        -0.000_195_033_526_079_997_87
    );
    let cos = fused_polynomial!(
        square; 0.999_999_999_952_125_7, -0.499_999_996_123_565_05, 0.041_666_616_440_111_02,
        -0.001_388_661_016_608_127_9, 2.437_909_224_439_278e-5
    );
    [r * sin, cos]
}

/// `sin(r + quadrant·π/2)` for `|r| ≤ π/4`.
#[inline(always)]
fn quarter_wave(r: f64, quadrant: u64) -> f32 {
    let [sin, cos] = quarter_waves(r);
    let value = if quadrant & 1 == 0 { sin } else { cos };
    f64::from_bits(value.to_bits() ^ ((quadrant & 2) << 62)) as f32
}

/// The tangent of an angle that is seldom so large.
#[cold]
#[inline(never)]
fn far_tan(x: f32) -> f32 {
    libm::tanf(x)
}

impl Math for f32 {
    #[inline(always)]
    fn product_plus(self, by: Self, plus: Self) -> Self {
        self.times_plus(by, plus)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }

    #[inline(always)]
    fn exp(self) -> Self {
        exp_clamped(at_most(at_least(self, -104.0), 89.0))
    }

    #[inline(always)]
    fn exp_m1(self) -> Self {
        // Half of the result, since 2ⁿ itself may be out of range. The first sum loses nothing where terms cancel.
        let (half, high, rest) = reduce_in_parts(at_most(at_least(self, -20.0), 89.0), 126.0);
        let half = f32::from_bits(half);
        let value = 2.0 * half.times_plus(rest, half.times_plus(high, half - 0.5));
        if self.abs() < 1e-9 { self } else { value }
    }

    #[inline(always)]
    fn ln(self) -> Self {
        let tiny = self < f32::MIN_POSITIVE;
        let (k, f) = split(if tiny { self * two_to(23) } else { self });
        let k = (k - if tiny { 23 } else { 0 }) as f32;
        ln_border(self, self, k * LN_2_HIGH + (f - (0.5 * f * f - (ln_rest(f) + k * LN_2_LOW))))
    }

    #[inline(always)]
    fn ln_1p(self) -> Self {
        let sum = 1.0 + self;
        let lost = if sum < 2.0 { self - (sum - 1.0) } else { 1.0 - (sum - self) };
        let (k, f) = split(sum);
        // What the sum lost, divided by it: 1/(1 + f) to first order, and 2⁻ᵏ by way of 2¹⁻ᵏ, which is always in range.
        let lost = lost * 0.5 * f32::from_bits((128 - k).cast_unsigned() << 23);
        let k = k as f32;
        let low = ln_rest(f) + (k * LN_2_LOW + (lost - lost * f));
        let inside = k * LN_2_HIGH + (f - (0.5 * f * f - low));
        ln_border(sum, self, if self.abs() < 1e-9 { self } else { inside })
    }

    #[inline(always)]
    fn log2(self) -> Self {
        ln_border(self, self, log2_in_double(self) as f32)
    }

    #[inline(always)]
    fn sin(self) -> Self {
        let (near, far) = (near_wave(self, 0), wave(self, 0));
        if self.angle_is_near() { near } else { far }
    }

    #[inline(always)]
    fn cos(self) -> Self {
        let (near, far) = (near_wave(self, 1), wave(self, 1));
        if self.angle_is_near() { near } else { far }
    }

    #[inline(always)]
    fn near_sin(self) -> Self {
        near_wave(self, 0)
    }

    #[inline(always)]
    fn near_cos(self) -> Self {
        near_wave(self, 1)
    }

    #[inline(always)]
    fn angle_is_near(self) -> bool {
        self.abs() <= NEAR
    }

    #[inline(always)]
    fn near_tan(self) -> Self {
        let (r, quarters) = near_quarters(self);
        let [sin, cos] = quarter_waves(r);
        // sin/cos, and -cos/sin a quarter further.
        let above = if quarters & 1 == 0 { sin } else { -cos };
        let below = if quarters & 1 == 0 { cos } else { sin };
        (above / below) as f32
    }

    #[inline(always)]
    fn tan(self) -> Self {
        if self.angle_is_near() { self.near_tan() } else { far_tan(self) }
    }

    #[inline]
    fn asin(self) -> Self {
        libm::asinf(self)
    }

    #[inline]
    fn acos(self) -> Self {
        libm::acosf(self)
    }

    #[inline]
    fn atan(self) -> Self {
        libm::atanf(self)
    }

    #[inline]
    fn atan2(self, x: Self) -> Self {
        libm::atan2f(self, x)
    }

    #[inline(always)]
    fn sinh(self) -> Self {
        let (scale, rest) = exp_in_double(f64::from(at_most(self.abs(), 100.0)));
        let less_one = scale.times_plus(rest, scale - 1.0);
        ((0.5 * (less_one + less_one / (less_one + 1.0))) as f32).copysign(self)
    }

    #[inline(always)]
    fn cosh(self) -> Self {
        let (scale, rest) = exp_in_double(f64::from(at_most(self.abs(), 100.0)));
        let exp = scale.times_plus(rest, scale);
        (0.5 * (exp + 1.0 / exp)) as f32
    }

    #[inline(always)]
    fn tanh(self) -> Self {
        let x = at_most(self.abs(), 10.0);
        let square = x * x;
        let mut series = -0.005_401_648_6;
        for next in [0.020_361_483, -0.053_653_05, 0.133_303_9, -0.333_332_42] {
            series = square.times_plus(series, next);
        }
        let small = (x * square).times_plus(series, x);
        let large = 1.0 - 1.0 / half_of_exp_of_double_plus_1(x);
        with_sign(if x < 0.66 { small } else { large }, self)
    }

    #[inline(always)]
    fn sigmoid(self) -> Self {
        let z = exp_of_negative(at_least(-self.abs(), -104.0));
        // z/(1 + z) = z - z·q and 1/(1 + z) = 1 - q: the error of 1 + z counts for less than in the quotients.
        let q = z / (1.0 + z);
        let side = if self.is_sign_negative() { z } else { 1.0 };
        (-side).times_plus(q, side)
    }

    #[inline(always)]
    fn softplus(self) -> Self {
        let (scale, rest) = exp_in_double(f64::from(at_least(-self.abs(), -200.0)));
        let z = scale.times_plus(rest, scale);
        let series = fused_polynomial!(
            z; 0.999_999_999_882_593, -0.499_999_965_113_279_93, 0.333_331_605_645_697_1, -0.249_966_172_252_699_2,
            0.199_653_263_489_605_58, -0.164_529_537_994_916, 0.134_267_035_358_871_8, -0.101_245_562_899_064_04,
            0.064_008_888_274_306_73, -0.030_172_575_751_379_18, 0.009_080_713_474_178_596, -0.001_280_511_635_353_266_3
        );
        z.times_plus(series, f64::from(if self > 0.0 { self } else { 0.0 })) as f32
    }

    #[inline(always)]
    fn erf(self) -> Self {
        let x = at_most(self.abs(), 4.0);
        let ln_erfc = fused_polynomial!(
            x; -8.490_643e-5, -1.128_366_4, -0.635_444_94, -0.106_231_39, 0.023_964_593, -0.003_795_016,
            0.000_368_881_07, -1.636_229e-5
        );
        let large = 1.0 - exp_in_range(ln_erfc);
        (if x < 0.95 { erf_near_0(x) } else { large }).copysign(self)
    }

    #[inline(always)]
    fn normal_tail(self) -> (Self, Self) {
        const K: f32 = 2.0;
        // Beyond it the density is 0.
        let x = at_most(self.abs(), 14.4);
        let inverse = 1.0 / (x + K);
        let q = (x - K) * inverse;
        let ratio = fused_polynomial!(
            q; 1.685_476_9, -0.830_707_43, 0.072_183_45, 0.092_015_16, -0.001_084_952_7, -0.016_572_842,
            -0.006_898_524, 0.005_609_169
        );
        let density = DENSITY_AT_0 as f32 * exp_of_negative(-0.5 * x * x);
        let near = (-0.5_f32).times_plus(erf_near_0(x * std::f32::consts::FRAC_1_SQRT_2), 0.5);
        (density, if x < 1.3435 { near } else { density * (ratio * inverse) })
    }

    #[inline(always)]
    fn powf(self, exponent: Self) -> Self {
        // Beyond 2¹⁰⁰ of the exponent all powers but those of 1 are 0 or ∞.
        let y = f64::from(at_most(at_least(exponent, -1e30), 1e30));
        let (scale, rest) = exp2_in_double(at_most(at_least(y * log2_in_double(self.abs()), -200.0), 200.0));
        power_border(self, exponent, scale.times_plus(rest, scale) as f32, two_to(23))
    }

    #[inline(always)]
    fn round_even(self) -> Self {
        self.round_ties_even()
    }
}
