//! The matrix of columns, block by block: filled from the planes, and added back to them.

use std::ops::Range;

use super::geometry::Geometry;
use crate::kernel::simd::Loop;
use crate::real::Real;

impl Geometry {
    /// Fills a block of the matrix of columns, whose rows are `pitch` apart.
    pub(super) fn im2col<T: Real>(
        &self,
        x: &[T],
        rows: Range<usize>,
        positions: Range<usize>,
        to: &mut [T],
        pitch: usize,
    ) {
        let stride = self.stride[1];
        for (row, to) in rows.zip(to.chunks_mut(pitch)) {
            let plane = &x[self.tap(row).0 * self.plane()..][..self.plane()];
            if self.is_padded(row) {
                to[..positions.len()].fill(T::zero());
            }
            self.ranges_in_rows(row, &positions, |range, from| {
                if stride == 1 {
                    to[range.clone()].copy_from_slice(&plane[from..from + range.len()]);
                } else {
                    let from = plane[from..].iter().step_by(stride);
                    to[range].iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                }
            });
        }
    }
}

/// Adds a block of columns, whose rows are `pitch` apart, to the elements of the planes. `x` starts with the channel of
/// the first row.
pub(super) struct Col2Im<'a, T> {
    pub(super) geometry: &'a Geometry,
    pub(super) from: &'a [T],
    pub(super) pitch: usize,
    pub(super) rows: Range<usize>,
    pub(super) positions: Range<usize>,
    pub(super) x: &'a mut [T],
}

impl<T: Real> Loop for Col2Im<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { geometry, from, pitch, rows, positions, x } = self;
        let (stride, first, size) = (geometry.stride[1], geometry.tap(rows.start).0, geometry.plane());
        for (row, from) in rows.zip(from.chunks(pitch)) {
            let plane = &mut x[(geometry.tap(row).0 - first) * size..][..size];
            geometry.ranges_in_rows(row, &positions, |range, to| {
                if stride == 1 {
                    plane[to..to + range.len()].iter_mut().zip(&from[range]).for_each(|(to, from)| *to += *from);
                } else {
                    let to = plane[to..].iter_mut().step_by(stride);
                    to.zip(&from[range]).for_each(|(to, from)| *to += *from);
                }
            });
        }
    }
}
