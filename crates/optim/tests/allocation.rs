//! After its first step an optimizer allocates nothing.

#![allow(unsafe_code)] // An allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use gradus_graph::{Params, Tensor};
use gradus_optim::{Adam, ClipGlobalNorm, DecayWeights, Momentum, Optimizer, Part, RmsProp, Sgd};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The number of allocations in ten steps after the first.
fn allocations(rule: impl Part, len: usize) -> usize {
    let mut params: Params<f32> = Params::new(0);
    let list = [params.add("x", Tensor::full([len], 1.0)), params.add("y", Tensor::full([7], 1.0))];
    let gradients = [Tensor::full([len], 0.5), Tensor::full([7], 0.25)];
    let mut optimizer = Optimizer::new(rule);
    let mut step = || optimizer.step(&mut params, list.iter().zip(&gradients)).expect("the gradients are right");
    step();
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for _ in 0..10 {
        step();
    }
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

/// The only test of this program, so that no other allocates meanwhile.
#[test]
fn steps_allocate_nothing() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("two threads can be started");
    // Each thread has taken work from the other before the count: the first time costs the pool memory.
    let both = std::sync::Barrier::new(2);
    pool.install(|| rayon::join(|| both.wait(), || both.wait()));
    pool.install(|| rayon::join(|| rayon::join(|| both.wait(), || ()), || rayon::join(|| both.wait(), || ())));
    for len in [100, 100_000] {
        let count = |allocations: usize, rule: &str| assert_eq!(allocations, 0, "{rule} with {len} elements");
        pool.install(|| {
            count(allocations(Adam::new(1e-3), len), "Adam");
            count(allocations((ClipGlobalNorm::new(1.0), DecayWeights::new(0.1), Sgd::new(0.1)), len), "clipped SGD");
            count(allocations(RmsProp::new(1e-3).centred().momentum(0.9), len), "RMSprop");
            count(allocations((Momentum::new(0.9), ClipGlobalNorm::new(1.0), Sgd::new(0.1)), len), "two passes");
        });
    }
}
