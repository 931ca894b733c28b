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
    use std::sync::LazyLock;

    use super::*;
    use crate::params::Params;
    use crate::plan::{Feed, Plan};
    use crate::real::Real;
    use crate::tape::op::{Accepts, Derivative, Form, Meta, Metas, Op, Signature, Work};
    use crate::tape::{Graph, Var};
    use crate::tensor::Tensor;

    static SHARED: LazyLock<Arena<f64>> = LazyLock::new(Arena::new);

    /// What a session in the shared arena gives for `[1, 2]`.
    fn run(f: impl FnOnce(Var<'_>) -> Var<'_>) -> f64 {
        let graph = Graph::new();
        let plan = Plan::new(&graph, &[f(graph.input("x", [2]).exp()).sum()]).expect("the graph is right");
        let x = Tensor::from([1.0, 2.0]);
        let mut session = plan.session_in(&SHARED);
        let outputs = session.run(&Params::new(0), &Feed::new().with("x", &x)).expect("the feed is right");
        outputs.real(0).item()
    }

    /// Adds what another session in the shared arena gives.
    #[derive(Debug, PartialEq, Eq, Hash)]
    struct AddOther;

    impl Op for AddOther {
        const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

        fn name(&self) -> &'static str {
            "add_other"
        }

        fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
            Ok(smallvec::smallvec![inputs[0].clone()])
        }

        fn derivative(&self, _input: usize) -> Derivative {
            Derivative::Undefined
        }

        fn form(&self) -> Form {
            Form::Kernel
        }

        fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
            let other = T::of(run(|x| x));
            for (y, &x) in work.outputs[0].real().iter_mut().zip(work.inputs[0].real()) {
                *y = x + other;
            }
            Ok(())
        }
    }

    /// As a worker of a thread pool does that waits within a run and begins the run of another session.
    #[test]
    fn a_run_may_begin_within_a_run() {
        let sum = run(|x| x);
        assert!((run(|x| x.graph().call(AddOther, &[x])) - 3.0 * sum).abs() < 1e-12 * sum);
    }
}
