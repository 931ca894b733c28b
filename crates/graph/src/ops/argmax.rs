//! The index of the largest or smallest element along an axis: the first of equal elements, and the first NaN if there
//! is one.

use crate::axes::{check_axes, resolve_axis};
use crate::kernel::along_axis::AlongAxis;
use crate::real::Real;
use crate::tape::Var;
use crate::tape::op::{Accepts, Form, Kinks, Meta, Metas, Op, Signature, Work};

/// The index of the largest element along `axis`, or of the smallest.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ArgExtreme {
    axis: usize,
    largest: bool,
}

impl Op for ArgExtreme {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

    fn name(&self) -> &'static str {
        if self.largest { "argmax" } else { "argmin" }
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        let shape = &inputs[0].shape;
        check_axes(&[self.axis], shape)?;
        if shape[self.axis] == 0 {
            return Err(format!("axis {} has size 0: there is no element", self.axis));
        }
        Ok(smallvec::smallvec![Meta::index(shape.without(|axis| axis == self.axis))])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let x = work.inputs[0].real();
        let along = AlongAxis::new(self.axis, &work.input_shapes[0]);
        let indices = work.outputs[0].index();
        if self.largest {
            first_index(x, along, indices, |a, b| a > b || (a.is_nan() && !b.is_nan()));
        } else {
            first_index(x, along, indices, |a, b| a < b || (a.is_nan() && !b.is_nan()));
        }
        Ok(())
    }

    fn kinks(&self, _input: usize) -> Kinks {
        Kinks::Ties
    }
}

/// The index of the first element of each line that is `ahead` of all others.
#[inline(always)]
fn first_index<T: Real>(x: &[T], along: AlongAxis, indices: &mut [i64], ahead: impl Fn(T, T) -> bool) {
    indices.fill(0);
    for block in 0..along.outer {
        let best = &mut indices[block * along.inner..(block + 1) * along.inner];
        for index in 1..along.size {
            for (inner, best) in best.iter_mut().enumerate() {
                if ahead(x[along.start(block, index) + inner], x[along.start(block, *best as usize) + inner]) {
                    *best = index as i64;
                }
            }
        }
    }
}

impl<'g> Var<'g> {
    /// The index of the largest element of each line along an axis: the first of equal elements, and the first NaN if
    /// there is one. The axis is removed.
    ///
    /// # Panics
    /// If the axis is out of range or has size 0.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from_rows([[1.0, 5.0, 5.0], [9.0, 2.0, 3.0]]));
    /// assert_eq!(graph.eval(x.argmax(-1).to_real())?.data(), [1.0, 0.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn argmax(self, axis: isize) -> Var<'g> {
        let axis = resolve_axis("argmax", axis, &self.shape());
        self.graph().call(ArgExtreme { axis, largest: true }, &[self])
    }

    /// The index of the smallest element of each line along an axis: the first of equal elements, and the first NaN if
    /// there is one. The axis is removed.
    ///
    /// # Panics
    /// If the axis is out of range or has size 0.
    #[track_caller]
    pub fn argmin(self, axis: isize) -> Var<'g> {
        let axis = resolve_axis("argmin", axis, &self.shape());
        self.graph().call(ArgExtreme { axis, largest: false }, &[self])
    }
}

crate::tape::op::saved_ops!("arg_extreme": ArgExtreme { axis, largest });

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{full_shape, separated};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    let samples = |largest| {
        (full_shape(1, 5), 0..5_usize, proptest::option::weighted(0.1, 0..5_usize)).prop_flat_map(
            move |(shape, axis, empty)| {
                let axis = axis % shape.rank();
                // Any other axis may be empty.
                let empty = empty.map(|other| other % shape.rank()).filter(|&other| other != axis);
                let shape = match empty {
                    Some(other) => shape.with_size(other, 0).expect("it is small"),
                    None => shape,
                };
                separated(shape, 0.25).prop_map(move |x| Sample::new(ArgExtreme { axis, largest }, [x.into()]))
            },
        )
    };
    vec![
        Entry::new("argmax", "the index of the largest element along an axis", samples(true)),
        Entry::new("argmin", "the index of the smallest element along an axis", samples(false)),
    ]
}

#[cfg(test)]
mod tests {
    use crate::params::Params;
    use crate::plan::Feed;
    use crate::tape::{Graph, Var};
    use crate::tensor::Tensor;

    fn indices(x: Var<'_>) -> Vec<i64> {
        x.graph().eval_with::<f64>(&[x], &Params::new(0), &Feed::new()).unwrap()[0].index().data().to_vec()
    }

    #[test]
    fn every_axis_ties_and_nan() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from_rows([[3.0, 1.0, 3.0], [0.0, 1.0, 4.0]]));
        assert_eq!(indices(x.argmax(0)), [0, 0, 1]);
        assert_eq!(indices(x.argmax(1)), [0, 2]);
        assert_eq!(indices(x.argmin(0)), [1, 0, 0]);
        assert_eq!(indices(x.argmin(-1)), [1, 0]);
        let x = graph.constant(&Tensor::from([1.0, f64::NAN, f64::INFINITY, f64::NAN]));
        assert_eq!((indices(x.argmax(0)), indices(x.argmin(0))), (vec![1], vec![1]));
        let x = graph.constant(&Tensor::from([f64::NAN, f64::NAN, 2.0, f64::NEG_INFINITY]));
        assert_eq!((indices(x.argmax(0)), indices(x.argmin(0))), (vec![0], vec![0]));
        assert_eq!(indices(graph.zeros([0, 2]).argmax(1)), [0_i64; 0]);
    }

    #[test]
    #[should_panic(expected = "`argmin` of [2, 0]: axis 1 has size 0: there is no element")]
    fn an_empty_axis_has_no_smallest_element() {
        Graph::new().zeros([2, 0]).argmin(1);
    }
}
