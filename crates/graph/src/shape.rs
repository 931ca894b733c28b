//! Sizes of the axes of a tensor, and where its elements lie in memory.

use std::fmt;
use std::ops::Deref;

use smallvec::SmallVec;

/// Axes that take no allocation: a run makes layouts for itself, and up to here it allocates nothing.
const AXES: usize = 8;

/// A list of sizes of which nothing is known yet.
pub(crate) type Sizes = SmallVec<[usize; AXES]>;

/// Bytes of the largest element: of `f64` and of an index.
const ELEMENT: usize = 8;

/// The sizes of a tensor's axes, outermost first. The empty shape is that of a scalar.
///
/// The elements of a shape can always be addressed: the product of its sizes, those that are 0 left out, times eight
/// bytes fits into `isize`. So no offset or stride within it overflows, also where an axis has no elements. Sizes for
/// which that does not hold make no shape: [`Shape::try_new`] gives an error, the conversions panic.
///
/// # Example
/// ```
/// use gradus_graph::Shape;
/// let shape = Shape::from([2, 3]);
/// assert_eq!(shape.rank(), 2);
/// assert_eq!(shape.len(), 6);
/// assert_eq!(shape.to_string(), "[2, 3]");
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shape(Sizes);

impl Shape {
    /// The shape of the given sizes.
    ///
    /// # Errors
    /// If the number of elements cannot be addressed: the message names the sizes.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Shape;
    /// assert_eq!(Shape::try_new([2, 3]), Ok(Shape::from([2, 3])));
    /// let problem = Shape::try_new([1 << 32, 1 << 32]).unwrap_err();
    /// assert_eq!(problem, "a shape of [4294967296, 4294967296] has more elements than memory can address");
    /// ```
    pub fn try_new(sizes: impl IntoShape) -> Result<Self, String> {
        sizes.try_into_shape()
    }

    /// [`Shape::try_new`] of sizes one after another, without an allocation for few.
    pub(crate) fn try_collect(sizes: impl IntoIterator<Item = usize>) -> Result<Self, String> {
        Self::of_sizes(sizes.into_iter().collect())
    }

    fn of_sizes(sizes: Sizes) -> Result<Self, String> {
        let bytes = sizes.iter().filter(|&&size| size > 0).try_fold(ELEMENT, |bytes, &size| bytes.checked_mul(size));
        match bytes {
            Some(bytes) if isize::try_from(bytes).is_ok() => Ok(Self(sizes)),
            _ => Err(format!("a shape of {:?} has more elements than memory can address", &sizes[..])),
        }
    }

    #[track_caller]
    fn expect(sizes: Sizes) -> Self {
        match Self::of_sizes(sizes) {
            Ok(shape) => shape,
            Err(problem) => panic!("{problem}"),
        }
    }

    /// The shape of a scalar: no axes, one element.
    pub fn scalar() -> Self {
        Self::default()
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The number of elements: the product of the sizes, 1 for a scalar.
    #[allow(clippy::len_without_is_empty)] // `is_empty` of the slice asks for axes, not for elements.
    pub fn len(&self) -> usize {
        self.0.iter().product()
    }

    /// The sizes as a slice.
    pub fn sizes(&self) -> &[usize] {
        &self.0
    }

    /// The shape that NumPy's broadcasting gives `self` and `other`, if they fit: axes are aligned at the last one,
    /// and a size of 1 stretches. There is none either if it would have more elements than memory can address.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Shape;
    /// let both = Shape::from([4, 1]).broadcast(&Shape::from([3]));
    /// assert_eq!(both, Some(Shape::from([4, 3])));
    /// assert_eq!(Shape::from([4]).broadcast(&Shape::from([3])), None);
    /// ```
    pub fn broadcast(&self, other: &Shape) -> Option<Shape> {
        let rank = self.rank().max(other.rank());
        let size = |shape: &Shape, axis: usize| match (axis + shape.rank()).checked_sub(rank) {
            Some(axis) => shape[axis],
            None => 1,
        };
        (0..rank)
            .map(|axis| match (size(self, axis), size(other, axis)) {
                (a, b) if a == b => Some(a),
                (1, b) => Some(b),
                (a, 1) => Some(a),
                _ => None,
            })
            .collect::<Option<Sizes>>()
            .and_then(|sizes| Self::of_sizes(sizes).ok())
    }

    /// Why [`Shape::broadcast`] gives nothing.
    pub(crate) fn why_no_broadcast(&self, other: &Shape) -> &'static str {
        let fits = |(&a, &b): (&usize, &usize)| a == b || a == 1 || b == 1;
        match self.iter().rev().zip(other.iter().rev()).all(fits) {
            true => "together they have more elements than memory can address",
            false => "the shapes do not broadcast; aligned at the last axis, two sizes must be equal or one of them 1",
        }
    }

    /// An axis, negative ones counted from the last, as one counted from the first.
    ///
    /// # Errors
    /// If it is out of range.
    pub(crate) fn axis(&self, axis: isize) -> Result<usize, String> {
        let rank = self.rank() as isize;
        let counted = if axis < 0 { axis + rank } else { axis };
        match (0..rank).contains(&counted) {
            true => Ok(counted as usize),
            false => Err(format!("axis {axis} is out of range for {rank} axes")),
        }
    }

    /// The shape with another size at one axis.
    ///
    /// # Errors
    /// If the number of elements cannot be addressed.
    ///
    /// # Panics
    /// If the axis is out of range.
    pub fn with_size(&self, axis: usize, size: usize) -> Result<Shape, String> {
        let mut sizes = self.0.clone();
        sizes[axis] = size;
        Self::of_sizes(sizes)
    }

    /// The shape without the axes for which `drop` holds.
    pub(crate) fn without(&self, drop: impl Fn(usize) -> bool) -> Shape {
        self.iter().enumerate().filter(|(axis, _)| !drop(*axis)).map(|(_, size)| *size).collect()
    }

    /// The shape in which the axes for which `one` holds have size 1.
    pub(crate) fn with_ones(&self, one: impl Fn(usize) -> bool) -> Shape {
        self.iter().enumerate().map(|(axis, &size)| if one(axis) { 1 } else { size }).collect()
    }
}

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl FromIterator<usize> for Shape {
    /// # Panics
    /// If the number of elements cannot be addressed.
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = usize>>(sizes: I) -> Self {
        Self::expect(sizes.into_iter().collect())
    }
}

/// Sizes of axes as a caller writes them: an array, a slice, a vector, one size, a shape.
///
/// What takes a shape takes this, so that sizes that make no shape are refused with the name of the op and the line of
/// the caller.
pub trait IntoShape {
    /// The shape.
    ///
    /// # Errors
    /// If the number of elements cannot be addressed.
    fn try_into_shape(self) -> Result<Shape, String>
    where
        Self: Sized,
    {
        Shape::of_sizes(self.into_sizes())
    }

    /// The sizes, of which nothing is known yet.
    #[doc(hidden)]
    fn into_sizes(self) -> Sizes;
}

impl IntoShape for Shape {
    fn try_into_shape(self) -> Result<Shape, String> {
        Ok(self)
    }

    fn into_sizes(self) -> Sizes {
        self.0
    }
}

impl IntoShape for &Shape {
    fn try_into_shape(self) -> Result<Shape, String> {
        Ok(self.clone())
    }

    fn into_sizes(self) -> Sizes {
        self.0.clone()
    }
}

/// From lists of sizes: what a caller may write, and the conversion that panics.
macro_rules! from_sizes {
    ($([$($generic:tt)*] $list:ty = |$sizes:ident| $make:expr;)*) => {$(
        impl<$($generic)*> IntoShape for $list {
            fn into_sizes(self) -> Sizes {
                let $sizes = self;
                $make
            }
        }

        impl<$($generic)*> From<$list> for Shape {
            /// # Panics
            /// If the number of elements cannot be addressed.
            #[track_caller]
            fn from(sizes: $list) -> Self {
                Self::expect(sizes.into_sizes())
            }
        }
    )*};
}

from_sizes! {
    [const N: usize] [usize; N] = |sizes| SmallVec::from_slice(&sizes);
    [] &[usize] = |sizes| SmallVec::from_slice(sizes);
    [] Vec<usize> = |sizes| SmallVec::from_vec(sizes);
    [] usize = |size| SmallVec::from_slice(&[size]);
}

/// Sizes that elements are brought to, of which one may be left open: what [`Var::reshape`](crate::Var::reshape) and
/// [`Tensor::reshape`](crate::Tensor::reshape) take.
///
/// Sizes of every form that makes a shape, or an array of up to eight `i32` or `isize`, one of which may be −1: `[3, -1]`.
/// Beside a `usize` the open size is written [`Var::INFERRED`](crate::Var::INFERRED): `[rows, Var::INFERRED]`.
pub trait TargetShape {
    /// The sizes, [`OPEN`] in the place of −1; the first other negative size if there is one.
    #[doc(hidden)]
    fn sizes(self) -> Result<Sizes, isize>;
}

/// Stands for the one size that follows from the others.
pub(crate) const OPEN: usize = usize::MAX;

impl<S: IntoShape> TargetShape for S {
    fn sizes(self) -> Result<Sizes, isize> {
        Ok(self.into_sizes())
    }
}

macro_rules! signed_sizes {
    ($($number:ty: $($count:literal)*;)*) => {$($(
        impl TargetShape for [$number; $count] {
            fn sizes(self) -> Result<Sizes, isize> {
                let size = |size| match size {
                    -1 => Ok(OPEN),
                    size => usize::try_from(size).map_err(|_| size as isize),
                };
                self.into_iter().map(size).collect()
            }
        }
    )*)*};
}

// One for each length but 0: so `[]` is an array of `usize`, which the compiler could not tell otherwise.
signed_sizes! {
    i32: 1 2 3 4 5 6 7 8;
    isize: 1 2 3 4 5 6 7 8;
}

impl Shape {
    /// The shape of as many elements that the target names, its open size worked out.
    ///
    /// # Errors
    /// If there is none: the message does not name this shape.
    pub(crate) fn reshaped(&self, target: impl TargetShape) -> Result<Shape, String> {
        let negative =
            |size| format!("a size of {size}; only -1, for the size that follows from the others, may be negative");
        let mut sizes = target.sizes().map_err(negative)?;
        let total = self.len();
        if let Some(axis) = sizes.iter().position(|&size| size == OPEN) {
            if sizes[axis + 1..].contains(&OPEN) {
                return Err("one size follows from the others, but two are left open".into());
            }
            sizes[axis] = 1;
            let others = Self::of_sizes(sizes.clone())?;
            let rest = others.len();
            if rest == 0 || !total.is_multiple_of(rest) {
                return Err(format!("{total} elements cannot be divided over axis {axis} of {others} beside {rest}"));
            }
            sizes[axis] = total / rest;
        }
        let shape = Self::of_sizes(sizes)?;
        match shape.len() {
            wanted if wanted == total => Ok(shape),
            wanted => Err(format!("{total} elements do not fill {shape} ({wanted} elements)")),
        }
    }
}

impl From<&Shape> for Shape {
    fn from(shape: &Shape) -> Self {
        shape.clone()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (axis, size) in self.iter().enumerate() {
            if axis > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{size}")?;
        }
        f.write_str("]")
    }
}

/// Every `step`-th element of `start..end` on an axis of a size, as Python counts them: the first one, and their number.
///
/// # Errors
/// If the range leaves the axis or the step is 0.
pub(crate) fn part_of(
    size: usize,
    start: Option<isize>,
    end: Option<isize>,
    step: isize,
) -> Result<(usize, usize), String> {
    if step == 0 {
        return Err("the step is 0".into());
    }
    let size = size as isize;
    let counted = |at: isize| if at < 0 { at + size } else { at };
    let (first, last) = if step > 0 { (0, size) } else { (size - 1, -1) };
    let (start, end) = (start.map_or(first, counted), end.map_or(last, counted));
    let inside = if step > 0 { 0..=size } else { -1..=size - 1 };
    if !inside.contains(&start) || !inside.contains(&end) {
        return Err(format!("{start}..{end} leaves its size of {size}"));
    }
    let room = if step > 0 { end - start } else { start - end };
    let count = usize::try_from(room).unwrap_or(0).div_ceil(step.unsigned_abs());
    Ok((if count == 0 { 0 } else { start as usize }, count))
}

/// Where the elements of a value lie in a buffer: element `[i, j, …]` is at `offset + i·strides[0] + j·strides[1] + …`.
///
/// A view (transpose, broadcast, slice, flip) is a new layout over the same buffer: a stride of 0 repeats, a negative
/// one walks backwards.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// The sizes.
    pub shape: Shape,
    /// For each axis, the step in elements.
    pub strides: SmallVec<[isize; AXES]>,
    /// The position of the first element.
    pub offset: usize,
}

impl Layout {
    /// Row-major, without gaps, from position 0.
    pub fn contiguous(shape: Shape) -> Self {
        let mut strides = SmallVec::from_elem(0, shape.rank());
        let mut step = 1;
        for axis in (0..shape.rank()).rev() {
            strides[axis] = step as isize;
            step *= shape[axis];
        }
        Self { shape, strides, offset: 0 }
    }

    /// Whether the elements lie in row-major order without gaps (axes of size 1 may have any stride).
    pub fn is_contiguous(&self) -> bool {
        let mut step = 1;
        if self.shape.contains(&0) {
            return true;
        }
        for (&size, &stride) in self.shape.iter().zip(&self.strides).rev() {
            if size != 1 && stride != step {
                return false;
            }
            step *= size as isize;
        }
        true
    }

    /// The layout over a buffer of `len` elements, or nothing if an element lies outside of it or the strides are not
    /// one for each axis. Strides along which there is no step are brought into the buffer's range as well.
    pub(crate) fn within(mut self, len: usize) -> Option<Self> {
        if self.strides.len() != self.shape.rank() {
            return None;
        }
        if self.shape.contains(&0) {
            return Some(Self::contiguous(self.shape));
        }
        let reach = isize::try_from(len).ok()?;
        for (stride, &size) in self.strides.iter_mut().zip(self.shape.iter()) {
            if size <= 1 && stride.unsigned_abs() > len {
                *stride = 0;
            }
        }
        let (mut first, mut last) = (isize::try_from(self.offset).ok()?, isize::try_from(self.offset).ok()?);
        for (&stride, &size) in self.strides.iter().zip(self.shape.iter()) {
            let steps = stride.checked_mul(isize::try_from(size - 1).ok()?)?;
            let end = if steps < 0 { &mut first } else { &mut last };
            *end = end.checked_add(steps)?;
        }
        (first >= 0 && last < reach).then_some(self)
    }

    /// The layout with axis `k` taken from axis `axes[k]`.
    pub fn permuted(&self, axes: &[usize]) -> Self {
        Self {
            shape: axes.iter().map(|&axis| self.shape[axis]).collect(),
            strides: axes.iter().map(|&axis| self.strides[axis]).collect(),
            offset: self.offset,
        }
    }

    /// The layout of the same elements in row-major order under another shape of as many elements, if strides can
    /// express it.
    pub fn reshaped(&self, shape: &Shape) -> Option<Self> {
        if self.is_contiguous() {
            return Some(Self { offset: self.offset, ..Self::contiguous(shape.clone()) });
        }
        // Walk both shapes from the last axis: a run of old axes that is contiguous in itself may be cut anew.
        let mut strides: SmallVec<[isize; AXES]> = SmallVec::from_elem(0, shape.rank());
        let old: SmallVec<[(usize, isize); AXES]> =
            self.shape.iter().copied().zip(self.strides.iter().copied()).filter(|(size, _)| *size != 1).collect();
        let mut new_axis = shape.rank();
        let mut end = old.len();
        while end > 0 {
            let (mut size, step) = old[end - 1];
            let mut start = end - 1;
            while start > 0 && old[start - 1].1 == old[start].1 * old[start].0 as isize {
                start -= 1;
                size *= old[start].0;
            }
            let (mut covered, mut stride) = (1, step);
            while covered < size {
                new_axis = new_axis.checked_sub(1)?;
                strides[new_axis] = stride;
                stride *= shape[new_axis] as isize;
                covered *= shape[new_axis];
            }
            if covered != size {
                return None;
            }
            end = start;
        }
        Some(Self { shape: shape.clone(), strides, offset: self.offset })
    }

    /// The layout of `self` repeated to `shape`; the shapes must fit by NumPy's rule.
    pub fn broadcast(&self, shape: &Shape) -> Self {
        let lead = shape.rank() - self.shape.rank();
        let strides = (0..shape.rank())
            .map(|axis| match axis.checked_sub(lead) {
                Some(own) if self.shape[own] == shape[axis] => self.strides[own],
                _ => 0,
            })
            .collect();
        Self { shape: shape.clone(), strides, offset: self.offset }
    }

    /// The positions of all elements in row-major order.
    pub fn positions(&self) -> impl Iterator<Item = usize> + '_ {
        let mut index: SmallVec<[usize; AXES]> = SmallVec::from_elem(0, self.shape.rank());
        let mut position = self.offset as isize;
        let total = self.shape.len();
        (0..total).map(move |_| {
            let now = position as usize;
            for axis in (0..self.shape.rank()).rev() {
                index[axis] += 1;
                position += self.strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                position -= self.strides[axis] * self.shape[axis] as isize;
                index[axis] = 0;
            }
            now
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_follows_numpy() {
        let shape = |sizes: &[usize]| Shape::from(sizes);
        assert_eq!(shape(&[]).broadcast(&shape(&[2])), Some(shape(&[2])));
        assert_eq!(shape(&[2, 1]).broadcast(&shape(&[1, 0])), Some(shape(&[2, 0])));
        assert_eq!(shape(&[2, 3]).broadcast(&shape(&[2])), None);
    }

    #[test]
    fn sizes_that_overflow_make_no_shape() {
        const HALF: usize = 1 << 32;
        let limit = isize::MAX as usize / ELEMENT;
        assert!(Shape::try_new(limit).is_ok() && Shape::try_new([limit, 1, 0]).is_ok());
        let refused: [&[usize]; 6] = [
            &[limit + 1],
            &[HALF, HALF],
            &[1 << 33, 1 << 33, 2],
            &[(1 << 63) + 1, 2],
            &[0xAAAA_AAAA_AAAA_AAAB, 0, 1, 1],
            &[HALF, 0, HALF],
        ];
        for sizes in refused {
            assert!(Shape::try_new(sizes).is_err(), "{sizes:?}");
            assert!(std::panic::catch_unwind(|| Shape::from(sizes)).is_err());
            assert!(std::panic::catch_unwind(|| sizes.iter().copied().collect::<Shape>()).is_err());
        }
        assert!(Shape::from([HALF, 1]).broadcast(&Shape::from([HALF])).is_none());
        assert!(Shape::from([HALF, 1]).with_size(1, HALF).is_err());
    }

    #[test]
    fn one_size_of_a_target_may_be_left_open() {
        let shape = Shape::from([2, 3, 4]);
        let sizes = |target: Result<Shape, String>| target.unwrap().to_vec();
        let rows = 6_usize;
        assert_eq!(sizes(shape.reshaped([3, -1])), [3, 8]);
        assert_eq!(sizes(shape.reshaped([-1])), [24]);
        assert_eq!(sizes(shape.reshaped([rows, 4])), [6, 4]);
        assert_eq!(sizes(shape.reshaped([rows, OPEN])), [6, 4]);
        assert_eq!(sizes(shape.reshaped([rows as isize, -1, 2])), [6, 2, 2]);
        assert_eq!(sizes(shape.reshaped(24)), [24]);
        assert_eq!(sizes(shape.reshaped(vec![4, 6])), [4, 6]);
        assert_eq!(sizes(Shape::scalar().reshaped([])), [0_usize; 0]);
        assert_eq!(sizes(Shape::from([0, 3]).reshaped([-1, 3])), [0, 3]);
        let problem = |target: Result<Shape, String>| target.unwrap_err();
        assert_eq!(problem(shape.reshaped([5, -1])), "24 elements cannot be divided over axis 1 of [5, 1] beside 5");
        assert_eq!(problem(shape.reshaped([0, -1])), "24 elements cannot be divided over axis 1 of [0, 1] beside 0");
        assert_eq!(problem(shape.reshaped([-1, -1])), "one size follows from the others, but two are left open");
        assert_eq!(problem(shape.reshaped([5, 5])), "24 elements do not fill [5, 5] (25 elements)");
        assert!(problem(shape.reshaped([-12, -2])).starts_with("a size of -12; only -1, "));
    }

    #[test]
    fn a_layout_that_leaves_its_buffer_is_found() {
        let layout = |sizes: &[usize], strides: &[isize], offset| Layout {
            shape: Shape::from(sizes),
            strides: SmallVec::from_slice(strides),
            offset,
        };
        for inside in [layout(&[6], &[1], 0), layout(&[2, 3], &[-3, 1], 3), layout(&[4], &[0], 5), layout(&[], &[], 5)]
        {
            assert!(inside.within(6).is_some());
        }
        let outside = [
            layout(&[2], &[1], 5),
            layout(&[2], &[1], 0_usize.wrapping_sub(64)),
            layout(&[1], &[1], usize::MAX),
            layout(&[2], &[-1], 0),
            layout(&[3, 2], &[3, 1], 0),
            layout(&[2], &[isize::MAX], 1),
            layout(&[3], &[isize::MAX], 0),
            layout(&[3, 3], &[isize::MIN, isize::MAX], 0),
            layout(&[2], &[], 0),
            layout(&[2], &[1, 1], 0),
        ];
        for outside in outside {
            assert!(outside.clone().within(6).is_none(), "{outside:?}");
        }
        let empty = layout(&[0, 9], &[isize::MAX, 5], usize::MAX).within(6).expect("it has no elements");
        assert_eq!(empty.offset, 0);
        assert_eq!(layout(&[1], &[isize::MAX], 0).within(1).expect("there is no step").strides[0], 0);
    }

    #[test]
    fn reshaping_a_view_keeps_the_order_of_elements_or_gives_up() {
        let base = Layout::contiguous(Shape::from([2, 3, 4]));
        for axes in [[0, 1, 2], [1, 0, 2], [2, 1, 0], [0, 2, 1]] {
            let view = base.permuted(&axes);
            for sizes in [vec![24], vec![6, 4], vec![2, 12], vec![2, 3, 2, 2], vec![4, 6], vec![1, 24, 1]] {
                if let Some(new) = view.reshaped(&Shape::from(sizes)) {
                    assert!(new.positions().eq(view.positions()), "{view:?} → {new:?}");
                }
            }
        }
        assert!(base.permuted(&[1, 0, 2]).reshaped(&Shape::from([3, 2, 2, 2])).is_some());
        assert!(base.permuted(&[2, 1, 0]).reshaped(&Shape::from([24])).is_none());
    }

    #[test]
    fn a_broadcast_layout_repeats() {
        let column = Layout::contiguous(Shape::from([2, 1])).broadcast(&Shape::from([2, 2]));
        assert_eq!(column.positions().collect::<Vec<_>>(), [0, 0, 1, 1]);
        assert!(!column.is_contiguous());
    }
}
