//! Division of work over threads, without allocations and without effect on the results.
//!
//! A run or an optimizer's step opens a [team](in_team): its own thread and the other threads of the rayon pool that it
//! is called in or, if it is called from outside of any pool, threads that are kept for this (`crew`). Each piece of
//! work is announced to the team, whose threads take chunks of it until there are none (`team`). No thread waits for a
//! chunk that no other has begun, so a thread whose core another process has taken costs little. Between pieces of work
//! threads stay awake for a moment, since waking one takes longer than a small piece of work.
//!
//! `gradus-bench threads` times steps of training on one thread and on all, with `--busy` beside a thread that takes a
//! core.

#![allow(unsafe_code)] // Hands pieces of one slice to several threads.

mod crew;
mod team;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;
use std::ops::Range;

pub use team::in_team;
pub(crate) use team::{MOST_CHUNKS, Pause, in_team_with_pauses, is_deserted};

/// The least work for which a thread is woken, in shares of five microseconds: with less, waking it does not pay.
pub const WORTH: usize = 16;
/// Chunks for each thread: enough that one that comes late or is slow does not keep the others waiting.
const CHUNKS: usize = 4;

/// Runs `work(worker, range)` over disjoint ranges that cover `0..len`, on at most `threads` threads. A `grain` is a
/// number of elements worth a thread, several microseconds; ranges start at multiples of `align`. A worker has one
/// number below `threads` while `work` runs, and runs one range at a time. Small work runs inline.
pub fn in_parts(len: usize, grain: usize, align: usize, threads: usize, work: &(impl Fn(usize, Range<usize>) + Sync)) {
    let shares = len / grain.max(1);
    if shares < 2 || threads < 2 {
        return work(0, 0..len);
    }
    let chunks = chunks(shares, threads);
    let size = len.div_ceil(chunks).next_multiple_of(align);
    let range = |chunk: usize| {
        let from = chunk.saturating_mul(size).min(len);
        from..from.saturating_add(size).min(len)
    };
    if !in_chunks(len.div_ceil(size), shares, threads, &|worker, chunk| work(worker, range(chunk))) {
        work(0, 0..len);
    }
}

/// How many chunks `shares` shares of work are divided into: as many for each thread, so that none waits for an odd one.
fn chunks(shares: usize, threads: usize) -> usize {
    let even = if shares < threads { shares } else { shares.min(CHUNKS * threads).next_multiple_of(threads) };
    even.min(MOST_CHUNKS)
}

/// Runs `work(worker, chunk)` for the chunks below `chunks` on at most `threads` threads, and returns whether it did:
/// nothing runs if the work, of about `shares` times five microseconds, is not worth another thread now.
#[must_use]
pub(crate) fn in_chunks(chunks: usize, shares: usize, threads: usize, work: &(impl Fn(usize, usize) + Sync)) -> bool {
    chunks <= MOST_CHUNKS && team::share(chunks, threads, shares, work)
}

/// Runs `work(start, piece)` over pieces that a slice is cut into, on the threads of the current pool; `start` is the
/// index of the first element of a piece. `grain` and `align` are as of [`in_parts`].
pub(crate) fn in_pieces<T: Send>(
    slice: &mut [T],
    grain: usize,
    align: usize,
    work: &(impl Fn(usize, &mut [T]) + Sync),
) {
    let len = slice.len();
    if len / grain.max(1) < 2 {
        return work(0, slice);
    }
    let pieces = Pieces::new(slice);
    in_parts(len, grain, align, rayon::current_num_threads(), &|_, range| {
        // SAFETY: ranges do not overlap.
        work(range.start, unsafe { pieces.piece(range.start, range.len()) });
    });
}

/// [`in_pieces`] over two slices of the same length, which are cut at the same places; the second may also be empty, and
/// then so are its pieces.
///
/// # Panics
/// If the lengths differ otherwise.
pub(crate) fn in_pairs_of_pieces<T: Send>(
    [first, second]: [&mut [T]; 2],
    grain: usize,
    align: usize,
    work: &(impl Fn(usize, [&mut [T]; 2]) + Sync),
) {
    let (len, is_single) = (first.len(), second.is_empty());
    assert!(is_single || second.len() == len, "two slices of {len} and {} elements", second.len());
    let (first, second) = (Pieces::new(first), Pieces::new(second));
    in_parts(len, grain, align, rayon::current_num_threads(), &|_, range| {
        let other = if is_single { 0..0 } else { range.clone() };
        // SAFETY: ranges do not overlap.
        let pieces = unsafe { [first.piece(range.start, range.len()), second.piece(other.start, other.len())] };
        work(range.start, pieces);
    });
}

/// Runs `work(first, rows, each)` over parts of the rows of `size` elements that a slice holds, from number `first` on,
/// with a piece of each of the other slices, which have one element for each row. `grain` is a number of elements worth
/// a thread.
///
/// # Panics
/// If one of the others has another number of elements.
pub(crate) fn in_rows<T: Send, const N: usize>(
    rows: &mut [T],
    size: usize,
    each: [&mut [T]; N],
    grain: usize,
    work: &(impl Fn(usize, &mut [T], [&mut [T]; N]) + Sync),
) {
    let count = rows.len() / size.max(1);
    each.iter().for_each(|each| assert_eq!(each.len(), count, "one element for each row"));
    let (rows, each) = (Pieces::new(rows), each.map(|each| Pieces::new(each)));
    in_parts(count, (grain / size.max(1)).max(1), 1, rayon::current_num_threads(), &|_, Range { start, end }| {
        let len = end - start;
        // SAFETY: ranges do not overlap, nor do the rows of one with those of another.
        let own = unsafe { rows.piece(start * size, len * size) };
        // SAFETY: ranges do not overlap.
        work(start, own, std::array::from_fn(|other| unsafe { each[other].piece(start, len) }));
    });
}

/// Runs `work` for parts of the columns of matrices that follow each other in a slice, on the threads of the current pool.
/// Columns are counted over all matrices; `grain` is a number of elements worth a thread, and parts start at multiples of
/// `align` columns.
pub(crate) fn in_columns<T: Send>(
    slice: &mut [T],
    [rows, columns]: [usize; 2],
    grain: usize,
    align: usize,
    work: &(impl Fn(Columns<'_, T>) + Sync),
) {
    let (count, grain) = (slice.len() / rows.max(1), grain / rows.max(1));
    let pieces = &Pieces::new(slice);
    // No two parts have a column in common.
    in_parts(count, grain, align, rayon::current_num_threads(), &|_, range| {
        work(Columns { pieces, rows, columns, range });
    });
}

/// Some columns of matrices, which one thread writes; made by [`in_columns`] alone.
pub(crate) struct Columns<'a, T> {
    pieces: &'a Pieces<'a, T>,
    rows: usize,
    columns: usize,
    range: Range<usize>,
}

impl<T> Columns<'_, T> {
    /// The columns in groups of at most `most`, each of one matrix: its number, and their numbers within it.
    #[inline(always)]
    pub(crate) fn groups(&self, most: usize) -> impl Iterator<Item = (usize, Range<usize>)> + use<T> {
        let (columns, range) = (self.columns, self.range.clone());
        let (mut matrix, mut from) = (range.start / columns.max(1), range.start % columns.max(1));
        let mut left = range.len();
        std::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            let group = from..from + most.min(columns - from).min(left);
            let found = (matrix, group.clone());
            left -= group.len();
            (matrix, from) = if group.end == columns { (matrix + 1, 0) } else { (matrix, group.end) };
            Some(found)
        })
    }

    /// The elements of a row of a matrix in some of the columns.
    ///
    /// # Panics
    /// If these are not among the columns.
    #[inline(always)]
    pub(crate) fn row(&mut self, matrix: usize, row: usize, columns: Range<usize>) -> &mut [T] {
        let [first, end] = [columns.start, columns.end].map(|column| matrix * self.columns + column);
        let is_inside = columns.end <= self.columns && self.range.start <= first && end <= self.range.end;
        assert!(is_inside && row < self.rows, "row {row} of columns {columns:?} of matrix {matrix}");
        // SAFETY: the columns are among those of the range, which no other part has; `self` is borrowed as long as the
        // elements are.
        unsafe { self.pieces.piece((matrix * self.rows + row) * self.columns + columns.start, columns.len()) }
    }
}

/// Elements that an op which moves or adds them has for a thread: several microseconds of work.
pub(crate) const GRAIN: usize = 1 << 14;

/// A slice of which several threads write pieces that do not overlap.
pub struct Pieces<'a, T> {
    start: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: elements are reached only through `piece`, whose caller promises that no two pieces overlap, and through the
// pointers of `start`, whose use is the caller's own `unsafe`; `T: Send`, since a piece may be used on another thread.
unsafe impl<T: Send> Sync for Pieces<'_, T> {}

impl<'a, T> Pieces<'a, T> {
    /// The pieces of a slice.
    pub fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    /// A pointer to the elements `from..from + count`.
    ///
    /// # Panics
    /// If they leave the slice.
    #[inline]
    pub fn start(&self, from: usize, count: usize) -> *mut T {
        assert!(
            from <= self.len && count <= self.len - from,
            "a piece of {count} elements from {from} of {}",
            self.len
        );
        self.start.wrapping_add(from)
    }

    /// The elements `from..from + count`.
    ///
    /// # Panics
    /// If they leave the slice.
    ///
    /// # Safety
    /// While the piece is alive there is no other with one of its elements.
    #[allow(clippy::mut_from_ref)]
    #[inline]
    pub unsafe fn piece(&self, from: usize, count: usize) -> &mut [T] {
        // SAFETY: within the slice, which is borrowed for as long as `self`; not aliased by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start(from, count), count) }
    }
}
