//! Max pooling over lists of ranges, which express sliding windows, padding and adaptive pooling. The derivative
//! adds the cotangent at the indices of the largest elements, which are a second output.

use crate::kernel::indices::check_below;
use crate::kernel::max_pool::{AddAtIndices, LargestOfWindows, Span};
use crate::kernel::parallel::{Pieces, in_parts, in_pieces};
use crate::kernel::simd::vectorized;
use crate::real::Real;
use crate::shape::Shape;
use crate::tape::Var;
use crate::tape::op::{Accepts, Call, Form, Kinks, Meta, Metas, Op, Signature, Work};

/// The largest element of each span of rows and each span of columns.
#[derive(Debug, PartialEq, Eq, Hash)]
struct MaxPool {
    rows: Vec<Span>,
    columns: Vec<Span>,
}

/// The cotangent of max pooling's input, from the indices of the largest elements and the cotangent of these: planes of
/// zeros, of `size`, with the one added at the other.
#[derive(Debug, PartialEq, Eq, Hash)]
struct MaxPoolVjp {
    size: [usize; 2],
}

/// Elements that are worth a thread.
const GRAIN: usize = 1 << 16;

impl Op for MaxPool {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        let Some((lead, sizes)) = inputs[0].shape.split_last_chunk::<2>() else {
            return Err("there must be two axes, rows and columns".into());
        };
        for (spans, &size) in [&self.rows, &self.columns].into_iter().zip(sizes) {
            for span in spans {
                if span.count == 0 || span.step == 0 {
                    return Err(format!("{span:?} has no elements or no step"));
                }
                let last = span.step.saturating_mul(span.count - 1).saturating_add(span.start);
                if last >= size {
                    return Err(format!("{span:?} leaves an axis of size {size}"));
                }
            }
        }
        let shape = Shape::try_collect(lead.iter().copied().chain([self.rows.len(), self.columns.len()]))?;
        Ok(smallvec::smallvec![Meta::real(shape.clone()), Meta::index(shape)])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let (x, shape) = (work.inputs[0].real(), &work.input_shapes[0]);
        let size = last_two(shape);
        let (plane, count) = (size[0] * size[1], self.rows.len() * self.columns.len());
        let [values, indices] = &mut *work.outputs else { unreachable!("the op has two outputs") };
        let (values, indices) = (values.real(), indices.index());
        if values.is_empty() {
            return Ok(());
        }
        let planes = values.len() / count;
        let (values, indices) = (Pieces::new(values), Pieces::new(indices));
        in_parts(planes, (GRAIN / plane).max(1), 1, rayon::current_num_threads(), &|_, range| {
            let (from, results) = (range.start * count, range.len() * count);
            // SAFETY: no other range has these planes.
            #[allow(unsafe_code)]
            let (values, indices) = unsafe { (values.piece(from, results), indices.piece(from, results)) };
            let x = &x[range.start * plane..range.end * plane];
            vectorized(LargestOfWindows { x, size, rows: &self.rows, columns: &self.columns, values, indices });
        });
        Ok(())
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        let size = last_two(&call.x(0).shape());
        call.g().graph().call(MaxPoolVjp { size }, &[call.outputs[1], call.g()])
    }

    fn kinks(&self, _input: usize) -> Kinks {
        // They depend on all elements of a range.
        Kinks::Joint
    }
}

/// The rows and columns of planes.
fn last_two(shape: &Shape) -> [usize; 2] {
    *shape.last_chunk().expect("the shape rule saw two axes")
}

impl Op for MaxPoolVjp {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Index, Accepts::Real]);

    fn name(&self) -> &'static str {
        "max_pool_vjp"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        let Some((lead, _)) = inputs[0].shape.split_last_chunk::<2>() else {
            return Err("there must be two axes, rows and columns".into());
        };
        if inputs[1].shape != inputs[0].shape {
            return Err("indices and cotangent have different shapes".into());
        }
        Ok(smallvec::smallvec![Meta::real(Shape::try_collect(lead.iter().copied().chain(self.size))?)])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let (indices, g, x) = (work.inputs[0].index(), work.inputs[1].real(), work.outputs[0].real());
        let (shape, [height, width]) = (&work.input_shapes[0], self.size);
        let (plane, count) = (height * width, last_two(shape).iter().product());
        check_below(indices, shape, plane, "index", || format!("a plane of {height}×{width} elements"))?;
        if x.is_empty() {
            return Ok(());
        }
        in_pieces(x, GRAIN, plane, &|start, x| {
            let of_planes = start / plane * count..(start + x.len()) / plane * count;
            let (g, indices) = (&g[of_planes.clone()], &indices[of_planes]);
            vectorized(AddAtIndices { g, indices, count, x, plane });
        });
        Ok(())
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        // Of each plane its elements at the indices.
        let flat = |shape: &Shape| -> Shape {
            let (lead, sizes) = shape.split_last_chunk::<2>().expect("the shape rule saw two axes");
            lead.iter().copied().chain([sizes[0] * sizes[1]]).collect()
        };
        let (indices, g) = (call.x(0), call.g());
        let shape = indices.shape();
        g.reshape(flat(&g.shape())).take_along(-1, indices.reshape(flat(&shape))).reshape(shape)
    }
}

impl<'g> Var<'g> {
    /// Max pooling: `y[…, p, q] = max x[…, i, j]` over the rows `i` of span `p` and the columns `j` of span `q`, and
    /// the index of the largest element in the plane, `i·W + j`.
    ///
    /// Of equal elements the first in row-major order gets the derivative, as in PyTorch. NaN propagates. Sliding
    /// windows and ranges of different sizes are lists of spans; padding is left out of them.
    ///
    /// # Shapes
    /// `[…, H, W]` gives two values of `[…, rows.len(), columns.len()]`, the second of them an index.
    ///
    /// # Panics
    /// If a span leaves its axis or has no elements.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Span, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from_rows([[1.0, 5.0, 2.0], [4.0, 3.0, 9.0]]));
    /// let both = [Span { start: 0, step: 1, count: 2 }];
    /// let (y, indices) = x.max_pool(&both, &[both[0], Span { start: 2, step: 1, count: 1 }]);
    /// assert_eq!(graph.eval(y)?.data(), [5.0, 9.0]);
    /// assert_eq!(graph.eval(indices.to_real())?.data(), [1.0, 5.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn max_pool(self, rows: &[Span], columns: &[Span]) -> (Var<'g>, Var<'g>) {
        let op = MaxPool { rows: rows.to_vec(), columns: columns.to_vec() };
        match self.graph().apply(op, &[self]) {
            Ok(outputs) => (outputs[0], outputs[1]),
            Err(error) => error.panic(),
        }
    }
}

crate::tape::op::saved::fields!(Span { start, step, count });
crate::tape::op::saved_ops! {
    "max_pool": MaxPool { rows, columns },
    "max_pool_vjp": MaxPoolVjp { size },
}

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{indices, separated, shape, tensor};
    use crate::check::{Entry, Sample};
    use crate::kernel::max_pool::spans;
    use proptest::prelude::*;

    let samples = (shape(2), 1..5_usize, 1..5_usize).prop_flat_map(|(lead, height, width)| {
        let whole: Shape = lead.iter().copied().chain([height, width]).collect();
        (separated(whole, 0.25), spans(height, 4), spans(width, 4))
            .prop_map(|(x, rows, columns)| Sample::new(MaxPool { rows, columns }, [x.into()]))
    });
    // Without elements in a plane there are no windows.
    let adds = (shape(2), [0..4_usize, 1..5_usize], [0..3_usize, 0..3_usize]).prop_flat_map(|(lead, size, windows)| {
        let windows = if size.contains(&0) { [windows[0], 0] } else { windows };
        let shape: Shape = lead.iter().copied().chain(windows).collect();
        (indices(shape.clone(), size[0] * size[1]), tensor(shape, -4.0..4.0))
            .prop_map(move |(indices, g)| Sample::new(MaxPoolVjp { size }, [indices.into(), g.into()]))
    });
    vec![
        Entry::new("max_pool", "the largest element of each of a list of ranges of a plane, and its index", samples)
            .kinks("ties: all to the first"),
        Entry::new("max_pool_vjp", "planes of zeros with `gₖ` added at `indexₖ`, the derivative of `max_pool`", adds),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    const PAIRS: [Span; 2] = [Span { start: 0, step: 1, count: 2 }, Span { start: 1, step: 1, count: 2 }];

    #[test]
    fn the_first_of_equal_elements_takes_the_derivative() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from_rows([[3.0, 3.0, 1.0], [3.0, 2.0, 1.0]]));
        let (y, _) = x.max_pool(&PAIRS[..1], &PAIRS);
        assert_eq!(graph.eval(y).unwrap().data(), [3.0, 3.0]);
        let slope = graph.grad(y.sum(), &[x]).unwrap()[0];
        assert_eq!(graph.eval(slope).unwrap().data(), [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn infinities_and_nan() {
        let graph = Graph::new();
        let (low, nan) = (f64::NEG_INFINITY, f64::NAN);
        let x = graph.constant(&Tensor::from_rows([[low, low, 1.0], [low, low, nan]]));
        let (y, indices) = x.max_pool(&PAIRS[..1], &PAIRS);
        let y = graph.eval(y).unwrap();
        assert!(y.data()[0] == low && y.data()[1].is_nan());
        assert_eq!(graph.eval(indices.to_real()).unwrap().data(), [0.0, 5.0]);
    }

    #[test]
    fn an_index_outside_of_the_plane_is_named() {
        let graph = Graph::new();
        for index in [6, -1] {
            let indices = graph.index_constant(&Tensor::from([0, index]).reshape([1, 2]));
            let sum = graph.call(MaxPoolVjp { size: [2, 3] }, &[indices, graph.ones([1, 2])]);
            let error = graph.eval(sum).unwrap_err().to_string();
            let end = format!("index {index} at position [0, 1] is out of range for a plane of 2×3 elements");
            assert!(error.ends_with(&end), "{error}");
        }
    }

    #[test]
    #[should_panic(expected = "`max_pool` of [2, 2]: Span { start: 1, step: 1, count: 2 } leaves an axis of size 2")]
    fn a_span_that_leaves_the_plane_is_named() {
        Graph::new().zeros([2, 2]).max_pool(&PAIRS, &PAIRS);
    }
}
