//! Reductions of a tensor along axes, in an order that does not depend on threads.
//!
//! Sums are accurate for any number of elements: blocks of at most `BLOCK` elements, or `ROWS` rows, are added without
//! compensation, and their totals with it ([`Fold::gather`]). To first order the error is within 40 roundings of the
//! sum of the absolute values, over any axes.

use std::ops::Range;

use smallvec::SmallVec;

use crate::kernel::across::{Tile, groups};
use crate::kernel::parallel::in_pieces;
use crate::kernel::simd::{Loop, vectorized};
use crate::real::Real;
use crate::shape::{Layout, Shape};

/// A binary operation of a reduction, which must be associative and commutative except for rounding.
pub(crate) trait Fold {
    /// The neutral element; marked `#[inline(always)]`.
    fn start<T: Real>() -> T;

    /// Combines two partial results; marked `#[inline(always)]`.
    fn join<T: Real>(a: T, b: T) -> T;

    /// Combines a partial result with a total; `lost` is the compensation for rounding of the total so far. Marked
    /// `#[inline(always)]`.
    #[inline(always)]
    fn gather<T: Real>(total: &mut T, _lost: &mut T, value: T) {
        *total = Self::join(*total, value);
    }

    /// The result from a total and its compensation.
    #[inline(always)]
    fn finish<T: Real>(total: T, _lost: T) -> T {
        total
    }
}

/// The sum, from 0.
pub(crate) struct Add;

impl Fold for Add {
    #[inline(always)]
    fn start<T: Real>() -> T {
        T::zero()
    }

    #[inline(always)]
    fn join<T: Real>(a: T, b: T) -> T {
        a + b
    }

    /// The exact error of one addition (Knuth, The Art of Computer Programming, volume 2, 4.2.2).
    #[inline(always)]
    fn gather<T: Real>(total: &mut T, lost: &mut T, value: T) {
        let sum = *total + value;
        let of_value = sum - *total;
        *lost += (*total - (sum - of_value)) + (value - of_value);
        *total = sum;
    }

    /// If the total is infinite or NaN the compensation has no meaning.
    #[inline(always)]
    fn finish<T: Real>(total: T, lost: T) -> T {
        let sum = total + lost;
        if sum.is_finite() { sum } else { total }
    }
}

/// The product, from 1.
pub(crate) struct Multiply;

impl Fold for Multiply {
    #[inline(always)]
    fn start<T: Real>() -> T {
        T::one()
    }

    #[inline(always)]
    fn join<T: Real>(a: T, b: T) -> T {
        a * b
    }
}

/// The larger of two, from −∞.
pub(crate) struct Largest;

impl Fold for Largest {
    #[inline(always)]
    fn start<T: Real>() -> T {
        T::neg_infinity()
    }

    #[inline(always)]
    fn join<T: Real>(a: T, b: T) -> T {
        if a > b || a.is_nan() { a } else { b }
    }
}

/// The smaller of two, from ∞.
pub(crate) struct Smallest;

impl Fold for Smallest {
    #[inline(always)]
    fn start<T: Real>() -> T {
        T::infinity()
    }

    #[inline(always)]
    fn join<T: Real>(a: T, b: T) -> T {
        if a < b || a.is_nan() { a } else { b }
    }
}

/// The most numbers that scatter-add adds without compensation.
pub(crate) const UNCOMPENSATED: usize = 32;

/// Independent partial results, so that the loop over a row is vectorised.
const LANES: usize = 32;
/// Elements that are reduced without compensation.
const BLOCK: usize = 1024;
/// Rows that are reduced without compensation.
const ROWS: usize = 32;
/// Results that are computed together: totals and compensations stay in the L1 cache.
const TILE: usize = 256;
/// The longest rows of which several are reduced side by side.
const SHORT: usize = 16;
/// Elements of rows that are combined column by column, in registers: they are read from the L1 cache.
const NEAR: usize = 4096;
/// Columns that are combined side by side where there are fewer than [`WIDTH`].
const NARROW: usize = 8;
/// Elements that are worth a thread, several microseconds.
const GRAIN: usize = 1 << 14;
/// Elements of rows that are combined in registers.
pub(crate) const WIDTH: usize = 32;

/// `sum_of!(T; len, |from, terms| …)`: the sum of `len` terms of type `T`, without memory for them. The block fills a
/// slice with the terms from an index on.
///
/// Not a function of a closure: a closure that is not inlined is compiled for the oldest machine.
macro_rules! sum_of {
    ($number:ty; $len:expr, |$from:ident, $terms:ident| $fill:block) => {{
        use $crate::kernel::reduce::{Add, AT_ONCE, Totals, block_lanes, fold_lanes};
        let mut terms = [<$number>::zero(); AT_ONCE];
        let len = $len;
        let mut totals = Totals::<$number>::new::<Add>();
        let mut lanes = block_lanes::<$number, Add>(&[]);
        for $from in (0..len).step_by(AT_ONCE) {
            let $terms = &mut terms[..(len - $from).min(AT_ONCE)];
            $fill
            lanes = block_lanes::<$number, Add>($terms);
            if len > AT_ONCE {
                totals.gather::<Add>(lanes);
            }
        }
        if len > AT_ONCE { totals.finish::<Add>() } else { fold_lanes::<$number, Add>(lanes) }
    }};
}

pub(crate) use sum_of;

/// Terms that [`sum_of!`] has computed at a time.
pub(crate) const AT_ONCE: usize = 256;

/// Reduces `x` of the given shape along `axes` (counted from the first, in order) into `y`.
pub(crate) fn reduce<T: Real, F: Fold>(x: &[T], shape: &Shape, axes: &[usize], y: &mut [T]) {
    let rows = &Rows::of(shape, axes);
    rows.in_pieces(x.len(), y, &|from, y| {
        vectorized(Reduce::<T, F> { x, rows, from, y, fold: std::marker::PhantomData });
    });
}

struct Reduce<'a, T, F> {
    x: &'a [T],
    rows: &'a Rows,
    from: usize,
    y: &'a mut [T],
    fold: std::marker::PhantomData<F>,
}

impl<T: Real, F: Fold> Loop for Reduce<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.rows.accumulate::<T, F, _>(self.from, self.y, &Plain(self.x, self.fold));
    }
}

/// The elements themselves.
struct Plain<'a, T, F>(&'a [T], std::marker::PhantomData<F>);

impl<T: Real, F: Fold> Terms<T> for Plain<'_, T, F> {
    const IS_RELATIVE: bool = false;

    #[inline(always)]
    fn fold(&self, start: RowStart, len: usize) -> T {
        fold_row::<T, F>(&self.0[start.row..start.row + len])
    }

    #[inline(always)]
    fn wide(&self, start: RowStart) -> [T; WIDTH] {
        lanes(self.0, start.row)
    }

    #[inline(always)]
    fn side_by_side<const N: usize>(&self, start: RowStart) -> [T; N] {
        some_lanes(self.0, start.row)
    }

    #[inline(always)]
    fn one(&self, start: RowStart) -> T {
        self.0[start.row]
    }

    #[inline(always)]
    fn across(&self, tile: &mut Tile<T>, size: usize, rows: Range<usize>) {
        tile.load(&self.0[rows.start * size..rows.end * size]);
    }
}

/// The mean of `x` along `axes` into `y`, 0 for no elements.
///
/// It adds the differences from the first element, so that the mean of equal numbers is exact, and that of similar
/// numbers far from 0 accurate.
pub(crate) fn mean<T: Real>(x: &[T], shape: &Shape, axes: &[usize], y: &mut [T]) {
    let count: usize = axes.iter().map(|&axis| shape[axis]).product();
    let (rows, count) = (&Rows::of(shape, axes), T::of(count.max(1) as f64));
    rows.in_pieces(x.len(), y, &|from, y| vectorized(Mean { x, rows, from, y, count }));
}

struct Mean<'a, T> {
    x: &'a [T],
    rows: &'a Rows,
    from: usize,
    y: &'a mut [T],
    count: T,
}

impl<T: Real> Loop for Mean<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x, rows, from, y, count } = self;
        rows.accumulate::<T, Add, _>(from, y, &FromFirst(x));
        if x.is_empty() {
            return;
        }
        for (first, results) in rows.groups(from..from + y.len()) {
            for (i, y) in y[results.start - from..results.end - from].iter_mut().enumerate() {
                let mean = x[first + i] + *y / count;
                // Differences of infinite or very distant numbers may be infinite or NaN: then the plain mean.
                *y = if mean.is_finite() { mean } else { rows.plain_mean(x, first + i, count) };
            }
        }
    }
}

/// The differences from the first element with the same result.
struct FromFirst<'a, T>(&'a [T]);

impl<T: Real> Terms<T> for FromFirst<'_, T> {
    #[inline(always)]
    fn fold(&self, start: RowStart, len: usize) -> T {
        let (first, row) = (self.0[start.first], &self.0[start.row..start.row + len]);
        sum_of!(T; len, |from, terms| {
            let row = &row[from..from + terms.len()];
            for k in 0..terms.len() {
                terms[k] = row[k] - first;
            }
        })
    }

    #[inline(always)]
    fn wide(&self, start: RowStart) -> [T; WIDTH] {
        let (mut values, first) = (lanes(self.0, start.row), lanes(self.0, start.first));
        for lane in 0..WIDTH {
            values[lane] -= first[lane];
        }
        values
    }

    #[inline(always)]
    fn one(&self, start: RowStart) -> T {
        self.0[start.row] - self.0[start.first]
    }
}

/// `√Σx²` along `axes` into `y`.
///
/// The squares are scaled by a power of two only if their sum overflows or underflows.
pub(crate) fn norm<T: Real>(x: &[T], shape: &Shape, axes: &[usize], y: &mut [T]) {
    let count: usize = axes.iter().map(|&axis| shape[axis]).product();
    // The error of subnormal squares is negligible compared with a larger sum.
    let least = T::min_positive_value() * T::of(count.max(1) as f64);
    let rows = &Rows::of(shape, axes);
    rows.in_pieces(x.len(), y, &|from, y| vectorized(Norm { x, rows, from, y, least }));
}

struct Norm<'a, T> {
    x: &'a [T],
    rows: &'a Rows,
    from: usize,
    y: &'a mut [T],
    least: T,
}

impl<T: Real> Loop for Norm<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x, rows, from, y, least } = self;
        rows.accumulate::<T, Add, _>(from, y, &Squares(x));
        if x.is_empty() {
            return;
        }
        for (first, results) in rows.groups(from..from + y.len()) {
            for (i, y) in y[results.start - from..results.end - from].iter_mut().enumerate() {
                let within = *y >= least && y.is_finite();
                *y = if within { y.sqrt() } else { rows.scaled_norm(first + i, |k| x[k]) };
            }
        }
    }
}

/// The squares of the elements.
struct Squares<'a, T>(&'a [T]);

impl<T: Real> Terms<T> for Squares<'_, T> {
    const IS_RELATIVE: bool = false;

    #[inline(always)]
    fn fold(&self, start: RowStart, len: usize) -> T {
        let row = &self.0[start.row..start.row + len];
        sum_of!(T; len, |from, terms| {
            let row = &row[from..from + terms.len()];
            for k in 0..terms.len() {
                terms[k] = row[k] * row[k];
            }
        })
    }

    #[inline(always)]
    fn wide(&self, start: RowStart) -> [T; WIDTH] {
        let mut values = lanes(self.0, start.row);
        for lane in 0..WIDTH {
            values[lane] *= values[lane];
        }
        values
    }

    #[inline(always)]
    fn one(&self, start: RowStart) -> T {
        self.0[start.row] * self.0[start.row]
    }
}

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
    fn are_in_order(&self) -> bool {
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
        match self.plain() {
            Some(_) if self.reduced => {
                for (first, results) in self.groups(from..from + y.len()) {
                    let start = RowStart { row: first, first, at: results.start };
                    y[results.start - from] = terms.fold(start, self.row);
                }
                return;
            }
            Some([_, count]) if count * self.row <= NEAR => {
                for (first, results) in self.groups(from..from + y.len()) {
                    let y = &mut y[results.start - from..results.end - from];
                    self.accumulate_columns::<T, F>(RowStart { row: first, first, at: results.start }, count, y, terms);
                }
                return;
            }
            _ => {}
        }
        // The last of the reduced axes is iterated with its stride, the others by positions.
        let mut reduced = self.starts(true);
        let (count, step) = match (reduced.shape.last().copied(), reduced.strides.pop()) {
            (Some(count), Some(step)) => (count, step as usize),
            _ => (1, 0),
        };
        reduced.shape = reduced.shape[..reduced.shape.rank().saturating_sub(1)].iter().copied().collect();
        for (first, results) in self.groups(from..from + y.len()) {
            let (at, y) = (results.start, &mut y[results.start - from..results.end - from]);
            if self.reduced {
                let start = |row: usize| RowStart { row, first, at };
                if count * reduced.shape.len() == 1 {
                    y[0] = terms.fold(start(first), self.row);
                    continue;
                }
                let (mut total, mut lost) = (F::start(), T::zero());
                for offset in reduced.positions() {
                    for number in 0..count {
                        let row = first + offset + number * step;
                        F::gather(&mut total, &mut lost, terms.fold(start(row), self.row));
                    }
                }
                y[0] = F::finish(total, lost);
                continue;
            }
            if self.row < WIDTH && count >= WIDTH && step == self.row && !P::IS_RELATIVE {
                let from = at % self.row;
                let sums = self.accumulate_narrow::<T, F, P>(first - from, &reduced, count, terms);
                let len = y.len();
                return y.copy_from_slice(&sums[from..from + len]);
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
    fn plain_mean<T: Real>(&self, x: &[T], first: usize, count: T) -> T {
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

/// `WIDTH` elements of a slice from an index on.
#[inline(always)]
pub(crate) fn lanes<T: Copy>(values: &[T], from: usize) -> [T; WIDTH] {
    some_lanes(values, from)
}

/// `N` elements of a slice from an index on.
#[inline(always)]
fn some_lanes<T: Copy, const N: usize>(values: &[T], from: usize) -> [T; N] {
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

/// Reduces a row: lanes within a block, blocks one after another, lanes at last.
#[inline(always)]
pub(crate) fn fold_row<T: Real, F: Fold>(values: &[T]) -> T {
    if values.len() <= BLOCK {
        return fold_block::<T, F>(values);
    }
    let mut totals = Totals::<T>::new::<F>();
    for block in values.chunks(BLOCK) {
        totals.gather::<F>(block_lanes::<T, F>(block));
    }
    totals.finish::<F>()
}

#[inline(always)]
fn fold_block<T: Real, F: Fold>(block: &[T]) -> T {
    fold_lanes::<T, F>(block_lanes::<T, F>(block))
}

/// The totals of the lanes of several blocks, each with its compensation.
pub(crate) struct Totals<T> {
    totals: [T; LANES],
    lost: [T; LANES],
}

impl<T: Real> Totals<T> {
    #[inline(always)]
    pub(crate) fn new<F: Fold>() -> Self {
        Self { totals: [F::start(); LANES], lost: [T::zero(); LANES] }
    }

    #[inline(always)]
    pub(crate) fn gather<F: Fold>(&mut self, lanes: [T; LANES]) {
        for lane in 0..LANES {
            F::gather(&mut self.totals[lane], &mut self.lost[lane], lanes[lane]);
        }
    }

    #[inline(always)]
    pub(crate) fn finish<F: Fold>(&self) -> T {
        let mut lanes = self.totals;
        for lane in 0..LANES {
            lanes[lane] = F::finish(self.totals[lane], self.lost[lane]);
        }
        fold_lanes::<T, F>(lanes)
    }
}

/// The lanes of a block.
#[inline(always)]
pub(crate) fn block_lanes<T: Real, F: Fold>(block: &[T]) -> [T; LANES] {
    let mut lanes = [F::start::<T>(); LANES];
    let whole = block.len() - block.len() % LANES;
    for from in (0..whole).step_by(LANES) {
        let chunk = &block[from..from + LANES];
        for lane in 0..LANES {
            lanes[lane] = F::join(lanes[lane], chunk[lane]);
        }
    }
    let rest = &block[whole..];
    for lane in 0..rest.len().min(LANES) {
        lanes[lane] = F::join(lanes[lane], rest[lane]);
    }
    lanes
}

/// The lanes combined with each other.
#[inline(always)]
pub(crate) fn fold_lanes<T: Real, F: Fold>(lanes: [T; LANES]) -> T {
    // Separate arrays, which stay in registers.
    let half: [T; 16] = halved::<T, F, 32, 16>(lanes);
    let half: [T; 8] = halved::<T, F, 16, 8>(half);
    let half: [T; 4] = halved::<T, F, 8, 4>(half);
    let [a, b] = halved::<T, F, 4, 2>(half);
    F::join(a, b)
}

/// The two halves of a list, combined elementwise.
#[inline(always)]
fn halved<T: Real, F: Fold, const N: usize, const HALF: usize>(list: [T; N]) -> [T; HALF] {
    let mut half = [T::zero(); HALF];
    for lane in 0..HALF {
        half[lane] = F::join(list[lane], list[lane + HALF]);
    }
    half
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|k| ((k * 7919 + 13) % 10007) as f32 / 977.0 - 4.0).collect()
    }

    /// Columns that are combined in registers, by those of a matrix too large for it. A single column is a row.
    #[test]
    fn a_column_has_the_bits_that_it_has_among_many() {
        const WIDE: usize = NEAR + 77;
        for count in [1, 2, 3, 31, 32, 33, 70] {
            let x = numbers(count * WIDE);
            let of = |x: &[f32], columns: usize| {
                let shape = &Shape::from([count, columns]);
                let mut found = [(); 4].map(|()| vec![0.0; columns]);
                let [sum, product, average, length] = &mut found;
                reduce::<f32, Add>(x, shape, &[0], sum);
                reduce::<f32, Multiply>(x, shape, &[0], product);
                mean(x, shape, &[0], average);
                norm(x, shape, &[0], length);
                found
            };
            let among_many = of(&x, WIDE);
            for columns in [2, 7, 8, 9, 20, 31, 32, 33, 50, 64, 100] {
                let first = WIDE - columns - count;
                let part: Vec<f32> = (0..count).flat_map(|row| &x[row * WIDE + first..][..columns]).copied().collect();
                for (found, many) in of(&part, columns).iter().zip(&among_many) {
                    assert!(
                        found.iter().zip(&many[first..]).all(|(a, b)| a.to_bits() == b.to_bits()),
                        "{count} {columns}"
                    );
                }
            }
        }
    }

    /// The results from any number on, as threads compute them, by all results; over axes at any place.
    #[test]
    fn a_part_of_the_results_has_the_bits_of_the_whole() {
        for (sizes, axes) in [
            (vec![5, 7, 50], vec![1]),
            (vec![5, 7, 50], vec![2]),
            (vec![5, 1, 50], vec![1]),
            (vec![5, 7, 50], vec![0, 2]),
            (vec![5, 7, 50], vec![0]),
            (vec![5, 7, 3, 10], vec![1, 2]),
            (vec![5, 40, 3, 10], vec![1, 3]),
            (vec![400], vec![0]),
            (vec![60, 3], vec![]),
        ] {
            let shape = &Shape::from(&sizes[..]);
            let (x, rows) = (numbers(shape.len()), Rows::of(shape, &axes));
            let terms = &FromFirst(&x);
            let mut whole = vec![0.0; shape.without(|axis| axes.contains(&axis)).len()];
            rows.accumulate::<f32, Add, _>(0, &mut whole, terms);
            for from in (0..whole.len()).step_by(7) {
                let mut part = vec![0.0; (whole.len() - from).min(33)];
                rows.accumulate::<f32, Add, _>(from, &mut part, terms);
                assert_eq!(part, whole[from..][..part.len()], "{sizes:?} over {axes:?} from {from}");
            }
            // Plainly, in double precision.
            let mut sums = vec![0.0_f64; whole.len()];
            let kept = shape.with_ones(|axis| axes.contains(&axis));
            let at = Layout::contiguous(kept).broadcast(shape);
            at.positions().zip(&x).for_each(|(result, &x)| sums[result] += f64::from(x));
            let mut found = vec![0.0; whole.len()];
            reduce::<f32, Add>(&x, shape, &axes, &mut found);
            assert!(found.iter().zip(&sums).all(|(&a, b)| (f64::from(a) - b).abs() < 1e-3), "{sizes:?} over {axes:?}");
        }
    }
}
