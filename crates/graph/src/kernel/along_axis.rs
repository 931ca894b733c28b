//! The index arithmetic of kernels that work along one axis of an array.

use crate::shape::Shape;

/// An array as `[outer, size, inner]`: the axes before the axis, the axis, the axes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AlongAxis {
    pub(crate) outer: usize,
    pub(crate) size: usize,
    pub(crate) inner: usize,
}

impl AlongAxis {
    /// An array of the given shape, along an axis.
    pub(crate) fn new(axis: usize, shape: &Shape) -> Self {
        Self { outer: shape[..axis].iter().product(), size: shape[axis], inner: shape[axis + 1..].iter().product() }
    }

    /// The position of the first of the `inner` elements at an index of the axis.
    #[inline(always)]
    pub(crate) fn start(self, outer: usize, index: usize) -> usize {
        (outer * self.size + index) * self.inner
    }
}
