//! The outer loops of a product: which blocks of a and b are packed, and in which order the tiles of c are computed.
//!
//! Blocking (after Goto): c is divided into wide bands of columns, k into blocks; the block of b that they share is
//! packed into panels that stay in the L2 cache, each when the first rows of a meet it. Panel by panel, the rows of a
//! are packed into the L1 cache and meet all panels of b. What would not repay its packing is read where it lies: b
//! when it meets few rows of a or is small, and its rows are contiguous; a when it is small or meets few columns of b.
//! A machine of narrow registers ([`Lanes::IS_NARROW`]) takes longer for each number of a, so that it reads all rows of a
//! that are contiguous where they lie; and packs several panels of a at once where the columns are.
//! While a tile is computed, what is packed next, of a or b, is fetched from farther caches. Up to [`APART`] rows of a
//! meet contiguous columns of b, such as a vector the rows of a matrix, without any packing. What several products have
//! as b is packed before them, once and whole ([`pack`]). Where a is much smaller than b, the two change their roles
//! ([`columns`]).
//!
//! Order of sums: k is divided into equal blocks of at most [`STEPS`], by k alone; the sums of the blocks are added to
//! c in order. So each element of c has the same bits whatever m, n, the strides and the tile that it falls into.

#![allow(unsafe_code)] // Raw pointers; whoever makes a `Product` answers for them.

use super::lanes::{Kernel, Lanes};
use super::panel::{Ahead, Panel, Tile};
use super::{columns, narrow};

/// The most steps of k that are summed before the sum is added to c.
pub(super) const STEPS: usize = 384;
/// Bytes of packed b; most of a usual L2 cache.
const BAND: usize = 768 << 10;
/// The bytes that a block may be spread over and still be read where it lies: a quarter of a usual L2 cache,
/// and no more pages than the first-level TLB holds. Packing such a block costs more than it saves.
pub(super) const NEAR: usize = 256 << 10;
/// The same for a block of b that only a few panels of rows will read.
const FAR: usize = 4 * NEAR;
/// The same for a block of a whose rows are not contiguous, on narrow machines.
const SMALL: usize = 16 << 10;
/// The most registers side by side in a packed panel of b, so that the panel fits into the L1 cache.
pub(super) const PACKED: usize = 2;
/// The most rows of a that meet the columns of b where they lie, if these lie apart; for three, packing takes less time.
const APART: usize = 2;
/// Columns that lie in whole panels of packed b, on every machine.
pub(super) const WIDE: usize = 32;
/// The alignment of packed panels.
pub(super) const LINE: usize = 64;

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

/// A matrix b in panels behind a pointer, as [`pack`] makes them.
#[derive(Clone, Copy)]
pub(super) struct Panels<T> {
    pub(super) data: *const T,
    /// [`packed_lanes`] of the whole matrix.
    pub(super) lanes: usize,
    /// The first column that is meant; a panel begins with it.
    pub(super) first: usize,
}

/// The right factor of a product.
#[derive(Clone, Copy)]
pub(super) enum Right<T> {
    Matrix(Strided<T>),
    Panels(Panels<T>),
}

/// A product to be computed: `c = a·b`, `c += a·b` or `c = a·b + plus`, no size being zero.
#[derive(Clone, Copy)]
pub(super) struct Product<T> {
    pub(super) m: usize,
    pub(super) k: usize,
    pub(super) n: usize,
    pub(super) a: Strided<T>,
    pub(super) b: Right<T>,
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

/// Whether as many lines, this many bytes apart, are in so few sets of a usual L1 cache that they drive each other out.
#[inline(always)]
fn collide(lines: usize, bytes: usize) -> bool {
    const SETS: usize = 4096;
    const WAYS: usize = 4;
    let apart = (bytes & bytes.wrapping_neg()).min(SETS);
    apart > LINE && lines > WAYS * (SETS / apart)
}

/// The most panels of a that are packed at once.
#[inline(always)]
fn most_beside<L: Lanes>() -> usize {
    if L::IS_NARROW { LINE / 2 / size_of::<L::Scalar>() } else { 1 }
}

/// How many panels of a are packed at once: several if its columns are contiguous, so that lines of the cache are read as
/// wholes.
#[inline(always)]
pub(super) fn beside<L: Lanes>(m: usize, a: Strided<L::Scalar>) -> usize {
    // Enough rows that each panel has half the lanes of its pitch.
    if a.row == 1 && m >= L::PITCH { most_beside::<L>() } else { 1 }
}

/// Packs the panel of a that begins with row `a`, and those [beside](beside) it: `row` of `rows` panels of `m` rows.
///
/// # Safety
/// The machine has the instructions of `L`; the rows can be read, and `to` has room for all panels.
#[inline(always)]
pub(super) unsafe fn pack_rows<L: Lanes>(
    a: Strided<L::Scalar>,
    [m, rows, row, beside]: [usize; 4],
    [steps, pitch]: [usize; 2],
    to: *mut L::Scalar,
) {
    let (lanes, taller) = (m / rows, (m % rows).saturating_sub(row));
    let panel = Panel { from: a.data, step: a.col, lane: a.row, steps, lanes, to, pitch };
    // SAFETY: as the caller promises.
    unsafe {
        if beside == 1 {
            L::pack(&Panel { lanes: lanes + usize::from(taller > 0), ..panel });
        } else {
            let count = beside.min(rows - row);
            L::pack_beside(&panel, count, taller.min(count));
        }
    }
}

/// A line of each step of the panels that are packed together after the one of row `a`, if there are any left to fetch.
#[inline(always)]
pub(super) fn ahead_beside<T>(a: Strided<T>, [m, rows, row, beside]: [usize; 4]) -> Option<Ahead<T>> {
    let (at, height) = (row % beside, m.div_ceil(rows));
    let line = at * (LINE / size_of::<T>());
    let is_there = row - at + beside < rows && line < beside * height;
    let data = a.data.wrapping_add((beside - at) * height + line);
    is_there.then_some(Ahead { data, step: a.col, lines: usize::MAX, jump: 0 })
}

/// How many of `n` columns of b are packed together.
#[inline(always)]
fn band<L: Lanes>(steps: usize, n: usize, bytes: usize) -> usize {
    let room = bytes / size_of::<L::Scalar>();
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
    let lanes = band::<L>(steps, n, BAND).next_multiple_of(L::WIDTH)
        + L::PITCH * if m > L::HEIGHT { most_beside::<L>() } else { 1 };
    let columns = if columns::suits::<L>(m, steps, n) { columns::room::<L>(m, steps) } else { 0 };
    let narrow = narrow::room::<L>(m, k, n);
    columns.max(steps * lanes).max(narrow) + LINE / size_of::<L::Scalar>()
}

/// Computes a product.
///
/// # Safety
/// The machine has the instructions of `L`; a and b can be read and c be read and written wherever the sizes and
/// strides reach; `workspace` has room for [`room`] elements; c and the workspace overlap with nothing else.
#[inline(always)]
pub(super) unsafe fn run<L: Lanes>(product: &Product<L::Scalar>, workspace: *mut L::Scalar) {
    if let Right::Matrix(b) = product.b
        && b.col == 1
        && product.m <= L::HEIGHT
        && product.k <= STEPS
        && (2..=4 * L::WIDTH).contains(&product.n)
    {
        // SAFETY: as the caller promises.
        return unsafe { one_row_of_tiles::<L>(product, b) };
    }
    let mut product = *product;
    if let Right::Matrix(b) = product.b
        && narrow::suits::<L>(product.m, product.k, product.n, product.a)
    {
        // SAFETY: as the caller promises.
        return unsafe { narrow::run::<L>(&product, b, workspace) };
    }
    if let (Right::Matrix(b), 1, 1) = (product.b, product.n, product.c_row) {
        // A column is the transpose of a row, and a row fills registers.
        let Product { m, n, a, .. } = product;
        (product.m, product.n) = (n, m);
        product.a = Strided { data: b.data, row: b.col, col: b.row };
        product.b = Right::Matrix(Strided { data: a.data, row: a.col, col: a.row });
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
    let direct_a = n <= 4 * L::WIDTH
        || match L::IS_NARROW {
            // Rows that are contiguous are read in order.
            true => a.col == 1 || within(SMALL, (m, a.row), (steps, a.col)),
            false => within(NEAR, (m, a.row), (steps, a.col)) && !collide(highest, a.row.unsigned_abs() * size),
        };
    let collides = |b: Strided<L::Scalar>| L::IS_NARROW && collide(steps, b.row.unsigned_abs() * size);
    let direct_b = match b {
        Right::Panels(_) => false,
        Right::Matrix(b) => {
            b.col == 1
                && match rows {
                    0..=2 => true,
                    3..=4 => within(FAR, (steps, b.row), (n, 1)) && !collides(b),
                    _ => within(NEAR, (steps, b.row), (n, 1)) && !collides(b),
                }
        }
    };
    if let (Right::Matrix(b), 1..=APART, false) = (b, m, direct_b)
        && b.row == 1
    {
        // SAFETY: as the caller promises.
        return unsafe { few_rows::<L>(&product, b) };
    }
    if let (Right::Matrix(b), false, true) = (b, direct_b, columns::suits::<L>(m, steps, n)) {
        // SAFETY: as the caller promises.
        return unsafe { columns::run::<L>(&product, b, steps, !direct_a, workspace) };
    }
    let registers = if direct_b { L::vectors(highest) } else { L::vectors(highest).min(PACKED) };
    let band = match (rows, direct_b, b) {
        (1, true, _) | (1, _, Right::Panels(_)) => n,
        // A panel that is used once is used while it is near.
        (1, false, Right::Matrix(_)) => n.min(registers * L::WIDTH),
        // Rows that are packed are packed again for each band.
        _ => band::<L>(steps, n, if L::IS_NARROW && direct_a { BAND / 3 } else { BAND }),
    };
    let packed_b = workspace.wrapping_add(workspace.align_offset(LINE));
    let packs_b = !direct_b && matches!(b, Right::Matrix(_));
    let packed_a = packed_b.wrapping_add(if packs_b { steps * band.next_multiple_of(L::WIDTH) } else { 0 });
    let beside = beside::<L>(m, a);
    let pitch_a = if beside > 1 { L::PITCH } else { highest.next_multiple_of(L::WIDTH) };
    // SAFETY: the loops visit every row, column and step once, and none beyond; the first rows pack all panels of b,
    // which take `steps · band` elements of the workspace, rounded up to whole registers, and the panels of a that
    // are packed at once at most `steps · PITCH` each.
    unsafe {
        for first_column in (0..n).step_by(band) {
            let columns = band.min(n - first_column);
            for first_step in (0..k).step_by(steps) {
                let steps = steps.min(k - first_step);
                let plus = plus.filter(|_| first_step + steps == k);
                // The block of b: a matrix whose columns are contiguous, or panels.
                let (matrix, panels) = match b {
                    Right::Matrix(b) => {
                        let data = b.data.offset(first_step as isize * b.row + first_column as isize * b.col);
                        (Strided { data, ..b }, packed_b.cast_const())
                    }
                    Right::Panels(Panels { data, lanes, first }) => {
                        let panels = data.add(first_step * lanes + (first + first_column) * steps);
                        (Strided { data: panels, row: 0, col: 0 }, panels)
                    }
                };
                let first = a.data.offset(first_step as isize * a.col);
                let mut i = 0;
                for row in 0..rows {
                    let height = m / rows + usize::from(row < m % rows);
                    let mut a = Strided { data: first.offset(i as isize * a.row), ..a };
                    let next = match row + 1 == rows {
                        true if first_step + steps == k => None,
                        true => Some(first.wrapping_offset(steps as isize * a.col)),
                        false => Some(a.data.wrapping_offset(height as isize * a.row)),
                    };
                    let mut next = next.map(|next| ahead(next, [a.row, a.col], [height, steps]));
                    if !direct_a {
                        let at = row % beside;
                        if at == 0 {
                            pack_rows::<L>(a, [m, rows, row, beside], [steps, pitch_a], packed_a);
                        }
                        if beside > 1 {
                            next = ahead_beside(a, [m, rows, row, beside]);
                        }
                        let data = packed_a.add(at * steps * pitch_a);
                        a = Strided { data, row: 1, col: pitch_a as isize };
                    }
                    for (j, vectors, width) in Division::<L>::new(columns, registers) {
                        let (from, b_row) = if direct_b {
                            (matrix.data.add(j), matrix.row)
                        } else {
                            (panels.add(j * steps), (vectors * L::WIDTH) as isize)
                        };
                        let mut next_b = None;
                        if packs_b && row == 0 {
                            let panel = matrix.data.offset(j as isize * matrix.col);
                            let sizes = [steps, width, vectors * L::WIDTH];
                            pack_panel::<L>(Strided { data: panel, ..matrix }, sizes, packed_b.add(j * steps));
                            if j + width < columns {
                                let next = panel.wrapping_offset(width as isize * matrix.col);
                                next_b = Some(ahead(next, [matrix.col, matrix.row], [width, steps]));
                            }
                        }
                        L::kernel(height, vectors)(&Tile {
                            steps,
                            a: a.data,
                            a_row: a.row,
                            a_col: a.col,
                            b: from,
                            b_row,
                            b_is_padded: !direct_b,
                            c: c.offset(i as isize * c_row).add(first_column + j),
                            c_row,
                            width,
                            accumulate: accumulate || first_step > 0,
                            plus: plus.map(|plus| plus.at(i, first_column + j)),
                            // The next panel of b while this one is packed for the first rows; else the next rows.
                            ahead: next_b.or_else(|| next.take()).unwrap_or(Ahead::nothing(c)),
                        });
                    }
                    i += height;
                }
            }
        }
    }
}

/// Computes a product of few rows, steps and columns, all of which lie where tiles can read them: without the divisions
/// and decisions of [`run`], which take longer than the smallest products.
///
/// # Safety
/// As for [`run`]; the columns of b are side by side, and there are at most `HEIGHT` rows and [`STEPS`] steps.
#[inline(always)]
unsafe fn one_row_of_tiles<L: Lanes>(product: &Product<L::Scalar>, b: Strided<L::Scalar>) {
    let Product { m, k, n, a, accumulate, plus, c, c_row, .. } = *product;
    for (j, vectors, width) in Division::<L>::new(n, L::vectors(m)) {
        // SAFETY: every column is visited once, and none beyond.
        unsafe {
            L::kernel(m, vectors)(&Tile {
                steps: k,
                a: a.data,
                a_row: a.row,
                a_col: a.col,
                b: b.data.add(j),
                b_row: b.row,
                b_is_padded: false,
                c: c.add(j),
                c_row,
                width,
                accumulate,
                plus: plus.map(|plus| plus.at(0, j)),
                ahead: Ahead::nothing(c),
            });
        }
    }
}

/// The lines of some lanes of a block, `lane` numbers apart, at all steps: where the numbers of a lane are contiguous, one
/// lane after another; elsewhere the line of the last lane at each step, since lanes side by side share it.
#[inline(always)]
pub(super) fn ahead<T>(from: *const T, [lane, step]: [isize; 2], [lanes, steps]: [usize; 2]) -> Ahead<T> {
    let line = LINE / size_of::<T>();
    if step == 1 {
        let lines = steps.div_ceil(line);
        Ahead { data: from, step: line as isize, lines, jump: lane - (lines * line) as isize }
    } else {
        let last = from.wrapping_offset((lanes as isize - 1) * lane);
        Ahead { data: last, step, lines: usize::MAX, jump: 0 }
    }
}

/// Packs a panel of b, whose steps are `pitch` numbers long.
///
/// # Safety
/// The machine has the instructions of `L`; the panel can be read, and `to` has room for `steps` times the pitch.
#[inline(always)]
pub(super) unsafe fn pack_panel<L: Lanes>(
    b: Strided<L::Scalar>,
    [steps, columns, pitch]: [usize; 3],
    to: *mut L::Scalar,
) {
    let Strided { data: from, row: step, col: lane } = b;
    // SAFETY: as the caller promises.
    unsafe { L::pack(&Panel { from, step, lane, steps, lanes: columns, to, pitch }) }
}

/// The columns that `n` columns of a packed matrix take, on every machine.
pub(super) fn packed_lanes(n: usize) -> usize {
    n.checked_next_multiple_of(WIDE).unwrap_or(n)
}

/// Packs columns of b for all products that it is the right factor of: `columns` from column `from` on, which is a multiple
/// of [`WIDE`]. Block after block of k, panels of [`PACKED`] registers.
///
/// # Safety
/// The machine has the instructions of `L`; b can be read, and `to` has room for `k` times [`packed_lanes`] of `n`.
#[inline(always)]
pub(super) unsafe fn pack<L: Lanes>(
    [k, n]: [usize; 2],
    b: Strided<L::Scalar>,
    columns: std::ops::Range<usize>,
    to: *mut L::Scalar,
) {
    const { assert!(WIDE.is_multiple_of(PACKED * L::WIDTH), "no panel is cut") }
    let (steps, lanes) = (block(k), packed_lanes(n));
    for first_step in (0..k).step_by(steps) {
        let steps = steps.min(k - first_step);
        // SAFETY: as the caller promises.
        unsafe {
            let data = b.data.offset(first_step as isize * b.row + columns.start as isize * b.col);
            let to = to.add(first_step * lanes + columns.start * steps);
            for (j, vectors, width) in Division::<L>::new(columns.len(), PACKED) {
                let panel = Strided { data: data.offset(j as isize * b.col), ..b };
                pack_panel::<L>(panel, [steps, width, vectors * L::WIDTH], to.add(j * steps));
            }
        }
    }
}

/// Computes a product of a few rows, for a b whose columns are contiguous, without packing.
///
/// # Safety
/// As for [`run`]; there are 1 to [`APART`] rows.
unsafe fn few_rows<L: Lanes>(product: &Product<L::Scalar>, b: Strided<L::Scalar>) {
    let Product { m, k, n, a, accumulate, plus, c, c_row, .. } = *product;
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
                    b_is_padded: false,
                    c: c.add(first_column),
                    c_row,
                    width,
                    accumulate: accumulate || first_step > 0,
                    plus: plus.filter(|_| first_step + steps >= k).map(|plus| plus.at(0, first_column)),
                    ahead: Ahead::nothing(c),
                });
            }
        }
    }
}

/// The panels that the columns are divided into: the first column of each, its registers, and its columns.
pub(super) struct Division<L> {
    next: usize,
    columns: usize,
    registers: usize,
    lanes: std::marker::PhantomData<L>,
}

impl<L: Lanes> Division<L> {
    #[inline(always)]
    pub(super) fn new(columns: usize, registers: usize) -> Self {
        Division { next: 0, columns, registers, lanes: std::marker::PhantomData }
    }
}

impl<L: Lanes> Iterator for Division<L> {
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
