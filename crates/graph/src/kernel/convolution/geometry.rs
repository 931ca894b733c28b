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

/// The positions along one axis of the output that overlap the input, for one element of the filter along that axis, and
/// the element at position 0, counted from the padding.
#[derive(Clone, Copy)]
pub(super) struct Reach {
    pub(super) first: usize,
    pub(super) end: usize,
    pub(super) from: usize,
}

/// Positions of a block that overlap the input for one element of the filter: `count` side by side in each of `lines`
/// rows of the output.
#[derive(Clone, Copy, Default)]
pub(super) struct Band {
    pub(super) lines: usize,
    pub(super) count: usize,
    /// The first position within the block; the next line is a row of the output further.
    pub(super) at: usize,
    /// Its element in a plane of the input.
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

    /// What an element of the filter reaches along an axis.
    #[inline]
    pub(super) fn reach(&self, axis: usize, element: usize) -> Reach {
        let (stride, before, from) = (self.stride[axis], self.before[axis], element * self.dilation[axis]);
        let first = before.saturating_sub(from).div_ceil(stride).min(self.positions[axis]);
        let end = (self.size[axis] + before).saturating_sub(from).div_ceil(stride).clamp(first, self.positions[axis]);
        Reach { first, end, from }
    }

    /// The row of the input at row `i` of the filter for row `position` of the output.
    #[inline(always)]
    pub(super) fn line(&self, position: usize, i: usize) -> Option<usize> {
        let row = (position * self.stride[0] + i * self.dilation[0]).checked_sub(self.before[0])?;
        (row < self.size[0]).then_some(row)
    }

    /// The positions of a block that overlap the input for element `(i, j)` of the filter: those of the first and of the
    /// last row of the output, of which the block may have a part, and those of the rows between.
    pub(super) fn bands(&self, i: usize, j: usize, positions: &Range<usize>) -> [Band; 3] {
        let (down, along, width) = (self.reach(0, i), self.reach(1, j), self.positions[1]);
        let first = down.first.max(positions.start / width);
        let end = down.end.min(positions.end.div_ceil(width)).max(first);
        let band = |rows: Range<usize>| {
            if rows.is_empty() {
                return Band::default();
            }
            let line = rows.start * width;
            let first = along.first.max(positions.start.saturating_sub(line));
            let end = along.end.min(positions.end - line);
            if first >= end {
                return Band::default();
            }
            let row = rows.start * self.stride[0] + down.from - self.before[0];
            let from = row * self.size[1] + first * self.stride[1] + along.from - self.before[1];
            Band { lines: rows.len(), count: end - first, at: line + first - positions.start, from }
        };
        if positions.start <= first * width + along.first && end * width <= positions.end + width - along.end {
            return [band(first..end), Band::default(), Band::default()];
        }
        let (second, last) = (end.min(first + 1), end.saturating_sub(1).max(first + 1).min(end));
        [band(first..second), band(second..last), band(last..end)]
    }

    pub(super) fn multiplications(&self) -> usize {
        let sizes = [self.images, self.groups, self.filters, self.taps(), self.area()];
        sizes.into_iter().fold(1, usize::saturating_mul)
    }
}
