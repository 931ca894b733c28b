//! Rows that are written as columns: images whose numbers lie plane by plane become images whose channels lie side by
//! side, as [`windows`](super::windows) reads them, and back.
//!
//! Before and after, for two planes of three pixels:
//!
//! ```text
//! a₀ a₁ a₂          a₀ b₀
//! b₀ b₁ b₂          a₁ b₁
//!                   a₂ b₂
//! ```
//!
//! Squares as wide as a register are transposed in registers. The places of the columns need not be equally far apart: they
//! may lie in lines, so that the result has room for padding ([`Transposed`]).

#![allow(unsafe_code)] // Raw pointers, checked at the entry but for the places that are written.

#[cfg(target_arch = "x86_64")]
use super::lanes::{Avx2, Avx512};
use super::lanes::{Columns, Lanes, Portable};
#[cfg(target_arch = "x86_64")]
use crate::kernel::simd::{Level, level};

/// The most numbers in a register.
const WIDEST: usize = 16;

/// How many registers ahead rows are fetched.
const AHEAD: usize = 2;

/// Rows to be written as columns: number `col` of row `row`, at `row·from_row + col`, goes to
/// `col / width · line + col % width · step + row`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transposed {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) from_row: usize,
    pub(crate) width: usize,
    pub(crate) line: usize,
    pub(crate) step: usize,
}

/// A number whose rows can be written as columns; sealed, since [`Gemm`](super::Gemm) is.
pub trait Transposable: Copy + Default + Send + Sync + 'static {
    /// Writes rows as columns.
    ///
    /// # Panics
    /// If the rows leave their buffer.
    ///
    /// # Safety
    /// All places at `to` can be written, and nothing else reaches them meanwhile.
    #[doc(hidden)]
    #[allow(private_interfaces)]
    unsafe fn transpose(work: &Transposed, from: &[Self], to: *mut Self);
}

/// Columns that go to places of their own.
struct Scattered<'a, L: Lanes> {
    to: *mut L::Scalar,
    places: &'a [usize; WIDEST],
    /// The columns that there are.
    cols: usize,
    /// The rows that there are, if not a whole register.
    part: Option<L::Mask>,
}

impl<L: Lanes> Columns<L> for Scattered<'_, L> {
    #[inline(always)]
    unsafe fn take(&mut self, column: usize, x: L::Vector) {
        if column >= self.cols {
            return;
        }
        // SAFETY: as the caller promises, all places can be written.
        unsafe {
            let to = self.to.add(self.places[column]);
            match self.part {
                None => L::store(to, x),
                Some(mask) => L::store_part(to, x, mask),
            }
        }
    }
}

/// Writes rows as columns, in squares of registers if each row can be read for `readable` numbers.
///
/// # Safety
/// The machine has the instructions of `L`; all rows can be read for as long, and all places be written.
#[inline(always)]
unsafe fn transpose<L: Lanes>(work: &Transposed, from: *const L::Scalar, readable: usize, to: *mut L::Scalar) {
    let Transposed { rows, cols, from_row, width, line, step } = *work;
    // SAFETY: as the caller promises; rows and columns are below their counts.
    unsafe {
        if rows == 1 || readable < L::WIDTH {
            let mut first = 0;
            while first < cols {
                let (count, to) = (width.min(cols - first), to.add(first / width * line));
                for row in 0..rows {
                    let (from, to) = (from.add(row * from_row + first), to.add(row));
                    if step == 1 {
                        for k in 0..count {
                            *to.add(k) = *from.add(k);
                        }
                    } else {
                        for k in 0..count {
                            *to.add(k * step) = *from.add(k);
                        }
                    }
                }
                first += count;
            }
            return;
        }
        let mut places = [0; WIDEST];
        for first in (0..cols).step_by(L::WIDTH) {
            // The last square reaches back over columns that are written already.
            let first = first.min(readable - L::WIDTH);
            let (mut start, mut at) = (first / width * line, first % width);
            for place in &mut places[..L::WIDTH] {
                *place = start + at * step;
                at += 1;
                if at == width {
                    (start, at) = (start + line, 0);
                }
            }
            for row in (0..rows).step_by(L::WIDTH) {
                let (from, last) = (from.add(row * from_row + first), rows - row - 1);
                let to = to.add(row);
                if last + 1 >= L::WIDTH {
                    // Too many rows for the machine to see by itself that each is read in order.
                    for x in 0..L::WIDTH {
                        L::prefetch(from.add(x * from_row).wrapping_add(AHEAD * L::WIDTH));
                    }
                    let columns = &mut Scattered::<L> { to, places: &places, cols: cols - first, part: None };
                    L::transpose(|x| from.add(x * from_row), columns);
                } else {
                    let columns =
                        &mut Scattered::<L> { to, places: &places, cols: cols - first, part: Some(L::mask(last + 1)) };
                    L::transpose(|x| from.add(x.min(last) * from_row), columns);
                }
            }
        }
    }
}

/// The transposition for one instruction set.
macro_rules! compiled {
    ($transpose:ident, $($features:literal)?) => {
        $(#[target_feature(enable = $features)])?
        unsafe fn $transpose<L: Lanes>(
            work: &Transposed,
            from: *const L::Scalar,
            readable: usize,
            to: *mut L::Scalar,
        ) {
            // SAFETY: the caller's conditions are the same.
            unsafe { transpose::<L>(work, from, readable, to) }
        }
    };
}
compiled!(transpose_old,);
#[cfg(target_arch = "x86_64")]
compiled!(transpose_avx2, "avx2,fma");
#[cfg(target_arch = "x86_64")]
compiled!(transpose_avx512, "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma");

macro_rules! precision {
    ($t:ty) => {
        impl Transposable for $t {
            #[allow(private_interfaces)]
            unsafe fn transpose(work: &Transposed, from: &[$t], to: *mut $t) {
                let Transposed { rows, cols, from_row, .. } = *work;
                if rows == 0 || cols == 0 {
                    return;
                }
                let last = (rows - 1).checked_mul(from_row);
                let readable = last.and_then(|last| from.len().checked_sub(last)).unwrap_or(0);
                assert!(cols <= readable, "rows to be transposed leave their buffer");
                let from = from.as_ptr();
                // SAFETY: all rows lie in their buffer, and all places can be written, as the caller promises; the
                // instruction set was found on this machine.
                unsafe {
                    #[cfg(target_arch = "x86_64")]
                    match level() {
                        Level::Avx512 if rows.min(cols) <= Avx2::<$t>::WIDTH || readable < Avx512::<$t>::WIDTH => {
                            return transpose_avx512::<Avx2<$t>>(work, from, readable, to);
                        }
                        Level::Avx512 => return transpose_avx512::<Avx512<$t>>(work, from, readable, to),
                        Level::Avx2 => return transpose_avx2::<Avx2<$t>>(work, from, readable, to),
                        Level::Old => {}
                    }
                    transpose_old::<Portable<$t>>(work, from, readable, to);
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

    /// The function of each instruction set of this machine.
    macro_rules! all {
        ($name:ident, $t:ty) => {
            fn $name() -> Vec<unsafe fn(&Transposed, *const $t, usize, *mut $t)> {
                #[allow(unused_mut)]
                let mut all: Vec<unsafe fn(&Transposed, *const $t, usize, *mut $t)> =
                    vec![transpose_old::<Portable<$t>>];
                #[cfg(target_arch = "x86_64")]
                {
                    if matches!(level(), Level::Avx2 | Level::Avx512) {
                        all.push(transpose_avx2::<Avx2<$t>>);
                    }
                    if matches!(level(), Level::Avx512) {
                        all.push(transpose_avx512::<Avx2<$t>>);
                        all.push(transpose_avx512::<Avx512<$t>>);
                    }
                }
                all
            }
        };
    }
    all!(singles, f32);
    all!(doubles, f64);

    proptest! {
        #[test]
        fn rows_become_columns(
            rows in 1..40_usize, cols in 1..70_usize, gap in 0..3_usize, width in 1..40_usize, step in 1..60_usize,
            more in 0..20_usize,
        ) {
            // Places that do not overlap: steps of as many elements as there are rows, or lines of them.
            let step = if rows == 1 { step.min(2) } else { rows + step % 3 };
            let line = width * step + gap;
            let work = Transposed { rows, cols, from_row: cols + gap, width, line, step };
            let from: Vec<f64> = (0..(rows - 1) * work.from_row + cols + more).map(|k| k as f64).collect();
            let size = (cols - 1) / width * line + (width - 1) * step + rows;
            let mut expected = vec![0.5; size];
            for (row, col) in (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col))) {
                expected[col / width * line + col % width * step + row] = from[row * work.from_row + col];
            }
            for transpose in doubles() {
                let mut found = vec![0.5; size];
                // SAFETY: all rows lie in their buffer, and all places in theirs.
                unsafe { transpose(&work, from.as_ptr(), cols + more, found.as_mut_ptr()) }
                prop_assert_eq!(&found, &expected);
            }
            for transpose in singles() {
                let (from, mut found) = (from.iter().map(|&x| x as f32).collect::<Vec<_>>(), vec![0.5_f32; size]);
                // SAFETY: all rows lie in their buffer, and all places in theirs.
                unsafe { transpose(&work, from.as_ptr(), cols + more, found.as_mut_ptr()) }
                prop_assert!(found.iter().zip(&expected).all(|(&x, &y)| f64::from(x) == y));
            }
        }
    }

    #[test]
    fn rows_that_leave_their_buffer_are_refused() {
        let work = Transposed { rows: 3, cols: 4, from_row: 5, width: 4, line: 12, step: 3 };
        let refuses = |work: Transposed, len: usize| {
            let mut to = [0.0; 12];
            // SAFETY: the places are 0..12, as many as there are.
            let run = || unsafe { f64::transpose(&work, &vec![1.0; len], to.as_mut_ptr()) };
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err()
        };
        assert!(!refuses(work, 14));
        assert!(refuses(work, 13));
        assert!(refuses(Transposed { from_row: 6, ..work }, 14));
        assert!(refuses(Transposed { from_row: usize::MAX, ..work }, 14));
        assert!(!refuses(Transposed { rows: 0, ..work }, 0));
    }
}
