//! Activation functions, with PyTorch's definitions and defaults.
//!
//! Values and slopes are finite for large inputs of either sign.

use crate::kernel::math::DENSITY_AT_0;
use crate::real::Real;
use crate::tape::Var;
use crate::tape::op::elementwise::unary;
use crate::tape::op::{Call, Kinks, Number, Pointwise};

/// `√(2/π)`, of the tanh form of GELU.
const TANH_SCALE: f64 = 0.797_884_560_802_865_4;
/// The factor of `x³` in the tanh form of GELU (Hendrycks and Gimpel 2016).
const TANH_CUBE: f64 = 0.044_715;
/// Scale and α of SELU (Klambauer et al. 2017), to all digits.
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;

/// `max(x, 0)`
#[derive(Debug, PartialEq, Eq, Hash)]
struct Relu;

impl Pointwise for Relu {
    const NAME: &'static str = "relu";

    #[inline(always)]
    fn value<T: Real>(&self, x: &[T]) -> T {
        if x[0] < T::zero() { T::zero() } else { x[0] }
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
        x[0].greater(0.0)
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        // A selection, not a product: an infinite cotangent times 0 would be NaN.
        call.x(0).greater(0.0).where_(call.g(), 0.0)
    }

    fn kinks(&self, _input: usize) -> Kinks {
        Kinks::At(vec![(0.0, 0.0)])
    }
}

unary! {
    /// `1 / (1 + e^(−x))`; its derivative `y·(1 − y)` has an absolute error of two roundings of 1, so its relative error grows as y approaches 1
    Sigmoid, sigmoid: |x| x.sigmoid(), slope |_x, y| y * (1.0 - y),
}

unary! {
    /// `1 / (1 + e^(−x))`, the derivative of softplus; its derivative is the product of its values at x and −x, which is accurate where one of them is near 1
    SoftplusSlope, softplus_slope: |x| x.sigmoid(), slope |x, y| y * (-x).softplus_slope(),
}

unary! {
    /// `ln(1 + eˣ)`
    Softplus, softplus: |x| x.softplus(), slope |x, _y| x.softplus_slope(),
}

unary! {
    /// `ln(sigmoid(x))`
    LogSigmoid, log_sigmoid: |x| -(-x).softplus(), slope |x, _y| (-x).softplus_slope(),
}

unary! {
    /// `x · sigmoid(x)`, also called swish (Elfwing et al. 2017)
    Silu, silu: |x| weighted(x, x.sigmoid()), slope |x, y| x.sigmoid() + (-x).sigmoid().cotangent_times(y),
}

unary! {
    /// `x · tanh(softplus(x))` (Misra 2019)
    Mish, mish: |x| weighted(x, x.softplus().tanh()), slope |x, _y| {
        let t = x.softplus().tanh();
        t + ((1.0 - t * t) * x.sigmoid()).cotangent_times(x)
    },
}

unary! {
    /// `x · Φ(x)` with the normal distribution function Φ (Hendrycks and Gimpel 2016); for negative x its relative error grows with x², as that of the density φ(x)
    Gelu, gelu: |x| {
        let above = if x < T::zero() { T::zero() } else { x };
        above - weighted(x.abs(), x.normal_tail().1)
    },
    slope |x, _y| x.gelu_slope(),
}

unary! {
    /// `Φ(x) + x·φ(x)` with the normal distribution function Φ and density φ, the derivative of gelu; near its zero at −0.75 it is within a few roundings of 1
    GeluSlope, gelu_slope: |x| {
        let (density, tail) = x.normal_tail();
        (if x < T::zero() { tail } else { T::one() - tail }) + weighted(x, density)
    },
    slope |x, _y| {
        let density = (x * x * -0.5).exp() * DENSITY_AT_0;
        density.cotangent_times(2.0 - x * x)
    },
}

unary! {
    /// GELU by the approximation `x/2 · (1 + tanh(√(2/π)·(x + 0.044715·x³)))`; for negative x it is within two roundings of x
    GeluTanh, gelu_tanh: |x| {
        let inner = T::of(TANH_SCALE) * (x + T::of(TANH_CUBE) * x * x * x);
        weighted(x, T::of(0.5) * (T::one() + inner.tanh()))
    },
    slope |x, _y| x.gelu_tanh_slope(),
}

unary! {
    /// The derivative of gelu_tanh, `(1 + t)/2 + (1 − t²)·√(2/π)·(x + 3·0.044715·x³)/2` with `t = tanh(√(2/π)·(x + 0.044715·x³))`; it is within two roundings of 1
    GeluTanhSlope, gelu_tanh_slope: |x| {
        let t = ((x + x * x * x * T::of(TANH_CUBE)) * T::of(TANH_SCALE)).tanh();
        let growth = x * (x * x * T::of(3.0 * TANH_CUBE) + T::one()) * T::of(0.5 * TANH_SCALE);
        (t + T::one()) * T::of(0.5) + weighted(growth, T::one() - t * t)
    },
    slope |x, _y| {
        let square = x * x;
        let t = ((x + x * square * TANH_CUBE) * TANH_SCALE).tanh();
        // With the argument u of tanh: u' + x·u''/2 − x·t·u'², times 1 − t².
        let first = (square * (3.0 * TANH_CUBE) + 1.0) * TANH_SCALE;
        let rest = first + square * (3.0 * TANH_CUBE * TANH_SCALE) - x * t * first.square();
        (1.0 - t * t).cotangent_times(rest)
    },
}

unary! {
    /// `x / (1 + |x|)`; its second derivative jumps at 0
    Softsign, softsign: |x| {
        let y = x / (T::one() + x.abs());
        let end = if x > T::zero() { T::one() } else { -T::one() };
        if x.is_infinite() { end } else { y }
    },
    slope |x, _y| (x.abs() + 1.0).recip().square(), kinks Kinks::At(vec![(0.0, 1.0)]),
}

unary! {
    /// `x` clamped to [−1, 1]; the subgradient at ±1 is 0
    HardTanh, hard_tanh: |x| {
        let raised = if x < -T::one() { -T::one() } else { x };
        if raised > T::one() { T::one() } else { raised }
    },
    slope |x, _y| x.abs().less(1.0), kinks Kinks::At(vec![(-1.0, 0.0), (1.0, 0.0)]),
}

unary! {
    /// `x/6 + 1/2` clamped to [0, 1]; the subgradient at ±3 is 0
    HardSigmoid, hard_sigmoid: |x| clamped(x / T::of(6.0) + T::of(0.5)),
    slope |x, _y| x.abs().less(3.0) * (1.0 / 6.0), kinks Kinks::At(vec![(-3.0, 0.0), (3.0, 0.0)]),
}

unary! {
    /// `x · hard_sigmoid(x)`; the subgradient is 0 at −3 and 1 at 3
    HardSwish, hard_swish: |x| if x > -T::of(3.0) || x.is_nan() { x * clamped(x / T::of(6.0) + T::of(0.5)) } else { T::zero() },
    slope |x, _y| x.abs().less(3.0).where_(x * (1.0 / 3.0) + 0.5, x.greater_equal(3.0)),
    kinks Kinks::At(vec![(-3.0, 0.0), (3.0, 1.0)]),
}

unary! {
    /// `1.0507 · elu(x)` with α = 1.6733 (Klambauer et al. 2017); the subgradient at 0 is that from the left
    Selu, selu: |x| {
        // Not computed in the branch, which would keep loops from being vectorised.
        let below = T::of(SELU_ALPHA) * x.exp_m1();
        T::of(SELU_SCALE) * if x > T::zero() { x } else { below }
    },
    slope |x, _y| x.greater(0.0).where_(SELU_SCALE, x.exp() * (SELU_SCALE * SELU_ALPHA)),
    kinks Kinks::At(vec![(0.0, SELU_SCALE * SELU_ALPHA)]),
}

/// `x · weight`, and 0 for a weight of 0 and an infinite `x`, which is the limit at −∞.
#[inline(always)]
fn weighted<T: Real>(x: T, weight: T) -> T {
    let product = x * weight;
    if weight == T::zero() && x.is_infinite() { T::zero() } else { product }
}

/// Clamps to [0, 1].
#[inline(always)]
fn clamped<T: Real>(x: T) -> T {
    let raised = if x < T::zero() { T::zero() } else { x };
    if raised > T::one() { T::one() } else { raised }
}

/// `x` above 0, `slope·x` below.
#[derive(Debug, PartialEq, Eq, Hash)]
struct LeakyRelu {
    slope: Number,
}

impl Pointwise for LeakyRelu {
    const NAME: &'static str = "leaky_relu";

    #[inline(always)]
    fn value<T: Real>(&self, x: &[T]) -> T {
        if x[0] > T::zero() { x[0] } else { weighted(x[0], self.slope.real()) }
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
        x[0].greater(0.0).where_(1.0, self.slope.0)
    }

    fn kinks(&self, _input: usize) -> Kinks {
        Kinks::At(vec![(0.0, self.slope.0)])
    }
}

/// `x` above 0, `α·(eˣ − 1)` below.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Elu {
    alpha: Number,
}

impl Pointwise for Elu {
    const NAME: &'static str = "elu";

    #[inline(always)]
    fn value<T: Real>(&self, x: &[T]) -> T {
        // Not computed in the branch, which would keep loops from being vectorised.
        let below = self.alpha.real::<T>() * x[0].exp_m1();
        if x[0] > T::zero() { x[0] } else { below }
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
        x[0].greater(0.0).where_(1.0, x[0].exp() * self.alpha.0)
    }

    fn kinks(&self, _input: usize) -> Kinks {
        Kinks::At(vec![(0.0, self.alpha.0)])
    }
}

impl<'g> Var<'g> {
    /// `max(x, 0)`; the subgradient at 0 is 0, as in PyTorch
    #[track_caller]
    pub fn relu(self) -> Var<'g> {
        self.graph().call(Relu, &[self])
    }

    /// `x` above 0, `slope·x` below (PyTorch's slope is 0.01); the subgradient at 0 is `slope`
    #[track_caller]
    pub fn leaky_relu(self, slope: f64) -> Var<'g> {
        self.graph().call(LeakyRelu { slope: Number(slope) }, &[self])
    }

    /// `x` above 0, `alpha·(eˣ − 1)` below (PyTorch's alpha is 1); the subgradient at 0 is `alpha`
    #[track_caller]
    pub fn elu(self, alpha: f64) -> Var<'g> {
        self.graph().call(Elu { alpha: Number(alpha) }, &[self])
    }
}

crate::tape::op::saved_ops! {
    "relu": Relu {},
    "leaky_relu": LeakyRelu { slope },
    "elu": Elu { alpha },
    "sigmoid": Sigmoid {},
    "softplus_slope": SoftplusSlope {},
    "softplus": Softplus {},
    "log_sigmoid": LogSigmoid {},
    "silu": Silu {},
    "mish": Mish {},
    "gelu": Gelu {},
    "gelu_slope": GeluSlope {},
    "gelu_tanh": GeluTanh {},
    "gelu_tanh_slope": GeluTanhSlope {},
    "softsign": Softsign {},
    "hard_tanh": HardTanh {},
    "hard_sigmoid": HardSigmoid {},
    "hard_swish": HardSwish {},
    "selu": Selu {},
}

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::Entry;
    use crate::check::strategies::pointwise;
    use proptest::prelude::*;

    let slopes = prop::sample::select(vec![0.25, 0.0, -0.5, 2.0]);
    let leaky_relu = slopes.prop_flat_map(|slope| pointwise(LeakyRelu { slope: Number(slope) }));
    let alphas = prop::sample::select(vec![1.0, 0.25, 1.5, -0.5]);
    let elu = alphas.prop_flat_map(|alpha| pointwise(Elu { alpha: Number(alpha) }));
    vec![
        Entry::pointwise(Relu, "`max(x, 0)`"),
        Sigmoid::entry(),
        Softplus::entry(),
        SoftplusSlope::entry(),
        LogSigmoid::entry(),
        Silu::entry(),
        Mish::entry(),
        Gelu::entry(),
        GeluSlope::entry(),
        GeluTanh::entry(),
        GeluTanhSlope::entry(),
        Softsign::entry(),
        HardTanh::entry(),
        HardSigmoid::entry(),
        HardSwish::entry(),
        Selu::entry(),
        Entry::new("leaky_relu", "`x` where `x > 0`, else `slope·x`", leaky_relu).kinks("`x = 0`: slope"),
        Entry::new("elu", "`x` where `x > 0`, else `α·(eˣ − 1)`", elu).kinks("`x = 0`: α"),
    ]
}

#[cfg(test)]
mod tests {
    use super::{Real, SELU_ALPHA, SELU_SCALE};
    use crate::tape::{Graph, Var};
    use crate::tensor::Tensor;

    /// Every activation under its name.
    fn all<'g>(x: Var<'g>) -> Vec<(&'static str, Var<'g>)> {
        vec![
            ("relu", x.relu()),
            ("sigmoid", x.sigmoid()),
            ("softplus", x.softplus()),
            ("log_sigmoid", x.log_sigmoid()),
            ("silu", x.silu()),
            ("mish", x.mish()),
            ("gelu", x.gelu()),
            ("gelu_tanh", x.gelu_tanh()),
            ("softsign", x.softsign()),
            ("hard_tanh", x.hard_tanh()),
            ("hard_sigmoid", x.hard_sigmoid()),
            ("hard_swish", x.hard_swish()),
            ("selu", x.selu()),
            ("leaky_relu", x.leaky_relu(0.01)),
            ("elu", x.elu(1.0)),
        ]
    }

    /// Values of the defining formulas, computed in twice the precision.
    #[test]
    fn values_at_one_and_minus_one() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([1.0, -1.0]));
        let expected = [
            [1.0, 0.0],
            [0.731_058_578_630_004_9, 0.268_941_421_369_995_1],
            [1.313_261_687_518_222_8, 0.313_261_687_518_222_86],
            [-0.313_261_687_518_222_86, -1.313_261_687_518_222_8],
            [0.731_058_578_630_004_9, -0.268_941_421_369_995_1],
            [0.865_098_388_267_310_3, -0.303_401_461_374_108_57],
            [0.841_344_746_068_542_9, -0.158_655_253_931_457_05],
            [0.841_191_990_608_276_8, -0.158_808_009_391_723_24],
            [0.5, -0.5],
            [1.0, -1.0],
            [2.0 / 3.0, 1.0 / 3.0],
            [2.0 / 3.0, -1.0 / 3.0],
            [1.050_700_987_355_480_5, -1.111_330_737_812_562_8],
            [1.0, -0.01],
            [1.0, -0.632_120_558_828_557_7],
        ];
        for ((name, y), expected) in all(x).into_iter().zip(expected) {
            let found = graph.eval(y).unwrap();
            assert!(found.is_close(&Tensor::from(expected), 1e-14, 0.0), "{name}: {found:?}");
        }
    }

    #[test]
    fn values_and_two_derivatives_stay_finite_far_out() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([-1e4, -100.0, 0.0, 100.0, 1e4]));
        for (name, y) in all(x) {
            let first = graph.grad(y.sum(), &[x]).unwrap()[0];
            let second = graph.grad_or_zeros(first.sum(), &[x]).unwrap()[0];
            for value in [y, first, second] {
                assert_eq!(graph.eval(value).unwrap().first_non_finite(), None, "{name}");
            }
        }
    }

    /// Functions whose values or slopes are inaccurate where they are small compared with `x` or 1, as documented.
    const ROUGH_VALUES: [&str; 1] = ["gelu_tanh"];
    const ROUGH_SLOPES: [&str; 4] = ["sigmoid", "gelu", "gelu_tanh", "mish"];

    /// At sizes from 1e-300 to the largest number, against values from mpmath.
    fn close_at_every_size<T: Real>() {
        let table = include_str!("../../tests/activations/values.txt");
        let graph = Graph::new();
        let one = graph.constant(&Tensor::from([1.0]));
        for (name, _) in all(one) {
            // Numbers that the precision does not have are left out.
            let within = |x: f64| T::of(x).is_finite() && x.abs() >= T::min_positive_value().as_f64();
            let rows: Vec<[f64; 3]> = (table.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' ')))
                .map(|row| row.split(' ').map(|number| number.parse().unwrap()).collect::<Vec<f64>>())
                .map(|row| row.try_into().unwrap())
                .filter(|row: &[f64; 3]| within(row[0]))
                .collect();
            assert!(rows.len() > 16, "{name}");
            let x = graph.constant(&Tensor::from_fn([rows.len()], |k| rows[k][0]));
            let y = all(x).into_iter().find(|other| other.0 == name).unwrap().1;
            let slope = graph.grad(y.sum(), &[x]).unwrap()[0];
            let found = graph.eval_with::<T>(&[y, slope], &crate::Params::new(0), &crate::Feed::new()).unwrap();
            for (column, found) in found.iter().enumerate() {
                for (row, found) in rows.iter().zip(found.real().data()) {
                    let (x, found) = (row[0], found.as_f64());
                    let expected = T::of(row[column + 1]).as_f64();
                    let rough = match column {
                        0 if name == "gelu" && x < 0.0 && expected != 0.0 => expected.abs() * x * x,
                        0 if ROUGH_VALUES.contains(&name) => x.abs(),
                        1 if ROUGH_SLOPES.contains(&name) => 1.0,
                        _ => 0.0,
                    };
                    // A weight that is subnormal has few digits itself.
                    let least = T::min_positive_value().as_f64() * T::EPS * (1.0 + x.abs().min(1e4));
                    let limit = 8.0 * T::EPS * expected.abs().max(rough) + least;
                    let what = ["value", "slope"][column];
                    assert!(
                        found == expected || (found - expected).abs() <= limit,
                        "{name}, {what} at {x:e} in {}: {found:e} and not {expected:e}",
                        T::NAME
                    );
                }
            }
        }
    }

    #[test]
    fn values_and_slopes_at_every_size() {
        close_at_every_size::<f64>();
        close_at_every_size::<f32>();
    }

    /// Values at 0, −0, ∞ and −∞, then slopes.
    #[test]
    fn values_and_slopes_at_zero_and_at_infinity() {
        let inf = f64::INFINITY;
        let half_log = -std::f64::consts::LN_2;
        let expected: [[[f64; 4]; 2]; 15] = [
            [[0.0, 0.0, inf, 0.0], [0.0, 0.0, 1.0, 0.0]],
            [[0.5, 0.5, 1.0, 0.0], [0.25, 0.25, 0.0, 0.0]],
            [[-half_log, -half_log, inf, 0.0], [0.5, 0.5, 1.0, 0.0]],
            [[half_log, half_log, 0.0, -inf], [0.5, 0.5, 0.0, 1.0]],
            [[0.0, 0.0, inf, 0.0], [0.5, 0.5, 1.0, 0.0]],
            [[0.0, 0.0, inf, 0.0], [0.6, 0.6, 1.0, 0.0]],
            [[0.0, 0.0, inf, 0.0], [0.5, 0.5, 1.0, 0.0]],
            [[0.0, 0.0, inf, 0.0], [0.5, 0.5, 1.0, 0.0]],
            [[0.0, 0.0, 1.0, -1.0], [1.0, 1.0, 0.0, 0.0]],
            [[0.0, 0.0, 1.0, -1.0], [1.0, 1.0, 0.0, 0.0]],
            [[0.5, 0.5, 1.0, 0.0], [1.0 / 6.0, 1.0 / 6.0, 0.0, 0.0]],
            [[0.0, 0.0, inf, 0.0], [0.5, 0.5, 1.0, 0.0]],
            [
                [0.0, 0.0, inf, -SELU_SCALE * SELU_ALPHA],
                [SELU_SCALE * SELU_ALPHA, SELU_SCALE * SELU_ALPHA, SELU_SCALE, 0.0],
            ],
            [[0.0, 0.0, inf, -inf], [0.01, 0.01, 1.0, 0.01]],
            [[0.0, 0.0, inf, -1.0], [1.0, 1.0, 1.0, 0.0]],
        ];
        fn check<T: Real>(expected: &[[[f64; 4]; 2]]) {
            let graph = Graph::new();
            let x = graph.constant(&Tensor::from([0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY]));
            for ((name, y), expected) in all(x).into_iter().zip(expected) {
                let slope = graph.grad(y.sum(), &[x]).unwrap()[0];
                let found = graph.eval_with::<T>(&[y, slope], &crate::Params::new(0), &crate::Feed::new()).unwrap();
                for (found, expected) in found.iter().zip(expected) {
                    for (found, expected) in found.real().data().iter().zip(expected) {
                        let error = (found.as_f64() - expected).abs();
                        assert!(
                            found.as_f64() == *expected || error <= 2.0 * T::EPS,
                            "{name}: {found} and not {expected}"
                        );
                    }
                }
            }
            // Odd functions and those that are 0 at 0 keep the sign of a zero.
            let zero = graph.constant(&Tensor::from([-0.0]));
            let none = graph
                .eval_with::<T>(
                    &[graph.constant(&Tensor::from([f64::NEG_INFINITY])).leaky_relu(0.0), zero.softsign()],
                    &crate::Params::new(0),
                    &crate::Feed::new(),
                )
                .unwrap();
            assert_eq!(none[0].real().data()[0], T::zero());
            assert!(none[1].real().data()[0].is_sign_negative());
        }
        check::<f64>(&expected);
        check::<f32>(&expected);
    }

    /// Slopes of saturated outputs, and the derivatives of the slopes of softplus and its relatives.
    #[test]
    fn saturation_costs_no_digits() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([-40.0, 40.0]));
        let tiny = (-40.0_f64).exp();
        let first = |y: Var<'_>| graph.eval(graph.grad(y.sum(), &[x]).unwrap()[0]).unwrap();
        first(x.exp_m1()).assert_close(&Tensor::from([tiny, 40.0_f64.exp()]), 1e-15, 0.0);
        first(x.elu(2.0)).assert_close(&Tensor::from([2.0 * tiny, 1.0]), 1e-15, 0.0);
        first(x.selu()).assert_close(&Tensor::from([SELU_SCALE * SELU_ALPHA * tiny, SELU_SCALE]), 1e-15, 0.0);
        for y in [x.softplus(), -x.log_sigmoid()] {
            let slope = graph.grad(y.sum(), &[x]).unwrap()[0];
            first(slope).assert_close(&Tensor::from([tiny, tiny]), 1e-15, 0.0);
        }
    }

    /// The bounds that the pages of sigmoid and tanh state.
    #[test]
    fn slopes_from_outputs_are_within_two_roundings_of_one() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from_fn([4001], |k| (k as f64 - 2000.0) * 0.01));
        let accurate = [x.softplus_slope() * (-x).softplus_slope(), x.cosh().square().recip()];
        for (y, accurate) in [x.sigmoid(), x.tanh()].into_iter().zip(accurate) {
            let slope = graph.grad(y.sum(), &[x]).unwrap()[0];
            let error = graph.eval((slope - accurate).abs().max()).unwrap().item();
            assert!(error <= 2.0 * f64::EPSILON, "{error:e}");
        }
    }

    #[test]
    fn a_unit_that_is_off_stays_off_under_an_infinite_cotangent() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([0.0]));
        let slope = graph.grad(x.relu().sqrt().sum(), &[x]).unwrap()[0];
        assert_eq!(graph.eval(slope).unwrap().item(), 0.0);
    }

    #[test]
    fn nan_stays_nan() {
        let graph = Graph::new();
        for (name, y) in all(graph.full([1], f64::NAN)) {
            assert!(graph.eval(y).unwrap().item().is_nan(), "{name}");
        }
    }
}
