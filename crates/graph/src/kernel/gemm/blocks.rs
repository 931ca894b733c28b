//! The outer loops of a product: which blocks of a and b are packed, and in which order the tiles of c are computed.
//!
//! Blocking (after Goto): c is divided into wide bands of columns, k into blocks; the block of b that they share is
//! packed into panels that stay in the L2 cache. Then, panel by panel, the rows of a are packed into the L1 cache and
//! meet all panels of b. What would not repay its packing is read where it lies: b when it meets few rows of a or is
//! small, and its rows are contiguous; a when it is small or meets few columns of b. Up to [`APART`] rows of a meet
//! contiguous columns of b, such as a vector the rows of a matrix, without any packing.
//!
//! Order of sums: k is divided into equal blocks of at most [`STEPS`], by k alone; the sums of the blocks are added to
//! c in order. So each element of c has the same bits whatever m, n, the strides and the tile that it falls into.

#![allow(unsafe_code)] // Raw pointers; whoever makes a `Product` answers for them.

use super::lanes::{Kernel, Lanes};
use super::panel::{Panel, Tile};

/// The most steps of k that are summed before the sum is added to c.
pub(super) const STEPS: usize = 384;
/// Bytes of packed b; most of a usual L2 cache.
const BAND: usize = 768 << 10;
/// The bytes that a block may be spread over and still be read where it lies: a quarter of a usual L2 cache,
/// and no more pages than the first-level TLB holds. Packing such a block costs more than it saves.
const NEAR: usize = 256 << 10;
/// The same for a block of b that only a few panels of rows will read.
const FAR: usize = 4 * NEAR;
/// The most registers side by side in a packed panel of b, so that the panel fits into the L1 cache.
const PACKED: usize = 2;
/// The most rows of a that meet the columns of b where they lie, if these lie apart; for three, packing takes less time.
const APART: usize = 2;
/// The alignment of packed panels.
const LINE: usize = 64;

/// A matrix behind a pointer.
#[derive(Clone, Copy)]
pub(super) struct Strided<T> {
    pub(super) data: *const T,
    pub(super) row: isize,
    pub(super) col: isize,
}

/// Contiguous rows behind a pointer.
#[derive(Clone, Copy)]
pub(super) struct Rows<T> {
    pub(super) data: *const T,
    /// The step from one row to the next; 0 repeats the row.
    pub(super) row: isize,
}

/// A product to be computed: `c = a·b`, `c += a·b` or `c = a·b + plus`, no size being zero.
#[derive(Clone, Copy)]
pub(super) struct Product<T> {
    pub(super) m: usize,
    pub(super) k: usize,
    pub(super) n: usize,
    pub(super) a: Strided<T>,
    pub(super) b: Strided<T>,
    pub(super) accumulate: bool,
    /// What the finished sums are added to. If there is one column, its rows have no gaps.
    pub(super) plus: Option<Rows<T>>,
    pub(super) c: *mut T,
    /// The step from one row of c to the next; its rows are contiguous.
    pub(super) c_row: isize,
}

impl<T> Rows<T> {
    /// The rows from row `i` and column `j` on.
    pub(super) fn at(self, i: usize, j: usize) -> Self {
        Self { data: self.data.wrapping_offset(i as isize * self.row).wrapping_add(j), ..self }
    }
}

/// The length of the blocks that k is divided into.
pub(super) fn block(k: usize) -> usize {
    if k <= STEPS { k } else { k.div_ceil(k.div_ceil(STEPS)) }
}

/// How many of `n` columns of b are packed together.
#[inline(always)]
fn band<L: Lanes>(steps: usize, n: usize) -> usize {
    let room = BAND / size_of::<L::Scalar>();
    let widest = L::WIDTH * L::vectors(1);
    // Divisions take longer than the smallest products.
    if n <= room / STEPS { n } else { n.min((room / steps / widest).max(1) * widest) }
}

/// Elements of workspace that [`run`] needs.
pub(super) fn room<L: Lanes>(m: usize, k: usize, n: usize) -> usize {
    if m == 0 || k == 0 || n == 0 {
        return 0;
    }
    let (m, n) = if n == 1 { (n, m) } else { (m, n) };
    let steps = block(k);
    let lanes = band::<L>(steps, n).next_multiple_of(L::WIDTH) + m.min(L::HEIGHT).next_multiple_of(L::WIDTH);
    steps * lanes + LINE / size_of::<L::Scalar>()
}

/// Computes a product.
///
/// # Safety
/// The machine has the instructions of `L`; a and b can be read and c be read and written wherever the sizes and
/// strides reach; `workspace` has room for [`room`] elements; c and the workspace overlap with nothing else.
#[inline(always)]
pub(super) unsafe fn run<L: Lanes>(product: &Product<L::Scalar>, workspace: *mut L::Scalar) {
    let mut product = *product;
    if product.n == 1 && product.c_row == 1 {
        // A column is the transpose of a row, and a row fills registers.
        let Product { m, n, a, b, .. } = product;
        (product.m, product.n) = (n, m);
        product.a = Strided { data: b.data, row: b.col, col: b.row };
        product.b = Strided { data: a.data, row: a.col, col: a.row };
        product.c_row = m as isize;
    }
    let Product { m, k, n, a, b, accumulate, plus, c, c_row } = product;
    let size = size_of::<L::Scalar>();
    let steps = block(k);
    let rows = m.div_ceil(L::HEIGHT);
    let highest = m.div_ceil(rows);
    let within = |bytes: usize, (rows, row): (usize, isize), (cols, col): (usize, isize)| {
        (rows - 1) * row.unsigned_abs() + (cols - 1) * col.unsigned_abs() < bytes / size
    };
    let direct_a = n <= 4 * L::WIDTH || within(NEAR, (m, a.row), (steps, a.col));
    let direct_b = b.col == 1
        && match rows {
            0..=2 => true,
            3..=4 => within(FAR, (steps, b.row), (n, 1)),
            _ => within(NEAR, (steps, b.row), (n, 1)),
        };
    if m <= APART && b.row == 1 && !direct_b {
        // SAFETY: as the caller promises.
        return unsafe { few_rows::<L>(&product) };
    }
    let registers = if direct_b { L::vectors(highest) } else { L::vectors(highest).min(PACKED) };
    let band = match (rows, direct_b) {
        (1, true) => n,
        // A panel that is used once is used while it is near.
        (1, false) => n.min(registers * L::WIDTH),
        _ => band::<L>(steps, n),
    };
    let packed_b = workspace.wrapping_add(workspace.align_offset(LINE));
    let packed_a = packed_b.wrapping_add(if direct_b { 0 } else { steps * band.next_multiple_of(L::WIDTH) });
    let pitch_a = highest.next_multiple_of(L::WIDTH);
    // SAFETY: the loops visit every row, column and step once, and none beyond; the panels of b take
    // `steps · band` elements of the workspace, rounded up to whole registers, and the panel of a `steps · pitch_a`.
    unsafe {
        for first_column in (0..n).step_by(band) {
            let columns = band.min(n - first_column);
            let b = Strided { data: b.data.offset(first_column as isize * b.col), ..b };
            for first_step in (0..k).step_by(steps) {
                let steps = steps.min(k - first_step);
                let plus = plus.filter(|_| first_step + steps == k);
                let b = Strided { data: b.data.offset(first_step as isize * b.row), ..b };
                if !direct_b {
                    for (j, vectors, width) in Panels::<L>::new(columns, registers) {
                        L::pack(&Panel {
                            from: b.data.offset(j as isize * b.col),
                            step: b.row,
                            lane: b.col,
                            steps,
                            lanes: width,
                            to: packed_b.add(j * steps),
                            pitch: vectors * L::WIDTH,
                        });
                    }
                }
                let mut i = 0;
                for row in 0..rows {
                    let height = m / rows + usize::from(row < m % rows);
                    let mut a = Strided { data: a.data.offset(i as isize * a.row + first_step as isize * a.col), ..a };
                    if !direct_a {
                        L::pack(&Panel {
                            from: a.data,
                            step: a.col,
                            lane: a.row,
                            steps,
                            lanes: height,
                            to: packed_a,
                            pitch: pitch_a,
                        });
                        a = Strided { data: packed_a, row: 1, col: pitch_a as isize };
                    }
                    for (j, vectors, width) in Panels::<L>::new(columns, registers) {
                        let (from, b_row) = if direct_b {
                            (b.data.add(j), b.row)
                        } else {
                            (packed_b.add(j * steps).cast_const(), (vectors * L::WIDTH) as isize)
                        };
                        L::kernel(height, vectors)(&Tile {
                            steps,
                            a: a.data,
                            a_row: a.row,
                            a_col: a.col,
                            b: from,
                            b_row,
                            c: c.offset(i as isize * c_row).add(first_column + j),
                            c_row,
                            width,
                            accumulate: accumulate || first_step > 0,
                            plus: plus.map(|plus| plus.at(i, first_column + j)),
                        });
                    }
                    i += height;
                }
            }
        }
    }
}

/// Computes a product of a few rows, for a b whose columns are contiguous, without packing.
///
/// # Safety
/// As for [`run`]; there are 1 to [`APART`] rows.
unsafe fn few_rows<L: Lanes>(product: &Product<L::Scalar>) {
    let Product { m, k, n, a, b, accumulate, plus, c, c_row } = *product;
    let (steps, most) = (block(k), 2 * L::WIDTH);
    for first_column in (0..n).step_by(most) {
        for first_step in (0..k).step_by(steps) {
            let width = most.min(n - first_column);
            let kernel: Kernel<L::Scalar> = match (m, width > L::WIDTH) {
                (1, false) => L::apart::<1, 1>,
                (1, true) => L::apart::<1, 2>,
                (_, false) => L::apart::<2, 1>,
                (_, true) => L::apart::<2, 2>,
            };
            // SAFETY: every column and step is visited once, and none beyond.
            unsafe {
                kernel(&Tile {
                    steps: steps.min(k - first_step),
                    a: a.data.offset(first_step as isize * a.col),
                    a_row: a.row,
                    a_col: a.col,
                    b: b.data.offset(first_column as isize * b.col).add(first_step),
                    b_row: b.col,
                    c: c.add(first_column),
                    c_row,
                    width,
                    accumulate: accumulate || first_step > 0,
                    plus: plus.filter(|_| first_step + steps >= k).map(|plus| plus.at(0, first_column)),
                });
            }
        }
    }
}

/// The panels that the columns are divided into: the first column of each, its registers, and its columns.
struct Panels<L> {
    next: usize,
    columns: usize,
    registers: usize,
    lanes: std::marker::PhantomData<L>,
}

impl<L: Lanes> Panels<L> {
    #[inline(always)]
    fn new(columns: usize, registers: usize) -> Self {
        Panels { next: 0, columns, registers, lanes: std::marker::PhantomData }
    }
}

impl<L: Lanes> Iterator for Panels<L> {
    type Item = (usize, usize, usize);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let left = self.columns - self.next;
        if left == 0 {
            return None;
        }
        let mut registers = self.registers;
        // Only the last register of a panel may be partly empty, so the rest of a row takes ever fewer.
        while registers > 1 && (registers - 1) * L::WIDTH >= left {
            registers /= 2;
        }
        // Nor may the empty part reach into the last but one.
        let width = left.min(registers * L::WIDTH);
        let first = self.next;
        self.next += width;
        Some((first, registers, width))
    }
}
