//! The matrix of columns, block by block: filled from the planes, and added back to them.
//!
//! Where a filter's element meets the input is found once for all channels and images: a few lines of one length, each
//! the part of a row of the output that overlaps the input. Lines are short, 28 elements or fewer in most networks, so
//! they are moved in registers and not by a call.

use std::ops::Range;

use super::geometry::{Band, Geometry};
use crate::kernel::simd::Loop;
use crate::real::Real;

/// Fills a block of the matrix of columns with the columns of several images, side by side.
pub(super) struct Im2Col<'a, T> {
    pub(super) geometry: &'a Geometry,
    /// The planes of the first image, and all that follow.
    pub(super) x: &'a [T],
    /// The distance from the planes of one image to those of the next.
    pub(super) step: usize,
    pub(super) images: usize,
    pub(super) rows: Range<usize>,
    /// Of each image.
    pub(super) positions: Range<usize>,
    pub(super) to: &'a mut [T],
    /// The distance from one row of the block to the next.
    pub(super) pitch: usize,
}

impl<T: Real> Loop for Im2Col<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { geometry, x, step, images, rows, positions, to, pitch } = self;
        let (size, count) = (geometry.plane(), positions.len());
        let pitches = Pitches::of(geometry);
        for Element { bands, first, step: next } in Elements::new(geometry, &rows, &positions) {
            let covered: usize = bands.iter().map(|band| band.lines * band.count).sum();
            for row in (first..rows.end).step_by(next) {
                let to = &mut to[(row - rows.start) * pitch..][..images * count];
                if covered < count {
                    to.fill(T::zero());
                }
                for image in 0..images {
                    let plane = &x[image * step + geometry.tap(row).0 * size..][..size];
                    for band in bands {
                        pitches.gather(band, plane, &mut to[image * count..]);
                    }
                }
            }
        }
    }
}

/// Adds a block of columns, whose rows are `pitch` apart, to the elements of the planes. `x` starts with the channel of
/// the first row.
pub(super) struct Col2Im<'a, T> {
    pub(super) geometry: &'a Geometry,
    pub(super) from: &'a [T],
    pub(super) pitch: usize,
    pub(super) rows: Range<usize>,
    pub(super) positions: Range<usize>,
    pub(super) x: &'a mut [T],
}

impl<T: Real> Loop for Col2Im<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { geometry, from, pitch, rows, positions, x } = self;
        let (start, size) = (geometry.tap(rows.start).0, geometry.plane());
        let pitches = Pitches::of(geometry);
        let area = geometry.kernel[0] * geometry.kernel[1];
        // Two neighbours that meet every second element each are added together.
        let pairs = geometry.stride[1] == 2 && rows.start % area == 0 && rows.end % area == 0;
        let mut elements = Elements::new(geometry, &rows, &positions).peekable();
        while let Some(element) = elements.next() {
            let Element { bands, first, step } = element;
            let pair = elements.next_if(|next| pairs && element.is_beside(next));
            for row in (first..rows.end).step_by(step) {
                let columns = &from[(row - rows.start) * pitch..][..positions.len()];
                let plane = &mut x[(geometry.tap(row).0 - start) * size..][..size];
                for band in bands {
                    if pair.is_some() {
                        let others = &from[(row + 1 - rows.start) * pitch..][..positions.len()];
                        pitches.scatter_pair(band, [columns, others], plane);
                    } else {
                        pitches.scatter(band, columns, plane);
                    }
                }
            }
        }
    }
}

/// The elements of a filter, in order.
struct Elements<'a> {
    geometry: &'a Geometry,
    rows: &'a Range<usize>,
    positions: &'a Range<usize>,
    next: usize,
}

/// What is the same for an element `(i, j)` of a filter in all channels.
struct Element {
    bands: [Band; 3],
    /// Its first row of the matrix of columns, and the distance to the next.
    first: usize,
    step: usize,
}

impl Element {
    /// Whether the next element of the filter meets the input one element further, at the same positions.
    fn is_beside(&self, next: &Self) -> bool {
        let beside = |(band, next): (&Band, &Band)| {
            (band.lines, band.count, band.at) == (next.lines, next.count, next.at)
                && (band.lines == 0 || band.from + 1 == next.from)
        };
        next.first == self.first + 1 && self.bands.iter().zip(&next.bands).all(beside)
    }
}

impl<'a> Elements<'a> {
    fn new(geometry: &'a Geometry, rows: &'a Range<usize>, positions: &'a Range<usize>) -> Self {
        Self { geometry, rows, positions, next: 0 }
    }
}

impl Iterator for Elements<'_> {
    type Item = Element;

    fn next(&mut self) -> Option<Element> {
        let [height, width] = self.geometry.kernel;
        let (step, element) = (height * width, self.next);
        self.next += 1;
        (element < step).then(|| {
            let bands = self.geometry.bands(element / width, element % width, self.positions);
            let first = self.rows.start + (step + element - self.rows.start % step) % step;
            Element { bands, first, step }
        })
    }
}

/// The distances of neighbouring lines in a block and in a plane, and of neighbouring elements in the latter.
#[derive(Clone, Copy)]
struct Pitches {
    block: usize,
    plane: usize,
    stride: usize,
}

impl Pitches {
    fn of(geometry: &Geometry) -> Self {
        Self { block: geometry.positions[1], plane: geometry.size[1] * geometry.stride[0], stride: geometry.stride[1] }
    }

    /// Copies a band from a plane.
    #[inline(always)]
    fn gather<T: Real>(self, band: Band, plane: &[T], block: &mut [T]) {
        if band.lines == 0 {
            return;
        }
        let (to, from) = (&mut block[band.at..], &plane[band.from..]);
        if self.stride == 1 {
            return moved::<T, false>(band, to, self.block, from, self.plane);
        }
        for line in 0..band.lines {
            let (to, from) = (&mut to[line * self.block..][..band.count], &from[line * self.plane..]);
            for k in 0..band.count {
                to[k] = from[k * self.stride];
            }
        }
    }

    /// Adds two bands to every second element of a plane, and to those between.
    #[inline(always)]
    fn scatter_pair<T: Real>(self, band: Band, [even, odd]: [&[T]; 2], plane: &mut [T]) {
        for line in 0..band.lines {
            let to = &mut plane[band.from + line * self.plane..][..2 * band.count];
            let at = band.at + line * self.block;
            let (even, odd) = (&even[at..][..band.count], &odd[at..][..band.count]);
            for k in 0..band.count {
                to[2 * k] += even[k];
                to[2 * k + 1] += odd[k];
            }
        }
    }

    /// Adds a band to a plane.
    #[inline(always)]
    fn scatter<T: Real>(self, band: Band, block: &[T], plane: &mut [T]) {
        if band.lines == 0 {
            return;
        }
        let (to, from) = (&mut plane[band.from..], &block[band.at..]);
        if self.stride == 1 {
            return moved::<T, true>(band, to, self.plane, from, self.block);
        }
        for line in 0..band.lines {
            let (to, from) = (&mut to[line * self.plane..], &from[line * self.block..][..band.count]);
            for k in 0..band.count {
                to[k * self.stride] += from[k];
            }
        }
    }
}

/// Copies the lines of a band, or adds them.
#[inline(always)]
fn moved<T: Real, const ADD: bool>(band: Band, to: &mut [T], to_pitch: usize, from: &[T], from_pitch: usize) {
    match band.count {
        16.. => moved_by::<T, ADD, 16>(band, to, to_pitch, from, from_pitch),
        8.. => moved_by::<T, ADD, 8>(band, to, to_pitch, from, from_pitch),
        4.. => moved_by::<T, ADD, 4>(band, to, to_pitch, from, from_pitch),
        _ => moved_by::<T, ADD, 1>(band, to, to_pitch, from, from_pitch),
    }
}

/// The same in registers of `N` elements, of which a line has at least `N`. The last two registers may overlap: both
/// are computed before one is written.
#[inline(always)]
fn moved_by<T: Real, const ADD: bool, const N: usize>(
    band: Band,
    to: &mut [T],
    to_pitch: usize,
    from: &[T],
    from_pitch: usize,
) {
    for line in 0..band.lines {
        let (to, from) = (&mut to[line * to_pitch..][..band.count], &from[line * from_pitch..][..band.count]);
        let last = band.count - N;
        let mut done = 0;
        while done + N < last {
            let register = sum::<T, ADD, N>(to, from, done);
            store(to, done, register);
            done += N;
        }
        let (next, end) = (sum::<T, ADD, N>(to, from, done), sum::<T, ADD, N>(to, from, last));
        store(to, done, next);
        store(to, last, end);
    }
}

/// `N` elements of `from`, with those of `to` added if asked.
#[inline(always)]
fn sum<T: Real, const ADD: bool, const N: usize>(to: &[T], from: &[T], at: usize) -> [T; N] {
    let (to, from) = (&to[at..at + N], &from[at..at + N]);
    let mut register = [T::zero(); N];
    for lane in 0..N {
        register[lane] = if ADD { to[lane] + from[lane] } else { from[lane] };
    }
    register
}

/// Writes `N` elements.
#[allow(clippy::manual_memcpy)] // A call takes longer.
#[inline(always)]
fn store<T: Real, const N: usize>(to: &mut [T], at: usize, register: [T; N]) {
    let to = &mut to[at..at + N];
    for lane in 0..N {
        to[lane] = register[lane];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::simd::vectorized;

    /// Geometries of one group, with lines of all lengths.
    fn geometries() -> impl Strategy<Value = Geometry> {
        let axis = || (1..70_usize, 1..5_usize, 1..4_usize, 1..3_usize, 0..4_usize);
        (1..4_usize, 1..3_usize, axis(), axis()).prop_map(|(images, channels, down, along)| {
            let axes = [(down.0.min(9), down.1, down.2, down.3, down.4), along];
            let of = |pick: fn((usize, usize, usize, usize, usize)) -> usize| axes.map(pick);
            let positions = axes.map(|(size, kernel, stride, dilation, before)| {
                let (size, reach) = (size + 2 * before, (kernel - 1) * dilation + 1);
                if size < reach { 1 } else { (size - reach) / stride + 1 }
            });
            Geometry {
                images,
                groups: 1,
                channels,
                filters: 1,
                size: of(|axis| axis.0),
                kernel: of(|axis| axis.1),
                positions,
                stride: of(|axis| axis.2),
                dilation: of(|axis| axis.3),
                before: of(|axis| axis.4),
                is_reversed: false,
            }
        })
    }

    /// The element of the planes of one image that row `row` of the matrix has at a position, if it is not padding.
    fn element(geometry: &Geometry, row: usize, position: usize) -> Option<usize> {
        let (channel, i, j) = geometry.tap(row);
        let at = [position / geometry.positions[1], position % geometry.positions[1]];
        let mut place = channel;
        for (axis, element) in [i, j].into_iter().enumerate() {
            let k = (at[axis] * geometry.stride[axis] + element * geometry.dilation[axis])
                .checked_sub(geometry.before[axis])?;
            if k >= geometry.size[axis] {
                return None;
            }
            place = place * geometry.size[axis] + k;
        }
        Some(place)
    }

    proptest! {
        #[test]
        fn columns_are_those_of_plain_loops(
            geometry in geometries(),
            cuts in prop::array::uniform4(0.0..1.0_f64),
            whole in any::<bool>(),
        ) {
            let part = |from: f64, to: f64, len: usize| {
                let first = (from * len as f64) as usize;
                first..(first + 1 + (to * (len - first) as f64) as usize).min(len)
            };
            let area = if whole { geometry.kernel[0] * geometry.kernel[1] } else { 1 };
            let rows = part(cuts[0], cuts[1], geometry.taps() / area);
            let rows = rows.start * area..rows.end * area;
            let positions = part(cuts[2], cuts[3], geometry.area());
            let (step, count) = (geometry.channels * geometry.plane(), positions.len());
            let x: Vec<f32> = (0..geometry.images * step).map(|k| k as f32 - 7.5).collect();
            let pitch = geometry.images * count + 3;
            let mut columns = vec![f32::NAN; rows.len() * pitch];
            let (of_rows, of_positions) = (rows.clone(), positions.clone());
            vectorized(Im2Col {
                geometry: &geometry, x: &x, step, images: geometry.images, rows: of_rows, positions: of_positions,
                to: &mut columns, pitch,
            });
            let mut sums = vec![0.0_f32; step];
            for (number, row) in rows.clone().enumerate() {
                for image in 0..geometry.images {
                    for (at, position) in positions.clone().enumerate() {
                        let element = element(&geometry, row, position);
                        let expected = element.map_or(0.0, |place| x[image * step + place]);
                        prop_assert_eq!(columns[number * pitch + image * count + at], expected);
                        if let (0, Some(place)) = (image, element) {
                            sums[place] += expected;
                        }
                    }
                }
            }
            let start = geometry.tap(rows.start).0 * geometry.plane();
            let mut added = vec![0.0_f32; step - start];
            let (rows, positions) = (rows.clone(), positions.clone());
            vectorized(Col2Im { geometry: &geometry, from: &columns, pitch, rows, positions, x: &mut added });
            prop_assert_eq!(&added[..], &sums[start..]);
        }
    }
}
