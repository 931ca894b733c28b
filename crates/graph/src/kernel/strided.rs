//! Copies between a slice and the elements of a buffer that a layout names, row by row.

use std::ops::Range;

use crate::shape::Layout;

/// How often a short row is repeated before a few copies of many take less time than one of each.
const REPEATED: usize = 32;

/// Planes of rows, each at equal distances: element `j` of row `i` of plane `p` is at
/// `first + p·distance + i·pitch + j·stride`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    pub(crate) first: isize,
    pub(crate) planes: usize,
    pub(crate) distance: isize,
    pub(crate) count: usize,
    pub(crate) pitch: isize,
    pub(crate) len: usize,
    pub(crate) stride: isize,
}

#[allow(clippy::manual_memcpy)] // A call takes longer than a few elements.
impl Rows {
    /// Elements of all rows.
    fn elements(&self) -> usize {
        self.planes * self.count * self.len
    }

    #[inline(always)]
    fn plane(&self, plane: usize) -> isize {
        self.first + plane as isize * self.distance
    }

    #[inline(always)]
    fn start(&self, row: usize) -> usize {
        (self.first + row as isize * self.pitch) as usize
    }

    /// Copies the rows of `source` to `out`, one after another.
    ///
    /// # Panics
    /// If they leave `source`, or `out` has another length.
    pub(crate) fn gather<T: Copy>(&self, source: &[T], out: &mut [T]) {
        let Self { count, len, stride, .. } = *self;
        let out = &mut out[..self.elements()];
        // Many times the same row is a few large copies.
        let is_repeated = self.pitch == 0 && count >= REPEATED;
        match (stride, len) {
            _ if is_repeated => self.gather_planes(source, out),
            (0, 2) => self.repeat_short::<T, 2>(source, out),
            (0, 3) => self.repeat_short::<T, 3>(source, out),
            (0, 4) => self.repeat_short::<T, 4>(source, out),
            (1, 1) => self.gather_short::<T, 1>(source, out),
            (1, 2) => self.gather_short::<T, 2>(source, out),
            (1, 3) => self.gather_short::<T, 3>(source, out),
            (1, 4) => self.gather_short::<T, 4>(source, out),
            (1, 8) => self.gather_short::<T, 8>(source, out),
            _ => self.gather_planes(source, out),
        }
    }

    /// [`Rows::gather`], plane by plane.
    fn gather_planes<T: Copy>(&self, source: &[T], out: &mut [T]) {
        let each = self.count * self.len;
        for plane in 0..self.planes {
            let (first, part) = (self.plane(plane), &mut out[plane * each..][..each]);
            Self { first, ..*self }.gather_plane(source, part);
        }
    }

    /// [`Rows::gather`] of the first plane.
    fn gather_plane<T: Copy>(&self, source: &[T], out: &mut [T]) {
        let Self { count, len, stride, .. } = *self;
        match (stride, len) {
            // The same row again and again: twice as many at a time.
            _ if self.pitch == 0 && count > 1 => {
                Self { count: 1, ..*self }.gather_plane(source, &mut out[..len]);
                let mut done = len;
                while done < out.len() {
                    let more = done.min(out.len() - done);
                    out.copy_within(..more, done);
                    done += more;
                }
            }
            (0, _) => (0..count).for_each(|row| out[row * len..][..len].fill(source[self.start(row)])),
            (1, 16..) => {
                (0..count).for_each(|row| out[row * len..][..len].copy_from_slice(&source[self.start(row)..][..len]));
            }
            (1, _) => {
                for row in 0..count {
                    let (from, to) = (&source[self.start(row)..][..len], &mut out[row * len..][..len]);
                    for k in 0..len {
                        to[k] = from[k];
                    }
                }
            }
            _ => {
                for row in 0..count {
                    let (first, to) = (self.first + row as isize * self.pitch, &mut out[row * len..][..len]);
                    for k in 0..len {
                        to[k] = source[(first + k as isize * stride) as usize];
                    }
                }
            }
        }
    }

    /// [`Rows::gather`] of rows of `N` contiguous elements, for which a call for each would take longer than the copy.
    #[inline(always)]
    fn gather_short<T: Copy, const N: usize>(&self, source: &[T], out: &mut [T]) {
        self.each_short(out, |first, to: &mut [T; N]| {
            let from = &source[first..][..N];
            for k in 0..N {
                to[k] = from[k];
            }
        });
    }

    /// [`Rows::gather`] of rows of one element `N` times.
    #[inline(always)]
    fn repeat_short<T: Copy, const N: usize>(&self, source: &[T], out: &mut [T]) {
        self.each_short(out, |first, to: &mut [T; N]| *to = [source[first]; N]);
    }

    /// Calls a function with the position of the first element of each row, and the `N` elements of `out` for it.
    #[inline(always)]
    fn each_short<T, const N: usize>(&self, out: &mut [T], row: impl Fn(usize, &mut [T; N])) {
        let (rows, _) = out.as_chunks_mut::<N>();
        for plane in 0..self.planes {
            let (mut first, rows) = (self.plane(plane), &mut rows[plane * self.count..][..self.count]);
            for number in 0..self.count {
                row(first as usize, &mut rows[number]);
                first += self.pitch;
            }
        }
    }

    /// Copies `x` to the rows of `target`, one after another.
    ///
    /// # Panics
    /// If they leave `target`, or `x` has another length.
    pub(crate) fn scatter<T: Copy>(&self, x: &[T], target: &mut [T]) {
        let Self { planes, count, len, .. } = *self;
        let x = &x[..self.elements()];
        for plane in 0..planes {
            Self { first: self.plane(plane), ..*self }.scatter_plane(&x[plane * count * len..][..count * len], target);
        }
    }

    /// [`Rows::scatter`] to the first plane.
    #[inline(always)]
    fn scatter_plane<T: Copy>(&self, x: &[T], target: &mut [T]) {
        let Self { count, len, stride, pitch, first, .. } = *self;
        match (stride, len) {
            (_, 1) => {
                for row in 0..count {
                    target[self.start(row)] = x[row];
                }
            }
            (1, 16..) => {
                (0..count).for_each(|row| target[self.start(row)..][..len].copy_from_slice(&x[row * len..][..len]));
            }
            (1, _) => {
                for row in 0..count {
                    let (from, to) = (&x[row * len..][..len], &mut target[self.start(row)..][..len]);
                    for k in 0..len {
                        to[k] = from[k];
                    }
                }
            }
            _ => {
                for row in 0..count {
                    let (first, from) = (first + row as isize * pitch, &x[row * len..][..len]);
                    for k in 0..len {
                        target[(first + k as isize * stride) as usize] = from[k];
                    }
                }
            }
        }
    }
}

/// Fills `out` with the elements of a layout from number `from` on, in row-major order.
///
/// # Panics
/// If the layout leaves `source`.
pub(crate) fn gather<T: Copy>(source: &[T], layout: &Layout, from: usize, out: &mut [T]) {
    for_rows(layout, from..from + out.len(), |at, rows| rows.gather(source, &mut out[at..][..rows.elements()]));
}

/// Copies `x` to the elements of a layout, in row-major order.
///
/// # Panics
/// If the layout leaves `target`.
pub(crate) fn scatter<T: Copy>(x: &[T], layout: &Layout, target: &mut [T]) {
    for_rows(layout, 0..x.len(), |at, rows| rows.scatter(&x[at..][..rows.elements()], target));
}

/// Calls `work` with the rows that hold the elements with these numbers, in order, and how many elements came before.
#[inline(always)]
fn for_rows(layout: &Layout, elements: Range<usize>, mut work: impl FnMut(usize, Rows)) {
    let rank = layout.shape.rank();
    let axis = |from_the_end: usize| match rank.checked_sub(from_the_end) {
        Some(axis) => (layout.shape[axis], layout.strides[axis]),
        None => (1, 0),
    };
    let ((len, stride), (count, pitch), (planes, distance)) = (axis(1), axis(2), axis(3));
    // The other axes, whose positions are those of the first planes.
    let outer = rank.saturating_sub(3);
    let outer =
        Layout { shape: layout.shape[..outer].into(), strides: layout.strides[..outer].into(), offset: layout.offset };
    let (next, within) = (elements.start / len.max(1), elements.start % len.max(1));
    let (next, mut row) = (next / count.max(1), next % count.max(1));
    let mut plane = next % planes.max(1);
    let mut bases = outer.positions_of(next / planes.max(1)..outer.shape.len());
    let mut base = bases.next();
    // Works on rows from the next element on, at most as many, of which `part` elements are taken; returns their number.
    let mut rows = |done: usize, most: usize, within: usize, part: usize| {
        // Whole planes, or rows of one. No division for one plane, nor for all of them.
        let now = match (row, planes - plane) {
            (0, left) if most >= left * count => left,
            (0, _) if most >= 2 * count => most / count,
            _ => 1,
        };
        let in_plane = if now > 1 { count } else { most.min(count - row) };
        let start = plane as isize * distance + row as isize * pitch + within as isize * stride;
        let first = base.expect("there are rows") as isize + start;
        work(done, Rows { first, planes: now, distance, count: in_plane, pitch, len: part, stride });
        if within + part == len {
            row += in_plane;
        }
        if row == count {
            (row, plane) = (0, plane + now);
        }
        if plane == planes {
            (plane, base) = (0, bases.next());
        }
        now * in_plane
    };
    let (mut done, mut left) = (0, elements.len());
    if within > 0 && left > 0 {
        let part = (len - within).min(left);
        rows(0, 1, within, part);
        (done, left) = (part, left - part);
    }
    // No division for each of few rows.
    let mut whole = if left > 0 { left / len } else { 0 };
    let rest = left - whole * len;
    while whole > 0 {
        let now = rows(done, whole, 0, len);
        (done, whole) = (done + now * len, whole - now);
    }
    if rest > 0 {
        rows(done, 1, 0, rest);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Layouts of up to four axes within a thousand elements.
    fn layouts(least_stride: isize) -> impl Strategy<Value = Layout> {
        prop::collection::vec((1..6_usize, least_stride..30_isize), 0..5).prop_map(|axes| {
            let (sizes, strides): (Vec<usize>, Vec<isize>) = axes.into_iter().unzip();
            let reach: isize =
                sizes.iter().zip(&strides).map(|(&size, stride)| (size as isize - 1) * stride.min(&0)).sum();
            Layout { shape: sizes.into(), strides: strides.into(), offset: reach.unsigned_abs() }
        })
    }

    proptest! {
        #[test]
        fn a_gather_reads_what_the_layout_says(layout in layouts(-3), ends in (0.0..=1.0_f64, 0.0..=1.0_f64)) {
            let source: Vec<usize> = (0..1000).collect();
            let all: Vec<usize> = layout.positions().collect();
            let from = (ends.0 * all.len() as f64) as usize;
            let count = (ends.1 * (all.len() - from) as f64) as usize;
            let mut out = vec![usize::MAX; count];
            gather(&source, &layout, from, &mut out);
            prop_assert_eq!(&out[..], &all[from..from + count]);
        }

        #[test]
        fn a_scatter_writes_what_the_layout_says(layout in layouts(-3)) {
            let x: Vec<usize> = (1..=layout.shape.len()).collect();
            let mut found = vec![0; 1000];
            let mut wanted = found.clone();
            for (position, &x) in layout.positions().zip(&x) {
                wanted[position] = x;
            }
            scatter(&x, &layout, &mut found);
            prop_assert_eq!(found, wanted);
        }
    }

    #[test]
    fn rows_of_each_length_are_copied() {
        let source: Vec<usize> = (0..200).collect();
        for (len, stride) in (1..20).flat_map(|len| [(len, 0), (len, 1), (len, 2), (len, -1)]) {
            let rows = Rows { first: 60, planes: 2, distance: 21, count: 2, pitch: 42, len, stride };
            let mut out = vec![0; 4 * len];
            rows.gather(&source, &mut out);
            let starts = [60, 102, 81, 123_isize];
            let wanted: Vec<usize> =
                starts.iter().flat_map(|at| (0..len).map(move |j| (at + j as isize * stride) as usize)).collect();
            assert_eq!(out, wanted);
            for count in [7, 100] {
                let mut repeated = vec![0; 2 * count * len];
                Rows { count, pitch: 0, ..rows }.gather(&source, &mut repeated);
                let planes = [&wanted[..len], &wanted[2 * len..3 * len]].map(|row| row.repeat(count));
                assert_eq!(repeated, planes.concat());
            }
            let mut target = vec![0; 200];
            rows.scatter(&out, &mut target);
            wanted.iter().for_each(|&position| assert_eq!(target[position], position));
            assert_eq!(target.iter().filter(|x| **x > 0).count(), if stride == 0 { 4 } else { 4 * len });
        }
    }
}
