//! Gradient checks: derivatives examined by many methods that must agree.
//!
//! - Differences with an estimate of their error: no tolerance is chosen, and none grows with the size of a tensor.
//!   Differences of the gradient check the second order, and the third on request.
//! - Forward against reverse mode, linearity of the vjp, slopes of Taylor remainders, symmetry of the Hessian.
//! - A kernel and its vjp against the op's definition, the compiled plan against plain evaluation, `f32` against `f64`,
//!   a second run against the first, other numbers of threads, allocations.
//! - Kinks and domains that ops state, and kinks that they do not: the domain of an elementwise op is scanned at special
//!   numbers, at all scales, and for kinks; `docs/gradient-checks.md` states what is found and what is not.
//!
//! A check ends in a [`Report`] or in a [`Failure`], which names the op, the line that made it, the element and the two
//! numbers, and has a test to paste. What could not be decided is counted, and beyond a share it fails an assertion.
//!
//! | to check | at given numbers | at numbers that are drawn (feature `proptest`) |
//! |---|---|---|
//! | a function of variables | [`assert_gradients`] | [`assert_property`] |
//! | an op | [`assert_op_at`] | [`assert_op`], [`assert_samples`] |
//! | a model with its loss | [`assert_model`] | |
//! | how an update rule uses gradients | [`assert_descent`] | |
//!
//! Each assertion is a line over a method of [`Check`], which has the options and gives the outcome as a value.

mod allocations;
mod derivatives;
mod descent;
#[cfg(any(test, feature = "proptest"))]
mod entry;
mod evaluator;
mod execution;
#[cfg(any(test, feature = "proptest"))]
mod graphs;
mod kinks;
mod locate;
#[cfg(any(test, feature = "proptest"))]
mod mutants;
mod numeric;
mod paste;
mod refusal;
mod relations;
mod report;
mod sample;
mod scan;
mod shrink;
#[cfg(any(test, feature = "proptest"))]
pub mod strategies;
#[cfg(any(test, feature = "proptest"))]
mod suite;
mod target;

use std::panic::Location;

use crate::error::Error;
use crate::params::Params;
use crate::plan::Inputs;
use crate::real::Real;
use crate::tape::op::{Form, Kind, Op};
use crate::tape::{Graph, Var};
use crate::tensor::{AnyTensor, Tensor};
pub use allocations::CountingAllocator;
use derivatives::{Examination, Finding};
pub use descent::{Descent, assert_descent, descent};
#[cfg(any(test, feature = "proptest"))]
pub use entry::Entry;
use evaluator::Evaluator;
#[cfg(any(test, feature = "proptest"))]
pub use graphs::Recipe;
#[cfg(any(test, feature = "proptest"))]
pub use mutants::{Fate, Mutation, mutants};
pub use report::{FailingOp, Failure, Method, Report, Verdict};
pub use sample::Sample;
#[cfg(any(test, feature = "proptest"))]
pub use suite::{Outcome, Suite, assert_entry, assert_op, assert_property, assert_samples};
use target::{Function, Model, Target, at_inputs};

/// How thorough a check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effort {
    /// Directions in which everything moves at once.
    Fast,
    /// Every element of small tensors; of large ones directions and single elements.
    Balanced,
    /// Every element of everything.
    Exhaustive,
}

/// How to check: the options, and a method for each thing that can be checked.
///
/// # Example
/// ```
/// use gradus_graph::Tensor;
/// use gradus_graph::check::{Check, Verdict, Method};
/// let x = Tensor::from([0.5, -1.25]);
/// let report = Check::new().orders(3).function(&[x], |x| (x[0].sin() * x[0]).sum())?;
/// assert_eq!(report.undecided, 0);
/// assert_eq!(report.of(Method::Taylor), Verdict::Agrees);
/// # Ok::<(), Box<gradus_graph::check::Failure>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Check {
    orders: usize,
    directions: u32,
    seed: u64,
    effort: Effort,
    /// No derivative passes by intention: it must be zero.
    stopped: bool,
}

impl Default for Check {
    fn default() -> Self {
        Self::new()
    }
}

impl Check {
    /// The check to second order, of every element of small tensors and along three directions of large ones.
    pub fn new() -> Self {
        Self { orders: 2, directions: 3, seed: 11, effort: Effort::Balanced, stopped: false }
    }

    /// Checks derivatives of the orders 1 to this; 2 unless stated.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    #[track_caller]
    pub fn orders(self, orders: usize) -> Self {
        assert!(orders >= 1, "a check is of the first order at least");
        Self { orders, ..self }
    }

    /// The number of random directions in which tensors move that are too large to move each element; 3 unless stated.
    #[must_use]
    pub fn directions(self, directions: u32) -> Self {
        Self { directions, ..self }
    }

    /// The seed of directions and cotangents.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Moves all inputs and parameters together along the directions, and looks at no element by itself: a model with a
    /// million parameters takes a few seconds.
    #[must_use]
    pub fn fast(self) -> Self {
        Self { effort: Effort::Fast, ..self }
    }

    /// Moves every element, however many there are.
    #[must_use]
    pub fn exhaustive(self) -> Self {
        Self { effort: Effort::Exhaustive, ..self }
    }

    /// Checks the derivatives of a function of variables at the given inputs.
    ///
    /// # Errors
    /// The failure: a derivative that is wrong, or an error that stopped the check (an op without a derivative).
    pub fn function(
        &self,
        inputs: &[Tensor<f64>],
        f: impl for<'g> Fn(&[Var<'g>]) -> Var<'g>,
    ) -> Result<Report, Box<Failure>> {
        self.run(&Function::new(inputs, &f), None)
    }

    /// Checks an op on the given inputs, by itself: also its kernel, its kinks and its shape rule.
    ///
    /// # Errors
    /// The failure.
    pub fn op(&self, op: impl Op, inputs: impl IntoIterator<Item = AnyTensor<f64>>) -> Result<Report, Box<Failure>> {
        self.sample(&Sample::new(op, inputs))
    }

    /// [`Check::op`] for a sample.
    ///
    /// # Errors
    /// The failure.
    pub fn sample(&self, sample: &Sample) -> Result<Report, Box<Failure>> {
        self.run(sample, None)
    }

    /// Checks the derivatives of a loss with respect to the parameters that it uses and that are not frozen, in double
    /// precision.
    ///
    /// The closure is the one that a training step compiles: it takes the graph and the inputs, `()` if there are none.
    /// Parameters and inputs of single precision are widened. Inputs are constants here: where the derivative with
    /// respect to one is to be checked, make it a parameter. Of a loss with auxiliary values, the loss alone is checked:
    /// `|graph, inputs| loss(graph, inputs).0`.
    ///
    /// # Errors
    /// The failure; `op` is the first op of the model that fails by itself.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::check::Check;
    /// use gradus_graph::{Params, Tensor};
    /// let mut params: Params = Params::new(0);
    /// let w = params.add("w", Tensor::from([0.5, -1.0]));
    /// let x = Tensor::from([1.0, 2.0]);
    /// let report = Check::new().model(&params, &x, |graph, [x]| (graph.param(&w) * x).tanh().square().sum())?;
    /// assert!(!report.is_undecided());
    /// # Ok::<(), Box<gradus_graph::check::Failure>>(())
    /// ```
    pub fn model<'a, T: Real, const N: usize>(
        &self,
        params: &Params<T>,
        inputs: impl Inputs<'a, T, N>,
        loss: impl for<'g> Fn(&'g Graph, [Var<'g>; N]) -> Var<'g>,
    ) -> Result<Report, Box<Failure>> {
        self.run(&Model { params: params.cast(), loss: &at_inputs(inputs.data(), &loss) }, None)
    }

    /// Checks; a failure is shrunk, traced to an op and given a reproducer, for which `function` is the text of the
    /// function.
    fn run(&self, target: &dyn Target, function: Option<&str>) -> Result<Report, Box<Failure>> {
        match self.look(target).and_then(|report| self.scan(target, report)) {
            Ok(report) => Ok(report),
            Err(failure) => Err(self.explain(target, failure, function)),
        }
    }

    /// The check itself.
    fn look(&self, target: &dyn Target) -> Result<Report, Box<Failure>> {
        let graph = Graph::new();
        let stopped = |error: Error| Box::new(Failure::new(stopped(&error), target.inputs(), Report::default()));
        let mut evaluator = self.evaluator(&graph, target).map_err(stopped)?;
        let mut look = Examination {
            evaluator: &mut evaluator,
            target,
            check: self,
            report: Report::default(),
            finding: None,
            at_kink: false,
        };
        look.all().map_err(stopped)?;
        let Examination { mut report, finding, .. } = look;
        if target.op().is_none() && (finding.is_some() || report.undecided > 0) {
            report.kinks = locate::kinks(&evaluator).map_err(stopped)?;
        }
        match finding {
            None => Ok(report),
            Some(finding) => Err(Box::new(Failure::new(finding, target.inputs(), report))),
        }
    }

    /// The scan of the domain of an elementwise op, after all else.
    fn scan(&self, target: &dyn Target, mut report: Report) -> Result<Report, Box<Failure>> {
        let Some(sample) = target.op() else { return Ok(report) };
        let outcome = scan::scan(self, sample);
        let finding = outcome.unwrap_or_else(|error| Err(stopped(&error)));
        if sample.op.form() == Form::Pointwise {
            report.record(Method::Kinks, Verdict::Agrees);
        }
        match finding {
            Ok(()) => Ok(report),
            Err(finding) => {
                report.record(finding.method, Verdict::Disagrees);
                Err(Box::new(Failure::new(finding, target.inputs(), report)))
            }
        }
    }

    fn evaluator<'g>(&self, graph: &'g Graph, target: &dyn Target) -> Result<Evaluator<'g>, Error> {
        Evaluator::new(graph, target, if self.stopped { 1 } else { self.orders }, self.seed)
    }

    /// The failure with all that helps.
    fn explain(&self, target: &dyn Target, mut failure: Box<Failure>, function: Option<&str>) -> Box<Failure> {
        let graph = Graph::new();
        match target.op() {
            Some(sample) => {
                // What a scan found is of one number, and an input out of the domain is what it is.
                if failure.point == target.inputs() && failure.method != Method::Domain {
                    let smallest = shrink::shrink(self, target, &failure);
                    failure = smallest.map_or(failure, |(_, failure)| failure);
                }
                failure.op = Some(FailingOp {
                    name: sample.op.name(),
                    op: paste::op(&*sample.op),
                    scope: String::new(),
                    line: String::new(),
                    source: None,
                    can_be_written: paste::can_be_written(&*sample.op),
                });
            }
            None => {
                if failure.what == derivatives::INPUT {
                    return failure;
                }
                if let Some((_, smaller)) = shrink::shrink(self, target, &failure) {
                    failure = smaller;
                }
                let inputs = failure.point.clone();
                let smallest = target.at(inputs.clone());
                let evaluator = self.evaluator(&graph, &*smallest);
                let found = evaluator.and_then(|evaluator| locate::first_wrong_op(&evaluator, self, &failure));
                if let Ok(Some((failing_op, alone))) = found {
                    let whole = std::mem::replace(&mut failure, alone);
                    let place = whole.variable.map_or(String::new(), |name| format!(" with respect to {name}"));
                    failure.note.get_or_insert(format!("found because {}{place} is wrong", whole.what));
                    failure.op = Some(failing_op);
                }
                if let Some(function) = function {
                    failure.reproducer = paste::of_function(function, &inputs);
                    return failure;
                }
            }
        }
        failure.reproducer = failure.op.as_ref().and_then(|op| paste::of_op(op, &failure.point));
        failure
    }
}

impl Examination<'_, '_> {
    /// Examines by all methods.
    fn all(&mut self) -> Result<(), Error> {
        self.domain()?;
        if self.finding.is_some() {
            return Ok(());
        }
        let real = self.evaluator.outputs.iter().any(|y| y.kind() == Kind::Real);
        if real && self.evaluator.arguments() > 0 {
            if self.check.stopped {
                self.stopped()?;
            } else {
                self.derivatives()?;
                self.kinks()?;
            }
        }
        self.runs()?;
        self.refusal();
        Ok(())
    }
}

/// The finding that an error is.
fn stopped(error: &Error) -> Finding {
    let text = error.to_string();
    // A caller that is the checker says nothing to the user.
    let text =
        text.rsplit_once(" (at ").filter(|(_, at)| at.contains("check/evaluator.rs")).map_or(&*text, |(text, _)| text);
    Finding { note: Some(text.to_owned()), ..Finding::new(Method::Existence, "the derivative", [f64::NAN; 3]) }
}

/// Checks the derivatives of `f` at `inputs`, to second order.
///
/// # Errors
/// The first derivative that is wrong, or the error that stopped the check (a shape that does not fit, an op without a
/// derivative) as a failure that says so.
///
/// # Example
/// ```
/// use gradus_graph::{Tensor, check};
/// let x = Tensor::from([0.5, -1.25]);
/// let report = check::gradients(&[x], |x| (x[0] * x[0]).sum()).expect("the gradient is right");
/// assert_eq!(report.undecided, 0);
/// ```
#[track_caller]
pub fn gradients(inputs: &[Tensor<f64>], f: impl for<'g> Fn(&[Var<'g>]) -> Var<'g>) -> Result<Report, Box<Failure>> {
    let text = paste::last_argument(Location::caller());
    Check::new().run(&Function::new(inputs, &f), text.as_deref())
}

/// [`gradients`] as an assertion: a test in one line.
///
/// # Panics
/// If a derivative is wrong, or more than a tenth of them could not be decided.
#[track_caller]
pub fn assert_gradients(inputs: &[Tensor<f64>], f: impl for<'g> Fn(&[Var<'g>]) -> Var<'g>) {
    let text = paste::last_argument(Location::caller());
    accept(Check::new().run(&Function::new(inputs, &f), text.as_deref()));
}

/// Asserts that an op is right on the given inputs ([`Check::op`]).
///
/// # Panics
/// If it is not, or more than a tenth of its derivatives could not be decided.
#[track_caller]
pub fn assert_op_at(op: impl Op, inputs: impl IntoIterator<Item = AnyTensor<f64>>) {
    accept(Check::new().op(op, inputs));
}

/// Asserts that the gradient of a model's loss is right ([`Check::model`]).
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor, check};
/// let mut params: Params = Params::new(0);
/// let w = params.add("w", Tensor::from([0.5, -1.0]));
/// check::assert_model(&params, (), |graph, []| graph.param(&w).tanh().square().sum());
/// let (x, y) = (Tensor::from([1.0, 2.0]), Tensor::from([0.0, 0.25]));
/// check::assert_model(&params, (&x, &y), |graph, [x, y]| (graph.param(&w) * x - y).square().mean());
/// ```
///
/// # Panics
/// If it is not, or more than a tenth of its derivatives could not be decided.
#[track_caller]
pub fn assert_model<'a, T: Real, const N: usize>(
    params: &Params<T>,
    inputs: impl Inputs<'a, T, N>,
    loss: impl for<'g> Fn(&'g Graph, [Var<'g>; N]) -> Var<'g>,
) {
    accept(Check::new().model(params, inputs, loss));
}

#[track_caller]
fn accept(outcome: Result<Report, Box<Failure>>) {
    match outcome {
        Ok(report) => assert!(!report.is_undecided(), "most derivatives could not be decided: {report}"),
        Err(failure) => panic!("{}", failure.text()),
    }
}

#[cfg(test)]
mod blind_spots;
#[cfg(test)]
mod tests;
