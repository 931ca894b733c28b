//! The 2-norm over axes, `√Σx²`, and its derivative `x/‖x‖·g`, which is 0 for the zero vector at every order.
//!
//! The squares are added as they are: elements beyond the root of the largest number overflow, and those below the
//! root of the smallest count as 0.

use smallvec::SmallVec;

use super::axes::{Axes, expect_axes};
use super::reduction::reduction;
use crate::real::Real;
use crate::tape::Var;
use crate::tape::op::{Call, Domain, Form, Kinks, Meta, Metas, Op, Pointwise, Vars, Vjp, expect_inputs, expect_real};

/// The norm over `axes`, which are counted from the first, in order, and absent from the output.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Norm {
    axes: SmallVec<[usize; 4]>,
}

impl Op for Norm {
    fn name(&self) -> &'static str {
        "norm"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        expect_inputs(inputs, 1)?;
        expect_real(&inputs[0])?;
        expect_axes(&self.axes, &inputs[0].shape)?;
        Ok(smallvec::smallvec![Meta::real(inputs[0].shape.without(|axis| self.axes.contains(&axis)))])
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        Some(smallvec::smallvec![inputs[0].square().sum_resolved(self.axes.clone()).sqrt()])
    }

    fn form(&self) -> Form {
        Form::Expanded
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Vjp<'g> {
        let kept = call.x(0).shape().with_ones(|axis| self.axes.contains(&axis));
        let unit = call.x(0).pointwise(Quotient, call.y().reshape(kept.clone()));
        (unit * call.g().reshape(kept)).into()
    }

    fn kinks(&self, _input: usize) -> Kinks {
        Kinks::At(vec![(0.0, 0.0)])
    }
}

/// `x / y`, and 0 with all its derivatives where `y` is 0.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Quotient;

impl Pointwise for Quotient {
    const NAME: &'static str = "quotient_or_zero";
    const ARITY: usize = 2;

    #[inline(always)]
    fn value<T: Real>(&self, x: &[T]) -> T {
        let quotient = x[0] / x[1];
        if x[1] == T::zero() { T::zero() } else { quotient }
    }

    fn slope<'g>(&self, x: &[Var<'g>], y: Var<'g>, input: usize) -> Var<'g> {
        let graph = x[0].graph();
        if input == 0 { graph.ones(x[1].shape()).pointwise(Quotient, x[1]) } else { (-y).pointwise(Quotient, x[1]) }
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Vjp<'g> {
        let quotient = call.g().pointwise(Quotient, call.x(1));
        if input == 0 { quotient.into() } else { (-(quotient * call.y())).into() }
    }

    fn domain(&self, input: usize) -> Domain {
        if input == 1 { Domain::NONZERO } else { Domain::REAL }
    }
}

impl<'g> Var<'g> {
    #[track_caller]
    pub(super) fn norm_resolved(self, axes: SmallVec<[usize; 4]>) -> Var<'g> {
        self.graph().call(Norm { axes }, &[self])
    }
}

reduction! {
    ///
    /// The derivative at the zero vector is taken as 0.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([3.0, -4.0]));
    /// assert_eq!(graph.eval(x.norm())?.item(), 5.0);
    /// let slope = graph.grad(x.norm(), &[x])?[0];
    /// assert_eq!(graph.eval(slope)?.data(), [0.6, -0.8]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    "2-norm, `√Σx²`,", norm, norm_axes, norm_keep = norm_resolved
}

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{away_from, axes, shape, tensor};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    let samples = shape(4).prop_flat_map(|shape| {
        (axes(shape.rank()), away_from(shape, -4.0..4.0, &[0.0]))
            .prop_map(|(axes, x)| Sample::new(Norm { axes: axes.into() }, [x.into()]))
    });
    // Just at a kink where the function jumps to infinity there is nothing to be seen.
    let quotient = shape(5).prop_flat_map(|shape| {
        (tensor(shape.clone(), -4.0..4.0), away_from(shape, -4.0..4.0, &[0.0]))
            .prop_map(|(x, y)| Sample::new(Quotient, [x.into(), y.into()]))
    });
    vec![
        Entry::new("norm", "`√Σx²` over axes", samples).kinks("the zero vector: 0"),
        Entry::new("quotient_or_zero", "`x / y`, and 0 where `y = 0`: the derivative of `norm`", quotient),
    ]
}

#[cfg(test)]
mod tests {
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    #[test]
    fn derivatives_at_the_zero_vector_are_zero() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from_rows([[0.0, 0.0], [0.0, 2.0]]));
        let first = graph.grad(x.norm_axes(1).sum(), &[x]).unwrap()[0];
        assert_eq!(graph.eval(first).unwrap().data(), [0.0, 0.0, 0.0, 1.0]);
        let weights = graph.constant(&Tensor::from_rows([[1.0, 2.0], [3.0, 4.0]]));
        let second = graph.grad((first * weights).sum(), &[x]).unwrap()[0];
        assert_eq!(graph.eval(second).unwrap().data(), [0.0, 0.0, 1.5, 0.0]);
        let third = graph.grad((second * weights).sum(), &[x]).unwrap()[0];
        assert!(graph.eval(third).unwrap().data()[..2].iter().all(|&d| d == 0.0));
    }

    #[test]
    fn the_norm_of_nothing_is_zero() {
        let graph = Graph::new();
        assert_eq!(graph.eval(graph.zeros([0]).norm()).unwrap().item(), 0.0);
    }
}
