//! Products and quotients of cotangents, which are 0 for a cotangent of 0 even if the slope is infinite or NaN.

use super::arithmetic::{DivOp, MulOp};
use crate::kernel::simd::{Loop, vectorized};
use crate::real::Real;
use crate::tape::op::{Arithmetic, Call, Domain, Form, Meta, Metas, Op, Signature, cotangent_product, is_zero_product};
use crate::tape::{Operand, Var};

/// The product of a cotangent `x` and a slope `y`; see [`Var::cotangent_times`].
#[derive(Debug, PartialEq, Eq, Hash)]
struct CotangentProduct;

/// `x / y` for a cotangent `x`, and 0 where that is 0.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CotangentQuotient;

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
        vectorized(Cotangents { x: [x[0], x[1]], y, value: product, is_zero: is_zero_product });
    }

    fn arithmetic(&self) -> Option<Arithmetic> {
        Some(Arithmetic::CotangentProduct)
    }

    // One product needs no vectors, hence none of their instructions.
    fn scalar<T: Real>(&self, x: T, others: &[T]) -> T {
        cotangent_product(x, others[0])
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

/// Numbers that are computed at once: a cache line of single precision.
const LANES: usize = 16;

/// A function of two numbers, with 0 for NaN where `is_zero` is true. NaN is rare: there is a second pass over the
/// values only if one of them is NaN.
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
        // Lane by lane: one flag for all would take more instructions than the product.
        let mut nan = [T::zero(); LANES];
        let (lines, rest) = y.as_chunks_mut::<LANES>();
        let (of_a, of_b) = (&a.as_chunks::<LANES>().0[..lines.len()], &b.as_chunks::<LANES>().0[..lines.len()]);
        for i in 0..lines.len() {
            let (a, b) = (of_a[i], of_b[i]);
            let mut values = [T::zero(); LANES];
            for k in 0..LANES {
                values[k] = value(a[k], b[k]);
                nan[k] = if values[k].is_nan() { values[k] } else { nan[k] };
            }
            lines[i] = values;
        }
        let from = a.len() - rest.len();
        for (k, y) in rest.iter_mut().enumerate() {
            *y = value(a[from + k], b[from + k]);
            nan[k] = if y.is_nan() { *y } else { nan[k] };
        }
        if nan.iter().any(|value| value.is_nan()) {
            for i in 0..y.len() {
                if y[i].is_nan() && is_zero(a[i], b[i]) {
                    y[i] = T::zero();
                }
            }
        }
    }
}

impl<'g> Var<'g> {
    /// This cotangent times a slope, for use in a [vjp](crate::Op::vjp): 0 for a cotangent of 0, even if the slope is
    /// infinite or NaN; and 0 for a slope of 0, unless the cotangent is NaN.
    ///
    /// So a branch that was not taken adds no NaN to a derivative: the square root of a negative number in a
    /// [`where_`](Var::where_), an overflow before a [`clamp`](Var::clamp), `√(c·x)` where `c` is 0. The default vjp of
    /// a [`Pointwise`](crate::Pointwise) op uses it. Values are not changed: a NaN among them remains.
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
        let (g, slope) = self.broadcast_with("cotangent_product", slope.operand_of(self));
        self.graph().call(CotangentProduct, &[g, slope])
    }

    /// This cotangent divided by a variable, and 0 where the cotangent is 0.
    #[track_caller]
    pub(super) fn cotangent_over(self, by: Var<'g>) -> Var<'g> {
        let (g, by) = self.broadcast_with("cotangent_quotient", by);
        self.graph().call(CotangentQuotient, &[g, by])
    }
}

crate::tape::op::saved_ops! {
    "cotangent_product": CotangentProduct {},
    "cotangent_quotient": CotangentQuotient {},
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
        Entry::new("cotangent_product", "`x · y`, and 0 where `x` is 0, or `y` is 0 and `x` a number", products),
        Entry::new("cotangent_quotient", "`x / y`, and 0 where `x` is 0", quotients),
    ]
}

#[cfg(test)]
mod tests {
    use crate::params::Params;
    use crate::plan::Feed;
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    /// Among any number of elements, at any place.
    #[test]
    fn a_cotangent_of_zero_gives_zero_at_every_place() {
        for len in [1, 15, 16, 17, 40] {
            for place in 0..len {
                let graph = Graph::new();
                let [g, slope] = ["g", "slope"].map(|name| graph.input(name, [len]));
                let outputs = [g.cotangent_times(slope), g.cotangent_over(slope), g * slope];
                let at = |special: f32, other: f32| {
                    Tensor::from_fn([len], move |k| if k == place { special } else { other })
                };
                let (zero, infinite, none) = (at(0.0, 2.0), at(f32::INFINITY, 4.0), at(f32::NAN, 4.0));
                for slopes in [&infinite, &none] {
                    let feed = Feed::new().with("g", &zero).with("slope", slopes);
                    let found = graph.eval_with(&outputs, &Params::new(0), &feed).unwrap();
                    assert_eq!(found[0].real().data(), at(0.0, 8.0).data());
                    assert_eq!(found[1].real().data(), at(0.0, 0.5).data());
                    assert!(found[2].real().data()[place].is_nan());
                }
            }
        }
    }
}
