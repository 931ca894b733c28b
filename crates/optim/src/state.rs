//! What an optimizer remembers, by name: saved and restored so that a resumed run goes on bit for bit.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use gradus_graph::{Params, Real, Tensor};

use crate::chain::Chain;
use crate::moved::Moved;
use crate::optimizer::Optimizer;

/// What an optimizer remembers: named tensors, named counts and named numbers.
///
/// A tensor is named after its parameter and its slot, `hidden.weight/first_moment`. The counts are `steps` and
/// `skipped` of the run, and `hidden.weight/steps` for each parameter. A number that a rule keeps beside the tensors is
/// named as a tensor is, or by its own name alone if it belongs to all parameters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State<T: Real> {
    /// The tensors by name.
    pub tensors: BTreeMap<String, Tensor<T>>,
    /// The counts by name.
    pub counts: BTreeMap<String, u64>,
    /// The numbers by name.
    pub numbers: BTreeMap<String, f64>,
}

/// Why a state does not fit an optimizer: all that is wrong with it. The optimizer is as it was before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoreError {
    /// What the optimizer needs and the state lacks.
    pub missing: Vec<String>,
    /// What the state holds and the optimizer has no place for.
    pub unexpected: Vec<String>,
    /// Tensors of the wrong shape, with both shapes.
    pub misshapen: Vec<String>,
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the state does not fit this optimizer and its parameters")?;
        let kinds = [("missing", &self.missing), ("unexpected", &self.unexpected), ("wrong shape", &self.misshapen)];
        for (kind, names) in kinds.into_iter().filter(|(_, names)| !names.is_empty()) {
            write!(f, "; {kind}: {}", names.join(", "))?;
        }
        Ok(())
    }
}

impl Error for RestoreError {}

impl<T: Real> Optimizer<T> {
    /// All that the optimizer remembers. The tensors share their elements with the optimizer until its next step.
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
    pub fn state(&self) -> State<T> {
        let mut counts = BTreeMap::from([("steps".to_owned(), self.steps), ("skipped".to_owned(), self.skipped)]);
        let mut tensors = BTreeMap::new();
        for moved in self.moved.iter().flatten() {
            counts.insert(format!("{}/steps", moved.param.name()), moved.steps);
            tensors.extend(self.slot_names(moved).zip(moved.slots.iter().cloned()));
        }
        let mut numbers = BTreeMap::new();
        for (name, moved, link, place) in number_names(&self.chain, &self.moved) {
            let of = moved.and_then(|index| self.moved[index].as_ref()).map_or(&self.numbers, |moved| &moved.numbers);
            numbers.insert(name, of[link][place]);
        }
        State { tensors, counts, numbers }
    }

    /// Takes over what another optimizer of the same rule remembered. `params` are the parameters that the next step
    /// will move; those that are trainable must have their state, unless no step has been taken.
    ///
    /// # Errors
    /// If anything is missing, unexpected or of the wrong shape: the error lists all of it, and nothing was changed.
    pub fn restore(&mut self, params: &Params<T>, state: &State<T>) -> Result<(), RestoreError> {
        let mut wrong = RestoreError::default();
        let (mut tensors, mut counts) = (state.tensors.clone(), state.counts.clone());
        let mut count = |name: &str| {
            let found = counts.remove(name);
            found.unwrap_or_else(|| {
                wrong.missing.push(name.to_owned());
                0
            })
        };
        let (steps, skipped) = (count("steps"), count("skipped"));
        let mut moved = Vec::new();
        for (param, value) in params.iter() {
            let name = format!("{}/steps", param.name());
            let started = steps > 0 && params.is_trainable(param);
            if !started && !state.counts.contains_key(&name) {
                moved.push(None);
                continue;
            }
            let mut restored = Moved::new(&self.chain, param, value);
            restored.steps = count(&name);
            moved.push(Some(restored));
        }
        for restored in moved.iter_mut().flatten() {
            let names: Vec<String> = self.slot_names(restored).collect();
            for (slot, name) in restored.slots.iter_mut().zip(names) {
                match tensors.remove(&name) {
                    None => wrong.missing.push(name),
                    Some(tensor) if tensor.shape() != slot.shape() => {
                        wrong.misshapen.push(format!("{name} ({} for {})", tensor.shape(), slot.shape()));
                    }
                    Some(tensor) => *slot = tensor,
                }
            }
        }
        let (mut joint, mut numbers) = (self.numbers.clone(), state.numbers.clone());
        for (name, index, link, place) in number_names(&self.chain, &moved) {
            let Some(number) = numbers.remove(&name) else {
                wrong.missing.push(name);
                continue;
            };
            let of = index.and_then(|index| moved[index].as_mut()).map_or(&mut joint, |moved| &mut moved.numbers);
            of[link][place] = number;
        }
        wrong.unexpected.extend(tensors.into_keys().chain(counts.into_keys()).chain(numbers.into_keys()));
        if wrong != RestoreError::default() {
            return Err(wrong);
        }
        (self.steps, self.skipped, self.moved, self.numbers) = (steps, skipped, moved, joint);
        Ok(())
    }

    /// The names of the slots of one parameter, in order.
    fn slot_names<'a>(&'a self, moved: &'a Moved<T>) -> impl Iterator<Item = String> + 'a {
        let names = self.chain.links_of(&moved.param).flat_map(|(_, _, placed)| &placed.tensors);
        names.map(|name| format!("{}/{name}", moved.param.name()))
    }
}

/// The names of all numbers, each with the index of its parameter, if it has one, its link and its place there.
fn number_names<T: Real>(chain: &Chain<T>, moved: &[Option<Moved<T>>]) -> Vec<(String, Option<usize>, usize, usize)> {
    let mut names = Vec::new();
    for (link, placed) in chain.links.iter().enumerate() {
        for (place, name) in placed.numbers.iter().enumerate() {
            if placed.is_joint() {
                names.push((name.clone(), None, link, place));
                continue;
            }
            for (index, moved) in moved.iter().enumerate() {
                if let Some(moved) = moved.as_ref().filter(|moved| placed.applies_to(&moved.param)) {
                    names.push((format!("{}/{name}", moved.param.name()), Some(index), link, place));
                }
            }
        }
    }
    names
}
