//! Views: the same elements under another shape. In a plan they cost nothing.
//!
//! `broadcast_to`, `reshape`, `permute` and `slice` are the ops; transpose, squeeze, unsqueeze and flip are made of
//! them. Derivatives: the sum over the repeated axes, the reshape back, the inverse permutation, and `embed`, which
//! writes its input into zeros at the places that the slice took.

use smallvec::SmallVec;

use crate::axes::{Axes, resolve_axis};
use crate::real::Real;
use crate::shape::{IntoShape, Layout, OPEN, Shape, TargetShape, part_of};
use crate::tape::op::{Accepts, Array, ArrayMut, Call, Derivative, Form, Kind, Meta, Metas, Op, Signature, Work};
use crate::tape::{Var, expect_shape, refuse};

/// The input repeated to `shape`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct BroadcastTo {
    shape: Shape,
}

impl Op for BroadcastTo {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Any]);

    fn name(&self) -> &'static str {
        "broadcast_to"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        if inputs[0].shape.broadcast(&self.shape).as_ref() != Some(&self.shape) {
            return Err(format!("cannot be repeated to {}", self.shape));
        }
        Ok(smallvec::smallvec![Meta { shape: self.shape.clone(), ..inputs[0].clone() }])
    }

    fn form(&self) -> Form {
        Form::View
    }

    fn view(&self, input: &Layout) -> Option<Layout> {
        Some(input.broadcast(&self.shape))
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        let shape = call.x(0).shape();
        let lead = self.shape.rank() - shape.rank();
        let repeated = |axis: usize| axis < lead || shape[axis - lead] != self.shape[axis];
        let axes: SmallVec<[isize; 4]> = (0..self.shape.rank()).filter(|&a| repeated(a)).map(|a| a as isize).collect();
        call.g().sum_axes(&axes[..]).reshape(shape)
    }
}

/// The elements in row-major order under another shape.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Reshape {
    shape: Shape,
}

impl Op for Reshape {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Any]);

    fn name(&self) -> &'static str {
        "reshape"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        let (found, wanted) = (inputs[0].shape.len(), self.shape.len());
        if found != wanted {
            return Err(format!("{found} elements do not fill {} ({wanted} elements)", self.shape));
        }
        Ok(smallvec::smallvec![Meta { shape: self.shape.clone(), ..inputs[0].clone() }])
    }

    fn form(&self) -> Form {
        Form::View
    }

    fn view(&self, input: &Layout) -> Option<Layout> {
        input.reshaped(&self.shape)
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        call.g().reshape(call.x(0).shape())
    }
}

/// Axis `k` of the output is axis `axes[k]` of the input.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Permute {
    axes: SmallVec<[usize; 4]>,
}

impl Op for Permute {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Any]);

    fn name(&self) -> &'static str {
        "permute"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        let shape = &inputs[0].shape;
        let mut seen: SmallVec<[usize; 4]> = self.axes.clone();
        seen.sort_unstable();
        if !seen.iter().copied().eq(0..shape.rank()) {
            return Err(format!("{:?} is not an order of its {} axes", self.axes, shape.rank()));
        }
        let shape = self.axes.iter().map(|&axis| shape[axis]).collect();
        Ok(smallvec::smallvec![Meta { shape, ..inputs[0].clone() }])
    }

    fn form(&self) -> Form {
        Form::View
    }

    fn view(&self, input: &Layout) -> Option<Layout> {
        Some(input.permuted(&self.axes))
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        let mut back: SmallVec<[isize; 4]> = SmallVec::from_elem(0, self.axes.len());
        for (to, &from) in self.axes.iter().enumerate() {
            back[from] = to as isize;
        }
        call.g().permute(&back[..])
    }
}

/// Along one axis: `count` elements from `start`, `step` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Range {
    start: usize,
    step: isize,
    count: usize,
}

impl Range {
    fn fits(&self, size: usize) -> bool {
        let last = || -> Option<isize> {
            let steps = isize::try_from(self.count - 1).ok()?;
            isize::try_from(self.start).ok()?.checked_add(self.step.checked_mul(steps)?)
        };
        let inside = |last: isize| (0..size as isize).contains(&last);
        self.count == 0 || (self.step != 0 && self.start < size && last().is_some_and(inside))
    }
}

/// One range of each axis.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Slice {
    ranges: SmallVec<[Range; 4]>,
}

fn sliced(layout: &Layout, ranges: &[Range]) -> Layout {
    let mut offset = layout.offset as isize;
    let mut strides = layout.strides.clone();
    for (axis, range) in ranges.iter().enumerate() {
        if range.count > 0 {
            offset += range.start as isize * layout.strides[axis];
        }
        // Along fewer than two elements there is no step, which may then be of any size.
        if range.count > 1 {
            strides[axis] *= range.step;
        }
    }
    Layout { shape: ranges.iter().map(|range| range.count).collect(), strides, offset: offset as usize }
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
        Some(sliced(input, &self.ranges))
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        let embed = Embed { shape: call.x(0).shape(), ranges: self.ranges.clone() };
        call.x(0).graph().call(embed, &[call.g()])
    }
}

/// Zeros of `shape`, with the input at the places that the ranges name.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Embed {
    shape: Shape,
    ranges: SmallVec<[Range; 4]>,
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
            return Err(format!("the ranges {:?} do not place it within {}", self.ranges, self.shape));
        }
        Ok(smallvec::smallvec![Meta::real(self.shape.clone())])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let x = work.inputs[0].real();
        let y = work.outputs[0].real();
        y.fill(T::zero());
        if x.is_empty() {
            return Ok(());
        }
        let target = sliced(&Layout::contiguous(self.shape.clone()), &self.ranges);
        let run = match (target.strides.last(), target.shape.last()) {
            (Some(1), Some(&run)) => run,
            _ => 1,
        };
        let rows = if run == 1 { target } else { row_starts(&target) };
        for (row, position) in rows.positions().enumerate() {
            y[position..position + run].copy_from_slice(&x[row * run..(row + 1) * run]);
        }
        Ok(())
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        call.x(0).graph().call(Slice { ranges: self.ranges.clone() }, &[call.g()])
    }
}

/// The layout of the first elements of the rows along the last axis.
fn row_starts(layout: &Layout) -> Layout {
    let last = layout.shape.rank() - 1;
    Layout {
        shape: layout.shape[..last].into(),
        strides: SmallVec::from_slice(&layout.strides[..last]),
        offset: layout.offset,
    }
}

/// The same elements, through which no derivative passes.
#[derive(Debug, PartialEq, Eq, Hash)]
struct StopGradient;

impl Op for StopGradient {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Any]);

    fn name(&self) -> &'static str {
        "stop_gradient"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        Ok(smallvec::smallvec![inputs[0].clone()])
    }

    fn form(&self) -> Form {
        Form::View
    }

    fn view(&self, input: &Layout) -> Option<Layout> {
        Some(input.clone())
    }

    fn derivative(&self, _input: usize) -> Derivative {
        Derivative::Zero
    }
}

/// The real numbers that equal the indices.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ToReal;

impl Op for ToReal {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Any]);

    fn name(&self) -> &'static str {
        "to_real"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        Ok(smallvec::smallvec![Meta::real(inputs[0].shape.clone())])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        match (work.inputs[0], &mut work.outputs[0]) {
            (Array::Index(x), ArrayMut::Real(y)) => {
                y.iter_mut().zip(x).for_each(|(y, &x)| *y = T::of(x as f64));
            }
            (Array::Real(x), ArrayMut::Real(y)) => y.copy_from_slice(x),
            _ => unreachable!("the output is real by the shape rule"),
        }
        Ok(())
    }

    fn derivative(&self, _input: usize) -> Derivative {
        Derivative::Identity { output: 0 }
    }
}

impl<'g> Var<'g> {
    /// The variable repeated to `shape` by NumPy's rule: axes are aligned at the last, and a size of 1 stretches.
    ///
    /// # Panics
    /// If it cannot be repeated to that shape.
    #[track_caller]
    pub fn broadcast_to(self, shape: impl IntoShape) -> Var<'g> {
        let shape = expect_shape("broadcast_to", &[&self.shape()], shape);
        if shape == self.graph().tape().meta(self.value).shape {
            return self;
        }
        self.graph().call(BroadcastTo { shape }, &[self])
    }

    /// If this is [`Var::broadcast_to`] of another variable: that one with as many axes, and the axes along which it is
    /// repeated.
    #[track_caller]
    pub(super) fn repeated(self) -> Option<(Var<'g>, SmallVec<[usize; 4]>)> {
        let source = {
            let tape = self.graph().tape();
            tape.op(self.node())?.as_any().downcast_ref::<BroadcastTo>()?;
            Var { graph: self.graph(), value: tape.nodes[self.node().index()].inputs[0] }
        };
        let (from, to) = (source.shape(), self.shape());
        let lead = to.rank() - from.rank();
        let own = |axis: usize| axis.checked_sub(lead).map_or(1, |axis| from[axis]);
        let axes: SmallVec<[usize; 4]> = (0..to.rank()).filter(|&axis| own(axis) != to[axis]).collect();
        Some((source.reshape((0..to.rank()).map(own).collect::<Shape>()), axes))
    }

    /// Both variables repeated to the shape that they have together.
    #[track_caller]
    pub(crate) fn broadcast_with(self, op: &str, other: Var<'g>) -> (Var<'g>, Var<'g>) {
        let (mine, its) = (self.shape(), other.shape());
        if mine == its {
            return (self, other);
        }
        match mine.broadcast(&its) {
            Some(shape) => (self.broadcast_to(shape.clone()), other.broadcast_to(shape)),
            None => refuse(op, &[&mine, &its], mine.why_no_broadcast(&its)),
        }
    }

    /// The elements in row-major order under another shape. One size may be −1, or [`Var::INFERRED`] beside sizes of
    /// type `usize`: it is worked out from the others.
    ///
    /// # Panics
    /// If the numbers of elements differ.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Var};
    /// let graph = Graph::new();
    /// let (x, rows) = (graph.zeros([2, 3, 4]), 8);
    /// assert_eq!(x.reshape([3, -1]).shape().sizes(), [3, 8]);
    /// assert_eq!(x.reshape([rows, Var::INFERRED]).shape().sizes(), [rows, 3]);
    /// ```
    #[track_caller]
    pub fn reshape(self, target: impl TargetShape) -> Var<'g> {
        let own = self.shape();
        let shape = match own.reshaped(target) {
            Ok(shape) => shape,
            Err(problem) => refuse("reshape", &[&own], &problem),
        };
        if shape == own {
            return self;
        }
        self.graph().call(Reshape { shape }, &[self])
    }

    /// Stands in a shape for the one size that [`Var::reshape`] is to work out.
    pub const INFERRED: usize = OPEN;

    /// The axes in another order: axis `k` of the result is axis `axes[k]`.
    ///
    /// # Panics
    /// If `axes` is not an order of all axes.
    #[track_caller]
    pub fn permute(self, axes: impl AsRef<[isize]>) -> Var<'g> {
        let shape = self.shape();
        let mut order: SmallVec<[usize; 4]> = SmallVec::new();
        for &axis in axes.as_ref() {
            order.push(resolve_axis("permute", axis, &shape));
        }
        let axes = order;
        if axes.iter().copied().eq(0..shape.rank()) {
            return self;
        }
        self.graph().call(Permute { axes }, &[self])
    }

    /// The last two axes swapped.
    ///
    /// # Panics
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn t(self) -> Var<'g> {
        self.transpose(-2, -1)
    }

    /// Two axes swapped.
    ///
    /// # Panics
    /// If an axis is out of range.
    #[track_caller]
    pub fn transpose(self, a: isize, b: isize) -> Var<'g> {
        let shape = self.shape();
        let (a, b) = (resolve_axis("transpose", a, &shape), resolve_axis("transpose", b, &shape));
        let mut axes: SmallVec<[isize; 4]> = (0..shape.rank() as isize).collect();
        axes.swap(a, b);
        self.permute(&axes[..])
    }

    /// Without the given axes, which must have size 1.
    ///
    /// # Panics
    /// If an axis is out of range or has another size.
    #[track_caller]
    pub fn squeeze(self, axes: impl Into<Axes>) -> Var<'g> {
        let shape = self.shape();
        let axes = axes.into().resolve("squeeze", &shape);
        for &axis in &axes {
            if shape[axis] != 1 {
                refuse("squeeze", &[&shape], &format!("axis {axis} has size {}, not 1", shape[axis]));
            }
        }
        self.reshape(shape.without(|axis| axes.contains(&axis)))
    }

    /// With a new axis of size 1 at the given place of the result.
    ///
    /// # Panics
    /// If the place is out of range.
    #[track_caller]
    pub fn unsqueeze(self, axis: isize) -> Var<'g> {
        let mut sizes: SmallVec<[usize; 4]> = SmallVec::from_slice(&self.shape());
        sizes.push(1);
        let axis = resolve_axis("unsqueeze", axis, &Shape::from(&sizes[..]));
        sizes.pop();
        sizes.insert(axis, 1);
        self.reshape(&sizes[..])
    }

    /// The elements `start..end` along an axis. Negative ends count from the end of the axis, and `None` is the end
    /// of the axis, as in Python.
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

    /// Every `step`-th element of `start..end` along an axis; a negative step walks backwards from `start` down to,
    /// but without, `end`.
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
        let (start, count) = match part_of(shape[axis], start.into(), end.into(), step) {
            Ok(part) => part,
            Err(problem) => refuse("slice", &[&shape], &format!("on axis {axis} {problem}")),
        };
        let mut ranges: SmallVec<[Range; 4]> = shape.iter().map(|&count| Range { start: 0, step: 1, count }).collect();
        ranges[axis] = Range { start, step, count };
        self.graph().call(Slice { ranges }, &[self])
    }

    /// The order along an axis reversed.
    ///
    /// # Panics
    /// If the axis is out of range.
    #[track_caller]
    pub fn flip(self, axis: isize) -> Var<'g> {
        self.slice_step(axis, None, None, -1)
    }

    /// With `before` and `after` zeros added along an axis.
    ///
    /// # Panics
    /// If the axis is out of range.
    #[track_caller]
    pub fn pad(self, axis: isize, before: usize, after: usize) -> Var<'g> {
        let own = self.shape();
        let axis = resolve_axis("pad", axis, &own);
        let mut ranges: SmallVec<[Range; 4]> = own.iter().map(|&count| Range { start: 0, step: 1, count }).collect();
        let padded = own[axis].checked_add(before).and_then(|size| size.checked_add(after)).unwrap_or(usize::MAX);
        let shape = match own.with_size(axis, padded) {
            Ok(shape) => shape,
            Err(problem) => refuse("pad", &[&own], &problem),
        };
        ranges[axis].start = if ranges[axis].count == 0 { 0 } else { before };
        self.graph().call(Embed { shape, ranges }, &[self])
    }

    /// The same value, through which no derivative passes (`detach`).
    #[track_caller]
    pub fn stop_gradient(self) -> Var<'g> {
        self.graph().call(StopGradient, &[self])
    }

    /// The value of `forward` with the derivatives of this variable: a straight-through estimator, for what has no
    /// useful derivative of its own. The value is exact where this variable is finite.
    ///
    /// A model with it fails a comparison with differences, which see the value alone. An op of its own declares the
    /// like by [`Op::is_surrogate`](crate::Op::is_surrogate).
    ///
    /// # Panics
    /// If the shapes do not broadcast, or a variable is an index.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([0.4, 1.7]));
    /// let y = x.straight_through(x.round());
    /// let slope = graph.grad((y * y).sum(), &[x])?[0];
    /// assert_eq!((graph.eval(y)?.data(), graph.eval(slope)?.data()), (&[0.0, 2.0][..], &[0.0, 4.0][..]));
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    ///
    /// # Reference
    /// Bengio, Léonard and Courville, "Estimating or propagating gradients through stochastic neurons for conditional
    /// computation" (2013).
    #[track_caller]
    pub fn straight_through(self, forward: Var<'g>) -> Var<'g> {
        // In this order: the difference is 0 exactly, and what it is added to stays as it is.
        forward.stop_gradient() + (self - self.stop_gradient())
    }

    /// The indices as real numbers; a real variable stays as it is.
    #[track_caller]
    pub fn to_real(self) -> Var<'g> {
        match self.kind() {
            Kind::Real => self,
            Kind::Index => self.graph().call(ToReal, &[self]),
        }
    }
}

/// The same elements under a node of their own.
#[derive(Debug, PartialEq, Eq, Hash)]
struct StandIn;

impl Op for StandIn {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Any]);

    fn name(&self) -> &'static str {
        "stand_in"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        Ok(smallvec::smallvec![inputs[0].clone()])
    }

    fn form(&self) -> Form {
        Form::View
    }

    fn view(&self, input: &Layout) -> Option<Layout> {
        Some(input.clone())
    }

    fn derivative(&self, _input: usize) -> Derivative {
        Derivative::Identity { output: 0 }
    }
}

impl<'g> Var<'g> {
    /// The same value under a node of its own, so that a derivative can tell it from other uses.
    pub(crate) fn stand_in(self) -> Var<'g> {
        self.graph().call(StandIn, &[self])
    }
}

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{any_tensor, indices, permutation, reshaped, shape, size, slice, tensor};
    use crate::check::{Entry, Sample};
    use crate::plan::AnyTensor;
    use proptest::prelude::*;

    /// For each axis of a shape a range of it.
    fn ranges(shape: &Shape) -> impl Strategy<Value = SmallVec<[Range; 4]>> + use<> {
        let each = |&size: &usize| slice(size).prop_map(|(start, step, count)| Range { start, step, count });
        shape.iter().map(each).collect::<Vec<_>>().prop_map(SmallVec::from_vec)
    }
    let broadcast_to =
        (shape(4), 0..4_usize, prop::collection::vec(any::<bool>(), 4)).prop_flat_map(|(shape, lead, ones)| {
            let kept = shape[lead.min(shape.rank())..].iter().zip(ones);
            let x: Shape = kept.map(|(&size, one)| if one { 1 } else { size }).collect();
            any_tensor(x).prop_map(move |x| Sample::new(BroadcastTo { shape: shape.clone() }, [x]))
        });
    let reshape = shape(5).prop_flat_map(|from| {
        (any_tensor(from.clone()), reshaped(&from)).prop_map(|(x, shape)| Sample::new(Reshape { shape }, [x]))
    });
    let permute = shape(5).prop_flat_map(|shape| {
        (any_tensor(shape.clone()), permutation(shape.rank()))
            .prop_map(|(x, axes)| Sample::new(Permute { axes: axes.into() }, [x]))
    });
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
    let to_real = shape(5).prop_flat_map(|shape| {
        let either = prop_oneof![indices(shape.clone(), 8).prop_map(AnyTensor::Index), any_tensor(shape)];
        either.prop_map(|x| Sample::new(ToReal, [x]))
    });
    vec![
        Entry::new("broadcast_to", "`x` repeated along axes to a shape", broadcast_to),
        Entry::new("reshape", "the elements of `x` in their order under another shape", reshape),
        Entry::new("permute", "`x` with its axes in another order", permute),
        Entry::new("slice", "`x[start + k·step]` along each axis", slices),
        Entry::new("embed", "zeros with `x` at `start + k·step` along each axis: the derivative of `slice`", embed),
        Entry::new(
            "stop_gradient",
            "`x`, through which no derivative passes",
            shape(5).prop_flat_map(any_tensor).prop_map(|x| Sample::new(StopGradient, [x])),
        )
        .stops(),
        Entry::new("to_real", "`x`, an index, as a real number", to_real),
        Entry::new(
            "stand_in",
            "`x` under a node of its own",
            shape(5).prop_flat_map(any_tensor).prop_map(|x| Sample::new(StandIn, [x])),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::check::assert_property;
    use crate::check::strategies::{alike, shape, tensor};
    use crate::tape::{Graph, Var};
    use crate::tensor::Tensor;

    #[test]
    fn gradients() {
        let two_axes =
            || (0..4_usize, 0..4_usize).prop_flat_map(|(m, n)| tensor([m, n], -3.0..3.0).prop_map(|x| vec![x]));
        assert_property(two_axes(), |x| x[0].t() * 2.0);
        assert_property(two_axes(), |x| x[0].square().reshape([Var::INFERRED]));
        assert_property(two_axes(), |x| x[0].unsqueeze(1).square().squeeze(1));
        assert_property(two_axes(), |x| x[0].flip(0) * x[0]);
        assert_property(two_axes(), |x| x[0].pad(1, 2, 1).square());
        assert_property(alike(1, -3.0..3.0), |x| {
            x[0].unsqueeze(0).broadcast_to([vec![2], x[0].shape().to_vec()].concat()).square()
        });
        let wide = || tensor([3, 5], -3.0..3.0).prop_map(|x| vec![x]);
        assert_property(wide(), |x| x[0].slice_step(1, 4, 0, -2).square() * x[0].slice(1, 0, 2));
        assert_property(wide(), |x| x[0].slice(0, 1, 1).square());
        assert_property(wide(), |x| x[0].permute([1, 0]).reshape([3, 5]).square());
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
    fn no_derivative_passes_a_stopped_gradient() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([2.0]));
        let slope = graph.grad((x * x.stop_gradient()).sum(), &[x]).unwrap()[0];
        assert_eq!(graph.eval(slope).unwrap().data(), [2.0]);
    }

    #[test]
    fn a_straight_through_value_is_exact_and_its_derivatives_are_those_of_the_variable() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([0.1, -1e20, 3.0]));
        let forward = x.sign() * 0.3 + x.exp();
        let y = x.square().straight_through(forward);
        assert_eq!(graph.eval(y).unwrap(), graph.eval(forward).unwrap());
        let first = graph.grad(y.sum(), &[x]).unwrap()[0];
        let second = graph.grad(first.sum(), &[x]).unwrap()[0];
        assert_eq!(graph.eval(first).unwrap(), graph.eval(x * 2).unwrap());
        assert_eq!(graph.eval(second).unwrap().data(), [2.0; 3]);
        let along = graph.jvp(&[y], &[x], &[graph.ones([3])]).unwrap()[0];
        assert_eq!(graph.eval(along).unwrap(), graph.eval(x * 2).unwrap());
    }

    proptest! {
        #[test]
        fn views_agree_with_their_definition(x in shape(3).prop_flat_map(|shape| tensor(shape, -3.0..3.0))) {
            let graph = Graph::new();
            let v = graph.constant(&x);
            let flat = graph.eval(v.reshape([x.len()])).unwrap();
            prop_assert_eq!(flat.data(), x.data());
        }
    }
}
