//! Matrix products, without allocations: the packing buffers are those of the caller.
//!
//! Nine files below this one: `lanes` knows the vector registers of each instruction set, `panel` packs panels and
//! computes tiles of c in registers, `unrolled` does so where registers are few, `blocks` divides a product into panels
//! that stay in the caches, `columns` does so for few rows and many columns, `narrow` computes very few columns as
//! rows, `share` divides large products among threads, `windows` multiplies the windows of images, `transposed` writes
//! rows as columns for it. The instruction set is chosen at run time.
//!
//! Order of sums: k is divided into equal blocks of at most 384, by k alone; within a block each element of c is one
//! chain of (where the machine can: fused) multiply-adds; the blocks are added to c in order, and then what else is added
//! to the product. So the bits of an element
//! do not depend on the sizes m and n, on the strides, on its position, or on the number of threads. Safety: the public
//! functions check that strides stay inside the slices; the files below work on raw pointers.

#![allow(unsafe_code)] // Hands checked pointers to the kernels; each block says why it may.

mod blocks;
mod columns;
mod lanes;
mod narrow;
mod panel;
mod share;
#[cfg(test)]
mod tests;
mod transposed;
#[cfg(target_arch = "x86_64")]
mod unrolled;
mod windows;

#[cfg(target_arch = "x86_64")]
use super::simd::{Level, level};
use std::ops::Range;

use blocks::{Panels, Product, Right, Rows, Strided};
use lanes::Portable;
pub(crate) use share::{pack, pack_shares, product_shares, products, products_workspace};
pub use share::{product, product_workspace};
pub(crate) use transposed::Transposed;
pub(crate) use windows::Windows;

/// What a product is added to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Addend<'a, T> {
    /// Nothing.
    Nothing,
    /// What its memory holds before.
    Itself,
    /// A matrix of its size whose rows are contiguous, after the sums of all blocks of k: the bits are those of the
    /// product and an addition after it.
    Matrix(MatrixView<'a, T>),
}

/// The right factor of a product.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Factor<'a, T> {
    /// A matrix.
    Matrix(MatrixView<'a, T>),
    /// What [`pack`](share::pack) makes of one.
    Packed(&'a [T]),
}

/// Elements that a packed right factor takes, on any machine.
pub(crate) fn packed_len(k: usize, n: usize) -> usize {
    k.saturating_mul(blocks::packed_lanes(n))
}

/// Whether a right factor of several products, `times` of them with at least `m` rows, is worth being packed before them:
/// each of them saves the packing or, if its rows are contiguous, reads panels instead of rows that are far apart.
pub(crate) fn is_worth_packing(times: usize, [m, k, n]: [usize; 3], has_contiguous_rows: bool) -> bool {
    const FEW_ROWS: usize = 4;
    let enough = if has_contiguous_rows { 4 } else { 2 };
    times >= enough && m >= FEW_ROWS && n >= blocks::WIDE && k >= blocks::WIDE
}

/// Whether a right factor that stays the same from run to run is worth being packed once: each product saves the packing
/// or, of a few rows, reads panels instead of columns that it has to transpose in registers. Of many rows it saves a few
/// per cent, for which the panels take too much memory.
pub(crate) fn is_worth_keeping([m, k, n]: [usize; 3], has_contiguous_rows: bool) -> bool {
    const MANY_ROWS: usize = 128;
    m <= MANY_ROWS && n >= blocks::WIDE && k >= blocks::WIDE && !has_contiguous_rows
}

/// Whether a product is one block of k, so that [`Addend::Itself`] has the bits of the product and an addition after it.
pub(crate) fn is_one_block(k: usize) -> bool {
    blocks::block(k) == k
}

/// A matrix inside a slice: element `(i, j)` is at `offset + i·row + j·col`. Strides may be 0 or negative.
#[derive(Clone, Copy, Debug)]
pub struct MatrixView<'a, T> {
    /// The buffer.
    pub data: &'a [T],
    /// The position of element `(0, 0)`.
    pub offset: usize,
    /// The step from one row to the next.
    pub row: isize,
    /// The step from one column to the next.
    pub col: isize,
}

impl<T> MatrixView<'_, T> {
    /// The same matrix behind a pointer, for reading `rows × cols` elements; neither is zero.
    #[track_caller]
    #[inline]
    fn expect_inside(&self, side: &str, rows: usize, cols: usize) -> Strided<T> {
        // Numbers whose products and sums fit; no negative stride is among them.
        let largest = rows | cols | self.offset | self.row as usize | self.col as usize;
        let is_inside = largest < 1 << (usize::BITS / 2 - 2) && {
            let last = self.offset + (rows - 1) * self.row as usize + (cols - 1) * self.col as usize;
            last < self.data.len()
        };
        if !is_inside {
            self.assert_inside(side, rows, cols);
        }
        // A stride that is never taken may be anything, so it becomes what serves the kernels best.
        let taken = |size: usize, stride: isize| if size == 1 { 1 } else { stride };
        Strided {
            data: self.data.as_ptr().wrapping_add(self.offset),
            row: taken(rows, self.row),
            col: taken(cols, self.col),
        }
    }

    /// Checks a matrix of any sizes and strides.
    #[track_caller]
    #[cold]
    fn assert_inside(&self, side: &str, rows: usize, cols: usize) {
        let reach = |size: usize, stride: isize| isize::try_from(size - 1).ok()?.checked_mul(stride);
        let (mut low, mut high) = (Some(0), Some(0));
        for step in [reach(rows, self.row), reach(cols, self.col)] {
            low = low.zip(step).and_then(|(low, step): (isize, isize)| low.checked_add(step.min(0)));
            high = high.zip(step).and_then(|(high, step): (isize, isize)| high.checked_add(step.max(0)));
        }
        // If the offset is inside: the range between `low` and `high` contains zero.
        let inside = low.and_then(|low| self.offset.checked_add_signed(low)).is_some()
            && high.and_then(|high| self.offset.checked_add_signed(high)).is_some_and(|last| last < self.data.len());
        assert!(
            inside,
            "product: the {side} matrix of {rows}×{cols} elements with offset {} and strides {}, {} leaves its buffer of \
             {} elements; take strides that stay inside",
            self.offset,
            self.row,
            self.col,
            self.data.len()
        );
    }
}

/// A number that matrices can be multiplied in: `f32` or `f64`.
pub trait Gemm: kernel::Kernel {
    /// Elements of scratch that [`Gemm::gemm`] needs for a product of these sizes; at most about a megabyte.
    fn workspace(m: usize, k: usize, n: usize) -> usize;

    /// `c = a·b` (or `c += a·b`), with `a` m×k, `b` k×n, and `c` m×n row-major without gaps.
    ///
    /// Never allocates. What the workspace holds before is never read, what it holds after is of no use.
    /// With `k = 0` the product is zero; NaN and infinity propagate.
    ///
    /// # Panics
    /// If a matrix leaves its buffer, c does not have m·n elements, or the workspace is smaller than
    /// [`Gemm::workspace`] says.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::kernel::gemm::{Gemm, MatrixView};
    /// let a = MatrixView { data: &[1.0, 2.0, 3.0, 4.0], offset: 0, row: 2, col: 1 };
    /// let transposed = MatrixView { row: 1, col: 2, ..a };
    /// let mut workspace = vec![0.0; f64::workspace(2, 2, 2)];
    /// let mut c = [0.0; 4];
    /// f64::gemm(2, 2, 2, a, transposed, false, &mut c, &mut workspace);
    /// assert_eq!(c, [5.0, 11.0, 11.0, 25.0]);
    /// ```
    #[allow(clippy::too_many_arguments)]
    #[track_caller]
    fn gemm(
        m: usize,
        k: usize,
        n: usize,
        a: MatrixView<'_, Self>,
        b: MatrixView<'_, Self>,
        accumulate: bool,
        c: &mut [Self],
        workspace: &mut [Self],
    );
}

impl<T: kernel::Kernel> Gemm for T {
    fn workspace(m: usize, k: usize, n: usize) -> usize {
        T::room(m, k, n)
    }

    fn gemm(
        m: usize,
        k: usize,
        n: usize,
        a: MatrixView<'_, Self>,
        b: MatrixView<'_, Self>,
        accumulate: bool,
        c: &mut [Self],
        workspace: &mut [Self],
    ) {
        let addend = if accumulate { Addend::Itself } else { Addend::Nothing };
        if let Some(product) = expect_product(m, k, n, a, Factor::Matrix(b), addend, c) {
            share::expect_room(&product, workspace);
            // SAFETY: a and b stay inside their buffers and c has m·n elements; the workspace is large enough; the
            // borrows of c and of the workspace are exclusive.
            unsafe { T::run(&product, workspace.as_mut_ptr()) }
        }
    }
}

/// [`Gemm::gemm`] into rows that are `c_row` elements apart.
///
/// # Panics
/// As [`Gemm::gemm`] does, but for c.
///
/// # Safety
/// The `m` rows of `n` elements at `c` can be read and written, and nothing else reaches them meanwhile.
#[allow(clippy::too_many_arguments)]
pub(crate) unsafe fn gemm_into<T: Gemm>(
    m: usize,
    k: usize,
    n: usize,
    a: MatrixView<'_, T>,
    b: MatrixView<'_, T>,
    accumulate: bool,
    c: *mut T,
    c_row: usize,
    workspace: &mut [T],
) {
    if m == 0 || n == 0 {
        return;
    }
    if k == 0 {
        for row in 0..if accumulate { 0 } else { m } {
            // SAFETY: a row of c, by the caller's promise.
            unsafe { std::slice::from_raw_parts_mut(c.add(row * c_row), n) }.fill(T::default());
        }
        return;
    }
    let (a, b) = (a.expect_inside("left", m, k), b.expect_inside("right", k, n));
    assert!(workspace.len() >= T::workspace(m, k, n), "product: the workspace is too small for {m}×{k}×{n}");
    let product = Product { m, k, n, a, b: Right::Matrix(b), accumulate, plus: None, c, c_row: c_row as isize };
    // SAFETY: a and b stay inside their buffers; c by the caller's promise; the workspace is large enough.
    unsafe { T::run(&product, workspace.as_mut_ptr()) }
}

/// The product in pointers, after all checks; nothing if there is nothing to sum, and then c is as it should be.
#[track_caller]
#[inline(always)] // What is returned would be copied by way of memory, with a wait for its parts to be there.
fn expect_product<T: kernel::Kernel>(
    m: usize,
    k: usize,
    n: usize,
    a: MatrixView<'_, T>,
    b: Factor<'_, T>,
    addend: Addend<'_, T>,
    c: &mut [T],
) -> Option<Product<T>> {
    assert!(
        m.checked_mul(n) == Some(c.len()),
        "product: c has {} elements for {m}×{n}; it must have as many as the product",
        c.len()
    );
    if c.is_empty() {
        return None;
    }
    let accumulate = matches!(addend, Addend::Itself);
    let plus = match addend {
        Addend::Matrix(matrix) => {
            assert!(k > 0, "a product of nothing is added to nothing");
            let Strided { data, row, col } = matrix.expect_inside("added", m, n);
            assert!(col == 1 && (n > 1 || row == 1), "the rows of what is added are contiguous");
            Some(Rows { data, row })
        }
        Addend::Nothing | Addend::Itself => None,
    };
    if k == 0 {
        if !accumulate {
            c.fill(T::default());
        }
        return None;
    }
    let a = a.expect_inside("left", m, k);
    let b = match b {
        Factor::Matrix(matrix) => Right::Matrix(matrix.expect_inside("right", k, n)),
        Factor::Packed(panels) => {
            assert!(panels.len() >= packed_len(k, n), "the right factor is packed");
            Right::Panels(Panels { data: panels.as_ptr(), lanes: blocks::packed_lanes(n), first: 0 })
        }
    };
    Some(Product { m, k, n, a, b, accumulate, plus, c: c.as_mut_ptr(), c_row: n as isize })
}

mod kernel {
    use std::ops::Range;

    use super::{Product, Strided};

    /// The kernels of one precision; sealed, because what is reached through pointers cannot be checked here.
    pub trait Kernel: super::windows::Windowed + super::transposed::Transposable {
        /// Elements of workspace that `run` needs.
        fn room(m: usize, k: usize, n: usize) -> usize;

        /// Computes a product with the widest registers of the machine.
        ///
        /// # Safety
        /// As for [`super::blocks::run`].
        #[allow(private_interfaces)]
        unsafe fn run(product: &Product<Self>, workspace: *mut Self);

        /// Packs some columns of a matrix.
        ///
        /// # Safety
        /// As for [`super::blocks::pack`].
        #[allow(private_interfaces)]
        unsafe fn pack(sizes: [usize; 2], b: Strided<Self>, columns: Range<usize>, to: *mut Self);
    }
}

/// Runs a body with `Registers` standing for the widest registers of the machine.
macro_rules! dispatch {
    ($t:ty, $registers:ident => $body:expr) => {{
        #[cfg(target_arch = "x86_64")]
        match level() {
            Level::Avx512 => {
                type $registers = lanes::Avx512<$t>;
                return $body;
            }
            Level::Avx2 => {
                type $registers = lanes::Avx2<$t>;
                return $body;
            }
            Level::Old => {}
        }
        type $registers = Portable<$t>;
        $body
    }};
}

macro_rules! precision {
    ($t:ty) => {
        impl kernel::Kernel for $t {
            #[inline]
            fn room(m: usize, k: usize, n: usize) -> usize {
                dispatch!($t, Registers => blocks::room::<Registers>(m, k, n))
            }

            #[allow(private_interfaces)]
            unsafe fn run(product: &Product<$t>, workspace: *mut $t) {
                // SAFETY: the caller's conditions; the instruction set was found on this machine.
                dispatch!($t, Registers => unsafe { blocks::run::<Registers>(product, workspace) })
            }

            #[allow(private_interfaces)]
            unsafe fn pack(sizes: [usize; 2], b: Strided<$t>, columns: Range<usize>, to: *mut $t) {
                // SAFETY: as for `run`.
                dispatch!($t, Registers => unsafe { blocks::pack::<Registers>(sizes, b, columns, to) })
            }
        }
    };
}
precision!(f32);
precision!(f64);
