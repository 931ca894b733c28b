//! Special functions: `erfc` and the inverse of erf, the logarithm of the gamma function and its derivatives, sinc, and
//! logarithms of sums, odds and powers that are accurate where the naive formula is not.
//!
//! Names and conventions are those of PyTorch. The methods are described in `crate::kernel::math::special`; `erfc` and
//! `lgamma` are those of the crate `libm`.

use std::f64::consts::{FRAC_2_SQRT_PI, LN_2, LOG10_E};

use super::norm::Quotient;
use crate::kernel::math::special;
use crate::real::Real;
use crate::tape::op::elementwise::unary;
use crate::tape::op::{Domain, Kinks, Pointwise};
use crate::tape::{Operand, Var};

unary! {
    /// `log₁₀ x`, the logarithm to base 10
    Log10, log10: |x| T::of(libm::log10(x.as_f64())), slope |x, _y| LOG10_E / x, domain Domain::POSITIVE,
}

unary! {
    /// `2ˣ`
    Exp2, exp2: |x| T::of(2.0).powf(x), slope |_x, y| y * LN_2,
}

unary! {
    /// `1 − erf x`, accurate where erf is near 1; by the crate `libm`
    Erfc, erfc: |x| T::of(libm::erfc(x.as_f64())), slope |x, _y| (-(x * x)).exp() * -FRAC_2_SQRT_PI,
}

unary! {
    /// `erf⁻¹ x`, the inverse of erf; ±∞ at ±1; by Winitzki's approximation (2008) and Halley's method
    ErfInv, erfinv: |x| T::of(special::erf_inv(x.as_f64())), slope |_x, y| (y * y).exp() * (1.0 / FRAC_2_SQRT_PI),
    domain Domain::between(-1.0, 1.0),
}

unary! {
    /// `ln |Γ(x)|`; also for negative x, ∞ at 0 and the negative integers; by the crate `libm`
    Lgamma, lgamma: |x| T::of(libm::lgamma(x.as_f64())), slope |x, _y| x.digamma(), domain Domain::POSITIVE,
}

unary! {
    /// `Γ'(x)/Γ(x)`, the derivative of lgamma; also for negative x, NaN at the negative integers; by the recurrence and the asymptotic series (DLMF 5.11.2)
    Digamma, digamma: |x| T::of(special::digamma(x.as_f64())), slope |x, _y| x.polygamma(1), domain Domain::POSITIVE,
}

unary! {
    /// `ln(x/(1 − x))`, the inverse of sigmoid
    Logit, logit: |x| {
        // Near ½ the odds are near 1, and their difference from 1 is exact.
        let rest = T::one() - x;
        let excess = x - T::of(0.5);
        let near = ((excess + excess) / rest).ln_1p();
        let far = (x / rest).ln();
        if excess.abs() < T::of(0.25) { near } else { far }
    },
    slope |x, _y| (x * (1.0 - x)).recip(), domain Domain::between(0.0, 1.0),
}

/// The derivative of digamma of an order `≥ 1`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Polygamma {
    order: u32,
}

impl Pointwise for Polygamma {
    const NAME: &'static str = "polygamma";

    #[inline(always)]
    fn value<T: Real>(&self, x: &[T]) -> T {
        T::of(special::polygamma(self.order, x[0].as_f64()))
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
        x[0].polygamma(self.order + 1)
    }

    fn domain(&self, _input: usize) -> Domain {
        Domain::POSITIVE
    }
}

/// A derivative of `sin(πx)/(πx)`, of order 0 the function itself.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Sinc {
    order: u32,
}

impl Pointwise for Sinc {
    const NAME: &'static str = "sinc";

    #[inline(always)]
    fn value<T: Real>(&self, x: &[T]) -> T {
        T::of(special::sinc_derivative(self.order, x[0].as_f64()))
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
        x[0].graph().call(Sinc { order: self.order + 1 }, &[x[0]])
    }
}

/// `√(x² + y²)`
#[derive(Debug, PartialEq, Eq, Hash)]
struct Hypot;

impl Pointwise for Hypot {
    const NAME: &'static str = "hypot";
    const ARITY: usize = 2;

    #[inline(always)]
    fn value<T: Real>(&self, x: &[T]) -> T {
        special::hypot(x[0], x[1])
    }

    fn slope<'g>(&self, x: &[Var<'g>], y: Var<'g>, input: usize) -> Var<'g> {
        x[input].pointwise(Quotient, y)
    }

    fn kinks(&self, _input: usize) -> Kinks {
        Kinks::Joint
    }
}

/// `x·ln y`, and 0 where `x` is.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Xlogy;

impl Pointwise for Xlogy {
    const NAME: &'static str = "xlogy";
    const ARITY: usize = 2;

    #[inline(always)]
    fn value<T: Real>(&self, x: &[T]) -> T {
        let product = x[0] * x[1].ln();
        if x[0] == T::zero() && !x[1].is_nan() { T::zero() } else { product }
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, input: usize) -> Var<'g> {
        if input == 0 {
            // Where both are 0 the function is 0 along `x`, and so is its slope.
            x[0].equal(0.0).logical_and(x[1].equal(0.0)).where_(0.0, x[1].ln())
        } else {
            x[0].cotangent_over(x[1])
        }
    }

    fn domain(&self, input: usize) -> Domain {
        if input == 0 { Domain::REAL } else { Domain::POSITIVE }
    }
}

/// `ln(eˣ + eʸ)`
#[derive(Debug, PartialEq, Eq, Hash)]
struct LogAddExp;

impl Pointwise for LogAddExp {
    const NAME: &'static str = "logaddexp";
    const ARITY: usize = 2;

    #[inline(always)]
    fn value<T: Real>(&self, x: &[T]) -> T {
        special::log_add_exp(x[0], x[1])
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, input: usize) -> Var<'g> {
        let (own, other) = (x[input], x[1 - input]);
        // The difference of equal infinities is taken as 0.
        let equal = own.equal(other).logical_and(own.is_finite().logical_not());
        equal.where_(0.0, own - other).softplus_slope()
    }
}

impl<'g> Var<'g> {
    /// `ψ⁽ⁿ⁾(x) = dⁿ⁺¹/dxⁿ⁺¹ ln Γ(x)`, the derivative of [`Var::digamma`] of the given order: `polygamma(1)` is the
    /// first, and order 0 digamma itself. By the Hurwitz zeta function (DLMF 25.11.28).
    ///
    /// Orders above 1 are NaN for negative `x`.
    #[track_caller]
    pub fn polygamma(self, order: u32) -> Var<'g> {
        if order == 0 { self.digamma() } else { self.graph().call(Polygamma { order }, &[self]) }
    }

    /// `sin(πx)/(πx)`, and 1 at 0: the normalised sinc, as in NumPy and PyTorch
    #[track_caller]
    pub fn sinc(self) -> Var<'g> {
        self.graph().call(Sinc { order: 0 }, &[self])
    }

    /// `√(x² + y²)`, without overflow of the squares; the derivatives at the origin are 0.
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn hypot(self, other: impl Operand<'g>) -> Var<'g> {
        self.pointwise(Hypot, other)
    }

    /// `x·ln y`, and 0 where `x` is 0, even if `y` is 0 or infinite, as in PyTorch. There the derivative with respect
    /// to `x` is 0 if `y` is 0, and that with respect to `y` is always 0.
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let p = graph.constant(&Tensor::from([0.5, 0.5, 0.0]));
    /// let entropy = -p.xlogy(p).sum();
    /// assert_eq!(graph.eval(entropy)?.item(), 2.0_f64.ln());
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn xlogy(self, other: impl Operand<'g>) -> Var<'g> {
        self.pointwise(Xlogy, other)
    }

    /// `ln(eˣ + eʸ)`, without overflow. The derivatives are the sigmoids of `x − y` and `y − x`.
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn logaddexp(self, other: impl Operand<'g>) -> Var<'g> {
        self.pointwise(LogAddExp, other)
    }
}

crate::tape::op::saved_ops! {
    "log10": Log10 {},
    "exp2": Exp2 {},
    "erfc": Erfc {},
    "erfinv": ErfInv {},
    "lgamma": Lgamma {},
    "digamma": Digamma {},
    "logit": Logit {},
    "polygamma": Polygamma { order },
    "sinc": Sinc { order },
    "hypot": Hypot {},
    "xlogy": Xlogy {},
    "logaddexp": LogAddExp {},
}

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{away_from, pointwise, shape, tensor};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    let polygamma = (1..4_u32).prop_flat_map(|order| pointwise(Polygamma { order }));
    let sinc = (0..3_u32).prop_flat_map(|order| pointwise(Sinc { order }));
    let hypot = shape(5).prop_flat_map(|shape| {
        (away_from(shape.clone(), -4.0..4.0, &[0.0]), tensor(shape, -4.0..4.0), any::<bool>())
            .prop_map(|(x, y, swap)| Sample::new(Hypot, if swap { [y.into(), x.into()] } else { [x.into(), y.into()] }))
    });
    vec![
        Log10::entry(),
        Exp2::entry(),
        Erfc::entry(),
        ErfInv::entry(),
        Lgamma::entry(),
        Digamma::entry(),
        Logit::entry(),
        Entry::new("polygamma", "the n-th derivative of `digamma`, n ≥ 1; n = 1 also for negative x", polygamma),
        Entry::new("sinc", "`sin(πx)/(πx)`, 1 at 0, and its derivatives", sinc),
        Entry::new("hypot", "`√(x² + y²)`", hypot).kinks("the origin: 0"),
        Entry::pointwise(Xlogy, "`x·ln y`, and 0 where `x = 0`"),
        Entry::pointwise(LogAddExp, "`ln(eˣ + eʸ)`"),
    ]
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    fn values(y: Var<'_>) -> Vec<f64> {
        y.graph().eval(y).unwrap().into_vec()
    }

    fn slopes<'g>(y: Var<'g>, x: Var<'g>) -> Vec<f64> {
        values(y.graph().grad(y.sum(), &[x]).unwrap()[0])
    }

    #[test]
    fn formulas_would_lose_these_digits() {
        let graph = Graph::new();
        let of = |x: f64| graph.constant(&Tensor::from([x]));
        // Expected values from mpmath: `erfc(10)`, `log(mpf(x)/(1 - mpf(x)))`, `sinpi(x)/(pi*x)`,
        // `loggamma(1 + mpf(x))`.
        let cases = [
            (of(10.0).erfc(), 2.088_487_583_762_545e-45),
            (of(0.5 + 2.0_f64.powi(-40)).logit(), 3.637_978_807_091_713e-12),
            (of(0.5 - 2.0_f64.powi(-54)).logit(), -2.220_446_049_250_313e-16),
            (of(1.0 - 2.0_f64.powi(-30)).sinc(), 9.313_225_754_828_402e-10),
            (of(1.0 + 2.0_f64.powi(-30)).lgamma(), -5.375_739_784_311_044e-10),
            (of(3e200).hypot(4e200), 5e200),
            (of(1e-300).asinh(), 1e-300),
            (of(-1e300).asinh(), -691.468_675_078_773_6),
            (of(1e300).acosh(), 691.468_675_078_773_6),
            (of(1.0 + 2.0_f64.powi(-40)).acosh(), 1.348_699_152_348_506_8e-6),
            (of(1e-20).atanh(), 1e-20),
            (of(1000.0).log10(), 3.0),
            (of(10.0).exp2(), 1024.0),
            (of(1000.0).logaddexp(1000.0), 1000.0 + LN_2),
        ];
        for (y, expected) in cases {
            let found = values(y)[0];
            assert!((found / expected - 1.0).abs() < 1e-15, "{y:?}: {found:e} and not {expected:e}");
        }
    }

    #[test]
    fn conventions_at_the_ends() {
        let graph = Graph::new();
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        let x = graph.constant(&Tensor::from([0.0, 0.0, 2.0, 0.0]));
        let y = graph.constant(&Tensor::from([0.0, inf, 0.0, nan]));
        let product = values(x.xlogy(y));
        assert_eq!(product[..3], [0.0, 0.0, -inf]);
        assert!(product[3].is_nan());
        assert_eq!(slopes(x.xlogy(y), x)[..3], [0.0, inf, -inf]);
        assert_eq!(slopes(x.xlogy(y), y)[..3], [0.0, 0.0, inf]);

        let ends = graph.constant(&Tensor::from([0.0, 1.0, -0.5, 1.5]));
        let logits = values(ends.logit());
        assert_eq!(logits[..2], [-inf, inf]);
        assert!(logits[2].is_nan() && logits[3].is_nan());

        let zero = graph.constant(&Tensor::from([0.0]));
        assert_eq!([slopes(zero.hypot(zero * 1.0), zero), slopes(zero.atan2(zero), zero)], [[0.0], [0.0]]);
        assert_eq!((values(zero.sinc()), slopes(zero.sinc(), zero)), (vec![1.0], vec![0.0]));
        let slope = graph.grad(zero.sinc().sum(), &[zero]).unwrap()[0];
        assert!((slopes(slope, zero)[0] + std::f64::consts::PI.powi(2) / 3.0).abs() < 1e-15);

        let masked = graph.constant(&Tensor::from([-inf, -inf]));
        let other = graph.constant(&Tensor::from([-inf, 1.0]));
        assert_eq!(slopes(masked.logaddexp(other), masked), [0.5, 0.0]);
        assert_eq!(slopes(masked.logaddexp(other), other), [0.5, 1.0]);
        // The second derivative where both are equal is ¼, although neither is the larger.
        let slope = graph.grad(zero.logaddexp(graph.zeros([1])).sum(), &[zero]).unwrap()[0];
        assert_eq!(slopes(slope, zero), [0.25]);
    }

    #[test]
    fn slopes_are_those_of_the_next_function() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([0.25, 1.5, -0.75]));
        assert_eq!(slopes(x.lgamma(), x), values(x.digamma()));
        assert_eq!(slopes(x.digamma(), x), values(x.polygamma(1)));
        assert_eq!(values(x.polygamma(0)), values(x.digamma()));
    }
}
