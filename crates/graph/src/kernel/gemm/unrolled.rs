//! The sums of a tile for machines with 16 registers, in assembly, several steps at a time.
//!
//! Before, as the compiler writes the loop of [`panel`](super::panel): every step moves the pointers and looks after what
//! is fetched into the caches, with as many instructions as multiply and add; the addresses of six rows are a chain of
//! additions; a tile of three rows and four registers has 17 values for 16 registers. And it does not get better by itself:
//! of several steps it loads the numbers at once, and then there are far too few registers. After: a round of
//! [`UNROLLED`] steps moves two pointers to rows of a (the others are at one or two strides from them) and one to b, at a
//! price of three additions a step, and looks after the rest once.
//!
//! Order of sums: as in [`panel`](super::panel), step after step.

#![allow(unsafe_code)] // Assembly on raw pointers; whoever makes a `Tile` answers for them.

use std::arch::asm;
use std::arch::x86_64::{__m256, __m256d};

use super::blocks::Rows;
use super::lanes::{Avx2, Lanes};
use super::panel::{FETCHING, Tile};

/// Steps in a round.
const UNROLLED: usize = 4;

/// Pointers that move from step to step, and what they move by, in bytes.
struct Moving<T> {
    /// The first row of a.
    first: *const T,
    /// The fourth.
    fourth: *const T,
    row: isize,
    col: isize,
    b: *const T,
    b_row: isize,
    /// What is fetched.
    line: *const T,
    ahead: isize,
    /// The mask of the last register of b.
    mask: *const T,
}

/// The text of a row of a tile: one number of a, and the sums that it adds to.
macro_rules! row {
    ($p:tt, $at:literal, $($sum:literal $line:literal)+) => {
        concat!(
            "vbroadcasts", $p, " ymm14, [", $at, "]\n",
            $("vfmadd231p", $p, " ymm", $sum, ", ymm14, ymm", $line, "\n"),+
        )
    };
}

/// The text of all rows.
macro_rules! rows {
    ($p:tt, 1, 1) => { row!($p, "{first}", 0 12) };
    ($p:tt, 2, 1) => { concat!(rows!($p, 1, 1), row!($p, "{first} + {row}", 1 12)) };
    ($p:tt, 3, 1) => { concat!(rows!($p, 2, 1), row!($p, "{first} + 2*{row}", 2 12)) };
    ($p:tt, 4, 1) => { concat!(rows!($p, 3, 1), row!($p, "{fourth}", 3 12)) };
    ($p:tt, 5, 1) => { concat!(rows!($p, 4, 1), row!($p, "{fourth} + {row}", 4 12)) };
    ($p:tt, 6, 1) => { concat!(rows!($p, 5, 1), row!($p, "{fourth} + 2*{row}", 5 12)) };
    ($p:tt, 1, 2) => { row!($p, "{first}", 0 12 1 13) };
    ($p:tt, 2, 2) => { concat!(rows!($p, 1, 2), row!($p, "{first} + {row}", 2 12 3 13)) };
    ($p:tt, 3, 2) => { concat!(rows!($p, 2, 2), row!($p, "{first} + 2*{row}", 4 12 5 13)) };
    ($p:tt, 4, 2) => { concat!(rows!($p, 3, 2), row!($p, "{fourth}", 6 12 7 13)) };
    ($p:tt, 5, 2) => { concat!(rows!($p, 4, 2), row!($p, "{fourth} + {row}", 8 12 9 13)) };
    ($p:tt, 6, 2) => { concat!(rows!($p, 5, 2), row!($p, "{fourth} + 2*{row}", 10 12 11 13)) };
}

/// The text of a register of b and the sums that it adds to, each with the register of its row.
macro_rules! column {
    ($p:tt, $load:expr, $($sum:literal $row:literal)+) => {
        concat!($load, $("vfmadd231p", $p, " ymm", $sum, ", ymm15, ymm", $row, "\n"),+)
    };
}

/// The text of a step. Two registers of b and one number of a after another; or four registers of b, one after another.
macro_rules! step {
    ($p:tt, $height:tt, 1, $last:tt) => {
        concat!(load!(12, "0", $last), rows!($p, $height, 1), moving!($height))
    };
    ($p:tt, $height:tt, 2, $last:tt) => {
        concat!(load!(12, "0", "whole"), load!(13, "32", $last), rows!($p, $height, 2), moving!($height))
    };
    ($p:tt, $height:tt, 4, $last:tt) => {
        concat!(splats!($p, $height), columns!($p, $height, $last), moving!("few"))
    };
}

macro_rules! splats {
    ($p:tt, 1) => {
        concat!("vbroadcasts", $p, " ymm12, [{first}]\n")
    };
    ($p:tt, 2) => {
        concat!(splats!($p, 1), "vbroadcasts", $p, " ymm13, [{first} + {row}]\n")
    };
    ($p:tt, 3) => {
        concat!(splats!($p, 2), "vbroadcasts", $p, " ymm14, [{first} + 2*{row}]\n")
    };
}

macro_rules! columns {
    ($p:tt, 1, $last:tt) => {
        concat!(
            column!($p, load!(15, "0", "whole"), 0 12), column!($p, load!(15, "32", "whole"), 1 12),
            column!($p, load!(15, "64", "whole"), 2 12), column!($p, load!(15, "96", $last), 3 12)
        )
    };
    ($p:tt, 2, $last:tt) => {
        concat!(
            column!($p, load!(15, "0", "whole"), 0 12 4 13), column!($p, load!(15, "32", "whole"), 1 12 5 13),
            column!($p, load!(15, "64", "whole"), 2 12 6 13), column!($p, load!(15, "96", $last), 3 12 7 13)
        )
    };
    ($p:tt, 3, $last:tt) => {
        concat!(
            column!($p, load!(15, "0", "whole"), 0 12 4 13 8 14), column!($p, load!(15, "32", "whole"), 1 12 5 13 9 14),
            column!($p, load!(15, "64", "whole"), 2 12 6 13 10 14), column!($p, load!(15, "96", $last), 3 12 7 13 11 14)
        )
    };
}

/// The text that loads a register of b. The mask is no longer needed when the register is full.
macro_rules! load {
    ($to:tt, $at:tt, "whole") => {
        concat!("vmovups ymm", $to, ", [{b} + ", $at, "]\n")
    };
    ($to:tt, $at:tt, "part") => {
        concat!("vmovups ymm", $to, ", [{mask}]\n", "vmaskmovps ymm", $to, ", ymm", $to, ", [{b} + ", $at, "]\n")
    };
}

/// The text that goes on to the next step. A tile of many rows has the time to fetch a line.
macro_rules! moving {
    (4) => {
        moving!("many")
    };
    (5) => {
        moving!("many")
    };
    (6) => {
        moving!("many")
    };
    ("many") => {
        concat!("prefetcht0 [{line}]\nadd {line}, {ahead}\nadd {fourth}, {col}\n", moving!("few"))
    };
    ($few:tt) => {
        "add {first}, {col}\nadd {b}, {b_row} /* {fourth} {row} {line} {ahead} {mask} */\n"
    };
}

/// One step of a tile, or a round of them, of any height and width. Sum `v` of row `i` is register `i·V + v`.
macro_rules! steps {
    ($p:tt, $is_round:literal, $sums:ident, $moving:ident) => {
        steps! {
            $p, $is_round, $sums, $moving:
            1 1, 2 1, 3 1, 4 1, 5 1, 6 1, 1 2, 2 2, 3 2, 4 2, 5 2, 6 2, 1 4, 2 4, 3 4
        }
    };
    ($p:tt, $is_round:literal, $sums:ident, $moving:ident: $($height:tt $vectors:tt),+) => {
        $(if const { H == $height && V == $vectors } {
            match (WHOLE, $is_round) {
                (true, true) => steps!(@four step!($p, $height, $vectors, "whole"), $sums, $moving),
                (true, false) => steps!(@text step!($p, $height, $vectors, "whole"), $sums, $moving),
                (false, true) => steps!(@four step!($p, $height, $vectors, "part"), $sums, $moving),
                (false, false) => steps!(@text step!($p, $height, $vectors, "part"), $sums, $moving),
            }
        })+
    };
    (@four $text:expr, $sums:ident, $moving:ident) => {
        steps!(@text concat!($text, $text, $text, $text), $sums, $moving)
    };
    (@text $text:expr, $sums:ident, $moving:ident) => {
        asm!(
            $text,
            first = inout(reg) $moving.first,
            fourth = inout(reg) $moving.fourth,
            row = in(reg) $moving.row,
            col = in(reg) $moving.col,
            b = inout(reg) $moving.b,
            b_row = in(reg) $moving.b_row,
            line = inout(reg) $moving.line,
            ahead = in(reg) $moving.ahead,
            mask = in(reg) $moving.mask,
            inout("ymm0") $sums[0],
            inout("ymm1") $sums[1],
            inout("ymm2") $sums[2],
            inout("ymm3") $sums[3],
            inout("ymm4") $sums[4],
            inout("ymm5") $sums[5],
            inout("ymm6") $sums[6],
            inout("ymm7") $sums[7],
            inout("ymm8") $sums[8],
            inout("ymm9") $sums[9],
            inout("ymm10") $sums[10],
            inout("ymm11") $sums[11],
            out("ymm12") _,
            out("ymm13") _,
            out("ymm14") _,
            out("ymm15") _,
            options(nostack, readonly),
        )
    };
}

macro_rules! precision {
    ($name:ident, $t:ty, $vector:ty, $p:tt) => {
        /// The sums of a tile. `WHOLE` says that the last registers of b can be read whole.
        ///
        /// # Safety
        /// The machine has AVX2 and FMA; else as for [`super::panel::tile`]. The first lanes of the mask, as many as
        /// there are columns in the last register, are ones.
        #[target_feature(enable = "avx2,fma")]
        #[inline]
        pub(super) unsafe fn $name<const H: usize, const V: usize, const WHOLE: bool>(
            tile: &Tile<$t>,
            mask: *const $t,
        ) -> [[$vector; V]; H] {
            const SIZE: isize = size_of::<$t>() as isize;
            // SAFETY: the machine has the registers.
            let mut sums = [unsafe { Avx2::<$t>::zero() }; 12];
            let row = tile.a_row * SIZE;
            let mut moving = Moving {
                first: tile.a,
                fourth: tile.a.wrapping_byte_offset(3 * row),
                row,
                col: tile.a_col * SIZE,
                b: tile.b,
                b_row: tile.b_row * SIZE,
                line: tile.ahead.data,
                ahead: tile.ahead.step * SIZE,
                mask,
            };
            // SAFETY: as the caller promises: rows, steps and registers are those of the tile. Pointers to what comes after
            // the last are made but not followed.
            unsafe {
                if tile.steps < FETCHING {
                    for _ in 0..tile.steps / UNROLLED {
                        steps!($p, true, sums, moving);
                    }
                } else {
                    // The lines of c, and of what is added, a row of them at each of the first rounds: all at once would
                    // fill the queue of what is fetched, and what is read would wait behind them.
                    let mut own = Rows { data: tile.c.cast_const(), row: tile.c_row };
                    let mut plus = tile.plus.unwrap_or(own);
                    let (mut rows, mut lines) = (H, tile.ahead.lines as isize);
                    let last = tile.width - 1;
                    for _ in 0..tile.steps / UNROLLED {
                        if rows > 0 {
                            for data in [own.data, plus.data] {
                                Avx2::<$t>::prefetch(data);
                                Avx2::<$t>::prefetch(data.wrapping_add(last));
                            }
                            (own, plus) = (own.at(1, 0), plus.at(1, 0));
                            rows -= 1;
                        }
                        steps!($p, true, sums, moving);
                        if H > 3 {
                            lines -= UNROLLED as isize;
                            if lines <= 0 {
                                moving.line = moving.line.wrapping_offset(lines * tile.ahead.step + tile.ahead.jump);
                                lines = tile.ahead.lines as isize;
                            }
                        }
                    }
                }
                for _ in 0..tile.steps % UNROLLED {
                    steps!($p, false, sums, moving);
                }
            }
            let mut rows = [[sums[0]; V]; H];
            for i in 0..H {
                for v in 0..V {
                    rows[i][v] = sums[i * V + v];
                }
            }
            rows
        }
    };
}

precision!(singles, f32, __m256, "s");
precision!(doubles, f64, __m256d, "d");
