//! The checker checked: derivatives are made wrong on purpose, and every one of them must be caught.
//!
//! A mutant is an op that does all as another one does, but for the vjp of one input. A mutation that changes nothing
//! (a factor on a derivative that is zero, a second order that was not there) makes no mutant: it is told apart by the
//! derivatives themselves, of both orders, on every sample that is tried.

use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::evaluator::Evaluator;
use super::{Check, Entry, Sample, scan};
use crate::real::Real;
use crate::shape::{Layout, Shape};
use crate::tape::op::{
    Accepts, AnyOp, Call, Derivative, Domain, Form, Kind, Kinks, Meta, Metas, Op, Signature, Vars, Work,
};
use crate::tape::{Graph, Var};
use crate::tensor::{AnyTensor, Tensor};

/// The place of kinks and jumps that are not stated.
const PLACE: f64 = 0.7031;

/// How a derivative is made wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutation {
    /// The sign is flipped.
    Sign,
    /// A factor of 2 too much.
    Factor,
    /// A term of the sum over the outputs is dropped: the first element of a cotangent does not count.
    DroppedTerm,
    /// A sum over a repeated axis is forgotten: where the derivative sums, it takes the first.
    ForgottenSum,
    /// Two inputs are taken for each other.
    SwappedInputs,
    /// The cotangent is not looked at.
    IgnoredCotangent,
    /// Each element gets the derivative of the next: a slice that is off by one.
    OffByOne,
    /// The second order is missing.
    LostSecondOrder,
    /// Wrong only if the input has size 1.
    WrongForOne,
    /// Wrong only for negative inputs.
    WrongForNegative,
    /// Wrong only for inputs of more than 2 in size.
    WrongForLarge,
    /// Wrong only in the last element.
    WrongInCorner,
    /// Wrong by 0.1 %.
    SlightlyOff,
    /// A number is added.
    Shifted,
    /// Where there is no derivative, one is claimed.
    Claimed,
    /// Wrong only at 0.
    WrongAtZero,
    /// Wrong only for inputs of more than 8 in size.
    WrongAboveEight,
    /// Wrong only between 0.3 and 0.3141.
    WrongInBetween,
    /// The derivative is NaN at 0.
    NanSlope,
    /// The value is NaN at 0.
    NanValue,
    /// The function has a kink at 0.7031 that is not stated; its derivative is right.
    UndeclaredKink,
    /// The function jumps at 0.7031.
    UndeclaredJump,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::Sign,
        Self::Factor,
        Self::DroppedTerm,
        Self::ForgottenSum,
        Self::SwappedInputs,
        Self::IgnoredCotangent,
        Self::OffByOne,
        Self::LostSecondOrder,
        Self::WrongForOne,
        Self::WrongForNegative,
        Self::WrongForLarge,
        Self::WrongInCorner,
        Self::SlightlyOff,
        Self::Shifted,
        Self::Claimed,
        Self::WrongAtZero,
        Self::WrongAboveEight,
        Self::WrongInBetween,
        Self::NanSlope,
        Self::NanValue,
        Self::UndeclaredKink,
        Self::UndeclaredJump,
    ];

    /// What it does, in a few words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sign => "sign flipped",
            Self::Factor => "factor 2",
            Self::DroppedTerm => "term dropped",
            Self::ForgottenSum => "sum over a repeated axis forgotten",
            Self::SwappedInputs => "two inputs swapped",
            Self::IgnoredCotangent => "cotangent ignored",
            Self::OffByOne => "off-by-one slice",
            Self::LostSecondOrder => "second order missing",
            Self::WrongForOne => "wrong only for size 1",
            Self::WrongForNegative => "wrong only for negative values",
            Self::WrongForLarge => "wrong only for large values",
            Self::WrongInCorner => "wrong only in the last element",
            Self::SlightlyOff => "wrong by 0.1 %",
            Self::Shifted => "a number added",
            Self::Claimed => "a derivative claimed where there is none",
            Self::WrongAtZero => "wrong only at 0",
            Self::WrongAboveEight => "wrong only above 8",
            Self::WrongInBetween => "wrong only from 0.3 to 0.3141",
            Self::NanSlope => "derivative NaN at 0",
            Self::NanValue => "value NaN at 0",
            Self::UndeclaredKink => "kink at 0.7031 not stated",
            Self::UndeclaredJump => "jump at 0.7031 not stated",
        }
    }

    /// The wrong value of an elementwise op at a number, from the right one.
    fn value<T: Real>(self, x: T, y: T) -> T {
        let place = T::of(PLACE);
        match self {
            Self::NanValue if x == T::zero() => T::nan(),
            Self::UndeclaredKink => y + T::of(2.0) * (x - place).abs(),
            Self::UndeclaredJump if x > place => y + T::of(0.5),
            _ => y,
        }
    }

    /// Where the function is made to bend or jump.
    fn place(self) -> Option<f64> {
        matches!(self, Self::UndeclaredKink | Self::UndeclaredJump).then_some(PLACE)
    }

    /// Whether it is of the value, or only of the numbers at which an op is scanned.
    fn is_local(self) -> bool {
        matches!(
            self,
            Self::WrongAtZero
                | Self::WrongAboveEight
                | Self::WrongInBetween
                | Self::NanSlope
                | Self::NanValue
                | Self::UndeclaredKink
                | Self::UndeclaredJump
        )
    }

    /// The wrong vjp; `None` where the mutation does not apply.
    fn vjp<'g>(self, op: &dyn AnyOp, call: Call<'_, 'g>, input: usize) -> Option<Var<'g>> {
        let x = call.inputs[input];
        let right = match derived(op, call, input) {
            Some(right) if self != Self::Claimed => right,
            None if self == Self::Claimed => {
                let mut given = call.cotangents.iter().flatten();
                return given.find(|g| g.shape() == x.shape()).copied();
            }
            _ => return None,
        };
        let size = x.shape().len();
        match self {
            Self::Sign => Some(-right),
            Self::Factor => Some(right * 2.0),
            Self::SlightlyOff => Some(right * 1.001),
            Self::DroppedTerm => {
                let first = |g: Var<'g>| {
                    let mask = Tensor::from_fn(g.shape(), |k| if k == 0 { 0.0 } else { 1.0 });
                    g * g.graph().constant(&mask)
                };
                let cotangents: Vec<_> = call.cotangents.iter().map(|g| g.map(first)).collect();
                derived(op, Call { cotangents: &cotangents, ..call }, input)
            }
            Self::ForgottenSum => forgotten_sum(op, call, input),
            Self::SwappedInputs => {
                let real = |i: &usize| call.inputs[*i].kind() == Kind::Real;
                let other =
                    (0..call.inputs.len()).filter(real).find(|&i| i != input && call.inputs[i].shape() == x.shape())?;
                derived(op, call, other)
            }
            Self::IgnoredCotangent => {
                let one = |g: Var<'g>| g.graph().ones(g.shape());
                let cotangents: Vec<_> = call.cotangents.iter().map(|g| g.map(one)).collect();
                derived(op, Call { cotangents: &cotangents, ..call }, input)
            }
            Self::OffByOne => (size > 1).then(|| {
                let flat = right.reshape([size]);
                let rolled = flat.slice(0, 1, None).pad(0, 0, 1) + flat.slice(0, 0, 1).pad(0, size - 1, 0);
                rolled.reshape(x.shape())
            }),
            Self::LostSecondOrder => {
                let still = |vars: &[Var<'g>]| vars.iter().map(|var| var.stop_gradient()).collect::<Vars<'g>>();
                let (inputs, outputs) = (still(call.inputs), still(call.outputs));
                derived(op, Call { inputs: &inputs, outputs: &outputs, ..call }, input)
            }
            Self::WrongForOne => (size == 1).then(|| right * 2.0),
            Self::WrongForNegative => Some(x.less(0.0).where_(right * 2.0, right)),
            Self::WrongForLarge => Some(x.abs().greater(2.0).where_(right * 2.0, right)),
            Self::WrongInCorner => (size > 1).then(|| {
                let corner = Tensor::from_fn(x.shape(), |k| if k + 1 == size { 2.0 } else { 1.0 });
                right * x.graph().constant(&corner)
            }),
            Self::Shifted => Some(right + 0.125),
            Self::Claimed | Self::NanValue | Self::UndeclaredJump => None,
            _ if op.form() != Form::Pointwise => None,
            Self::WrongAtZero => Some(x.equal(0.0).where_(right + call.g() * 0.5, right)),
            Self::WrongAboveEight => Some(x.abs().greater(8.0).where_(right * 2.0, right)),
            Self::WrongInBetween => {
                let between = x.greater(0.3) * x.less(0.3141);
                Some(between.where_(right * 2.0, right))
            }
            Self::NanSlope => Some(right * x.equal(0.0).where_(f64::NAN, 1.0)),
            Self::UndeclaredKink => Some(right + call.g() * (x - PLACE).sign() * 2.0),
        }
    }
}

/// The right vjp as a value, also where the op leaves it to its expansion.
fn derived<'g>(op: &dyn AnyOp, call: Call<'_, 'g>, input: usize) -> Option<Var<'g>> {
    match op.derivative(input) {
        Derivative::Rule => Some(op.vjp(call, input)),
        Derivative::Identity { output } => call.cotangents[output],
        Derivative::Zero | Derivative::Undefined => None,
        Derivative::Expansion => {
            let inputs: Vars<'g> = call.inputs.iter().map(|x| x.as_new_node()).collect();
            let outputs = op.expand(&inputs)?;
            let pairs = || outputs.iter().zip(call.cotangents).filter_map(|(y, g)| g.map(|g| (*y, g)));
            let (values, cotangents): (Vec<_>, Vec<_>) = pairs().unzip();
            let graph = call.inputs[input].graph();
            Some(graph.vjp(&values, &cotangents, &[inputs[input]]).ok()?[0])
        }
    }
}

/// The vjp in which sums take the first of what they should sum.
fn forgotten_sum<'g>(op: &dyn AnyOp, call: Call<'_, 'g>, input: usize) -> Option<Var<'g>> {
    let graph = call.inputs[input].graph();
    let start = graph.len();
    let right = derived(op, call, input)?;
    graph.rerecord(start, right, |name, inputs, output| {
        // The one place where an op is known by its name: what is forgotten is what this op does.
        if name != "sum" {
            return None;
        }
        let (mut first, to) = (inputs[0], output.shape());
        let from = first.shape();
        let mut left = to.sizes();
        for axis in (0..from.rank()).rev() {
            match left.split_last() {
                Some((last, rest)) if *last == from[axis] => left = rest,
                _ => first = first.slice(axis as isize, 0, from[axis].min(1) as isize),
            }
        }
        (first.shape().len() == to.len()).then(|| first.reshape(to))
    })
}

/// An op whose derivative with respect to one input is wrong.
struct Mutant {
    op: Arc<dyn AnyOp>,
    input: usize,
    mutation: Mutation,
}

impl Debug for Mutant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} of input {} of {:?}", self.mutation, self.input, self.op)
    }
}

impl PartialEq for Mutant {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.op, &other.op) && (self.input, self.mutation) == (other.input, other.mutation)
    }
}

impl Eq for Mutant {}

impl Hash for Mutant {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.input, self.mutation).hash(state);
    }
}

impl Op for Mutant {
    const INPUTS: Signature = Signature::Variadic(Accepts::Any);

    fn name(&self) -> &'static str {
        self.op.name()
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        self.op.inputs().check(inputs)?;
        self.op.infer(inputs)
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        // The definition is that of the right op.
        if self.mutation.is_local() { None } else { self.op.expand(inputs) }
    }

    fn form(&self) -> Form {
        self.op.form()
    }

    fn view(&self, input: &Layout) -> Option<Layout> {
        self.op.view(input)
    }

    fn block<T: Real>(&self, x: &[&[T]], y: &mut [T]) {
        self.op.work::<T>().block(x, y);
        for (y, &x) in y.iter_mut().zip(x[self.input]) {
            *y = self.mutation.value(x, *y);
        }
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        self.op.work::<T>().run(work)
    }

    fn workspace<T: Real>(&self, inputs: &[Shape]) -> usize {
        self.op.work::<T>().workspace(inputs)
    }

    fn derivative(&self, input: usize) -> Derivative {
        let right = self.op.derivative(input);
        let is_none = matches!(right, Derivative::Zero | Derivative::Undefined);
        let is_mutated = input == self.input && is_none == (self.mutation == Mutation::Claimed);
        if is_mutated { Derivative::Rule } else { right }
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
        if input != self.input {
            return self.op.vjp(call, input);
        }
        // Where the mutation does not apply, the right one.
        let mutated = self.mutation.vjp(&*self.op, call, input).or_else(|| derived(&*self.op, call, input));
        mutated.unwrap_or_else(|| call.x(input).graph().zeros(call.x(input).shape()))
    }

    fn domain(&self, input: usize) -> Domain {
        self.op.domain(input)
    }

    fn is_surrogate(&self) -> bool {
        self.op.is_surrogate()
    }

    fn kinks(&self, input: usize) -> Kinks {
        self.op.kinks(input)
    }
}

/// What became of a mutation of one input of one op.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The check refused it, at the sample of that number.
    Caught(usize),
    /// It changed derivatives, and no sample showed it.
    Survived,
    /// It changed no derivative of any sample: there is no such mutant.
    Same,
}

/// Mutates the derivative with respect to each real input of the op in every way, and checks the mutants on up to
/// `samples` samples each.
pub fn mutants(entry: &Entry, samples: usize, seed: u64) -> Vec<(Mutation, usize, Fate)> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let drawn: Vec<Sample> = (0..samples)
        .map(|_| entry.samples.new_tree(&mut runner).expect("the strategies of a suite refuse nothing").current())
        .collect();
    let inputs = drawn.iter().map(|sample| sample.inputs.len()).max().unwrap_or(0);
    let check = entry.check(&Check::new());
    let full = |sample: &&Sample| sample.inputs.iter().all(|input| !input.shape().contains(&0));
    let elementwise = drawn.iter().find(full).filter(|sample| sample.op.form() == Form::Pointwise);
    let profile = elementwise.map(|sample| scan::profile(&check, sample).unwrap_or_default());
    let mut fates = Vec::new();
    for input in 0..inputs {
        for mutation in Mutation::ALL {
            let fate = match (mutation.is_local(), elementwise.zip(profile.as_deref())) {
                (false, _) => fate(&check, &drawn, input, mutation),
                (true, Some((sample, profile))) => local_fate(&check, sample, profile, input, mutation),
                (true, None) => Fate::Same,
            };
            fates.push((mutation, input, fate));
        }
    }
    fates
}

/// Of a mutation that a scan should find, on one sample of an elementwise op; `right` is the profile of the op itself.
fn local_fate(check: &Check, sample: &Sample, right: &[f64], input: usize, mutation: Mutation) -> Fate {
    let mutant = Mutant { op: Arc::clone(&sample.op), input, mutation };
    let mutated = Sample { op: Arc::new(mutant), inputs: sample.inputs.clone() };
    let wrong = scan::profile(check, &mutated).unwrap_or_default();
    let apart = |(a, b): (&f64, &f64)| (a - b).abs() > 1e-9 * (1.0 + a.abs()) || a.is_nan() != b.is_nan();
    let within = mutation.place().is_none_or(|place| sample.op.domain(input).contains(place));
    match check.look(&mutated).and_then(|report| check.scan(&mutated, report)) {
        _ if !within || !right.iter().zip(&wrong).any(apart) => Fate::Same,
        Err(_) => Fate::Caught(0),
        Ok(_) => Fate::Survived,
    }
}

fn fate(check: &Check, samples: &[Sample], input: usize, mutation: Mutation) -> Fate {
    let mut changed = false;
    for (number, sample) in samples.iter().enumerate() {
        if !matches!(sample.inputs.get(input), Some(AnyTensor::Real(_))) || check.stopped {
            continue;
        }
        let mutant = Mutant { op: Arc::clone(&sample.op), input, mutation };
        let mutated = Sample { op: Arc::new(mutant), inputs: sample.inputs.clone() };
        if !differs(check, sample, &mutated) {
            continue;
        }
        changed = true;
        if check.look(&mutated).is_err() {
            return Fate::Caught(number);
        }
    }
    if changed { Fate::Survived } else { Fate::Same }
}

/// Whether a derivative of the first or second order differs, by more than rounding.
fn differs(check: &Check, right: &Sample, wrong: &Sample) -> bool {
    let derivatives = |sample: &Sample| {
        let graph = Graph::new();
        let mut evaluator = Evaluator::new(&graph, sample, 2, check.seed).ok()?;
        Some([evaluator.gradient(0).ok()?, evaluator.gradient(1).ok()?])
    };
    let (Some(right), Some(wrong)) = (derivatives(right), derivatives(wrong)) else { return true };
    let mut pairs = right.iter().flatten().zip(wrong.iter().flatten());
    pairs.any(|(a, b)| !a.is_close(b, 1e-9, 1e-12))
}
