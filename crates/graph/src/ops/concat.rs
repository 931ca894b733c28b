//! Concatenation along an axis; the derivative slices the cotangent.

use smallvec::SmallVec;

use crate::axes::{check_axes, resolve_axis};
use crate::kernel::along_axis::AlongAxis;
use crate::kernel::parallel::{GRAIN, in_pieces};
use crate::kernel::strided::Rows;
use crate::real::Real;
use crate::shape::Shape;
use crate::tape::op::{Accepts, Array, ArrayMut, Call, Form, Meta, Metas, Op, Signature, Work};
use crate::tape::{Graph, Var, refuse};

/// The inputs along `axis`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Concat {
    axis: usize,
    /// The start of each input in the output, stored because the derivative is computed for one input at a time: adding
    /// up the sizes each time would take quadratic time.
    starts: Vec<usize>,
}

impl Concat {
    fn new<'a>(axis: usize, shapes: impl Iterator<Item = &'a Shape>) -> Self {
        let mut end = 0_usize;
        // Ends that overflow are refused by the shape rule.
        let start = |shape: &Shape| {
            let start = end;
            end = end.saturating_add(shape.get(axis).copied().unwrap_or(0));
            start
        };
        Self { axis, starts: shapes.map(start).collect() }
    }
}

impl Op for Concat {
    const INPUTS: Signature = Signature::Variadic(Accepts::Any);

    fn name(&self) -> &'static str {
        "concat"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        let first = &inputs[0];
        check_axes(&[self.axis], &first.shape)?;
        let mut size = first.shape[self.axis];
        for other in &inputs[1..] {
            if other.kind != first.kind {
                return Err("real numbers and indices cannot be concatenated".into());
            }
            let rest = |shape: &Shape| shape.without(|axis| axis == self.axis);
            if other.shape.rank() != first.shape.rank() || rest(&other.shape) != rest(&first.shape) {
                return Err(format!("the shapes differ on another axis than {}", self.axis));
            }
            size = size.saturating_add(other.shape[self.axis]);
        }
        let shape = first.shape.with_size(self.axis, size)?;
        if *self != Self::new(self.axis, inputs.iter().map(|input| &input.shape)) {
            return Err(format!("the inputs do not start at {:?} on axis {}", self.starts, self.axis));
        }
        Ok(smallvec::smallvec![Meta { shape, ..first.clone() }])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let to = AlongAxis::new(self.axis, &work.output_shapes[0]);
        match &mut work.outputs[0] {
            ArrayMut::Real(y) => self.join(work.inputs, |x| x.real(), work.input_shapes, to, y),
            ArrayMut::Index(y) => self.join(work.inputs, |x| x.index(), work.input_shapes, to, y),
        }
        Ok(())
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
        let (start, size) = (self.starts[input] as isize, call.x(input).shape()[self.axis] as isize);
        call.g().slice(self.axis as isize, start, start + size)
    }

    fn joined_axis(&self) -> Option<usize> {
        Some(self.axis)
    }
}

impl Concat {
    /// Copies the inputs into blocks of the output, one for each index of the axes before the axis.
    fn join<'a, T: Real, E: Copy + Send + Sync + 'a>(
        &self,
        inputs: &[Array<'a, T>],
        elements: impl Fn(&Array<'a, T>) -> &'a [E] + Sync,
        shapes: &[Shape],
        to: AlongAxis,
        y: &mut [E],
    ) {
        let block = to.size * to.inner;
        if y.is_empty() {
            return;
        }
        // Blocks of all inputs at a time, so that those of the output stay in the cache, unless a call copies too few.
        let each = (block / inputs.len()).max(1);
        let at_once = (4096 / block).max(64 / each).max(1);
        in_pieces(y, GRAIN, block, &|from, piece| {
            let (first, count, mut done) = (from / block, piece.len() / block, 0);
            while done < count {
                let (now, blocks) = (at_once.min(count - done), &mut piece[done * block..]);
                for ((x, shape), start) in inputs.iter().zip(shapes).zip(&self.starts) {
                    let len = shape[self.axis] * to.inner;
                    let (at, pitch) = ((start * to.inner) as isize, block as isize);
                    let rows = Rows { first: at, planes: 1, distance: 0, count: now, pitch, len, stride: 1 };
                    rows.scatter(&elements(x)[(first + done) * len..][..now * len], blocks);
                }
                done += now;
            }
        });
    }
}

impl Graph {
    /// Concatenates variables along an axis. The derivative of each is its slice of the cotangent.
    ///
    /// # Shapes
    /// The shapes are equal except on `axis`, on which the sizes add up.
    ///
    /// # Panics
    /// If there are none, the shapes do not fit, or the axis is out of range.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from_rows([[1.0, 2.0], [3.0, 4.0]]));
    /// let y = graph.constant(&Tensor::from_rows([[5.0], [6.0]]));
    /// let joined = graph.concat(&[x, y], 1);
    /// assert_eq!(graph.eval(joined)?, Tensor::from_rows([[1.0, 2.0, 5.0], [3.0, 4.0, 6.0]]));
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn concat<'g>(&'g self, vars: &[Var<'g>], axis: isize) -> Var<'g> {
        if vars.is_empty() {
            refuse("concat", &[], "there are no variables");
        }
        let axis = resolve_axis("concat", axis, &vars[0].shape());
        if vars.len() == 1 {
            return vars[0];
        }
        let shapes: Vec<Shape> = vars.iter().map(|var| var.shape()).collect();
        self.call(Concat::new(axis, shapes.iter()), vars)
    }

    /// Concatenates variables of one shape along a new axis, which is axis `axis` of the result.
    ///
    /// # Shapes
    /// `n` variables of `[a, b]` give `[n, a, b]` for axis 0.
    ///
    /// # Panics
    /// If there are none, the shapes differ, or the axis is out of range.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([1.0, 2.0]));
    /// let y = graph.constant(&Tensor::from([3.0, 4.0]));
    /// assert_eq!(graph.eval(graph.stack(&[x, y], -1))?, Tensor::from_rows([[1.0, 3.0], [2.0, 4.0]]));
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn stack<'g>(&'g self, vars: &[Var<'g>], axis: isize) -> Var<'g> {
        if vars.is_empty() {
            refuse("stack", &[], "there are no variables");
        }
        let shape = vars[0].shape();
        for var in vars {
            let other = var.shape();
            if other != shape {
                refuse("stack", &[&shape, &other], "the shapes differ");
            }
        }
        let mut raised: SmallVec<[Var<'g>; 8]> = SmallVec::with_capacity(vars.len());
        for var in vars {
            raised.push(var.unsqueeze(axis));
        }
        self.concat(&raised, axis)
    }
}

crate::tape::op::saved_ops!("concat": Concat { axis, starts });

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{any_tensor, shape_and_axis, size, tensor};
    use crate::check::{Entry, Sample};
    use crate::tensor::AnyTensor;
    use proptest::prelude::*;

    let samples = (shape_and_axis(5), prop::collection::vec(size(), 0..4)).prop_flat_map(|((shape, axis), others)| {
        let part = |&size: &usize| {
            tensor(shape.with_size(axis, size).expect("it is small"), -4.0..4.0).prop_map(AnyTensor::Real)
        };
        let others: Vec<_> = others.iter().map(part).collect();
        // Indices are concatenated with themselves, since all inputs are of one kind.
        (any_tensor(shape.clone()), others).prop_map(move |(first, others)| {
            let others = if matches!(first, AnyTensor::Index(_)) { vec![first.clone(); others.len()] } else { others };
            let inputs: Vec<AnyTensor<f64>> = std::iter::once(first).chain(others).collect();
            Sample::new(Concat::new(axis, inputs.iter().map(AnyTensor::shape)), inputs)
        })
    });
    vec![Entry::new("concat", "the inputs, concatenated along an axis", samples)]
}

#[cfg(test)]
mod tests {
    use crate::check::assert_property;
    use crate::check::strategies::alike;
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    #[test]
    fn gradients_of_a_stack() {
        assert_property(alike(2, -3.0..3.0), |x| x[0].graph().stack(&[x[0], x[1], x[1]], 0).square());
        assert_property(alike(2, -3.0..3.0), |x| x[0].graph().stack(&[x[0], x[1]], -1).square());
    }

    #[test]
    fn indices_are_joined_as_well_as_real_numbers() {
        let graph = Graph::new();
        let x = graph.index_constant(&Tensor::from([1, 2]));
        let joined = graph.concat(&[x, x], 0);
        assert_eq!(graph.eval(joined.to_real()).unwrap().data(), [1.0, 2.0, 1.0, 2.0]);
    }

    #[test]
    #[should_panic(expected = "`concat` of [2, 3] and [3, 3]: the shapes differ on another axis than 1")]
    fn shapes_that_do_not_fit_are_named() {
        let graph = Graph::new();
        graph.concat(&[graph.zeros([2, 3]), graph.zeros([3, 3])], 1);
    }

    #[test]
    #[should_panic(expected = "`stack` of [2] and [3]: the shapes differ")]
    fn a_stack_needs_one_shape() {
        let graph = Graph::new();
        graph.stack(&[graph.zeros([2]), graph.zeros([3])], 0);
    }

    #[test]
    fn threads_join_as_one_does() {
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let parts: Vec<Tensor<f64>> = [7, 40, 1].map(|size| Tensor::from_fn([9000, size, 2], |k| k as f64)).into();
        let run = || {
            let graph = Graph::new();
            let parts: Vec<_> = parts.iter().map(|part| graph.constant(part)).collect();
            graph.eval(graph.concat(&parts, 1)).unwrap()
        };
        let wanted = Tensor::from_fn([9000, 48, 2], |k| {
            let (row, column) = (k / 96, k % 96);
            let (part, first) = if column < 14 {
                (0, 0)
            } else if column < 94 {
                (1, 14)
            } else {
                (2, 94)
            };
            parts[part].data()[row * parts[part].len() / 9000 + column - first]
        });
        for threads in [1, 3] {
            assert_eq!(pool(threads).install(run), wanted, "{threads} threads");
        }
    }
}
