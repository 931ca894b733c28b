//! Folding a tensor along axes, in an order that does not depend on threads.
//!
//! Sums lose little, however many numbers they are of: blocks of at most `BLOCK` elements, or `ROWS` rows, are added
//! as they come, and a total of blocks keeps what rounding takes from it beside it ([`Fold::gather`]). To first order the
//! error is within 40 roundings of the sum of the absolute values, for any number of elements, over any axes.

use smallvec::SmallVec;

use crate::kernel::simd::{Loop, vectorized};
use crate::real::Real;
use crate::shape::{Layout, Shape};

/// How two partial results become one. The join must be associative and commutative but for rounding.
pub(crate) trait Fold {
    /// The result for no elements.
    fn start<T: Real>() -> T;

    /// Two results as one; marked `#[inline(always)]`.
    fn join<T: Real>(a: T, b: T) -> T;

    /// Joins a result to a total; `lost` is what rounding has taken from the total so far, if anything. Marked
    /// `#[inline(always)]`.
    #[inline(always)]
    fn gather<T: Real>(total: &mut T, _lost: &mut T, value: T) {
        *total = Self::join(*total, value);
    }

    /// The result from a total and what rounding has taken from it.
    #[inline(always)]
    fn finish<T: Real>(total: T, _lost: T) -> T {
        total
    }
}

/// The sum, from 0.
pub(crate) struct Add;

impl Fold for Add {
    fn start<T: Real>() -> T {
        T::zero()
    }

    #[inline(always)]
    fn join<T: Real>(a: T, b: T) -> T {
        a + b
    }

    /// The error of one addition, exactly, as Knuth (The Art of Computer Programming, volume 2, 4.2.2) finds it.
    #[inline(always)]
    fn gather<T: Real>(total: &mut T, lost: &mut T, value: T) {
        let sum = *total + value;
        let of_value = sum - *total;
        *lost += (*total - (sum - of_value)) + (value - of_value);
        *total = sum;
    }

    /// Where the total is infinite or NaN, what was lost has no meaning.
    #[inline(always)]
    fn finish<T: Real>(total: T, lost: T) -> T {
        let sum = total + lost;
        if sum.is_finite() { sum } else { total }
    }
}

/// The product, from 1.
pub(crate) struct Multiply;

impl Fold for Multiply {
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
    fn start<T: Real>() -> T {
        T::infinity()
    }

    #[inline(always)]
    fn join<T: Real>(a: T, b: T) -> T {
        if a < b || a.is_nan() { a } else { b }
    }
}

/// The most numbers that scattered sums add without compensation; of more, what rounding takes from the sum is kept.
pub(crate) const UNCOMPENSATED: usize = 32;

/// Partial results kept side by side, so that the loop over a row becomes vector code.
const LANES: usize = 32;
/// Elements folded into one set of lanes before it is joined to the rest.
const BLOCK: usize = 1024;
/// Rows joined element by element before they are joined to the rest.
const ROWS: usize = 32;
/// Results that are worked on at once: totals and what is lost of them stay in the nearest cache.
const TILE: usize = 256;
/// Elements of rows that are joined in registers.
pub(crate) const WIDTH: usize = 32;

/// Folds `x` of the given shape along `axes` (counted from the first, in order) into `y`.
pub(crate) fn reduce<T: Real, F: Fold>(x: &[T], shape: &Shape, axes: &[usize], y: &mut [T]) {
    vectorized(Reduce::<T, F> { x, rows: &Rows::of(shape, axes), y, fold: std::marker::PhantomData });
}

struct Reduce<'a, T, F> {
    x: &'a [T],
    rows: &'a Rows,
    y: &'a mut [T],
    fold: std::marker::PhantomData<F>,
}

impl<T: Real, F: Fold> Loop for Reduce<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.rows.accumulate::<T, F>(self.y, &Plain(self.x, self.fold));
    }
}

/// The elements themselves.
struct Plain<'a, T, F>(&'a [T], std::marker::PhantomData<F>);

impl<T: Real, F: Fold> Terms<T> for Plain<'_, T, F> {
    #[inline(always)]
    fn fold(&self, place: Place, len: usize) -> T {
        fold_row::<T, F>(&self.0[place.row..place.row + len])
    }

    #[inline(always)]
    fn wide(&self, place: Place) -> [T; WIDTH] {
        lanes(self.0, place.row)
    }

    #[inline(always)]
    fn one(&self, place: Place) -> T {
        self.0[place.row]
    }
}

/// The mean of `x` along `axes` into `y`. That of equal numbers is that number; that of no numbers is 0.
///
/// What is added are the distances from the first element: equal numbers have none, and numbers that lie close together
/// far from 0 keep their digits.
pub(crate) fn mean<T: Real>(x: &[T], shape: &Shape, axes: &[usize], y: &mut [T]) {
    let count: usize = axes.iter().map(|&axis| shape[axis]).product();
    vectorized(Mean { x, rows: &Rows::of(shape, axes), y, count: T::of(count.max(1) as f64) });
}

struct Mean<'a, T> {
    x: &'a [T],
    rows: &'a Rows,
    y: &'a mut [T],
    count: T,
}

impl<T: Real> Loop for Mean<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x, rows, y, count } = self;
        rows.accumulate::<T, Add>(y, &FromFirst(x));
        if x.is_empty() {
            return;
        }
        rows.groups(|first, at| {
            for i in 0..rows.kept() {
                let mean = x[first + i] + y[at + i] / count;
                // Distances between numbers that are infinite or far apart are not numbers: then as they are.
                y[at + i] = if mean.is_finite() { mean } else { rows.plain_mean(x, first + i, count) };
            }
        });
    }
}

/// The distances from the first element that goes to the same result.
struct FromFirst<'a, T>(&'a [T]);

impl<T: Real> Terms<T> for FromFirst<'_, T> {
    #[inline(always)]
    fn fold(&self, place: Place, len: usize) -> T {
        let (first, row) = (self.0[place.first], &self.0[place.row..place.row + len]);
        sum_of(len, |from, terms| {
            for (term, &value) in terms.iter_mut().zip(&row[from..]) {
                *term = value - first;
            }
        })
    }

    #[inline(always)]
    fn wide(&self, place: Place) -> [T; WIDTH] {
        let (values, first) = (lanes(self.0, place.row), lanes(self.0, place.first));
        std::array::from_fn(|lane| values[lane] - first[lane])
    }

    #[inline(always)]
    fn one(&self, place: Place) -> T {
        self.0[place.row] - self.0[place.first]
    }
}

/// `√Σx²` along `axes` into `y`.
///
/// The squares are added as they are, and scaled by a power of two only where that sum lies outside of the range in which
/// it has all its digits.
pub(crate) fn norm<T: Real>(x: &[T], shape: &Shape, axes: &[usize], y: &mut [T]) {
    let count: usize = axes.iter().map(|&axis| shape[axis]).product();
    // What squares lose where they are subnormal counts for nothing beside a larger sum.
    let least = T::min_positive_value() * T::of(count.max(1) as f64);
    vectorized(Norm { x, rows: &Rows::of(shape, axes), y, least });
}

struct Norm<'a, T> {
    x: &'a [T],
    rows: &'a Rows,
    y: &'a mut [T],
    least: T,
}

impl<T: Real> Loop for Norm<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x, rows, y, least } = self;
        rows.accumulate::<T, Add>(y, &Squares(x));
        if x.is_empty() {
            return;
        }
        rows.groups(|first, at| {
            for (i, y) in y[at..at + rows.kept()].iter_mut().enumerate() {
                let within = *y >= least && y.is_finite();
                *y = if within { y.sqrt() } else { rows.scaled_norm(first + i, |k| x[k]) };
            }
        });
    }
}

/// The squares of the elements.
struct Squares<'a, T>(&'a [T]);

impl<T: Real> Terms<T> for Squares<'_, T> {
    #[inline(always)]
    fn fold(&self, place: Place, len: usize) -> T {
        let row = &self.0[place.row..place.row + len];
        sum_of(len, |from, terms| {
            for (term, &value) in terms.iter_mut().zip(&row[from..]) {
                *term = value * value;
            }
        })
    }

    #[inline(always)]
    fn wide(&self, place: Place) -> [T; WIDTH] {
        lanes(self.0, place.row).map(|value| value * value)
    }

    #[inline(always)]
    fn one(&self, place: Place) -> T {
        self.0[place.row] * self.0[place.row]
    }
}

/// The sum of `len` terms, without memory for them: `fill` gives those from a number on.
#[inline(always)]
pub(crate) fn sum_of<T: Real>(len: usize, fill: impl Fn(usize, &mut [T])) -> T {
    let mut terms = [T::zero(); 256];
    let (mut total, mut lost) = (T::zero(), T::zero());
    for from in (0..len).step_by(terms.len()) {
        let terms = &mut terms[..(len - from).min(256)];
        fill(from, terms);
        Add::gather(&mut total, &mut lost, fold_block::<T, Add>(terms));
    }
    Add::finish(total, lost)
}

/// A tensor as rows of elements that are neighbours, for a reduction along axes: a row is either all folded and becomes
/// one number, or all kept and is added to a row.
pub(crate) struct Rows {
    /// Elements of a row.
    pub(crate) row: usize,
    /// Whether the elements of a row are folded.
    pub(crate) folded: bool,
    /// Where the result of each row goes: the layout of the output with stride 0 along folded axes.
    pub(crate) target: Layout,
}

/// Where a row is, in elements.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// The first element of the row, or of the part of it that is asked for.
    pub(crate) row: usize,
    /// The first element of the first row that goes to the same results.
    pub(crate) first: usize,
    /// The first of these results.
    pub(crate) at: usize,
}

impl Rows {
    /// The rows of a shape for a reduction along `axes` (counted from the first, in order).
    pub(crate) fn of(shape: &Shape, axes: &[usize]) -> Self {
        let rank = shape.rank();
        let is_folded = |axis: usize| axes.contains(&axis);
        let folded = rank > 0 && is_folded(rank - 1);
        let split = (0..rank).rev().find(|&axis| is_folded(axis) != folded).map_or(0, |axis| axis + 1);
        let row: usize = shape[split..].iter().product();
        Self { row, folded, target: output_layout(shape, split, axes, if folded { 1 } else { row }) }
    }

    /// Results that a row goes to.
    pub(crate) fn kept(&self) -> usize {
        if self.folded { 1 } else { self.row }
    }

    /// The layout of the first elements of rows: over the axes that are folded, or those that are kept.
    fn starts(&self, folded: bool) -> Layout {
        let Layout { shape, strides, .. } = &self.target;
        let (mut sizes, mut steps) = (SmallVec::<[usize; 8]>::new(), SmallVec::new());
        let mut step = self.row as isize;
        for axis in (0..shape.rank()).rev() {
            if (strides[axis] == 0) == folded {
                sizes.push(shape[axis]);
                steps.push(step);
            }
            step *= shape[axis] as isize;
        }
        sizes.reverse();
        steps.reverse();
        Layout { shape: sizes.into_iter().collect(), strides: steps, offset: 0 }
    }

    /// Calls `visit` with the first element and the first result of each group of rows that go to the same results.
    #[inline(always)]
    pub(crate) fn groups(&self, mut visit: impl FnMut(usize, usize)) {
        let kept = self.starts(false);
        // Results lie in the order of the axes that are kept.
        for (number, first) in kept.positions().enumerate() {
            visit(first, number * self.kept());
        }
    }

    /// Folds the terms of all rows into `y`. Each result is finished before the next is begun.
    #[inline(always)]
    pub(crate) fn accumulate<T: Real, F: Fold>(&self, y: &mut [T], terms: &impl Terms<T>) {
        y.fill(F::start());
        if y.is_empty() || self.row == 0 || self.target.shape.contains(&0) {
            return;
        }
        // The last of the folded axes is walked along in steps, the others place by place.
        let mut folded = self.starts(true);
        let (count, step) = match (folded.shape.last().copied(), folded.strides.pop()) {
            (Some(count), Some(step)) => (count, step as usize),
            _ => (1, 0),
        };
        folded.shape = folded.shape[..folded.shape.rank().saturating_sub(1)].iter().copied().collect();
        self.groups(|first, at| {
            if self.folded {
                let place = |row: usize| Place { row, first, at };
                if count * folded.shape.len() == 1 {
                    y[at] = terms.fold(place(first), self.row);
                    return;
                }
                let (mut total, mut lost) = (F::start(), T::zero());
                for offset in folded.positions() {
                    for number in 0..count {
                        let row = first + offset + number * step;
                        F::gather(&mut total, &mut lost, terms.fold(place(row), self.row));
                    }
                }
                y[at] = F::finish(total, lost);
                return;
            }
            for from in (0..self.row).step_by(TILE) {
                let (first, at, len) = (first + from, at + from, TILE.min(self.row - from));
                let place =
                    |row: usize, column: usize| Place { row: row + column, first: first + column, at: at + column };
                let (mut totals, mut lost) = ([F::start(); TILE], [T::zero(); TILE]);
                let mut sums = [F::start(); TILE];
                let wide = len - len % WIDTH;
                for offset in folded.positions() {
                    for number in (0..count).step_by(ROWS) {
                        // Row after row, as they lie in memory; two at once, for half the visits to the sums.
                        let rows = ROWS.min(count - number);
                        for pair in (0..rows).step_by(2) {
                            let row = first + offset + (number + pair) * step;
                            let is_pair = pair + 1 < rows;
                            for column in (0..wide).step_by(WIDTH) {
                                let mut values = terms.wide(place(row, column));
                                if is_pair {
                                    let others = terms.wide(place(row + step, column));
                                    for lane in 0..WIDTH {
                                        values[lane] = F::join(values[lane], others[lane]);
                                    }
                                }
                                for lane in 0..WIDTH {
                                    sums[column + lane] = F::join(sums[column + lane], values[lane]);
                                }
                            }
                            for column in wide..len {
                                let mut value = terms.one(place(row, column));
                                if is_pair {
                                    value = F::join(value, terms.one(place(row + step, column)));
                                }
                                sums[column] = F::join(sums[column], value);
                            }
                        }
                        for ((total, lost), sum) in totals[..len].iter_mut().zip(&mut lost).zip(&mut sums) {
                            F::gather(total, lost, std::mem::replace(sum, F::start()));
                        }
                    }
                }
                for ((y, &total), &lost) in y[at..at + len].iter_mut().zip(&totals).zip(&lost) {
                    *y = F::finish(total, lost);
                }
            }
        });
    }

    /// Calls `visit` with each element that goes to the same result as the one at `first`.
    pub(crate) fn elements(&self, first: usize, mut visit: impl FnMut(usize)) {
        for offset in self.starts(true).positions() {
            let row = first + offset;
            (row..row + if self.folded { self.row } else { 1 }).for_each(&mut visit);
        }
    }

    /// The mean of the elements that go to the same result as the one at `first`, added as they are.
    #[cold]
    fn plain_mean<T: Real>(&self, x: &[T], first: usize, count: T) -> T {
        let (mut total, mut lost) = (T::zero(), T::zero());
        self.elements(first, |k| Add::gather(&mut total, &mut lost, x[k]));
        Add::finish(total, lost) / count
    }

    /// `√Σ value²` over the elements that go to the same result as the one at `first`, scaled by a power of two so that
    /// no square leaves the range of numbers.
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

/// What is folded: a term for each element of a tensor.
pub(crate) trait Terms<T> {
    /// The terms of a row of `len` elements, folded.
    fn fold(&self, place: Place, len: usize) -> T;

    /// The terms of the elements from a place on.
    fn wide(&self, place: Place) -> [T; WIDTH];

    /// The term of the element at a place.
    fn one(&self, place: Place) -> T;
}

/// The elements of a slice from a place on.
#[inline(always)]
pub(crate) fn lanes<T: Copy>(values: &[T], from: usize) -> [T; WIDTH] {
    *values[from..].first_chunk().expect("a row is at least as wide")
}

/// The layout of the output over the axes before `split`, in as few axes as it takes.
fn output_layout(shape: &Shape, split: usize, axes: &[usize], row: usize) -> Layout {
    let mut merged: SmallVec<[(usize, isize); 6]> = SmallVec::new();
    let mut step = row as isize;
    for axis in (0..split).rev().filter(|&axis| shape[axis] != 1) {
        let (size, folded) = (shape[axis], axes.contains(&axis));
        let stride = if folded { 0 } else { step };
        step *= if folded { 1 } else { size as isize };
        match merged.last_mut() {
            Some((inner, own)) if stride == *own * *inner as isize && (stride == 0) == (*own == 0) => *inner *= size,
            _ => merged.push((size, stride)),
        }
    }
    let (sizes, strides) = (merged.iter().rev().map(|axis| axis.0), merged.iter().rev().map(|axis| axis.1));
    Layout { shape: sizes.collect(), strides: strides.collect(), offset: 0 }
}

/// Folds a row: lanes within a block, blocks one after another.
#[inline(always)]
pub(crate) fn fold_row<T: Real, F: Fold>(values: &[T]) -> T {
    if values.len() <= BLOCK {
        return fold_block::<T, F>(values);
    }
    let (mut total, mut lost) = (F::start(), T::zero());
    for block in values.chunks(BLOCK) {
        F::gather(&mut total, &mut lost, fold_block::<T, F>(block));
    }
    F::finish(total, lost)
}

#[inline(always)]
fn fold_block<T: Real, F: Fold>(block: &[T]) -> T {
    let mut lanes = [F::start::<T>(); LANES];
    let mut chunks = block.chunks_exact(LANES);
    for chunk in &mut chunks {
        for lane in 0..LANES {
            lanes[lane] = F::join(lanes[lane], chunk[lane]);
        }
    }
    for (lane, &value) in chunks.remainder().iter().enumerate() {
        lanes[lane] = F::join(lanes[lane], value);
    }
    // Arrays of their own, which stay in registers.
    let half: [T; 16] = halved::<T, F, 32, 16>(lanes);
    let half: [T; 8] = halved::<T, F, 16, 8>(half);
    let half: [T; 4] = halved::<T, F, 8, 4>(half);
    let [a, b] = halved::<T, F, 4, 2>(half);
    F::join(a, b)
}

/// The two halves of a list, joined.
#[inline(always)]
fn halved<T: Real, F: Fold, const N: usize, const HALF: usize>(list: [T; N]) -> [T; HALF] {
    std::array::from_fn(|lane| F::join(list[lane], list[lane + HALF]))
}
