//! `+ − × ÷`, negation and the reciprocal, with NumPy's broadcasting and scalars on either side.
//!
//! Broadcasting is an op of its own that the binary methods insert, so these ops see equal shapes only and their
//! derivatives never sum over axes.

use std::iter::{Product, Sum};
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

use super::integer::Integer;
use crate::kernel::simd::{Loop, vectorized};
use crate::real::Real;
use crate::tape::op::{Call, Derivative, Domain, Form, Kind, Meta, Metas, Op, Pointwise, Signature};
use crate::tape::{Var, refuse};
use crate::tensor::Tensor;

/// `x + y`
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct AddOp;

/// `x − y`
#[derive(Debug, PartialEq, Eq, Hash)]
struct SubOp;

/// `x · y`
#[derive(Debug, PartialEq, Eq, Hash)]
struct MulOp;

/// `x / y`
#[derive(Debug, PartialEq, Eq, Hash)]
struct DivOp;

/// The product of a cotangent `x` and a slope `y`; see [`Var::cotangent_times`].
#[derive(Debug, PartialEq, Eq, Hash)]
struct CotangentProduct;

/// `x / y` for a cotangent `x`, and 0 where that is 0.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CotangentQuotient;

/// `−x`
#[derive(Debug, PartialEq, Eq, Hash)]
struct NegOp;

/// `1 / x`
#[derive(Debug, PartialEq, Eq, Hash)]
struct Recip;

impl Pointwise for AddOp {
    const NAME: &'static str = "add";
    const ARITY: usize = 2;

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

impl Op for CotangentProduct {
    const INPUTS: Signature = <MulOp as Op>::INPUTS;

    fn name(&self) -> &'static str {
        "cotangent_product"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        Op::infer(&MulOp, inputs)
    }

    fn form(&self) -> Form {
        Form::Pointwise
    }

    fn block<T: Real>(&self, x: &[&[T]], y: &mut [T]) {
        let product = |g: T, slope: T| g * slope;
        vectorized(Cotangents {
            x: [x[0], x[1]],
            y,
            value: product,
            is_zero: |g: T, slope: T| (g == T::zero()) | ((slope == T::zero()) & !g.is_nan()),
        });
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
        call.g().cotangent_times(call.x(1 - input))
    }
}

impl Op for CotangentQuotient {
    const INPUTS: Signature = <DivOp as Op>::INPUTS;

    fn name(&self) -> &'static str {
        "cotangent_quotient"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        Op::infer(&DivOp, inputs)
    }

    fn form(&self) -> Form {
        Form::Pointwise
    }

    fn block<T: Real>(&self, x: &[&[T]], y: &mut [T]) {
        let quotient = |g: T, by: T| g / by;
        vectorized(Cotangents { x: [x[0], x[1]], y, value: quotient, is_zero: |g: T, _| g == T::zero() });
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
        let quotient = call.g().cotangent_over(call.x(1));
        if input == 0 { quotient } else { -quotient.cotangent_times(call.y()) }
    }

    fn domain(&self, input: usize) -> Domain {
        if input == 1 { Domain::NONZERO } else { Domain::REAL }
    }
}

/// Values of two numbers, and 0 in the place of a NaN where `is_zero` says so. NaN is rare: the values are computed
/// first, and gone through again only if there is one.
struct Cotangents<'a, T, V, Z> {
    x: [&'a [T]; 2],
    y: &'a mut [T],
    value: V,
    is_zero: Z,
}

impl<T: Real, V: Fn(T, T) -> T, Z: Fn(T, T) -> bool> Loop for Cotangents<'_, T, V, Z> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x: [a, b], y, value, is_zero } = self;
        let (a, b) = (&a[..y.len()], &b[..y.len()]);
        let mut nan = false;
        for i in 0..y.len() {
            y[i] = value(a[i], b[i]);
            nan |= y[i].is_nan();
        }
        if nan {
            for i in 0..y.len() {
                if y[i].is_nan() && is_zero(a[i], b[i]) {
                    y[i] = T::zero();
                }
            }
        }
    }
}

impl Pointwise for NegOp {
    const NAME: &'static str = "neg";

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

/// What can stand beside a variable in arithmetic: another variable, or a number of type `f64`, `f32`, `i32`, `i64`,
/// `u32`, `u64`, `isize` or `usize`.
///
/// Beside an index an integer is an index: `+`, `−` and `*` of indices are those of 64-bit integers, as are
/// [`Var::floor_div`] and [`Var::modulo`]. Indices and real numbers do not mix: [`Var::to_real`], [`Var::to_index`].
///
/// On the left of an operator a number is an `f64` or an `i32`, the types of literals: with more types there, the
/// compiler could not tell the type of `(1.0 - x).exp()`. Write `f64::from(a) - x` for another.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// let graph = Graph::new();
/// let mut x = graph.constant(&Tensor::from([1.0, 3.0]));
/// x += 1;
/// let y = (2 - x * 3).square() + 0.5_f32;
/// assert_eq!(graph.eval(y)?.data(), [16.5, 100.5]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
pub trait Operand<'g>: Sized {
    /// The operand as a variable of the graph of `other`.
    #[doc(hidden)]
    #[track_caller]
    fn beside(self, other: Var<'g>) -> Var<'g>;

    /// `base` to the power of the operand.
    #[doc(hidden)]
    #[track_caller]
    fn power_of(self, base: Var<'g>) -> Var<'g>;
}

impl<'g> Operand<'g> for Var<'g> {
    fn beside(self, _other: Var<'g>) -> Var<'g> {
        self
    }

    #[track_caller]
    fn power_of(self, base: Var<'g>) -> Var<'g> {
        base.pow_var(self)
    }
}

macro_rules! real_operand {
    ($($number:ty),*) => {$(
        impl<'g> Operand<'g> for $number {
            #[track_caller]
            fn beside(self, other: Var<'g>) -> Var<'g> {
                other.graph().scalar(f64::from(self))
            }

            #[track_caller]
            fn power_of(self, base: Var<'g>) -> Var<'g> {
                base.powf(f64::from(self))
            }
        }
    )*};
}

macro_rules! integer_operand {
    ($($number:ty),*) => {$(
        impl<'g> Operand<'g> for $number {
            #[track_caller]
            fn beside(self, other: Var<'g>) -> Var<'g> {
                match other.kind() {
                    Kind::Real => other.graph().scalar(self as f64),
                    Kind::Index => match i64::try_from(self) {
                        Ok(index) => other.graph().index_constant(&Tensor::scalar(index)),
                        Err(_) => refuse("index", &[], &format!("{self} has more than 64 bits")),
                    },
                }
            }

            #[track_caller]
            fn power_of(self, base: Var<'g>) -> Var<'g> {
                match i32::try_from(self) {
                    Ok(exponent) => base.powi(exponent),
                    Err(_) => base.powf(self as f64),
                }
            }
        }
    )*};
}

real_operand!(f64, f32);
integer_operand!(i32, i64, u32, u64, isize, usize);

impl<'g> Var<'g> {
    /// Applies a pointwise op to this variable and another operand, after broadcasting both.
    #[track_caller]
    pub(crate) fn pointwise<P: Pointwise>(self, op: P, other: impl Operand<'g>) -> Var<'g> {
        let other = other.beside(self);
        let (x, y) = self.broadcast_with(P::NAME, other);
        self.graph().call(op, &[x, y])
    }

    /// An operator: between indices that of integers, else the pointwise op.
    #[track_caller]
    fn operator<P: Pointwise>(self, op: P, integer: Option<Integer>, other: impl Operand<'g>) -> Var<'g> {
        let other = other.beside(self);
        match integer {
            Some(integer) if self.kind() == Kind::Index && other.kind() == Kind::Index => self.integer(integer, other),
            _ => self.pointwise(op, other),
        }
    }

    /// This cotangent times a slope, as a [vjp](crate::Op::vjp) forms it: what is exactly 0 wins against what is
    /// infinite. Where the cotangent is 0 the product is 0, whatever the slope, NaN as well; where the slope is 0 it is
    /// 0 for every cotangent but NaN.
    ///
    /// So no NaN comes of a branch that was not taken: of the root of a number below 0 behind a
    /// [`where_`](Var::where_), of an overflow behind a [`clamp`](Var::clamp), of `√(c·x)` where `c` is 0. The default
    /// vjp of a [`Pointwise`](crate::Pointwise) op uses it. Values are not touched: a NaN among them stays.
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([-1.0, 4.0]));
    /// let y = x.greater(0.0).where_(x.sqrt(), x);
    /// let slope = graph.grad(y.sum(), &[x])?[0];
    /// assert_eq!(graph.eval(slope)?.data(), [1.0, 0.25]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn cotangent_times(self, slope: impl Operand<'g>) -> Var<'g> {
        let (g, slope) = self.broadcast_with("cotangent_product", slope.beside(self));
        self.graph().call(CotangentProduct, &[g, slope])
    }

    /// This cotangent by a number, and 0 where it is 0.
    #[track_caller]
    pub(super) fn cotangent_over(self, by: Var<'g>) -> Var<'g> {
        let (g, by) = self.broadcast_with("cotangent_quotient", by);
        self.graph().call(CotangentQuotient, &[g, by])
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
                $trait::$method(self.beside(other), other)
            }
        }
    };
}

operator!(Add, add, AddAssign, add_assign, AddOp, Some(Integer::Add));
operator!(Sub, sub, SubAssign, sub_assign, SubOp, Some(Integer::Sub));
operator!(Mul, mul, MulAssign, mul_assign, MulOp, Some(Integer::Mul));
operator!(Div, div, DivAssign, div_assign, DivOp, None);

macro_rules! fold {
    ($trait:ident, $method:ident, $join:path, $doc:literal) => {
        impl<'g> $trait for Var<'g> {
            #[doc = $doc]
            ///
            /// The standard library does not pass on the caller's line: each node has the line of the term that it
            /// takes up.
            ///
            /// # Panics
            /// If there are no terms, as there is no graph to make a constant in; or the shapes do not broadcast.
            ///
            /// # Example
            /// ```
            /// use gradus_graph::{Graph, Tensor, Var};
            /// let graph = Graph::new();
            /// let terms: Vec<Var<'_>> = (1..5).map(|k| graph.scalar(f64::from(k))).collect();
            /// let (sum, product): (Var<'_>, Var<'_>) = (terms.iter().sum(), terms.into_iter().product());
            /// assert_eq!((graph.eval(sum)?.item(), graph.eval(product)?.item()), (10.0, 24.0));
            /// # Ok::<(), gradus_graph::Error>(())
            /// ```
            fn $method<I: Iterator<Item = Var<'g>>>(terms: I) -> Var<'g> {
                folded(stringify!($method), terms, $join)
            }
        }

        impl<'a, 'g> $trait<&'a Var<'g>> for Var<'g> {
            #[doc = $doc]
            ///
            /// # Panics
            /// As for variables by value.
            fn $method<I: Iterator<Item = &'a Var<'g>>>(terms: I) -> Var<'g> {
                terms.copied().$method()
            }
        }
    };
}

fold!(Sum, sum, Add::add, "The sum of variables, with broadcasting.");
fold!(Product, product, Mul::mul, "The product of variables, with broadcasting.");

fn folded<'g>(
    what: &str,
    mut terms: impl Iterator<Item = Var<'g>>,
    join: impl Fn(Var<'g>, Var<'g>) -> Var<'g>,
) -> Var<'g> {
    let Some(first) = terms.next() else {
        panic!(
            "`{what}` of no variables has no graph: begin with one, as in `terms.fold(graph.scalar(0.0), |a, b| a + b)`"
        )
    };
    terms.fold(first, |all, term| {
        let (graph, shapes) = (term.graph(), [all.shape(), term.shape()]);
        if shapes[0].broadcast(&shapes[1]).is_none() {
            let [before, own] = [all, term].map(|var| var.graph().tape().describe(var.node()));
            let why = shapes[0].why_no_broadcast(&shapes[1]);
            panic!("`{what}` of {} and {}: {why}; the terms are {before} and {own}", shapes[0], shapes[1]);
        }
        graph.at_line_of(term.node(), || join(all, term))
    })
}

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

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{away_from, shape, tensor};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    let pairs = |over: &'static [f64]| {
        shape(5).prop_flat_map(move |shape| (tensor(shape.clone(), -4.0..4.0), away_from(shape, -4.0..4.0, over)))
    };
    let products = pairs(&[]).prop_map(|(x, y)| Sample::new(CotangentProduct, [x.into(), y.into()]));
    let quotients = pairs(&[0.0]).prop_map(|(x, y)| Sample::new(CotangentQuotient, [x.into(), y.into()]));
    vec![
        Entry::pointwise(AddOp, "`x + y`"),
        Entry::pointwise(SubOp, "`x − y`"),
        Entry::pointwise(MulOp, "`x · y`"),
        Entry::pointwise(DivOp, "`x / y`"),
        Entry::new("cotangent_product", "`x · y`, and 0 where `x` is 0, or `y` is 0 and `x` a number", products),
        Entry::new("cotangent_quotient", "`x / y`, and 0 where `x` is 0", quotients),
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
    fn iterators_are_summed_and_multiplied() {
        let graph = Graph::new();
        let terms = [graph.scalar(2.0), graph.constant(&Tensor::from([1.0, 3.0])), graph.scalar(5.0)];
        let [sum, product]: [Var<'_>; 2] = [terms.iter().sum(), terms.iter().product()];
        assert_eq!((value(sum), value(product)), (vec![8.0, 10.0], vec![10.0, 30.0]));
        assert_eq!(terms[..1].iter().copied().sum::<Var<'_>>(), terms[0]);
        let of_a_map: Var<'_> = terms.iter().map(|x| x.square().sum()).sum();
        assert_eq!(value(of_a_map), [39.0]);
        // The line is that of a term, and the scope the one that is open.
        let _scope = graph.scope("loss");
        let sum: Var<'_> = terms.iter().sum();
        let line = graph.tape().describe(sum.node());
        assert!(line.starts_with("`add` in scope `loss` at crates/graph/src/ops/arithmetic.rs:"), "{line}");
    }

    #[test]
    #[should_panic(expected = "`sum` of no variables has no graph: begin with one")]
    fn an_empty_sum_is_refused() {
        let _: Var<'_> = std::iter::empty::<Var<'_>>().sum();
    }

    #[test]
    #[should_panic(expected = "`product` of [2] and [3]: ")]
    fn terms_that_do_not_broadcast_are_refused() {
        let graph = Graph::new();
        let _: Var<'_> = [graph.zeros([2]), graph.zeros([3])].iter().product();
    }

    #[test]
    fn gradients_with_every_broadcast_and_with_scalars() {
        assert_property(broadcastable(vec![-3.0..3.0, -3.0..3.0, 0.5..3.0]), |x| (x[0] - x[1]) * x[0] / x[2] + x[1]);
        assert_property(alike(1, 0.5..3.0), |x| 2.0 - x[0] * x[0] * 0.5 + (-x[0]) + 1.0 / x[0]);
    }
}
