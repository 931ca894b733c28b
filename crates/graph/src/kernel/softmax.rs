//! The softmax of a row and the logarithm of its sum of exponentials, which several ops share.

use super::reduce::{Add, Largest, fold_row, sum_of};
use crate::real::Real;

/// The number to subtract from a row before `exp`: its largest element, or 0 if that is infinite.
#[inline(always)]
pub(crate) fn shift<T: Real>(row: &[T]) -> T {
    let largest = fold_row::<T, Largest>(row);
    if largest.is_infinite() { T::zero() } else { largest }
}

/// `ln Σ exp(xᵢ − shift)`, where the shift is one of the elements or 0, without memory for the terms.
///
/// The term 1 of the first element that equals the shift is left out of the sum: `ln_1p` of the others is accurate even
/// if they are small.
#[inline(always)]
pub(crate) fn ln_sum_of_exp<T: Real>(row: &[T], shift: T) -> T {
    let largest = row.iter().position(|&x| x == shift);
    let others = sum_of(row.len(), |from, terms| {
        for (term, &x) in terms.iter_mut().zip(&row[from..]) {
            *term = (x - shift).exp();
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
    for (y, &x) in y.iter_mut().zip(row) {
        *y = (x - shift).exp();
    }
    let total = fold_row::<T, Add>(y);
    let scale = if total == T::zero() { T::zero() } else { T::one() / total };
    for y in y {
        *y *= scale;
    }
}
