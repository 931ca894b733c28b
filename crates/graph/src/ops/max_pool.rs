//! Max pooling over lists of ranges, which express sliding windows, padding and adaptive pooling. The derivative
//! scatters the cotangent to the indices of the largest elements, which are a second output.

use crate::kernel::parallel::{Pieces, in_parts};
use crate::real::Real;
use crate::shape::Shape;
use crate::tape::Var;
use crate::tape::op::{Accepts, Call, Form, Kinks, Meta, Metas, Op, Signature, Work};

/// A range of an axis: `count` elements from `start`, `step` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first element.
    pub start: usize,
    /// The distance from one element to the next; at least 1.
    pub step: usize,
    /// The number of elements; at least one.
    pub count: usize,
}

/// The largest element of each span of rows and each span of columns.
#[derive(Debug, PartialEq, Eq, Hash)]
struct MaxPool {
    rows: Vec<Span>,
    columns: Vec<Span>,
}

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
        const GRAIN: usize = 1 << 16;
        let shape = &work.input_shapes[0];
        let (x, width) = (work.inputs[0].real(), shape[shape.rank() - 1]);
        let (plane, count) = (shape[shape.rank() - 2] * width, self.rows.len() * self.columns.len());
        let [values, indices] = &mut *work.outputs else { unreachable!("the op has two outputs") };
        let (values, indices) = (values.real(), indices.index());
        if values.is_empty() {
            return Ok(());
        }
        let planes = values.len() / count;
        let (values, indices) = (Pieces::new(values), Pieces::new(indices));
        in_parts(planes, (GRAIN / plane).max(1), 1, rayon::current_num_threads(), &|_, range| {
            for n in range {
                // SAFETY: no other range has this plane.
                #[allow(unsafe_code)]
                let (values, indices) = unsafe { (values.piece(n * count, count), indices.piece(n * count, count)) };
                self.plane(&x[n * plane..][..plane], width, values, indices);
            }
        });
        Ok(())
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        let (shape, indices, g) = (call.x(0).shape(), call.outputs[1], call.g());
        let flat = |shape: &Shape| -> Shape {
            let (lead, sizes) = shape.split_last_chunk::<2>().expect("the shape rule saw two axes");
            lead.iter().copied().chain([sizes[0] * sizes[1]]).collect()
        };
        let to = flat(&g.shape());
        let zeros = g.graph().zeros(flat(&shape));
        zeros.scatter_few(-1, indices.reshape(to.clone()), g.reshape(to)).reshape(shape)
    }

    fn kinks(&self, _input: usize) -> Kinks {
        // They depend on all elements of a range.
        Kinks::Joint
    }
}

impl MaxPool {
    fn plane<T: Real>(&self, x: &[T], width: usize, values: &mut [T], indices: &mut [i64]) {
        let columns = self.columns.len();
        for (p, rows) in self.rows.iter().enumerate() {
            let (values, indices) = (&mut values[p * columns..][..columns], &mut indices[p * columns..][..columns]);
            for ((span, value), at) in self.columns.iter().zip(values).zip(indices) {
                let first = rows.start * width + span.start;
                let (mut largest, mut index) = (x[first], first);
                for i in 0..rows.count {
                    let row = first + i * rows.step * width;
                    for j in 0..span.count {
                        let at = row + j * span.step;
                        let x = x[at];
                        // Selected without a branch, which would be unpredictable.
                        let larger = (x > largest) | (x.is_nan() & !largest.is_nan());
                        largest = if larger { x } else { largest };
                        index = if larger { at } else { index };
                    }
                }
                (*value, *at) = (largest, index as i64);
            }
        }
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
crate::tape::op::saved_ops!("max_pool": MaxPool { rows, columns });

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{separated, shape};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    fn spans(size: usize) -> impl Strategy<Value = Vec<Span>> {
        let span = (0..size, 1..3_usize, 1..4_usize).prop_map(move |(start, step, count)| Span {
            start,
            step,
            count: count.min((size - start).div_ceil(step)),
        });
        prop::collection::vec(span, 0..4)
    }
    let samples = (shape(2), 1..5_usize, 1..5_usize).prop_flat_map(|(lead, height, width)| {
        let whole: Shape = lead.iter().copied().chain([height, width]).collect();
        (separated(whole, 0.25), spans(height), spans(width))
            .prop_map(|(x, rows, columns)| Sample::new(MaxPool { rows, columns }, [x.into()]))
    });
    vec![
        Entry::new("max_pool", "the largest element of each of a list of ranges of a plane, and its index", samples)
            .kinks("ties: all to the first"),
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
    #[should_panic(expected = "`max_pool` of [2, 2]: Span { start: 1, step: 1, count: 2 } leaves an axis of size 2")]
    fn a_span_that_leaves_the_plane_is_named() {
        Graph::new().zeros([2, 2]).max_pool(&PAIRS, &PAIRS);
    }
}
