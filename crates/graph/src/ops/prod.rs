//! The product over axes.
//!
//! The derivative with respect to an element is the product of the others. It is that of a tree of pairwise products
//! and never divides, so that it is correct where elements are 0, to every order.

use smallvec::SmallVec;

use crate::axes::Axes;
use crate::kernel::reduce::{Multiply, reduce};
use crate::real::Real;
use crate::tape::Var;
use crate::tape::op::reduction::{reduced_shape, reduction};
use crate::tape::op::{Accepts, Derivative, Form, Meta, Metas, Op, Signature, Vars, Work};

/// The product over `axes`, which are counted from the first, in order, and absent from the output.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Prod {
    axes: SmallVec<[usize; 4]>,
}

impl Op for Prod {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

    fn name(&self) -> &'static str {
        "prod"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        reduced_shape(inputs, &self.axes)
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        let mut factors = inputs[0].reduced_axes_last(&self.axes);
        let shape = factors.shape();
        let (&count, kept) = shape.split_last().expect("the reduced axis is there");
        if count == 0 {
            return Some(smallvec::smallvec![inputs[0].graph().ones(kept)]);
        }
        // The product of the factors that remained when their number was odd.
        let mut left_over: Option<Var<'g>> = None;
        let mut count = count as isize;
        while count > 1 {
            let half = count / 2;
            if count % 2 == 1 {
                let last = factors.slice(-1, count - 1, count);
                left_over = Some(left_over.map_or(last, |before| before * last));
            }
            factors = factors.slice(-1, 0, half) * factors.slice(-1, half, 2 * half);
            count = half;
        }
        let product = left_over.map_or(factors, |rest| factors * rest);
        Some(smallvec::smallvec![product.reshape(kept)])
    }

    fn derivative(&self, _input: usize) -> Derivative {
        Derivative::Expansion
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        reduce::<T, Multiply>(work.inputs[0].real(), &work.input_shapes[0], &self.axes, work.outputs[0].real());
        Ok(())
    }
}

impl<'g> Var<'g> {
    #[track_caller]
    fn prod_resolved(self, axes: SmallVec<[usize; 4]>) -> Var<'g> {
        if axes.is_empty() {
            return self;
        }
        self.graph().call(Prod { axes }, &[self])
    }
}

reduction! {
    ///
    /// `Πx`, 1 for no elements. The derivative does not divide, so it is correct where elements are 0, to every order.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([2.0, 3.0, 0.0]));
    /// assert_eq!(graph.eval(x.prod())?.item(), 0.0);
    /// let slope = graph.grad(x.prod(), &[x])?[0];
    /// assert_eq!(graph.eval(slope)?.data(), [0.0, 0.0, 6.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    "product", prod, prod_axes, prod_keep = prod_resolved
}

crate::tape::op::saved_ops!("prod": Prod { axes });

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{axes, number, shape};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    let samples = shape(4).prop_flat_map(|shape| {
        // Zeros are where a derivative by division would fail.
        let element = prop_oneof![6 => number(-2.0..2.0), 1 => Just(0.0)];
        (axes(shape.rank()), prop::collection::vec(element, shape.len())).prop_map(move |(axes, data)| {
            Sample::new(Prod { axes: axes.into() }, [crate::Tensor::new(shape.clone(), data).into()])
        })
    });
    vec![Entry::new("prod", "`Πx` over axes", samples)]
}

#[cfg(test)]
mod tests {
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    #[test]
    fn the_second_derivative_is_right_where_elements_are_zero() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([0.0, 2.0, 0.0]));
        let hessian = graph.eval(graph.hessian(x.prod(), x).unwrap()).unwrap();
        assert_eq!(hessian, Tensor::from_rows([[0.0, 0.0, 2.0], [0.0, 0.0, 0.0], [2.0, 0.0, 0.0]]));
    }

    #[test]
    fn the_product_of_nothing_is_one() {
        let graph = Graph::new();
        assert_eq!(graph.eval(graph.zeros([2, 0]).prod_axes(1)).unwrap().data(), [1.0, 1.0]);
    }
}
