//! One product on several threads, and several products.
//!
//! c is divided into a grid of equal blocks, of which each thread takes the next that nobody has begun, in its own part
//! of the workspace. Large products have several blocks for each thread: where one core is slower than another, or taken
//! for a moment, its thread computes fewer of them, and nobody waits for the half of a product. Since no bit of an
//! element depends on the block that it falls into, neither does any depend on the number of threads.
//!
//! For 128×784×512 on two threads: before, two blocks of 256 columns of c; after, eight of 64.

#![allow(unsafe_code)] // Hands disjoint blocks of c to threads.

use super::blocks::{Panels, Product, Right, Strided, WIDE};
use super::{Addend, Factor, Gemm, MatrixView, expect_product, packed_len};
use crate::kernel::parallel::{MOST_CHUNKS, Pieces, in_chunks, in_parts};

/// Multiplications that are worth a thread, times the bytes of a number: about five microseconds of work.
const WORTH: usize = 1 << 20;
/// Blocks for each thread, if each has [`ENOUGH`] times that work, so that packing for more blocks costs little.
const BLOCKS: usize = 4;
const ENOUGH: usize = 4;
/// Columns of blocks come in multiples of this, so that only the last ones end inside a panel, a register or a cache line.
const COLUMNS: usize = WIDE;

/// The division of c: rows and columns of blocks, and the rows and columns of each (the last ones of fewer).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Grid {
    pub(super) below: usize,
    pub(super) beside: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// The grid of blocks for that many threads that finishes first.
pub(super) fn grid<T>(m: usize, k: usize, n: usize, threads: usize) -> Grid {
    let shares = product_shares::<T>(1, m, k, n);
    // As many for each thread, so that none waits for an odd one.
    let each = if threads > 1 { (shares / ENOUGH / threads).clamp(1, BLOCKS) } else { 1 };
    let blocks = if shares < threads { shares } else { threads.saturating_mul(each) }.clamp(1, MOST_CHUNKS);
    let mut best = Grid { below: 1, beside: 1, rows: m, columns: n };
    // Each number of a and b that a block needs is packed or fetched, at the price of a few multiplications.
    let price = |rows: usize, columns: usize| {
        rows.saturating_mul(columns).saturating_add(rows.saturating_add(columns).saturating_mul(4))
    };
    for below in 1..=blocks.min(m) {
        let rows = m.div_ceil(below);
        let columns = n.div_ceil(blocks / below).checked_next_multiple_of(COLUMNS).unwrap_or(n).min(n);
        if price(rows, columns) < price(best.rows, best.columns) {
            best = Grid { below: m.div_ceil(rows), beside: n.div_ceil(columns), rows, columns };
        }
    }
    best
}

/// How many shares of work `count` products of this size are.
pub(crate) fn product_shares<T>(count: usize, m: usize, k: usize, n: usize) -> usize {
    count.saturating_mul(m).saturating_mul(k).saturating_mul(n) / (WORTH / size_of::<T>())
}

/// How many threads may share this product.
fn threads<T>(m: usize, k: usize, n: usize) -> usize {
    if product_shares::<T>(1, m, k, n) >= 2 { rayon::current_num_threads() } else { 1 }
}

/// Elements of scratch for [`product`] on the threads of the current pool: about a megabyte for each at most.
///
/// With less, down to [`Gemm::workspace`], [`product`] uses fewer threads.
pub fn product_workspace<T: Gemm>(m: usize, k: usize, n: usize) -> usize {
    let threads = threads::<T>(m, k, n);
    let grid = grid::<T>(m, k, n, threads);
    let each = T::workspace(grid.rows, k, grid.columns);
    // One thread alone computes the whole as one block.
    T::workspace(m, k, n).max(threads.min(grid.below * grid.beside) * each)
}

/// [`Gemm::gemm`], divided among the threads of the current pool where there is enough work; the same bits.
///
/// # Panics
/// As [`Gemm::gemm`] does.
///
/// # Example
/// ```
/// use gradus_graph::kernel::gemm::{MatrixView, product, product_workspace};
/// let ones = vec![1.0_f32; 200 * 200];
/// let a = MatrixView { data: &ones, offset: 0, row: 200, col: 1 };
/// let mut workspace = vec![0.0; product_workspace::<f32>(200, 200, 200)];
/// let mut c = vec![0.0; 200 * 200];
/// product(200, 200, 200, a, a, false, &mut c, &mut workspace);
/// assert!(c.iter().all(|&x| x == 200.0));
/// ```
#[allow(clippy::too_many_arguments)]
#[track_caller]
pub fn product<T: Gemm>(
    m: usize,
    k: usize,
    n: usize,
    a: MatrixView<'_, T>,
    b: MatrixView<'_, T>,
    accumulate: bool,
    c: &mut [T],
    workspace: &mut [T],
) {
    let addend = if accumulate { Addend::Itself } else { Addend::Nothing };
    if let Some(whole) = expect_product(m, k, n, a, Factor::Matrix(b), addend, c) {
        compute(&whole, workspace);
    }
}

/// Computes a product that has been checked.
#[track_caller]
#[inline]
fn compute<T: Gemm>(whole: &Product<T>, workspace: &mut [T]) {
    // The smallest products take less time than the division into a grid.
    if product_shares::<T>(1, whole.m, whole.k, whole.n) < 2 {
        expect_room(whole, workspace);
        // SAFETY: the product has been checked, and c is held exclusively; the workspace is large enough.
        unsafe { T::run(whole, workspace.as_mut_ptr()) }
    } else {
        divided(*whole, workspace);
    }
}

/// Computes a product that is worth several threads.
#[track_caller]
fn divided<T: Gemm>(whole: Product<T>, workspace: &mut [T]) {
    let Product { m, k, n, .. } = whole;
    let mut threads = threads::<T>(m, k, n);
    while threads > 1 {
        let grid = grid::<T>(m, k, n, threads);
        let room = T::workspace(grid.rows, k, grid.columns);
        let blocks = grid.below * grid.beside;
        let workers = threads.min(blocks);
        if workers * room > workspace.len() {
            threads = workers - 1;
            continue;
        }
        let (shared, scratch) = (Shared { whole, grid }, Pieces::new(&mut *workspace));
        let is_shared = in_chunks(blocks, product_shares::<T>(1, m, k, n), workers, &|worker, block| {
            // SAFETY: workers that run at the same time differ.
            shared.run(block, unsafe { scratch.piece(worker * room, room) });
        });
        if is_shared {
            return;
        }
        break;
    }
    let grid = Grid { below: 1, beside: 1, rows: m, columns: n };
    Shared { whole, grid }.run(0, workspace);
}

/// # Panics
/// If the workspace is smaller than the product needs.
#[track_caller]
pub(super) fn expect_room<T: Gemm>(&Product { m, k, n, .. }: &Product<T>, workspace: &[T]) {
    let room = T::workspace(m, k, n);
    assert!(
        workspace.len() >= room,
        "product: a workspace of {} elements for {m}×{k}×{n}; it needs {room}",
        workspace.len()
    );
}

/// A product that threads work on together.
struct Shared<T> {
    whole: Product<T>,
    grid: Grid,
}

// SAFETY: a and b are only read, and each thread writes its own blocks of c.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T: Gemm> Shared<T> {
    /// Computes a block.
    fn run(&self, number: usize, workspace: &mut [T]) {
        let Grid { beside, rows, columns, .. } = self.grid;
        let (i, j) = (number / beside * rows, number % beside * columns);
        let mut block = self.whole;
        (block.m, block.n) = (rows.min(block.m - i), columns.min(block.n - j));
        expect_room(&block, workspace);
        // SAFETY: row i and column j exist, and the block ends where the whole does. `product` has checked the whole
        // and holds c exclusively, and no other block has the same elements of c. The workspace is large enough.
        unsafe {
            block.a.data = block.a.data.offset(i as isize * block.a.row);
            block.b = match block.b {
                Right::Matrix(mut b) => {
                    b.data = b.data.offset(j as isize * b.col);
                    Right::Matrix(b)
                }
                Right::Panels(b) => Right::Panels(Panels { first: b.first + j, ..b }),
            };
            block.plus = block.plus.map(|plus| plus.at(i, j));
            block.c = block.c.offset(i as isize * block.c_row).add(j);
            T::run(&block, workspace.as_mut_ptr());
        }
    }
}

/// Elements of scratch for [`products`] on the threads of the current pool.
pub(crate) fn products_workspace<T: Gemm>(count: usize, m: usize, k: usize, n: usize) -> usize {
    let each = T::workspace(m, k, n);
    match count > 1 && product_shares::<T>(count, m, k, n) >= 2 {
        true => product_workspace::<T>(m, k, n).max(each.saturating_mul(rayon::current_num_threads())),
        false => product_workspace::<T>(m, k, n),
    }
}

/// `count` products of one size, one after another in `c`, on the threads of the current pool; `factors` gives those of
/// each. A matrix that they are added to is the same for all.
///
/// # Panics
/// As [`Gemm::gemm`] does; if one of several products has a packed factor.
pub(crate) fn products<'a, T: Gemm>(
    count: usize,
    [m, k, n]: [usize; 3],
    factors: &(impl Fn(usize) -> (MatrixView<'a, T>, Factor<'a, T>) + Sync),
    addend: Addend<'a, T>,
    c: &mut [T],
    workspace: &mut [T],
) {
    assert!(m.checked_mul(n).and_then(|area| area.checked_mul(count)) == Some(c.len()), "c has room for all products");
    if count == 1 {
        let (a, b) = factors(0);
        if let Some(whole) = expect_product(m, k, n, a, b, addend, c) {
            compute(&whole, workspace);
        }
        return;
    }
    let single = |number: usize, c: &mut [T]| {
        let (a, b) = factors(number);
        assert!(matches!(b, Factor::Matrix(_)), "products of a batch have no packed factors");
        expect_product(m, k, n, a, b, addend, c)
    };
    let shares = product_shares::<T>(1, m, k, n);
    if shares >= 4 * rayon::current_num_threads() {
        for (number, c) in c.chunks_exact_mut((m * n).max(1)).enumerate() {
            if let Some(product) = single(number, c) {
                compute(&product, workspace);
            }
        }
        return;
    }
    let room = T::workspace(m, k, n);
    let threads = workspace.len().checked_div(room).unwrap_or(usize::MAX).min(rayon::current_num_threads());
    let grain = (count / product_shares::<T>(count, m, k, n).max(1)).max(1);
    let (c, scratch) = (Pieces::new(c), Pieces::new(workspace));
    in_parts(count, grain, 1, threads, &|worker, range| {
        // SAFETY: workers that run at the same time differ.
        let workspace = unsafe { scratch.piece(worker * room, room) };
        for number in range {
            // SAFETY: no other range has this number.
            if let Some(product) = single(number, unsafe { c.piece(number * m * n, m * n) }) {
                // SAFETY: the product has been checked, and its part of c is held exclusively; the workspace has room
                // for one product.
                unsafe { T::run(&product, workspace.as_mut_ptr()) }
            }
        }
    });
}

/// Packs the right factor of products, on the threads of the current pool.
///
/// # Panics
/// If the matrix leaves its buffer, or there is no room for [`packed_len`] elements.
pub(crate) fn pack<T: Gemm>([k, n]: [usize; 2], b: MatrixView<'_, T>, to: &mut [T]) {
    assert!(to.len() >= packed_len(k, n), "there is room for the packed factor");
    if k == 0 || n == 0 {
        return;
    }
    let b = Source(b.expect_inside("right", k, n));
    let to = Pieces::new(to);
    let grain = n.div_ceil(pack_shares([k, n]).max(1));
    in_parts(n, grain, WIDE, rayon::current_num_threads(), &|_, columns| {
        let Source(b) = &b;
        // SAFETY: the matrix is inside its buffer, and there is room. Each range of columns begins with a panel and has
        // its own panels, and no other range writes them.
        unsafe { T::pack([k, n], *b, columns, to.start(0, packed_len(k, n))) }
    });
}

/// How many shares of work the packing of a factor is.
pub(crate) fn pack_shares([k, n]: [usize; 2]) -> usize {
    const WORTH: usize = 1 << 14;
    k.saturating_mul(n) / WORTH
}

/// A matrix that threads read.
struct Source<T>(Strided<T>);

// SAFETY: it is only read.
unsafe impl<T: Sync> Sync for Source<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_products_are_those_of_single_ones() {
        let count = 3;
        // Small ones are divided among threads as they are, and large ones one after another each by itself.
        for [m, k, n] in [[9, 11, 40], [150, 160, 220]] {
            let numbers = |len: usize, seed: usize| -> Vec<f32> {
                (0..len).map(|k| ((k + seed) * 7919 % 1013) as f32 / 506.0 - 1.0).collect()
            };
            let (a, b) = (numbers(count * m * k, 1), numbers(count * k * n, 2));
            let factors = |number: usize| {
                let a = MatrixView { data: &a[..], offset: number * m * k, row: k as isize, col: 1 };
                (a, MatrixView { data: &b[..], offset: number * k * n, row: n as isize, col: 1 })
            };
            let mut expected = vec![0.0; count * m * n];
            let mut workspace = vec![0.0; f32::workspace(m, k, n)];
            for (number, c) in expected.chunks_mut(m * n).enumerate() {
                let (a, b) = factors(number);
                f32::gemm(m, k, n, a, b, false, c, &mut workspace);
            }
            for threads in [1, 2, 3, 8] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
                let mut found = vec![7.0; expected.len()];
                pool.install(|| {
                    let mut workspace = vec![0.0; products_workspace::<f32>(count, m, k, n)];
                    let factors = |number: usize| (factors(number).0, Factor::Matrix(factors(number).1));
                    products(count, [m, k, n], &factors, Addend::Nothing, &mut found, &mut workspace);
                });
                assert!(found == expected, "{m}×{k}×{n} on {threads} threads");
            }
        }
    }

    #[test]
    fn the_grid_covers_everything_and_leaves_no_block_empty() {
        for (m, n) in [(1, 1), (1, 5000), (5000, 1), (33, 33), (100, 1000), (1000, 100), (97, 130), (14, 14), (3, 64)] {
            for threads in 1..40 {
                let found @ Grid { below, beside, rows, columns } = grid::<f32>(m, 1 << 20, n, threads);
                let most = if threads > 1 { 4 * threads } else { 1 };
                assert!(below * beside <= most, "{found:?} for {threads} threads");
                assert!((below - 1) * rows < m && m <= below * rows, "{found:?} for {m} rows");
                assert!((beside - 1) * columns < n && n <= beside * columns, "{found:?} for {n} columns");
            }
        }
        // Several blocks for each thread where there is enough work, else one, or none.
        let blocks = |below, beside, rows, columns| Grid { below, beside, rows, columns };
        assert_eq!(grid::<f32>(512, 512, 128, 2), blocks(4, 2, 128, 64));
        assert_eq!(grid::<f32>(128, 512, 512, 2), blocks(1, 8, 128, 64));
        assert_eq!(grid::<f32>(128, 128, 96, 2), blocks(2, 1, 64, 96));
        assert_eq!(grid::<f32>(16, 32, 32, 8), blocks(1, 1, 16, 32));
        // As many for each: not three for two threads. In double precision work takes twice as long.
        assert_eq!(grid::<f32>(1000, 50, 64, 2), blocks(2, 1, 500, 64));
        assert_eq!(grid::<f64>(1000, 50, 64, 2), blocks(6, 1, 167, 64));
        // As many as can be announced.
        let many = grid::<f32>(1 << 15, 1 << 10, 1 << 15, 1000);
        assert!((800..=1023).contains(&(many.below * many.beside)), "{many:?}");
    }
}
