//! The arguments of a run: values of the inputs, and seed and step of the random leaves.

use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use crate::error::{Error, ErrorKind};
use crate::real::Real;
use crate::tape::op::{Kind, Meta};
use crate::tensor::Data;

/// Values for the inputs of a graph by name, and seed and step for its random leaves (0 and 0 if not given).
///
/// # Example
/// ```
/// use gradus_graph::{Feed, Graph, Params, Plan, Tensor};
/// let graph = Graph::new();
/// let x = graph.input("x", [2]);
/// let plan = Plan::new(&graph, &[x * 2.0])?;
/// let mut session = plan.session::<f32>();
/// let outputs = session.run(&Params::new(0), &Feed::new().with("x", &Tensor::from([1.0, 2.5])))?;
/// assert_eq!(outputs.real(0).data(), [2.0, 5.0]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Feed<'a, T> {
    values: SmallVec<[(&'a str, Data<'a, T>); 4]>,
    /// Values of the inputs in the order of their declaration.
    ordered: &'a [Data<'a, T>],
    pub(crate) seed: u64,
    pub(crate) step: u64,
}

impl<T> Default for Feed<'_, T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a, T> Feed<'a, T> {
    /// An empty feed.
    pub fn new() -> Self {
        Self { values: SmallVec::new(), ordered: &[], seed: 0, step: 0 }
    }

    /// The values of the graph's inputs, in the order in which it declares them.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Feed, Graph, Params, Plan, Tensor};
    /// let graph = Graph::new();
    /// let (x, y) = (graph.input("x", [2]), graph.input("y", [2]));
    /// let mut session = Plan::new(&graph, &[x - y])?.session::<f32>();
    /// let (x, y) = (Tensor::from([3.0, 4.0]), Tensor::from([1.0, 1.0]));
    /// let values = [(&x).into(), (&y).into()];
    /// let outputs = session.run(&Params::new(0), &Feed::in_order(&values))?;
    /// assert_eq!(outputs.real(0).data(), [2.0, 3.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    pub fn in_order(values: &'a [Data<'a, T>]) -> Self {
        Self { ordered: values, ..Self::new() }
    }

    /// Adds the value of the input `name`. A run returns an error if an input has two values.
    #[must_use]
    pub fn with(mut self, name: &'a str, value: impl Into<Data<'a, T>>) -> Self {
        self.values.push((name, value.into()));
        self
    }

    /// Sets the seed and the step of the random leaves.
    #[must_use]
    pub fn random(mut self, seed: u64, step: u64) -> Self {
        self.seed = seed;
        self.step = step;
        self
    }
}

/// An input as a graph declares it.
#[derive(Clone, Debug)]
pub(crate) struct InputSpec {
    pub(crate) name: String,
    /// Its index among the inputs.
    pub(crate) number: usize,
    pub(crate) meta: Meta,
    /// The line that declares it.
    pub(crate) line: String,
}

impl<T: Real> Feed<'_, T> {
    /// What is fed to the input of that number and name, in order or by name.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Feed, Tensor};
    /// let x = Tensor::from([1.0, 2.0]);
    /// let feed = Feed::new().with("x", &x);
    /// assert!(feed.value(0, "x").is_some() && feed.value(0, "y").is_none());
    /// ```
    pub fn value(&self, number: usize, name: &str) -> Option<Data<'_, T>> {
        let named = || self.values.iter().find(|(given, _)| *given == name).map(|(_, value)| value);
        self.ordered.get(number).or_else(named).copied()
    }

    /// The value of an input.
    ///
    /// # Errors
    /// If it was not fed, or not with the declared kind and shape.
    pub(crate) fn get(&self, input: &InputSpec) -> Result<Data<'_, T>, Error> {
        let InputSpec { name, number, meta, line } = input;
        let kind = |kind| if kind == Kind::Real { "real numbers" } else { "indices" };
        let fault = |problem: String| {
            let declared = format!("it is declared as {} of shape {} at {line}", kind(meta.kind), meta.shape);
            Error::new(ErrorKind::Feed, format!("input `{name}` {problem}; {declared}"))
        };
        let named = || self.values.iter().find(|(given, _)| given == name).map(|(_, value)| value);
        let ordered = self.ordered.get(*number);
        if ordered.is_some() && named().is_some() {
            return Err(fault("was fed twice, in order and by name".into()));
        }
        let Some(value) = ordered.or_else(named) else {
            let given: Vec<String> = self.values.iter().map(|(given, _)| format!("`{given}`")).collect();
            let given = if given.is_empty() { "nothing".to_owned() } else { given.join(", ") };
            return Err(fault(format!("was not fed ({given} was)")));
        };
        if !value.fits(meta) {
            let found = value.meta();
            return Err(fault(format!("was fed {} of shape {}", kind(found.kind), found.shape)));
        }
        Ok(*value)
    }

    /// Checks that no name is fed twice.
    fn check_twice(&self) -> Result<(), Error> {
        let names = || self.values.iter().map(|(name, _)| *name);
        match names().enumerate().find(|&(index, name)| names().skip(index + 1).any(|other| other == name)) {
            Some((_, name)) => Err(Error::new(ErrorKind::Feed, format!("input `{name}` was fed twice"))),
            None => Ok(()),
        }
    }

    /// Checks that every value is fed to an input of the graph, and no input twice.
    pub(crate) fn check_names(&self, declared: &FxHashSet<String>) -> Result<(), Error> {
        if self.ordered.len() > declared.len() {
            let problem = format!("the graph has {} inputs, but {} were fed", declared.len(), self.ordered.len());
            return Err(Error::new(ErrorKind::Feed, problem));
        }
        self.check_twice()?;
        match self.values.iter().find(|(name, _)| !declared.contains(*name)) {
            Some((name, _)) => {
                let mut known: Vec<String> = declared.iter().map(|name| format!("`{name}`")).collect();
                known.sort_unstable();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let problem = format!("the graph has no input named `{name}`, but it was fed; its inputs are: {known}");
                Err(Error::new(ErrorKind::Feed, problem))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Params;
    use crate::plan::Plan;
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    /// By a plan and without one, also of an input that no output needs.
    #[test]
    fn an_input_has_one_value() {
        let graph = Graph::new();
        let (x, _) = (graph.input("x", [1]), graph.input("unused", [1]));
        let mut session = Plan::new(&graph, &[x]).unwrap().session::<f64>();
        let (one, two) = (Tensor::from([1.0]), Tensor::from([2.0]));
        let ordered = [Data::Real(&one)];
        let params = Params::new(0);
        let cases = [
            (Feed::new().with("x", &one).with("unused", &one).with("x", &two), "input `x` was fed twice"),
            (Feed::new().with("unused", &one).with("x", &one).with("unused", &one), "input `unused` was fed twice"),
            (
                Feed::in_order(&ordered).with("x", &two),
                "input `x` was fed twice, in order and by name; it is declared as",
            ),
        ];
        for (feed, message) in cases {
            for error in [session.run(&params, &feed).err(), graph.eval_with(&[x], &params, &feed).err()] {
                let error = error.expect("the feed is refused");
                assert_eq!(error.kind(), ErrorKind::Feed);
                assert!(error.to_string().starts_with(message), "{error}");
            }
        }
        let feed = Feed::new().with("x", &one).with("y", &two);
        for error in [session.run(&params, &feed).err(), graph.eval_with(&[x], &params, &feed).err()] {
            let error = error.expect("no input is named so").to_string();
            assert!(error.starts_with("the graph has no input named `y`, but it was fed"), "{error}");
        }
        let feed = Feed::in_order(&ordered).with("unused", &two);
        assert_eq!(session.run(&params, &feed).unwrap().real(0).data(), [1.0]);
    }
}
