//! Splits along an axis, and tiling: made of views, so that in a plan the parts cost nothing.
//!
//! A split is one op that is recorded as slices, with a rule for its derivative, the concatenation of the cotangents of
//! the parts. The derivatives of slices would fill zeros of the size of the whole for each part: for a sequence that is
//! split into its steps, quadratic time and memory.

use crate::axes::{check_axes, resolve_axis};
use crate::shape::Shape;
use crate::tape::op::{Accepts, Call, Derivative, Meta, Metas, Op, Signature, Vars};
use crate::tape::{Var, expect_shape, refuse};

/// The parts of the given sizes along `axis`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Split {
    axis: usize,
    sizes: Vec<usize>,
}

impl Op for Split {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Any]);

    fn name(&self) -> &'static str {
        "split"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        check_axes(&[self.axis], &inputs[0].shape)?;
        let (count, axis, size) = (self.sizes.len(), self.axis, inputs[0].shape[self.axis]);
        let total = total(&self.sizes);
        if count == 0 || total != size {
            return Err(format!("{count} sizes add up to {total}, but axis {axis} has size {size}"));
        }
        let part = |&size: &usize| Ok(Meta { shape: inputs[0].shape.with_size(axis, size)?, ..inputs[0].clone() });
        self.sizes.iter().map(part).collect()
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        let mut start = 0;
        let part = |&size: &usize| {
            start += size as isize;
            inputs[0].slice(self.axis as isize, start - size as isize, start)
        };
        Some(self.sizes.iter().map(part).collect())
    }

    fn derivative(&self, _input: usize) -> Derivative {
        Derivative::Rule
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        let graph = call.x(0).graph();
        let parts = call.cotangents.iter().zip(call.outputs);
        let parts: Vec<Var<'g>> = parts.map(|(g, y)| g.unwrap_or_else(|| graph.zeros(y.shape()))).collect();
        graph.concat(&parts, self.axis as isize)
    }
}

/// The sum of sizes; the largest number if it overflows, which no axis has.
fn total(sizes: &[usize]) -> usize {
    sizes.iter().fold(0, |total, &size| total.saturating_add(size))
}

impl<'g> Var<'g> {
    /// Consecutive parts of the given sizes along an axis. In a plan they cost nothing; the derivative concatenates the
    /// cotangents.
    ///
    /// # Panics
    /// If the axis is out of range, or the sizes do not add up to that of the axis.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([1.0, 2.0, 3.0]));
    /// let parts = x.split(&[1, 2], 0);
    /// assert_eq!(graph.eval(parts[1])?.data(), [2.0, 3.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn split(self, sizes: &[usize], axis: isize) -> Vec<Var<'g>> {
        let shape = self.shape();
        let axis = resolve_axis("split", axis, &shape);
        let (total, size) = (total(sizes), shape[axis]);
        if total != size {
            let problem = format!("the sizes {sizes:?} add up to {total}, but axis {axis} has size {size}");
            refuse("split", &[&shape], &problem);
        }
        self.parts(sizes.to_vec(), axis)
    }

    /// `count` consecutive parts of equal size along an axis.
    ///
    /// # Panics
    /// If the axis is out of range, or its size is not a multiple of `count`.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let gates = graph.constant(&Tensor::from_rows([[1.0, 2.0, 3.0, 4.0]])).chunks(2, -1);
    /// assert_eq!(graph.eval(gates[1])?, Tensor::from_rows([[3.0, 4.0]]));
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn chunks(self, count: usize, axis: isize) -> Vec<Var<'g>> {
        let shape = self.shape();
        let axis = resolve_axis("chunks", axis, &shape);
        let size = shape[axis];
        if count == 0 || !size.is_multiple_of(count) {
            let problem = format!("axis {axis} of size {size} cannot be divided into {count} equal parts");
            refuse("chunks", &[&shape], &problem);
        }
        self.parts(vec![size / count; count], axis)
    }

    /// The slices at all indices of an axis, without the axis: the inverse of [`Graph::stack`](crate::Graph::stack).
    ///
    /// # Panics
    /// If the axis is out of range.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let steps = graph.constant(&Tensor::from_rows([[1.0, 2.0], [3.0, 4.0]])).unstack(0);
    /// assert_eq!(graph.eval(steps[1])?.data(), [3.0, 4.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn unstack(self, axis: isize) -> Vec<Var<'g>> {
        let shape = self.shape();
        let axis = resolve_axis("unstack", axis, &shape);
        let slice = shape.without(|other| other == axis);
        self.parts(vec![1; shape[axis]], axis).into_iter().map(|part| part.reshape(slice.clone())).collect()
    }

    #[track_caller]
    fn parts(self, sizes: Vec<usize>, axis: usize) -> Vec<Var<'g>> {
        match sizes.len() {
            0 => Vec::new(),
            1 => vec![self],
            _ => match self.graph().apply(Split { axis, sizes }, &[self]) {
                Ok(parts) => parts.into_vec(),
                Err(error) => error.panic(),
            },
        }
    }

    /// The variable repeated `repeats[k]` times along axis `k`, as NumPy's `tile`.
    ///
    /// Repeats and axes are aligned at the last one: if there are more repeats, axes of size 1 are added in front; if
    /// there are fewer, the first axes are not repeated.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([1.0, 2.0]));
    /// let twice = graph.eval(x.tile([2, 2]))?;
    /// assert_eq!(twice, Tensor::from_rows([[1.0, 2.0, 1.0, 2.0], [1.0, 2.0, 1.0, 2.0]]));
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn tile(self, repeats: impl AsRef<[usize]>) -> Var<'g> {
        let (shape, repeats) = (self.shape(), repeats.as_ref());
        let rank = shape.rank().max(repeats.len());
        let aligned = |sizes: &[usize], axis: usize| (axis + sizes.len()).checked_sub(rank).map_or(1, |k| sizes[k]);
        let pairs = || (0..rank).map(|axis| (aligned(repeats, axis), aligned(&shape, axis)));
        // [a, b] as [1, a, 1, b], repeated to [r, a, s, b], read as [r·a, s·b].
        let apart: Shape = pairs().flat_map(|(_, size)| [1, size]).collect();
        let repeated: Vec<usize> = pairs().flat_map(|(repeat, size)| [repeat, size]).collect();
        let repeated = expect_shape("tile", &[&shape], repeated);
        let joined: Shape = pairs().map(|(repeat, size)| repeat * size).collect();
        self.reshape(apart).broadcast_to(repeated).reshape(joined)
    }
}

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{any_tensor, shape_and_axis, size};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    let samples = (shape_and_axis(5), prop::collection::vec(size(), 1..4)).prop_flat_map(|((shape, axis), sizes)| {
        any_tensor(shape.with_size(axis, total(&sizes)).expect("it is small"))
            .prop_map(move |x| Sample::new(Split { axis, sizes: sizes.clone() }, [x]))
    });
    vec![Entry::new("split", "the parts of given sizes along an axis", samples)]
}

#[cfg(test)]
mod tests {
    use crate::check::assert_property;
    use crate::check::strategies::{alike, tensor};
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    #[test]
    fn gradients() {
        let matrix = || vec![tensor([3, 4], -3.0..3.0)];
        assert_property(matrix(), |x| {
            let parts = x[0].split(&[1, 0, 3], -1);
            parts[0] * parts[2].square() + parts[1].sum()
        });
        assert_property(matrix(), |x| {
            let [a, b] = x[0].chunks(2, 1)[..] else { panic!("two parts") };
            a * b
        });
        assert_property(matrix(), |x| {
            let rows = x[0].unstack(0);
            rows[0] * rows[2].square()
        });
        assert_property(alike(1, -3.0..3.0), |x| x[0].tile([2, 1, 3]).square());
        assert_property(matrix(), |x| x[0].tile([2]).square() + x[0].tile([1, 1, 1, 2]));
    }

    /// One node for each part and its reshape, and one concatenation in the derivative; no zeros of the size of the
    /// whole.
    #[test]
    fn a_long_axis_takes_few_nodes() {
        let graph = Graph::new();
        let x = graph.input("x", [10_000, 2]);
        let steps = x.unstack(0);
        let last = steps.iter().fold(graph.zeros([2]), |sum, step| sum + *step);
        let nodes = graph.len();
        assert!(nodes < 35_000, "{nodes}");
        graph.grad(last.sum(), &[x]).unwrap();
        assert!(graph.len() - nodes < 25_000, "{}", graph.len() - nodes);
        assert!(x.slice(0, 0, 0).unstack(0).is_empty());
    }

    #[test]
    fn tiles_are_numpys() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from_rows([[1.0, 2.0], [3.0, 4.0]]));
        let value = |y| graph.eval(y).unwrap();
        let wide = Tensor::from_rows([[1.0, 2.0, 1.0, 2.0], [3.0, 4.0, 3.0, 4.0]]);
        assert_eq!(value(x.tile([2])), wide);
        assert_eq!(value(x.tile([2, 1])).data(), [1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(value(x.tile([0, 1])).shape().sizes(), [0, 2]);
        assert_eq!(value(x.tile([3, 1, 1])).shape().sizes(), [3, 2, 2]);
        assert_eq!(value(graph.scalar(5.0).tile([2])).data(), [5.0, 5.0]);
    }

    #[test]
    #[should_panic(expected = "`split` of [5, 2]: the sizes [2, 2] add up to 4, but axis 0 has size 5")]
    fn sizes_must_add_up() {
        Graph::new().zeros([5, 2]).split(&[2, 2], 0);
    }

    #[test]
    #[should_panic(expected = "`chunks` of [5, 2]: axis 0 of size 5 cannot be divided into 2 equal parts")]
    fn parts_must_be_equal() {
        Graph::new().zeros([5, 2]).chunks(2, 0);
    }
}
