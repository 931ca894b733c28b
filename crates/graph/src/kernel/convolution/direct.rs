//! Convolutions with few filters, without a matrix of columns.
//!
//! Making columns takes as long as a product with some ten filters. Here the planes of an image, or of a band of its
//! lines, are written once more with their padding and with the numbers of all channels side by side; the product with
//! the matrix of windows ([`Windows`]) reads them as they lie, with the filters in the lanes of registers. Before:
//! `channels·kernel` copies of a plane. After: one.
//!
//! - `y`: windows times filters. `x̄` is the same for stride 1: windows of `ȳ` times reversed filters.
//! - `w̄`: the transpose of the windows times `ȳ`. Bands are divided into [`PARTS`] parts, whose sums are added in order.

use std::ops::{Range, RangeInclusive};

use super::geometry::{Geometry, LANES, ROWS};
use super::threads::{divided, workers};
use crate::kernel::gemm::{Transposed, Windows};
use crate::kernel::parallel::Pieces;
use crate::real::Real;

/// Bytes of a band.
const BAND: usize = 256 << 10;
/// Bands that there are at least, if there are as many lines: work for several threads.
const BANDS: usize = 8;
/// Parts of the sums for the filters.
const PARTS: usize = 8;
/// The most elements of these parts.
const SUMS: usize = 1 << 20;
/// How many times longer than the input a padded line may be.
const PADDED: usize = 4;
/// As many filters take as long as adding columns to planes.
const COLUMNS: usize = 12;
/// How many filters are few.
const FILTERS: RangeInclusive<usize> = 1..=128;

/// The division of a convolution into bands of lines of the output.
#[derive(Clone, Copy)]
pub(super) struct Direct {
    /// Filters, with those that fill registers.
    lanes: usize,
    /// Bands of an image, and the lines of each but the last, which may have fewer.
    bands: usize,
    lines: usize,
    /// Pixels of a padded line of the input.
    pitch: usize,
    /// Elements of the padded input of a band.
    room: usize,
}

/// A band of an image.
struct Band {
    /// The planes and filters of a group of an image.
    member: usize,
    /// The first line of the output, and how many.
    first: usize,
    lines: usize,
}

impl Geometry {
    /// The direct way, for a convolution that it pays for.
    pub(super) fn direct<T: Real>(&self) -> Option<Direct> {
        let Self { channels, filters, kernel: [height, width], stride: [down, along], positions, size, .. } = *self;
        let is_few = (1..=ROWS).contains(&(width * channels)) && FILTERS.contains(&filters);
        let pitch = ((positions[1] - 1) * along + width).max(self.before[1] + size[1]);
        if !is_few || self.dilation[1] > 1 || height * width == 1 || size[0] == 0 || pitch > PADDED * (size[1] + width)
        {
            return None;
        }
        let (lanes, line) = (T::lanes(filters), pitch * channels);
        let reach = |lines: usize| ((lines - 1) * down + self.dilation[0] * (height - 1) + 1).min(size[0]);
        let each = down.min(size[0]) * line + positions[1] * lanes;
        let most = (BAND / size_of::<T>()).saturating_sub(reach(1) * line) / each;
        let fewest = BANDS.div_ceil(self.images * self.groups);
        let lines = positions[0].div_ceil(positions[0].div_ceil(most.max(1)).max(fewest));
        Some(Direct { lanes, bands: positions[0].div_ceil(lines), lines, pitch, room: reach(lines) * line })
    }

    /// The convolution of the cotangent that is the cotangent of the input.
    pub(super) fn direct_input<T: Real>(&self) -> Option<(Self, Direct)> {
        let reversed = self.reversed()?;
        let geometry = Self { channels: self.filters, filters: self.channels, ..reversed };
        let direct = geometry.direct::<T>()?;
        // The other way, columns are made of the channels that there are, and not of all lanes.
        let pays = direct.lanes * self.filters <= self.channels * (self.filters + COLUMNS);
        pays.then_some((geometry, direct))
    }

    fn band(&self, direct: Direct, task: usize) -> Band {
        let first = task % direct.bands * direct.lines;
        Band { member: task / direct.bands, first, lines: direct.lines.min(self.positions[0] - first) }
    }

    /// Elements that a thread needs for the values.
    fn direct_room(&self, direct: Direct) -> usize {
        (direct.room + direct.lines * self.positions[1] * direct.lanes).next_multiple_of(LANES)
    }

    fn packed_filters(&self, direct: Direct) -> usize {
        (self.groups * self.taps() * direct.lanes).next_multiple_of(LANES)
    }

    pub(super) fn direct_workspace(&self, direct: Direct) -> usize {
        let tasks = self.images * self.groups * direct.bands;
        self.packed_filters(direct) + self.direct_room(direct) * workers(self.multiplications(), tasks)
    }

    /// Writes the lines of the input that a band needs, channels side by side, between zeros that are there already.
    /// Returns which lines of the band these are.
    fn spread<T: Real>(&self, direct: Direct, band: &Band, x: &[T], to: &mut [T]) -> Range<usize> {
        let (channels, width) = (self.channels, self.size[1]);
        let start = band.first * self.stride[0];
        let count = (band.lines - 1) * self.stride[0] + self.dilation[0] * (self.kernel[0] - 1) + 1;
        let first = start.max(self.before[0]);
        let end = (start + count).min(self.before[0] + self.size[0]);
        if first >= end {
            return 0..0;
        }
        let line = direct.pitch * channels;
        let to = &mut to[self.before[1] * channels..];
        let work = Transposed {
            rows: channels,
            cols: (end - first) * width,
            from_row: self.plane(),
            width,
            line,
            step: channels,
        };
        assert!((end - first - 1) * line + width * channels <= to.len(), "the band has room for its lines");
        let from = &x[band.member * channels * self.plane() + (first - self.before[0]) * width..];
        // SAFETY: the last place is inside, as has been checked.
        unsafe { T::transpose(&work, from, to.as_mut_ptr()) }
        first - start..end - start
    }

    /// Filters of `w` as rows of lanes, element by element of a window.
    pub(super) fn pack_filters<T: Real>(&self, direct: Direct, w: &[T], to: &mut [T]) {
        let (taps, lanes, area) = (self.taps(), direct.lanes, self.kernel[0] * self.kernel[1]);
        to.fill(T::zero());
        for group in 0..self.groups {
            let from = &w[group * self.filters * taps..][..self.filters * taps];
            let to = &mut to[group * taps * lanes..][..taps * lanes];
            if self.is_reversed {
                for channel in 0..self.channels {
                    let from = &from[channel * self.filters * area..][..self.filters * area];
                    for element in 0..area {
                        let to = &mut to[((area - 1 - element) * self.channels + channel) * lanes..][..self.filters];
                        for filter in 0..to.len() {
                            to[filter] = from[filter * area + element];
                        }
                    }
                }
            } else {
                let step = self.channels * lanes;
                let work =
                    Transposed { rows: self.filters, cols: taps, from_row: taps, width: area, line: lanes, step };
                // SAFETY: the places are the rows of `taps·lanes` elements, and the filters are no more than lanes.
                unsafe { T::transpose(&work, from, to.as_mut_ptr()) }
            }
        }
    }

    /// The values, from planes and filters, which for a reversed convolution are those of the other one.
    pub(super) fn forward_direct<T: Real>(&self, direct: Direct, x: &[T], w: &[T], y: &mut [T], workspace: &mut [T]) {
        let (packed, workspace) = workspace.split_at_mut(self.packed_filters(direct));
        self.pack_filters(direct, w, packed);
        let (packed, size) = (&*packed, self.taps() * direct.lanes);
        let ([height, width], channels, area) = (self.kernel, self.channels, self.area());
        let line = direct.pitch * channels;
        let tasks = self.images * self.groups * direct.bands;
        let result = Pieces::new(y);
        divided(tasks, self.multiplications(), self.direct_room(direct), workspace, |range, scratch| {
            let (input, values) = scratch.split_at_mut(direct.room);
            input.fill(T::zero());
            for task in range {
                let band = self.band(direct, task);
                let lines = self.spread(direct, &band, x, input);
                let positions = band.lines * self.positions[1];
                let values = &mut values[..positions * direct.lanes];
                let windows = Windows {
                    a: &*input,
                    pitch: line,
                    lines,
                    blocks: band.lines,
                    block_lines: self.stride[0],
                    rows: self.positions[1],
                    a_row: self.stride[1] * channels,
                    runs: height,
                    run_lines: self.dilation[0],
                    steps: width * channels,
                    a_step: 1,
                    b: &packed[band.member % self.groups * size..][..size],
                    lanes: direct.lanes,
                };
                T::windows(&windows, false, values);
                let work = Transposed {
                    rows: positions,
                    cols: self.filters,
                    from_row: direct.lanes,
                    width: 1,
                    line: area,
                    step: 0,
                };
                let at = band.member * self.filters * area + band.first * self.positions[1];
                let to = result.start(at, (self.filters - 1) * area + positions);
                // SAFETY: the positions of this band in the planes of this member, which no other task has.
                unsafe { T::transpose(&work, values, to) }
            }
        });
    }

    /// The parts of the sums for the filters: their number, and the elements of each.
    fn parts(&self, direct: Direct) -> (usize, usize) {
        let parts = PARTS.div_ceil(self.groups).min(self.images * direct.bands);
        (parts, self.taps() * direct.lanes)
    }

    /// The same for the cotangent of the filters; `None` where the sums would take too much memory.
    pub(super) fn direct_weight<T: Real>(&self) -> Option<Direct> {
        let direct = self.direct::<T>()?;
        let (parts, size) = self.parts(direct);
        (parts * size * self.groups <= SUMS && self.positions[1] <= ROWS).then_some(direct)
    }

    fn direct_weight_sums(&self, direct: Direct) -> usize {
        let (parts, size) = self.parts(direct);
        (parts * size * self.groups).next_multiple_of(LANES)
    }

    pub(super) fn direct_weight_workspace(&self, direct: Direct) -> usize {
        let parts = self.parts(direct).0 * self.groups;
        self.direct_weight_sums(direct) + self.direct_room(direct) * workers(self.multiplications(), parts)
    }

    /// The cotangent of the filters.
    pub(super) fn backward_weight_direct<T: Real>(
        &self,
        direct: Direct,
        x: &[T],
        g: &[T],
        w: &mut [T],
        workspace: &mut [T],
    ) {
        let (parts, size) = self.parts(direct);
        let (taps, lanes, filters, area) = (self.taps(), direct.lanes, self.filters, self.area());
        let ([height, width], channels) = (self.kernel, self.channels);
        let line = direct.pitch * channels;
        let (sums, workspace) = workspace.split_at_mut(self.direct_weight_sums(direct));
        let into = Pieces::new(&mut *sums);
        let tasks = self.images * direct.bands;
        divided(parts * self.groups, self.multiplications(), self.direct_room(direct), workspace, |range, scratch| {
            let (input, cotangents) = scratch.split_at_mut(direct.room);
            cotangents.fill(T::zero());
            input.fill(T::zero());
            for number in range {
                let (group, part) = (number / parts, number % parts);
                // SAFETY: no other range has this number.
                let sums = unsafe { into.piece(number * size, size) };
                let tasks = part * tasks / parts..(part + 1) * tasks / parts;
                for task in tasks.clone() {
                    let mut band = self.band(direct, task);
                    band.member = band.member * self.groups + group;
                    let lines = self.spread(direct, &band, x, input);
                    let positions = band.lines * self.positions[1];
                    let cotangents = &mut cotangents[..positions * lanes];
                    let work = Transposed {
                        rows: filters,
                        cols: positions,
                        from_row: area,
                        width: positions,
                        line: 0,
                        step: lanes,
                    };
                    let from = &g[band.member * filters * area + band.first * self.positions[1]..];
                    // SAFETY: the places are the `positions·lanes` elements, and the filters are no more than lanes.
                    unsafe { T::transpose(&work, from, cotangents.as_mut_ptr()) }
                    let windows = Windows {
                        a: &*input,
                        pitch: line,
                        lines,
                        blocks: height,
                        block_lines: self.dilation[0],
                        rows: width * channels,
                        a_row: 1,
                        runs: band.lines,
                        run_lines: self.stride[0],
                        steps: self.positions[1],
                        a_step: self.stride[1] * channels,
                        b: cotangents,
                        lanes,
                    };
                    T::windows(&windows, task > tasks.start, sums);
                }
            }
        });
        let elements = height * width;
        for group in 0..self.groups {
            let (sums, others) = sums[group * parts * size..][..parts * size].split_at_mut(size);
            for other in others.chunks_exact(size) {
                sums.iter_mut().zip(other).for_each(|(sum, other)| *sum += *other);
            }
            for filter in 0..filters {
                let w = &mut w[(group * filters + filter) * taps..][..taps];
                for element in 0..elements {
                    for channel in 0..channels {
                        w[channel * elements + element] = sums[(element * channels + channel) * lanes + filter];
                    }
                }
            }
        }
    }
}
