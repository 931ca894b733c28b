//! The largest errors of the elementary functions and of their slopes, as a graph computes them, in units in the last
//! place of the exact result.
//!
//! In double precision at numbers of every size, against values that mpmath computed ([`VALUES`]); in single precision
//! at every n-th of all numbers, against the same graph in double precision, or against a formula that keeps its digits
//! where that loses them.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use gradus_graph::{Feed, Graph, Params, Real, Tensor, Var};

use crate::table::Table;

/// Lines of a function's name, an argument, the value and the slope there.
const VALUES: &str = include_str!("values.txt");

/// Every n-th number of single precision is examined: a prime, so that every exponent and every last bit occurs.
const EVERY: usize = 1009;

type Formula = for<'g> fn(Var<'g>) -> Var<'g>;

/// Each function with the formulas of value and slope that single precision is compared with, if they are not its own.
const FUNCTIONS: [(&str, Formula, Option<[Formula; 2]>); 40] = [
    ("sqrt", |x| x.sqrt(), None),
    ("rsqrt", |x| x.rsqrt(), None),
    ("recip", |x| x.recip(), None),
    ("exp", |x| x.exp(), None),
    ("exp_m1", |x| x.exp_m1(), None),
    ("exp2", |x| x.exp2(), None),
    ("ln", |x| x.ln(), None),
    ("ln_1p", |x| x.ln_1p(), None),
    ("log2", |x| x.log2(), None),
    ("log10", |x| x.log10(), None),
    ("sin", |x| x.sin(), None),
    ("cos", |x| x.cos(), None),
    ("tan", |x| x.tan(), None),
    ("asin", |x| x.asin(), None),
    ("acos", |x| x.acos(), None),
    ("atan", |x| x.atan(), None),
    ("sinh", |x| x.sinh(), None),
    ("cosh", |x| x.cosh(), None),
    ("tanh", |x| x.tanh(), Some([|x| x.tanh(), sech2])),
    ("asinh", |x| x.asinh(), None),
    ("acosh", |x| x.acosh(), None),
    ("atanh", |x| x.atanh(), None),
    ("erf", |x| x.erf(), None),
    ("erfc", |x| x.erfc(), None),
    ("erfinv", |x| x.erfinv(), None),
    ("lgamma", |x| x.lgamma(), None),
    ("digamma", |x| x.digamma(), None),
    ("sinc", |x| x.sinc(), None),
    ("logit", |x| x.logit(), None),
    ("sigmoid", |x| x.sigmoid(), Some([|x| x.sigmoid(), |x| x.sigmoid() * (-x).sigmoid()])),
    ("softplus", |x| x.softplus(), None),
    ("softplus_slope", |x| x.softplus_slope(), None),
    ("log_sigmoid", |x| x.log_sigmoid(), None),
    ("silu", |x| x.silu(), None),
    ("mish", |x| x.mish(), None),
    ("gelu", |x| x.gelu(), Some([|x| x * normal(x), |x| normal(x) + density(x).cotangent_times(x)])),
    ("gelu_tanh", |x| x.gelu_tanh(), Some([|x| x * (inner(x) * 2.0).sigmoid(), gelu_tanh_slope])),
    ("softsign", |x| x.softsign(), None),
    ("elu", |x| x.elu(1.0), None),
    ("selu", |x| x.selu(), None),
];

type Pair = for<'g> fn(Var<'g>, Var<'g>) -> Var<'g>;

/// The functions of two numbers; each has a row for the slope in either.
const PAIRS: [(&str, Pair); 5] = [
    ("pow", |a, b| a.pow(b)),
    ("atan2", |a, b| a.atan2(b)),
    ("hypot", |a, b| a.hypot(b)),
    ("logaddexp", |a, b| a.logaddexp(b)),
    ("xlogy", |a, b| a.xlogy(b)),
];

/// Of each argument of a function of two numbers, as many numbers of single precision are examined: a prime.
const EACH: usize = 709;

/// `1 − tanh² x`
fn sech2(x: Var<'_>) -> Var<'_> {
    (x * 2.0).sigmoid() * (x * -2.0).sigmoid() * 4.0
}

/// The normal distribution function.
fn normal(x: Var<'_>) -> Var<'_> {
    (x * -FRAC_1_SQRT_2).erfc() * 0.5
}

/// The derivative of [`normal`].
fn density(x: Var<'_>) -> Var<'_> {
    (x * x * -0.5).exp() * (1.0 / (2.0 * PI).sqrt())
}

/// The argument of tanh in GELU's approximation.
fn inner(x: Var<'_>) -> Var<'_> {
    (x + x.powi(3) * 0.044_715) * (2.0 / PI).sqrt()
}

fn gelu_tanh_slope(x: Var<'_>) -> Var<'_> {
    let growth = x * (x * x * (3.0 * 0.044_715) + 1.0) * (0.5 * (2.0 / PI).sqrt());
    (inner(x) * 2.0).sigmoid() + sech2(inner(x)).cotangent_times(growth)
}

pub(crate) fn run() -> Table {
    let mut table = Table::new(&["f32 value", "f32 slope", "f64 value", "f64 slope"]);
    for (name, function, accurate) in FUNCTIONS {
        let [single, double] = [in_single(function, accurate), in_double(name, function)];
        table.row(name, &[single, double].concat());
    }
    for (name, function) in PAIRS {
        let [single, double] = [pair_in_single(function), pair_in_double(name, function)];
        for (argument, label) in [(1, "first"), (2, "second")] {
            let figures = [single[0], single[argument], double[0], double[argument]];
            table.row(format!("{name}, {label}"), &figures);
        }
    }
    table.note(format!(
        "f32: at one of {EVERY} of all numbers, or {EACH}² pairs; f64: at 64 numbers or pairs a function"
    ));
    table.note("units in the last place of the exact result, of at least the smallest subnormal number");
    table
}

/// Value and both slopes of a function of two numbers at each pair, computed in one precision.
fn computed_pair<T: Real>(function: Pair, a: &[f64], b: &[f64]) -> [Vec<f64>; 3] {
    let graph = Graph::new();
    let [a, b] = [a, b].map(|numbers| graph.constant(&Tensor::from_slice(numbers)));
    let y = function(a, b);
    let slopes = graph.grad(y.sum(), &[a, b]).expect("y depends on both");
    evaluated::<T, 3>([y, slopes[0], slopes[1]])
}

fn pair_in_single(function: Pair) -> [f64; 3] {
    let numbers: Vec<f64> =
        (0..EACH).map(|k| f64::from(f32::from_bits((u32::MAX as usize / EACH * k) as u32))).collect();
    let mut worst = [0.0_f64; 3];
    for &first in &numbers {
        let first = vec![first; numbers.len()];
        let found = computed_pair::<f32>(function, &first, &numbers);
        let exact = computed_pair::<f64>(function, &first, &numbers);
        for part in 0..3 {
            for (place, &found) in found[part].iter().enumerate() {
                // A value that is out of range has no slope in single precision.
                let value = exact[0][place];
                if !value.is_nan() && value.abs() <= f64::from(f32::MAX) {
                    let error = units(found, exact[part][place], 24, -149, f64::from(f32::MAX));
                    worst[part] = worst[part].max(error);
                }
            }
        }
    }
    worst
}

fn pair_in_double(name: &str, function: Pair) -> [f64; 3] {
    let rows = rows(name);
    let [a, b] = [0, 1].map(|argument| rows.iter().map(|row| row[argument]).collect::<Vec<f64>>());
    let found = computed_pair::<f64>(function, &a, &b);
    [0, 1, 2].map(|part| {
        let pairs = found[part].iter().zip(&rows).filter(|(_, row)| row[2].is_finite());
        pairs.map(|(&found, row)| units(found, row[part + 2], 53, -1074, f64::MAX)).fold(0.0, f64::max)
    })
}

/// The numbers of the file for a function.
fn rows(name: &str) -> Vec<Vec<f64>> {
    let rows: Vec<Vec<f64>> = (VALUES.lines())
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .map(|row| row.split(' ').map(|number| number.parse().expect("a number of the file")).collect())
        .collect();
    assert!(!rows.is_empty(), "no values of `{name}`");
    rows
}

/// Value and slope at each number, computed in one precision.
fn computed<T: Real>(function: Formula, numbers: &[f64]) -> [Vec<f64>; 2] {
    let graph = Graph::new();
    let x = graph.constant(&Tensor::from_slice(numbers));
    let y = function(x);
    let slope = graph.grad(y.sum(), &[x]).expect("y depends on x")[0];
    evaluated::<T, 2>([y, slope])
}

fn evaluated<T: Real, const N: usize>(outputs: [Var<'_>; N]) -> [Vec<f64>; N] {
    let values = outputs[0].graph().eval_with::<T>(&outputs, &Params::new(0), &Feed::new());
    let values = values.expect("an elementary function accepts every number");
    std::array::from_fn(|k| values[k].real().data().iter().map(|value| value.as_f64()).collect())
}

fn in_single(function: Formula, accurate: Option<[Formula; 2]>) -> [f64; 2] {
    let mut worst = [0.0_f64; 2];
    let numbers: Vec<f64> = (0..=u32::MAX).step_by(EVERY).map(|bits| f64::from(f32::from_bits(bits))).collect();
    for numbers in numbers.chunks(1 << 16) {
        let found = computed::<f32>(function, numbers);
        let exact = match accurate {
            None => computed::<f64>(function, numbers),
            Some(formulas) => {
                let graph = Graph::new();
                let x = graph.constant(&Tensor::from_slice(numbers));
                evaluated::<f64, 2>(formulas.map(|formula| formula(x)))
            }
        };
        for part in [0, 1] {
            for (place, &found) in found[part].iter().enumerate() {
                // Outside of the domain a formula of the slope may have values.
                if !exact[0][place].is_nan() {
                    let error = units(found, exact[part][place], 24, -149, f64::from(f32::MAX));
                    worst[part] = worst[part].max(error);
                }
            }
        }
    }
    worst
}

fn in_double(name: &str, function: Formula) -> [f64; 2] {
    let rows = rows(name);
    let numbers: Vec<f64> = rows.iter().map(|row| row[0]).collect();
    let found = computed::<f64>(function, &numbers);
    [0, 1].map(|part| {
        let errors =
            found[part].iter().zip(&rows).map(|(&found, row)| units(found, row[part + 1], 53, -1074, f64::MAX));
        errors.fold(0.0, f64::max)
    })
}

/// The distance of a number from the exact one, in units in the last place of a number of that many digits; 0 where the
/// exact one is out of range or not a number.
fn units(found: f64, exact: f64, digits: i32, least: i32, largest: f64) -> f64 {
    let out_of_range = !exact.is_finite() || exact.abs() > largest;
    if out_of_range || found == exact {
        return 0.0;
    }
    if !found.is_finite() {
        return f64::INFINITY;
    }
    let exponent = (exact.abs().to_bits() >> 52) as i32 - 1023;
    let unit = (exponent - (digits - 1)).max(least);
    // By halves, since a power of 2 this small is out of the range of its reciprocal.
    (found - exact).abs() / 0.5_f64.powi(-unit.min(0)) / 2.0_f64.powi(unit.max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_of_the_exact_number() {
        let (next, least) = (f64::from(f32::EPSILON), 0.5_f64.powi(149));
        let unit = |found, exact| units(found, exact, 24, -149, f64::from(f32::MAX));
        assert_eq!(
            [unit(1.0 + next, 1.0), unit(1.0, 2.0), unit(least, 0.0), unit(3e38, 3e39)],
            [1.0, 4_194_304.0, 1.0, 0.0]
        );
        assert_eq!(units(f64::from_bits(3), f64::from_bits(1), 53, -1074, f64::MAX), 2.0);
        assert_eq!([unit(f64::INFINITY, 1.0), unit(f64::NAN, 1.0)], [f64::INFINITY; 2]);
    }

    /// Every function has its values, and but for those that lose digits by design they agree with them.
    #[test]
    fn values_agree_with_mpmath() {
        for (name, function, accurate) in FUNCTIONS {
            let [value, slope] = in_double(name, function);
            assert!(value < 32.0 || accurate.is_some(), "{name}: {value}");
            assert!(slope.is_finite(), "{name}: {slope}");
        }
        for (name, function) in PAIRS {
            let [value, first, second] = pair_in_double(name, function);
            // `y·x^(y − 1)` has an exponent that was rounded: |ln x| roundings, and ln x is 691 at most.
            let bound = if name == "pow" { 691.0 } else { 64.0 };
            assert!(value <= 2.0 && first < bound && second < 64.0, "{name}: {value} {first} {second}");
        }
    }
}
