//! An array seen around one of its axes, as kernels that work along an axis walk over it.

use crate::shape::Shape;

/// `outer` blocks, each of `size` runs (one for each place on the axis) of `inner` elements that lie side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Runs {
    pub(crate) outer: usize,
    pub(crate) size: usize,
    pub(crate) inner: usize,
}

impl Runs {
    /// An array of the given shape around an axis.
    pub(crate) fn around(axis: usize, shape: &Shape) -> Self {
        Self { outer: shape[..axis].iter().product(), size: shape[axis], inner: shape[axis + 1..].iter().product() }
    }

    /// Where the run of a block for a place on the axis starts.
    #[inline(always)]
    pub(crate) fn start(self, block: usize, place: usize) -> usize {
        (block * self.size + place) * self.inner
    }
}
