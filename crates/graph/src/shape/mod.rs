//! Shapes of tensors, layouts of their elements in memory, and what ops compute from them: ranges, windows, subscripts.

mod into;
mod layout;
mod range;
pub(crate) mod subscripts;
mod window;

use std::fmt;
use std::ops::Deref;

use smallvec::SmallVec;

pub(crate) use into::OPEN;
pub use into::{IntoShape, TargetShape};
pub use layout::Layout;
pub(crate) use range::{AxisRange, slice_of_axis};
pub use window::Window;
pub(crate) use window::windowed_shape;

/// The most axes that need no allocation, so that layouts made during a run do not allocate.
const AXES: usize = 8;

/// Sizes that are not checked yet.
pub(crate) type Sizes = SmallVec<[usize; AXES]>;

/// Bytes of the largest element: of `f64` and of an index.
const ELEMENT: usize = 8;

/// The sizes of a tensor's axes, outermost first. The empty shape is that of a scalar.
///
/// The elements of a shape can always be addressed: the product of its nonzero sizes, times eight bytes, fits into
/// `isize`. So no offset or stride within it overflows, even if an axis has no elements. For larger sizes
/// [`Shape::try_new`] returns an error, and the conversions panic.
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

    /// [`Shape::try_new`] of an iterator, without an allocation for few axes.
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
    fn expect_addressable(sizes: Sizes) -> Self {
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
    #[allow(clippy::len_without_is_empty)] // `is_empty` of the slice is about axes, not elements.
    pub fn len(&self) -> usize {
        self.0.iter().product()
    }

    /// The sizes as a slice.
    pub fn sizes(&self) -> &[usize] {
        &self.0
    }

    /// The shape of `self` and `other` after NumPy's broadcasting: axes are aligned at the last one, and a size of 1 is
    /// repeated. `None` if they do not broadcast, or have too many elements together.
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

    /// The reason why [`Shape::broadcast`] returns `None`.
    pub(crate) fn why_no_broadcast(&self, other: &Shape) -> &'static str {
        let fits = |(&a, &b): (&usize, &usize)| a == b || a == 1 || b == 1;
        match self.iter().rev().zip(other.iter().rev()).all(fits) {
            true => "together they have more elements than memory can address",
            false => "the shapes do not broadcast; aligned at the last axis, two sizes must be equal or one of them 1",
        }
    }

    /// An axis counted from the first; a negative one is counted from the last.
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

    /// The shape without the axes for which `drop` is true.
    pub(crate) fn without(&self, drop: impl Fn(usize) -> bool) -> Shape {
        self.iter().enumerate().filter(|(axis, _)| !drop(*axis)).map(|(_, size)| *size).collect()
    }

    /// The shape in which the axes for which `one` is true have size 1.
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
        Self::expect_addressable(sizes.into_iter().collect())
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

/// The index, one number an axis, of the element at a row-major position.
pub(crate) fn unravel(mut position: usize, shape: &Shape) -> Vec<usize> {
    let mut index = vec![0; shape.rank()];
    for axis in (0..shape.rank()).rev() {
        index[axis] = position % shape[axis];
        position /= shape[axis];
    }
    index
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
}
