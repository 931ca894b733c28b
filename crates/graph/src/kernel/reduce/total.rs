//! The sum or the mean of all elements, block by block where they are computed.
//!
//! Each block leaves the lanes of its sums in a record. The records are combined in their order when all are there, on
//! whatever threads they were made: so a result has the bits of [`reduce`](super::reduce) and [`mean`](super::mean).

use super::fold::{AT_ONCE, Add, BLOCK, Fold, LANES, Totals, block_lanes, fold_lanes, with_rest};
use crate::kernel::simd::{Loop, vectorized};
use crate::real::Real;

/// A reduction of all elements to one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Total {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
}

/// Elements of a block; the last one may have fewer.
pub(crate) const RECORDED: usize = BLOCK;
/// Where the record of a block has the first of its elements, behind the lanes.
const FIRST: usize = LANES * (BLOCK / AT_ONCE);
/// Numbers of the record of a block: a multiple of a cache line.
pub(crate) const RECORD: usize = FIRST + 16;

/// The records of several totals, block after block.
#[derive(Clone, Copy)]
pub(crate) struct Records<'a, T> {
    pub(crate) all: &'a [T],
    /// The number of this total, and how many there are.
    pub(crate) total: usize,
    pub(crate) totals: usize,
}

impl<T> Records<'_, T> {
    #[inline(always)]
    fn block(&self, number: usize) -> &[T] {
        &self.all[(number * self.totals + self.total) * RECORD..][..RECORD]
    }
}

impl Total {
    /// Terms of which a record has the lanes, of one sum after another.
    fn at_once(self) -> usize {
        match self {
            Self::Sum => BLOCK,
            Self::Mean => AT_ONCE,
        }
    }

    /// Makes the record of a block. `first` is the first of all elements.
    pub(crate) fn record<T: Real>(self, first: T, block: &[T], record: &mut [T]) {
        vectorized(MakeRecord { total: self, first, block, record: &mut record[..RECORD] });
    }

    /// The result for `len` elements, at least one; nothing if it is the [`plain_mean`].
    pub(crate) fn finish<T: Real>(self, len: usize, records: Records<'_, T>) -> Option<T> {
        let sum = vectorized(Combine { len, at_once: self.at_once(), records });
        match self {
            Self::Sum => Some(sum),
            // Differences of infinite or very distant numbers may be infinite or NaN.
            Self::Mean => Some(records.block(0)[FIRST] + sum / T::of(len as f64)).filter(|mean| mean.is_finite()),
        }
    }
}

/// Adds elements to a plain sum, of which there are two numbers: 0 at first.
pub(crate) fn add_plainly<T: Real>(elements: &[T], sum: &mut [T]) {
    let (mut total, mut lost) = (sum[0], sum[1]);
    elements.iter().for_each(|&value| Add::gather(&mut total, &mut lost, value));
    (sum[0], sum[1]) = (total, lost);
}

/// The mean of `len` elements from their plain sum.
pub(crate) fn plain_mean<T: Real>(len: usize, sum: &[T]) -> T {
    Add::finish(sum[0], sum[1]) / T::of(len as f64)
}

struct MakeRecord<'a, T> {
    total: Total,
    first: T,
    block: &'a [T],
    record: &'a mut [T],
}

impl<T: Real> Loop for MakeRecord<'_, T> {
    type Output = ();

    #[allow(clippy::manual_memcpy)] // Within a `Loop` a copy of a slice may be a call.
    #[inline(always)]
    fn run(self) {
        let Self { total, first, block, record } = self;
        record[FIRST] = block[0];
        if total == Total::Sum {
            let lanes = block_lanes::<T, Add>(block);
            for lane in 0..LANES {
                record[lane] = lanes[lane];
            }
            return;
        }
        // Not by terms in memory: these lanes stay in registers.
        for from in (0..block.len()).step_by(AT_ONCE) {
            let values = &block[from..block.len().min(from + AT_ONCE)];
            let mut lanes = [Add::start::<T>(); LANES];
            let whole = values.len() - values.len() % LANES;
            for at in (0..whole).step_by(LANES) {
                let chunk = &values[at..at + LANES];
                for lane in 0..LANES {
                    lanes[lane] = Add::join(lanes[lane], chunk[lane] - first);
                }
            }
            let (rest, mut terms) = (&values[whole..], [T::zero(); LANES]);
            for lane in 0..rest.len().min(LANES) {
                terms[lane] = rest[lane] - first;
            }
            let lanes = with_rest::<T, Add>(lanes, &terms[..rest.len().min(LANES)]);
            let record = &mut record[from / AT_ONCE * LANES..][..LANES];
            for lane in 0..LANES {
                record[lane] = lanes[lane];
            }
        }
    }
}

struct Combine<'a, T> {
    len: usize,
    at_once: usize,
    records: Records<'a, T>,
}

impl<T: Real> Loop for Combine<'_, T> {
    type Output = T;

    #[allow(clippy::manual_memcpy)] // As above.
    #[inline(always)]
    fn run(self) -> T {
        let Self { len, at_once, records } = self;
        let mut totals = Totals::<T>::new::<Add>();
        let mut lanes = [T::zero(); LANES];
        for block in 0..len.div_ceil(BLOCK) {
            let record = records.block(block);
            for sum in 0..(len - block * BLOCK).min(BLOCK).div_ceil(at_once) {
                let from = &record[sum * LANES..][..LANES];
                for lane in 0..LANES {
                    lanes[lane] = from[lane];
                }
                if len > at_once {
                    totals.gather::<Add>(lanes);
                }
            }
        }
        if len > at_once { totals.finish::<Add>() } else { fold_lanes::<T, Add>(lanes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::reduce::{mean, reduce};
    use crate::shape::Shape;

    fn check<T: Real>(values: &[T]) {
        let len = values.len();
        let mut all = vec![T::of(7.0); len.div_ceil(RECORDED) * 2 * RECORD];
        for (block, values_of) in values.chunks(RECORDED).enumerate() {
            for (number, total) in [Total::Mean, Total::Sum].into_iter().enumerate() {
                total.record(values[0], values_of, &mut all[(block * 2 + number) * RECORD..]);
            }
        }
        let records = |total| Records { all: &all, total, totals: 2 };
        let (mut sum, mut average) = ([T::zero()], [T::zero()]);
        reduce::<T, Add>(values, &Shape::from(len), &[0], &mut sum);
        mean(values, &Shape::from(len), &[0], &mut average);
        let found = Total::Mean.finish(len, records(0)).unwrap_or_else(|| {
            let mut sum = [T::zero(); 2];
            values.chunks(RECORDED).for_each(|block| add_plainly(block, &mut sum));
            plain_mean(len, &sum)
        });
        let bits = |x: T| (!x.is_nan()).then(|| x.as_f64().to_bits());
        assert_eq!(Total::Sum.finish(len, records(1)).map(bits), Some(bits(sum[0])), "the sum of {len}");
        assert_eq!(bits(found), bits(average[0]), "the mean of {len}");
    }

    #[test]
    fn records_give_the_bits_of_the_reductions() {
        for len in [1, 2, 16, 17, 31, 32, 33, 255, 256, 257, 1023, 1024, 1025, 1280, 5000] {
            let numbers = (0..len).map(|k| ((k * 7919 + 13) % 10007) as f64 / 977.0 - 4.0);
            check::<f64>(&numbers.clone().collect::<Vec<_>>());
            check::<f32>(&numbers.clone().map(|x| x as f32).collect::<Vec<_>>());
            check::<f64>(&vec![-0.0; len]);
            for odd in [f64::INFINITY, f64::NAN, f64::MAX, -f64::MAX] {
                let mut numbers: Vec<f64> = numbers.clone().collect();
                numbers[len / 2] = odd;
                check::<f64>(&numbers);
                numbers[0] = f64::MAX;
                check::<f64>(&numbers);
            }
        }
    }
}
