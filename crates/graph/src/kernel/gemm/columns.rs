//! Products of a few rows and many columns, such as a batch and a weight: panel of b by panel of b.
//!
//! The outer loops of [`blocks`](super::blocks) keep a wide band of b in the L2 cache, and let the rows of a pass by.
//! Before, for a of 128 rows and b of 512 columns: all of b is packed while the first 13 rows are computed, at the speed of
//! the memory that it comes from, and read from the L2 cache ten times. After: a block of a stays in the L2 cache, packed
//! when its rows meet the first panel of b, and one panel of b after another meets all of it. So b, a weight that comes
//! from far, is packed into the L1 cache and read in no hurry: each tile of a panel fetches a share of the next one.
//!
//! Order of sums: as in [`blocks`](super::blocks).

#![allow(unsafe_code)] // Raw pointers; whoever makes a `Product` answers for them.

use super::blocks::{
    Division, LINE, NEAR, PACKED, Product, Strided, ahead, ahead_beside, beside, pack_panel, pack_rows,
};
use super::lanes::Lanes;
use super::panel::{Ahead, Tile};

/// Bytes of packed a; about a third of a usual L2 cache.
const ROWS: usize = 384 << 10;

/// Whether a product, with blocks of k of this many steps, is computed in this way: a fits into the cache, and a block of b
/// is so large that it comes from far.
#[inline(always)]
pub(super) fn suits<L: Lanes>(m: usize, steps: usize, n: usize) -> bool {
    let size = size_of::<L::Scalar>();
    m > L::HEIGHT
        && m <= n / 2
        && n.saturating_mul(steps * size) >= NEAR
        && m.div_ceil(L::HEIGHT).saturating_mul(L::PITCH * steps * size) <= ROWS
}

/// Elements of workspace that [`run`] needs, but for its alignment.
pub(super) fn room<L: Lanes>(m: usize, steps: usize) -> usize {
    steps * (PACKED * L::WIDTH + m.div_ceil(L::HEIGHT) * L::PITCH)
}

/// Computes a product of [suitable](suits) sizes, whose right factor is `b`.
///
/// # Safety
/// As for [`super::blocks::run`].
#[inline(always)]
pub(super) unsafe fn run<L: Lanes>(
    product: &Product<L::Scalar>,
    b: Strided<L::Scalar>,
    steps: usize,
    packs_a: bool,
    workspace: *mut L::Scalar,
) {
    let Product { m, k, n, a, accumulate, plus, c, c_row, .. } = *product;
    let rows = m.div_ceil(L::HEIGHT);
    let beside = beside::<L>(m, a);
    let registers = L::vectors(m.div_ceil(rows)).min(PACKED);
    let widest = registers * L::WIDTH;
    let packed_b = workspace.wrapping_add(workspace.align_offset(LINE));
    let packed_a = packed_b.wrapping_add(steps * widest);
    // SAFETY: the loops visit every row, column and step once, and none beyond; the workspace has room for a panel of b and
    // the panels of all rows of a.
    unsafe {
        for first_step in (0..k).step_by(steps) {
            let steps = steps.min(k - first_step);
            let is_last = first_step + steps == k;
            let plus = plus.filter(|_| is_last);
            let first = a.data.offset(first_step as isize * a.col);
            for (j, vectors, width) in Division::<L>::new(n, registers) {
                let at = |step: usize, column: usize| b.data.offset(step as isize * b.row + column as isize * b.col);
                let pitch_b = vectors * L::WIDTH;
                pack_panel::<L>(Strided { data: at(first_step, j), ..b }, [steps, width, pitch_b], packed_b);
                let next = match (j + width < n, is_last) {
                    (true, _) => Some(at(first_step, j + width)),
                    (false, false) => Some(at(first_step + steps, 0)),
                    (false, true) => None,
                };
                let mut i = 0;
                for row in 0..rows {
                    let height = m / rows + usize::from(row < m % rows);
                    let mut a = Strided { data: first.offset(i as isize * a.row), ..a };
                    let mut fetched = next.and_then(|next| share(Strided { data: next, ..b }, [steps, widest], row));
                    if packs_a {
                        let to = packed_a.add(row * steps * L::PITCH);
                        if j == 0 {
                            if row % beside == 0 {
                                pack_rows::<L>(a, [m, rows, row, beside], [steps, L::PITCH], to);
                            }
                            if beside > 1 {
                                fetched = ahead_beside(a, [m, rows, row, beside]);
                            } else if row + 1 < rows {
                                let next = a.data.wrapping_offset(height as isize * a.row);
                                fetched = Some(ahead(next, [a.row, a.col], [height, steps]));
                            }
                        }
                        a = Strided { data: to, row: 1, col: L::PITCH as isize };
                    }
                    L::kernel(height, vectors)(&Tile {
                        steps,
                        a: a.data,
                        a_row: a.row,
                        a_col: a.col,
                        b: packed_b,
                        b_row: pitch_b as isize,
                        b_is_padded: true,
                        c: c.offset(i as isize * c_row).add(j),
                        c_row,
                        width,
                        accumulate: accumulate || first_step > 0,
                        plus: plus.map(|plus| plus.at(i, j)),
                        ahead: fetched.unwrap_or(Ahead::nothing(c)),
                    });
                    i += height;
                }
            }
        }
    }
}

/// The lines of the next panel of b that a tile of a row of tiles fetches, if those before it leave any: where the numbers
/// of a column are contiguous, some of the columns; elsewhere a line of each step.
#[inline(always)]
fn share<T>(b: Strided<T>, [steps, columns]: [usize; 2], row: usize) -> Option<Ahead<T>> {
    let line = LINE / size_of::<T>();
    if b.row == 1 {
        let column = row * (steps / steps.div_ceil(line));
        let from = b.data.wrapping_offset(column as isize * b.col);
        (column < columns).then(|| ahead(from, [b.col, 1], [1, steps]))
    } else {
        // One line more than the columns fill, since they need not begin with a line.
        let column = (row * line).min(columns - 1) as isize;
        let data = b.data.wrapping_offset(column * b.col);
        (row * line <= columns).then_some(Ahead { data, step: b.row, lines: usize::MAX, jump: 0 })
    }
}
