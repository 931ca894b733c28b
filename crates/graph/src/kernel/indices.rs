//! Bounds checks of indices in kernels.

use crate::shape::{Shape, unravel};

/// Checks that indices are in range for an axis of the given size. Negative indices are out of range.
///
/// # Errors
/// The first index that is out of range, and its position.
pub(crate) fn check_within(indices: &[i64], shape: &Shape, axis: usize, size: usize) -> Result<(), String> {
    check_below(indices, shape, size, "index", || format!("axis {axis} of size {size}"))
}

/// Checks that indices are nonnegative and below `count`; `what` and `of` complete the message.
///
/// # Errors
/// The first index that is out of range, and its position.
pub(crate) fn check_below(
    indices: &[i64],
    shape: &Shape,
    count: usize,
    what: &str,
    of: impl FnOnce() -> String,
) -> Result<(), String> {
    // Negative ones are large as well. A loop without an exit is vectorised.
    if indices.iter().fold(0, |largest, &index| largest.max(index as u64)) < count as u64 {
        return Ok(());
    }
    match indices.iter().position(|&index| index < 0 || index as usize >= count) {
        None => Ok(()),
        Some(first) => {
            let position = unravel(first, shape);
            Err(format!("{what} {} at position {position:?} is out of range for {}", indices[first], of()))
        }
    }
}
