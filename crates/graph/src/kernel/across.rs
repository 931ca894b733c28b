//! Work on short rows, several rows at a time.
//!
//! A row of two or ten elements does not fill registers. So [`ACROSS`] rows are transposed into a [`Tile`], in which the
//! elements of one index lie side by side, and each lane of a register works on its own row. The order of operations
//! within a row is that of [`fold_row`](super::reduce::fold_row), so the bits are those of one row alone.
//!
//! What is done with a tile is long, and many loops do it. So it is compiled once, apart from them, and called.

use std::marker::PhantomData;

use super::reduce::Fold;
use super::simd::{Loop, vectorized};
use crate::real::Real;

/// Rows of a tile.
pub(crate) const ACROSS: usize = 16;
/// The most elements of a row.
pub(crate) const LONGEST: usize = 32;

/// Called for each column in a loop over several: keeps the compiler from working on many at once, for which it would
/// gather and scatter their numbers.
#[inline(always)]
pub(crate) fn one_by_one() {
    std::hint::black_box(());
}

/// The elements of some rows: `columns[i][row]` is element `i` of a row. Lanes without a row hold any numbers.
pub(crate) struct Tile<T> {
    columns: [[T; ACROSS]; LONGEST],
    /// Where rows are reduced.
    lanes: [[T; ACROSS]; LONGEST / 2],
    size: usize,
}

impl<T: Real> Tile<T> {
    /// A tile of zeros for rows of `size` elements, at most [`LONGEST`].
    #[inline(always)]
    pub(crate) fn new(size: usize) -> Self {
        Self { columns: [[T::zero(); ACROSS]; LONGEST], lanes: [[T::zero(); ACROSS]; LONGEST / 2], size }
    }

    /// The elements of the rows, index by index.
    #[inline(always)]
    pub(crate) fn columns(&mut self) -> &mut [[T; ACROSS]] {
        &mut self.columns[..self.size]
    }

    /// Fills the tile with rows that follow each other, at most [`ACROSS`].
    #[inline(never)]
    pub(crate) fn load(&mut self, rows: &[T]) {
        vectorized(Load { tile: self, rows });
    }

    /// Fills the tile with the columns of `columns`, each `step` elements after the one before, from its first row on.
    #[inline(always)]
    pub(crate) fn load_columns(&mut self, columns: &[T], step: usize, rows: usize) {
        for i in 0..self.size {
            let (from, to) = (&columns[i * step..], &mut self.columns[i]);
            match from.first_chunk() {
                Some(from) if rows == ACROSS => *to = *from,
                _ => to[..rows].copy_from_slice(&from[..rows]),
            }
        }
    }

    /// Fills `SIZE` columns from number `from` on.
    #[allow(clippy::manual_memcpy)] // Within a `Loop` a copy of a slice may be a call.
    #[inline(always)]
    fn load_rows<const SIZE: usize>(&mut self, rows: &[T], from: usize) {
        let size = self.size;
        if rows.len() == ACROSS * size {
            // Lists of their own, so that numbers are not scattered one by one.
            let mut columns = [[T::zero(); ACROSS]; SIZE];
            for row in 0..ACROSS {
                let row_of = &rows[row * size + from..][..SIZE];
                for i in 0..SIZE {
                    columns[i][row] = row_of[i];
                }
            }
            for i in 0..SIZE {
                self.columns[from + i] = columns[i];
            }
        } else {
            for row in 0..rows.len() / size {
                for i in 0..SIZE {
                    self.columns[from + i][row] = rows[row * size + from + i];
                }
            }
        }
    }

    /// Writes column `i` of the first rows, as many as there are places.
    #[allow(clippy::manual_memcpy)] // Within a `Loop` a copy of a slice may be a call.
    #[inline(always)]
    pub(crate) fn store_column(&self, i: usize, to: &mut [T]) {
        match to.first_chunk_mut() {
            Some(to) => *to = self.columns[i],
            None => {
                for row in 0..to.len() {
                    to[row] = self.columns[i][row];
                }
            }
        }
    }

    /// Writes the rows one after another.
    #[inline(never)]
    pub(crate) fn store(&self, rows: &mut [T]) {
        vectorized(Store { tile: self, rows });
    }

    /// Each row reduced, in the order of `fold_row`: a tree over 32 lanes, which begin with the neutral element.
    #[inline(never)]
    pub(crate) fn fold<F: Fold>(&mut self) -> [T; ACROSS] {
        vectorized(FoldRows::<T, F> { tile: self, fold: PhantomData })
    }

    /// Replaces each element by its exponential.
    #[inline(never)]
    pub(crate) fn exp(&mut self) {
        vectorized(Exp { tile: self });
    }
}

struct Load<'a, T> {
    tile: &'a mut Tile<T>,
    rows: &'a [T],
}

impl<T: Real> Loop for Load<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { tile, rows } = self;
        // Sizes that are known to the compiler are transposed in registers.
        match tile.size {
            1 => tile.load_rows::<1>(rows, 0),
            2 => tile.load_rows::<2>(rows, 0),
            3 => tile.load_rows::<3>(rows, 0),
            size => {
                for from in (0..size & !3).step_by(4) {
                    one_by_one();
                    tile.load_rows::<4>(rows, from);
                }
                one_by_one();
                match size & 3 {
                    1 => tile.load_rows::<1>(rows, size & !3),
                    2 => tile.load_rows::<2>(rows, size & !3),
                    3 => tile.load_rows::<3>(rows, size & !3),
                    _ => {}
                }
            }
        }
    }
}

struct Store<'a, T> {
    tile: &'a Tile<T>,
    rows: &'a mut [T],
}

impl<T: Real> Loop for Store<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { tile: Tile { columns, size, .. }, rows } = self;
        for row in 0..rows.len() / size {
            let to = &mut rows[row * size..][..*size];
            for i in 0..*size {
                to[i] = columns[i][row];
            }
        }
    }
}

struct FoldRows<'a, T, F> {
    tile: &'a mut Tile<T>,
    fold: PhantomData<F>,
}

impl<T: Real, F: Fold> Loop for FoldRows<'_, T, F> {
    type Output = [T; ACROSS];

    #[inline(always)]
    fn run(self) -> [T; ACROSS] {
        let Tile { columns, lanes, size } = self.tile;
        let mut half = LONGEST / 2;
        for i in 0..half.min(*size) {
            one_by_one();
            for row in 0..ACROSS {
                lanes[i][row] = F::join(F::start(), columns[i][row]);
            }
        }
        for i in half..*size {
            one_by_one();
            for row in 0..ACROSS {
                lanes[i - half][row] = F::join(lanes[i - half][row], F::join(F::start(), columns[i][row]));
            }
        }
        // Lanes beyond the size would hold the neutral element, which changes nothing.
        while half > 1 {
            let size = half.min(*size);
            half /= 2;
            for i in half..size {
                one_by_one();
                for row in 0..ACROSS {
                    lanes[i - half][row] = F::join(lanes[i - half][row], lanes[i][row]);
                }
            }
        }
        lanes[0]
    }
}

struct Exp<'a, T> {
    tile: &'a mut Tile<T>,
}

impl<T: Real> Loop for Exp<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        // One loop of a length that is not known, which is vectorised whatever the precision.
        let all = self.tile.columns[..self.tile.size].as_flattened_mut();
        for k in 0..all.len() {
            all[k] = all[k].exp();
        }
    }
}

/// The first row and the end of each group of rows that a tile holds.
#[inline(always)]
pub(crate) fn groups(rows: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).step_by(ACROSS).map(move |first| (first, rows.min(first + ACROSS)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::reduce::{Add, Largest, Multiply, Smallest, fold_row};

    fn rows() -> impl Strategy<Value = (usize, Vec<f64>)> {
        let number = prop_oneof![
            6 => -3.0..3.0_f64,
            2 => prop::sample::select(&[0.0, -0.0, 1e300, -1e300, 1e-310][..]),
            1 => prop::sample::select(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY][..]),
        ];
        (1..=LONGEST, 1..=ACROSS)
            .prop_flat_map(move |(size, rows)| (Just(size), prop::collection::vec(number.clone(), size * rows)))
    }

    fn check<T: Real, F: Fold>(size: usize, rows: &[f64]) {
        let rows: Vec<T> = rows.iter().map(|&x| T::of(x)).collect();
        let mut tile = Tile::new(size);
        tile.load(&rows);
        let mut stored = vec![T::of(7.0); rows.len()];
        tile.store(&mut stored);
        // Which NaN comes out is left open.
        let bits = |x: T| (!x.is_nan()).then(|| x.as_f64().to_bits());
        assert!(rows.iter().zip(&stored).all(|(&a, &b)| bits(a) == bits(b)));
        let folded = tile.fold::<F>();
        for (row, &folded) in rows.chunks(size).zip(&folded) {
            assert_eq!(bits(folded), bits(fold_row::<T, F>(row)), "{row:?}");
        }
    }

    proptest! {
        #[test]
        fn rows_of_a_tile_are_reduced_as_one_row((size, rows) in rows()) {
            check::<f64, Add>(size, &rows);
            check::<f64, Multiply>(size, &rows);
            check::<f64, Largest>(size, &rows);
            check::<f64, Smallest>(size, &rows);
            check::<f32, Add>(size, &rows);
            check::<f32, Largest>(size, &rows);
        }
    }

    #[test]
    fn groups_cover_all_rows_once() {
        assert_eq!(groups(0).count(), 0);
        assert_eq!(groups(ACROSS).collect::<Vec<_>>(), [(0, ACROSS)]);
        assert_eq!(groups(ACROSS + 3).collect::<Vec<_>>(), [(0, ACROSS), (ACROSS, ACROSS + 3)]);
    }
}
