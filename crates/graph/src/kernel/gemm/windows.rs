//! Products with a matrix of windows, which is read where the numbers lie and never made.
//!
//! A convolution multiplies windows of an image with filters. If the numbers of all channels of a pixel lie side by
//! side, then a row of a window is contiguous, the next window begins a pixel further, and the next row of windows a line
//! of the image further: every element of the matrix of windows is at a sum of four multiples ([`Windows`]). The kernel
//! is a tile of [`panel`](super::panel) with one more loop: single numbers of the windows meet registers of the
//! other factor, whose lanes are the filters. The same product with rows and steps exchanged is the derivative with
//! respect to the filters. [`Transposed`](super::Transposed) brings planes into this order, and back.
//!
//! Order of sums: an element of the result is a chain of multiply-adds over the steps of some runs, at most [`STEPS`]
//! where a run is not longer, and these sums are added in order. It depends on runs and steps alone.

#![allow(unsafe_code)] // Raw pointers, checked at the entries.

use std::ops::Range;

use super::blocks::STEPS;
#[cfg(target_arch = "x86_64")]
use super::lanes::{Avx2, Avx512};
use super::lanes::{Lanes, Portable};
#[cfg(target_arch = "x86_64")]
use crate::kernel::simd::{Level, level};

/// The product of a matrix of windows with a matrix of `lanes` columns.
///
/// Row `(block, row)` and column `(run, step)` of the windows is the number `row·a_row + step·a_step` of line
/// `block·block_lines + run·run_lines`, and zero if there is no such line.
#[derive(Clone, Debug)]
pub(crate) struct Windows<'a, T> {
    pub(crate) a: &'a [T],
    /// The distance from one line to the next.
    pub(crate) pitch: usize,
    /// The lines that `a` holds.
    pub(crate) lines: Range<usize>,
    pub(crate) blocks: usize,
    pub(crate) block_lines: usize,
    /// Rows of a block.
    pub(crate) rows: usize,
    pub(crate) a_row: usize,
    pub(crate) runs: usize,
    pub(crate) run_lines: usize,
    /// Steps of a run.
    pub(crate) steps: usize,
    pub(crate) a_step: usize,
    /// The other factor, row-major, with a row for each step of each run.
    pub(crate) b: &'a [T],
    /// Its columns, as many as [`Windowed::lanes`] says.
    pub(crate) lanes: usize,
}

/// A number that windows can be multiplied in; sealed, since [`Gemm`](super::Gemm) is.
pub trait Windowed: Copy + Default + Send + Sync + 'static {
    /// The lanes that `count` filters take: whole registers.
    #[doc(hidden)]
    fn lanes(count: usize) -> usize;

    /// `c = a·b`, or `c += a·b`, row-major.
    ///
    /// # Panics
    /// If a factor leaves its buffer, or c has another size.
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn windows(product: &Windows<'_, Self>, accumulate: bool, c: &mut [Self]);
}

/// A tile of the product.
struct Tile<T> {
    a: *const T,
    a_row: usize,
    runs: usize,
    a_run: usize,
    steps: usize,
    a_step: usize,
    b: *const T,
    b_row: usize,
    c: *mut T,
    c_row: usize,
    accumulate: bool,
}

/// Computes a tile of `H` rows and `V` registers.
///
/// # Safety
/// The machine has the instructions of `L`; all elements of the factors can be read and those of c be read and written.
#[inline(always)]
unsafe fn tile<L: Lanes, const H: usize, const V: usize>(tile: &Tile<L::Scalar>) {
    // SAFETY: as the caller promises. Pointers to what comes after the last element are made but not followed.
    unsafe {
        let mut sums = [[L::zero(); V]; H];
        let (mut run, mut b) = (tile.a, tile.b);
        for _ in 0..tile.runs {
            let mut a = run;
            for _ in 0..tile.steps {
                let mut line = [L::zero(); V];
                for v in 0..V {
                    line[v] = L::load(b.add(v * L::WIDTH));
                }
                // Three rows are reached from one base, by the address modes of the machine.
                let mut base = a;
                for i in 0..H {
                    let x = L::splat(base.add(i % 3 * tile.a_row));
                    for v in 0..V {
                        sums[i][v] = L::multiply_add(x, line[v], sums[i][v]);
                    }
                    if i % 3 == 2 && i + 1 < H {
                        base = base.add(3 * tile.a_row);
                    }
                }
                a = a.wrapping_add(tile.a_step);
                b = b.wrapping_add(tile.b_row);
            }
            run = run.wrapping_add(tile.a_run);
        }
        for i in 0..H {
            for v in 0..V {
                let c = tile.c.add(i * tile.c_row + v * L::WIDTH);
                let sum = if tile.accumulate { L::add(L::load(c), sums[i][v]) } else { sums[i][v] };
                L::store(c, sum);
            }
        }
    }
}

/// Computes a tile of at most `MOST` rows.
///
/// # Safety
/// As for [`tile`].
#[inline(always)]
unsafe fn tile_of<L: Lanes, const MOST: usize, const V: usize>(height: usize, work: &Tile<L::Scalar>) {
    macro_rules! heights {
        ($($height:literal)+) => {
            match height {
                // SAFETY: as the caller promises.
                $($height if $height <= MOST => unsafe { tile::<L, $height, V>(work) },)+
                _ => unreachable!("a tile of {height} rows"),
            }
        };
    }
    heights!(1 2 3 4 5 6 7 8 9 10 11 12 13 14)
}

/// Computes a product in tiles of at most `MOST` rows.
///
/// # Safety
/// The machine has the instructions of `L`; the factors lie inside their buffers, and the lanes are whole registers;
/// c has `blocks·rows·lanes` elements.
#[inline(always)]
unsafe fn product<L: Lanes, const MOST: usize>(product: &Windows<'_, L::Scalar>, accumulate: bool, c: *mut L::Scalar) {
    let Windows { a, pitch, ref lines, blocks, block_lines, rows, a_row, runs, run_lines, steps, a_step, b, lanes } =
        *product;
    let groups = runs.div_ceil((STEPS / steps).max(1));
    let most = runs.div_ceil(groups);
    let tiles = rows.div_ceil(MOST);
    // SAFETY: every row, lane, and run with a line is visited once, and none beyond; where no run has a line the pointers
    // to the factors are not followed.
    unsafe {
        for block in 0..blocks {
            let at = block * block_lines;
            let start = lines.start.saturating_sub(at).div_ceil(run_lines).min(runs);
            let end = lines.end.saturating_sub(at).div_ceil(run_lines).clamp(start, runs);
            let from = if start < end { at + start * run_lines - lines.start } else { 0 };
            let mut row = 0;
            for number in 0..tiles {
                let height = rows / tiles + usize::from(number < rows % tiles);
                let a = a.as_ptr().wrapping_add(from * pitch + row * a_row);
                let c = c.add((block * rows + row) * lanes);
                let mut lane = 0;
                while lane < lanes {
                    let is_wide = lanes - lane >= 2 * L::WIDTH;
                    let mut first = start;
                    // At least once, since there may be zeros to write.
                    while first < end || first == start {
                        let work = Tile {
                            a: a.wrapping_add((first - start) * run_lines * pitch),
                            a_row,
                            runs: most.min(end - first),
                            a_run: run_lines * pitch,
                            steps,
                            a_step,
                            b: b.as_ptr().wrapping_add(first * steps * lanes + lane),
                            b_row: lanes,
                            c: c.add(lane),
                            c_row: lanes,
                            accumulate: accumulate || first > start,
                        };
                        first += most;
                        if is_wide {
                            tile_of::<L, MOST, 2>(height, &work);
                        } else {
                            tile_of::<L, MOST, 1>(height, &work);
                        }
                    }
                    lane += if is_wide { 2 * L::WIDTH } else { L::WIDTH };
                }
                row += height;
            }
        }
    }
}

/// The product for one instruction set.
macro_rules! compiled {
    ($product:ident, $($features:literal)?) => {
        $(#[target_feature(enable = $features)])?
        unsafe fn $product<L: Lanes, const MOST: usize>(
            work: &Windows<'_, L::Scalar>,
            accumulate: bool,
            c: *mut L::Scalar,
        ) {
            // SAFETY: the caller's conditions are the same.
            unsafe { product::<L, MOST>(work, accumulate, c) }
        }
    };
}
compiled!(product_old,);
#[cfg(target_arch = "x86_64")]
compiled!(product_avx2, "avx2,fma");
#[cfg(target_arch = "x86_64")]
compiled!(product_avx512, "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma");

impl<T> Windows<'_, T> {
    /// # Panics
    /// If a factor leaves its buffer, or c has another size.
    fn expect_inside(&self, c: usize) {
        let Self { blocks, rows, runs, steps, lanes, .. } = *self;
        let reach = |count: usize, step: usize| (count - 1).checked_mul(step);
        let last = |steps: [(usize, usize); 2]| {
            steps.into_iter().try_fold(0_usize, |sum, (count, step)| sum.checked_add(reach(count, step)?))
        };
        let is_inside = self.lines.is_empty()
            || last([(self.lines.len(), self.pitch), (1, 0)])
                .zip(last([(rows, self.a_row), (steps, self.a_step)]))
                .and_then(|(line, place)| line.checked_add(place))
                .is_some_and(|last| last < self.a.len());
        let is_right = is_inside
            && self.run_lines > 0
            && last([(blocks, self.block_lines), (runs, self.run_lines)]).is_some()
            && runs.checked_mul(steps).and_then(|steps| steps.checked_mul(lanes)) == Some(self.b.len())
            && blocks.checked_mul(rows).and_then(|rows| rows.checked_mul(lanes)) == Some(c);
        assert!(is_right, "a product of windows leaves its buffers");
    }
}

macro_rules! precision {
    ($t:ty) => {
        impl Windowed for $t {
            fn lanes(count: usize) -> usize {
                #[cfg(target_arch = "x86_64")]
                match level() {
                    // Few filters take half a register, of which this machine computes two at a time.
                    Level::Avx512 if count <= Avx2::<$t>::WIDTH => return Avx2::<$t>::WIDTH,
                    Level::Avx512 => return count.next_multiple_of(Avx512::<$t>::WIDTH),
                    Level::Avx2 => return count.next_multiple_of(Avx2::<$t>::WIDTH),
                    Level::Old => {}
                }
                count.next_multiple_of(Portable::<$t>::WIDTH)
            }

            #[allow(private_interfaces)]
            fn windows(product: &Windows<'_, $t>, accumulate: bool, c: &mut [$t]) {
                let Windows { blocks, rows, runs, steps, lanes, .. } = *product;
                if c.is_empty() {
                    return;
                }
                if runs == 0 || steps == 0 {
                    if !accumulate {
                        c.fill(0.0);
                    }
                    return;
                }
                assert!(blocks > 0 && rows > 0 && lanes == Self::lanes(lanes), "whole registers of lanes");
                product.expect_inside(c.len());
                let c = c.as_mut_ptr();
                // SAFETY: the factors lie inside their buffers, c has the size of the product, and the lanes are whole
                // registers; the instruction set was found on this machine.
                unsafe {
                    #[cfg(target_arch = "x86_64")]
                    match level() {
                        Level::Avx512 if lanes <= Avx2::<$t>::WIDTH => {
                            return product_avx512::<Avx2<$t>, 14>(product, accumulate, c);
                        }
                        Level::Avx512 => return product_avx512::<Avx512<$t>, 14>(product, accumulate, c),
                        Level::Avx2 => return product_avx2::<Avx2<$t>, 6>(product, accumulate, c),
                        Level::Old => {}
                    }
                    product_old::<Portable<$t>, 4>(product, accumulate, c);
                }
            }
        }
    };
}
precision!(f32);
precision!(f64);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The product of each instruction set of this machine, with the lanes of a register.
    type Compiled<T> = (usize, unsafe fn(&Windows<'_, T>, bool, *mut T));

    macro_rules! all {
        ($name:ident, $t:ty) => {
            fn $name() -> Vec<Compiled<$t>> {
                #[allow(unused_mut)]
                let mut all: Vec<Compiled<$t>> = vec![(Portable::<$t>::WIDTH, product_old::<Portable<$t>, 4>)];
                #[cfg(target_arch = "x86_64")]
                {
                    if matches!(level(), Level::Avx2 | Level::Avx512) {
                        all.push((Avx2::<$t>::WIDTH, product_avx2::<Avx2<$t>, 6>));
                    }
                    if matches!(level(), Level::Avx512) {
                        all.push((Avx2::<$t>::WIDTH, product_avx512::<Avx2<$t>, 14>));
                        all.push((Avx512::<$t>::WIDTH, product_avx512::<Avx512<$t>, 14>));
                    }
                }
                all
            }
        };
    }
    all!(singles, f32);
    all!(doubles, f64);

    fn numbers(count: usize, seed: usize) -> Vec<f64> {
        // Small integers, whose sums are exact in any order.
        (0..count).map(|k| ((k * 7919 + seed * 104_729) % 17) as f64 - 8.0).collect()
    }

    /// A product whose lines may be missing at both ends.
    fn windows() -> impl Strategy<Value = (Windows<'static, f64>, usize)> {
        let sizes = (1..5_usize, 1..3_usize, 1..30_usize, 1..4_usize, 1..9_usize, 1..3_usize);
        (sizes, 1..40_usize, 1..3_usize, 1..4_usize, 0..3_usize, 0..3_usize).prop_map(
            |((blocks, block_lines, rows, a_row, runs, run_lines), steps, a_step, registers, missing, short)| {
                let all = (blocks - 1) * block_lines + (runs - 1) * run_lines + 1;
                let lines = missing..(all - short.min(all)).max(missing);
                let pitch = (rows - 1) * a_row + (steps - 1) * a_step + 1;
                let (a, b) = (&[][..], &[][..]);
                let product = Windows {
                    a,
                    pitch,
                    lines,
                    blocks,
                    block_lines,
                    rows,
                    a_row,
                    runs,
                    run_lines,
                    steps,
                    a_step,
                    b,
                    lanes: 0,
                };
                (product, registers)
            },
        )
    }

    /// The product by its definition, added to c.
    fn plain(product: &Windows<'_, f64>, c: &mut [f64]) {
        for (k, c) in c.iter_mut().enumerate() {
            let (block, row) = (k / product.lanes / product.rows, k / product.lanes % product.rows);
            for (run, step) in (0..product.runs).flat_map(|run| (0..product.steps).map(move |step| (run, step))) {
                let line = block * product.block_lines + run * product.run_lines;
                if product.lines.contains(&line) {
                    let at = (line - product.lines.start) * product.pitch + row * product.a_row + step * product.a_step;
                    *c += product.a[at] * product.b[(run * product.steps + step) * product.lanes + k % product.lanes];
                }
            }
        }
    }

    fn single(numbers: &[f64]) -> Vec<f32> {
        numbers.iter().map(|&x| x as f32).collect()
    }

    proptest! {
        #[test]
        fn products_are_those_of_plain_loops((product, registers) in windows(), accumulate in any::<bool>()) {
            let a = numbers(product.lines.len() * product.pitch, 1);
            for (width, multiply) in doubles() {
                let lanes = registers * width;
                let b = numbers(product.runs * product.steps * lanes, 2);
                let product = Windows { a: &a, b: &b, lanes, ..product.clone() };
                let mut found = numbers(product.blocks * product.rows * lanes, 3);
                let mut expected = if accumulate { found.clone() } else { vec![0.0; found.len()] };
                plain(&product, &mut expected);
                product.expect_inside(found.len());
                // SAFETY: the factors lie inside their buffers, and lanes are whole registers.
                unsafe { multiply(&product, accumulate, found.as_mut_ptr()) }
                prop_assert_eq!(&found, &expected);
                if lanes == f64::lanes(lanes) {
                    found = numbers(found.len(), 3);
                    f64::windows(&product, accumulate, &mut found);
                    prop_assert_eq!(&found, &expected);
                }
            }
            for (width, multiply) in singles() {
                let lanes = registers * width;
                let b = numbers(product.runs * product.steps * lanes, 2);
                let product = Windows { a: &a, b: &b, lanes, ..product.clone() };
                let mut expected = vec![0.0; product.blocks * product.rows * lanes];
                plain(&product, &mut expected);
                let (a, b, mut found) = (single(&a), single(&b), vec![7.0; expected.len()]);
                let Windows { pitch, ref lines, blocks, block_lines, rows, a_row, .. } = product;
                let Windows { runs, run_lines, steps, a_step, .. } = product;
                let product = Windows {
                    a: &a, pitch, lines: lines.clone(), blocks, block_lines, rows, a_row, runs, run_lines, steps, a_step,
                    b: &b, lanes,
                };
                product.expect_inside(found.len());
                // SAFETY: the factors lie inside their buffers, and lanes are whole registers.
                unsafe { multiply(&product, false, found.as_mut_ptr()) }
                prop_assert_eq!(found, single(&expected));
            }
        }
    }

    #[test]
    fn what_leaves_a_buffer_is_refused() {
        let (a, b) = (vec![1.0; 12], vec![1.0; 6 * f64::lanes(8)]);
        let right = Windows {
            a: &a,
            pitch: 4,
            lines: 0..3,
            blocks: 2,
            block_lines: 1,
            rows: 2,
            a_row: 1,
            runs: 2,
            run_lines: 1,
            steps: 3,
            a_step: 1,
            b: &b,
            lanes: f64::lanes(8),
        };
        let refuses = |product: &Windows<'_, f64>, size: usize| {
            let run = || f64::windows(product, false, &mut vec![0.0; size]);
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err()
        };
        let size = 4 * right.lanes;
        assert!(!refuses(&right, size));
        assert!(refuses(&right, size - 1) && refuses(&right, size + 1));
        let wrong = [
            Windows { a: &a[1..], ..right.clone() },
            Windows { b: &b[1..], ..right.clone() },
            Windows { lines: 0..4, ..right.clone() },
            Windows { a_row: 2, ..right.clone() },
            Windows { pitch: usize::MAX, ..right.clone() },
            Windows { run_lines: usize::MAX, ..right.clone() },
            Windows { run_lines: 0, ..right.clone() },
        ];
        for (number, wrong) in wrong.iter().enumerate() {
            assert!(refuses(wrong, size), "{number}");
        }
    }
}
