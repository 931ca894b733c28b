//! The cotangent of the filters: `w̄ = ȳ·columnsᵀ`.

use std::ops::Range;

use super::geometry::{Blocks, Geometry, LANES};
use super::im2col::Im2Col;
use super::plane::PlaneBackwardWeight;
use super::threads::{divided, thread_workspace, whole_and_last, widths, workers};
use crate::kernel::gemm::MatrixView;
use crate::kernel::parallel::Pieces;
use crate::kernel::simd::vectorized;
use crate::real::Real;

impl Geometry {
    /// What the filters of a group have at the positions of several images, row after row of `to`.
    pub(super) fn pack_images<T: Copy>(&self, g: &[T], group: usize, images: Range<usize>, to: &mut [T]) {
        let (area, count) = (self.area(), images.len() * self.area());
        for (k, image) in images.enumerate() {
            let g = &g[(image * self.groups + group) * self.filters * area..][..self.filters * area];
            for (to, g) in to.chunks_mut(count).zip(g.chunks_exact(area)) {
                to[k * area..][..area].copy_from_slice(g);
            }
        }
    }

    fn backward_weight_plan<T: Real>(&self) -> (Blocks, usize) {
        let blocks = self.blocks::<T>(self.taps());
        let room = thread_workspace::<T>(
            blocks,
            [whole_and_last(self.taps(), blocks.rows), widths(self, blocks), [self.filters; 2]],
        );
        (blocks, room)
    }

    /// Elements of scratch for [`Geometry::backward_weight`].
    pub(crate) fn backward_weight_workspace<T: Real>(&self) -> usize {
        if self.is_empty() {
            return 0;
        }
        if self.is_depthwise() {
            return self.depthwise_workspace();
        }
        if let Some(direct) = self.direct_weight::<T>() {
            return self.direct_weight_workspace(direct);
        }
        let sums = (self.groups * self.taps() * self.filters).next_multiple_of(LANES);
        sums + self.backward_weight_plan::<T>().1 * workers(self.multiplications(), self.groups * self.taps())
    }

    /// The transpose of [`Geometry::forward`] in `w`.
    ///
    /// # Panics
    /// If a buffer has another size than the geometry says, or the workspace is smaller than
    /// `backward_weight_workspace`.
    pub(crate) fn backward_weight<T: Real>(&self, x: &[T], g: &[T], w: &mut [T], workspace: &mut [T]) {
        self.expect_sizes(x.len(), w.len(), g.len());
        if self.is_empty() || w.is_empty() {
            w.fill(T::zero());
            return;
        }
        let (taps, area, members) = (self.taps(), self.area(), self.channels * self.plane());
        if self.is_depthwise() {
            return self.depthwise(w, taps, workspace, |group, w, scratch| {
                w.fill(T::zero());
                for image in 0..self.images {
                    let n = image * self.groups + group;
                    let (x, g) = (&x[n * self.plane()..][..self.plane()], &g[n * area..][..area]);
                    vectorized(PlaneBackwardWeight { geometry: self, x, g, w, scratch });
                }
            });
        }
        if let Some(direct) = self.direct_weight::<T>() {
            return self.backward_weight_direct(direct, x, g, w, workspace);
        }
        let (blocks, room) = self.backward_weight_plan::<T>();
        let total = self.groups * taps;
        // The transpose of the result, so that the factor that has to be packed is the smaller one.
        let (sums, workspace) = workspace.split_at_mut((total * self.filters).next_multiple_of(LANES));
        let sums = &mut sums[..total * self.filters];
        let into = Pieces::new(sums);
        divided(total, self.multiplications(), room, workspace, |range, scratch| {
            let (columns, rest) = scratch.split_at_mut(blocks.scratch);
            let (packed, workspace) = rest.split_at_mut(blocks.packed);
            let mut next = range.start;
            while next < range.end {
                let (group, first) = (next / taps, next % taps);
                let rows = first..taps.min(first + blocks.rows).min(first + range.end - next);
                // SAFETY: these rows are in no other range.
                let sums = unsafe { into.piece(next * self.filters, rows.len() * self.filters) };
                let mut started = false;
                for (image, images) in self.batches(blocks.images) {
                    let member = |k: usize| (image + k) * self.groups + group;
                    let x = &x[member(0) * members..];
                    if images > 1 {
                        self.pack_images(g, group, image..image + images, packed);
                    }
                    for positions in self.ranges(if images > 1 { area } else { blocks.columns }) {
                        let count = images * positions.len();
                        let b = match images {
                            1 => {
                                let offset = member(0) * self.filters * area + positions.start;
                                MatrixView { data: g, offset, row: 1, col: area as isize }
                            }
                            _ => MatrixView { data: &*packed, offset: 0, row: 1, col: count as isize },
                        };
                        let a = if self.is_plain() {
                            let offset = rows.start * area + positions.start;
                            MatrixView { data: x, offset, row: area as isize, col: 1 }
                        } else {
                            vectorized(Im2Col {
                                geometry: self,
                                x,
                                step: self.groups * members,
                                images,
                                rows: rows.clone(),
                                positions: positions.clone(),
                                to: columns,
                                pitch: blocks.columns,
                            });
                            MatrixView { data: &*columns, offset: 0, row: blocks.columns as isize, col: 1 }
                        };
                        T::gemm(rows.len(), count, self.filters, a, b, started, sums, workspace);
                        started = true;
                    }
                }
                next += rows.len();
            }
        });
        for group in 0..self.groups {
            let sums = &sums[group * taps * self.filters..][..taps * self.filters];
            for (filter, w) in
                w[group * self.filters * taps..][..self.filters * taps].chunks_exact_mut(taps).enumerate()
            {
                w.iter_mut().zip(sums[filter..].iter().step_by(self.filters)).for_each(|(w, sum)| *w = *sum);
            }
        }
    }
}
