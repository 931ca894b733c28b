//! Sizes of the axes of a tensor, and where its elements lie in memory.

use std::fmt;
use std::ops::Deref;

use smallvec::SmallVec;

/// Axes that take no allocation: a run makes layouts for itself, and up to here it allocates nothing.
const AXES: usize = 6;

/// The sizes of a tensor's axes, outermost first. The empty shape is that of a scalar.
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
pub struct Shape(SmallVec<[usize; AXES]>);

impl Shape {
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
    /// and a size of 1 stretches.
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
            .collect::<Option<SmallVec<_>>>()
            .map(Shape)
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

impl std::ops::DerefMut for Shape {
    fn deref_mut(&mut self) -> &mut [usize] {
        &mut self.0
    }
}

impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(sizes: I) -> Self {
        Self(sizes.into_iter().collect())
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(sizes: [usize; N]) -> Self {
        Self(SmallVec::from_slice(&sizes))
    }
}

impl From<&[usize]> for Shape {
    fn from(sizes: &[usize]) -> Self {
        Self(SmallVec::from_slice(sizes))
    }
}

impl From<Vec<usize>> for Shape {
    fn from(sizes: Vec<usize>) -> Self {
        Self(SmallVec::from_vec(sizes))
    }
}

impl From<&Shape> for Shape {
    fn from(shape: &Shape) -> Self {
        shape.clone()
    }
}

impl From<usize> for Shape {
    fn from(size: usize) -> Self {
        Self(SmallVec::from_slice(&[size]))
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
        for (&size, &stride) in self.shape.iter().zip(&self.strides).rev() {
            if size == 0 {
                return true;
            }
            if size != 1 && stride != step {
                return false;
            }
            step *= size as isize;
        }
        true
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
