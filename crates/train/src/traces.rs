//! Compiled traces of a closure, each for one list of input shapes, with a limit on their number.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use gradus_graph::{AnyTensor, Data, Error, Feed, Graph, Kind, Meta, Outputs, Params, Real, Session, Shape, Var};

/// The default number of traces that are kept.
const KEPT: usize = 64;

/// Compiled traces by the key of their inputs. If there are too many, the least recently used is dropped.
pub(crate) struct Traces<C> {
    kept: HashMap<u64, Kept<C>>,
    most: usize,
    /// Uses so far.
    uses: u64,
    made: u64,
}

struct Kept<C> {
    compiled: C,
    /// The number of its last use.
    used: u64,
}

impl<C> Default for Traces<C> {
    fn default() -> Self {
        Self { kept: HashMap::new(), most: KEPT, uses: 0, made: 0 }
    }
}

impl<C> Traces<C> {
    /// Sets how many are kept.
    #[track_caller]
    pub(crate) fn keep(&mut self, most: usize) {
        assert!(most > 0, "at least one trace must be kept");
        self.most = most;
    }

    /// The number of traces that were made.
    pub(crate) fn made(&self) -> u64 {
        self.made
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &C> {
        self.kept.values().map(|kept| &kept.compiled)
    }

    /// Whether a trace of that key, for which `fits` holds, is there. If there is none, makes room for it.
    pub(crate) fn has(&mut self, key: u64, fits: impl FnOnce(&C) -> bool) -> bool {
        if self.kept.get(&key).is_some_and(|kept| fits(&kept.compiled)) {
            return true;
        }
        // If two share a key, which is a hash, the older one is dropped.
        self.kept.remove(&key);
        while self.kept.len() >= self.most {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.used).map(|(&key, _)| key);
            oldest.and_then(|key| self.kept.remove(&key));
        }
        false
    }

    pub(crate) fn add(&mut self, key: u64, compiled: C) {
        self.made += 1;
        self.kept.insert(key, Kept { compiled, used: 0 });
    }

    /// The trace of that key, which is there.
    pub(crate) fn recall(&mut self, key: u64) -> &mut C {
        self.uses += 1;
        let kept = self.kept.get_mut(&key).expect("the trace was found or added");
        kept.used = self.uses;
        &mut kept.compiled
    }
}

/// The key of a trace for such inputs; `more` is hashed as well. Does not allocate.
pub(crate) fn key<T: Real>(inputs: &[Data<'_, T>], more: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    more.hash(&mut hasher);
    for input in inputs {
        matches!(input, Data::Index(_)).hash(&mut hasher);
        shape(input).hash(&mut hasher);
    }
    hasher.finish()
}

/// The sizes of the axes of an input.
pub(crate) fn shape<'a, T: Real>(input: &Data<'a, T>) -> &'a Shape {
    match input {
        Data::Real(tensor) => tensor.shape(),
        Data::Index(tensor) => tensor.shape(),
    }
}

/// The inputs of a closure, by their numbers.
#[derive(PartialEq)]
pub(crate) struct Declared {
    metas: Vec<Meta>,
}

impl Declared {
    pub(crate) fn of<T: Real>(inputs: &[Data<'_, T>]) -> Self {
        Self { metas: inputs.iter().map(Data::meta).collect() }
    }

    /// The variables that stand for them in the graph.
    #[track_caller]
    pub(crate) fn declare<'g>(&self, graph: &'g Graph) -> Vec<Var<'g>> {
        self.declare_as(graph, name)
    }

    /// The variables that stand for them in the graph, with these names.
    #[track_caller]
    pub(crate) fn declare_as<'g>(&self, graph: &'g Graph, name: impl Fn(usize) -> String) -> Vec<Var<'g>> {
        let mut vars = Vec::with_capacity(self.metas.len());
        // No closure: the line of the caller passes through.
        for (number, meta) in self.metas.iter().enumerate() {
            vars.push(match meta.kind {
                Kind::Real => graph.input(&name(number), meta.shape.clone()),
                Kind::Index => graph.index_input(&name(number), meta.shape.clone()),
            });
        }
        vars
    }
}

/// The variables as an array, for a closure of `N` inputs.
pub(crate) fn as_array<'g, const N: usize>(vars: &[Var<'g>]) -> [Var<'g>; N] {
    std::array::from_fn(|number| vars[number])
}

/// The name of the input of that number.
pub(crate) fn name(number: usize) -> String {
    format!("input{number}")
}

/// One trace: the inputs that it was made for, and its compiled form.
pub(crate) struct Traced<T> {
    inputs: Declared,
    session: Session<T>,
}

impl<T: Real> Traced<T> {
    pub(crate) fn new(inputs: Declared, session: Session<T>) -> Self {
        Self { inputs, session }
    }

    pub(crate) fn fits(&self, inputs: &[Data<'_, T>]) -> bool {
        let same = |(meta, input): (&Meta, &Data<'_, T>)| {
            meta.shape == *shape(input) && (meta.kind == Kind::Index) == matches!(input, Data::Index(_))
        };
        self.inputs.metas.len() == inputs.len() && self.inputs.metas.iter().zip(inputs).all(same)
    }

    /// Runs with that seed and step of the random leaves.
    pub(crate) fn run(
        &mut self,
        params: &Params<T>,
        inputs: &[Data<'_, T>],
        (seed, step): (u64, u64),
    ) -> Result<Outputs<'_, T>, Error> {
        self.session.run(params, &Feed::in_order(inputs).random(seed, step))
    }

    /// [`Traced::run`], with the outputs in a list that other traces use as well.
    pub(crate) fn run_into(
        &mut self,
        params: &Params<T>,
        inputs: &[Data<'_, T>],
        (seed, step): (u64, u64),
        outputs: &mut Vec<AnyTensor<T>>,
    ) -> Result<(), Error> {
        self.session.run_into(params, &Feed::in_order(inputs).random(seed, step), outputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_was_not_used_for_the_longest_time_goes() {
        let mut traces = Traces::default();
        traces.keep(3);
        let mut visit = |key: u64| {
            let known = traces.has(key, |_| true);
            if !known {
                traces.add(key, key);
            }
            assert_eq!(*traces.recall(key), key);
            known
        };
        let visits = [1, 2, 3, 1, 4, 1, 3, 2, 3, 4];
        let known = visits.map(&mut visit);
        assert_eq!(known, [false, false, false, true, false, true, true, false, true, false]);
        assert_eq!(traces.made(), 6);
        assert_eq!(traces.iter().count(), 3);
        // Of two with one key, each in turn is made anew.
        assert!(!traces.has(4, |_| false));
        assert_eq!(traces.iter().count(), 2);
    }
}
