//! Memory that sessions may share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Memory for the intermediate values of sessions. Sessions of plans that run one after another, such as those of one
/// model for several shapes, may share an arena: it has the size that the largest of them needs, and is locked during a
/// run. Cheap to clone; clones share the memory.
///
/// # Example
/// ```
/// use gradus_graph::{Arena, Feed, Graph, Params, Plan, Tensor};
/// let arena: Arena<f64> = Arena::new();
/// for rows in [2, 3] {
///     let graph = Graph::new();
///     let x = graph.input("x", [rows, 2]);
///     let mut session = Plan::new(&graph, &[x.matmul(x.t()).exp().sum()])?.session_in(&arena);
///     let x: Tensor<f64> = Tensor::ones([rows, 2]);
///     session.run(&Params::new(0), &Feed::new().with("x", &x))?;
/// }
/// # Ok::<(), gradus_graph::Error>(())
/// ```
pub struct Arena<T>(Arc<Mutex<Memory<T>>>);

pub(super) struct Memory<T> {
    pub(super) real: Vec<T>,
    pub(super) index: Vec<i64>,
    /// Registers of fused loops.
    pub(super) scratch: Vec<T>,
    /// Of kernels and products.
    pub(super) workspace: Vec<T>,
}

impl<T> Arena<T> {
    /// An empty arena.
    pub fn new() -> Self {
        let memory = Memory { real: Vec::new(), index: Vec::new(), scratch: Vec::new(), workspace: Vec::new() };
        Self(Arc::new(Mutex::new(memory)))
    }

    /// Locks the memory for a run. It stays usable after a run that panicked, since no value outlives a run.
    pub(super) fn lock(&self) -> MutexGuard<'_, Memory<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The allocated bytes.
    pub fn bytes(&self) -> usize {
        let Memory { real, index, scratch, workspace } = &*self.lock();
        [real, scratch, workspace].map(Vec::len).iter().sum::<usize>() * size_of::<T>() + index.len() * size_of::<i64>()
    }
}

impl<T> Clone for Arena<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self::new()
    }
}
