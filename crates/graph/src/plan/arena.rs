//! Memory that sessions may share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Memory for the intermediate values of sessions. Sessions of plans that run one after another, such as those of one
/// model for several shapes, may share an arena: it has the size that the largest of them needs. Runs of several
/// threads at the same time have memory of their own each, which is kept for later runs. Cheap to clone; clones share
/// the memory.
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
pub struct Arena<T>(Arc<Mutex<Vec<Memory<T>>>>);

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
        Self(Arc::default())
    }

    /// Memory for a run, which gives it back at the end. Nothing is locked meanwhile: a worker of a thread pool that
    /// waits within a run may begin the run of another session.
    pub(super) fn lend(&self) -> Lent<'_, T> {
        let memory = self.idle().pop();
        Lent { memory: memory.unwrap_or_else(Memory::new), arena: self }
    }

    /// The memory that no run uses. It stays usable after a run that panicked, since no value outlives a run.
    fn idle(&self) -> MutexGuard<'_, Vec<Memory<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The allocated bytes, without those that runs use at the moment.
    pub fn bytes(&self) -> usize {
        self.idle().iter().map(Memory::bytes).sum()
    }
}

impl<T> Memory<T> {
    fn new() -> Self {
        Self { real: Vec::new(), index: Vec::new(), scratch: Vec::new(), workspace: Vec::new() }
    }

    fn bytes(&self) -> usize {
        let Self { real, index, scratch, workspace } = self;
        [real, scratch, workspace].map(Vec::len).iter().sum::<usize>() * size_of::<T>() + index.len() * size_of::<i64>()
    }
}

/// Memory that a run uses.
pub(super) struct Lent<'a, T> {
    pub(super) memory: Memory<T>,
    arena: &'a Arena<T>,
}

impl<T> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        let memory = std::mem::replace(&mut self.memory, Memory::new());
        self.arena.idle().push(memory);
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

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;
    use crate::params::Params;
    use crate::plan::{Feed, Plan, Session};
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    /// A session of a product of two matrices of this size, of which one is all ones, and a sum.
    fn session(size: usize, arena: &Arena<f64>) -> Session<f64> {
        let graph = Graph::new();
        let x = graph.input("x", [size, size]);
        Plan::new(&graph, &[x.matmul(x.t()).tanh().sum()]).expect("the graph is right").session_in(arena)
    }

    fn run(session: &mut Session<f64>, size: usize) -> f64 {
        let x = Tensor::full([size, size], 1.0 / size as f64);
        let outputs = session.run(&Params::new(0), &Feed::new().with("x", &x)).expect("the feed is right");
        outputs.real(0).item()
    }

    #[test]
    fn sessions_of_one_arena_run_side_by_side() {
        const SIZE: usize = 256;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().expect("threads start");
        pool.install(|| {
            let arena = Arena::new();
            let mut sessions: Vec<_> = (0..64).map(|_| session(SIZE, &arena)).collect();
            let alone = run(&mut sessions[0], SIZE);
            for _ in 0..15 {
                // A worker that waits for others within a run takes the run of another session meanwhile.
                sessions.par_iter_mut().for_each(|session| assert_eq!(run(session, SIZE), alone));
            }
        });
    }
}
