//! A training step allocates nothing once it is warm: trace, plan, session and optimizer make all their memory in the
//! first two steps.
//!
//! Counted is what the one thread of a pool allocates: the whole step runs on it, since work is divided over the pool
//! in which a step is run. The batches are there before, as cutting a batch out of a data set makes new tensors.

#![allow(unsafe_code)] // The trait of allocators is unsafe.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use gradus::data::digits;
use gradus::nn::{Dense, Dropout, Layer, Mode, Relu, loss};
use gradus::optim::{Adam, Optimizer};
use gradus::train::Step;
use gradus::{Data, Params};

/// The system's allocator, counted for each thread.
struct Counted;

thread_local! {
    // A constant without a destructor: reading it neither allocates nor fails while a thread ends.
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

fn count_one() {
    COUNT.with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is handed on unchanged to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count_one();
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

fn allocations() -> usize {
    COUNT.with(Cell::get)
}

#[test]
fn a_training_step_allocates_nothing_from_the_third_on() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool of one thread");
    let (made, losses) = pool.install(|| {
        let batches: Vec<_> = digits::load().train.reshaped([64]).batches(32).drop_last().collect();
        let mut params = Params::new(7);
        let hidden = Dense::new(&mut params, "hidden", 64, 128);
        let output = Dense::new(&mut params, "output", 128, 10);
        let model = (hidden, Relu, Dropout::new(0.2), output);
        let mut step =
            Step::new(|_, batch| loss::cross_entropy(model.forward_in(batch[0], Mode::Train), batch[1])).seed(7);
        let mut optimizer = Optimizer::new(Adam::new(2e-3));
        let mut made = Vec::with_capacity(batches.len());
        let mut losses = Vec::with_capacity(batches.len());
        for batch in &batches {
            let before = allocations();
            let inputs: [Data<'_, f32>; 2] = [(&batch.inputs).into(), (&batch.targets).into()];
            let gradients = step.run(&params, &inputs).expect("the step runs");
            let loss = gradients.loss();
            optimizer.step(&mut params, gradients.iter()).expect("the gradients are finite");
            made.push(allocations() - before);
            losses.push(loss);
        }
        (made, losses)
    });
    assert!(made[0] > 0, "the first step traces and compiles: the counter counts nothing");
    assert_eq!(made[2..], vec![0; made.len() - 2], "allocations of the steps from the third on");
    // What ran was training.
    assert!(losses[losses.len() - 1] < 0.6 * losses[0], "{losses:?}");
}
