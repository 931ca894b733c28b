//! The state of an optimizer, or of another part of a training run, by name: saved and restored so that a resumed run
//! continues bit for bit.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use gradus_graph::{Params, Real, Tensor};

use crate::chain::Chain;
use crate::optimizer::Optimizer;
use crate::param_state::ParamState;

/// A part of a training run with state that changes from step to step.
///
/// # Example
/// ```
/// use gradus_graph::Params;
/// use gradus_optim::{Stateful, ReduceOnPlateau, SavedState};
/// let params: Params<f64> = Params::new(0);
/// let mut plateau = ReduceOnPlateau::new();
/// plateau.report(3.0);
/// let state: SavedState<f64> = plateau.state();
/// assert_eq!(state.numbers["best"], 3.0);
/// let mut resumed = ReduceOnPlateau::new();
/// resumed.restore(&params, &state).unwrap();
/// ```
pub trait Stateful<T: Real> {
    /// The state.
    fn state(&self) -> SavedState<T>;

    /// Restores the state of another part of the same type, made with the same options. `params` are the parameters
    /// that the run trains.
    ///
    /// # Errors
    /// If anything is missing, unexpected or of the wrong shape: the error lists all of it, and nothing was changed.
    fn restore(&mut self, params: &Params<T>, state: &SavedState<T>) -> Result<(), RestoreError>;
}

/// The state of a part of a training run: named tensors, named counts and named numbers.
///
/// A tensor is named after its parameter and its slot, `hidden.weight/first_moment`. The counts are `steps` and
/// `skipped` of the run, and `hidden.weight/steps` for each parameter. A number that a rule keeps beside the tensors is
/// named as a tensor is, or by its own name alone if it belongs to all parameters; `rate_factor` is the factor of
/// [`Optimizer::scale_rate`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SavedState<T: Real> {
    /// The tensors by name.
    pub tensors: BTreeMap<String, Tensor<T>>,
    /// The counts by name.
    pub counts: BTreeMap<String, u64>,
    /// The numbers by name.
    pub numbers: BTreeMap<String, f64>,
}

/// Why a state cannot be restored: everything that is wrong with it. Nothing was changed. The message lists the first
/// twenty names of a kind and counts the others.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RestoreError {
    /// Names that the part needs and the state lacks.
    pub missing: Vec<String>,
    /// Names in the state that the part does not have.
    pub unexpected: Vec<String>,
    /// Tensors of the wrong shape, with both shapes.
    pub misshapen: Vec<String>,
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the state does not fit the part that is restored, or its parameters")?;
        let kinds = [("missing", &self.missing), ("unexpected", &self.unexpected), ("wrong shape", &self.misshapen)];
        for (kind, names) in kinds.into_iter().filter(|(_, names)| !names.is_empty()) {
            // A state may come from a damaged file, with any number of names of any length.
            let info: Vec<String> = names.iter().take(LISTED).map(|name| format!("{name:.200}")).collect();
            write!(f, "; {kind}: {}", info.join(", "))?;
            if names.len() > LISTED {
                write!(f, ", … and {} more", names.len() - LISTED)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for RestoreError {
    /// The message itself, which is short.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The number of names of a kind that a message lists; the others are counted.
const LISTED: usize = 20;

impl Error for RestoreError {}

/// A state being restored: collects what is missing, misshapen or left over.
pub(crate) struct Restoring<'a, T: Real> {
    tensors: BTreeMap<&'a str, &'a Tensor<T>>,
    counts: BTreeMap<&'a str, u64>,
    numbers: BTreeMap<&'a str, f64>,
    wrong: RestoreError,
}

impl<'a, T: Real> Restoring<'a, T> {
    pub(crate) fn new(state: &'a SavedState<T>) -> Self {
        Self {
            tensors: state.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect(),
            counts: state.counts.iter().map(|(name, &count)| (name.as_str(), count)).collect(),
            numbers: state.numbers.iter().map(|(name, &number)| (name.as_str(), number)).collect(),
            wrong: RestoreError::default(),
        }
    }

    /// The count of that name; 0 if it is missing.
    pub(crate) fn count(&mut self, name: &str) -> u64 {
        self.counts.remove(name).unwrap_or_else(|| self.miss(name))
    }

    /// The number of that name; 0 if it is missing.
    pub(crate) fn number(&mut self, name: &str) -> f64 {
        self.numbers.remove(name).unwrap_or_else(|| self.miss(name))
    }

    /// Replaces `target` by the tensor of that name, which must have its shape.
    pub(crate) fn tensor(&mut self, name: &str, target: &mut Tensor<T>) {
        match self.tensors.remove(name) {
            None => self.miss(name),
            Some(tensor) if tensor.shape() != target.shape() => {
                self.wrong.misshapen.push(format!("{name} ({} for {})", tensor.shape(), target.shape()));
            }
            Some(tensor) => *target = tensor.clone(),
        }
    }

    /// Whether the state holds such a count that was not taken.
    pub(crate) fn has_count(&self, name: &str) -> bool {
        self.counts.contains_key(name)
    }

    /// Whether the state holds such a tensor that was not taken.
    pub(crate) fn has_tensor(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    fn miss<N: Default>(&mut self, name: &str) -> N {
        self.wrong.missing.push(name.to_owned());
        N::default()
    }

    /// All that was wrong, with what nothing has taken.
    pub(crate) fn finish(mut self) -> Result<(), RestoreError> {
        let left = self.tensors.into_keys().chain(self.counts.into_keys()).chain(self.numbers.into_keys());
        self.wrong.unexpected.extend(left.map(str::to_owned));
        if self.wrong == RestoreError::default() { Ok(()) } else { Err(self.wrong) }
    }
}

impl<T: Real> Stateful<T> for Optimizer<T> {
    fn state(&self) -> SavedState<T> {
        self.state()
    }

    fn restore(&mut self, params: &Params<T>, state: &SavedState<T>) -> Result<(), RestoreError> {
        self.restore(params, state)
    }
}

impl<T: Real> Optimizer<T> {
    /// The state of the optimizer. The tensors share their elements with the optimizer until its next step.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Params, Tensor};
    /// use gradus_optim::{Optimizer, Sgd};
    /// let mut params: Params<f64> = Params::new(0);
    /// let x = params.add("x", Tensor::from([1.0]));
    /// let mut sgd = Optimizer::new(Sgd::new(0.1).momentum(0.9));
    /// sgd.step(&mut params, [(&x, &Tensor::from([3.0]))]).unwrap();
    /// let state = sgd.state();
    /// assert_eq!(state.tensors["x/momentum"].data(), [3.0]);
    /// assert_eq!(state.counts["steps"], 1);
    ///
    /// let mut resumed = Optimizer::new(Sgd::new(0.1).momentum(0.9));
    /// resumed.restore(&params, &state).unwrap();
    /// assert_eq!(resumed.state(), state);
    /// let refused = Optimizer::new(Sgd::new(0.1)).restore(&params, &state).unwrap_err();
    /// assert_eq!(refused.unexpected, ["x/momentum"]);
    /// ```
    pub fn state(&self) -> SavedState<T> {
        let mut counts = BTreeMap::from([("steps".to_owned(), self.steps), ("skipped".to_owned(), self.skipped)]);
        let mut tensors = BTreeMap::new();
        for param_state in self.states.iter().flatten() {
            counts.insert(format!("{}/steps", param_state.param.name()), param_state.steps);
            tensors.extend(self.slot_names(param_state).zip(param_state.slots.iter().cloned()));
        }
        let mut numbers = BTreeMap::from([("rate_factor".to_owned(), self.rate_factor)]);
        for (name, param_state, transform, number) in number_names(&self.chain, &self.states) {
            let of = param_state
                .and_then(|index| self.states[index].as_ref())
                .map_or(&self.numbers, |param_state| &param_state.numbers);
            numbers.insert(name, of[transform][number]);
        }
        SavedState { tensors, counts, numbers }
    }

    /// Restores the state of another optimizer of the same rule. `params` are the parameters that the next step
    /// will move; those that are trainable must have their state, unless no step has been taken.
    ///
    /// # Errors
    /// If anything is missing, unexpected or of the wrong shape: the error lists all of it, and nothing was changed.
    pub fn restore(&mut self, params: &Params<T>, state: &SavedState<T>) -> Result<(), RestoreError> {
        let mut from = Restoring::new(state);
        let (steps, skipped, rate_factor) = (from.count("steps"), from.count("skipped"), from.number("rate_factor"));
        let mut param_state = Vec::new();
        for (param, value) in params.iter() {
            let name = format!("{}/steps", param.name());
            let started = steps > 0 && params.is_trainable(param);
            if !started && !from.has_count(&name) {
                param_state.push(None);
                continue;
            }
            // A parameter without a group has no state; the next step returns an error.
            let Ok(mut restored) = ParamState::new(&self.chain, param, value) else {
                param_state.push(None);
                continue;
            };
            restored.steps = from.count(&name);
            let names: Vec<String> = self.slot_names(&restored).collect();
            for (slot, name) in restored.slots.iter_mut().zip(&names) {
                from.tensor(name, slot);
            }
            param_state.push(Some(restored));
        }
        let mut shared = self.numbers.clone();
        for (name, index, transform, number) in number_names(&self.chain, &param_state) {
            let of = index
                .and_then(|index| param_state[index].as_mut())
                .map_or(&mut shared, |param_state| &mut param_state.numbers);
            of[transform][number] = from.number(&name);
        }
        from.finish()?;
        (self.steps, self.skipped, self.rate_factor) = (steps, skipped, rate_factor);
        (self.states, self.numbers) = (param_state, shared);
        Ok(())
    }

    /// The names of the slots of one parameter, in order.
    fn slot_names<'a>(&'a self, param_state: &'a ParamState<T>) -> impl Iterator<Item = String> + 'a {
        let names = self.chain.transforms_of(&param_state.param).flat_map(|(_, _, entry)| &entry.tensors);
        names.map(|name| format!("{}/{name}", param_state.param.name()))
    }
}

/// The names of all numbers, each with the index of its parameter, if it has one, and those of its transform and in its
/// numbers.
fn number_names<T: Real>(
    chain: &Chain<T>,
    param_state: &[Option<ParamState<T>>],
) -> Vec<(String, Option<usize>, usize, usize)> {
    let mut names = Vec::new();
    for (transform, entry) in chain.transforms.iter().enumerate() {
        for (number, name) in entry.numbers.iter().enumerate() {
            if entry.is_joint() {
                names.push((name.clone(), None, transform, number));
                continue;
            }
            for (index, param_state) in param_state.iter().enumerate() {
                if let Some(param_state) =
                    param_state.as_ref().filter(|param_state| entry.applies_to(&param_state.param))
                {
                    names.push((format!("{}/{name}", param_state.param.name()), Some(index), transform, number));
                }
            }
        }
    }
    names
}
