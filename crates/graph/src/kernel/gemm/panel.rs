//! The two inner loops of a product: packing a panel, and computing a tile from two panels.
//!
//! A tile is a small block of c whose sums stay in registers while the loop runs over k: at every step it takes one
//! number from each of its rows of a, and as many registers of one row of b as it is wide. Its rows of a may lie at
//! any strides; its rows of b must be contiguous. A packed panel holds, step after step of k, the numbers of the lanes
//! (columns of b, or rows of a) side by side, padded to whole registers; what the padding holds never reaches c.
//!
//! Order of sums: every element of c starts from zero, takes one multiply-add for each step, in order, and is then
//! written to c or added to it; what else is added to the product comes last. Neither the size of the tile nor the
//! element's position in it matters.

#![allow(unsafe_code)] // Raw pointers; whoever makes a `Panel` or a `Tile` answers for them.

use super::blocks::Rows;
use super::lanes::{Columns, Lanes};

/// A panel to be packed: lane `x` of step `l` is at `from + l·step + x·lane`, and goes to `to + l·pitch + x`.
pub(super) struct Panel<T> {
    pub(super) from: *const T,
    pub(super) step: isize,
    pub(super) lane: isize,
    /// How many steps.
    pub(super) steps: usize,
    /// How many lanes; at least one.
    pub(super) lanes: usize,
    /// Room for `steps · pitch` numbers.
    pub(super) to: *mut T,
    /// A multiple of the width of a register, and at least `lanes`.
    pub(super) pitch: usize,
}

/// A tile to be computed: `c = a·b`, `c += a·b`, and either with the addition of another matrix after it.
pub(super) struct Tile<T> {
    pub(super) steps: usize,
    pub(super) a: *const T,
    pub(super) a_row: isize,
    pub(super) a_col: isize,
    pub(super) b: *const T,
    pub(super) b_row: isize,
    /// Whether the last register of each step of b can be read whole.
    pub(super) b_is_padded: bool,
    pub(super) c: *mut T,
    pub(super) c_row: isize,
    /// Columns: more than all registers but the last hold, and at most what all hold.
    pub(super) width: usize,
    /// Whether to add to c.
    pub(super) accumulate: bool,
    /// What is added after that.
    pub(super) plus: Option<Rows<T>>,
    /// What is fetched into the caches meanwhile.
    pub(super) ahead: Ahead<T>,
}

/// Numbers that a tile fetches into the caches for a later one, a line at each step: after `lines` of them, `step` numbers
/// apart, it goes on `jump` numbers further. Nothing is read, so it may lead anywhere.
#[derive(Clone, Copy)]
pub(super) struct Ahead<T> {
    pub(super) data: *const T,
    pub(super) step: isize,
    pub(super) lines: usize,
    pub(super) jump: isize,
}

impl<T> Ahead<T> {
    /// A line that is near anyway.
    pub(super) fn nothing(c: *const T) -> Self {
        Ahead { data: c, step: 0, lines: usize::MAX, jump: 0 }
    }
}

/// Packs a panel.
///
/// # Safety
/// The machine has the instructions of `L`; every lane of every step can be read, and `to` has room for all steps.
#[inline(always)]
pub(super) unsafe fn pack<L: Lanes>(panel: &Panel<L::Scalar>) {
    let Panel { from, step, lane, steps, lanes, to, pitch } = *panel;
    // SAFETY: all reads are at lanes below `lanes` and steps below `steps`. All writes are at steps below `steps`, in
    // whole registers that start at multiples of the width below `lanes`, hence below `pitch`.
    unsafe {
        if lane == 1 && lanes == 2 * L::WIDTH {
            for l in 0..steps {
                let (from, to) = (from.offset(l as isize * step), to.add(l * pitch));
                let (x, y) = (L::load(from), L::load(from.add(L::WIDTH)));
                L::store(to, x);
                L::store(to.add(L::WIDTH), y);
            }
        } else if lane == 1 {
            let whole = (lanes - 1) / L::WIDTH * L::WIDTH;
            let mask = L::mask(lanes - whole);
            for l in 0..steps {
                let (from, to) = (from.offset(l as isize * step), to.add(l * pitch));
                for x in (0..whole).step_by(L::WIDTH) {
                    L::store(to.add(x), L::load(from.add(x)));
                }
                L::store(to.add(whole), L::load_part(from.add(whole), mask));
            }
        } else if step == 1 && steps >= L::WIDTH {
            for first in (0..lanes).step_by(L::WIDTH) {
                let from = from.offset(first as isize * lane);
                // A lane that is padding repeats the last one that is not.
                let last = lanes - first - 1;
                for l in (0..steps).step_by(L::WIDTH) {
                    // The last square reaches back over steps that are packed already.
                    let l = l.min(steps - L::WIDTH);
                    let from = from.add(l);
                    let to = &mut Packed { to: to.add(l * pitch + first), pitch };
                    if last + 1 >= L::WIDTH {
                        L::transpose(|x| from.offset(x as isize * lane), to);
                    } else {
                        L::transpose(|x| from.offset(x.min(last) as isize * lane), to);
                    }
                }
            }
        } else {
            for l in 0..steps {
                let (from, to) = (from.offset(l as isize * step), to.add(l * pitch));
                for x in 0..lanes {
                    *to.add(x) = *from.offset(x as isize * lane);
                }
            }
        }
    }
}

/// Packs `count` panels whose lanes lie side by side, step by step; the first `taller` ones have one lane more than the
/// panel that is given.
///
/// # Safety
/// As for [`pack`]; there is room for all panels, one after another; if there are several, the panel that is given has at
/// least half as many lanes as its pitch, [`Lanes::PITCH`].
#[inline(always)]
pub(super) unsafe fn pack_beside<L: Lanes>(panel: &Panel<L::Scalar>, count: usize, taller: usize) {
    let Panel { from, step, steps, lanes, to, .. } = *panel;
    // What follows the lanes of a panel is read with them, but not after the last panel.
    debug_assert!(count == 1 || 2 * lanes >= L::PITCH, "two panels have fewer lanes than what is read at once");
    let taller_whole = taller.min(count - 1);
    let kinds = [(taller_whole, lanes + 1), (count - 1 - taller_whole, lanes)];
    let last = lanes + usize::from(taller == count);
    let whole = (last - 1) / L::WIDTH * L::WIDTH;
    // SAFETY: as the caller promises; a panel that is not the last and the one after it have at least `PITCH` lanes.
    unsafe {
        let mask = L::mask(last - whole);
        for l in 0..steps {
            let (mut from, mut to) = (from.offset(l as isize * step), to.add(l * L::PITCH));
            for (count, lanes) in kinds {
                for _ in 0..count {
                    for x in (0..L::PITCH).step_by(L::WIDTH) {
                        L::store(to.add(x), L::load(from.add(x)));
                    }
                    (from, to) = (from.add(lanes), to.add(steps * L::PITCH));
                }
            }
            for x in (0..whole).step_by(L::WIDTH) {
                L::store(to.add(x), L::load(from.add(x)));
            }
            L::store(to.add(whole), L::load_part(from.add(whole), mask));
        }
    }
}

/// Columns that are written to a panel.
struct Packed<T> {
    to: *mut T,
    pitch: usize,
}

impl<L: Lanes> Columns<L> for Packed<L::Scalar> {
    #[inline(always)]
    unsafe fn take(&mut self, column: usize, x: L::Vector) {
        // SAFETY: as the caller promises, the panel has room for all columns.
        unsafe { L::store(self.to.add(column * self.pitch), x) }
    }
}

/// The steps of a tile that takes long enough for what it fetches to arrive.
pub(super) const FETCHING: usize = 32;

/// Whether a tile has enough work at each step to fetch something meanwhile.
#[inline(always)]
const fn is_large<L: Lanes, const H: usize>() -> bool {
    2 * H > L::HEIGHT
}

/// Whether a tile has enough lines, and enough work at each step, that they are fetched one at a step.
#[inline(always)]
const fn fetches_slowly<L: Lanes, const H: usize, const V: usize>() -> bool {
    is_large::<L, H>() && V > 1
}

/// Fetches all lines of a tile.
///
/// # Safety
/// The machine has the instructions of `L`.
#[inline(always)]
unsafe fn fetch<L: Lanes, const H: usize, const V: usize>(data: *const L::Scalar, row: isize) {
    for i in 0..H {
        for v in 0..V {
            // SAFETY: as the caller promises; nothing is read.
            unsafe { L::prefetch(data.wrapping_offset(i as isize * row).wrapping_add(v * L::WIDTH)) }
        }
    }
}

/// Computes a tile of `H` rows and `V` registers.
///
/// # Safety
/// The machine has the instructions of `L`; the `H` rows of a and the `width` columns of b can be read at every step,
/// and the `H × width` elements of c can be read and written and overlap with neither.
#[inline(always)]
pub(super) unsafe fn tile<L: Lanes, const H: usize, const V: usize>(tile: &Tile<L::Scalar>) {
    // SAFETY: as the caller promises.
    unsafe {
        // A line of c is fetched before it can be written, also one that is not read; by large tiles while they sum.
        if !L::IS_NARROW && tile.steps >= FETCHING && !fetches_slowly::<L, H, V>() {
            fetch::<L, H, V>(tile.c, tile.c_row);
            if let Some(Rows { data, row }) = tile.plus {
                fetch::<L, H, V>(data, row);
            }
        }
        let sums = L::sums::<H, V>(tile);
        write::<L, H, V>(tile, sums);
    }
}

/// Writes the sums of a tile to c, or adds them.
///
/// # Safety
/// As for [`tile`].
#[inline(always)]
unsafe fn write<L: Lanes, const H: usize, const V: usize>(tile: &Tile<L::Scalar>, mut sums: [[L::Vector; V]; H]) {
    let whole = (V - 1) * L::WIDTH;
    // SAFETY: as the caller promises; only the last register of a row can reach past `width`, and it is masked.
    unsafe {
        let mask = L::mask(tile.width - whole);
        // Loops of one thing each, which the compiler unrolls, so that no sum leaves its register before it is written. And
        // all rows are read before any is written: a masked store covers the rows after it, whose loads would wait until it
        // has left the store buffer.
        if tile.accumulate {
            for i in 0..H {
                let c = tile.c.offset(i as isize * tile.c_row);
                for v in 0..V - 1 {
                    sums[i][v] = L::add(L::load(c.add(v * L::WIDTH)), sums[i][v]);
                }
                sums[i][V - 1] = L::add(L::load_part(c.add(whole), mask), sums[i][V - 1]);
            }
        }
        if let Some(Rows { data, row }) = tile.plus {
            for i in 0..H {
                let plus = data.offset(i as isize * row);
                for v in 0..V - 1 {
                    sums[i][v] = L::add(sums[i][v], L::load(plus.add(v * L::WIDTH)));
                }
                sums[i][V - 1] = L::add(sums[i][V - 1], L::load_part(plus.add(whole), mask));
            }
        }
        let is_whole = tile.width == V * L::WIDTH;
        for i in 0..H {
            let c = tile.c.offset(i as isize * tile.c_row);
            for v in 0..V - 1 {
                L::store(c.add(v * L::WIDTH), sums[i][v]);
            }
            if is_whole {
                L::store(c.add(whole), sums[i][V - 1]);
            } else {
                L::store_part(c.add(whole), sums[i][V - 1], mask);
            }
        }
    }
}

/// The sums of a tile.
///
/// # Safety
/// As for [`tile`].
#[inline(always)]
pub(super) unsafe fn sums<L: Lanes, const H: usize, const V: usize>(tile: &Tile<L::Scalar>) -> [[L::Vector; V]; H] {
    let row = tile.a_row * size_of::<L::Scalar>() as isize;
    let whole = (V - 1) * L::WIDTH;
    // SAFETY: as the caller promises; only the last register of a row can reach past `width`, and then it is masked.
    unsafe {
        let mask = L::mask(tile.width - whole);
        let mut sums = [[L::zero(); V]; H];
        let (mut a, mut b) = (tile.a, tile.b);
        let (mut ahead, mut lines) = (tile.ahead.data, tile.ahead.lines);
        // The lines of c, and of what is added, one row after another at the first steps: all at once would fill the queue
        // of what is fetched, and what is read would wait behind them.
        let mut own = Rows { data: tile.c.cast_const(), row: tile.c_row };
        let mut plus = tile.plus.unwrap_or(own);
        let mut left = [V, if tile.steps >= FETCHING { H } else { 0 }];
        for _ in 0..tile.steps {
            if fetches_slowly::<L, H, V>() && left[1] > 0 {
                L::prefetch(own.data);
                L::prefetch(plus.data);
                (own, plus) = (own.at(0, L::WIDTH), plus.at(0, L::WIDTH));
                left[0] -= 1;
                if left[0] == 0 {
                    let back = V * L::WIDTH;
                    own.data = own.data.wrapping_offset(own.row).wrapping_sub(back);
                    plus.data = plus.data.wrapping_offset(plus.row).wrapping_sub(back);
                    left = [V, left[1] - 1];
                }
            }
            if is_large::<L, H>() {
                L::prefetch(ahead);
                ahead = ahead.wrapping_offset(tile.ahead.step);
                lines -= 1;
                if lines == 0 {
                    ahead = ahead.wrapping_offset(tile.ahead.jump);
                    lines = tile.ahead.lines;
                }
            }
            let mut line = [L::zero(); V];
            for v in 0..V - 1 {
                line[v] = L::load(b.add(v * L::WIDTH));
            }
            line[V - 1] = L::load_part(b.add(whole), mask);
            // Three rows are reached from one base, by the address modes of the machine: few registers, few additions.
            let mut base = a;
            for i in 0..H {
                let x = L::splat(base.byte_offset((i % 3) as isize * row));
                for v in 0..V {
                    sums[i][v] = L::multiply_add(x, line[v], sums[i][v]);
                }
                if i % 3 == 2 && i + 1 < H {
                    base = base.byte_offset(3 * row);
                }
            }
            a = a.wrapping_offset(tile.a_col);
            b = b.wrapping_offset(tile.b_row);
        }
        sums
    }
}

/// Computes a tile as [`tile`] does, of columns of b that lie apart: the numbers of a column are contiguous, and `b_row` is
/// the step from one column to the next. Squares of b are transposed in registers and used there, which for a few rows of
/// a takes less time than packing a panel.
///
/// # Safety
/// As for [`tile`].
#[inline(always)]
pub(super) unsafe fn apart<L: Lanes, const H: usize, const V: usize>(tile: &Tile<L::Scalar>) {
    let squares = tile.steps - tile.steps % L::WIDTH;
    // SAFETY: as the caller promises; a lane beyond the last column repeats that column, and is never written.
    unsafe {
        let mut sums = [Sums::<L, H> { sums: [L::zero(); H], a: tile.a, row: tile.a_row, col: tile.a_col }; V];
        for step in (0..squares).step_by(L::WIDTH) {
            for v in 0..V {
                let (first, last) = (v * L::WIDTH, tile.width - v * L::WIDTH - 1);
                let from = tile.b.offset(first as isize * tile.b_row).add(step);
                if last + 1 >= L::WIDTH {
                    L::transpose(|x| from.offset(x as isize * tile.b_row), &mut sums[v]);
                } else {
                    L::transpose(|x| from.offset(x.min(last) as isize * tile.b_row), &mut sums[v]);
                }
                sums[v].a = sums[v].a.wrapping_offset(L::WIDTH as isize * tile.a_col);
            }
        }
        for step in squares..tile.steps {
            for v in 0..V {
                let (first, last) = (v * L::WIDTH, tile.width - v * L::WIDTH - 1);
                let from = tile.b.offset(first as isize * tile.b_row).add(step);
                let mut line = [*from; WIDEST];
                for x in 0..L::WIDTH {
                    line[x] = *from.offset(x.min(last) as isize * tile.b_row);
                }
                sums[v].take(0, L::load(line.as_ptr()));
                sums[v].a = sums[v].a.wrapping_offset(tile.a_col);
            }
        }
        let mut rows = [[L::zero(); V]; H];
        for v in 0..V {
            for i in 0..H {
                rows[i][v] = sums[v].sums[i];
            }
        }
        write::<L, H, V>(tile, rows);
    }
}

/// The most numbers in a register.
const WIDEST: usize = 16;

/// The sums of a register of columns: each column is multiplied with a number of each row of a, and added.
#[derive(Clone, Copy)]
struct Sums<L: Lanes, const H: usize> {
    sums: [L::Vector; H],
    /// The rows of a at the next step.
    a: *const L::Scalar,
    row: isize,
    col: isize,
}

impl<L: Lanes, const H: usize> Columns<L> for Sums<L, H> {
    #[inline(always)]
    unsafe fn take(&mut self, column: usize, x: L::Vector) {
        for i in 0..H {
            // SAFETY: as the caller promises, the rows of a can be read at the steps of all columns.
            unsafe {
                let a = L::splat(self.a.offset(i as isize * self.row + column as isize * self.col));
                self.sums[i] = L::multiply_add(a, x, self.sums[i]);
            }
        }
    }
}
