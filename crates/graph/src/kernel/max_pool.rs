//! Max pooling of planes in vectors: the largest element of each window and its place, and the sum back into planes.
//!
//! A window is a span of rows times a span of columns. Neighbouring windows whose spans of columns are alike, which are
//! nearly all of them, are compared side by side in registers, element after element in row-major order: so the bits and
//! the choice among equal elements are those of a loop over one window.

use super::simd::Loop;
use crate::real::Real;

/// A range of an axis: `count` elements from `start`, `step` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first element.
    pub start: usize,
    /// The distance from one element to the next; at least 1.
    pub step: usize,
    /// The number of elements; at least one.
    pub count: usize,
}

/// The largest element of each window of some planes, and its index in the plane.
pub(crate) struct LargestOfWindows<'a, T> {
    /// The planes.
    pub(crate) x: &'a [T],
    /// Rows and columns of a plane; the spans lie within them.
    pub(crate) size: [usize; 2],
    pub(crate) rows: &'a [Span],
    pub(crate) columns: &'a [Span],
    pub(crate) values: &'a mut [T],
    pub(crate) indices: &'a mut [i64],
}

impl<T: Real> Loop for LargestOfWindows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x, size: [height, width], rows, columns, values, indices } = self;
        let count = columns.len();
        // Without windows there is nothing to write, and with one there are elements.
        if rows.is_empty() || count == 0 {
            return;
        }
        let (plane, windows) = (height * width, rows.len() * count);
        // Ranges and not iterators that are zipped: what is not marked as inline may be compiled for the oldest machine.
        for n in 0..values.len() / windows {
            let x = &x[n * plane..][..plane];
            let mut first = 0;
            while first < count {
                let alike = Alike::of(&columns[first..]);
                for k in 0..rows.len() {
                    let at = n * windows + k * count + first;
                    let (values, indices) = (&mut values[at..][..alike.windows], &mut indices[at..][..alike.windows]);
                    let line = Line { alike, rows: rows[k], width };
                    match alike.stride {
                        1 => line.run::<T, 1>(x, values, indices),
                        2 => line.run::<T, 2>(x, values, indices),
                        3 => line.run::<T, 3>(x, values, indices),
                        _ => line.run::<T, 0>(x, values, indices),
                    }
                }
                first += alike.windows;
            }
        }
    }
}

/// Neighbouring spans of one step and one count, at equal distances.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Alike {
    first: Span,
    /// How many.
    windows: usize,
    /// The distance from one start to the next.
    stride: usize,
}

impl Alike {
    /// The first spans of a list that are alike; the list is not empty.
    fn of(spans: &[Span]) -> Self {
        let first = spans[0];
        let stride = spans.get(1).map_or(1, |next| next.start.wrapping_sub(first.start));
        let alike = |(k, span): (usize, &Span)| {
            *span == Span { start: first.start.wrapping_add(stride.wrapping_mul(k)), ..first }
        };
        // What goes backwards stands alone.
        let backwards = stride > isize::MAX as usize;
        let windows = if backwards { 1 } else { spans.iter().enumerate().take_while(|&next| alike(next)).count() };
        Self { first, windows, stride: if windows == 1 { 1 } else { stride } }
    }
}

/// Windows side by side, over one span of rows.
#[derive(Clone, Copy)]
struct Line {
    alike: Alike,
    rows: Span,
    width: usize,
}

impl Line {
    /// The largest elements and their places; `STRIDE` is the stride, or 0 for any.
    #[inline(always)]
    fn run<T: Real, const STRIDE: usize>(self, x: &[T], values: &mut [T], indices: &mut [i64]) {
        let windows = values.len();
        let mut done = 0;
        while done < windows {
            // The last block reaches back over windows that are done.
            done += match windows {
                8.. => self.block::<T, STRIDE, 8>(x, done.min(windows - 8), values, indices),
                4.. => self.block::<T, STRIDE, 4>(x, done.min(windows - 4), values, indices),
                _ => self.block::<T, STRIDE, 1>(x, done, values, indices),
            };
        }
    }

    /// The same for `N` windows from one on; returns `N`.
    #[inline(always)]
    fn block<T: Real, const STRIDE: usize, const N: usize>(
        self,
        x: &[T],
        window: usize,
        values: &mut [T],
        indices: &mut [i64],
    ) -> usize {
        let stride = if STRIDE == 0 { self.alike.stride } else { STRIDE };
        let Span { start, step, count } = self.alike.first;
        let first = self.rows.start * self.width + start + window * stride;
        let (mut largest, mut place) = ([T::zero(); N], [0_i64; N]);
        let start = &x[first..][..(N - 1) * stride + 1];
        for lane in 0..N {
            largest[lane] = start[lane * stride];
        }
        for i in 0..self.rows.count {
            for j in 0..count {
                let further = i * self.rows.step * self.width + j * step;
                let x = &x[first + further..][..(N - 1) * stride + 1];
                for lane in 0..N {
                    // Selected without a branch, which would be unpredictable.
                    let x = x[lane * stride];
                    let larger = (x > largest[lane]) | (x.is_nan() & !largest[lane].is_nan());
                    largest[lane] = if larger { x } else { largest[lane] };
                    place[lane] = if larger { further as i64 } else { place[lane] };
                }
            }
        }
        let (values, indices) = (&mut values[window..][..N], &mut indices[window..][..N]);
        for lane in 0..N {
            values[lane] = largest[lane];
            // In this order the distances of the lanes are constants in a register.
            indices[lane] = (place[lane] + (lane * stride) as i64) + first as i64;
        }
        N
    }
}

/// Planes of zeros with the elements of `g` added at their indices, which are within a plane, in order.
pub(crate) struct AddAtIndices<'a, T> {
    pub(crate) g: &'a [T],
    pub(crate) indices: &'a [i64],
    /// Elements of `g` for each plane.
    pub(crate) count: usize,
    pub(crate) x: &'a mut [T],
    /// Elements of a plane.
    pub(crate) plane: usize,
}

impl<T: Real> Loop for AddAtIndices<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { g, indices, count, x, plane } = self;
        if count == 0 || plane == 0 {
            return x.fill(T::zero());
        }
        for n in 0..x.len() / plane {
            let (g, indices) = (&g[n * count..][..count], &indices[n * count..][..count]);
            let x = &mut x[n * plane..][..plane];
            x.fill(T::zero());
            for k in 0..count {
                x[indices[k] as usize] += g[k];
            }
        }
    }
}

/// Fewer than `most` spans within `size` elements, as samples.
#[cfg(any(test, feature = "proptest"))]
pub(crate) fn spans(size: usize, most: usize) -> impl proptest::strategy::Strategy<Value = Vec<Span>> {
    use proptest::prelude::*;

    let span = (0..size, 1..3_usize, 1..4_usize).prop_map(move |(start, step, count)| Span {
        start,
        step,
        count: count.min((size - start).div_ceil(step)),
    });
    prop::collection::vec(span, 0..most)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::simd::at_every_level;

    /// One window after another.
    fn plain(x: &[f32], width: usize, rows: &[Span], columns: &[Span]) -> Vec<(u32, i64)> {
        let places = |span: &Span| (0..span.count).map(|k| span.start + k * span.step).collect::<Vec<_>>();
        let mut results = Vec::new();
        for (rows, columns) in rows.iter().flat_map(|rows| columns.iter().map(move |columns| (rows, columns))) {
            let all = places(rows).into_iter().flat_map(|i| places(columns).into_iter().map(move |j| i * width + j));
            let best = all.reduce(|best, at| {
                let larger = x[at] > x[best] || (x[at].is_nan() && !x[best].is_nan());
                if larger { at } else { best }
            });
            let best = best.expect("a span has elements");
            results.push((x[best].to_bits(), best as i64));
        }
        results
    }

    fn regular(size: usize) -> impl Strategy<Value = Vec<Span>> {
        (1..=size.min(4), 1..5_usize, 1..3_usize).prop_map(move |(kernel, stride, step)| {
            let reach = (kernel - 1) * step + 1;
            let starts = (0..).map(|k| k * stride).take_while(|start| start + reach <= size);
            starts.map(|start| Span { start, step, count: kernel }).collect()
        })
    }

    /// Planes, rows and columns, spans of both.
    fn pools() -> impl Strategy<Value = (usize, [usize; 2], [Vec<Span>; 2])> {
        (0..3_usize, 1..8_usize, 1..40_usize).prop_flat_map(|(planes, height, width)| {
            let either = |size| prop_oneof![regular(size), spans(size, 6)];
            (either(height), either(width)).prop_map(move |(rows, columns)| (planes, [height, width], [rows, columns]))
        })
    }

    proptest! {
        #[test]
        fn blocks_find_what_a_loop_over_windows_finds(
            (planes, size, [rows, columns]) in pools(),
            draws in prop::collection::vec(0..9_usize, 3 * 8 * 40),
        ) {
            const VALUES: [f32; 9] =
                [0.0, -0.0, 1.0, 1.0, -2.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3.0];
            let plane = size[0] * size[1];
            let x: Vec<f32> = draws[..planes * plane].iter().map(|&draw| VALUES[draw]).collect();
            let expected: Vec<_> = x.chunks(plane).flat_map(|x| plain(x, size[1], &rows, &columns)).collect();
            let (mut values, mut indices) = (vec![7.0; expected.len()], vec![-7; expected.len()]);
            crate::kernel::simd::vectorized(LargestOfWindows {
                x: &x, size, rows: &rows, columns: &columns, values: &mut values, indices: &mut indices,
            });
            let found: Vec<_> = values.iter().map(|value| value.to_bits()).zip(indices.iter().copied()).collect();
            prop_assert_eq!(&found, &expected);

            let g: Vec<f32> = (0..found.len()).map(|k| k as f32 + 0.5).collect();
            let mut sums = vec![7.0; x.len()];
            crate::kernel::simd::vectorized(AddAtIndices {
                g: &g, indices: &indices, count: rows.len() * columns.len(), x: &mut sums, plane,
            });
            let mut plain = vec![0.0; x.len()];
            for (k, (&index, &g)) in indices.iter().zip(&g).enumerate() {
                plain[k / (rows.len() * columns.len()) * plane + index as usize] += g;
            }
            prop_assert_eq!(sums, plain);
        }
    }

    #[test]
    fn spans_at_equal_distances_are_alike() {
        let span = |start, count| Span { start, step: 1, count };
        let alike = |spans: &[Span]| (Alike::of(spans).windows, Alike::of(spans).stride);
        assert_eq!(alike(&[span(0, 2), span(2, 2), span(4, 2), span(6, 1)]), (3, 2));
        assert_eq!(alike(&[span(0, 1), span(1, 2)]), (1, 1));
        assert_eq!(alike(&[span(4, 2), span(2, 2), span(0, 2)]), (1, 1));
        assert_eq!(alike(&[span(3, 2), span(3, 2), span(3, 2)]), (3, 0));
        assert_eq!(alike(&[span(3, 2)]), (1, 1));
    }

    #[test]
    fn every_instruction_set_finds_the_same() {
        let x: Vec<f64> = (0..20 * 33).map(|k| f64::from((k * 37) % 101)).collect();
        let rows: Vec<Span> = (0..6).map(|k| Span { start: 3 * k, step: 1, count: 3 }).collect();
        let columns: Vec<Span> = (0..15).map(|k| Span { start: 2 * k, step: 1, count: 3 }).collect();
        struct Owned<'a>(&'a [f64], &'a [Span], &'a [Span]);
        impl Loop for Owned<'_> {
            type Output = (Vec<f64>, Vec<i64>);

            #[inline(always)]
            fn run(self) -> Self::Output {
                let (mut values, mut indices) = (vec![0.0; 90], vec![0; 90]);
                let Self(x, rows, columns) = self;
                let (values_of, indices_of) = (&mut values[..], &mut indices[..]);
                LargestOfWindows { x, size: [20, 33], rows, columns, values: values_of, indices: indices_of }.run();
                (values, indices)
            }
        }
        let results = at_every_level(|| Owned(&x, &rows, &columns));
        assert!(results.iter().all(|(_, result)| *result == results[0].1));
    }
}
