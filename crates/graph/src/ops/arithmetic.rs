//! `+ − × ÷`, negation and the reciprocal, with NumPy's broadcasting and scalars on either side.
//!
//! The operators insert `broadcast_to`, so the inputs of these ops have equal shapes.

use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

use super::integer::Integer;
use crate::real::Real;
use crate::tape::op::{Arithmetic, Call, Derivative, Domain, Kind, Pointwise};
use crate::tape::{Operand, Var};

/// `x + y`
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct AddOp;

/// `x − y`
#[derive(Debug, PartialEq, Eq, Hash)]
struct SubOp;

/// `x · y`
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct MulOp;

/// `x / y`
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct DivOp;

/// `−x`
#[derive(Debug, PartialEq, Eq, Hash)]
struct NegOp;

/// `1 / x`
#[derive(Debug, PartialEq, Eq, Hash)]
struct Recip;

impl Pointwise for AddOp {
    const NAME: &'static str = "add";
    const ARITY: usize = 2;
    const ARITHMETIC: Option<Arithmetic> = Some(Arithmetic::Sum);

    #[inline(always)]
    fn value<T: Real>(&self, x: &[T]) -> T {
        x[0] + x[1]
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
        x[0].graph().ones(x[0].shape())
    }

    fn derivative(&self, _input: usize) -> Derivative {
        Derivative::Identity { output: 0 }
    }
}

impl Pointwise for SubOp {
    const NAME: &'static str = "sub";
    const ARITY: usize = 2;
    const ARITHMETIC: Option<Arithmetic> = Some(Arithmetic::Difference);

    #[inline(always)]
    fn value<T: Real>(&self, x: &[T]) -> T {
        x[0] - x[1]
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, input: usize) -> Var<'g> {
        x[0].graph().full(x[0].shape(), if input == 0 { 1.0 } else { -1.0 })
    }

    fn derivative(&self, input: usize) -> Derivative {
        if input == 0 { Derivative::Identity { output: 0 } } else { Derivative::Rule }
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        -call.g()
    }
}

impl Pointwise for MulOp {
    const NAME: &'static str = "mul";
    const ARITY: usize = 2;
    const ARITHMETIC: Option<Arithmetic> = Some(Arithmetic::Product);

    #[inline(always)]
    fn value<T: Real>(&self, x: &[T]) -> T {
        x[0] * x[1]
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, input: usize) -> Var<'g> {
        x[1 - input]
    }
}

impl Pointwise for DivOp {
    const NAME: &'static str = "div";
    const ARITY: usize = 2;

    #[inline(always)]
    fn value<T: Real>(&self, x: &[T]) -> T {
        x[0] / x[1]
    }

    fn slope<'g>(&self, x: &[Var<'g>], y: Var<'g>, input: usize) -> Var<'g> {
        if input == 0 { x[1].recip() } else { -y / x[1] }
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
        let quotient = call.g().cotangent_over(call.x(1));
        if input == 0 { quotient } else { -quotient.cotangent_times(call.y()) }
    }

    fn domain(&self, input: usize) -> Domain {
        if input == 1 { Domain::NONZERO } else { Domain::REAL }
    }
}

impl Pointwise for NegOp {
    const NAME: &'static str = "neg";
    const ARITHMETIC: Option<Arithmetic> = Some(Arithmetic::Negation);

    #[inline(always)]
    fn value<T: Real>(&self, x: &[T]) -> T {
        -x[0]
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
        x[0].graph().full(x[0].shape(), -1.0)
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        -call.g()
    }
}

impl Pointwise for Recip {
    const NAME: &'static str = "recip";

    #[inline(always)]
    fn value<T: Real>(&self, x: &[T]) -> T {
        T::one() / x[0]
    }

    fn slope<'g>(&self, _x: &[Var<'g>], y: Var<'g>, _input: usize) -> Var<'g> {
        -(y * y)
    }

    fn domain(&self, _input: usize) -> Domain {
        Domain::NONZERO
    }
}

impl<'g> Var<'g> {
    /// An operator: the integer op for two indices, else the pointwise op.
    #[track_caller]
    fn operator<P: Pointwise>(self, op: P, integer: Option<Integer>, other: impl Operand<'g>) -> Var<'g> {
        let other = other.operand_of(self);
        match integer {
            Some(integer) if self.kind() == Kind::Index && other.kind() == Kind::Index => self.integer(integer, other),
            _ => self.pointwise(op, other),
        }
    }

    /// `1 / x`
    #[track_caller]
    pub fn recip(self) -> Var<'g> {
        self.graph().call(Recip, &[self])
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, $assign:ident, $assigned:ident, $op:expr, $integer:expr) => {
        impl<'g, O: Operand<'g>> $trait<O> for Var<'g> {
            type Output = Var<'g>;

            #[track_caller]
            fn $method(self, other: O) -> Var<'g> {
                self.operator($op, $integer, other)
            }
        }

        operator!($trait, $method, f64);
        operator!($trait, $method, i32);

        impl<'g, O: Operand<'g>> $assign<O> for Var<'g> {
            #[track_caller]
            fn $assigned(&mut self, other: O) {
                *self = $trait::$method(*self, other);
            }
        }
    };
    ($trait:ident, $method:ident, $number:ty) => {
        impl<'g> $trait<Var<'g>> for $number {
            type Output = Var<'g>;

            #[track_caller]
            fn $method(self, other: Var<'g>) -> Var<'g> {
                $trait::$method(self.operand_of(other), other)
            }
        }
    };
}

operator!(Add, add, AddAssign, add_assign, AddOp, Some(Integer::Add));
operator!(Sub, sub, SubAssign, sub_assign, SubOp, Some(Integer::Sub));
operator!(Mul, mul, MulAssign, mul_assign, MulOp, Some(Integer::Mul));
operator!(Div, div, DivAssign, div_assign, DivOp, None);

impl<'g> Neg for Var<'g> {
    type Output = Var<'g>;

    #[track_caller]
    fn neg(self) -> Var<'g> {
        if self.kind() == Kind::Index {
            return 0 - self;
        }
        self.graph().call(NegOp, &[self])
    }
}

crate::tape::op::saved_ops! {
    "add": AddOp {},
    "sub": SubOp {},
    "mul": MulOp {},
    "div": DivOp {},
    "neg": NegOp {},
    "recip": Recip {},
}

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::Entry;

    vec![
        Entry::pointwise(AddOp, "`x + y`"),
        Entry::pointwise(SubOp, "`x − y`"),
        Entry::pointwise(MulOp, "`x · y`"),
        Entry::pointwise(DivOp, "`x / y`"),
        Entry::pointwise(NegOp, "`−x`"),
        Entry::pointwise(Recip, "`1 / x`"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{
        assert_property,
        strategies::{alike, broadcastable},
    };
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    fn value(y: Var<'_>) -> Vec<f64> {
        y.graph().eval(y).unwrap().into_vec()
    }

    #[test]
    fn numbers_of_every_type_stand_on_the_right_and_literals_on_the_left() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([1.0, 4.0]));
        let (small, single) = (3_usize, 1.5_f32);
        for y in [x * 2, x * 2.0, 2 * x, 2.0 * x, x * 2_i64, x * 2_u32, x * 2_u64, x * 2_isize, x * 2_f32] {
            assert_eq!(value(y), [2.0, 8.0]);
        }
        assert_eq!(value((2 - x).square() + (2.0 - x).abs()), [2.0, 6.0]);
        assert_eq!(value((small as i32 - x) / (1 / x) + x * small), [5.0, 8.0]);
        assert_eq!(value(x + single), [2.5, 5.5]);
        assert_eq!(value(x.maximum(2).minimum(3.0_f32)), [2.0, 3.0]);
        assert_eq!(value(x.greater(2).where_(1, 0)), [0.0, 1.0]);
    }

    #[test]
    fn assignment_is_the_operator() {
        let graph = Graph::new();
        let one = graph.ones([2]);
        let mut x = graph.constant(&Tensor::from([1.0, 4.0]));
        let before = x;
        x += one;
        x -= 3;
        x *= 2.0;
        x /= one * 4;
        assert_eq!((value(x), value(before)), (vec![-0.5, 1.0], vec![1.0, 4.0]));
    }

    #[test]
    fn gradients_with_every_broadcast_and_with_scalars() {
        assert_property(broadcastable(vec![-3.0..3.0, -3.0..3.0, 0.5..3.0]), |x| (x[0] - x[1]) * x[0] / x[2] + x[1]);
        assert_property(alike(1, 0.5..3.0), |x| 2.0 - x[0] * x[0] * 0.5 + (-x[0]) + 1.0 / x[0]);
    }
}
