//! The check that every kernel makes of the indices that it is given.

use crate::shape::{Shape, unravel};

/// Says which index is not a place on an axis of the given size, if there is one. Negative indices are none: a graph
/// that counts from the end says so with the size.
///
/// # Errors
/// Names the first index that is out of range, and its position.
pub(crate) fn check_within(indices: &[i64], shape: &Shape, axis: usize, size: usize) -> Result<(), String> {
    check_below(indices, shape, size, "index", || format!("axis {axis} of size {size}"))
}

/// Says which index is not below `count`; `what` it is called and `of` what it is out of range complete the sentence.
///
/// # Errors
/// Names the first index that is out of range, and its position.
pub(crate) fn check_below(
    indices: &[i64],
    shape: &Shape,
    count: usize,
    what: &str,
    of: impl FnOnce() -> String,
) -> Result<(), String> {
    match indices.iter().position(|&index| index < 0 || index as usize >= count) {
        None => Ok(()),
        Some(place) => {
            let position = unravel(place, shape);
            Err(format!("{what} {} at position {position:?} is out of range for {}", indices[place], of()))
        }
    }
}
