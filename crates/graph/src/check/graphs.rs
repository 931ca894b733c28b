//! Random whole graphs, made of samples of ops: what is right of each op by itself must be right of them together.
//!
//! A graph is drawn as a recipe, a list of samples with the earlier value that each input takes up. The value is brought
//! to the shape of the sample's tensor and added to it, bounded by an arctangent; where the op has kinks or a domain, by
//! so little that it stays away from them. So every recipe gives a graph without a place where it is not smooth, and any
//! part of a recipe is a recipe, to which a failure shrinks.

use std::f64::consts::FRAC_2_PI;
use std::fmt;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::Union;

use super::evaluator::signed;
use super::strategies::{GAP, away, shape, tensor};
use super::{Entry, Sample};
use crate::shape::Shape;
use crate::tape::op::{Domain, Kind, Kinks};
use crate::tape::{Graph, Var};
use crate::tensor::{AnyTensor, Tensor};

/// How a random graph is built: the tensors that are its inputs, and one op after another.
#[derive(Clone)]
pub struct Recipe {
    inputs: Vec<Tensor<f64>>,
    steps: Vec<Step>,
}

/// An op on tensors, and the numbers of the values that its inputs take up; there 0 is none.
#[derive(Clone, Debug)]
struct Step {
    sample: Sample,
    takes: Vec<usize>,
}

/// Recipes of graphs of up to eight ops of the given entries, but for those that stop derivatives. They shrink towards
/// few ops that take up nothing.
///
/// # Panics
/// If there are no such entries.
///
/// # Example
/// ```
/// use gradus_graph::check::{Check, strategies};
/// use proptest::strategy::{Strategy, ValueTree};
/// use proptest::test_runner::TestRunner;
///
/// let graphs = strategies::graph(&gradus_graph::registry());
/// let recipe = graphs.new_tree(&mut TestRunner::deterministic()).expect("a recipe is drawn").current();
/// let report = Check::new().function(recipe.inputs(), |x| recipe.build(x))?;
/// assert!(!report.is_undecided());
/// # Ok::<(), Box<gradus_graph::check::Failure>>(())
/// ```
#[track_caller]
pub fn graph(entries: &[Entry]) -> impl Strategy<Value = Recipe> + use<> {
    let samples: Vec<_> = entries.iter().filter(|entry| !entry.stops).map(|entry| entry.samples.clone()).collect();
    assert!(!samples.is_empty(), "a graph is made of ops: there must be an entry that does not stop derivatives");
    let takes = prop_oneof![1 => Just(0_usize), 5 => 1..64_usize];
    // An infinite value, as the logsumexp of nothing, would drown all others.
    let samples = Union::new(samples).prop_map(smooth).prop_filter("values must be finite", is_finite);
    let step = (samples, vec(takes, 4)).prop_map(|(sample, takes)| Step { sample, takes });
    let inputs = vec(shape(2).prop_flat_map(|shape| tensor(shape, -2.0..2.0)), 2..4);
    (inputs, vec(step, 1..9)).prop_map(|(inputs, steps)| Recipe { inputs, steps })
}

/// The sample with what lies at a kink moved away from it.
fn smooth(mut sample: Sample) -> Sample {
    for (number, input) in sample.inputs.iter_mut().enumerate() {
        if let AnyTensor::Real(x) = input {
            let kinks = sample.op.kinks(number);
            *x = x.map(|&x| kinks.nearest(x).map_or(x, |(kink, _)| away(x, kink, GAP)));
        }
    }
    sample
}

/// Whether the op has finite values on its sample.
fn is_finite(sample: &Sample) -> bool {
    let graph = Graph::new();
    let inputs: Vec<Var<'_>> = (sample.inputs.iter())
        .map(|input| match input {
            AnyTensor::Real(x) => graph.constant(x),
            AnyTensor::Index(x) => graph.index_constant(x),
        })
        .collect();
    let outputs = graph.apply_any(&sample.op, &inputs).unwrap_or_else(|error| panic!("{error}"));
    outputs.iter().all(|y| graph.eval(y.to_real()).is_ok_and(|y| y.first_non_finite().is_none()))
}

impl Step {
    /// By how much an input may be moved from where it was drawn.
    fn reach(&self) -> f64 {
        let op = &self.sample.op;
        let free = |input| op.domain(input) == Domain::REAL && op.kinks(input) == Kinks::None;
        // Half of the gap that samples keep: differences must have room as well.
        if (0..self.sample.inputs.len()).all(free) { 1.0 } else { GAP / 2.0 }
    }

    /// The number of the value that an input takes up, of as many as there are.
    fn taken(&self, input: usize, count: usize) -> Option<usize> {
        let take = self.takes[input % self.takes.len()];
        take.checked_sub(1).map(|take| (take + input / self.takes.len()) % count)
    }
}

impl Recipe {
    /// The numbers to feed the inputs with.
    pub fn inputs(&self) -> &[Tensor<f64>] {
        &self.inputs
    }

    /// The number of ops, but for those that join them.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there are no ops.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// [`Recipe::build`] as a function to check.
    pub(super) fn function(&self) -> impl for<'g> Fn(&[Var<'g>]) -> Var<'g> {
        |x| self.build(x)
    }

    /// Builds the graph on variables of the shapes of the inputs. The result is a scalar, a weighted sum of all that was
    /// made, so that every op counts.
    ///
    /// # Panics
    /// If there are no variables.
    pub fn build<'g>(&self, inputs: &[Var<'g>]) -> Var<'g> {
        let graph = inputs[0].graph();
        let mut values = inputs.to_vec();
        for step in &self.steps {
            let arguments: Vec<Var<'g>> = (step.sample.inputs.iter().enumerate())
                .map(|(number, input)| match input {
                    AnyTensor::Index(places) => graph.index_constant(places),
                    AnyTensor::Real(drawn) => {
                        let base = graph.constant(drawn);
                        let taken = step.taken(number, values.len()).map(|place| values[place]);
                        match taken.and_then(|taken| adapted(taken, drawn.shape())) {
                            Some(taken) => base + taken.atan() * (step.reach() * FRAC_2_PI),
                            None => base,
                        }
                    }
                })
                .collect();
            match graph.apply_any(&step.sample.op, &arguments) {
                Ok(outputs) => values.extend(outputs.into_iter().map(Var::to_real)),
                Err(error) => panic!("{error}"),
            }
        }
        let terms =
            values.iter().zip(0..).map(|(value, number)| (*value * weights(graph, value.shape(), number)).sum());
        terms.reduce(|sum, term| sum + term).expect("there is an input")
    }
}

/// Numbers of either sign.
fn weights(graph: &Graph, shape: Shape, number: u32) -> Var<'_> {
    let weights = signed(5, number, shape.len());
    graph.constant(&Tensor::new(shape, weights))
}

/// The value brought to a shape: repeated along axes if it can be, else its elements in their order, repeated or cut.
/// `None` if it has no elements of which to make some.
fn adapted<'g>(value: Var<'g>, shape: &Shape) -> Option<Var<'g>> {
    debug_assert_eq!(value.kind(), Kind::Real);
    if value.shape().broadcast(shape).as_ref() == Some(shape) {
        return Some(value.broadcast_to(shape.clone()));
    }
    let (found, wanted) = (value.shape().len(), shape.len());
    if found == 0 {
        return None;
    }
    let flat = value.reshape([found]).tile([wanted.div_ceil(found)]);
    Some(flat.slice(0, 0, wanted as isize).reshape(shape.clone()))
}

impl fmt::Debug for Recipe {
    /// One line a value, as a formula of those before.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, input) in self.inputs.iter().enumerate() {
            writeln!(f, "x{number} = {input:?}")?;
        }
        for (number, step) in (self.inputs.len()..).zip(&self.steps) {
            write!(f, "x{number} = {:?} of ", step.sample.op)?;
            for (place, input) in step.sample.inputs.iter().enumerate() {
                let and = if place > 0 { " and " } else { "" };
                match (input, step.taken(place, number)) {
                    (AnyTensor::Index(drawn), _) => write!(f, "{and}{drawn:?}")?,
                    (AnyTensor::Real(drawn), None) => write!(f, "{and}{drawn:?}")?,
                    (AnyTensor::Real(drawn), Some(taken)) => {
                        write!(f, "{and}{drawn:?} + {}·2/π·atan(x{taken})", step.reach())?;
                    }
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::{Config, TestError, TestRng, TestRunner};

    use super::*;
    use crate::check::Check;

    fn drawn(count: usize) -> impl Iterator<Item = Recipe> {
        let (graphs, mut runner) = (graph(&crate::registry()), TestRunner::deterministic());
        (0..count).map(move |_| graphs.new_tree(&mut runner).expect("nothing is refused").current())
    }

    #[test]
    fn graphs_run_and_their_gradients_are_finite() {
        for recipe in drawn(300) {
            let graph = Graph::new();
            let inputs: Vec<Var<'_>> = recipe.inputs().iter().map(|input| graph.constant(input)).collect();
            let value = recipe.build(&inputs);
            let gradients = graph.grad(value, &inputs).unwrap_or_else(|error| panic!("{error} of\n{recipe:?}"));
            for value in gradients.into_iter().chain([value]) {
                assert_eq!(graph.eval(value).unwrap().first_non_finite(), None, "{recipe:?}");
            }
        }
    }

    #[test]
    fn whole_graphs_raise_no_alarm() {
        let mut undecided = 0;
        for recipe in drawn(40) {
            match Check::new().function(recipe.inputs(), |x| recipe.build(x)) {
                Ok(report) => undecided += usize::from(report.is_undecided()),
                Err(failure) => panic!("{failure}\nof\n{recipe:?}"),
            }
        }
        assert!(undecided <= 1, "{undecided} of 40 are undecided");
    }

    /// Most inputs take up a value, and values are used several times.
    #[test]
    fn what_is_made_is_used() {
        let (mut takes, mut inputs, mut shared) = (0, 0, 0);
        for recipe in drawn(100) {
            let mut uses = vec![0; recipe.inputs.len() + recipe.len()];
            for (number, step) in (recipe.inputs.len()..).zip(&recipe.steps) {
                for input in 0..step.sample.inputs.len() {
                    inputs += 1;
                    if let Some(place) = step.taken(input, number) {
                        takes += 1;
                        uses[place] += 1;
                    }
                }
            }
            shared += uses.iter().filter(|&&uses| uses > 1).count();
        }
        assert!(takes * 4 > inputs * 3 && shared > 100, "{takes} of {inputs}, {shared} shared");
    }

    #[test]
    fn a_failure_shrinks_to_the_op_that_makes_it() {
        let holds = |recipe: Recipe| {
            prop_assert!(recipe.steps.iter().all(|step| step.sample.op.name() != "matmul"));
            Ok(())
        };
        // Enough steps for any first failure, which depends on the list of ops.
        let config = Config { max_shrink_iters: 1 << 15, failure_persistence: None, ..Config::default() };
        let rng = TestRng::deterministic_rng(config.rng_algorithm);
        let found = TestRunner::new_with_rng(config, rng).run(&graph(&crate::registry()), holds);
        let Err(TestError::Fail(_, recipe)) = found else { panic!("{found:?}") };
        let text = format!("{recipe:?}");
        assert_eq!(recipe.len(), 1, "{text}");
        assert!(text.ends_with("= MatMul of Tensor [2, 2] [[0.0, 0.0],\n [0.0, 0.0]]\n") || text.len() < 200, "{text}");
    }
}
