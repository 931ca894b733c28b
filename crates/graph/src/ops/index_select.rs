//! Selection of slices by a list of indices, such as rows of an embedding table, and its derivative, which adds slices
//! at indices (`index_add`).

use crate::axes::{check_axes, resolve_axis};
use crate::kernel::along_axis::AlongAxis;
use crate::kernel::indices::check_within;
use crate::kernel::parallel::in_pieces;
use crate::kernel::reduce::{Add, Fold, UNCOMPENSATED};
use crate::real::Real;
use crate::shape::Shape;
use crate::tape::Var;
use crate::tape::op::{Accepts, Array, ArrayMut, Call, Derivative, Form, Meta, Metas, Op, Signature, Work};

/// The slices of the input at the indices along `axis`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct IndexSelect {
    axis: usize,
}

/// The input with slices of a source added at the indices along `axis`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct IndexAdd {
    axis: usize,
}

/// The elements that are worth a thread, several microseconds.
const GRAIN: usize = 1 << 14;

fn check_list(indices: &Shape) -> Result<(), String> {
    if indices.rank() == 1 { Ok(()) } else { Err("the indices must have one axis".into()) }
}

impl Op for IndexSelect {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Any, Accepts::Index]);

    fn name(&self) -> &'static str {
        "index_select"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        check_list(&inputs[1].shape)?;
        check_axes(&[self.axis], &inputs[0].shape)?;
        let shape = inputs[0].shape.with_size(self.axis, inputs[1].shape[0])?;
        Ok(smallvec::smallvec![Meta { shape, ..inputs[0].clone() }])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let indices = work.inputs[1].index();
        let from = AlongAxis::new(self.axis, &work.input_shapes[0]);
        check_within(indices, &work.input_shapes[1], self.axis, from.size)?;
        match (work.inputs[0], &mut work.outputs[0]) {
            (Array::Real(x), ArrayMut::Real(y)) => select(x, from, indices, y),
            (Array::Index(x), ArrayMut::Index(y)) => select(x, from, indices, y),
            _ => unreachable!("input and output are of one kind by the shape rule"),
        }
        Ok(())
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        let zeros = call.g().graph().zeros(call.x(0).shape());
        call.g().graph().call(IndexAdd { axis: self.axis }, &[zeros, call.x(1), call.g()])
    }
}

fn select<T: Copy + Send + Sync>(x: &[T], from: AlongAxis, indices: &[i64], y: &mut [T]) {
    if y.is_empty() {
        return;
    }
    let inner = from.inner;
    in_pieces(y, GRAIN, inner, &|start, y| {
        let (block, position) = (start / inner / indices.len(), start / inner % indices.len());
        let first = indices[position..].iter().map(|index| (block, index));
        let later = (block + 1..from.outer).flat_map(|block| indices.iter().map(move |index| (block, index)));
        for ((block, &index), y) in first.chain(later).zip(y.chunks_exact_mut(inner)) {
            let source = from.start(block, index as usize);
            y.copy_from_slice(&x[source..source + inner]);
        }
    });
}

impl Op for IndexAdd {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real, Accepts::Index, Accepts::Real]);

    fn name(&self) -> &'static str {
        "index_add"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        check_list(&inputs[1].shape)?;
        check_axes(&[self.axis], &inputs[0].shape)?;
        let source = inputs[0].shape.with_size(self.axis, inputs[1].shape[0])?;
        if inputs[2].shape != source {
            return Err(format!("the source must have shape {source}"));
        }
        Ok(smallvec::smallvec![inputs[0].clone()])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    /// The number of occurrences of each index, and the compensation of the sums.
    fn workspace<T: Real>(&self, inputs: &[Shape]) -> usize {
        if inputs[1].len() <= UNCOMPENSATED { 0 } else { inputs[0].len() + inputs[0][self.axis] }
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let (indices, source) = (work.inputs[1].index(), work.inputs[2].real());
        let to = AlongAxis::new(self.axis, &work.input_shapes[0]);
        let from = AlongAxis { size: indices.len(), ..to };
        check_within(indices, &work.input_shapes[1], self.axis, to.size)?;
        let y = work.outputs[0].real();
        y.copy_from_slice(work.inputs[0].real());
        let run = |block: usize, index: i64| {
            let start = to.start(block, index as usize);
            start..start + to.inner
        };
        // The number of occurrences of each index; exact enough in `f32` to compare with the limit.
        let (counts, lost) = match indices.len() <= UNCOMPENSATED {
            true => work.workspace.split_at_mut(0),
            false => work.workspace.split_at_mut(to.size),
        };
        counts.fill(T::zero());
        if !counts.is_empty() {
            indices.iter().for_each(|&index| counts[index as usize] += T::one());
        }
        let many = |index: i64| counts.get(index as usize).is_some_and(|&count| count > T::of(UNCOMPENSATED as f64));
        for block in 0..to.outer {
            for &index in indices.iter().filter(|&&index| many(index)) {
                lost[run(block, index)].fill(T::zero());
            }
            for (position, &index) in indices.iter().enumerate() {
                let part = &source[from.start(block, position)..][..from.inner];
                let totals = &mut y[run(block, index)];
                if many(index) {
                    for ((total, lost), &x) in totals.iter_mut().zip(&mut lost[run(block, index)]).zip(part) {
                        Add::gather(total, lost, x);
                    }
                } else {
                    totals.iter_mut().zip(part).for_each(|(total, &x)| *total += x);
                }
            }
            for &index in indices.iter().filter(|&&index| many(index)) {
                for (total, lost) in y[run(block, index)].iter_mut().zip(&mut lost[run(block, index)]) {
                    *total = Add::finish(*total, std::mem::replace(lost, T::zero()));
                }
            }
        }
        Ok(())
    }

    fn derivative(&self, input: usize) -> Derivative {
        if input == 0 { Derivative::Identity { output: 0 } } else { Derivative::Rule }
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        call.g().graph().call(IndexSelect { axis: self.axis }, &[call.g(), call.x(1)])
    }
}

impl<'g> Var<'g> {
    /// The slices at a list of indices along an axis, in the order of the list: `y[…, k, …] = x[…, indices[k], …]`. An
    /// index may occur several times.
    ///
    /// The derivative is [`Var::index_add`] of the cotangent to zeros. An index that is out of range is an error of the
    /// run.
    ///
    /// # Shapes
    /// The indices have one axis, whose size replaces that of `axis`.
    ///
    /// # Panics
    /// If the axis is out of range, or `indices` is real or does not have one axis.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let table = graph.constant(&Tensor::from_rows([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]));
    /// let words = graph.index_constant(&Tensor::from([2, 0]));
    /// assert_eq!(graph.eval(table.index_select(0, words))?, Tensor::from_rows([[5.0, 6.0], [1.0, 2.0]]));
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn index_select(self, axis: isize, indices: Var<'g>) -> Var<'g> {
        let axis = resolve_axis("index_select", axis, &self.shape());
        self.graph().call(IndexSelect { axis }, &[self, indices])
    }

    /// The variable with slices of `source` added at a list of indices along an axis:
    /// `y[…, indices[k], …] += source[…, k, …]`. An index may occur several times.
    ///
    /// Additions are made in the order of the list; those to an index that occurs more than 32 times are compensated.
    /// An index that is out of range is an error of the run.
    ///
    /// # Shapes
    /// The indices have one axis; the source has the shape of the variable except for the size of `axis`, which is that
    /// of the indices.
    ///
    /// # Panics
    /// If the shapes do not fit, the axis is out of range, or `indices` is real.
    #[track_caller]
    pub fn index_add(self, axis: isize, indices: Var<'g>, source: Var<'g>) -> Var<'g> {
        let axis = resolve_axis("index_add", axis, &self.shape());
        self.graph().call(IndexAdd { axis }, &[self, indices, source])
    }
}

crate::tape::op::saved_ops! {
    "index_select": IndexSelect { axis },
    "index_add": IndexAdd { axis },
}

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{any_tensor, indices, shape_and_axis, tensor};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    /// A shape, one of its axes, and the number of indices, 0 for an empty axis.
    fn named() -> impl Strategy<Value = (crate::Shape, usize, usize)> {
        (shape_and_axis(5), 0..4_usize).prop_map(|((shape, axis), count)| {
            let count = if shape[axis] == 0 { 0 } else { count };
            (shape, axis, count)
        })
    }
    let select = named().prop_flat_map(|(shape, axis, count)| {
        (any_tensor(shape.clone()), indices(count, shape[axis]))
            .prop_map(move |(x, indices)| Sample::new(IndexSelect { axis }, [x, indices.into()]))
    });
    let add = named().prop_flat_map(|(shape, axis, count)| {
        let source = shape.with_size(axis, count).expect("it is small");
        (tensor(shape.clone(), -4.0..4.0), indices(count, shape[axis]), tensor(source, -4.0..4.0)).prop_map(
            move |(x, indices, source)| Sample::new(IndexAdd { axis }, [x.into(), indices.into(), source.into()]),
        )
    });
    vec![
        Entry::new("index_select", "`x[indexₖ]` along an axis, for each index of a list", select),
        Entry::new("index_add", "`x` with `sourceₖ` added at `x[indexₖ]` along an axis", add),
    ]
}

#[cfg(test)]
mod tests {
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    #[test]
    fn what_is_added_to_one_place_adds_up() {
        let graph = Graph::new();
        let indices = graph.index_constant(&Tensor::from([2, 0, 2]));
        let source = graph.constant(&Tensor::from_rows([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]));
        let sum = graph.ones([2, 3]).index_add(1, indices, source);
        assert_eq!(graph.eval(sum).unwrap().data(), [3.0, 1.0, 5.0, 6.0, 1.0, 11.0]);
        let labels = graph.index_constant(&Tensor::from([7, 8, 9]));
        assert_eq!(graph.eval(labels.index_select(0, indices).to_real()).unwrap().data(), [9.0, 7.0, 9.0]);
    }

    #[test]
    fn an_index_out_of_range_is_named() {
        let graph = Graph::new();
        let x = graph.zeros([2, 10]);
        let end = |error: crate::Error| error.to_string().split(": ").last().unwrap().to_owned();
        for index in [12, -1] {
            let indices = graph.index_constant(&Tensor::from([0, 1, 2, index]));
            let message = format!("index {index} at position [3] is out of range for axis 1 of size 10");
            assert_eq!(end(graph.eval(x.index_select(1, indices)).unwrap_err()), message);
            assert_eq!(end(graph.eval(x.index_add(1, indices, graph.ones([2, 4]))).unwrap_err()), message);
        }
    }

    #[test]
    #[should_panic(expected = "`index_select` of [2, 3] and [1, 1]: the indices must have one axis")]
    fn indices_of_two_axes_are_refused() {
        let graph = Graph::new();
        graph.zeros([2, 3]).index_select(1, graph.index_constant(&Tensor::full([1, 1], 0)));
    }

    #[test]
    #[should_panic(expected = "`index_add` of [2, 3] and [2] and [2, 3]: the source must have shape [2, 2]")]
    fn a_source_that_does_not_fit_is_refused() {
        let graph = Graph::new();
        graph.zeros([2, 3]).index_add(1, graph.index_constant(&Tensor::full([2], 0)), graph.zeros([2, 3]));
    }
}
