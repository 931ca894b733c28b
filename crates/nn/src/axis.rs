//! Axes that are counted from the end if negative.

/// The number of an axis of a shape of that rank, or `None` if there is no such axis.
pub(crate) fn resolve(axis: isize, rank: usize) -> Option<usize> {
    let number = if axis < 0 { rank.checked_add_signed(axis) } else { Some(axis as usize) };
    number.filter(|&number| number < rank)
}
