//! Softmax of a row, and the logarithm of its sum of exponentials, shared by the ops that are made of them.

use super::reduce::{Add, Largest, fold_row, sum_of};
use crate::real::Real;

/// What is to be subtracted from a row before `exp`: its largest element, or 0 if that is infinite.
#[inline(always)]
pub(crate) fn shift<T: Real>(row: &[T]) -> T {
    let largest = fold_row::<T, Largest>(row);
    if largest.is_infinite() { T::zero() } else { largest }
}

/// `ln Σ exp(xᵢ − shift)`, without memory for the terms, where the shift is one of the elements or 0.
///
/// The term of the first element that is the shift is 1 and is not added: `ln_1p` of the others is exact also where they
/// are small.
#[inline(always)]
pub(crate) fn ln_sum_of_exp<T: Real>(row: &[T], shift: T) -> T {
    let largest = row.iter().position(|&x| x == shift);
    let others = sum_of(row.len(), |from, terms| {
        for (term, &x) in terms.iter_mut().zip(&row[from..]) {
            *term = (x - shift).exp();
        }
        if let Some(term) = largest.and_then(|place| terms.get_mut(place.wrapping_sub(from))) {
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
