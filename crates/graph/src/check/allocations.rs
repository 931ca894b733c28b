//! Counts allocations, for checks that a run makes none, and bytes, for checks that a reader takes few.

#![allow(unsafe_code)] // The trait of allocators is unsafe.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, counted for each thread and for all of them together. Where a test program installs it, checks
/// verify that the second run of a plan allocates nothing.
///
/// # Example
/// ```
/// use gradus_graph::check::CountingAllocator;
///
/// #[global_allocator]
/// static ALLOCATOR: CountingAllocator = CountingAllocator;
///
/// let before = CountingAllocator::allocations();
/// let numbers = vec![1.0; 100];
/// assert_eq!(CountingAllocator::allocations() - before, 1);
/// # drop(numbers);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CountingAllocator;

thread_local! {
    // A constant without a destructor: reading it neither allocates nor fails while a thread ends.
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

static OF_ALL: AtomicUsize = AtomicUsize::new(0);
/// Bytes that are allocated, and the most that were since [`CountingAllocator::peak_of`] began.
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

impl CountingAllocator {
    /// How often this thread has asked for memory; 0 where the allocator is not installed.
    pub fn allocations() -> usize {
        COUNT.with(Cell::get)
    }

    /// How often all threads of the process together have asked for memory.
    pub fn allocations_of_all_threads() -> usize {
        OF_ALL.load(Ordering::Relaxed)
    }

    /// The result of `work`, and the most bytes that were allocated meanwhile, by all threads, beyond those before it.
    /// Calls that overlap disturb each other.
    pub fn peak_of<R>(work: impl FnOnce() -> R) -> (R, usize) {
        let before = LIVE.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let result = work();
        (result, PEAK.load(Ordering::Relaxed).saturating_sub(before))
    }
}

/// How often `work` asks for memory, and what it gives; `None` where nothing counts.
pub(super) fn count<R>(work: impl FnOnce() -> R) -> Option<(usize, R)> {
    let start = CountingAllocator::allocations();
    drop(std::hint::black_box(Box::new(0_u8)));
    let installed = CountingAllocator::allocations() > start;
    installed.then(|| {
        let before = CountingAllocator::allocations();
        let result = work();
        (CountingAllocator::allocations() - before, result)
    })
}

fn count_one(bytes: usize) {
    COUNT.with(|count| count.set(count.get() + 1));
    OF_ALL.fetch_add(1, Ordering::Relaxed);
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

// SAFETY: every call is passed unchanged to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_one(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count_one(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // For a moment both may be there.
        count_one(size);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
