//! The convolution itself: `y = w·columns`.

use super::geometry::{Blocks, Geometry};
use super::im2col::Im2Col;
use super::plane::PlaneForward;
use super::threads::{divided, thread_workspace, whole_and_last, widths, workers};
use crate::kernel::gemm::{MatrixView, gemm_into};
use crate::kernel::parallel::Pieces;
use crate::kernel::simd::vectorized;
use crate::real::Real;

impl Geometry {
    fn forward_plan<T: Real>(&self) -> (Blocks, usize, usize) {
        let blocks = self.blocks::<T>(self.taps());
        let steps = if self.is_plain() { self.taps() } else { blocks.rows };
        let per_plane = if blocks.images > 1 { 1 } else { self.area().div_ceil(blocks.columns) };
        let tasks = self.images.div_ceil(blocks.images) * self.groups * per_plane;
        let sizes = [[self.filters; 2], whole_and_last(self.taps(), steps), widths(self, blocks)];
        (blocks, tasks, thread_workspace::<T>(blocks, sizes))
    }

    /// Elements of scratch for [`Geometry::forward`].
    pub(crate) fn forward_workspace<T: Real>(&self) -> usize {
        if self.is_empty() {
            return 0;
        }
        if self.is_depthwise() {
            return self.depthwise_workspace();
        }
        if let Some(direct) = self.direct::<T>() {
            return self.direct_workspace(direct);
        }
        let (_, tasks, room) = self.forward_plan::<T>();
        room * workers(self.multiplications(), tasks)
    }

    /// The convolution of `x` with the filters `w`.
    ///
    /// # Panics
    /// If a buffer has another size than the geometry says, or the workspace is smaller than `forward_workspace`.
    pub(crate) fn forward<T: Real>(&self, x: &[T], w: &[T], y: &mut [T], workspace: &mut [T]) {
        self.expect_sizes(x.len(), w.len(), y.len());
        if self.is_empty() || self.filters == 0 {
            return;
        }
        if self.is_depthwise() {
            return self.depthwise(y, self.area(), workspace, |n, y, scratch| {
                let (x, w) = (&x[n * self.plane()..][..self.plane()], self.filter(w, n));
                vectorized(PlaneForward { geometry: self, x, w, y, scratch });
            });
        }
        if let Some(direct) = self.direct::<T>() {
            return self.forward_direct(direct, x, w, y, workspace);
        }
        let (blocks, tasks, room) = self.forward_plan::<T>();
        let (taps, area) = (self.taps(), self.area());
        let per_plane = if blocks.images > 1 { 1 } else { area.div_ceil(blocks.columns) };
        let result = Pieces::new(y);
        divided(tasks, self.multiplications(), room, workspace, |range, scratch| {
            let (columns, rest) = scratch.split_at_mut(blocks.scratch);
            let (packed, workspace) = rest.split_at_mut(blocks.packed);
            for task in range {
                let (group, block) = (task / per_plane % self.groups, task % per_plane);
                let first = task / per_plane / self.groups * blocks.images;
                let images = blocks.images.min(self.images - first);
                let positions = match images {
                    1 => block * blocks.columns..area.min((block + 1) * blocks.columns),
                    _ => 0..area,
                };
                let count = images * positions.len();
                let members = |k: usize| (first + k) * self.groups + group;
                let filters = group * self.filters * taps;
                let (into, row) = match images {
                    1 => {
                        let from = members(0) * self.filters * area + positions.start;
                        (result.start(from, (self.filters - 1) * area + positions.len()), area)
                    }
                    _ => (packed.as_mut_ptr(), count),
                };
                let multiply = |first: usize, steps: usize, b: MatrixView<'_, T>, workspace: &mut [T]| {
                    let a = MatrixView { data: w, offset: filters + first, row: taps as isize, col: 1 };
                    // SAFETY: rows of the planes of this member of a group, at positions that no other task has; or this
                    // thread's scratch next to the columns, which has room for them.
                    unsafe { gemm_into(self.filters, steps, count, a, b, first > 0, into, row, workspace) }
                };
                let x = &x[members(0) * self.channels * self.plane()..];
                if self.is_plain() || taps == 0 {
                    let b = MatrixView { data: x, offset: positions.start, row: area as isize, col: 1 };
                    multiply(0, taps, b, workspace);
                } else {
                    for first in (0..taps).step_by(blocks.rows) {
                        let rows = first..taps.min(first + blocks.rows);
                        vectorized(Im2Col {
                            geometry: self,
                            x,
                            step: self.groups * self.channels * self.plane(),
                            images,
                            rows: rows.clone(),
                            positions: positions.clone(),
                            to: columns,
                            pitch: blocks.columns,
                        });
                        let b = MatrixView { data: &*columns, offset: 0, row: blocks.columns as isize, col: 1 };
                        multiply(first, rows.len(), b, workspace);
                    }
                }
                if images > 1 {
                    for k in 0..images {
                        // SAFETY: the planes of this member of a group, which no other task has.
                        let y = unsafe { result.piece(members(k) * self.filters * area, self.filters * area) };
                        for (y, from) in y.chunks_exact_mut(area).zip(packed.chunks_exact(count)) {
                            y.copy_from_slice(&from[k * area..][..area]);
                        }
                    }
                }
            }
        });
    }
}
