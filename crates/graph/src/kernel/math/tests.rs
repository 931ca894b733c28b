//! The functions against the errors that are stated of them, and their bits with every instruction set.

use std::f64::consts::FRAC_1_SQRT_2;

use super::{DENSITY_AT_0, Math};
use crate::Real;
use crate::kernel::random::RandomStream;
use crate::kernel::simd::{Loop, at_every_level, vectorized};

/// The error that the header states for a function, column 2 for f32 and 3 for f64.
fn stated(name: &str, column: usize) -> f64 {
    let row = include_str!("mod.rs").lines().find(|line| line.starts_with(&format!("//! | `{name}` ")));
    row.expect("a row of the header").split('|').nth(column).expect("a column").trim().parse().expect("a number")
}

/// The distance of `value` from `exact` in units in the last place of a number with `digits` bits; infinite when
/// one is NaN or infinite and the other is not, or when zeros differ in sign.
fn distance(value: f64, exact: f64, digits: i32, smallest: f64, largest: f64) -> f64 {
    let overflows = exact.is_finite() && exact.abs() > largest * (1.0 - 0.5_f64.powi(digits));
    if value.is_nan() || exact.is_nan() || exact.is_infinite() || (value.is_infinite() && overflows) {
        let same = value == exact || (value.is_nan() && exact.is_nan()) || (overflows && value * exact > 0.0);
        return if same { 0.0 } else { f64::INFINITY };
    }
    if exact == 0.0 {
        return if value.to_bits() == exact.to_bits() { 0.0 } else { f64::INFINITY };
    }
    let exponent = (exact.abs().to_bits() >> 52) as i32 - 1023;
    // A power of one half, since a power of 2 would overflow before the result became subnormal.
    (value - exact).abs() / smallest.max(0.5_f64.powi(-(exponent - (digits - 1)).max(-1074)))
}

struct Each<'a, T, F> {
    inputs: &'a [T],
    outputs: &'a mut [T],
    function: F,
}

impl<T: Copy, F: Fn(T) -> T> Loop for Each<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (output, &input) in self.outputs.iter_mut().zip(self.inputs) {
            *output = (self.function)(input);
        }
    }
}

/// Holds a function to its stated error, and its vector code to the bits of a single call.
fn hold<T: Real + std::fmt::LowerExp>(
    name: &str,
    column: usize,
    allowance: f64,
    inputs: &[T],
    function: impl Fn(T) -> T + Copy,
    reference: fn(f64) -> f64,
) {
    let (digits, smallest) = if column == 2 { (24, 0.5_f64.powi(149)) } else { (53, f64::from_bits(1)) };
    let limit = stated(name, column) + allowance;
    let mut outputs = inputs.to_vec();
    vectorized(Each { inputs, outputs: &mut outputs, function });
    for (&x, &y) in inputs.iter().zip(&outputs) {
        let error = distance(y.as_f64(), reference(x.as_f64()), digits, smallest, T::max_value().as_f64());
        assert!(error <= limit, "`{name}` of {x:e} is {y:e}, wrong by {error:.2} units, stated {limit}");
    }
    // Every input would do; few suffice, since the code is the same for all.
    for (&x, &y) in inputs.iter().zip(&outputs).step_by(7) {
        let alone = function(std::hint::black_box(x));
        let same = alone.as_f64().to_bits() == y.as_f64().to_bits() || (alone.is_nan() && y.is_nan());
        assert!(same, "`{name}` of {x:e} is {y:e} in a vector and {alone:e} alone");
    }
}

fn sigmoid(x: f64) -> f64 {
    let z = (-x.abs()).exp();
    if x < 0.0 { z - z * (z / (1.0 + z)) } else { 1.0 / (1.0 + z) }
}

fn softplus(x: f64) -> f64 {
    if x.is_nan() { x } else { x.max(0.0) + (-x.abs()).exp().ln_1p() }
}

macro_rules! hold {
    ($type:ty, $column:expr, $allowance:expr, $inputs:expr; $($name:ident $reference:expr),+ $(,)?) => {
        $(hold::<$type>(stringify!($name), $column, $allowance, $inputs, |x| Math::$name(x), $reference);)+
    };
}

const SPECIAL: [f64; 13] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
    1e-300,
    -1e-300,
    5e-324,
    f64::MAX,
    f64::MIN,
    f64::MIN_POSITIVE,
];

/// Numbers of every size and sign, infinities and NaN among them.
fn inputs_f32() -> Vec<f32> {
    let sweep = (0..=u32::MAX).step_by(2 * 1009).map(f32::from_bits);
    sweep.chain(SPECIAL.map(|x| x as f32)).chain([f32::MAX, f32::MIN, f32::MIN_POSITIVE, 1e-45, -1e-45]).collect()
}

fn inputs_f64() -> Vec<f64> {
    let sizes = (0..=u64::MAX).step_by(461_168_601_842_739).map(f64::from_bits);
    let near_zero = (-60_000..60_000).map(|i| f64::from(i) * 1.234_567e-4);
    sizes.chain(near_zero).chain(SPECIAL).collect()
}

#[test]
fn single_precision_exponentials() {
    hold!(f32, 2, 0.001, &inputs_f32();
        exp f64::exp, exp_m1 f64::exp_m1, tanh f64::tanh, sinh f64::sinh, cosh f64::cosh, sigmoid sigmoid,
        softplus softplus,
    );
}

#[test]
fn single_precision_others() {
    hold!(f32, 2, 0.001, &inputs_f32();
        ln f64::ln, ln_1p f64::ln_1p, log2 f64::log2, sin f64::sin, cos f64::cos, tan f64::tan, erf libm::erf,
    );
}

#[test]
fn double_precision() {
    // One unit for what the reference itself may be wrong by.
    hold!(f64, 3, 1.0, &inputs_f64();
        exp f64::exp, exp_m1 f64::exp_m1, ln f64::ln, ln_1p f64::ln_1p, log2 f64::log2, tanh f64::tanh,
        sigmoid sigmoid, softplus softplus, sin f64::sin, cos f64::cos, tan f64::tan, sinh f64::sinh,
        cosh f64::cosh, erf libm::erf,
    );
}

/// The error of `φ(x)` and `Φ(-|x|)` grows with that of `x²/2`.
#[test]
fn tails_of_the_normal_distribution() {
    fn hold<T: Real + std::fmt::LowerExp>(inputs: &[T]) {
        for &x in inputs {
            let (size, [density, tail]) = (x.as_f64().abs().min(1e9), <[T; 2]>::from(x.normal_tail()));
            let exact = [DENSITY_AT_0 * (-0.5 * size * size).exp(), 0.5 * libm::erfc(size * FRAC_1_SQRT_2)];
            for (found, exact) in [density.as_f64(), tail.as_f64()].into_iter().zip(exact) {
                let limit = exact * T::EPS * (4.0 + size * size) + T::min_positive_value().as_f64() * T::EPS;
                let is_close = (found - exact).abs() <= limit || (x.is_nan() && found.is_nan());
                assert!(is_close, "at {x:e}: {found:e} and not {exact:e}");
            }
        }
    }
    hold(&inputs_f32());
    hold(&inputs_f64());
}

const EXPONENTS: [f64; 20] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    2.0,
    3.0,
    -3.0,
    0.5,
    -0.5,
    1.37,
    -27.3,
    700.5,
    4_503_599_627_370_497.0,
    9_007_199_254_740_991.0,
    1e300,
    -1e300,
    1e-300,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];

#[test]
fn powers() {
    for exponent in EXPONENTS {
        // The power 0 of a NaN is 1, but C leaves signalling ones as they are.
        for x in inputs_f64().into_iter().step_by(31).chain(SPECIAL) {
            let x = if x.is_nan() { f64::NAN } else { x };
            let (y, exact) = (Math::powf(x, exponent), x.powf(exponent));
            let error = distance(y, exact, 53, f64::from_bits(1), f64::MAX);
            assert!(error <= stated("powf", 3) + 1.0, "{x:e} to the power of {exponent} is {y:e}, not {exact:e}");
        }
        let exponent = exponent as f32;
        for x in inputs_f32().into_iter().step_by(211).chain(SPECIAL.map(|x| x as f32)) {
            let (y, exact) = (Math::powf(x, exponent), f64::from(x).powf(f64::from(exponent)));
            let error = distance(f64::from(y), exact, 24, 0.5_f64.powi(149), f64::from(f32::MAX));
            assert!(error <= stated("powf", 2), "{x:e} to the power of {exponent} is {y:e}, not {exact:e}");
        }
    }
}

/// A function by name, and what it gives with each instruction set.
type Named<T> = (String, Box<dyn Fn(&[T]) -> Vec<(&'static str, Vec<T>)>>);

/// Every function of one number.
fn functions<T: Real>() -> Vec<Named<T>> {
    fn boxed<T: Real>(name: &str, function: impl Fn(T) -> T + Copy + 'static) -> Named<T> {
        let run = move |inputs: &[T]| {
            let each = || Collect { inputs, function };
            at_every_level(each)
        };
        (name.to_owned(), Box::new(run))
    }
    macro_rules! all {
        ($($name:ident)+) => { vec![$(boxed::<T>(stringify!($name), |x| Math::$name(x))),+] };
    }
    let mut all = all!(
        sqrt exp exp_m1 ln ln_1p log2 sin cos tan asin acos atan sinh cosh tanh sigmoid softplus erf round_even
    );
    for exponent in EXPONENTS {
        let exponent = T::of(exponent);
        all.push(boxed(&format!("powf {exponent}"), move |x: T| x.powf(exponent)));
        all.push(boxed(&format!("atan2 {exponent}"), move |x: T| x.atan2(exponent)));
        all.push(boxed(&format!("atan2 of {exponent}"), move |x: T| exponent.atan2(x)));
    }
    all.push(boxed("density of the normal distribution", |x: T| x.normal_tail().0));
    all.push(boxed("tail of the normal distribution", |x: T| x.normal_tail().1));
    for exponent in [-5, 2, 3, 7, 100] {
        all.push(boxed(&format!("powi {exponent}"), move |x: T| x.powi(exponent)));
    }
    all
}

struct Collect<'a, T, F> {
    inputs: &'a [T],
    function: F,
}

impl<T: Real, F: Fn(T) -> T> Loop for Collect<'_, T, F> {
    type Output = Vec<T>;

    #[inline(always)]
    fn run(self) -> Vec<T> {
        let mut outputs = self.inputs.to_vec();
        Each { inputs: self.inputs, outputs: &mut outputs, function: self.function }.run();
        outputs
    }
}

struct Draw<T>(RandomStream, Vec<T>);

impl<T: Real> Loop for Draw<T> {
    type Output = Vec<T>;

    #[inline(always)]
    fn run(mut self) -> Vec<T> {
        let (normal, uniform) = self.1.split_at_mut(50_000);
        self.0.normal(0, normal);
        self.0.uniform(0, uniform);
        self.1
    }
}

fn bits<T: Real>(values: &[T]) -> impl Iterator<Item = u64> {
    values.iter().map(|value| if value.is_nan() { f64::NAN.to_bits() } else { value.as_f64().to_bits() })
}

/// The bits of all functions and of random numbers as a line each, after a comparison of the instruction sets.
fn same_bits<T: Real>(inputs: &[T]) -> Vec<String> {
    let draw = || Draw(RandomStream { seed: 1, step: 2, stream: 3 }, vec![T::zero(); 100_000]);
    let random = ("random numbers".to_owned(), at_every_level(draw));
    let values = functions::<T>().into_iter().map(|(name, run)| (name, run(inputs)));
    let mut lines = Vec::new();
    for (name, levels) in values.chain([random]) {
        let (_, first) = &levels[0];
        for (level, other) in &levels[1..] {
            let unlike = bits(first).zip(bits(other)).position(|(a, b)| a != b);
            assert!(unlike.is_none(), "{} {name} with {level}: value {unlike:?} has other bits", T::NAME);
        }
        let hash = bits(first).fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ b).wrapping_mul(0x0100_0000_01b3));
        lines.push(format!("bits of {} {name}: {hash:016x}", T::NAME));
    }
    lines
}

/// One line for each function, after its bits were compared over the instruction sets.
fn same_bits_in_both_precisions() -> Vec<String> {
    let singles: Vec<f32> = inputs_f32().into_iter().step_by(11).collect();
    let doubles: Vec<f64> = inputs_f64().into_iter().step_by(3).collect();
    [same_bits(&singles), same_bits(&doubles)].concat()
}

#[test]
fn bits_are_the_same_with_every_instruction_set() {
    assert!(!same_bits_in_both_precisions().is_empty());
}

/// The lines of the program when it starts itself again, with the tests of these names alone.
#[cfg(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))]
fn again(tests: &[&str], variables: &[(&str, &str)]) -> Vec<String> {
    let program = std::env::current_exe().expect("the test has a path");
    let names = tests.iter().map(|name| format!("kernel::math::tests::{name}"));
    let mut child = std::process::Command::new(program);
    child.arg("--exact").args(names).arg("--nocapture").env(CHILD, "1").envs(variables.iter().copied());
    // A C library that is told of an old machine.
    child.env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX512F,-AVX2_Usable,-FMA_Usable");
    let output = child.output().expect("the test can be started again");
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success() && text.contains(&format!(" {} passed", tests.len())), "{text}");
    text.lines().map(str::to_owned).collect()
}

#[cfg(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))]
const CHILD: &str = "GRADUS_TEST_CHILD";

/// glibc on x86-64 can be told what the machine has.
#[test]
#[cfg(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))]
fn bits_are_the_same_with_the_c_library_of_an_old_machine() {
    let lines = same_bits_in_both_precisions();
    if std::env::var_os(CHILD).is_some() {
        println!("\n{}", lines.join("\n"));
        return;
    }
    let this = "bits_are_the_same_with_the_c_library_of_an_old_machine";
    let found = again(&[this], &[]);
    let found: Vec<&String> = found.iter().filter(|line| line.starts_with("bits of ")).collect();
    assert_eq!(found.len(), lines.len());
    for (found, line) in found.iter().zip(&lines) {
        assert_eq!(*found, line, "the C library shows in the bits");
    }
    // What is never fused is the same with old instructions too.
    let old = again(&[this], &[(crate::kernel::simd::OLD_MACHINE, "1")]);
    let names = ["random numbers", "sqrt", "round_even"];
    let names = names.map(|name| [format!("f32 {name}:"), format!("f64 {name}:")]).concat();
    let more = ["f64 ln:", "f64 ln_1p:", "f64 log2:", "f64 sin:", "f64 cos:", "f64 tan:"].map(str::to_owned);
    for name in names.iter().chain(&more) {
        let line = lines.iter().find(|line| line.contains(name)).expect("a line for each name");
        assert!(old.contains(line), "{name} has other bits where multiplication and addition are not fused");
    }
}

/// The table holds where each step of a polynomial is rounded twice.
#[test]
#[cfg(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))]
fn errors_are_within_the_table_with_old_instructions() {
    let tests = [
        "single_precision_exponentials",
        "single_precision_others",
        "double_precision",
        "double_precision_known_values",
        "powers",
        "borders_follow_c",
        "fused_steps_are_what_the_machine_has",
    ];
    again(&tests, &[(crate::kernel::simd::OLD_MACHINE, "1")]);
}

#[test]
fn fused_steps_are_what_the_machine_has() {
    use crate::kernel::multiply_add::{MultiplyAdd, is_fused};
    // (1 + ε)² is 1 + 2ε + ε², of which the last is lost if the product is rounded.
    let x = 1.0 + std::hint::black_box(f64::EPSILON);
    let rest = x.times_plus(x, -(1.0 + 2.0 * f64::EPSILON));
    assert_eq!(rest, if is_fused() { f64::EPSILON * f64::EPSILON } else { 0.0 });
    struct Rest(f64);
    impl Loop for Rest {
        type Output = f64;
        #[inline(always)]
        fn run(self) -> f64 {
            self.0.times_plus(self.0, -(1.0 + 2.0 * f64::EPSILON))
        }
    }
    assert_eq!(vectorized(Rest(x)), rest);
    #[cfg(target_arch = "x86_64")]
    if std::env::var_os(crate::kernel::simd::OLD_MACHINE).is_some() {
        assert!(!is_fused());
    } else {
        assert_eq!(is_fused(), std::arch::is_x86_feature_detected!("fma"));
    }
}

#[test]
fn double_precision_known_values() {
    // The arguments are exact; the values are rounded from 40 digits.
    type Function = fn(f64) -> f64;
    let known: [(Function, f64, f64); 8] = [
        (Math::exp, 1.0, std::f64::consts::E),
        (Math::exp_m1, 0.25, 0.284_025_416_687_741_5),
        (Math::ln, 10.0, std::f64::consts::LN_10),
        (Math::ln_1p, 1.0, std::f64::consts::LN_2),
        (Math::log2, 10.0, std::f64::consts::LOG2_10),
        (Math::tanh, 0.5, 0.462_117_157_260_009_74),
        (Math::sigmoid, -1.0, 0.268_941_421_369_995_1),
        (Math::softplus, 0.0, std::f64::consts::LN_2),
    ];
    for (function, x, exact) in known {
        assert!((function(x) - exact).abs() <= exact * f64::EPSILON, "{x} gives {}, not {exact}", function(x));
    }
}

fn borders<T: Real>() {
    let same = |value: T, expected: f64| {
        assert!(
            value.as_f64().to_bits() == expected.to_bits() || (value.is_nan() && expected.is_nan()),
            "{value} instead of {expected}"
        );
    };
    let (infinity, zero, one) = (T::infinity(), T::zero(), T::one());
    for odd in [T::exp_m1, T::ln_1p, T::sin, T::tan, T::sinh, T::tanh, T::erf, T::sqrt, T::round_even] {
        same(odd(-zero), -0.0);
        same(odd(zero), 0.0);
        same(odd(T::nan()), f64::NAN);
    }
    for one_at_zero in [T::exp, T::cos, T::cosh] {
        same(one_at_zero(-zero), 1.0);
    }
    for logarithm in [T::ln, T::log2] {
        same(logarithm(-zero), f64::NEG_INFINITY);
        same(logarithm(-T::min_positive_value()), f64::NAN);
        same(logarithm(infinity), f64::INFINITY);
        same(logarithm(one), 0.0);
    }
    same(T::ln_1p(-one), f64::NEG_INFINITY);
    same(T::ln_1p(-one - one), f64::NAN);
    same(T::exp(-infinity), 0.0);
    same(T::exp_m1(-infinity), -1.0);
    same(T::sin(infinity), f64::NAN);
    same(T::tanh(-infinity), -1.0);
    same(T::erf(infinity), 1.0);
    same(T::sigmoid(zero), 0.5);
    same(T::sigmoid(infinity), 1.0);
    same(T::sigmoid(-infinity), 0.0);
    same(T::softplus(-infinity), 0.0);
    same(T::softplus(infinity), f64::INFINITY);
    for (x, even) in [(0.5, 0.0), (1.5, 2.0), (2.5, 2.0), (-0.5, -0.0), (-2.5, -2.0)] {
        same(T::round_even(T::of(x)), even);
    }
    for k in [-100, -10, 3, 100] {
        same(T::log2(T::of(2.0_f64.powi(k))), f64::from(k));
    }
}

#[test]
fn borders_follow_c() {
    borders::<f32>();
    borders::<f64>();
}
