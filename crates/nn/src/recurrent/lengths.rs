//! Sequences of different lengths in one batch.

use gradus_graph::Var;

use super::cell::State;

/// Which sequences are still running at which step.
pub(super) struct Running<'g> {
    /// `[time, batch, 1]`
    all: Var<'g>,
    /// `[batch, 1]` for each step.
    steps: Vec<Var<'g>>,
}

impl<'g> Running<'g> {
    #[track_caller]
    pub(super) fn new(lengths: Var<'g>, time: usize) -> Self {
        // A row is 1 from its length on: the one index that `one_hot` marks, which also refuses a wrong length.
        let ended = lengths.one_hot(time + 1).cumsum(1).slice(1, 0, time as isize);
        let all = ended.logical_not().t().unsqueeze(2);
        Self { steps: all.unstack(0), all }
    }

    /// The state after a step: the next for sequences that run, the same for those that have ended.
    #[track_caller]
    pub(super) fn choose<S: State<'g>>(&self, step: usize, next: S, state: S) -> S {
        let mask = self.steps[step];
        let parts: Vec<Var<'g>> =
            next.parts().into_iter().zip(state.parts()).map(|(next, old)| mask.where_(next, old)).collect();
        S::of(&parts)
    }

    /// `[time, batch, size]` with zeros beyond the ends.
    #[track_caller]
    pub(super) fn or_zero(&self, x: Var<'g>) -> Var<'g> {
        self.all.where_(x, 0.0)
    }
}
