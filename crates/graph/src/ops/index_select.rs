//! Selection of slices by a list of indices, such as rows of an embedding table, its derivative, which adds slices to
//! zeros, and `index_add`, which adds them to a variable.

use crate::axes::{check_axes, resolve_axis};
use crate::kernel::along_axis::AlongAxis;
use crate::kernel::indices::check_within;
use crate::kernel::parallel::{GRAIN, in_pairs_of_pieces, in_pieces};
use crate::kernel::reduce::{Add, Fold, UNCOMPENSATED};
use crate::real::Real;
use crate::shape::Shape;
use crate::tape::Var;
use crate::tape::op::{Accepts, Array, ArrayMut, Call, Derivative, Form, Meta, Metas, Op, Signature, Work};

use super::arithmetic::AddOp;

/// The slices of the input at the indices along `axis`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct IndexSelect {
    axis: usize,
}

/// Zeros with slices of a source added at the indices along `axis`, which has the given size.
#[derive(Debug, PartialEq, Eq, Hash)]
struct IndexSelectVjp {
    axis: usize,
    size: usize,
}

/// The input with slices of a source added at the indices along `axis`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct IndexAdd {
    axis: usize,
}

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
        let vjp = IndexSelectVjp { axis: self.axis, size: call.x(0).shape()[self.axis] };
        call.g().graph().call(vjp, &[call.x(1), call.g()])
    }
}

fn select<T: Copy + Send + Sync>(x: &[T], from: AlongAxis, indices: &[i64], y: &mut [T]) {
    if y.is_empty() {
        return;
    }
    let inner = from.inner;
    if inner == 1 {
        // Without slices for each element.
        in_pieces(y, GRAIN, 1, &|start, y| {
            let (mut block, mut position, mut done) = (start / indices.len(), start % indices.len(), 0);
            while done < y.len() {
                let count = (indices.len() - position).min(y.len() - done);
                let (x, to) = (&x[from.start(block, 0)..][..from.size], &mut y[done..][..count]);
                let places = &indices[position..][..count];
                for k in 0..count {
                    to[k] = x[places[k] as usize];
                }
                (block, position, done) = (block + 1, 0, done + count);
            }
        });
        return;
    }
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

impl Op for IndexSelectVjp {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Index, Accepts::Real]);

    fn name(&self) -> &'static str {
        "index_select_vjp"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        check_list(&inputs[0].shape)?;
        check_axes(&[self.axis], &inputs[1].shape)?;
        if inputs[1].shape[self.axis] != inputs[0].shape[0] {
            return Err(format!("axis {} of the source must have size {}", self.axis, inputs[0].shape[0]));
        }
        Ok(smallvec::smallvec![Meta::real(inputs[1].shape.with_size(self.axis, self.size)?)])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn workspace<T: Real>(&self, inputs: &[Shape]) -> usize {
        let slice: usize =
            inputs[1].iter().enumerate().filter(|&(axis, _)| axis != self.axis).map(|(_, n)| n).product();
        additions_workspace(&inputs[0], self.size, self.size.saturating_mul(slice))
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let (indices, source) = (work.inputs[0].index(), work.inputs[1].real());
        let to = AlongAxis::new(self.axis, &work.output_shapes[0]);
        check_within(indices, &work.input_shapes[0], self.axis, to.size)?;
        Additions { to, indices, source }.run(None, work.outputs[0].real(), work.workspace);
        Ok(())
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        call.g().graph().call(IndexSelect { axis: self.axis }, &[call.g(), call.x(0)])
    }
}

/// Slices of a source that are added at indices along an axis.
struct Additions<'a, T> {
    to: AlongAxis,
    indices: &'a [i64],
    source: &'a [T],
}

/// The number of occurrences of each index, and the compensation of the sums.
fn additions_workspace(indices: &Shape, size: usize, len: usize) -> usize {
    if indices.len() <= UNCOMPENSATED { 0 } else { len.saturating_add(size) }
}

impl<T: Real> Additions<'_, T> {
    /// Adds them to `start`, or to zeros. The result is divided over threads, so that each sum is made by one of them in
    /// the order of the indices.
    fn run(&self, start: Option<&[T]>, y: &mut [T], workspace: &mut [T]) {
        let AlongAxis { size, inner, .. } = self.to;
        if y.is_empty() {
            return;
        }
        // The number of occurrences of each index; exact enough in `f32` to compare with the limit.
        let (counts, lost): (&mut [T], &mut [T]) = if self.indices.len() <= UNCOMPENSATED {
            (&mut [], &mut [])
        } else {
            let (counts, rest) = workspace.split_at_mut(size);
            (counts, &mut rest[..y.len()])
        };
        counts.fill(T::zero());
        if !counts.is_empty() {
            self.indices.iter().for_each(|&index| counts[index as usize] += T::one());
        }
        let counts = &*counts;
        // The work of all is that of the result and of the source; each thread reads all indices of its blocks.
        let grain = (y.len() * GRAIN).div_ceil(y.len() + self.source.len()).max(1);
        in_pairs_of_pieces([y, lost], grain, inner, &|from, [y, lost]| {
            match start {
                Some(start) => y.copy_from_slice(&start[from..from + y.len()]),
                None => y.fill(T::zero()),
            }
            let rows = (from / inner, (from + y.len()) / inner);
            for block in rows.0 / size..rows.1.div_ceil(size) {
                self.add_block(block, rows, y, lost, counts);
            }
        });
    }

    /// Adds what belongs to the rows of that range and that block.
    fn add_block(&self, block: usize, rows: (usize, usize), y: &mut [T], lost: &mut [T], counts: &[T]) {
        let AlongAxis { size, inner, .. } = self.to;
        let first = block * size;
        // The rows of both, counted from the first of the range.
        let own = first.max(rows.0) - rows.0..(first + size).min(rows.1) - rows.0;
        let many = |index: usize| !counts.is_empty() && counts[index] > T::of(UNCOMPENSATED as f64);
        if !counts.is_empty() {
            lost[own.start * inner..own.end * inner].fill(T::zero());
        }
        let source = &self.source[block * self.indices.len() * inner..][..self.indices.len() * inner];
        for position in 0..self.indices.len() {
            let index = self.indices[position] as usize;
            // Wraps for a row before the range, which is then not in it.
            let row = (first + index).wrapping_sub(rows.0);
            if !own.contains(&row) {
                continue;
            }
            // Without slices for one element.
            match (inner, many(index)) {
                (1, true) => Add::gather(&mut y[row], &mut lost[row], source[position]),
                (1, false) => y[row] += source[position],
                (_, is_many) => {
                    let (run, part) = (row * inner..(row + 1) * inner, &source[position * inner..][..inner]);
                    if is_many {
                        let (y, lost) = (&mut y[run.clone()], &mut lost[run]);
                        for k in 0..inner {
                            Add::gather(&mut y[k], &mut lost[k], part[k]);
                        }
                    } else {
                        y[run].iter_mut().zip(part).for_each(|(total, &x)| *total += x);
                    }
                }
            }
        }
        for row in own.filter(|row| many(row + rows.0 - first)) {
            for k in row * inner..(row + 1) * inner {
                y[k] = Add::finish(y[k], lost[k]);
            }
        }
    }
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

    fn workspace<T: Real>(&self, inputs: &[Shape]) -> usize {
        additions_workspace(&inputs[1], inputs[0][self.axis], inputs[0].len())
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let (indices, source) = (work.inputs[1].index(), work.inputs[2].real());
        let to = AlongAxis::new(self.axis, &work.input_shapes[0]);
        check_within(indices, &work.input_shapes[1], self.axis, to.size)?;
        let start = Some(work.inputs[0].real());
        Additions { to, indices, source }.run(start, work.outputs[0].real(), work.workspace);
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
    /// The derivative is zero but for the slices that were read, where it is the sum of their cotangents. An index that is out of range is an error of the
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

    /// If this is the derivative of one or several [`Var::index_select`] along the first axis, by which a table has
    /// been read, and of nothing else: for each of them, in the order in which they are added, the indices and the rows
    /// that are added to zeros.
    pub fn as_added_rows(self) -> Option<Vec<(Var<'g>, Var<'g>)>> {
        let tape = self.graph().tape();
        let var = |value| Var { graph: self.graph(), value };
        let rows = |of: Var<'g>| {
            let op = tape.op(of.node())?.as_any().downcast_ref::<IndexSelectVjp>()?;
            let inputs = &tape.nodes[of.node().index()].inputs;
            (op.axis == 0).then(|| (var(inputs[0]), var(inputs[1])))
        };
        let (mut parts, mut rest) = (Vec::new(), self);
        loop {
            if let Some(first) = rows(rest) {
                parts.push(first);
                parts.reverse();
                return Some(parts);
            }
            tape.op(rest.node())?.as_any().downcast_ref::<AddOp>()?;
            let [left, right] = [0, 1].map(|input| var(tape.nodes[rest.node().index()].inputs[input]));
            let (last, others) = rows(right).map(|last| (last, left)).or_else(|| Some((rows(left)?, right)))?;
            parts.push(last);
            rest = others;
        }
    }
}

crate::tape::op::saved_ops! {
    "index_select": IndexSelect { axis },
    "index_select_vjp": IndexSelectVjp { axis, size },
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
    let select_vjp = named().prop_flat_map(|(shape, axis, count)| {
        let (source, size) = (shape.with_size(axis, count).expect("it is small"), shape[axis]);
        (indices(count, size), tensor(source, -4.0..4.0)).prop_map(move |(indices, source)| {
            Sample::new(IndexSelectVjp { axis, size }, [indices.into(), source.into()])
        })
    });
    let add = named().prop_flat_map(|(shape, axis, count)| {
        let source = shape.with_size(axis, count).expect("it is small");
        (tensor(shape.clone(), -4.0..4.0), indices(count, shape[axis]), tensor(source, -4.0..4.0)).prop_map(
            move |(x, indices, source)| Sample::new(IndexAdd { axis }, [x.into(), indices.into(), source.into()]),
        )
    });
    vec![
        Entry::new("index_select", "`x[indexₖ]` along an axis, for each index of a list", select),
        Entry::new("index_select_vjp", "zeros with `sourceₖ` added at `[indexₖ]` along an axis", select_vjp),
        Entry::new("index_add", "`x` with `sourceₖ` added at `x[indexₖ]` along an axis", add),
    ]
}

#[cfg(test)]
mod tests {
    use crate::params::Params;
    use crate::plan::Feed;
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

    /// Each of several threads adds what belongs to its rows, in the order of the list; some sums are compensated.
    #[test]
    fn sums_do_not_depend_on_the_number_of_threads() {
        const COUNT: usize = 6_000;
        for (shape, axis) in [([500, 1, 40], 0), ([3, 400, 17], 1), ([40, 1, 500], 2)] {
            let size = shape[axis];
            let places = Tensor::from_fn([COUNT], |k| if k % 3 == 0 { 7 } else { ((k * k) % size) as i64 });
            let mut from = shape;
            from[axis] = COUNT;
            let source = Tensor::from_fn(from, |k| ((k * 37 % 1001) as f32).exp2().recip() + 0.1);
            let sums = |threads: usize| -> Vec<Vec<u32>> {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let graph = Graph::new();
                    let (start, places) = (graph.ones(shape), graph.index_constant(&places));
                    let source_var = graph.input("source", from);
                    let read = start.index_select(axis as isize, places);
                    let vjp = graph.vjp(&[read], &[source_var], &[start]).unwrap()[0];
                    let added = start.index_add(axis as isize, places, source_var);
                    let feed = Feed::new().with("source", &source);
                    let found = graph.eval_with::<f32>(&[vjp, added], &Params::new(0), &feed).unwrap();
                    found.iter().map(|sums| sums.real().data().iter().map(|x| x.to_bits()).collect()).collect()
                })
            };
            let alone = sums(1);
            for threads in [2, 3, 8] {
                assert!(sums(threads) == alone, "{shape:?} on {threads} threads");
            }
        }
    }

    /// The parts of a gradient of rows, and what is none.
    #[test]
    fn gradients_of_rows_are_found() {
        let graph = Graph::new();
        let table = graph.input("table", [9, 2]);
        let [one, two, three] = [1, 2, 3].map(|k| graph.index_constant(&Tensor::from([k, 2 * k])));
        let [a, b, c] = [one, two, three].map(|places| table.index_select(0, places).square().sum());
        let gradient = |loss| graph.grad(loss, &[table]).unwrap()[0];
        let places =
            |loss| gradient(loss).as_added_rows().map(|parts| parts.iter().map(|part| part.0).collect::<Vec<_>>());
        assert_eq!(places(a), Some(vec![one]));
        let mut found = places(a + b + c).unwrap();
        found.sort_by_key(|var| var.node());
        assert_eq!(found, [one, two, three]);
        assert_eq!(places(a + table.sum()), None);
        assert_eq!(places(table.square().index_select(0, one).sum()), None);
        let columns = graph.index_constant(&Tensor::from([1]));
        assert_eq!(places(table.index_select(1, columns).sum()), None);
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
