//! A tensor as rows, and the walk over them: which elements belong to a result, and in which order they are combined.

use std::ops::Range;

use smallvec::SmallVec;

use super::fold::{Add, Fold};
use crate::kernel::across::{Tile, groups};
use crate::kernel::parallel::{GRAIN, in_pieces};
use crate::real::Real;
use crate::shape::{Layout, Shape};

/// Rows that are reduced without compensation.
const ROWS: usize = 32;
/// Results that are computed together: totals and compensations stay in the L1 cache.
const TILE: usize = 256;
/// The longest rows of which several are reduced side by side.
const SHORT: usize = 16;
/// Elements of rows that are combined column by column, in registers: they are read from the L1 cache.
pub(super) const NEAR: usize = 4096;
/// Columns that are combined side by side where there are fewer than [`WIDTH`].
const NARROW: usize = 8;
/// Elements of rows that are combined in registers.
pub(crate) const WIDTH: usize = 32;

/// A tensor as rows of contiguous elements, for a reduction along axes: either all elements of a row are reduced to one
/// number, or the row is combined elementwise with others.
pub(crate) struct Rows {
    /// Elements of a row.
    pub(crate) row: usize,
    /// Whether the elements of a row are reduced.
    pub(crate) reduced: bool,
    /// The position of the result of each row: the layout of the output with stride 0 along reduced axes.
    pub(crate) target: Layout,
}

/// The position of a row, in elements.
#[derive(Clone, Copy)]
pub(crate) struct RowStart {
    /// The first element of the row, or of the needed part of it.
    pub(crate) row: usize,
    /// The first element of the first row with the same results.
    pub(crate) first: usize,
    /// The first of these results.
    pub(crate) at: usize,
}

impl Rows {
    /// The rows of a shape for a reduction along `axes` (counted from the first, in order).
    pub(crate) fn of(shape: &Shape, axes: &[usize]) -> Self {
        let rank = shape.rank();
        let is_reduced = |axis: usize| axes.contains(&axis);
        // An axis of one element is as good as reduced or not.
        let mut long = (0..rank).rev().filter(|&axis| shape[axis] != 1);
        let reduced = long.clone().next().is_some_and(is_reduced);
        let split = long.find(|&axis| is_reduced(axis) != reduced).map_or(0, |axis| axis + 1);
        let row: usize = shape[split..].iter().product();
        Self { row, reduced, target: output_layout(shape, split, axes, if reduced { 1 } else { row }) }
    }

    /// The number of results of a row.
    pub(crate) fn kept(&self) -> usize {
        if self.reduced { 1 } else { self.row }
    }

    /// Whether each row has a result of its own, so that rows follow each other as the results do.
    #[inline(always)]
    pub(super) fn are_in_order(&self) -> bool {
        let Layout { shape, strides, .. } = &self.target;
        self.reduced && (0..shape.rank()).all(|axis| strides[axis] != 0)
    }

    /// For rows that lie side by side as their results do: how many results there are apart from those of a row, and of
    /// how many rows each is the combination; the rows of one follow each other. Nothing if the axes that are reduced
    /// and those that are kept take turns.
    #[inline(always)]
    fn plain(&self) -> Option<[usize; 2]> {
        match (&self.target.shape[..], &self.target.strides[..], self.reduced) {
            ([], [], _) => Some([1, 1]),
            (&[count], [0], false) => Some([1, count]),
            (&[_], [0], true) => None,
            (&[groups], [_], _) => Some([groups, 1]),
            (&[_, _], [0, _], _) => None,
            (&[groups, count], [_, 0], false) => Some([groups, count]),
            _ => None,
        }
    }

    /// The layout of the first elements of rows: over the axes that are reduced, or those that are kept.
    fn starts(&self, reduced: bool) -> Layout {
        let Layout { shape, strides, .. } = &self.target;
        let (mut sizes, mut steps) = (SmallVec::<[usize; 8]>::new(), SmallVec::new());
        let mut step = self.row as isize;
        for axis in (0..shape.rank()).rev() {
            if (strides[axis] == 0) == reduced {
                sizes.push(shape[axis]);
                steps.push(step);
            }
            step *= shape[axis] as isize;
        }
        sizes.reverse();
        steps.reverse();
        Layout { shape: sizes.into_iter().collect(), strides: steps, offset: 0 }
    }

    /// Each row of results of which some are in a range: the position of the first element of the first of these, and
    /// their own range.
    ///
    /// An iterator and not a function that is called back: that would be compiled for the oldest machine.
    #[inline(always)]
    pub(crate) fn groups(&self, results: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> {
        let (kept, row) = (self.kept(), self.row);
        // Results lie in the order of the axes that are kept.
        let groups = match results.is_empty() || kept == 0 {
            true => 0..0,
            false => results.start / kept..results.end.div_ceil(kept),
        };
        let plain = self.plain();
        let starts = plain.is_none().then(|| self.starts(false));
        groups.map(move |group| {
            let first = match (plain, &starts) {
                (Some([_, count]), _) => group * count * row,
                (None, Some(starts)) => starts.position(group),
                (None, None) => 0,
            };
            let from = results.start.max(group * kept);
            (first + from - group * kept, from..results.end.min((group + 1) * kept))
        })
    }

    /// Whether each row has a result of its own and fills registers.
    pub(crate) fn are_long_and_in_order(&self) -> bool {
        self.row > SHORT && self.are_in_order()
    }

    /// Runs `work(from, piece)` over pieces that the results `y` of `elements` elements are cut into, on the threads of
    /// the current pool; `from` is the index of the first result of a piece.
    pub(crate) fn in_pieces<T: Send>(&self, elements: usize, y: &mut [T], work: &(impl Fn(usize, &mut [T]) + Sync)) {
        let each = elements.checked_div(y.len()).unwrap_or(0).max(1);
        let (grain, align) = ((GRAIN / each).max(1), if self.reduced { 1 } else { WIDTH });
        in_pieces(y, grain, align, work);
    }

    /// Reduces terms into `y`, the results from number `from` on. Each result is finished before the next one is
    /// started.
    #[inline(always)]
    pub(crate) fn accumulate<T: Real, F: Fold, P: Terms<T>>(&self, from: usize, y: &mut [T], terms: &P) {
        y.fill(F::start());
        if y.is_empty() || self.row == 0 || self.target.shape.contains(&0) {
            return;
        }
        if self.row <= SHORT && self.are_in_order() {
            return self.accumulate_across::<T, F>(from, y, terms);
        }
        if let (false, Some([_, count])) = (self.reduced, self.plain())
            && count * self.row <= NEAR
        {
            for (first, results) in self.groups(from..from + y.len()) {
                let y = &mut y[results.start - from..results.end - from];
                self.accumulate_columns::<T, F>(RowStart { row: first, first, at: results.start }, count, y, terms);
            }
            return;
        }
        // The last of the reduced axes is iterated with its stride, the others by positions.
        let mut reduced = self.starts(true);
        let (count, step) = match (reduced.shape.last().copied(), reduced.strides.pop()) {
            (Some(count), Some(step)) => (count, step as usize),
            _ => (1, 0),
        };
        reduced.shape = reduced.shape[..reduced.shape.rank().saturating_sub(1)].iter().copied().collect();
        let outer = reduced.shape.len();
        for (first, results) in self.groups(from..from + y.len()) {
            let (at, y) = (results.start, &mut y[results.start - from..results.end - from]);
            if self.reduced {
                let (mut total, mut lost) = (F::start(), T::zero());
                for index in 0..outer {
                    let row = first + reduced.position(index);
                    for number in 0..count {
                        let start = RowStart { row: row + number * step, first, at };
                        F::gather(&mut total, &mut lost, terms.fold(start, self.row));
                    }
                }
                y[0] = F::finish(total, lost);
                continue;
            }
            if self.row < WIDTH && count >= WIDTH && step == self.row && !P::IS_RELATIVE {
                let from = at % self.row;
                let sums = self.accumulate_narrow::<T, F, P>(first - from, &reduced, count, terms);
                let len = y.len();
                y.copy_from_slice(&sums[from..from + len]);
                continue;
            }
            for (from, y) in (0..).step_by(TILE).zip(y.chunks_mut(TILE)) {
                let (first, at, len) = (first + from, at + from, y.len());
                let start =
                    |row: usize, column: usize| RowStart { row: row + column, first: first + column, at: at + column };
                let (mut totals, mut lost) = ([F::start(); TILE], [T::zero(); TILE]);
                let mut sums = [F::start(); TILE];
                let wide = len - len % WIDTH;
                for offset in reduced.positions() {
                    for number in (0..count).step_by(ROWS) {
                        // Row after row in memory order; two at a time, for half the accesses to the sums.
                        let rows = ROWS.min(count - number);
                        for pair in (0..rows).step_by(2) {
                            let row = first + offset + (number + pair) * step;
                            let is_pair = pair + 1 < rows;
                            for column in (0..wide).step_by(WIDTH) {
                                let mut values = terms.wide(start(row, column));
                                if is_pair {
                                    let others = terms.wide(start(row + step, column));
                                    for lane in 0..WIDTH {
                                        values[lane] = F::join(values[lane], others[lane]);
                                    }
                                }
                                for lane in 0..WIDTH {
                                    sums[column + lane] = F::join(sums[column + lane], values[lane]);
                                }
                            }
                            for column in wide..len {
                                let mut value = terms.one(start(row, column));
                                if is_pair {
                                    value = F::join(value, terms.one(start(row + step, column)));
                                }
                                sums[column] = F::join(sums[column], value);
                            }
                        }
                        for column in 0..len {
                            F::gather(&mut totals[column], &mut lost[column], sums[column]);
                            sums[column] = F::start();
                        }
                    }
                }
                for column in 0..len {
                    y[column] = F::finish(totals[column], lost[column]);
                }
            }
        }
    }

    /// The results of rows of fewer than `WIDTH` elements that are combined with others: `count` after each other from
    /// each of the offsets on. As many rows as there are lanes for are added at once, and the lanes of a result at last.
    #[inline(always)]
    fn accumulate_narrow<T: Real, F: Fold, P: Terms<T>>(
        &self,
        first: usize,
        offsets: &Layout,
        count: usize,
        terms: &P,
    ) -> [T; WIDTH] {
        let (row, side) = (self.row, WIDTH / self.row);
        let (mut totals, mut lost) = ([F::start(); WIDTH], [T::zero(); WIDTH]);
        let start = |position: usize| RowStart { row: position, first: position, at: position };
        // What lies beyond the rows of a step falls into lanes that belong to no result.
        let last = (row * self.target.shape.len()).saturating_sub(WIDTH);
        for offset in offsets.positions() {
            let position = |number: usize| first + offset + number * row;
            for from in (0..count).step_by(ROWS * side) {
                let (mut number, end) = (from, count.min(from + ROWS * side));
                let mut sums = [F::start(); WIDTH];
                while number + side <= end && position(number) <= last {
                    let values = terms.wide(start(position(number)));
                    for lane in 0..WIDTH {
                        sums[lane] = F::join(sums[lane], values[lane]);
                    }
                    number += side;
                }
                for k in 0..(end - number) * row {
                    let lane = k % (side * row);
                    sums[lane] = F::join(sums[lane], terms.one(start(position(number) + k)));
                }
                for lane in 0..WIDTH {
                    F::gather(&mut totals[lane], &mut lost[lane], sums[lane]);
                }
            }
        }
        let mut results = [F::start(); WIDTH];
        for column in 0..row {
            let (mut total, mut rest) = (F::start(), T::zero());
            for lane in (column..side * row).step_by(row) {
                F::gather(&mut total, &mut rest, F::finish(totals[lane], lost[lane]));
            }
            results[column] = F::finish(total, rest);
        }
        results
    }

    /// The same for short rows that follow each other as their results do.
    #[inline(always)]
    fn accumulate_across<T: Real, F: Fold>(&self, from: usize, y: &mut [T], terms: &impl Terms<T>) {
        let size = self.row;
        let mut tile = Tile::new(size);
        for (first, end) in groups(y.len()) {
            terms.across(&mut tile, size, from + first..from + end);
            let folded = tile.fold::<F>();
            let y = &mut y[first..end];
            y.copy_from_slice(&folded[..y.len()]);
        }
    }

    /// The same for `count` rows that follow each other, of which the columns from a start on have the results `y`: column
    /// by column, with totals in registers. The order of operations is that of many rows.
    #[inline(always)]
    fn accumulate_columns<T: Real, F: Fold>(&self, start: RowStart, count: usize, y: &mut [T], terms: &impl Terms<T>) {
        let len = y.len();
        if len >= WIDTH {
            self.columns::<T, F, WIDTH>(start, count, y, terms);
        } else if len >= NARROW {
            self.columns::<T, F, NARROW>(start, count, y, terms);
        } else {
            self.columns::<T, F, 1>(start, count, y, terms);
        }
    }

    /// Combines `N` columns at a time, two rows at a time.
    #[inline(always)]
    fn columns<T: Real, F: Fold, const N: usize>(
        &self,
        RowStart { row, first, at }: RowStart,
        count: usize,
        y: &mut [T],
        terms: &impl Terms<T>,
    ) {
        for column in (0..y.len()).step_by(N) {
            // The last columns may be combined twice, so that all are of one width.
            let column = column.min(y.len() - N);
            let mut start = RowStart { row: row + column, first: first + column, at: at + column };
            let (mut totals, mut lost) = ([F::start(); N], [T::zero(); N]);
            for number in (0..count).step_by(ROWS) {
                let rows = ROWS.min(count - number);
                let mut sums = [F::start(); N];
                for pair in (0..rows).step_by(2) {
                    let mut values = terms.side_by_side::<N>(start);
                    if pair + 1 < rows {
                        let others = terms.side_by_side::<N>(RowStart { row: start.row + self.row, ..start });
                        for lane in 0..N {
                            values[lane] = F::join(values[lane], others[lane]);
                        }
                    }
                    for lane in 0..N {
                        sums[lane] = F::join(sums[lane], values[lane]);
                    }
                    start.row += 2 * self.row;
                }
                // Blocks of rows are of even length, but for the last one.
                for lane in 0..N {
                    F::gather(&mut totals[lane], &mut lost[lane], sums[lane]);
                }
            }
            let y = &mut y[column..column + N];
            for lane in 0..N {
                y[lane] = F::finish(totals[lane], lost[lane]);
            }
        }
    }

    /// Calls `visit` with each element with the same result as the one at `first`.
    pub(crate) fn elements(&self, first: usize, mut visit: impl FnMut(usize)) {
        for offset in self.starts(true).positions() {
            let row = first + offset;
            (row..row + if self.reduced { self.row } else { 1 }).for_each(&mut visit);
        }
    }

    /// The mean of the elements with the same result as the one at `first`, without differences.
    #[cold]
    pub(crate) fn plain_mean<T: Real>(&self, x: &[T], first: usize, count: T) -> T {
        let (mut total, mut lost) = (T::zero(), T::zero());
        self.elements(first, |k| Add::gather(&mut total, &mut lost, x[k]));
        Add::finish(total, lost) / count
    }

    /// `√Σ value²` over the elements with the same result as the one at `first`, scaled by a power of two so that no
    /// square overflows or underflows.
    #[cold]
    pub(crate) fn scaled_norm<T: Real>(&self, first: usize, value: impl Fn(usize) -> T) -> T {
        let mut largest = T::zero();
        self.elements(first, |k| {
            let size = value(k).abs();
            largest = if size > largest || size.is_nan() { size } else { largest };
        });
        if largest == T::zero() || !largest.is_finite() {
            return largest;
        }
        let exponent = |x: T| {
            let (digits, exponent, _) = x.integer_decode();
            i32::from(exponent) + digits.ilog2() as i32
        };
        // Both 2ⁿ and 2⁻ⁿ must be normal numbers.
        let most = -exponent(T::min_positive_value());
        let n = exponent(largest).clamp(-most, most);
        let (two, scale) = (T::of(2.0), T::of(2.0).powi(-n));
        let (mut total, mut lost) = (T::zero(), T::zero());
        self.elements(first, |k| {
            let scaled = value(k) * scale;
            Add::gather(&mut total, &mut lost, scaled * scaled);
        });
        Add::finish(total, lost).sqrt() * two.powi(n)
    }
}

/// The terms of a reduction, one for each element of a tensor.
pub(crate) trait Terms<T: Real> {
    /// Whether a term depends on more than its element: on the first one with the same result, or on the result.
    const IS_RELATIVE: bool = true;

    /// The terms of a row of `len` elements, reduced.
    fn fold(&self, start: RowStart, len: usize) -> T;

    /// The terms of `WIDTH` elements from a position on.
    fn wide(&self, start: RowStart) -> [T; WIDTH];

    /// The terms of `N` elements from a position on.
    #[inline(always)]
    fn side_by_side<const N: usize>(&self, RowStart { row, first, at }: RowStart) -> [T; N] {
        let mut values = [T::zero(); N];
        if N == WIDTH {
            values.copy_from_slice(&self.wide(RowStart { row, first, at })[..N]);
        } else {
            for lane in 0..N {
                values[lane] = self.one(RowStart { row: row + lane, first: first + lane, at: at + lane });
            }
        }
        values
    }

    /// The term of the element at a position.
    fn one(&self, start: RowStart) -> T;

    /// Fills a tile with the terms of some rows, whose results have the numbers of the rows.
    #[inline(always)]
    fn across(&self, tile: &mut Tile<T>, size: usize, rows: Range<usize>) {
        let columns = tile.columns();
        for at in rows.clone() {
            let first = at * size;
            for i in 0..size {
                columns[i][at - rows.start] = self.one(RowStart { row: first + i, first, at });
            }
        }
    }
}

/// `N` elements of a slice from an index on.
#[inline(always)]
pub(crate) fn lanes<T: Copy, const N: usize>(values: &[T], from: usize) -> [T; N] {
    *values[from..].first_chunk().expect("a row is at least as wide")
}

/// The layout of the output over the axes before `split`, with adjacent axes merged.
fn output_layout(shape: &Shape, split: usize, axes: &[usize], row: usize) -> Layout {
    let mut merged: SmallVec<[(usize, isize); 6]> = SmallVec::new();
    let mut step = row as isize;
    for axis in (0..split).rev().filter(|&axis| shape[axis] != 1) {
        let (size, reduced) = (shape[axis], axes.contains(&axis));
        let stride = if reduced { 0 } else { step };
        step *= if reduced { 1 } else { size as isize };
        match merged.last_mut() {
            Some((inner, own)) if stride == *own * *inner as isize && (stride == 0) == (*own == 0) => *inner *= size,
            _ => merged.push((size, stride)),
        }
    }
    let (sizes, strides) = (merged.iter().rev().map(|axis| axis.0), merged.iter().rev().map(|axis| axis.1));
    Layout { shape: sizes.collect(), strides: strides.collect(), offset: 0 }
}
