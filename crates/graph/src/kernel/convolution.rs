//! Convolutions of planes: the values, and the cotangents of what is convolved and of the filters.
//!
//! All three are products with the matrix of columns: row `(channel, i, j)`, column `p` holds the element of the input
//! that the filters' element `(i, j)` meets at the position `p`, or zero where that lies in the padding. The matrix is
//! made block by block, each small enough for the second-level cache, and the product reads it from there:
//! `y = w·columns`, `w̄ = ȳ·columnsᵀ`, and `x̄` adds up the elements of `wᵀ·ȳ` at the places that columns come from.
//! Where a filter is one element and nothing is skipped or padded, the input is that matrix. Of small planes several
//! images share a block. Filters that each see one channel of their own leave nothing to multiply matrices for: they
//! are loops over planes with zeros around them.
//!
//! Order of sums: blocks depend on sizes alone, images and blocks follow each other in order, and threads divide the
//! elements of a result, never the terms of one. So the bits do not depend on the number of threads.
//!
//! Safety: threads get disjoint parts of a result, found by products of the sizes of the geometry. Each entry checks first
//! that all buffers have these sizes and that no such product overflows ([`Geometry::expect`]).

#![allow(unsafe_code)] // Hands disjoint parts of a result to threads.

use std::ops::Range;

use super::gemm::{Matrix, gemm_into};
use super::parallel::{Pieces, in_parts};
use super::simd::{Loop, vectorized};
use crate::real::Real;

/// Bytes of a block of columns.
const NEAR: usize = 256 << 10;
/// The most rows of a block: as many as the product sums before it adds to its result.
const ROWS: usize = 384;
/// Columns of blocks come in multiples of this.
const LANES: usize = 16;
/// Multiplications that are worth a thread of their own.
const WORTH: usize = 1 << 19;

/// Sizes and steps of a convolution. Channels and filters are counted within a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    pub(crate) images: usize,
    pub(crate) groups: usize,
    pub(crate) channels: usize,
    pub(crate) filters: usize,
    /// Rows and columns of the input.
    pub(crate) size: [usize; 2],
    pub(crate) kernel: [usize; 2],
    /// Rows and columns of the output.
    pub(crate) positions: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    /// Zeros before the first row and the first column.
    pub(crate) before: [usize; 2],
    /// Whether the elements of each filter come in the opposite order; for filters of one channel only.
    pub(crate) is_turned: bool,
}

/// How a convolution is cut into blocks of columns.
#[derive(Clone, Copy)]
struct Blocks {
    rows: usize,
    columns: usize,
    /// Images in a block: where planes are small, several.
    images: usize,
    /// Elements of scratch for a block; none where the input is read as it is.
    scratch: usize,
    /// Elements of scratch for what the images of a block have at the other side of the product.
    beside: usize,
}

/// The positions of one row of the output that meet an element of the input, for one column of the filter, and the
/// element that position 0 would meet, counted from the padding.
#[derive(Clone, Copy)]
struct Reach {
    first: usize,
    end: usize,
    from: usize,
}

impl Geometry {
    /// Elements of a filter: the rows of the matrix of columns.
    fn taps(&self) -> usize {
        self.channels * self.kernel[0] * self.kernel[1]
    }

    /// Positions of a filter: the columns of the matrix.
    fn area(&self) -> usize {
        self.positions[0] * self.positions[1]
    }

    /// Elements of a plane of the input.
    fn plane(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Whether the input is the matrix of columns, and wide enough for products by itself.
    fn is_plain(&self) -> bool {
        let same =
            self.kernel == [1, 1] && self.stride == [1, 1] && self.before == [0, 0] && self.positions == self.size;
        same && (self.images == 1 || self.area() >= 8 * LANES)
    }

    /// Whether each filter sees one channel that no other sees.
    fn is_depthwise(&self) -> bool {
        self.channels == 1 && self.filters == 1
    }

    fn is_empty(&self) -> bool {
        self.images == 0 || self.groups == 0 || self.positions.contains(&0)
    }

    /// Says so if the buffers do not have the sizes of the geometry, or places in them cannot be counted. The parts of a
    /// result that threads get are found by products of these sizes: none may overflow, whichever size is 0.
    #[track_caller]
    fn expect(&self, x: usize, w: usize, y: usize) {
        let Self { images, groups, channels, filters, size, kernel, positions, stride, dilation, before, .. } = *self;
        let all = [
            ("input", x, [images, groups, channels, size[0], size[1]]),
            ("filters", w, [groups, filters, channels, kernel[0], kernel[1]]),
            ("values", y, [images, groups, filters, positions[0], positions[1]]),
        ];
        for (name, len, sizes) in all {
            let most = sizes.iter().try_fold(1, |product: usize, &size| product.checked_mul(size.max(1)));
            let right =
                most.is_some_and(|most| isize::try_from(most).is_ok()) && sizes.iter().product::<usize>() == len;
            assert!(right, "convolution: the {name} have {len} elements; they must have as many as {sizes:?} says");
        }
        for axis in 0..2 {
            let reach = |steps: usize, step: usize| steps.saturating_sub(1).checked_mul(step);
            // The columns that a register reads beyond the last position count as well.
            let far = reach(positions[axis].saturating_add(SUMS), stride[axis])
                .zip(reach(kernel[axis], dilation[axis]))
                .and_then(|(position, tap)| {
                    position.checked_add(tap)?.checked_add(size[axis])?.checked_add(before[axis])
                });
            assert!(
                stride[axis] > 0 && far.is_some_and(|far| isize::try_from(far).is_ok()),
                "convolution: stride {stride:?}, dilation {dilation:?} and padding {before:?} reach too far"
            );
        }
    }

    fn blocks<T>(&self, rows: usize) -> Blocks {
        let rows = if rows <= ROWS { rows } else { rows.div_ceil(rows.div_ceil(ROWS)) };
        let most = (NEAR / size_of::<T>() / rows.max(1) / LANES * LANES).max(LANES);
        let count = self.area().div_ceil(most).max(1);
        let columns = self.area().div_ceil(count).next_multiple_of(LANES).min(most);
        if self.is_plain() {
            return Blocks { rows, columns: self.area().clamp(1, 1024), images: 1, scratch: 0, beside: 0 };
        }
        if 2 * self.area() <= most && self.images > 1 {
            let images = (most / self.area()).min(self.images);
            let columns = images * self.area();
            return Blocks { rows, columns, images, scratch: rows * columns, beside: self.filters * columns };
        }
        Blocks { rows, columns, images: 1, scratch: rows * columns, beside: 0 }
    }

    /// The blocks of images: the first of each, and how many.
    fn batches(&self, images: usize) -> impl Iterator<Item = (usize, usize)> {
        let all = self.images;
        (0..all).step_by(images).map(move |first| (first, images.min(all - first)))
    }

    /// The blocks of positions.
    fn ranges(&self, columns: usize) -> impl Iterator<Item = Range<usize>> {
        let area = self.area();
        (0..area).step_by(columns.max(1)).map(move |first| first..area.min(first + columns))
    }

    /// Row `(channel, i, j)` of the matrix as its channel and the row and column of the filter.
    fn tap(&self, row: usize) -> (usize, usize, usize) {
        let [height, width] = self.kernel;
        (row / (height * width), row / width % height, row % width)
    }

    fn reach(&self, column: usize) -> Reach {
        let (stride, before, from) = (self.stride[1], self.before[1], column * self.dilation[1]);
        let first = before.saturating_sub(from).div_ceil(stride).min(self.positions[1]);
        let end = (self.size[1] + before).saturating_sub(from).div_ceil(stride).clamp(first, self.positions[1]);
        Reach { first, end, from }
    }

    /// The row of the input that row `i` of the filter meets at row `position` of the output.
    #[inline(always)]
    fn line(&self, position: usize, i: usize) -> Option<usize> {
        let row = (position * self.stride[0] + i * self.dilation[0]).checked_sub(self.before[0])?;
        (row < self.size[0]).then_some(row)
    }

    /// Calls `visit` for each run of positions within a row of the output that meets the input: the place of the run in
    /// the block, and the place of its first partner in a plane of the input.
    #[inline(always)]
    fn runs(&self, row: usize, positions: &Range<usize>, mut visit: impl FnMut(Range<usize>, usize)) {
        let (_, i, j) = self.tap(row);
        let reach = self.reach(j);
        let width = self.positions[1];
        let (mut y, mut x) = (positions.start / width, positions.start % width);
        let mut done = 0;
        while done < positions.len() {
            let end = width.min(x + positions.len() - done);
            if let Some(line) = self.line(y, i) {
                let (first, last) = (reach.first.max(x), reach.end.min(end));
                if first < last {
                    let from = line * self.size[1] + first * self.stride[1] + reach.from - self.before[1];
                    visit(done + first - x..done + last - x, from);
                }
            }
            done += end - x;
            (y, x) = (y + 1, 0);
        }
    }

    /// Whether a row of the matrix of columns has zeros of the padding.
    fn is_padded(&self, row: usize) -> bool {
        let (_, i, j) = self.tap(row);
        let reach = self.reach(j);
        let all = [0, self.positions[0] - 1].into_iter().all(|y| self.line(y, i).is_some());
        !all || reach.first > 0 || reach.end < self.positions[1]
    }

    /// Fills a block of the matrix of columns, whose rows are `pitch` apart.
    fn gather<T: Real>(&self, x: &[T], rows: Range<usize>, positions: Range<usize>, to: &mut [T], pitch: usize) {
        let stride = self.stride[1];
        for (row, to) in rows.zip(to.chunks_mut(pitch)) {
            let plane = &x[self.tap(row).0 * self.plane()..][..self.plane()];
            if self.is_padded(row) {
                to[..positions.len()].fill(T::zero());
            }
            self.runs(row, &positions, |place, from| {
                if stride == 1 {
                    to[place.clone()].copy_from_slice(&plane[from..from + place.len()]);
                } else {
                    let from = plane[from..].iter().step_by(stride);
                    to[place].iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                }
            });
        }
    }
}

/// Adds a block of columns, whose rows are `pitch` apart, at the places that they come from. `x` begins with the channel
/// of the first row.
struct Scatter<'a, T> {
    geometry: &'a Geometry,
    from: &'a [T],
    pitch: usize,
    rows: Range<usize>,
    positions: Range<usize>,
    x: &'a mut [T],
}

impl<T: Real> Loop for Scatter<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { geometry, from, pitch, rows, positions, x } = self;
        let (stride, first, size) = (geometry.stride[1], geometry.tap(rows.start).0, geometry.plane());
        for (row, from) in rows.zip(from.chunks(pitch)) {
            let plane = &mut x[(geometry.tap(row).0 - first) * size..][..size];
            geometry.runs(row, &positions, |place, to| {
                if stride == 1 {
                    plane[to..to + place.len()].iter_mut().zip(&from[place]).for_each(|(to, from)| *to += *from);
                } else {
                    let to = plane[to..].iter_mut().step_by(stride);
                    to.zip(&from[place]).for_each(|(to, from)| *to += *from);
                }
            });
        }
    }
}

/// The threads that get workspace: those of the pool, but no more than there are parts of the work worth one.
fn workers(multiplications: usize, parts: usize) -> usize {
    rayon::current_num_threads().min(multiplications / WORTH).min(parts).max(1)
}

/// Divides `tasks` over the threads that `workspace` has room for; each call gets a range of them and its own scratch.
fn divided<T: Real>(
    tasks: usize,
    multiplications: usize,
    room: usize,
    workspace: &mut [T],
    work: impl Fn(Range<usize>, &mut [T]) + Sync,
) {
    if tasks == 0 {
        return;
    }
    let threads = workers(multiplications, tasks).min(workspace.len().checked_div(room).unwrap_or(usize::MAX)).max(1);
    let scratch = Pieces::new(workspace);
    in_parts(tasks, tasks.div_ceil(threads), 1, threads, &|part, range| {
        // SAFETY: part numbers differ and are below `threads`, for which there is room.
        work(range, unsafe { scratch.piece(part * room, room) });
    });
}

/// Elements of scratch that a thread needs for products of blocks: each size is that of a whole block or that of the
/// last one, and the smaller product may need more.
fn room<T: Real>(blocks: Blocks, [m, k, n]: [[usize; 2]; 3]) -> usize {
    let mut most = 0;
    for m in m {
        for k in k {
            most = n.iter().fold(most, |most, &n| most.max(T::workspace(m, k, n)));
        }
    }
    (blocks.scratch + blocks.beside + most).next_multiple_of(LANES)
}

/// The columns of a block and those of the last one.
fn widths(geometry: &Geometry, blocks: Blocks) -> [usize; 2] {
    match blocks.images {
        1 => whole_and_last(geometry.area(), blocks.columns),
        several => whole_and_last(geometry.images * geometry.area(), several * geometry.area()),
    }
}

/// The size of a block and that of the last one, where `whole` is cut into blocks of `part`.
fn whole_and_last(whole: usize, part: usize) -> [usize; 2] {
    let part = part.min(whole);
    [part, whole.checked_rem(part).unwrap_or(0)]
}

impl Geometry {
    fn multiplications(&self) -> usize {
        let sizes = [self.images, self.groups, self.filters, self.taps(), self.area()];
        sizes.into_iter().fold(1, usize::saturating_mul)
    }

    fn values_plan<T: Real>(&self) -> (Blocks, usize, usize) {
        let blocks = self.blocks::<T>(self.taps());
        let steps = if self.is_plain() { self.taps() } else { blocks.rows };
        let per_plane = if blocks.images > 1 { 1 } else { self.area().div_ceil(blocks.columns) };
        let tasks = self.images.div_ceil(blocks.images) * self.groups * per_plane;
        let sizes = [[self.filters; 2], whole_and_last(self.taps(), steps), widths(self, blocks)];
        (blocks, tasks, room::<T>(blocks, sizes))
    }

    /// Elements of scratch for [`Geometry::values`].
    pub(crate) fn values_room<T: Real>(&self) -> usize {
        if self.is_empty() {
            return 0;
        }
        if self.is_depthwise() {
            return self.depthwise_room();
        }
        let (_, tasks, room) = self.values_plan::<T>();
        room * workers(self.multiplications(), tasks)
    }

    /// The convolution of `x` with the filters `w`.
    ///
    /// # Panics
    /// If a buffer has another size than the geometry says, or the workspace is smaller than `values_room`.
    pub(crate) fn values<T: Real>(&self, x: &[T], w: &[T], y: &mut [T], workspace: &mut [T]) {
        self.expect(x.len(), w.len(), y.len());
        if self.is_empty() || self.filters == 0 {
            return;
        }
        if self.is_depthwise() {
            return self.depthwise(y, self.area(), workspace, |n, y, scratch| {
                let (x, w) = (&x[n * self.plane()..][..self.plane()], self.filter(w, n));
                vectorized(PlaneValues { geometry: self, x, w, y, scratch });
            });
        }
        let (blocks, tasks, room) = self.values_plan::<T>();
        let (taps, area) = (self.taps(), self.area());
        let per_plane = if blocks.images > 1 { 1 } else { area.div_ceil(blocks.columns) };
        let result = Pieces::new(y);
        divided(tasks, self.multiplications(), room, workspace, |range, scratch| {
            let (columns, rest) = scratch.split_at_mut(blocks.scratch);
            let (beside, workspace) = rest.split_at_mut(blocks.beside);
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
                    _ => (beside.as_mut_ptr(), count),
                };
                let multiply = |first: usize, steps: usize, b: Matrix<'_, T>, workspace: &mut [T]| {
                    let a = Matrix { data: w, offset: filters + first, row: taps as isize, col: 1 };
                    // SAFETY: rows of the planes of this member of a group, at positions that no other task has; or this
                    // thread's scratch beside the columns, which has room for as many rows of as many columns.
                    unsafe { gemm_into(self.filters, steps, count, a, b, first > 0, into, row, workspace) }
                };
                let planes = |k: usize| &x[members(k) * self.channels * self.plane()..][..self.channels * self.plane()];
                if self.is_plain() || taps == 0 {
                    let b = Matrix { data: planes(0), offset: positions.start, row: area as isize, col: 1 };
                    multiply(0, taps, b, workspace);
                } else {
                    for first in (0..taps).step_by(blocks.rows) {
                        let rows = first..taps.min(first + blocks.rows);
                        for k in 0..images {
                            let to = &mut columns[k * positions.len()..];
                            self.gather(planes(k), rows.clone(), positions.clone(), to, blocks.columns);
                        }
                        let b = Matrix { data: &*columns, offset: 0, row: blocks.columns as isize, col: 1 };
                        multiply(first, rows.len(), b, workspace);
                    }
                }
                if images > 1 {
                    for k in 0..images {
                        // SAFETY: the planes of this member of a group, which no other task has.
                        let y = unsafe { result.piece(members(k) * self.filters * area, self.filters * area) };
                        for (y, from) in y.chunks_exact_mut(area).zip(beside.chunks_exact(count)) {
                            y.copy_from_slice(&from[k * area..][..area]);
                        }
                    }
                }
            }
        });
    }

    /// What the filters of a group have at the positions of several images, row after row of `to`.
    fn side_by_side<T: Copy>(&self, g: &[T], group: usize, images: Range<usize>, to: &mut [T]) {
        let (area, count) = (self.area(), images.len() * self.area());
        for (k, image) in images.enumerate() {
            let g = &g[(image * self.groups + group) * self.filters * area..][..self.filters * area];
            for (to, g) in to.chunks_mut(count).zip(g.chunks_exact(area)) {
                to[k * area..][..area].copy_from_slice(g);
            }
        }
    }

    fn input_plan<T: Real>(&self) -> (Blocks, usize, usize) {
        let taps = self.kernel[0] * self.kernel[1];
        if self.is_plain() {
            let room = T::workspace(self.channels, self.filters, self.area());
            let blocks = Blocks { rows: self.channels, columns: 0, images: 1, scratch: 0, beside: 0 };
            return (blocks, self.images * self.groups, room);
        }
        // Whole channels, so that each task has planes of its own.
        let channels = self.channels.div_ceil(self.taps().div_ceil(ROWS).max(1)).max(1);
        let blocks = self.blocks::<T>((channels * taps).min(ROWS));
        let blocks = Blocks { rows: channels * taps, scratch: channels * taps * blocks.columns, ..blocks };
        let tasks = self.images.div_ceil(blocks.images) * self.groups * self.channels.div_ceil(channels);
        (
            blocks,
            tasks,
            room::<T>(blocks, [whole_and_last(self.taps(), blocks.rows), [self.filters; 2], widths(self, blocks)]),
        )
    }

    /// Elements of scratch for [`Geometry::input`].
    pub(crate) fn input_room<T: Real>(&self) -> usize {
        if self.is_empty() {
            return 0;
        }
        if self.is_depthwise() {
            return self.depthwise_room();
        }
        let (_, tasks, room) = self.input_plan::<T>();
        room * workers(self.multiplications(), tasks)
    }

    /// The transpose of [`Geometry::values`] in `x`: what the cotangent `g` of the values makes of it.
    ///
    /// # Panics
    /// If a buffer has another size than the geometry says, or the workspace is smaller than `input_room`.
    pub(crate) fn input<T: Real>(&self, g: &[T], w: &[T], x: &mut [T], workspace: &mut [T]) {
        self.expect(x.len(), w.len(), g.len());
        if self.is_empty() || self.channels == 0 {
            x.fill(T::zero());
            return;
        }
        if self.is_depthwise() {
            let turned = self.turned();
            return self.depthwise(x, self.plane(), workspace, |n, x, scratch| {
                let (g, w) = (&g[n * self.area()..][..self.area()], self.filter(w, n));
                match turned {
                    Some(geometry) => vectorized(PlaneValues { geometry: &geometry, x: g, w, y: x, scratch }),
                    None => vectorized(PlaneInput { geometry: self, g, w, x }),
                }
            });
        }
        let (blocks, tasks, room) = self.input_plan::<T>();
        let (taps, area, plane) = (self.taps(), self.area(), self.plane());
        let in_channel = self.kernel[0] * self.kernel[1];
        let per_member = if self.is_plain() { 1 } else { taps.div_ceil(blocks.rows) };
        let result = Pieces::new(x);
        divided(tasks, self.multiplications(), room, workspace, |range, scratch| {
            let (columns, rest) = scratch.split_at_mut(blocks.scratch);
            let (beside, workspace) = rest.split_at_mut(blocks.beside);
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
                // Without filters there is no weight whose place could be named.
                let offset = if self.filters == 0 { 0 } else { filters + rows.start };
                let a = Matrix { data: w, offset, row: 1, col: taps as isize };
                let member = first * self.groups + group;
                let of = |start: usize| Matrix {
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
                    self.side_by_side(g, group, first..first + images, beside);
                }
                for positions in self.ranges(if images > 1 { area } else { blocks.columns }) {
                    let count = images * positions.len();
                    let columns = &mut columns[..rows.len() * count];
                    let b = match images {
                        1 => of(positions.start),
                        _ => Matrix { data: &*beside, offset: 0, row: count as isize, col: 1 },
                    };
                    T::gemm(rows.len(), self.filters, count, a, b, false, columns, workspace);
                    for k in 0..images {
                        vectorized(Scatter {
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

    fn weight_plan<T: Real>(&self) -> (Blocks, usize) {
        let blocks = self.blocks::<T>(self.taps());
        let room =
            room::<T>(blocks, [whole_and_last(self.taps(), blocks.rows), widths(self, blocks), [self.filters; 2]]);
        (blocks, room)
    }

    /// Elements of scratch for [`Geometry::weight`].
    pub(crate) fn weight_room<T: Real>(&self) -> usize {
        if self.is_empty() {
            return 0;
        }
        if self.is_depthwise() {
            return self.depthwise_room();
        }
        let sums = (self.groups * self.taps() * self.filters).next_multiple_of(LANES);
        sums + self.weight_plan::<T>().1 * workers(self.multiplications(), self.groups * self.taps())
    }

    /// The transpose of [`Geometry::values`] in `w`.
    ///
    /// # Panics
    /// If a buffer has another size than the geometry says, or the workspace is smaller than `weight_room`.
    pub(crate) fn weight<T: Real>(&self, x: &[T], g: &[T], w: &mut [T], workspace: &mut [T]) {
        self.expect(x.len(), w.len(), g.len());
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
                    vectorized(PlaneWeight { geometry: self, x, g, w, scratch });
                }
            });
        }
        let (blocks, room) = self.weight_plan::<T>();
        let total = self.groups * taps;
        // The transpose of the result, so that the factor that has to be packed is the smaller one.
        let (sums, workspace) = workspace.split_at_mut((total * self.filters).next_multiple_of(LANES));
        let sums = &mut sums[..total * self.filters];
        let into = Pieces::new(sums);
        divided(total, self.multiplications(), room, workspace, |range, scratch| {
            let (columns, rest) = scratch.split_at_mut(blocks.scratch);
            let (beside, workspace) = rest.split_at_mut(blocks.beside);
            let mut next = range.start;
            while next < range.end {
                let (group, first) = (next / taps, next % taps);
                let rows = first..taps.min(first + blocks.rows).min(first + range.end - next);
                // SAFETY: these rows are in no other range.
                let sums = unsafe { into.piece(next * self.filters, rows.len() * self.filters) };
                let mut started = false;
                for (image, images) in self.batches(blocks.images) {
                    let member = |k: usize| (image + k) * self.groups + group;
                    let planes = |k: usize| &x[member(k) * members..][..members];
                    if images > 1 {
                        self.side_by_side(g, group, image..image + images, beside);
                    }
                    for positions in self.ranges(if images > 1 { area } else { blocks.columns }) {
                        let count = images * positions.len();
                        let b = match images {
                            1 => {
                                let offset = member(0) * self.filters * area + positions.start;
                                Matrix { data: g, offset, row: 1, col: area as isize }
                            }
                            _ => Matrix { data: &*beside, offset: 0, row: 1, col: count as isize },
                        };
                        let a = if self.is_plain() {
                            let offset = rows.start * area + positions.start;
                            Matrix { data: planes(0), offset, row: area as isize, col: 1 }
                        } else {
                            for k in 0..images {
                                let to = &mut columns[k * positions.len()..];
                                self.gather(planes(k), rows.clone(), positions.clone(), to, blocks.columns);
                            }
                            Matrix { data: &*columns, offset: 0, row: blocks.columns as isize, col: 1 }
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

    /// The filter that plane `n` of the images meets.
    fn filter<'a, T>(&self, w: &'a [T], n: usize) -> &'a [T] {
        let taps = self.taps();
        &w[n % self.groups * taps..][..taps]
    }

    /// Rows and columns of a plane with zeros around it, columns enough that whole registers can be read.
    fn framed(&self) -> [usize; 2] {
        let reach = |axis: usize| {
            (self.positions[axis] - 1) * self.stride[axis] + self.dilation[axis] * (self.kernel[axis] - 1) + 1
        };
        let rows = reach(0).max(self.size[0] + self.before[0]);
        [rows, (reach(1) + SUMS * self.stride[1]).max(self.size[1] + self.before[1])]
    }

    /// Elements of scratch that a thread needs: a plane with zeros around it, for this and for the turned convolution.
    fn framed_room(&self) -> usize {
        let room = |geometry: &Self| geometry.framed().iter().product::<usize>();
        room(self).max(self.turned().map_or(0, |turned| room(&turned))).next_multiple_of(LANES)
    }

    fn depthwise_room(&self) -> usize {
        self.framed_room() * workers(8 * self.multiplications(), self.images * self.groups)
    }

    /// The convolution of the cotangent that gives the cotangent of the input, if it is one: with the filters turned
    /// around, which the filters' last element first says.
    fn turned(&self) -> Option<Self> {
        let before = [0, 1].map(|axis| (self.dilation[axis] * (self.kernel[axis] - 1)).checked_sub(self.before[axis]));
        match (self.stride, before) {
            ([1, 1], [Some(down), Some(along)]) if !self.size.contains(&0) => {
                let (size, positions) = (self.positions, self.size);
                Some(Self { size, positions, before: [down, along], is_turned: !self.is_turned, ..*self })
            }
            _ => None,
        }
    }

    /// Calls `work` for each of the planes that a result consists of, on several threads where that is worth it.
    fn depthwise<T: Real>(
        &self,
        result: &mut [T],
        plane: usize,
        workspace: &mut [T],
        work: impl Fn(usize, &mut [T], &mut [T]) + Sync,
    ) {
        let (planes, pieces) = (result.len() / plane.max(1), Pieces::new(result));
        divided(planes, 8 * self.multiplications(), self.framed_room(), workspace, |range, scratch| {
            for n in range {
                // SAFETY: no other range has this plane.
                work(n, unsafe { pieces.piece(n * plane, plane) }, scratch);
            }
        });
    }

    /// Puts a plane into zeros.
    #[inline(always)]
    fn frame<T: Real>(&self, x: &[T], to: &mut [T]) {
        let [rows, pitch] = self.framed();
        to[..rows * pitch].fill(T::zero());
        if x.is_empty() {
            return;
        }
        let inside = to[self.before[0] * pitch..].chunks_mut(pitch);
        for (to, x) in inside.zip(x.chunks_exact(self.size[1])) {
            to[self.before[1]..][..self.size[1]].copy_from_slice(x);
        }
    }

    /// Where the first position of row `y` finds the element of the filter, in a plane with zeros around it.
    #[inline(always)]
    fn place(&self, y: usize, i: usize, j: usize, pitch: usize) -> usize {
        (y * self.stride[0] + i * self.dilation[0]) * pitch + j * self.dilation[1]
    }

    /// Calls `visit` for each row of the output and each element of a filter that meets the input there: the number of
    /// the element, the positions, and the place of the first one's partner.
    #[inline(always)]
    fn rows(&self, mut visit: impl FnMut(usize, Range<usize>, usize)) {
        let width = self.positions[1];
        for y in 0..self.positions[0] {
            for i in 0..self.kernel[0] {
                let Some(line) = self.line(y, i) else { continue };
                for j in 0..self.kernel[1] {
                    let reach = self.reach(j);
                    if reach.end > reach.first {
                        let from = line * self.size[1] + reach.first * self.stride[1] + reach.from - self.before[1];
                        visit(i * self.kernel[1] + j, y * width + reach.first..y * width + reach.end, from);
                    }
                }
            }
        }
    }
}

/// Sums that run side by side, so that they fill registers.
const SUMS: usize = 16;

struct PlaneValues<'a, T> {
    geometry: &'a Geometry,
    x: &'a [T],
    w: &'a [T],
    y: &'a mut [T],
    scratch: &'a mut [T],
}

impl<T: Real> Loop for PlaneValues<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { geometry, x, w, y, scratch } = self;
        geometry.frame(x, scratch);
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
    /// The values of one plane with zeros around it. `next` gives the elements that so many neighbouring positions meet.
    #[inline(always)]
    fn correlate<T: Real>(&self, w: &[T], y: &mut [T], framed: &[T], next: impl Fn(&[T]) -> [T; SUMS]) {
        let ([_, pitch], [height, width]) = (self.framed(), self.kernel);
        let (stride, dilation) = (self.stride[1], self.dilation[1]);
        for (row, y) in y.chunks_exact_mut(self.positions[1]).enumerate() {
            for (block, y) in y.chunks_mut(SUMS).enumerate() {
                let mut sums = [T::zero(); SUMS];
                for i in 0..height {
                    let from = &framed[self.place(row, i, 0, pitch) + block * SUMS * stride..];
                    for j in 0..width {
                        let tap = i * width + j;
                        let w = w[if self.is_turned { w.len() - 1 - tap } else { tap }];
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
struct PlaneInput<'a, T> {
    geometry: &'a Geometry,
    g: &'a [T],
    w: &'a [T],
    x: &'a mut [T],
}

impl<T: Real> Loop for PlaneInput<'_, T> {
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

struct PlaneWeight<'a, T> {
    geometry: &'a Geometry,
    x: &'a [T],
    g: &'a [T],
    w: &'a mut [T],
    scratch: &'a mut [T],
}

impl<T: Real> Loop for PlaneWeight<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { geometry, x, g, w, scratch } = self;
        geometry.frame(x, scratch);
        let ([_, pitch], width) = (geometry.framed(), geometry.kernel[1]);
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

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Geometry = Geometry {
        images: 2,
        groups: 1,
        channels: 3,
        filters: 2,
        size: [5, 4],
        kernel: [2, 2],
        positions: [4, 3],
        stride: [1, 1],
        dilation: [1, 1],
        before: [0, 0],
        is_turned: false,
    };

    /// Runs all three with buffers of these sizes and gives which of them are refused.
    fn refused(geometry: Geometry, [x, w, y]: [usize; 3]) -> [bool; 3] {
        let buffers = || [vec![1.0_f64; x], vec![1.0; w], vec![1.0; y], vec![0.0; 4096]];
        let run = |work: &dyn Fn(Geometry, [Vec<f64>; 4])| {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(geometry, buffers())));
            let Err(message) = result else { return false };
            let message = message.downcast::<String>().expect("a formatted message");
            assert!(message.starts_with("convolution: "), "{message}");
            true
        };
        [
            run(&|geometry, [x, w, mut y, mut room]| geometry.values(&x, &w, &mut y, &mut room)),
            run(&|geometry, [mut x, w, y, mut room]| geometry.input(&y, &w, &mut x, &mut room)),
            run(&|geometry, [x, mut w, y, mut room]| geometry.weight(&x, &y, &mut w, &mut room)),
        ]
    }

    #[test]
    fn buffers_of_other_sizes_are_refused() {
        let right = [120, 24, 48];
        assert_eq!(refused(PLAIN, right), [false; 3]);
        for place in 0..3 {
            for wrong in [0, right[place] - 1, right[place] + 1] {
                let mut sizes = right;
                sizes[place] = wrong;
                assert_eq!(refused(PLAIN, sizes), [true; 3], "{sizes:?}");
            }
        }
    }

    /// Products of these sizes wrap around to the sizes of the buffers, or are zero although parts of them overflow.
    #[test]
    fn sizes_that_overflow_are_refused() {
        const THIRD: usize = usize::MAX / 3 * 2 + 1; // times 3 it is 1
        let empty = Geometry { images: 1, channels: 0, size: [1, 3], kernel: [1, 1], positions: [1, 3], ..PLAIN };
        assert_eq!(refused(Geometry { filters: THIRD, ..empty }, [0, 0, THIRD.wrapping_mul(3)]), [true; 3]);
        assert_eq!(refused(Geometry { kernel: [1 << 40, 1 << 40], ..empty }, [0, 0, 6]), [true; 3]);
        assert_eq!(refused(Geometry { images: 1 << 40, groups: 1 << 40, ..empty }, [0, 0, 0]), [true; 3]);
        let huge = Geometry { channels: 1 << 32, groups: 1 << 32, filters: 0, ..empty };
        assert_eq!(refused(huge, [0, 0, 0]), [true; 3]);
        assert_eq!(refused(Geometry { images: 0, size: [1 << 40, 1 << 40], ..empty }, [0, 0, 0]), [true; 3]);
        for far in [usize::MAX, usize::MAX / 2, 1 << 62] {
            for axis in 0..2 {
                let with = |change: &dyn Fn(&mut Geometry)| {
                    let mut geometry = PLAIN;
                    change(&mut geometry);
                    assert_eq!(refused(geometry, [120, 24, 48]), [true; 3], "{geometry:?}");
                };
                with(&|geometry| geometry.stride[axis] = far);
                with(&|geometry| geometry.before[axis] = usize::MAX);
                with(&|geometry| geometry.dilation[axis] = usize::MAX);
                with(&|geometry| geometry.stride[axis] = 0);
            }
        }
    }
}
