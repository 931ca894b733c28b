//! Where the elements of a value lie in a buffer.

use std::ops::Range;

use smallvec::SmallVec;

use super::{AXES, Shape};

/// Where the elements of a value lie in a buffer: element `[i, j, …]` is at `offset + i·strides[0] + j·strides[1] + …`.
///
/// A view (transpose, broadcast, slice, flip) is a new layout over the same buffer: a stride of 0 repeats elements, a
/// negative one reverses them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// The sizes.
    pub shape: Shape,
    /// For each axis, the step in elements.
    pub strides: SmallVec<[isize; AXES]>,
    /// The position of the first element.
    pub offset: usize,
}

impl Layout {
    /// Row-major, without gaps, from position 0.
    pub fn contiguous(shape: Shape) -> Self {
        let mut strides = SmallVec::from_elem(0, shape.rank());
        let mut step = 1;
        for axis in (0..shape.rank()).rev() {
            strides[axis] = step as isize;
            step *= shape[axis];
        }
        Self { shape, strides, offset: 0 }
    }

    /// Whether the elements lie in row-major order without gaps (axes of size 1 may have any stride).
    pub fn is_contiguous(&self) -> bool {
        let mut step = 1;
        if self.shape.contains(&0) {
            return true;
        }
        for (&size, &stride) in self.shape.iter().zip(&self.strides).rev() {
            if size != 1 && stride != step {
                return false;
            }
            step *= size as isize;
        }
        true
    }

    /// The layout if it lies within a buffer of `len` elements and has a stride for each axis, else `None`. Strides of
    /// axes with at most one element are set to 0 if they leave the buffer.
    pub(crate) fn within(mut self, len: usize) -> Option<Self> {
        if self.strides.len() != self.shape.rank() {
            return None;
        }
        if self.shape.contains(&0) {
            return Some(Self::contiguous(self.shape));
        }
        let reach = isize::try_from(len).ok()?;
        for (stride, &size) in self.strides.iter_mut().zip(self.shape.iter()) {
            if size <= 1 && stride.unsigned_abs() > len {
                *stride = 0;
            }
        }
        let (mut first, mut last) = (isize::try_from(self.offset).ok()?, isize::try_from(self.offset).ok()?);
        for (&stride, &size) in self.strides.iter().zip(self.shape.iter()) {
            let steps = stride.checked_mul(isize::try_from(size - 1).ok()?)?;
            let end = if steps < 0 { &mut first } else { &mut last };
            *end = end.checked_add(steps)?;
        }
        (first >= 0 && last < reach).then_some(self)
    }

    /// The layout with axis `k` taken from axis `axes[k]`.
    pub fn permuted(&self, axes: &[usize]) -> Self {
        Self {
            shape: axes.iter().map(|&axis| self.shape[axis]).collect(),
            strides: axes.iter().map(|&axis| self.strides[axis]).collect(),
            offset: self.offset,
        }
    }

    /// The layout of the same elements in row-major order under another shape with the same number of elements, if
    /// strides can express it.
    pub fn reshaped(&self, shape: &Shape) -> Option<Self> {
        if self.is_contiguous() {
            return Some(Self { offset: self.offset, ..Self::contiguous(shape.clone()) });
        }
        // From the last axis of both shapes: a group of old axes that are contiguous together can be divided
        // differently.
        let mut strides: SmallVec<[isize; AXES]> = SmallVec::from_elem(0, shape.rank());
        let old: SmallVec<[(usize, isize); AXES]> =
            self.shape.iter().copied().zip(self.strides.iter().copied()).filter(|(size, _)| *size != 1).collect();
        let mut new_axis = shape.rank();
        let mut end = old.len();
        while end > 0 {
            let (mut size, step) = old[end - 1];
            let mut start = end - 1;
            while start > 0 && old[start - 1].1 == old[start].1 * old[start].0 as isize {
                start -= 1;
                size *= old[start].0;
            }
            let (mut covered, mut stride) = (1, step);
            while covered < size {
                new_axis = new_axis.checked_sub(1)?;
                strides[new_axis] = stride;
                stride *= shape[new_axis] as isize;
                covered *= shape[new_axis];
            }
            if covered != size {
                return None;
            }
            end = start;
        }
        Some(Self { shape: shape.clone(), strides, offset: self.offset })
    }

    /// The layout of `self` repeated to `shape`; the shapes must fit by NumPy's rule.
    pub fn broadcast(&self, shape: &Shape) -> Self {
        let lead = shape.rank() - self.shape.rank();
        let strides = (0..shape.rank())
            .map(|axis| match axis.checked_sub(lead) {
                Some(own) if self.shape[own] == shape[axis] => self.strides[own],
                _ => 0,
            })
            .collect();
        Self { shape: shape.clone(), strides, offset: self.offset }
    }

    /// The layout of the same positions with adjacent axes merged where strides allow, and without axes of one element.
    pub(crate) fn merged(&self) -> Self {
        let mut shape: SmallVec<[usize; AXES]> = SmallVec::new();
        let mut strides: SmallVec<[isize; AXES]> = SmallVec::new();
        for (&size, &stride) in self.shape.iter().zip(&self.strides) {
            match (shape.last_mut(), strides.last_mut()) {
                _ if size == 1 => {}
                (Some(last), Some(step)) if *step == stride * size as isize => {
                    *last *= size;
                    *step = stride;
                }
                _ => {
                    shape.push(size);
                    strides.push(stride);
                }
            }
        }
        Self { shape: shape.into_iter().collect(), strides, offset: self.offset }
    }

    /// The positions of all elements in row-major order.
    pub fn positions(&self) -> impl Iterator<Item = usize> + '_ {
        self.positions_of(0..self.shape.len())
    }

    /// The positions of the elements with these numbers in row-major order.
    pub(crate) fn positions_of(&self, elements: Range<usize>) -> impl Iterator<Item = usize> + '_ {
        let mut index: SmallVec<[usize; AXES]> = SmallVec::from_elem(0, self.shape.rank());
        let mut position = self.offset as isize;
        if elements.start > 0 && !elements.is_empty() {
            let mut number = elements.start;
            for axis in (0..self.shape.rank()).rev() {
                (number, index[axis]) = (number / self.shape[axis], number % self.shape[axis]);
                position += index[axis] as isize * self.strides[axis];
            }
        }
        elements.map(move |_| {
            let now = position as usize;
            for axis in (0..self.shape.rank()).rev() {
                index[axis] += 1;
                position += self.strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                position -= self.strides[axis] * self.shape[axis] as isize;
                index[axis] = 0;
            }
            now
        })
    }

    /// The position of the element with this number in row-major order.
    #[inline]
    pub(crate) fn position(&self, number: usize) -> usize {
        match self.strides[..] {
            _ if number == 0 => self.offset,
            [stride] => (self.offset as isize + number as isize * stride) as usize,
            _ => self.positions_of(number..number + 1).next().expect("one element is asked for"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_that_leaves_its_buffer_is_found() {
        let layout = |sizes: &[usize], strides: &[isize], offset| Layout {
            shape: Shape::from(sizes),
            strides: SmallVec::from_slice(strides),
            offset,
        };
        for inside in [layout(&[6], &[1], 0), layout(&[2, 3], &[-3, 1], 3), layout(&[4], &[0], 5), layout(&[], &[], 5)]
        {
            assert!(inside.within(6).is_some());
        }
        let outside = [
            layout(&[2], &[1], 5),
            layout(&[2], &[1], 0_usize.wrapping_sub(64)),
            layout(&[1], &[1], usize::MAX),
            layout(&[2], &[-1], 0),
            layout(&[3, 2], &[3, 1], 0),
            layout(&[2], &[isize::MAX], 1),
            layout(&[3], &[isize::MAX], 0),
            layout(&[3, 3], &[isize::MIN, isize::MAX], 0),
            layout(&[2], &[], 0),
            layout(&[2], &[1, 1], 0),
        ];
        for outside in outside {
            assert!(outside.clone().within(6).is_none(), "{outside:?}");
        }
        let empty = layout(&[0, 9], &[isize::MAX, 5], usize::MAX).within(6).expect("it has no elements");
        assert_eq!(empty.offset, 0);
        assert_eq!(layout(&[1], &[isize::MAX], 0).within(1).expect("there is no step").strides[0], 0);
    }

    #[test]
    fn reshaping_a_view_keeps_the_order_of_elements_or_gives_up() {
        let base = Layout::contiguous(Shape::from([2, 3, 4]));
        for axes in [[0, 1, 2], [1, 0, 2], [2, 1, 0], [0, 2, 1]] {
            let view = base.permuted(&axes);
            for sizes in [vec![24], vec![6, 4], vec![2, 12], vec![2, 3, 2, 2], vec![4, 6], vec![1, 24, 1]] {
                if let Some(new) = view.reshaped(&Shape::from(sizes)) {
                    assert!(new.positions().eq(view.positions()), "{view:?} → {new:?}");
                }
            }
        }
        assert!(base.permuted(&[1, 0, 2]).reshaped(&Shape::from([3, 2, 2, 2])).is_some());
        assert!(base.permuted(&[2, 1, 0]).reshaped(&Shape::from([24])).is_none());
    }

    #[test]
    fn a_broadcast_layout_repeats() {
        let column = Layout::contiguous(Shape::from([2, 1])).broadcast(&Shape::from([2, 2]));
        assert_eq!(column.positions().collect::<Vec<_>>(), [0, 0, 1, 1]);
        assert!(!column.is_contiguous());
    }
}
