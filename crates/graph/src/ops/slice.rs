//! Ranges of a variable along its axes, and their transpose, which puts a variable into zeros.

use smallvec::SmallVec;

use crate::axes::resolve_axis;
use crate::kernel::parallel::{GRAIN, in_pieces};
use crate::kernel::strided::scatter;
use crate::real::Real;
use crate::shape::{AxisRange, Layout, Shape, slice_of_axis};
use crate::tape::op::{Accepts, Call, Form, Meta, Metas, Op, Signature, Work};
use crate::tape::{Var, refuse};

/// One range of each axis.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Slice {
    ranges: SmallVec<[AxisRange; 4]>,
}

impl Op for Slice {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Any]);

    fn name(&self) -> &'static str {
        "slice"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        let shape = &inputs[0].shape;
        if self.ranges.len() != shape.rank() || !self.ranges.iter().zip(shape.iter()).all(|(r, &size)| r.fits(size)) {
            return Err(format!("the ranges {:?} leave it", self.ranges));
        }
        let shape = self.ranges.iter().map(|range| range.count).collect();
        Ok(smallvec::smallvec![Meta { shape, ..inputs[0].clone() }])
    }

    fn form(&self) -> Form {
        Form::View
    }

    fn view(&self, input: &Layout) -> Option<Layout> {
        Some(input.sliced(&self.ranges))
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        let embed = Embed { shape: call.x(0).shape(), ranges: self.ranges.clone() };
        call.x(0).graph().call(embed, &[call.g()])
    }
}

/// Zeros of `shape`, with the input at the elements of the ranges.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Embed {
    shape: Shape,
    ranges: SmallVec<[AxisRange; 4]>,
}

impl Op for Embed {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

    fn name(&self) -> &'static str {
        "embed"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        let fits = self.ranges.len() == self.shape.rank()
            && self.ranges.iter().zip(self.shape.iter()).all(|(range, &size)| range.fits(size))
            && self.ranges.iter().map(|range| range.count).eq(inputs[0].shape.iter().copied());
        if !fits {
            return Err(format!("the ranges {:?} do not put it into {}", self.ranges, self.shape));
        }
        Ok(smallvec::smallvec![Meta::real(self.shape.clone())])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let (x, y) = (work.inputs[0].real(), work.outputs[0].real());
        // Pieces are whole indices of the first axis.
        let (own, theirs) = match (self.shape.first(), work.input_shapes[0].first()) {
            (Some(&own), Some(&theirs)) if self.ranges[0].step > 0 && y.len() >= 2 * GRAIN => {
                (y.len() / own, x.len() / theirs.max(1))
            }
            _ => {
                embed(x, &self.shape, &self.ranges, y);
                return Ok(());
            }
        };
        in_pieces(y, GRAIN, own, &|from, piece| {
            let (from, count, mut ranges) = (from / own, piece.len() / own, self.ranges.clone());
            let AxisRange { start, step, count: all } = ranges[0];
            // The indices of the input that lie before a number of indices of the output.
            let before = |index: usize| index.saturating_sub(start).div_ceil(step.unsigned_abs()).min(all);
            let (first, last) = (before(from), before(from + count));
            ranges[0] = AxisRange {
                start: (start + first * step.unsigned_abs()).saturating_sub(from),
                step,
                count: last - first,
            };
            let mut shape = self.shape.clone();
            shape = shape.with_size(0, count).expect("it is smaller");
            embed(&x[first * theirs..last * theirs], &shape, &ranges, piece);
        });
        Ok(())
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        call.x(0).graph().call(Slice { ranges: self.ranges.clone() }, &[call.g()])
    }

    fn placement(&self) -> Option<(usize, usize)> {
        let is_whole = |axis: &usize| {
            let AxisRange { step, count, .. } = self.ranges[*axis];
            count == self.shape[*axis] && (step == 1 || count == 1)
        };
        let mut partial = (0..self.ranges.len()).filter(|axis| !is_whole(axis));
        let (axis, None) = (partial.next()?, partial.next()) else { return None };
        let AxisRange { start, step, count } = self.ranges[axis];
        (count == 1 || count > 1 && step == 1).then_some((axis, start))
    }
}

/// Zeros of a shape, with `x` at the elements of the ranges.
fn embed<T: Real>(x: &[T], shape: &Shape, ranges: &[AxisRange], y: &mut [T]) {
    y.fill(T::zero());
    if !x.is_empty() {
        scatter(x, &Layout::contiguous(shape.clone()).sliced(ranges).merged(), y);
    }
}

impl<'g> Var<'g> {
    /// The elements `start..end` along an axis. Negative ends count from the end of the axis, and `None` is the end of
    /// the axis, as in Python. In a plan this costs nothing; the derivative puts the cotangent into zeros.
    ///
    /// # Panics
    /// If the range leaves the axis.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([0.0, 1.0, 2.0, 3.0, 4.0]));
    /// assert_eq!(graph.eval(x.slice(0, 1, -1))?.data(), [1.0, 2.0, 3.0]);
    /// assert_eq!(graph.eval(x.slice_step(0, None, None, -2))?.data(), [4.0, 2.0, 0.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn slice(self, axis: isize, start: impl Into<Option<isize>>, end: impl Into<Option<isize>>) -> Var<'g> {
        self.slice_step(axis, start, end, 1)
    }

    /// Every `step`-th element of `start..end` along an axis; with a negative step backwards from `start` down to
    /// `end`, which is not included.
    ///
    /// # Panics
    /// If the range leaves the axis or the step is 0.
    #[track_caller]
    pub fn slice_step(
        self,
        axis: isize,
        start: impl Into<Option<isize>>,
        end: impl Into<Option<isize>>,
        step: isize,
    ) -> Var<'g> {
        let shape = self.shape();
        let axis = resolve_axis("slice", axis, &shape);
        let (start, count) = match slice_of_axis(shape[axis], start.into(), end.into(), step) {
            Ok(part) => part,
            Err(problem) => refuse("slice", &[&shape], &format!("on axis {axis} {problem}")),
        };
        let mut ranges: SmallVec<[AxisRange; 4]> =
            shape.iter().map(|&count| AxisRange { start: 0, step: 1, count }).collect();
        ranges[axis] = AxisRange { start, step, count };
        self.graph().call(Slice { ranges }, &[self])
    }

    /// The elements in reverse order along an axis.
    ///
    /// # Panics
    /// If the axis is out of range.
    #[track_caller]
    pub fn flip(self, axis: isize) -> Var<'g> {
        self.slice_step(axis, None, None, -1)
    }

    /// The variable with `before` zeros before it and `after` zeros after it along an axis.
    ///
    /// # Panics
    /// If the axis is out of range.
    #[track_caller]
    pub fn pad(self, axis: isize, before: usize, after: usize) -> Var<'g> {
        let own = self.shape();
        let axis = resolve_axis("pad", axis, &own);
        let mut ranges: SmallVec<[AxisRange; 4]> =
            own.iter().map(|&count| AxisRange { start: 0, step: 1, count }).collect();
        let padded = own[axis].checked_add(before).and_then(|size| size.checked_add(after)).unwrap_or(usize::MAX);
        let shape = match own.with_size(axis, padded) {
            Ok(shape) => shape,
            Err(problem) => refuse("pad", &[&own], &problem),
        };
        ranges[axis].start = if ranges[axis].count == 0 { 0 } else { before };
        self.graph().call(Embed { shape, ranges }, &[self])
    }
}

crate::tape::op::saved_ops! {
    "slice": Slice { ranges },
    "embed": Embed { shape, ranges },
}

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{any_tensor, size, slice, tensor};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    /// For each axis of a shape a range of it.
    fn ranges(shape: &Shape) -> impl Strategy<Value = SmallVec<[AxisRange; 4]>> + use<> {
        let each = |&size: &usize| slice(size).prop_map(|(start, step, count)| AxisRange { start, step, count });
        shape.iter().map(each).collect::<Vec<_>>().prop_map(SmallVec::from_vec)
    }
    let slices = prop::collection::vec(prop_oneof![4 => size(), 1 => Just(5)], 0..=4).prop_flat_map(|sizes| {
        let shape = Shape::from(sizes);
        (any_tensor(shape.clone()), ranges(&shape)).prop_map(|(x, ranges)| Sample::new(Slice { ranges }, [x]))
    });
    let embed = prop::collection::vec(prop_oneof![4 => size(), 1 => Just(5)], 0..=4).prop_flat_map(|sizes| {
        let shape = Shape::from(sizes);
        ranges(&shape).prop_flat_map(move |ranges| {
            let shape = shape.clone();
            tensor(ranges.iter().map(|range| range.count).collect::<Shape>(), -4.0..4.0)
                .prop_map(move |x| Sample::new(Embed { shape: shape.clone(), ranges: ranges.clone() }, [x.into()]))
        })
    });
    vec![
        Entry::new("slice", "`x[start + k·step]` along each axis", slices),
        Entry::new("embed", "zeros with `x` at `start + k·step` along each axis: the derivative of `slice`", embed),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::check::assert_property;
    use crate::check::strategies::tensor;
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    #[test]
    fn gradients() {
        let two_axes =
            || (0..4_usize, 0..4_usize).prop_flat_map(|(m, n)| tensor([m, n], -3.0..3.0).prop_map(|x| vec![x]));
        assert_property(two_axes(), |x| x[0].flip(0) * x[0]);
        assert_property(two_axes(), |x| x[0].pad(1, 2, 1).square());
        let wide = || tensor([3, 5], -3.0..3.0).prop_map(|x| vec![x]);
        assert_property(wide(), |x| x[0].slice_step(1, 4, 0, -2).square() * x[0].slice(1, 0, 2));
        assert_property(wide(), |x| x[0].slice(0, 1, 1).square());
    }

    #[test]
    fn slices_are_pythons() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from_fn([5], |k| k as f64));
        let value = |x| graph.eval(x).unwrap().into_vec();
        assert_eq!(value(x.slice(0, None, None)), [0.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(value(x.slice(0, -2, None)), [3.0, 4.0]);
        assert_eq!(value(x.slice_step(0, 0, 5, 2)), [0.0, 2.0, 4.0]);
        assert_eq!(value(x.slice_step(0, 3, 0, -1)), [3.0, 2.0, 1.0]);
        assert_eq!(value(x.slice(0, 3, 1)), []);
        assert_eq!(value(x.flip(0)), [4.0, 3.0, 2.0, 1.0, 0.0]);
    }

    #[test]
    fn threads_put_each_element_where_one_does() {
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let x = Tensor::from_fn([3001, 230], |k| k as f64);
        for (start, end, step) in [(3, 2500, 2), (0, 3001, 1), (3000, 5, -3), (2900, 2999, 5)] {
            let run = || {
                let graph = Graph::new();
                let x = graph.constant(&x);
                let part = x.slice_step(0, start, end, step).slice(1, 1, 220);
                let gradient = graph.grad(part.square().sum(), &[x]).unwrap()[0];
                graph.eval(gradient).unwrap()
            };
            let wanted = Tensor::from_fn([3001, 230], |k| {
                let (row, column) = ((k / 230) as isize, k % 230);
                let inside = if step > 0 { (start..end).contains(&row) } else { row <= start && row > end };
                let is_taken = inside && (row - start) % step == 0 && (1..220).contains(&column);
                if is_taken { 2.0 * k as f64 } else { 0.0 }
            });
            for threads in [1, 3] {
                assert_eq!(pool(threads).install(run), wanted, "{threads} threads, {start}..{end} by {step}");
            }
        }
    }
}
