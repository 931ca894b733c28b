//! Gather along an axis, `y[i, k] = x[i, indices[i, k]]`, and its derivative, scatter-add.

use crate::axes::{check_axes, resolve_axis};
use crate::kernel::along_axis::AlongAxis;
use crate::kernel::indices::check_within;
use crate::kernel::reduce::{Add, Fold, UNCOMPENSATED};
use crate::real::Real;
use crate::shape::Shape;
use crate::tape::Var;
use crate::tape::op::{Accepts, Array, ArrayMut, Call, Derivative, Form, Meta, Metas, Op, Signature, Work};

/// The elements of the input at the indices along `axis`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TakeAlong {
    axis: usize,
}

/// The input with a source added at the indices along `axis`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ScatterAdd {
    axis: usize,
}

/// Checks that the indices have the shape of `x` except for the size of `axis`.
fn check_lines(x: &Shape, indices: &Shape, axis: usize) -> Result<(), String> {
    check_axes(&[axis], x)?;
    let alike = x.rank() == indices.rank() && (0..x.rank()).all(|a| a == axis || x[a] == indices[a]);
    if alike { Ok(()) } else { Err(format!("the shapes differ on another axis than {axis}")) }
}

/// Calls `visit` with the position of each index and the position of the element that it selects.
#[inline(always)]
fn for_each_index(
    indices: &[i64],
    [shape, size]: [&Shape; 2],
    axis: usize,
    mut visit: impl FnMut(usize, usize),
) -> Result<(), String> {
    check_within(indices, shape, axis, size[axis])?;
    let (from, to) = (AlongAxis::new(axis, shape), AlongAxis::new(axis, size));
    for block in 0..from.outer {
        for index in 0..from.size {
            let start = from.start(block, index);
            for inner in 0..from.inner {
                visit(start + inner, to.start(block, indices[start + inner] as usize) + inner);
            }
        }
    }
    Ok(())
}

impl Op for TakeAlong {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Any, Accepts::Index]);

    fn name(&self) -> &'static str {
        "take_along"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        check_lines(&inputs[0].shape, &inputs[1].shape, self.axis)?;
        Ok(smallvec::smallvec![Meta { kind: inputs[0].kind, shape: inputs[1].shape.clone() }])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let shapes = [&work.input_shapes[1], &work.input_shapes[0]];
        let indices = work.inputs[1].index();
        match (work.inputs[0], &mut work.outputs[0]) {
            (Array::Real(x), ArrayMut::Real(y)) => {
                for_each_index(indices, shapes, self.axis, |to, from| y[to] = x[from])
            }
            (Array::Index(x), ArrayMut::Index(y)) => {
                for_each_index(indices, shapes, self.axis, |to, from| y[to] = x[from])
            }
            _ => unreachable!("input and output are of one kind by the shape rule"),
        }
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        let zeros = call.g().graph().zeros(call.x(0).shape());
        call.g().graph().call(ScatterAdd { axis: self.axis }, &[zeros, call.x(1), call.g()])
    }
}

impl ScatterAdd {
    /// Whether few numbers are added to each element, so that sums need no compensation.
    fn adds_few(&self, indices: &Shape) -> bool {
        indices[self.axis] <= UNCOMPENSATED
    }
}

impl Op for ScatterAdd {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real, Accepts::Index, Accepts::Real]);

    fn name(&self) -> &'static str {
        "scatter_add"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        check_lines(&inputs[0].shape, &inputs[1].shape, self.axis)?;
        if inputs[1].shape != inputs[2].shape {
            return Err("indices and source have different shapes".into());
        }
        Ok(smallvec::smallvec![inputs[0].clone()])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    /// The compensation of the sums.
    fn workspace<T: Real>(&self, inputs: &[Shape]) -> usize {
        if self.adds_few(&inputs[1]) { 0 } else { inputs[0].len() }
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let source = work.inputs[2].real();
        let y = work.outputs[0].real();
        y.copy_from_slice(work.inputs[0].real());
        let (indices, shapes) = (work.inputs[1].index(), [&work.input_shapes[1], &work.input_shapes[0]]);
        if self.adds_few(shapes[0]) {
            return for_each_index(indices, shapes, self.axis, |from, to| y[to] += source[from]);
        }
        let lost = &mut *work.workspace;
        for_each_index(indices, shapes, self.axis, |_, to| lost[to] = T::zero())?;
        for_each_index(indices, shapes, self.axis, |from, to| Add::gather(&mut y[to], &mut lost[to], source[from]))?;
        for_each_index(indices, shapes, self.axis, |_, to| {
            y[to] = Add::finish(y[to], std::mem::replace(&mut lost[to], T::zero()));
        })
    }

    fn derivative(&self, input: usize) -> Derivative {
        if input == 0 { Derivative::Identity { output: 0 } } else { Derivative::Rule }
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        call.g().graph().call(TakeAlong { axis: self.axis }, &[call.g(), call.x(1)])
    }
}

impl<'g> Var<'g> {
    /// The elements at indices along an axis, `y[i, k] = x[i, indices[i, k]]` for the last of two axes: NumPy's
    /// `take_along_axis`, PyTorch's `gather`.
    ///
    /// The derivative is [`Var::scatter_add`] of the cotangent to zeros. An index that is out of range is an error of
    /// the run.
    ///
    /// # Shapes
    /// The indices have the shape of the variable except for the size of `axis`; the result has their shape.
    ///
    /// # Panics
    /// If the shapes do not fit, the axis is out of range, or `indices` is real.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from_rows([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]));
    /// let last_and_first = graph.index_constant(&Tensor::from_rows([[2, 0], [2, 0]]));
    /// let taken = graph.eval(x.take_along(1, last_and_first))?;
    /// assert_eq!(taken, Tensor::from_rows([[3.0, 1.0], [6.0, 4.0]]));
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn take_along(self, axis: isize, indices: Var<'g>) -> Var<'g> {
        let axis = resolve_axis("take_along", axis, &self.shape());
        self.graph().call(TakeAlong { axis }, &[self, indices])
    }

    /// The variable with each element of `source` added at an index along an axis,
    /// `y[i, indices[i, k]] += source[i, k]` for the last of two axes: PyTorch's `scatter_add`. An index may occur
    /// several times.
    ///
    /// Additions are made in the order of the indices; they are compensated if there are more than 32 along the axis.
    /// An index that is out of range is an error of the run.
    ///
    /// # Shapes
    /// Indices and source have one shape, that of the variable except for the size of `axis`.
    ///
    /// # Panics
    /// If the shapes do not fit, the axis is out of range, or `indices` is real.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let bins = graph.index_constant(&Tensor::from([0, 2, 2]));
    /// let counts = graph.zeros([4]).scatter_add(0, bins, graph.ones([3]));
    /// assert_eq!(graph.eval(counts)?.data(), [1.0, 0.0, 2.0, 0.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn scatter_add(self, axis: isize, indices: Var<'g>, source: Var<'g>) -> Var<'g> {
        let axis = resolve_axis("scatter_add", axis, &self.shape());
        self.graph().call(ScatterAdd { axis }, &[self, indices, source])
    }
}

crate::tape::op::saved_ops! {
    "take_along": TakeAlong { axis },
    "scatter_add": ScatterAdd { axis },
}

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{any_tensor, indices, shape_and_axis, tensor};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    /// A shape, one of its axes, and a shape that differs on that axis; without indices for an empty axis.
    fn lines() -> impl Strategy<Value = (Shape, usize, Shape)> {
        (shape_and_axis(5), 0..4_usize).prop_map(|((shape, axis), count)| {
            let taken = shape.with_size(axis, if shape[axis] == 0 { 0 } else { count }).expect("it is small");
            (shape, axis, taken)
        })
    }
    let take = lines().prop_flat_map(|(shape, axis, taken)| {
        (any_tensor(shape.clone()), indices(taken, shape[axis]))
            .prop_map(move |(x, indices)| Sample::new(TakeAlong { axis }, [x, indices.into()]))
    });
    let add = lines().prop_flat_map(|(shape, axis, taken)| {
        (tensor(shape.clone(), -4.0..4.0), indices(taken.clone(), shape[axis]), tensor(taken, -4.0..4.0)).prop_map(
            move |(x, indices, source)| Sample::new(ScatterAdd { axis }, [x.into(), indices.into(), source.into()]),
        )
    });
    vec![
        Entry::new("take_along", "`x[i, index[i, k]]` along an axis", take),
        Entry::new("scatter_add", "`x` with `source[i, k]` added at `x[i, index[i, k]]` along an axis", add),
    ]
}

#[cfg(test)]
mod tests {
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    #[test]
    fn indices_are_taken_as_well_as_real_numbers() {
        let graph = Graph::new();
        let x = graph.index_constant(&Tensor::from([7, 8, 9]));
        let taken = x.take_along(0, graph.index_constant(&Tensor::from([2, 2])));
        assert_eq!(graph.eval(taken.to_real()).unwrap().data(), [9.0, 9.0]);
    }

    #[test]
    fn an_index_out_of_range_is_named() {
        let graph = Graph::new();
        let x = graph.zeros([1, 3]);
        let end = |error: crate::Error| error.to_string().split(": ").last().unwrap().to_owned();
        let indices = graph.index_constant(&Tensor::from_rows([[0, 3]]));
        let message = "index 3 at position [0, 1] is out of range for axis 1 of size 3";
        assert_eq!(end(graph.eval(x.take_along(1, indices)).unwrap_err()), message);
        assert_eq!(end(graph.eval(x.scatter_add(1, indices, graph.ones([1, 2]))).unwrap_err()), message);
        let negative = graph.index_constant(&Tensor::from_rows([[-1]]));
        let message = "index -1 at position [0, 0] is out of range for axis 1 of size 3";
        assert_eq!(end(graph.eval(x.take_along(-1, negative)).unwrap_err()), message);
    }

    #[test]
    #[should_panic(expected = "`take_along` of [2, 3] and [3, 2]: the shapes differ on another axis than 1")]
    fn shapes_that_do_not_fit_are_named() {
        let graph = Graph::new();
        graph.zeros([2, 3]).take_along(1, graph.index_constant(&Tensor::full([3, 2], 0)));
    }
}
