//! Division of work over threads, without allocations and without effect on the results.

#![allow(unsafe_code)] // Hands pieces of one slice to several threads.

use std::marker::PhantomData;
use std::ops::Range;

/// Runs `work(part, range)` over disjoint ranges that cover `0..len`, on at most `threads` threads of the current rayon
/// pool. No range but the last is shorter than `grain` elements, and all start at multiples of `align`; part numbers
/// differ and are below `threads`. Small work runs inline.
pub fn in_parts(len: usize, grain: usize, align: usize, threads: usize, work: &(impl Fn(usize, Range<usize>) + Sync)) {
    let parts = (len / grain).clamp(1, threads);
    if parts == 1 {
        return work(0, 0..len);
    }
    let size = len.div_ceil(parts).next_multiple_of(align);
    divide(0, parts, &|part| {
        // Ranges are disjoint for any alignment: one that starts past the end is empty.
        let range = part.saturating_mul(size).min(len)..(part + 1).saturating_mul(size).min(len);
        if !range.is_empty() {
            work(part, range);
        }
    });
}

fn divide(from: usize, to: usize, work: &(impl Fn(usize) + Sync)) {
    if to - from == 1 {
        return work(from);
    }
    let middle = from + (to - from) / 2;
    rayon::join(|| divide(from, middle, work), || divide(middle, to, work));
}

/// Runs `work` on a thread of the current rayon pool, so that parallel parts of it do not each enter the pool.
pub(crate) fn within_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    match rayon::current_num_threads() == 1 || rayon::current_thread_index().is_some() {
        true => work(),
        false => rayon::join(work, || ()).0,
    }
}

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
