//! Slices of an axis: start, step and count.

use super::Layout;

/// Along one axis: `count` elements from `start`, `step` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AxisRange {
    pub(crate) start: usize,
    pub(crate) step: isize,
    pub(crate) count: usize,
}

impl AxisRange {
    /// Whether all elements lie on an axis of that size.
    pub(crate) fn fits(&self, size: usize) -> bool {
        let last = || -> Option<isize> {
            let steps = isize::try_from(self.count - 1).ok()?;
            isize::try_from(self.start).ok()?.checked_add(self.step.checked_mul(steps)?)
        };
        let inside = |last: isize| (0..size as isize).contains(&last);
        self.count == 0 || (self.step != 0 && self.start < size && last().is_some_and(inside))
    }
}

impl Layout {
    /// The layout of the elements in one range of each axis.
    pub(crate) fn sliced(&self, ranges: &[AxisRange]) -> Self {
        let mut offset = self.offset as isize;
        let mut strides = self.strides.clone();
        for (axis, range) in ranges.iter().enumerate() {
            if range.count > 0 {
                offset += range.start as isize * self.strides[axis];
            }
            // Along fewer than two elements there is no step, which may then be of any size.
            if range.count > 1 {
                strides[axis] *= range.step;
            }
        }
        Layout { shape: ranges.iter().map(|range| range.count).collect(), strides, offset: offset as usize }
    }
}

/// The start and count of the slice `start:end:step` of an axis of a size, by the rules of Python.
///
/// # Errors
/// If the range leaves the axis or the step is 0.
pub(crate) fn slice_of_axis(
    size: usize,
    start: Option<isize>,
    end: Option<isize>,
    step: isize,
) -> Result<(usize, usize), String> {
    if step == 0 {
        return Err("the step is 0".into());
    }
    let size = size as isize;
    let counted = |at: isize| if at < 0 { at + size } else { at };
    let (first, last) = if step > 0 { (0, size) } else { (size - 1, -1) };
    let (start, end) = (start.map_or(first, counted), end.map_or(last, counted));
    let inside = if step > 0 { 0..=size } else { -1..=size - 1 };
    if !inside.contains(&start) || !inside.contains(&end) {
        return Err(format!("{start}..{end} leaves its size of {size}"));
    }
    let room = if step > 0 { end - start } else { start - end };
    let count = usize::try_from(room).unwrap_or(0).div_ceil(step.unsigned_abs());
    Ok((if count == 0 { 0 } else { start as usize }, count))
}
