//! Partial results: lanes of a block, totals of blocks with their compensation, and one number of them.

use std::marker::PhantomData;

use crate::kernel::simd::{Loop, vectorized};
use crate::real::Real;

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
pub(crate) const LANES: usize = 32;
/// Elements that are reduced without compensation.
pub(super) const BLOCK: usize = 1024;

/// `sum_of!(T; len, |from, terms| …)`: the sum of `len` terms of type `T`, without memory for them. The block fills a
/// slice with the terms from an index on.
///
/// Not a function of a closure: a closure that is not inlined is compiled for the oldest machine.
macro_rules! sum_of {
    ($number:ty; $len:expr, |$from:ident, $terms:ident| $fill:block) => {{
        use $crate::kernel::reduce::{AT_ONCE, SumOf};
        let mut terms = [<$number>::zero(); AT_ONCE];
        let len = $len;
        let mut sum = SumOf::<$number>::new(len);
        for $from in (0..len).step_by(AT_ONCE) {
            let $terms = &mut terms[..(len - $from).min(AT_ONCE)];
            $fill
            sum.add_terms($terms);
        }
        sum.finish()
    }};
}

/// `sum_in_lanes!(T; len, |from, terms| …)`: the same, bit for bit, for terms that a few additions and multiplications
/// make. The block fills [`LANES`] of them at a time, or those that are left, which stay in registers.
macro_rules! sum_in_lanes {
    ($number:ty; $len:expr, |$from:ident, $terms:ident| $fill:block) => {{
        use $crate::kernel::reduce::{AT_ONCE, LANES, SumOf};
        let len: usize = $len;
        let mut sum = SumOf::<$number>::new(len);
        for block in (0..len).step_by(AT_ONCE) {
            let end = len.min(block + AT_ONCE);
            let whole = end - (end - block) % LANES;
            let mut lanes = [<$number>::zero(); LANES];
            for $from in (block..whole).step_by(LANES) {
                let mut all = [<$number>::zero(); LANES];
                {
                    let $terms = &mut all;
                    $fill
                }
                for lane in 0..LANES {
                    lanes[lane] += all[lane];
                }
            }
            if whole < end {
                let ($from, mut all) = (whole, [<$number>::zero(); LANES]);
                {
                    let $terms = &mut all[..end - whole];
                    $fill
                }
                for lane in 0..LANES {
                    lanes[lane] += all[lane];
                }
            }
            sum.add(lanes);
        }
        sum.finish()
    }};
}

pub(crate) use {sum_in_lanes, sum_of};

/// Terms that are added without compensation.
pub(crate) const AT_ONCE: usize = 256;

/// The sum of terms, of which at most [`AT_ONCE`] or their lanes are known at a time.
pub(crate) struct SumOf<T> {
    /// Where there are more than that.
    totals: Option<Totals<T>>,
    /// Where there are not.
    sum: T,
}

impl<T: Real> SumOf<T> {
    /// For a number of terms.
    #[inline(always)]
    pub(crate) fn new(len: usize) -> Self {
        Self { totals: (len > AT_ONCE).then(Totals::new::<Add>), sum: T::zero() }
    }

    /// Adds the next terms.
    #[inline(always)]
    pub(crate) fn add_terms(&mut self, terms: &[T]) {
        match &mut self.totals {
            Some(totals) => totals.gather_block::<Add>(terms),
            None => self.sum = fold_row::<T, Add>(terms),
        }
    }

    /// Adds the lanes of the next terms.
    #[inline(always)]
    pub(crate) fn add(&mut self, lanes: [T; LANES]) {
        match &mut self.totals {
            Some(totals) => totals.gather_lanes::<Add>(&lanes),
            None => self.sum = fold_lanes::<T, Add>(lanes),
        }
    }

    #[inline(always)]
    pub(crate) fn finish(&self) -> T {
        self.totals.as_ref().map_or(self.sum, Totals::finish::<Add>)
    }
}

/// Reduces a row: lanes within a block, blocks one after another, lanes at last.
///
/// It is long, and many loops do it. So it is compiled once, apart from them, and called; so is what [`Totals`] do.
#[inline(never)]
pub(crate) fn fold_row<T: Real, F: Fold>(values: &[T]) -> T {
    vectorized(FoldRow::<T, F> { values, fold: PhantomData })
}

struct FoldRow<'a, T, F> {
    values: &'a [T],
    fold: PhantomData<F>,
}

impl<T: Real, F: Fold> Loop for FoldRow<'_, T, F> {
    type Output = T;

    #[inline(always)]
    fn run(self) -> T {
        fold_row_here::<T, F>(self.values)
    }
}

/// [`fold_row`] within a loop that is over rows alone, short ones among them.
#[inline(always)]
pub(crate) fn fold_row_here<T: Real, F: Fold>(values: &[T]) -> T {
    if values.len() <= BLOCK {
        return fold_lanes::<T, F>(block_lanes::<T, F>(values));
    }
    let mut totals = Totals::<T>::new::<F>();
    for block in values.chunks(BLOCK) {
        totals.gather_block::<F>(block);
    }
    totals.finish::<F>()
}

/// The totals of the lanes of several blocks, each with its compensation.
pub(crate) struct Totals<T> {
    totals: [T; LANES],
    lost: [T; LANES],
}

impl<T: Real> Totals<T> {
    #[inline(always)]
    pub(super) fn new<F: Fold>() -> Self {
        Self { totals: [F::start(); LANES], lost: [T::zero(); LANES] }
    }

    /// Adds the lanes of a block.
    #[inline(always)]
    pub(super) fn gather<F: Fold>(&mut self, lanes: [T; LANES]) {
        for lane in 0..LANES {
            F::gather(&mut self.totals[lane], &mut self.lost[lane], lanes[lane]);
        }
    }

    /// Adds the lanes of a block, apart from the loop that has them in registers.
    #[inline(never)]
    fn gather_lanes<F: Fold>(&mut self, lanes: &[T; LANES]) {
        vectorized(GatherLanes::<T, F> { totals: self, lanes, fold: PhantomData });
    }

    /// Adds the elements of a block.
    #[inline(never)]
    fn gather_block<F: Fold>(&mut self, block: &[T]) {
        vectorized(GatherBlock::<T, F> { totals: self, block, fold: PhantomData });
    }

    /// The result.
    #[inline(never)]
    pub(super) fn finish<F: Fold>(&self) -> T {
        vectorized(Finish::<T, F> { totals: self, fold: PhantomData })
    }
}

struct GatherLanes<'a, T, F> {
    totals: &'a mut Totals<T>,
    lanes: &'a [T; LANES],
    fold: PhantomData<F>,
}

impl<T: Real, F: Fold> Loop for GatherLanes<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.totals.gather::<F>(*self.lanes);
    }
}

struct GatherBlock<'a, T, F> {
    totals: &'a mut Totals<T>,
    block: &'a [T],
    fold: PhantomData<F>,
}

impl<T: Real, F: Fold> Loop for GatherBlock<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.totals.gather::<F>(block_lanes::<T, F>(self.block));
    }
}

struct Finish<'a, T, F> {
    totals: &'a Totals<T>,
    fold: PhantomData<F>,
}

impl<T: Real, F: Fold> Loop for Finish<'_, T, F> {
    type Output = T;

    #[inline(always)]
    fn run(self) -> T {
        let Totals { totals, lost } = self.totals;
        let mut lanes = *totals;
        for lane in 0..LANES {
            lanes[lane] = F::finish(totals[lane], lost[lane]);
        }
        fold_lanes::<T, F>(lanes)
    }
}

/// The lanes of a block.
#[inline(always)]
pub(super) fn block_lanes<T: Real, F: Fold>(block: &[T]) -> [T; LANES] {
    let mut lanes = [F::start::<T>(); LANES];
    let whole = block.len() - block.len() % LANES;
    for from in (0..whole).step_by(LANES) {
        let chunk = &block[from..from + LANES];
        for lane in 0..LANES {
            lanes[lane] = F::join(lanes[lane], chunk[lane]);
        }
    }
    with_rest::<T, F>(lanes, &block[whole..])
}

/// Lanes combined with the last elements, of which there are fewer.
///
/// They are joined as lanes of their own, since indices that depend on a length would keep the lanes in memory, also in
/// the loop over the elements before. The others are joined with the neutral element, which leaves their bits: no sum
/// from 0 is −0.
#[allow(clippy::manual_memcpy)] // Within a `Loop` a copy of a slice may be a call.
#[inline(always)]
pub(super) fn with_rest<T: Real, F: Fold>(mut lanes: [T; LANES], rest: &[T]) -> [T; LANES] {
    if !rest.is_empty() {
        let mut last = [F::start::<T>(); LANES];
        for lane in 0..rest.len().min(LANES) {
            last[lane] = rest[lane];
        }
        for lane in 0..LANES {
            lanes[lane] = F::join(lanes[lane], last[lane]);
        }
    }
    lanes
}

/// The lanes combined with each other.
#[inline(always)]
pub(super) fn fold_lanes<T: Real, F: Fold>(lanes: [T; LANES]) -> T {
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

    /// Rows with and without a rest behind their last whole lanes, by plain folds: none of these results is rounded.
    #[test]
    fn rows_of_any_length_are_folded() {
        fn plain<F: Fold>(row: &[f64]) -> f64 {
            row.iter().fold(F::start(), |a, &b| F::join(a, b))
        }
        for len in [1, 2, 31, 32, 33, 63, 64, 65, 100, 1023, 1024, 1025, 1030] {
            let row: Vec<f64> = (0..len).map(|k| ((k * 7919 + 13) % 1009) as f64 - 2000.0).collect();
            let signs: Vec<f64> = row.iter().map(|&x| if x % 2.0 == 0.0 { -2.0 } else { 0.5 }).collect();
            assert_eq!(fold_row::<f64, Add>(&row), plain::<Add>(&row), "{len}");
            assert_eq!(fold_row::<f64, Largest>(&row), plain::<Largest>(&row), "{len}");
            let above: Vec<f64> = row.iter().map(|x| -x).collect();
            assert_eq!(fold_row::<f64, Smallest>(&above), plain::<Smallest>(&above), "{len}");
            assert_eq!(fold_row::<f64, Multiply>(&signs), plain::<Multiply>(&signs), "{len}");
        }
    }
}
