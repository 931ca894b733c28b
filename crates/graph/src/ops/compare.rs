//! Comparisons, logic on masks, choice by a mask, and the larger and smaller of two.
//!
//! A mask holds the real numbers 1 (true) and 0 (false); any nonzero number is true. The derivative of a mask is zero.

use crate::real::Real;
use crate::tape::op::elementwise::piecewise_constant;
use crate::tape::op::{Call, Derivative, Kinks, Pointwise};
use crate::tape::{Operand, Var};

/// Defines an op of two inputs whose output is a mask, and its method on `Var`.
macro_rules! mask {
    ($(#[doc = $doc:literal])+ $op:ident, $method:ident: |$a:ident, $b:ident| $value:expr, kinks $kinks:expr) => {
        $(#[doc = $doc])+
        #[derive(Debug, PartialEq, Eq, Hash)]
        struct $op;

        impl Pointwise for $op {
            const NAME: &'static str = stringify!($method);
            const ARITY: usize = 2;

            #[inline(always)]
            fn value<T: Real>(&self, x: &[T]) -> T {
                let ($a, $b) = (x[0], x[1]);
                if $value { T::one() } else { T::zero() }
            }

            fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
                x[0].graph().zeros(x[0].shape())
            }

            fn derivative(&self, _input: usize) -> Derivative {
                Derivative::Zero
            }

            fn kinks(&self, _input: usize) -> Kinks {
                $kinks
            }
        }

        #[cfg(any(test, feature = "proptest"))]
        impl $op {
            /// The entry of the op in the suite.
            fn entry() -> crate::check::Entry {
                crate::check::Entry::pointwise($op, concat!($($doc),+))
            }
        }

        impl<'g> Var<'g> {
            $(#[doc = $doc])+
            ///
            /// A mask holds the real numbers 1 (true) and 0 (false); in logical operations and in [`Var::where_`] any
            /// nonzero number is true. The derivative of a mask is zero.
            ///
            /// # Panics
            /// If the shapes do not broadcast.
            #[track_caller]
            pub fn $method(self, other: impl Operand<'g>) -> Var<'g> {
                self.pointwise($op, other)
            }
        }
    };
}

mask! {
    /// `x = y` as a mask
    Equal, equal: |a, b| a == b, kinks Kinks::Ties
}

mask! {
    /// `x ≠ y` as a mask
    NotEqual, not_equal: |a, b| a != b, kinks Kinks::Ties
}

mask! {
    /// `x < y` as a mask
    Less, less: |a, b| a < b, kinks Kinks::Ties
}

mask! {
    /// `x ≤ y` as a mask
    LessEqual, less_equal: |a, b| a <= b, kinks Kinks::Ties
}

mask! {
    /// `x > y` as a mask
    Greater, greater: |a, b| a > b, kinks Kinks::Ties
}

mask! {
    /// `x ≥ y` as a mask
    GreaterEqual, greater_equal: |a, b| a >= b, kinks Kinks::Ties
}

mask! {
    /// `x ∧ y` as a mask: whether both are true
    And, logical_and: |a, b| a != T::zero() && b != T::zero(), kinks Kinks::At(vec![(0.0, 0.0)])
}

mask! {
    /// `x ∨ y` as a mask: whether one or both are true
    Or, logical_or: |a, b| a != T::zero() || b != T::zero(), kinks Kinks::At(vec![(0.0, 0.0)])
}

mask! {
    /// `x ⊻ y` as a mask: whether exactly one is true
    Xor, logical_xor: |a, b| (a != T::zero()) != (b != T::zero()), kinks Kinks::At(vec![(0.0, 0.0)])
}

piecewise_constant! {
    /// `¬x` as a mask: whether it is false
    Not, logical_not: |x| if x == T::zero() { T::one() } else { T::zero() }, kinks Kinks::At(vec![(0.0, 0.0)]),
}

piecewise_constant! {
    /// Where `x` is neither NaN nor infinite, as a mask
    IsFinite, is_finite: |x| if x.is_finite() { T::one() } else { T::zero() }, kinks Kinks::None,
}

piecewise_constant! {
    /// Where `x` is NaN, as a mask
    IsNan, is_nan: |x| if x.is_nan() { T::one() } else { T::zero() }, kinks Kinks::None,
}

/// The second input where the first is true, else the third.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Where;

impl Pointwise for Where {
    const NAME: &'static str = "where";
    const ARITY: usize = 3;

    #[inline(always)]
    fn value<T: Real>(&self, x: &[T]) -> T {
        if x[0] != T::zero() { x[1] } else { x[2] }
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, input: usize) -> Var<'g> {
        match input {
            0 => x[0].graph().zeros(x[0].shape()),
            1 => x[0].not_equal(0.0),
            _ => x[0].logical_not(),
        }
    }

    fn derivative(&self, input: usize) -> Derivative {
        if input == 0 { Derivative::Zero } else { Derivative::Rule }
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
        let (mask, g) = (call.x(0), call.g());
        // A selection, not a product: an infinite cotangent times 0 would be NaN.
        if input == 1 { mask.where_(g, 0.0) } else { mask.where_(0.0, g) }
    }

    fn kinks(&self, input: usize) -> Kinks {
        if input == 0 { Kinks::At(vec![(0.0, 0.0)]) } else { Kinks::None }
    }
}

/// The cotangent where the mask is true, half of it where the two inputs are equal, else zero.
fn share<'g>(mask: Var<'g>, call: Call<'_, 'g>) -> Var<'g> {
    let half = call.x(0).equal(call.x(1)).where_(call.g() * 0.5, 0.0);
    mask.where_(call.g(), half)
}

/// The larger of two.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Maximum;

impl Pointwise for Maximum {
    const NAME: &'static str = "maximum";
    const ARITY: usize = 2;

    #[inline(always)]
    fn value<T: Real>(&self, x: &[T]) -> T {
        if x[0] > x[1] || x[0].is_nan() { x[0] } else { x[1] }
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, input: usize) -> Var<'g> {
        x[input].greater(x[1 - input]) + x[0].equal(x[1]) * 0.5
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
        share(call.x(input).greater(call.x(1 - input)), call)
    }

    fn kinks(&self, _input: usize) -> Kinks {
        Kinks::Ties
    }
}

/// The smaller of two.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Minimum;

impl Pointwise for Minimum {
    const NAME: &'static str = "minimum";
    const ARITY: usize = 2;

    #[inline(always)]
    fn value<T: Real>(&self, x: &[T]) -> T {
        if x[0] < x[1] || x[0].is_nan() { x[0] } else { x[1] }
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, input: usize) -> Var<'g> {
        x[input].less(x[1 - input]) + x[0].equal(x[1]) * 0.5
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
        share(call.x(input).less(call.x(1 - input)), call)
    }

    fn kinks(&self, _input: usize) -> Kinks {
        Kinks::Ties
    }
}

impl<'g> Var<'g> {
    /// `a` where this mask is true (nonzero), else `b`. The derivative of the operand that is not selected is 0, even
    /// if the cotangent is infinite or NaN.
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn where_(self, a: impl Operand<'g>, b: impl Operand<'g>) -> Var<'g> {
        let graph = self.graph();
        let (a, b) = a.operand_of(self).broadcast_with("where", b.operand_of(self));
        let (mask, a) = self.broadcast_with("where", a);
        graph.call(Where, &[mask, a, b.broadcast_to(a.shape())])
    }

    /// `max(x, y)`; NaN if one of them is NaN. Where they are equal each gets half of the derivative, as in PyTorch.
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn maximum(self, other: impl Operand<'g>) -> Var<'g> {
        self.pointwise(Maximum, other)
    }

    /// `min(x, y)`; NaN if one of them is NaN. Where they are equal each gets half of the derivative, as in PyTorch.
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn minimum(self, other: impl Operand<'g>) -> Var<'g> {
        self.pointwise(Minimum, other)
    }
}

crate::tape::op::saved_ops! {
    "equal": Equal {},
    "not_equal": NotEqual {},
    "less": Less {},
    "less_equal": LessEqual {},
    "greater": Greater {},
    "greater_equal": GreaterEqual {},
    "logical_and": And {},
    "logical_or": Or {},
    "logical_xor": Xor {},
    "logical_not": Not {},
    "is_finite": IsFinite {},
    "is_nan": IsNan {},
    "where": Where {},
    "maximum": Maximum {},
    "minimum": Minimum {},
}

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::Entry;

    vec![
        Equal::entry(),
        NotEqual::entry(),
        Less::entry(),
        LessEqual::entry(),
        Greater::entry(),
        GreaterEqual::entry(),
        And::entry(),
        Or::entry(),
        Xor::entry(),
        Not::entry(),
        IsFinite::entry(),
        IsNan::entry(),
        Entry::pointwise(Where, "`y` where `x` is true, else `z`"),
        Entry::pointwise(Maximum, "`max(x, y)`"),
        Entry::pointwise(Minimum, "`min(x, y)`"),
    ]
}

#[cfg(test)]
mod tests {
    use crate::check::assert_property;
    use crate::check::strategies::broadcastable;
    use crate::tape::{Graph, Var};
    use crate::tensor::Tensor;

    #[test]
    fn gradients_of_a_choice_with_every_broadcast() {
        for (a, b) in [(-3.0..-0.125, 0.125..3.0), (0.125..3.0, -3.0..-0.125)] {
            assert_property(broadcastable(vec![a, b]), |x| x[0].greater(x[1]).where_(x[0] * x[1], x[0]));
        }
        assert_property(broadcastable(vec![0.125..1.0, -2.0..2.0, -2.0..2.0]), |x| {
            (x[0] - 0.5).greater(-1.0).where_(x[1].square(), x[2]) * x[2]
        });
    }

    #[test]
    fn masks_are_ones_and_zeros() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([1.0, 2.0, 3.0, f64::NAN]));
        let value = |y: Var<'_>| graph.eval(y).unwrap().into_vec();
        assert_eq!(value(x.less(2.0)), [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(value(x.less_equal(2.0)), [1.0, 1.0, 0.0, 0.0]);
        assert_eq!(value(x.greater(2.0)), [0.0, 0.0, 1.0, 0.0]);
        assert_eq!(value(x.greater_equal(2.0)), [0.0, 1.0, 1.0, 0.0]);
        assert_eq!(value(x.equal(2.0)), [0.0, 1.0, 0.0, 0.0]);
        assert_eq!(value(x.not_equal(2.0)), [1.0, 0.0, 1.0, 1.0]);
        assert_eq!(value(x.is_nan()), [0.0, 0.0, 0.0, 1.0]);
        assert_eq!(value(x.is_finite()), [1.0, 1.0, 1.0, 0.0]);
        let (t, f) =
            (graph.constant(&Tensor::from([5.0, 5.0, 0.0, 0.0])), graph.constant(&Tensor::from([1.0, 0.0, 1.0, 0.0])));
        assert_eq!(value(t.logical_and(f)), [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(value(t.logical_or(f)), [1.0, 1.0, 1.0, 0.0]);
        assert_eq!(value(t.logical_xor(f)), [0.0, 1.0, 1.0, 0.0]);
        assert_eq!(value(t.logical_not()), [0.0, 0.0, 1.0, 1.0]);
    }

    #[test]
    fn ties_share_and_nan_wins() {
        let graph = Graph::new();
        let (a, b) = (graph.constant(&Tensor::from([1.0])), graph.constant(&Tensor::from([1.0])));
        for y in [a.maximum(b), a.minimum(b)] {
            for slope in graph.grad(y.sum(), &[a, b]).unwrap() {
                assert_eq!(graph.eval(slope).unwrap().item(), 0.5);
            }
        }
        let nan = graph.full([1], f64::NAN);
        for y in [a.maximum(nan), nan.maximum(a), a.minimum(nan), nan.minimum(a)] {
            assert!(graph.eval(y).unwrap().item().is_nan());
        }
    }

    #[test]
    fn what_is_not_chosen_gets_zero_and_not_nan() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([0.0, 4.0]));
        let y = x.greater(0.0).where_(x.sqrt(), 0.0);
        let safe = x.greater(0.0).where_(x.greater(0.0).where_(x, 1.0).sqrt(), 0.0);
        let slope = |y: Var<'_>| graph.eval(graph.grad(y.sum(), &[x]).unwrap()[0]).unwrap().into_vec();
        assert_eq!(slope(safe), [0.0, 0.25]);
        // The slope of the branch itself is infinite; zero wins against it.
        assert_eq!(slope(y), [0.0, 0.25]);
    }
}
