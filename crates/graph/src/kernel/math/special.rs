//! Special functions, in double precision, one number at a time. Single precision rounds their results.
//!
//! | function | method |
//! |----------|--------|
//! | `erf_inv` | Winitzki's closed approximation (2008), then steps of Halley's rule on erf, or on erfc where that is small |
//! | `digamma` | the Taylor series at the positive root; else the recurrence up to 10 and the asymptotic series (DLMF 5.11.2) |
//! | `polygamma` | Hurwitz's zeta function by the formula of Euler and Maclaurin (DLMF 25.11.28) |
//! | `sinc_derivative` | the recurrence `t·f⁽ⁿ⁾ + n·f⁽ⁿ⁻¹⁾ = sin⁽ⁿ⁾ t` for `f = sin t/t`; the Taylor series for small `t` |
//!
//! Coefficients of the Taylor series of digamma are from mpmath, in 60 digits: `polygamma(k, x0)/factorial(k)`.

use std::f64::consts::{FRAC_2_SQRT_PI, LN_2, PI};

use num_traits::float::FloatCore;

use super::Math;
use crate::real::Real;

/// `√(a² + b²)`, without overflow of the squares.
#[inline(always)]
pub(crate) fn hypot<T: Real>(a: T, b: T) -> T {
    if T::EPS > 1e-10 {
        // Squares of single precision do not leave the range of double precision.
        let (a, b) = (a.as_f64(), b.as_f64());
        let size = (a * a + b * b).sqrt();
        T::of(if a.is_infinite() || b.is_infinite() { f64::INFINITY } else { size })
    } else {
        T::of(libm::hypot(a.as_f64(), b.as_f64()))
    }
}

/// The inverse of erf.
pub(crate) fn erf_inv(x: f64) -> f64 {
    let size = x.abs();
    match size {
        1.0 => return x / 0.0,
        _ if size < 1e-5 => return x * (1.0 + x * x * (PI / 12.0)) / FRAC_2_SQRT_PI,
        _ if size < 1.0 => {}
        _ => return f64::NAN,
    }
    // Winitzki: erf(y)² is near 1 - exp(-y²·(4/π + a·y²)/(1 + a·y²)). The distance from 1 is exact from ½ on.
    const A: f64 = 0.147;
    let rest = 1.0 - size;
    let log = Math::ln(rest * (1.0 + size));
    let middle = 2.0 / (PI * A) + 0.5 * log;
    let mut y = ((middle * middle - log / A).sqrt() - middle).sqrt();
    for _ in 0..3 {
        let error = if size < 0.5 { libm::erf(y) - size } else { rest - libm::erfc(y) };
        let step = error / (FRAC_2_SQRT_PI * Math::exp(-y * y));
        y -= step / (1.0 + y * step);
    }
    y.copysign(x)
}

/// `x` less the nearest even number, exactly.
fn within_turn(x: f64) -> f64 {
    x - 2.0 * Math::round_even(0.5 * x)
}

/// `sin(πx)` and `cos(πx)`, with their digits near zeros.
fn sin_cos_pi(x: f64) -> [f64; 2] {
    let r = within_turn(x);
    let size = r.abs();
    let (sin, cos) = match size {
        _ if size <= 0.25 => (Math::sin(PI * size), Math::cos(PI * size)),
        _ if size < 0.75 => (Math::cos(PI * (0.5 - size)), Math::sin(PI * (0.5 - size))),
        _ => (Math::sin(PI * (1.0 - size)), -Math::cos(PI * (1.0 - size))),
    };
    [sin.copysign(r), cos]
}

/// `ψ(x) = Γ'(x)/Γ(x)`; `∓∞` at `±0` and NaN at the other poles.
pub(crate) fn digamma(x: f64) -> f64 {
    const ROOT: f64 = 1.461_632_144_968_362_2;
    const ROOT_LOW: f64 = 9.549_995_429_965_697e-17;
    if x == 0.0 {
        return -1.0 / x;
    }
    if x < 0.0 {
        if x == Math::round_even(x) {
            return f64::NAN;
        }
        let [sin, cos] = sin_cos_pi(x);
        return digamma(1.0 - x) - PI * cos / sin;
    }
    let d = (x - ROOT) - ROOT_LOW;
    if d.abs() < 0.3 {
        return d
            * polynomial!(
                d; 0.967_672_245_447_621_2, -0.442_763_168_983_592_1, 0.258_499_760_955_651, -0.163_942_705_442_406_52, 0.107_824_050_691_262_37, -0.072_199_561_256_454_71, 0.048_804_288_164_143_11, -0.033_161_126_474_847_36, 0.022_597_648_232_218_104, -0.015_424_765_904_948_96, 0.010_538_791_616_612_175, -0.007_204_534_386_356_869, 0.004_926_781_395_729_853, -0.003_369_801_655_439_328, 0.002_305_126_326_734_928, -0.001_576_936_771_430_197_2, 0.001_078_825_201_916_296_7, -0.000_738_070_938_996_005_2, 0.000_504_953_265_834_602, -0.000_345_468_025_106_307_7, 0.000_236_356_015_640_270_53, -0.000_161_706_220_919_748_03, 0.000_110_633_727_687_474_1, -7.569_179_582_195_066e-05, 5.178_575_795_222_081e-05
            );
    }
    let steps = if x < 10.0 { (10.0 - x).ceil() } else { 0.0 };
    let shifted = x + steps;
    let square = 1.0 / (shifted * shifted);
    let series = square
        * polynomial!(
            square; 0.083_333_333_333_333_33, -0.008_333_333_333_333_333, 0.003_968_253_968_253_968, -0.004_166_666_666_666_667, 0.007_575_757_575_757_576, -0.021_092_796_092_796_094, 0.083_333_333_333_333_33, -0.443_259_803_921_568_6
        );
    let mut sum = 0.5 / shifted + series;
    let mut step = steps;
    while step > 0.0 {
        step -= 1.0;
        sum += 1.0 / (x + step);
    }
    Math::ln(shifted) - sum
}

/// The derivative of [`digamma`] of an order from 1 on; for a negative `x` only that of order 1, else NaN.
pub(crate) fn polygamma(order: u32, x: f64) -> f64 {
    let odd = order % 2 == 1;
    if x.is_nan() || x == f64::NEG_INFINITY || (x < 0.0 && order > 1) {
        return f64::NAN;
    }
    if x == 0.0 {
        return if odd || x.is_sign_negative() { f64::INFINITY } else { f64::NEG_INFINITY };
    }
    if x < 0.0 {
        let sine = sin_cos_pi(x)[0];
        return (PI / sine) * (PI / sine) - polygamma(1, 1.0 - x);
    }
    if x == f64::INFINITY {
        return if odd { 0.0 } else { -0.0 };
    }
    // order!·ζ(order + 1, x), the factorial within each term.
    const BERNOULLI: [f64; 12] = [
        0.083_333_333_333_333_33,
        -0.001_388_888_888_888_889,
        3.306_878_306_878_307e-05,
        -8.267_195_767_195_768e-07,
        2.087_675_698_786_81e-08,
        -5.284_190_138_687_493e-10,
        1.338_253_653_068_467_9e-11,
        -3.389_680_296_322_582_7e-13,
        8.586_062_056_277_845e-15,
        -2.174_868_698_558_062e-16,
        5.509_002_828_360_229_5e-18,
        -1.395_446_468_581_252_2e-19,
    ];
    let n = f64::from(order);
    let power = i32::try_from(order).unwrap_or(i32::MAX).saturating_add(1);
    let factorial: f64 = (1..=order).map(f64::from).product();
    let least = 12.0 + n;
    let steps = if x < least { (least - x).ceil() } else { 0.0 };
    let a = x + steps;
    let head = FloatCore::powi(1.0 / a, power - 1);
    let mut term = head / a * (n + 1.0) / a;
    let mut sum = 0.0;
    for (k, &bernoulli) in BERNOULLI.iter().enumerate() {
        sum += bernoulli * term;
        let next = n + 2.0 * (k as f64) + 2.0;
        term *= next / a * ((next + 1.0) / a);
    }
    sum += head / a * 0.5 + head / n;
    let mut step = steps;
    while step > 0.0 {
        step -= 1.0;
        sum += FloatCore::powi(1.0 / (x + step), power);
    }
    let value = factorial * sum;
    if odd { value } else { -value }
}

/// The derivative of `sin(πx)/(πx)` of the given order.
pub(crate) fn sinc_derivative(order: u32, x: f64) -> f64 {
    if x.is_infinite() {
        return 0.0;
    }
    let (n, t) = (f64::from(order), PI * x);
    let scale = FloatCore::powi(PI, i32::try_from(order).unwrap_or(i32::MAX));
    if t.abs() < n || x == 0.0 {
        // Σ (-1)ᵏ·t²ᵏ⁻ⁿ/((2k + 1)·(2k - n)!) from the first 2k that is not below n.
        let first = order.div_ceil(2);
        let power = f64::from(2 * first - order);
        let mut term = if power == 0.0 { 1.0 } else { t };
        if first % 2 == 1 {
            term = -term;
        }
        let (mut sum, mut k, mut degree) = (0.0, f64::from(first), power);
        loop {
            let next = sum + term / (2.0 * k + 1.0);
            if next == sum || next.is_nan() {
                return scale * next;
            }
            sum = next;
            term *= -t * t / ((degree + 1.0) * (degree + 2.0));
            k += 1.0;
            degree += 2.0;
        }
    }
    let [sin, cos] = sin_cos_pi(x);
    let mut value = sin / t;
    for k in 1..=order {
        let wave = match k % 4 {
            0 => sin,
            1 => cos,
            2 => -sin,
            _ => -cos,
        };
        value = (wave - f64::from(k) * value) / t;
    }
    scale * value
}

/// `ln(eᵃ + eᵇ)` without overflow.
#[inline(always)]
pub(crate) fn log_add_exp<T: Real>(a: T, b: T) -> T {
    let larger = if a > b { a } else { b };
    let sum = larger + (-(a - b).abs()).exp().ln_1p();
    // Infinities that are equal have no distance.
    if a == b { a + T::of(LN_2) } else { sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values from mpmath with 60 digits, rounded: `erfinv(x)`, `digamma(x)`, `polygamma(n, x)`, and
    /// `diff(lambda t: sin(pi*t)/(pi*t), x, n)`.
    #[test]
    fn values_are_those_of_mpmath() {
        #[track_caller]
        fn hold(name: &str, limit: f64, function: impl Fn(f64) -> f64, values: &[(f64, f64)]) {
            for &(x, expected) in values {
                let (found, digit) = (function(x), expected.abs().max(f64::MIN_POSITIVE) * f64::EPSILON);
                let error = (found - expected).abs() / digit;
                assert!(
                    found == expected || error <= limit,
                    "{name} of {x:e} is {found:e} and not {expected:e}: {error}"
                );
            }
        }
        hold(
            "erf_inv",
            8.0,
            erf_inv,
            &[
                (1e-300, 8.862_269_254_527_58e-301),
                (1e-06, 8.862_269_254_529_9e-07),
                (1e-05, 8.862_269_254_759_594e-06),
                (0.001, 0.000_886_227_157_466_552_1),
                (0.1, 0.088_855_990_494_257_69),
                (0.499_9, 0.476_825_023_625_427_8),
                (0.5, 0.476_936_276_204_469_9),
                (0.75, 0.813_419_847_597_618_5),
                (-0.9, -1.163_087_153_676_674_3),
                (0.999, 2.326_753_765_513_524_6),
                (0.999_999_999_9, 4.572_824_958_544_925),
                (0.999_999_999_999_999_9, 5.863_584_748_755_167_6),
            ],
        );
        hold(
            "digamma",
            8.0,
            digamma,
            &[
                (1e-300, -9.999_999_999_999_999e+299),
                (1e-08, -100_000_000.577_215_64),
                (0.1, -10.423_754_940_411_076),
                (0.5, -1.963_510_026_021_423_5),
                (1.0, -0.577_215_664_901_532_9),
                (1.2, -0.289_039_896_592_188_4),
                (1.461_6, -3.110_625_123_034_165e-05),
                (1.461_7, 6.565_939_229_367_65e-05),
                (1.75, 0.247_472_453_546_861_18),
                (2.0, 0.422_784_335_098_467_13),
                (3.5, 1.103_156_640_645_243),
                (9.99, 2.250_700_372_831_201),
                (10.0, 2.251_752_589_066_721),
                (100.5, 4.605_174_352_581_845),
                (10_000_000_000.0, 23.025_850_929_890_456),
                (1e+300, 690.775_527_898_213_7),
                (-0.25, 2.914_139_120_213_527_6),
                (-1.5, 0.703_156_640_645_243_2),
                (-10.75, -0.720_895_760_167_161_2),
                (-100.125, 12.195_880_442_483_347),
                (-1e-08, 99_999_999.422_784_31),
            ],
        );
        hold(
            "polygamma(1, x)",
            8.0,
            |x| polygamma(1, x),
            &[
                (1e-08, 1.000_000_000_000_000_2e+16),
                (0.1, 101.433_299_150_792_75),
                (0.5, 4.934_802_200_544_679),
                (1.0, 1.644_934_066_848_226_4),
                (2.0, 0.644_934_066_848_226_4),
                (9.5, 0.110_997_288_469_099_04),
                (12.0, 0.086_901_872_871_768_38),
                (13.5, 0.076_885_224_601_578_37),
                (100_000.0, 1.000_005_000_016_666_7e-05),
                (10_000_000_000.0, 1.000_000_000_05e-10),
                (1e+100, 1e-100),
                (-0.25, 18.541_879_647_671_607),
                (-10.75, 19.650_378_280_099_094),
            ],
        );
        hold(
            "polygamma(2, x)",
            8.0,
            |x| polygamma(2, x),
            &[
                (1e-08, -2e+24),
                (0.1, -2_001.861_457_378_343_6),
                (0.5, -16.828_796_644_234_32),
                (1.0, -2.404_113_806_319_188_5),
                (2.0, -0.404_113_806_319_188_6),
                (9.5, -0.012_307_845_807_709_338),
                (14.0, -0.005_479_465_690_312_488),
                (100_000.0, -1.000_010_000_05e-10),
                (10_000_000_000.0, -1.000_000_000_1e-20),
            ],
        );
        hold(
            "polygamma(5, x)",
            8.0,
            |x| polygamma(5, x),
            &[
                (1e-08, 1.199_999_999_999_999_9e+50),
                (0.1, 120_000_069.307_510_93),
                (0.5, 7_691.113_548_602_436),
                (1.0, 122.081_167_438_133_9),
                (2.0, 2.081_167_438_133_897),
                (9.5, 0.000_400_292_772_116_835_3),
                (14.0, 5.315_938_798_520_842_5e-05),
                (100_000.0, 2.400_060_000_6e-24),
                (10_000_000_000.0, 2.400_000_000_6e-49),
            ],
        );
        hold(
            "sinc_derivative(0, x)",
            16.0,
            |x| sinc_derivative(0, x),
            &[
                (0.0, 1.0),
                (1e-08, 0.999_999_999_999_999_9),
                (0.01, 0.999_835_514_710_548_7),
                (0.3, 0.858_393_691_334_139_8),
                (0.5, std::f64::consts::FRAC_2_PI),
                (0.9, 0.109_292_404_787_051_75),
                (1.25, -0.180_063_263_231_421_22),
                (-1.75, -0.128_616_616_593_872_3),
                (3.25, -0.069_255_101_242_854_32),
                (10.125, 0.012_030_806_893_881_885),
                (1_000.25, 0.000_225_022_823_333_443_16),
            ],
        );
        hold(
            "sinc_derivative(1, x)",
            16.0,
            |x| sinc_derivative(1, x),
            &[
                (0.0, 0.0),
                (1e-08, -3.289_868_133_696_452_6e-08),
                (0.01, -0.032_895_434_481_712_4),
                (0.3, -0.902_028_130_138_888_8),
                (0.5, -1.273_239_544_735_162_8),
                (0.9, -1.178_165_467_869_117),
                (1.25, -0.421_634_814_364_101_05),
                (-1.75, -0.477_556_227_303_097_05),
                (3.25, -0.196_262_055_367_290_22),
                (10.125, 0.090_059_133_394_311_6),
                (1_000.25, 0.000_706_705_082_092_690_9),
            ],
        );
        hold(
            "sinc_derivative(2, x)",
            16.0,
            |x| sinc_derivative(2, x),
            &[
                (0.0, -3.289_868_133_696_453),
                (1e-08, -3.289_868_133_696_452),
                (0.01, -3.288_894_100_010_195_7),
                (0.3, -2.458_485_286_266_174_4),
                (0.5, -1.190_227_128_238_935_8),
                (0.9, 1.539_472_684_861_667_8),
                (1.25, 2.451_768_878_245_908_4),
                (-1.75, 0.723_616_579_698_850_8),
                (3.25, 0.804_297_101_481_158_1),
                (10.125, -0.136_528_763_116_771_92),
                (1_000.25, -0.002_222_299_304_417_264),
            ],
        );
        hold(
            "sinc_derivative(3, x)",
            16.0,
            |x| sinc_derivative(3, x),
            &[
                (0.0, 0.0),
                (1e-08, 1.948_181_820_680_048_5e-07),
                (0.01, 0.194_795_292_727_661_02),
                (0.3, 5.247_493_152_924_37),
                (0.5, 7.141_362_769_433_615),
                (0.9, 5.297_926_138_140_398),
                (1.25, -0.301_153_948_079_076),
                (-1.75, 5.228_407_964_991_676),
                (3.25, 1.404_914_736_983_201_8),
                (10.125, -0.860_122_391_190_070_1),
                (1_000.25, -0.006_970_454_688_053_614),
            ],
        );
    }

    #[test]
    fn ends_and_poles() {
        assert_eq!([erf_inv(1.0), erf_inv(-1.0), erf_inv(0.0)], [f64::INFINITY, f64::NEG_INFINITY, 0.0]);
        assert!(erf_inv(1.5).is_nan() && erf_inv(f64::NAN).is_nan());
        assert_eq!(
            [digamma(0.0), digamma(-0.0), digamma(f64::INFINITY)],
            [f64::NEG_INFINITY, f64::INFINITY, f64::INFINITY]
        );
        assert!(digamma(-3.0).is_nan() && digamma(f64::NAN).is_nan() && digamma(f64::NEG_INFINITY).is_nan());
        assert_eq!([polygamma(1, 0.0), polygamma(2, 0.0)], [f64::INFINITY, f64::NEG_INFINITY]);
        assert_eq!([polygamma(1, f64::INFINITY), polygamma(2, f64::INFINITY)], [0.0, 0.0]);
        assert!(polygamma(2, -0.5).is_nan() && polygamma(1, f64::NAN).is_nan());
        for order in 0..4 {
            assert_eq!(sinc_derivative(order, f64::INFINITY), 0.0);
            assert!(sinc_derivative(order, f64::NAN).is_nan());
        }
        assert_eq!([hypot(3e20_f32, 4e20), hypot(f32::NAN, f32::INFINITY)], [5e20, f32::INFINITY]);
        assert_eq!([hypot(3e-40_f32, 0.0), hypot(3e200, 4e200) as f32], [3e-40, f32::INFINITY]);
        let inf = f64::INFINITY;
        assert_eq!([log_add_exp(inf, inf), log_add_exp(-inf, -inf), log_add_exp(-inf, 2.0)], [inf, -inf, 2.0]);
        assert!(log_add_exp(f64::NAN, 1.0).is_nan() && log_add_exp(1.0, f64::NAN).is_nan());
    }
}
