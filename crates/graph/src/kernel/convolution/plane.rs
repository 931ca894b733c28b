//! Depthwise convolutions, with one filter per channel: loops over padded planes.

use std::ops::Range;

use super::geometry::{Geometry, LANES, SUMS};
use super::threads::{divided, workers};
use crate::kernel::parallel::Pieces;
use crate::kernel::simd::Loop;
use crate::real::Real;

impl Geometry {
    /// The filter of plane `n` of the images.
    pub(super) fn filter<'a, T>(&self, w: &'a [T], n: usize) -> &'a [T] {
        let taps = self.taps();
        &w[n % self.groups * taps..][..taps]
    }

    /// Rows and columns of a padded plane, with enough columns that whole registers can be read.
    fn padded_plane(&self) -> [usize; 2] {
        let reach = |axis: usize| {
            (self.positions[axis] - 1) * self.stride[axis] + self.dilation[axis] * (self.kernel[axis] - 1) + 1
        };
        let rows = reach(0).max(self.size[0] + self.before[0]);
        [rows, (reach(1) + SUMS * self.stride[1]).max(self.size[1] + self.before[1])]
    }

    /// Elements of scratch of a thread: a padded plane, for this and for the reversed convolution.
    fn padded_workspace(&self) -> usize {
        let size = |geometry: &Self| geometry.padded_plane().iter().product::<usize>();
        size(self).max(self.reversed().map_or(0, |reversed| size(&reversed))).next_multiple_of(LANES)
    }

    pub(super) fn depthwise_workspace(&self) -> usize {
        self.padded_workspace() * workers(8 * self.multiplications(), self.images * self.groups)
    }

    /// The convolution of the cotangent, with reversed filters, that is the cotangent of the input; `None` if it is not
    /// a convolution.
    pub(super) fn reversed(&self) -> Option<Self> {
        let before = [0, 1].map(|axis| (self.dilation[axis] * (self.kernel[axis] - 1)).checked_sub(self.before[axis]));
        match (self.stride, before) {
            ([1, 1], [Some(down), Some(along)]) if !self.size.contains(&0) => {
                let (size, positions) = (self.positions, self.size);
                Some(Self { size, positions, before: [down, along], is_reversed: !self.is_reversed, ..*self })
            }
            _ => None,
        }
    }

    /// Calls `work` for each plane of a result, on several threads if there is enough work.
    pub(super) fn depthwise<T: Real>(
        &self,
        result: &mut [T],
        plane: usize,
        workspace: &mut [T],
        work: impl Fn(usize, &mut [T], &mut [T]) + Sync,
    ) {
        let (planes, pieces) = (result.len() / plane.max(1), Pieces::new(result));
        divided(planes, 8 * self.multiplications(), self.padded_workspace(), workspace, |range, scratch| {
            for n in range {
                // SAFETY: no other range has this plane.
                work(n, unsafe { pieces.piece(n * plane, plane) }, scratch);
            }
        });
    }

    /// Copies a plane into a padded plane.
    #[inline(always)]
    fn pad<T: Real>(&self, x: &[T], to: &mut [T]) {
        let [rows, pitch] = self.padded_plane();
        to[..rows * pitch].fill(T::zero());
        if x.is_empty() {
            return;
        }
        let inside = to[self.before[0] * pitch..].chunks_mut(pitch);
        for (to, x) in inside.zip(x.chunks_exact(self.size[1])) {
            to[self.before[1]..][..self.size[1]].copy_from_slice(x);
        }
    }

    /// The element of a padded plane at element `(i, j)` of the filter for the first position of row `y`.
    #[inline(always)]
    fn place(&self, y: usize, i: usize, j: usize, pitch: usize) -> usize {
        (y * self.stride[0] + i * self.dilation[0]) * pitch + j * self.dilation[1]
    }

    /// Calls `visit` for each row of the output and each element of a filter that overlaps the input there: the index
    /// of the element, the positions, and the position of the first one in the input.
    #[inline(always)]
    fn rows(&self, mut visit: impl FnMut(usize, Range<usize>, usize)) {
        let width = self.positions[1];
        for y in 0..self.positions[0] {
            for i in 0..self.kernel[0] {
                let Some(line) = self.line(y, i) else { continue };
                for j in 0..self.kernel[1] {
                    let reach = self.reach(1, j);
                    if reach.end > reach.first {
                        let from = line * self.size[1] + reach.first * self.stride[1] + reach.from - self.before[1];
                        visit(i * self.kernel[1] + j, y * width + reach.first..y * width + reach.end, from);
                    }
                }
            }
        }
    }
}

pub(super) struct PlaneForward<'a, T> {
    pub(super) geometry: &'a Geometry,
    pub(super) x: &'a [T],
    pub(super) w: &'a [T],
    pub(super) y: &'a mut [T],
    pub(super) scratch: &'a mut [T],
}

impl<T: Real> Loop for PlaneForward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { geometry, x, w, y, scratch } = self;
        geometry.pad(x, scratch);
        let stride = geometry.stride[1];
        if stride == 1 {
            geometry.correlate(w, y, scratch, |from| {
                let from: &[T; SUMS] = from[..SUMS].try_into().expect("as many as there are sums");
                *from
            });
        } else {
            geometry.correlate(w, y, scratch, |from| {
                let from = &from[..(SUMS - 1) * stride + 1];
                std::array::from_fn(|k| from[k * stride])
            });
        }
    }
}

impl Geometry {
    /// The values of one padded plane. `next` returns the elements of the input for [`SUMS`] adjacent positions.
    #[inline(always)]
    fn correlate<T: Real>(&self, w: &[T], y: &mut [T], padded_plane: &[T], next: impl Fn(&[T]) -> [T; SUMS]) {
        let ([_, pitch], [height, width]) = (self.padded_plane(), self.kernel);
        let (stride, dilation) = (self.stride[1], self.dilation[1]);
        for (row, y) in y.chunks_exact_mut(self.positions[1]).enumerate() {
            for (block, y) in y.chunks_mut(SUMS).enumerate() {
                let mut sums = [T::zero(); SUMS];
                for i in 0..height {
                    let from = &padded_plane[self.place(row, i, 0, pitch) + block * SUMS * stride..];
                    for j in 0..width {
                        let tap = i * width + j;
                        let w = w[if self.is_reversed { w.len() - 1 - tap } else { tap }];
                        let from = next(&from[j * dilation..]);
                        for k in 0..SUMS {
                            sums[k] += w * from[k];
                        }
                    }
                }
                y.copy_from_slice(&sums[..y.len()]);
            }
        }
    }
}

/// For strides above 1.
pub(super) struct PlaneBackwardInput<'a, T> {
    pub(super) geometry: &'a Geometry,
    pub(super) g: &'a [T],
    pub(super) w: &'a [T],
    pub(super) x: &'a mut [T],
}

impl<T: Real> Loop for PlaneBackwardInput<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { geometry, g, w, x } = self;
        x.fill(T::zero());
        let stride = geometry.stride[1];
        geometry.rows(|tap, positions, to| {
            let (w, g) = (w[tap], &g[positions]);
            if stride == 1 {
                x[to..to + g.len()].iter_mut().zip(g).for_each(|(x, g)| *x += w * *g);
            } else {
                x[to..].iter_mut().step_by(stride).zip(g).for_each(|(x, g)| *x += w * *g);
            }
        });
    }
}

pub(super) struct PlaneBackwardWeight<'a, T> {
    pub(super) geometry: &'a Geometry,
    pub(super) x: &'a [T],
    pub(super) g: &'a [T],
    pub(super) w: &'a mut [T],
    pub(super) scratch: &'a mut [T],
}

impl<T: Real> Loop for PlaneBackwardWeight<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { geometry, x, g, w, scratch } = self;
        geometry.pad(x, scratch);
        let ([_, pitch], width) = (geometry.padded_plane(), geometry.kernel[1]);
        let stride = geometry.stride[1];
        for (tap, w) in w.iter_mut().enumerate() {
            let mut sums = [T::zero(); SUMS];
            for (row, g) in g.chunks_exact(geometry.positions[1]).enumerate() {
                let from = &scratch[geometry.place(row, tap / width, tap % width, pitch)..];
                let whole = g.chunks_exact(SUMS);
                let rest = whole.remainder();
                let done = g.len() - rest.len();
                for (block, g) in whole.enumerate() {
                    let from = &from[block * SUMS * stride..][..(SUMS - 1) * stride + 1];
                    if stride == 1 {
                        for k in 0..SUMS {
                            sums[k] += g[k] * from[k];
                        }
                    } else {
                        for k in 0..SUMS {
                            sums[k] += g[k] * from[k * stride];
                        }
                    }
                }
                for ((sum, g), from) in sums.iter_mut().zip(rest).zip(from[done * stride..].iter().step_by(stride)) {
                    *sum += *g * *from;
                }
            }
            *w += sums.iter().fold(T::zero(), |sum, term| sum + *term);
        }
    }
}
