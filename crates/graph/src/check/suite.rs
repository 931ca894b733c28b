//! Checks over inputs that are drawn: assertions for tests, and suites of ops for longer runs.

use std::cell::RefCell;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, RngSeed, TestCaseError, TestError, TestRng, TestRunner};
use rustc_hash::FxHashSet;

use super::entry::Entry;
use super::report::{Failure, Report};
use super::sample::Sample;
use super::target::Function;
use super::{Check, Recipe, paste, strategies};
use crate::tape::Var;
use crate::tape::op::Pointwise;
use crate::tensor::Tensor;

/// Cases of one assertion.
const CASES: u32 = 48;
/// Samples whose ops are scanned, where they differ.
const SCANNED: usize = 8;

/// [`assert_gradients`](super::assert_gradients) for inputs drawn by a strategy; a failure is shrunk.
///
/// # Panics
/// If a derivative is wrong, or more than one in twenty could not be decided.
#[track_caller]
pub fn assert_property<S>(strategy: S, f: impl for<'g> Fn(&[Var<'g>]) -> Var<'g>)
where
    S: Strategy<Value = Vec<Tensor<f64>>>,
{
    let text = paste::last_argument(std::panic::Location::caller());
    let check = Check::new();
    match drawn(strategy, |inputs| check.look(&Function::new(inputs, &f))) {
        Ok(report) => {
            assert!(report.undecided * 20 <= report.compared, "too many derivatives could not be decided: {report}");
        }
        Err(inputs) => match check.run(&Function::new(&inputs, &f), text.as_deref()) {
            Err(failure) => panic!("{}", failure.text()),
            Ok(_) => panic!("the function fails at {inputs:?}, but not always: it is not deterministic"),
        },
    }
}

/// Asserts that a pointwise op is right: on tensors that are drawn within its domain and at its kinks, and over its whole
/// domain, at special numbers, at all scales and between kinks.
///
/// # Panics
/// If it is not; the message says where and how.
///
/// # Example
/// ```
/// use gradus_graph::{Pointwise, Real, Var, check};
///
/// /// x³
/// #[derive(Debug, PartialEq, Eq, Hash)]
/// struct Cube;
///
/// impl Pointwise for Cube {
///     const NAME: &'static str = "cube";
///     fn value<T: Real>(&self, x: &[T]) -> T {
///         x[0] * x[0] * x[0]
///     }
///     fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
///         x[0] * x[0] * 3.0
///     }
/// }
///
/// check::assert_op(Cube);
/// ```
#[track_caller]
pub fn assert_op<P: Pointwise>(op: P) {
    assert_entry(&Entry::pointwise(op, ""));
}

/// Asserts that an op is right on what a strategy draws.
///
/// # Panics
/// If it is not, or if no sample gives a real input a derivative other than zero though the op states one.
#[track_caller]
pub fn assert_samples(samples: impl Strategy<Value = Sample> + 'static) {
    assert_entry(&Entry::new("", "", samples));
}

/// Asserts that the op of an entry is right on its samples.
///
/// # Panics
/// If it is not, or if no sample gives a real input a derivative other than zero though the op states one.
#[track_caller]
pub fn assert_entry(entry: &Entry) {
    if let Err(problem) = entry_is_right(entry) {
        panic!("{problem}");
    }
}

/// What [`assert_entry`] would say.
pub(super) fn entry_is_right(entry: &Entry) -> Result<(), String> {
    let check = entry.check(&Check::new());
    let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(7), ..Config::default() });
    if let Some(failure) = scan(&check, entry, &mut runner) {
        return Err(failure.text());
    }
    match drawn(&entry.samples, |sample| check.look(sample)) {
        Ok(report) => match report.gap() {
            Some(problem) => Err(format!("op `{}`: {problem}", entry.name)),
            None if report.undecided * 20 > report.compared => {
                Err(format!("op `{}`: too many derivatives could not be decided: {report}", entry.name))
            }
            None => Ok(()),
        },
        Err(sample) => Err(match check.sample(&sample) {
            Err(failure) => failure.text(),
            Ok(_) => format!("{sample:?} fails, but not always: the op is not deterministic"),
        }),
    }
}

/// Scans the domains of the elementwise ops that an entry draws, each once; the first failure.
fn scan(check: &Check, entry: &Entry, runner: &mut TestRunner) -> Option<Box<Failure>> {
    let mut scanned = FxHashSet::default();
    for _ in 0..SCANNED {
        let sample = entry.samples.new_tree(runner).expect("the strategies of a suite refuse nothing").current();
        if scanned.insert(format!("{:?}", sample.op))
            && let Err(failure) = check.scan(&sample, Report::default())
        {
            return Some(check.explain(&sample, failure, None));
        }
    }
    None
}

/// Looks at what a strategy draws: the whole report, or the smallest case that fails.
fn drawn<S: Strategy>(
    strategy: S,
    look: impl Fn(&S::Value) -> Result<Report, Box<Failure>>,
) -> Result<Report, S::Value> {
    // A fixed seed: a suite that fails fails again. Longer runs draw others.
    let config = Config {
        cases: CASES,
        max_shrink_iters: 500,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(7),
        ..Config::default()
    };
    let whole = RefCell::new(Report::default());
    let first = RefCell::new(None);
    let outcome = TestRunner::new(config).run(&strategy, |value| match look(&value) {
        Ok(report) => {
            whole.borrow_mut().add(&report);
            Ok(())
        }
        // A smaller case that fails in another way is another failure.
        Err(failure) if *first.borrow_mut().get_or_insert(failure.kind()) == failure.kind() => {
            Err(TestCaseError::fail(failure.what))
        }
        Err(_) => Ok(()),
    });
    match outcome {
        Ok(()) => Ok(whole.into_inner()),
        Err(TestError::Fail(_, value)) => Err(value),
        Err(TestError::Abort(reason)) => panic!("the strategy draws nothing: {reason}"),
    }
}

/// A run over many samples of an op, with a seed.
///
/// # Example
/// ```
/// use gradus_graph::check::{Check, Suite};
/// let entries = gradus_graph::registry();
/// let sine = entries.iter().find(|entry| entry.name == "sin").expect("the sine is an op");
/// let outcome = Suite::new(Check::new(), 1).run(sine, 20);
/// assert!(outcome.failure.is_none() && outcome.report.undecided == 0);
/// ```
pub struct Suite {
    check: Check,
    runner: TestRunner,
}

/// What a run over many samples has found.
#[derive(Debug)]
pub struct Outcome {
    /// All reports as one.
    pub report: Report,
    /// The cases that were drawn.
    pub cases: usize,
    /// Of these, those that could not be decided.
    pub undecided: usize,
    /// The first failure.
    pub failure: Option<Box<Failure>>,
}

impl Suite {
    /// A suite that draws from the given seed.
    pub fn new(check: Check, seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        Self { check: check.seed(seed), runner: TestRunner::new_with_rng(Config::default(), rng) }
    }

    /// Checks an op on as many samples, or until one fails; that one is shrunk.
    pub fn run(&mut self, entry: &Entry, cases: usize) -> Outcome {
        let check = entry.check(&self.check);
        if let Some(failure) = scan(&check, entry, &mut self.runner) {
            return Outcome { report: failure.report.clone(), cases: 1, undecided: 0, failure: Some(failure) };
        }
        self.draw(&entry.samples, cases, |sample| check.look(sample), |sample| check.sample(sample).err())
    }

    /// Checks as many random graphs of the ops, or until one fails; that one is shrunk, and traced to an op.
    pub fn graphs(&mut self, entries: &[Entry], cases: usize) -> Outcome {
        let check = self.check.clone();
        let look = |recipe: &Recipe| check.look(&Function::new(recipe.inputs(), &recipe.function()));
        let explain = |recipe: &Recipe| check.function(recipe.inputs(), |x| recipe.build(x)).err();
        self.draw(&strategies::graph(entries), cases, look, explain)
    }

    /// Checks what a strategy draws, with `look`; a case that fails is shrunk and looked at again with `explain`.
    fn draw<S: Strategy>(
        &mut self,
        strategy: &S,
        cases: usize,
        look: impl Fn(&S::Value) -> Result<Report, Box<Failure>>,
        explain: impl Fn(&S::Value) -> Option<Box<Failure>>,
    ) -> Outcome {
        let mut outcome = Outcome { report: Report::default(), cases: 0, undecided: 0, failure: None };
        for _ in 0..cases {
            let mut tree = strategy.new_tree(&mut self.runner).expect("the strategies of a suite refuse nothing");
            outcome.cases += 1;
            match look(&tree.current()) {
                Ok(report) => {
                    outcome.undecided += usize::from(report.is_undecided());
                    outcome.report.add(&report);
                }
                Err(first) => {
                    let alike = |failure: Box<Failure>| failure.kind() == first.kind();
                    let smallest = smallest(&mut tree, |value| look(value).is_err_and(alike));
                    outcome.failure = Some(explain(&smallest).unwrap_or(first));
                    break;
                }
            }
        }
        outcome
    }
}

/// The smallest value that fails.
fn smallest<T: ValueTree>(tree: &mut T, fails: impl Fn(&T::Value) -> bool) -> T::Value {
    let mut smallest = tree.current();
    for _ in 0..500 {
        let value = tree.current();
        let moved = if fails(&value) {
            smallest = value;
            tree.simplify()
        } else {
            tree.complicate()
        };
        if !moved {
            break;
        }
    }
    smallest
}

impl Entry {
    /// The check with what the entry says of the op.
    pub(super) fn check(&self, check: &Check) -> Check {
        Check { stopped: self.stops, ..check.clone() }
    }
}
