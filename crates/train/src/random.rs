//! The position of a run in its random streams.

use gradus_graph::Real;
use gradus_optim::{RestoreError, SavedState};

/// The seed of the random leaves, and the step of their streams that comes next.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Random {
    pub(crate) seed: u64,
    pub(crate) position: u64,
}

impl Random {
    /// Seed and step of a run; the next run has the next step.
    pub(crate) fn next(&mut self) -> (u64, u64) {
        let step = self.position;
        self.position = step.wrapping_add(1);
        (self.seed, step)
    }

    pub(crate) fn state<T: Real>(&self) -> SavedState<T> {
        let mut state = SavedState::default();
        state.counts.extend([("seed".to_owned(), self.seed), ("position".to_owned(), self.position)]);
        state
    }

    pub(crate) fn restore<T: Real>(&mut self, state: &SavedState<T>) -> Result<(), RestoreError> {
        let names = state.counts.keys().filter(|name| !["seed", "position"].contains(&name.as_str()));
        let unexpected: Vec<String> = names.chain(state.tensors.keys()).chain(state.numbers.keys()).cloned().collect();
        match (state.counts.get("seed"), state.counts.get("position")) {
            (Some(&seed), Some(&position)) if unexpected.is_empty() => {
                *self = Self { seed, position };
                Ok(())
            }
            (seed, position) => {
                let needed = [("seed", seed), ("position", position)];
                let missing = needed.into_iter().filter(|(_, count)| count.is_none());
                let missing = missing.map(|(name, _)| name.to_owned()).collect();
                Err(RestoreError { missing, unexpected, ..RestoreError::default() })
            }
        }
    }
}
