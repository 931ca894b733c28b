//! The value of a parameter, with a stamp that tells whether it has changed.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::tensor::Tensor;

/// A tensor whose elements cannot change without a new stamp. Stamps are unique in the process, and clones keep theirs: two
/// values with the same stamp have the same elements.
#[derive(Clone)]
pub(super) struct Value<T> {
    tensor: Tensor<T>,
    stamp: u64,
}

impl<T> Value<T> {
    pub(super) fn new(tensor: Tensor<T>) -> Self {
        Self { tensor, stamp: next_stamp() }
    }

    pub(super) fn tensor(&self) -> &Tensor<T> {
        &self.tensor
    }

    pub(super) fn stamp(&self) -> u64 {
        self.stamp
    }
}

impl<T: Clone> Value<T> {
    /// The elements, copied first if another tensor shares them.
    pub(super) fn data_mut(&mut self) -> &mut [T] {
        self.stamp = next_stamp();
        self.tensor.data_mut()
    }
}

fn next_stamp() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
