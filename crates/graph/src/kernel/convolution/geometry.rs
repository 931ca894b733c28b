//! The geometry of a convolution: sizes and strides, blocks, and the elements of the input at each position.

use std::ops::Range;

/// Bytes of a block of columns.
const NEAR: usize = 256 << 10;
/// The most rows of a block: the length of the blocks of sums of a matrix product.
pub(super) const ROWS: usize = 384;
/// The columns of a block are a multiple of this.
pub(super) const LANES: usize = 16;
/// Independent sums, which fill registers.
pub(super) const SUMS: usize = 16;

/// The sizes and strides of a convolution. Channels and filters are counted within a group.
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
    /// Whether the elements of each filter are in reverse order; for filters of one channel only.
    pub(crate) is_reversed: bool,
}

/// The division of a convolution into blocks of columns.
#[derive(Clone, Copy)]
pub(super) struct Blocks {
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Images in a block: where planes are small, several.
    pub(super) images: usize,
    /// Elements of scratch for a block; none where the input is read as it is.
    pub(super) scratch: usize,
    /// Elements of scratch for the other factor of the product of several images.
    pub(super) packed: usize,
}

/// The positions of one row of the output that overlap the input, for one column of the filter, and the element at
/// position 0, counted from the padding.
#[derive(Clone, Copy)]
pub(super) struct Reach {
    pub(super) first: usize,
    pub(super) end: usize,
    pub(super) from: usize,
}

impl Geometry {
    /// Elements of a filter: the rows of the matrix of columns.
    #[inline]
    pub(super) fn taps(&self) -> usize {
        self.channels * self.kernel[0] * self.kernel[1]
    }

    /// Positions of a filter: the columns of the matrix.
    #[inline]
    pub(super) fn area(&self) -> usize {
        self.positions[0] * self.positions[1]
    }

    /// Elements of a plane of the input.
    #[inline]
    pub(super) fn plane(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Whether the input is the matrix of columns, and wide enough for products by itself.
    pub(super) fn is_plain(&self) -> bool {
        let same =
            self.kernel == [1, 1] && self.stride == [1, 1] && self.before == [0, 0] && self.positions == self.size;
        same && (self.images == 1 || self.area() >= 8 * LANES)
    }

    /// Whether each filter is applied to one channel, and each channel has one filter.
    pub(super) fn is_depthwise(&self) -> bool {
        self.channels == 1 && self.filters == 1
    }

    pub(super) fn is_empty(&self) -> bool {
        self.images == 0 || self.groups == 0 || self.positions.contains(&0)
    }

    /// Checks that the buffers have the sizes of the geometry, and that no index into them overflows. The parts of a
    /// result that threads get are found by products of these sizes: none may overflow, whichever size is 0.
    ///
    /// # Panics
    /// If they do not, or one does.
    #[track_caller]
    pub(super) fn expect_sizes(&self, x: usize, w: usize, y: usize) {
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

    pub(super) fn blocks<T>(&self, rows: usize) -> Blocks {
        let rows = if rows <= ROWS { rows } else { rows.div_ceil(rows.div_ceil(ROWS)) };
        let most = (NEAR / size_of::<T>() / rows.max(1) / LANES * LANES).max(LANES);
        let count = self.area().div_ceil(most).max(1);
        let columns = self.area().div_ceil(count).next_multiple_of(LANES).min(most);
        if self.is_plain() {
            return Blocks { rows, columns: self.area().clamp(1, 1024), images: 1, scratch: 0, packed: 0 };
        }
        if 2 * self.area() <= most && self.images > 1 {
            let images = (most / self.area()).min(self.images);
            let columns = images * self.area();
            return Blocks { rows, columns, images, scratch: rows * columns, packed: self.filters * columns };
        }
        Blocks { rows, columns, images: 1, scratch: rows * columns, packed: 0 }
    }

    /// The blocks of images: the first of each, and how many.
    pub(super) fn batches(&self, images: usize) -> impl Iterator<Item = (usize, usize)> {
        let all = self.images;
        (0..all).step_by(images).map(move |first| (first, images.min(all - first)))
    }

    /// The blocks of positions.
    pub(super) fn ranges(&self, columns: usize) -> impl Iterator<Item = Range<usize>> {
        let area = self.area();
        (0..area).step_by(columns.max(1)).map(move |first| first..area.min(first + columns))
    }

    /// Row `(channel, i, j)` of the matrix as its channel and the row and column of the filter.
    #[inline]
    pub(super) fn tap(&self, row: usize) -> (usize, usize, usize) {
        let [height, width] = self.kernel;
        (row / (height * width), row / width % height, row % width)
    }

    #[inline]
    pub(super) fn reach(&self, column: usize) -> Reach {
        let (stride, before, from) = (self.stride[1], self.before[1], column * self.dilation[1]);
        let first = before.saturating_sub(from).div_ceil(stride).min(self.positions[1]);
        let end = (self.size[1] + before).saturating_sub(from).div_ceil(stride).clamp(first, self.positions[1]);
        Reach { first, end, from }
    }

    /// The row of the input at row `i` of the filter for row `position` of the output.
    #[inline(always)]
    pub(super) fn line(&self, position: usize, i: usize) -> Option<usize> {
        let row = (position * self.stride[0] + i * self.dilation[0]).checked_sub(self.before[0])?;
        (row < self.size[0]).then_some(row)
    }

    /// Calls `visit` for each contiguous range of positions within a row of the output that overlaps the input: the
    /// range within the block, and the position of its first element in a plane of the input.
    #[inline(always)]
    pub(super) fn ranges_in_rows(
        &self,
        row: usize,
        positions: &Range<usize>,
        mut visit: impl FnMut(Range<usize>, usize),
    ) {
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
    pub(super) fn is_padded(&self, row: usize) -> bool {
        let (_, i, j) = self.tap(row);
        let reach = self.reach(j);
        let all = [0, self.positions[0] - 1].into_iter().all(|y| self.line(y, i).is_some());
        !all || reach.first > 0 || reach.end < self.positions[1]
    }

    pub(super) fn multiplications(&self) -> usize {
        let sizes = [self.images, self.groups, self.filters, self.taps(), self.area()];
        sizes.into_iter().fold(1, usize::saturating_mul)
    }
}
