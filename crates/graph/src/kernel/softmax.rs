//! The softmax of a row and the logarithm of its sum of exponentials, which several ops share.

use super::across::{ACROSS, Tile, one_by_one};
use super::reduce::{Add, Largest, fold_row, sum_of};
use crate::real::Real;

/// The number to subtract from a row before `exp`: its largest element, or 0 if that is infinite.
#[inline(always)]
pub(crate) fn shift<T: Real>(row: &[T]) -> T {
    let largest = fold_row::<T, Largest>(row);
    if largest.is_infinite() { T::zero() } else { largest }
}

/// The exponential, of numbers many of which may be −∞, as masked ones are. Where it is 0 it is not computed: by way of
/// subnormal numbers that takes several times as long.
#[inline(always)]
fn exp<T: Real>(x: T) -> T {
    // Below, half the least subnormal number is larger than the exponential.
    let is_zero = x < T::of(if T::EPS > 1e-10 { -104.0 } else { -746.0 });
    let y = (if is_zero { T::zero() } else { x }).exp();
    if is_zero { T::zero() } else { y }
}

/// `ln Σ exp(xᵢ − shift)`, where the shift is one of the elements or 0, without memory for the terms.
///
/// The term 1 of the first element that equals the shift is left out of the sum: `ln_1p` of the others is accurate even
/// if they are small.
#[inline(always)]
pub(crate) fn ln_sum_of_exp<T: Real>(row: &[T], shift: T) -> T {
    let largest = row.iter().position(|&x| x == shift);
    let others = sum_of!(T; row.len(), |from, terms| {
        let row = &row[from..from + terms.len()];
        for k in 0..terms.len() {
            terms[k] = (row[k] - shift).exp();
        }
        if let Some(term) = largest.and_then(|index| terms.get_mut(index.wrapping_sub(from))) {
            *term = T::zero();
        }
    });
    if largest.is_some() { others.ln_1p() } else { others.ln() }
}

/// Fills `y` with the softmax of a row.
#[inline(always)]
pub(crate) fn softmax_row<T: Real>(row: &[T], y: &mut [T]) {
    let shift = shift(row);
    let y = &mut y[..row.len()];
    for k in 0..row.len() {
        y[k] = exp(row[k] - shift);
    }
    let total = fold_row::<T, Add>(y);
    let scale = if total == T::zero() { T::zero() } else { T::one() / total };
    for y in y {
        *y *= scale;
    }
}

/// [`shift`] of each row of a tile.
#[inline(always)]
pub(crate) fn shifts<T: Real>(tile: &mut Tile<T>) -> [T; ACROSS] {
    let mut largest = tile.fold::<Largest>();
    for row in 0..ACROSS {
        largest[row] = if largest[row].is_infinite() { T::zero() } else { largest[row] };
    }
    largest
}

/// [`ln_sum_of_exp`] of each row of a tile, which holds the terms afterwards.
#[inline(always)]
pub(crate) fn ln_sums_of_exp<T: Real>(tile: &mut Tile<T>, shifts: [T; ACROSS]) -> [T; ACROSS] {
    let mut found = [false; ACROSS];
    for column in tile.columns() {
        one_by_one();
        for row in 0..ACROSS {
            let is_largest = (column[row] == shifts[row]) & !found[row];
            // Of which the exponential is 0.
            column[row] = if is_largest { T::neg_infinity() } else { column[row] - shifts[row] };
            found[row] |= is_largest;
        }
    }
    tile.exp();
    let mut sums = tile.fold::<Add>();
    if found == [true; ACROSS] {
        for row in 0..ACROSS {
            sums[row] = sums[row].ln_1p();
        }
    } else {
        for row in 0..ACROSS {
            let (of_others, of_all) = (sums[row].ln_1p(), sums[row].ln());
            sums[row] = if found[row] { of_others } else { of_all };
        }
    }
    sums
}

/// [`softmax_row`] of each row of a tile.
#[inline(always)]
pub(crate) fn softmax_tile<T: Real>(tile: &mut Tile<T>) {
    let shifts = shifts(tile);
    for column in tile.columns() {
        one_by_one();
        for row in 0..ACROSS {
            column[row] -= shifts[row];
        }
    }
    tile.exp();
    let totals = tile.fold::<Add>();
    let mut scales = [T::zero(); ACROSS];
    for row in 0..ACROSS {
        scales[row] = if totals[row] == T::zero() { T::zero() } else { T::one() / totals[row] };
    }
    for column in tile.columns() {
        one_by_one();
        for row in 0..ACROSS {
            column[row] *= scales[row];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers around the least of which the exponential is not 0, and others that are none.
    #[test]
    fn exponentials_that_are_left_out_are_zero() {
        fn check<T: Real>() {
            for k in 0..200_000 {
                let x = T::of(-f64::from(k) / 200.0);
                assert_eq!(exp(x).as_f64().to_bits(), x.exp().as_f64().to_bits(), "{x}");
            }
            assert_eq!(exp(T::neg_infinity()), T::zero());
            assert_eq!(exp(T::infinity()), T::infinity());
            assert!(exp(T::nan()).is_nan());
        }
        check::<f32>();
        check::<f64>();
    }
}
