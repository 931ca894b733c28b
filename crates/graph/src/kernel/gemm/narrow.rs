//! Products of very few columns whose left factor has contiguous columns, such as the gradient of a weight with two inputs,
//! gᵀ·x.
//!
//! A tile has the columns of c in its registers. Before: two of sixteen lanes hold sums, and each row of c takes as long as
//! a whole register. After: the transposed product xᵀ·g, whose rows fill registers, strip by strip of c in the workspace,
//! from where it is written to c.
//!
//! Order of sums: as in [`blocks`](super::blocks).

#![allow(unsafe_code)] // Raw pointers; whoever makes a `Product` answers for them.

use super::blocks::{Division, Product, STEPS, Strided};
use super::lanes::Lanes;
use super::panel::{Ahead, Tile};

/// Whether a product may be computed in this way, by its sizes.
#[inline(always)]
fn is_narrow<L: Lanes>(m: usize, k: usize, n: usize) -> bool {
    n > 1 && n <= L::WIDTH / 4 && m >= L::WIDTH && k <= STEPS
}

/// Whether a product of the left factor `a` is computed in this way.
#[inline(always)]
pub(super) fn suits<L: Lanes>(m: usize, k: usize, n: usize, a: Strided<L::Scalar>) -> bool {
    is_narrow::<L>(m, k, n) && a.row == 1
}

/// Rows of c in a strip.
#[inline(always)]
fn strip<L: Lanes>() -> usize {
    4 * L::WIDTH
}

/// Elements of workspace that [`run`] needs.
#[inline(always)]
pub(super) fn room<L: Lanes>(m: usize, k: usize, n: usize) -> usize {
    if is_narrow::<L>(m, k, n) { n * strip::<L>() } else { 0 }
}

/// Computes a [suitable](suits) product, whose right factor is `b`.
///
/// # Safety
/// As for [`super::blocks::run`].
#[inline(always)]
pub(super) unsafe fn run<L: Lanes>(product: &Product<L::Scalar>, b: Strided<L::Scalar>, workspace: *mut L::Scalar) {
    let Product { m, k, n, a, accumulate, plus, c, c_row, .. } = *product;
    for first in (0..m).step_by(strip::<L>()) {
        let rows = strip::<L>().min(m - first);
        for (row, vectors, width) in Division::<L>::new(rows, L::vectors(n)) {
            // SAFETY: every row of the strip is visited once, and none beyond; the workspace has room for a strip.
            unsafe {
                L::kernel(n, vectors)(&Tile {
                    steps: k,
                    a: b.data,
                    a_row: b.col,
                    a_col: b.row,
                    b: a.data.add(first + row),
                    b_row: a.col,
                    b_is_padded: false,
                    c: workspace.add(row),
                    c_row: strip::<L>() as isize,
                    width,
                    accumulate: false,
                    plus: None,
                    ahead: Ahead::nothing(workspace),
                });
            }
        }
        for row in 0..rows {
            // SAFETY: as above, and each element of c is visited once.
            unsafe {
                let to = c.offset((first + row) as isize * c_row);
                for column in 0..n {
                    let mut sum = *workspace.add(column * strip::<L>() + row);
                    if accumulate {
                        sum = *to.add(column) + sum;
                    }
                    if let Some(plus) = plus {
                        sum = sum + *plus.at(first + row, column).data;
                    }
                    *to.add(column) = sum;
                }
            }
        }
    }
}
