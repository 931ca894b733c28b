//! The cotangent of the planes: `col2im` of `wᵀ·ȳ`.

use super::geometry::{Blocks, Geometry, ROWS};
use super::im2col::Col2Im;
use super::plane::{PlaneBackwardInput, PlaneForward};
use super::threads::{divided, thread_workspace, whole_and_last, widths, workers};
use crate::kernel::gemm::MatrixView;
use crate::kernel::parallel::Pieces;
use crate::kernel::simd::vectorized;
use crate::real::Real;

impl Geometry {
    fn backward_input_plan<T: Real>(&self) -> (Blocks, usize, usize) {
        let taps = self.kernel[0] * self.kernel[1];
        if self.is_plain() {
            let room = T::workspace(self.channels, self.filters, self.area());
            let blocks = Blocks { rows: self.channels, columns: 0, images: 1, scratch: 0, packed: 0 };
            return (blocks, self.images * self.groups, room);
        }
        // Whole channels, so that tasks do not share planes.
        let channels = self.channels.div_ceil(self.taps().div_ceil(ROWS).max(1)).max(1);
        let blocks = self.blocks::<T>((channels * taps).min(ROWS));
        let blocks = Blocks { rows: channels * taps, scratch: channels * taps * blocks.columns, ..blocks };
        let tasks = self.images.div_ceil(blocks.images) * self.groups * self.channels.div_ceil(channels);
        (
            blocks,
            tasks,
            thread_workspace::<T>(
                blocks,
                [whole_and_last(self.taps(), blocks.rows), [self.filters; 2], widths(self, blocks)],
            ),
        )
    }

    /// Elements of scratch for [`Geometry::backward_input`].
    pub(crate) fn backward_input_workspace<T: Real>(&self) -> usize {
        if self.is_empty() {
            return 0;
        }
        if self.is_depthwise() {
            return self.depthwise_workspace();
        }
        if let Some((geometry, direct)) = self.direct_input::<T>() {
            return geometry.direct_workspace(direct);
        }
        let (_, tasks, room) = self.backward_input_plan::<T>();
        room * workers(self.multiplications(), tasks)
    }

    /// The transpose of [`Geometry::forward`] in `x`: what the cotangent `g` of the values makes of it.
    ///
    /// # Panics
    /// If a buffer has another size than the geometry says, or the workspace is smaller than
    /// `backward_input_workspace`.
    pub(crate) fn backward_input<T: Real>(&self, g: &[T], w: &[T], x: &mut [T], workspace: &mut [T]) {
        self.expect_sizes(x.len(), w.len(), g.len());
        if self.is_empty() || self.channels == 0 {
            x.fill(T::zero());
            return;
        }
        if self.is_depthwise() {
            let reversed = self.reversed();
            return self.depthwise(x, self.plane(), workspace, |n, x, scratch| {
                let (g, w) = (&g[n * self.area()..][..self.area()], self.filter(w, n));
                match reversed {
                    Some(geometry) => vectorized(PlaneForward { geometry: &geometry, x: g, w, y: x, scratch }),
                    None => vectorized(PlaneBackwardInput { geometry: self, g, w, x }),
                }
            });
        }
        if let Some((geometry, direct)) = self.direct_input::<T>() {
            return geometry.forward_direct(direct, g, w, x, workspace);
        }
        let (blocks, tasks, room) = self.backward_input_plan::<T>();
        let (taps, area, plane) = (self.taps(), self.area(), self.plane());
        let in_channel = self.kernel[0] * self.kernel[1];
        let per_member = if self.is_plain() { 1 } else { taps.div_ceil(blocks.rows) };
        let result = Pieces::new(x);
        divided(tasks, self.multiplications(), room, workspace, |range, scratch| {
            let (columns, rest) = scratch.split_at_mut(blocks.scratch);
            let (packed, workspace) = rest.split_at_mut(blocks.packed);
            for task in range {
                let (group, chunk) = (task / per_member % self.groups, task % per_member);
                let first = task / per_member / self.groups * blocks.images;
                let images = blocks.images.min(self.images - first);
                let rows = chunk * blocks.rows..taps.min((chunk + 1) * blocks.rows);
                let channels = rows.start / in_channel..rows.end / in_channel;
                let planes = |k: usize| {
                    let member = (first + k) * self.groups + group;
                    // SAFETY: the planes of these channels, which no other task has.
                    unsafe { result.piece((member * self.channels + channels.start) * plane, channels.len() * plane) }
                };
                let filters = group * self.filters * taps;
                // Without filters the offset would be out of range.
                let offset = if self.filters == 0 { 0 } else { filters + rows.start };
                let a = MatrixView { data: w, offset, row: 1, col: taps as isize };
                let member = first * self.groups + group;
                let of = |start: usize| MatrixView {
                    data: g,
                    offset: if self.filters == 0 { 0 } else { member * self.filters * area + start },
                    row: area as isize,
                    col: 1,
                };
                if self.is_plain() {
                    T::gemm(channels.len(), self.filters, area, a, of(0), false, planes(0), workspace);
                    continue;
                }
                (0..images).for_each(|k| planes(k).fill(T::zero()));
                if images > 1 {
                    self.pack_images(g, group, first..first + images, packed);
                }
                for positions in self.ranges(if images > 1 { area } else { blocks.columns }) {
                    let count = images * positions.len();
                    let columns = &mut columns[..rows.len() * count];
                    let b = match images {
                        1 => of(positions.start),
                        _ => MatrixView { data: &*packed, offset: 0, row: count as isize, col: 1 },
                    };
                    T::gemm(rows.len(), self.filters, count, a, b, false, columns, workspace);
                    for k in 0..images {
                        vectorized(Col2Im {
                            geometry: self,
                            from: &columns[k * positions.len()..],
                            pitch: count,
                            rows: rows.clone(),
                            positions: positions.clone(),
                            x: planes(k),
                        });
                    }
                }
            }
        });
    }
}
