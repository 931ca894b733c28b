//! Absolute value, sign, rounding and clamping.

use crate::real::Real;
use crate::tape::op::elementwise::{piecewise_constant, unary};
use crate::tape::op::{Call, Kinks, Number, Pointwise};
use crate::tape::{Var, refuse};

unary! {
    /// `|x|`; the subgradient at 0 is 0
    Abs, abs: |x| x.abs(), slope |x, _y| x.sign(), kinks Kinks::At(vec![(0.0, 0.0)]),
}

piecewise_constant! {
    /// `sign x`: −1, 0 or 1; the derivative is zero
    Sign, sign: |x| if x > T::zero() {
        T::one()
    } else if x < T::zero() {
        -T::one()
    } else {
        x
    },
    kinks Kinks::At(vec![(0.0, 0.0)]),
}

piecewise_constant! {
    /// `⌊x⌋`, the largest integer `≤ x`; the derivative is zero
    Floor, floor: |x| x.floor(), kinks Kinks::Every { first: 0.0, step: 1.0 },
}

piecewise_constant! {
    /// `⌈x⌉`, the smallest integer `≥ x`; the derivative is zero
    Ceil, ceil: |x| x.ceil(), kinks Kinks::Every { first: 0.0, step: 1.0 },
}

piecewise_constant! {
    /// `x` rounded to the nearest integer, halfway cases to the even one; the derivative is zero
    Round, round: |x| x.round_even(), kinks Kinks::Every { first: 0.5, step: 1.0 },
}

/// `min(max(x, low), high)`
#[derive(Debug, PartialEq, Eq, Hash)]
struct Clamp {
    low: Number,
    high: Number,
}

impl Pointwise for Clamp {
    const NAME: &'static str = "clamp";

    #[inline(always)]
    fn value<T: Real>(&self, x: &[T]) -> T {
        let (low, high) = (self.low.real(), self.high.real());
        let raised = if x[0] < low { low } else { x[0] };
        if raised > high { high } else { raised }
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
        if self.low == self.high {
            return x[0].graph().zeros(x[0].shape());
        }
        x[0].greater_equal(self.low.0) * x[0].less_equal(self.high.0)
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
        self.slope(call.inputs, call.y(), input).where_(call.g(), 0.0)
    }

    fn kinks(&self, _input: usize) -> Kinks {
        let ends = [self.low.0, self.high.0].into_iter().filter(|end| end.is_finite() && self.low != self.high);
        Kinks::At(ends.map(|end| (end, 1.0)).collect())
    }
}

impl<'g> Var<'g> {
    /// `min(max(x, low), high)`; the subgradient at either end is 1, as in PyTorch, unless they are equal.
    ///
    /// # Panics
    /// If `low > high` or one of them is NaN.
    #[track_caller]
    pub fn clamp(self, low: f64, high: f64) -> Var<'g> {
        if low.is_nan() || high.is_nan() || low > high {
            refuse("clamp", &[&self.shape()], &format!("the lower end {low} is not below the upper end {high}"));
        }
        self.graph().call(Clamp { low: Number(low), high: Number(high) }, &[self])
    }
}

crate::tape::op::saved_ops! {
    "abs": Abs {},
    "sign": Sign {},
    "floor": Floor {},
    "ceil": Ceil {},
    "round": Round {},
    "clamp": Clamp { low, high },
}

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::Entry;
    use crate::check::strategies::{number, pointwise};
    use proptest::prelude::*;

    let ends = prop_oneof![
        6 => (number(-3.0..1.0), number(0.5..3.0)).prop_map(|(low, width)| (low, low + width)),
        1 => number(-1.0..1.0).prop_map(|low| (low, f64::INFINITY)),
        1 => number(-1.0..1.0).prop_map(|high| (f64::NEG_INFINITY, high)),
    ];
    let clamp = ends.prop_flat_map(|(low, high)| pointwise(Clamp { low: Number(low), high: Number(high) }));
    vec![
        Abs::entry(),
        Sign::entry(),
        Floor::entry(),
        Ceil::entry(),
        Round::entry(),
        Entry::new("clamp", "`min(max(x, low), high)`", clamp).kinks("`x = low`: 1, `x = high`: 1"),
    ]
}

#[cfg(test)]
mod tests {
    use crate::tape::{Graph, Var};
    use crate::tensor::Tensor;

    #[test]
    fn values_and_subgradients_at_kinks() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([-1.5, -1.0, -0.5, 0.0, 0.5, 2.5]));
        let value = |y: Var<'_>| graph.eval(y).unwrap().into_vec();
        assert_eq!(value(x.round()), [-2.0, -1.0, 0.0, 0.0, 0.0, 2.0]);
        assert_eq!(value(x.floor()), [-2.0, -1.0, -1.0, 0.0, 0.0, 2.0]);
        assert_eq!(value(x.ceil()), [-1.0, -1.0, 0.0, 0.0, 1.0, 3.0]);
        let slope = |y: Var<'_>| value(graph.grad_or_zeros(y.sum(), &[x]).unwrap()[0]);
        assert_eq!(slope(x.abs()), [-1.0, -1.0, -1.0, 0.0, 1.0, 1.0]);
        assert_eq!(slope(x.clamp(-1.0, 0.5)), [0.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
        assert_eq!(slope(x.floor()), [0.0; 6]);
    }

    #[test]
    fn nan_stays_nan() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([f64::NAN]));
        for y in [x.abs(), x.sign(), x.round(), x.clamp(0.0, 1.0)] {
            assert!(graph.eval(y).unwrap().item().is_nan());
        }
    }
}
