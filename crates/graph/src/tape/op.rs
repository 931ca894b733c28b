//! What an op is: one object that states its name, its shape rule, its work and its derivative.
//!
//! Built-in ops and users' ops implement the same trait and have the same rights. The graph, the derivatives and the
//! plan know no op by name: they ask it for its [`Form`].

use std::any::{Any, TypeId};
use std::f64::consts::FRAC_PI_2;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use rustc_hash::FxHasher;
use smallvec::SmallVec;

use crate::kernel::simd::{Loop, vectorized};
use crate::real::{Each, Family, Member, Real};
use crate::shape::{IntoShape, Layout, Shape};
use crate::tape::Var;

/// What the elements of a value are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Real numbers, in the precision of the run. Truth values are the real numbers 0 and 1.
    Real,
    /// Whole numbers that count classes or positions; they have no derivative.
    Index,
}

/// Kind and shape of a value: all that is known of it while a graph is built.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Meta {
    /// Real numbers or indices.
    pub kind: Kind,
    /// The sizes of the axes.
    pub shape: Shape,
}

impl Meta {
    /// A real value of the given shape.
    ///
    /// # Panics
    /// If the sizes make no [`Shape`]; a shape rule that computes sizes takes [`Shape::try_new`].
    #[track_caller]
    pub fn real(shape: impl IntoShape) -> Self {
        Self::new(Kind::Real, shape)
    }

    /// An index value of the given shape.
    ///
    /// # Panics
    /// As [`Meta::real`].
    #[track_caller]
    pub fn index(shape: impl IntoShape) -> Self {
        Self::new(Kind::Index, shape)
    }

    #[track_caller]
    fn new(kind: Kind, shape: impl IntoShape) -> Self {
        match shape.try_into_shape() {
            Ok(shape) => Self { kind, shape },
            Err(problem) => panic!("{problem}"),
        }
    }
}

/// Kinds and shapes of an op's outputs; nearly always one.
pub type Metas = SmallVec<[Meta; 1]>;

/// A list of variables, such as the outputs of an op.
pub type Vars<'g> = SmallVec<[Var<'g>; 2]>;

/// What an input of an op may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepts {
    /// Real numbers.
    Real,
    /// Indices.
    Index,
    /// Real numbers or indices.
    Any,
}

/// How many inputs an op takes, and of which kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// One input for each entry.
    Fixed(&'static [Accepts]),
    /// Any number of inputs, one at least.
    Variadic(Accepts),
}

impl Signature {
    /// What is wrong with the number of the inputs, or with their kinds.
    pub(crate) fn check(self, inputs: &[Meta]) -> Result<(), String> {
        let (count, fits) = match self {
            Self::Fixed(kinds) => (kinds.len(), inputs.len() == kinds.len()),
            Self::Variadic(_) => (1, !inputs.is_empty()),
        };
        if !fits {
            let least = if matches!(self, Self::Fixed(_)) { "" } else { "at least " };
            let plural = if count == 1 { "" } else { "s" };
            return Err(format!("takes {least}{count} input{plural}, not {}", inputs.len()));
        }
        let accepts = |number: usize| match self {
            Self::Fixed(kinds) => kinds[number],
            Self::Variadic(all) => all,
        };
        inputs.iter().enumerate().try_for_each(|(number, input)| match (accepts(number), input.kind) {
            (Accepts::Real, Kind::Index) => {
                Err("expects real numbers where an index was given (`to_real` converts)".into())
            }
            (Accepts::Index, Kind::Real) => Err("expects indices where real numbers were given".into()),
            _ => Ok(()),
        })
    }
}

/// The form of work that an op is; passes of the plan match on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// No work of its own: the graph records [`Op::expand`] in its place.
    Expanded,
    /// The same elements under another layout: [`Op::view`].
    View,
    /// Output number `k` is input number `first + k`.
    Alias {
        /// The input that is output 0.
        first: usize,
    },
    /// One number of the output from one number of each input, all of one shape: [`Op::block`].
    Pointwise,
    /// A matrix product over the last two axes of two inputs; the axes before them are alike in both.
    Product,
    /// Anything else: [`Op::run`].
    Kernel,
}

/// Where an input of an op may lie: the open interval in which the op is defined and differentiable, but for its kinks.
/// Checks keep to it, and verify that the op is no good at its ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Domain {
    /// The lower end, not included.
    pub low: f64,
    /// The upper end, not included.
    pub high: f64,
    /// A number within that does not belong to it.
    pub without: Option<f64>,
}

impl Domain {
    /// All real numbers.
    pub const REAL: Self = Self::between(f64::NEG_INFINITY, f64::INFINITY);
    /// The numbers above 0.
    pub const POSITIVE: Self = Self::between(0.0, f64::INFINITY);
    /// All numbers but 0.
    pub const NONZERO: Self = Self { without: Some(0.0), ..Self::REAL };

    /// The numbers between two.
    pub const fn between(low: f64, high: f64) -> Self {
        Self { low, high, without: None }
    }

    /// Whether a number belongs to it.
    pub fn contains(&self, x: f64) -> bool {
        x > self.low && x < self.high && self.without != Some(x)
    }

    /// The condition on a number of that name, as `x > 0`; `None` for all numbers.
    pub(crate) fn condition(&self, x: &str) -> Option<String> {
        let Self { low, high, without } = *self;
        let within = match (low.is_finite(), high.is_finite()) {
            (false, false) => None,
            (true, false) => Some(format!("{x} > {}", number(low))),
            (false, true) => Some(format!("{x} < {}", number(high))),
            (true, true) => Some(format!("{} < {x} < {}", number(low), number(high))),
        };
        let hole = without.map(|hole| format!("{x} ≠ {}", number(hole)));
        let parts: Vec<String> = within.into_iter().chain(hole).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// The finite numbers at which it ends.
    pub(crate) fn ends(&self) -> impl Iterator<Item = f64> {
        [self.low, self.high].into_iter().filter(|end| end.is_finite()).chain(self.without)
    }
}

/// A number as pages and messages show it: up to four decimals, and `π/2` by its name.
pub(crate) fn number(x: f64) -> String {
    let digits = format!("{:.4}", x.abs());
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    let sign = if x < 0.0 { "−" } else { "" };
    if x.abs() == FRAC_PI_2 { format!("{sign}π/2") } else { format!("{sign}{digits}") }
}

/// Where an op has no derivative although it is defined, and what it takes for one there. Checks keep away from kinks,
/// look for others, and verify that the derivative at a kink is the one that is stated, and lies between the sides.
#[derive(Clone, Debug, PartialEq)]
pub enum Kinks {
    /// Nowhere.
    None,
    /// At these values of the input, each with the subgradient that is taken there.
    At(Vec<(f64, f64)>),
    /// At `first + k·step` for every whole `k`; the derivative is taken as 0.
    Every {
        /// One of them.
        first: f64,
        /// The distance between neighbours.
        step: f64,
    },
    /// Where elements that are compared with each other are equal; these share the derivative equally.
    Ties,
    /// At places that several inputs make together, as the cut of `atan2`: no list states them, and checks keep to the
    /// samples that they are given.
    Joint,
}

impl Kinks {
    /// The kink that is nearest to `x`, with its subgradient.
    pub(crate) fn nearest(&self, x: f64) -> Option<(f64, f64)> {
        match self {
            Self::None | Self::Ties | Self::Joint => None,
            Self::At(places) => places.iter().copied().min_by(|(a, _), (b, _)| (a - x).abs().total_cmp(&(b - x).abs())),
            Self::Every { first, step } => Some((first + step * ((x - first) / step).round(), 0.0)),
        }
    }
}

/// What the derivative of an op with respect to one of its inputs is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Derivative {
    /// A rule: [`Op::vjp`] gives the cotangent of the input.
    Rule,
    /// The input is one of the outputs, whose cotangent it gets as it is.
    Identity {
        /// The number of the output.
        output: usize,
    },
    /// That of [`Op::expand`].
    Expansion,
    /// Zero wherever it exists (as for `floor`), or by intention (`stop_gradient`).
    Zero,
    /// There is none: a gradient that passes here is an error.
    Undefined,
}

/// What a derivative may mention: the inputs and outputs of the op and the cotangents of its outputs.
#[derive(Clone, Copy)]
pub struct Call<'a, 'g> {
    /// The inputs.
    pub inputs: &'a [Var<'g>],
    /// The outputs.
    pub outputs: &'a [Var<'g>],
    /// For each output its cotangent; `None` stands for zero.
    pub cotangents: &'a [Option<Var<'g>>],
}

impl<'g> Call<'_, 'g> {
    /// Input number `i`.
    pub fn x(&self, i: usize) -> Var<'g> {
        self.inputs[i]
    }

    /// The output of an op that has one.
    pub fn y(&self) -> Var<'g> {
        self.outputs[0]
    }

    /// The cotangent of the output of an op that has one.
    pub fn g(&self) -> Var<'g> {
        self.cotangents[0].expect("a derivative is asked for only if a cotangent arrived")
    }
}

/// The elements of one input of a kernel, row-major without gaps.
#[derive(Clone, Copy, Debug)]
pub enum Array<'a, T> {
    /// Real numbers.
    Real(&'a [T]),
    /// Indices.
    Index(&'a [i64]),
}

impl<'a, T> Array<'a, T> {
    /// The real numbers of an input that is real by the op's shape rule.
    pub fn real(self) -> &'a [T] {
        match self {
            Self::Real(values) => values,
            Self::Index(_) => unreachable!("the shape rule accepted an index input as real"),
        }
    }

    /// The indices of an input that is an index by the op's shape rule.
    pub fn index(self) -> &'a [i64] {
        match self {
            Self::Index(values) => values,
            Self::Real(_) => unreachable!("the shape rule accepted a real input as an index"),
        }
    }
}

/// The memory of one output of a kernel, row-major without gaps. What is in it before is not defined.
#[derive(Debug)]
pub enum ArrayMut<'a, T> {
    /// Real numbers.
    Real(&'a mut [T]),
    /// Indices.
    Index(&'a mut [i64]),
}

impl<T> ArrayMut<'_, T> {
    /// The real numbers of an output that is real by the op's shape rule.
    pub fn real(&mut self) -> &mut [T] {
        match self {
            Self::Real(values) => values,
            Self::Index(_) => unreachable!("the shape rule gave an index output"),
        }
    }

    /// The indices of an output that is an index by the op's shape rule.
    pub fn index(&mut self) -> &mut [i64] {
        match self {
            Self::Index(values) => values,
            Self::Real(_) => unreachable!("the shape rule gave a real output"),
        }
    }
}

/// What a kernel works on: elements and shapes of the inputs, memory and shapes of the outputs.
pub struct Work<'a, 'b, T> {
    /// The inputs.
    pub inputs: &'a [Array<'b, T>],
    /// Their shapes.
    pub input_shapes: &'a [Shape],
    /// The outputs.
    pub outputs: &'a mut [ArrayMut<'b, T>],
    /// Their shapes.
    pub output_shapes: &'a [Shape],
    /// Scratch of at least [`Op::workspace`] elements. What is in it before is not defined.
    pub workspace: &'a mut [T],
}

/// A node's work and its derivative.
///
/// Required are a name, the kinds of the inputs and a shape rule, and one of:
///
/// - [`expand`](Op::expand): the definition in ordinary graph ops. With it alone the op runs and has every derivative.
/// - a [`form`](Op::form) with its kernel, and a [`vjp`](Op::vjp). If `expand` is given too, it is the definition
///   that the kernel and the vjp are checked against.
///
/// What the derivative with respect to an input is, the op declares: [`derivative`](Op::derivative).
///
/// A function of one number each (an activation, say) implements the smaller trait [`Pointwise`] instead. Ops are
/// compared by type and attributes, so that equal work is found: derive `PartialEq`, `Eq` and `Hash`, and hold real
/// attributes in [`Number`].
pub trait Op: Debug + PartialEq + Eq + Hash + Send + Sync + 'static {
    /// How many inputs it takes, and of which kinds: checked before the shape rule is asked.
    const INPUTS: Signature;

    /// The name that messages and pictures use, such as `"matmul"`.
    fn name(&self) -> &'static str;

    /// Kinds and shapes of the outputs, or what is wrong with the shapes of the inputs. The message need not name the op, the shapes
    /// or the line: the graph adds them.
    ///
    /// # Errors
    /// If the op does not accept these inputs.
    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String>;

    /// The definition in ordinary graph ops, if it has one.
    fn expand<'g>(&self, _inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        None
    }

    /// The form of work; decides which of the methods below is called.
    fn form(&self) -> Form {
        Form::Expanded
    }

    /// For [`Form::View`]: the layout of the output over the buffer of the input, or `None` if strides cannot express
    /// it and the plan must copy the input first. A contiguous input must give a layout.
    fn view(&self, _input: &Layout) -> Option<Layout> {
        None
    }

    /// For [`Form::Pointwise`]: fills `y` from as many elements of each input.
    fn block<T: Real>(&self, _x: &[&[T]], _y: &mut [T]) {
        unreachable!("{} is pointwise but has no `block`", self.name())
    }

    /// For [`Form::Kernel`]: fills the outputs.
    ///
    /// # Errors
    /// Only for what the shape rule cannot know: an index out of range.
    fn run<T: Real>(&self, _work: &mut Work<'_, '_, T>) -> Result<(), String> {
        unreachable!("{} is a kernel but has no `run`", self.name())
    }

    /// For [`Form::Kernel`]: elements of scratch that a run wants for inputs of these shapes, on the threads of the
    /// present rayon pool. A plan has them once for all its kernels, so that a run need not ask for memory.
    fn workspace<T: Real>(&self, _inputs: &[Shape]) -> usize {
        0
    }

    /// What the derivative with respect to a real input is; by default a rule, or that of the expansion for an op whose
    /// form is [`Form::Expanded`]. Such an op must declare a rule if it has one.
    fn derivative(&self, _input: usize) -> Derivative {
        match self.form() {
            Form::Expanded => Derivative::Expansion,
            _ => Derivative::Rule,
        }
    }

    /// For [`Derivative::Rule`]: the cotangent of input number `input`, written in graph ops on what `call` offers. It is
    /// called only if an output has a cotangent.
    fn vjp<'g>(&self, _call: Call<'_, 'g>, input: usize) -> Var<'g> {
        unreachable!("the derivative of `{}` with respect to input {input} is a rule, but it has no `vjp`", self.name())
    }

    /// Where the input may lie.
    fn domain(&self, _input: usize) -> Domain {
        Domain::REAL
    }

    /// Where the op has no derivative with respect to the input.
    fn kinks(&self, _input: usize) -> Kinks {
        Kinks::None
    }

    /// Whether [`vjp`](Op::vjp) is on purpose not the derivative of the op's values: a surrogate, such as a smooth
    /// slope for a step, or that of the identity for rounding. Checks then do not compare it with differences of values
    /// (nor with the derivative of [`expand`](Op::expand)), and check all else of it.
    fn is_surrogate(&self) -> bool {
        false
    }

    /// Floating-point operations of one run that count as multiply-adds in a summary of the graph.
    fn multiply_adds(&self, _inputs: &[Meta]) -> usize {
        0
    }
}

/// An op that computes each number of its output from the numbers at the same place of its inputs, all of one shape.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Pointwise, Real, Tensor, Var};
///
/// /// x / (1 + |x|)
/// #[derive(Debug, PartialEq, Eq, Hash)]
/// struct Squash;
///
/// impl Pointwise for Squash {
///     const NAME: &'static str = "squash";
///     fn value<T: Real>(&self, x: &[T]) -> T {
///         x[0] / (T::one() + x[0].abs())
///     }
///     fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
///         (x[0].abs() + 1.0).square().recip()
///     }
/// }
///
/// let graph = Graph::new();
/// let x = graph.constant(&Tensor::from([1.0, -3.0]));
/// let y = graph.call(Squash, &[x]);
/// assert_eq!(graph.eval(y)?.data(), [0.5, -0.75]);
/// let slope = graph.grad(y.sum(), &[x])?[0];
/// assert_eq!(graph.eval(slope)?.data(), [0.25, 0.0625]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
pub trait Pointwise: Debug + PartialEq + Eq + Hash + Send + Sync + 'static {
    /// The name that messages and pictures use.
    const NAME: &'static str;
    /// The number of inputs: 1, 2, 3 or 4.
    const ARITY: usize = 1;

    /// The value at `x`, one number for each input. Mark it `#[inline(always)]` if it is to be vectorised with all that
    /// it calls.
    fn value<T: Real>(&self, x: &[T]) -> T;

    /// The partial derivative with respect to input number `input`, from the inputs `x` and the output `y`.
    fn slope<'g>(&self, x: &[Var<'g>], y: Var<'g>, input: usize) -> Var<'g>;

    /// What the derivative with respect to an input is; by default a rule, which [`vjp`](Pointwise::vjp) gives.
    fn derivative(&self, _input: usize) -> Derivative {
        Derivative::Rule
    }

    /// The cotangent of an input; by default the output's cotangent times [`slope`](Pointwise::slope), where a
    /// cotangent of 0 gives 0 whatever the slope: [`Var::cotangent_times`].
    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
        call.g().cotangent_times(self.slope(call.inputs, call.y(), input))
    }

    /// Where the input may lie.
    fn domain(&self, _input: usize) -> Domain {
        Domain::REAL
    }

    /// Where the op has no derivative with respect to the input.
    fn kinks(&self, _input: usize) -> Kinks {
        Kinks::None
    }

    /// Whether the slope is on purpose not the derivative of the value: [`Op::is_surrogate`].
    ///
    /// # Example
    /// A neuron that fires above a threshold, with the slope of a smooth function (Zenke and Ganguli, "SuperSpike",
    /// 2018):
    /// ```
    /// use gradus_graph::{Graph, Pointwise, Real, Tensor, Var};
    ///
    /// #[derive(Debug, PartialEq, Eq, Hash)]
    /// struct Spike;
    ///
    /// impl Pointwise for Spike {
    ///     const NAME: &'static str = "spike";
    ///     fn value<T: Real>(&self, x: &[T]) -> T {
    ///         if x[0] > T::zero() { T::one() } else { T::zero() }
    ///     }
    ///     fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
    ///         (x[0].abs() + 1).pow(-2)
    ///     }
    ///     fn is_surrogate(&self) -> bool {
    ///         true
    ///     }
    /// }
    ///
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([-1.0, 3.0]));
    /// let y = graph.call(Spike, &[x]);
    /// let slope = graph.grad(y.sum(), &[x])?[0];
    /// assert_eq!((graph.eval(y)?.data(), graph.eval(slope)?.data()), (&[0.0, 1.0][..], &[0.25, 0.0625][..]));
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    fn is_surrogate(&self) -> bool {
        false
    }
}

impl<P: Pointwise> Op for P {
    const INPUTS: Signature = Signature::Fixed([Accepts::Real; 4].split_at(P::ARITY).0);

    fn name(&self) -> &'static str {
        P::NAME
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        const { assert!(P::ARITY >= 1 && P::ARITY <= 4, "a pointwise op has 1 to 4 inputs") }
        match inputs.iter().all(|input| input.shape == inputs[0].shape) {
            true => Ok(smallvec::smallvec![inputs[0].clone()]),
            false => Err("the shapes differ (broadcast them first)".into()),
        }
    }

    fn form(&self) -> Form {
        Form::Pointwise
    }

    fn block<T: Real>(&self, x: &[&[T]], y: &mut [T]) {
        vectorized(Block { op: self, x, y });
    }

    fn derivative(&self, input: usize) -> Derivative {
        Pointwise::derivative(self, input)
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
        Pointwise::vjp(self, call, input)
    }

    fn domain(&self, input: usize) -> Domain {
        Pointwise::domain(self, input)
    }

    fn kinks(&self, input: usize) -> Kinks {
        Pointwise::kinks(self, input)
    }

    fn is_surrogate(&self) -> bool {
        Pointwise::is_surrogate(self)
    }
}

struct Block<'a, P, T> {
    op: &'a P,
    x: &'a [&'a [T]],
    y: &'a mut [T],
}

impl<P: Pointwise, T: Real> Loop for Block<'_, P, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { op, x, y } = self;
        let n = y.len();
        // Slices of one length, so that the loops below need no bounds checks and become vector code.
        match P::ARITY {
            1 => {
                let a = &x[0][..n];
                for i in 0..n {
                    y[i] = op.value(&[a[i]]);
                }
            }
            2 => {
                let (a, b) = (&x[0][..n], &x[1][..n]);
                for i in 0..n {
                    y[i] = op.value(&[a[i], b[i]]);
                }
            }
            3 => {
                let (a, b, c) = (&x[0][..n], &x[1][..n], &x[2][..n]);
                for i in 0..n {
                    y[i] = op.value(&[a[i], b[i], c[i]]);
                }
            }
            4 => {
                let (a, b, c, d) = (&x[0][..n], &x[1][..n], &x[2][..n], &x[3][..n]);
                for i in 0..n {
                    y[i] = op.value(&[a[i], b[i], c[i], d[i]]);
                }
            }
            arity => unreachable!("a pointwise op has 1 to 4 inputs, not {arity}"),
        }
    }
}

/// A real attribute of an op: a number that can be compared and hashed, by its bits.
#[derive(Clone, Copy)]
pub struct Number(pub f64);

impl Number {
    /// The number in the precision of a run.
    #[inline(always)]
    pub fn real<T: Real>(self) -> T {
        T::of(self.0)
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Number {}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl Debug for Number {
    /// As it is written in a program, so that what a check prints of an op can be pasted.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Number({:?})", self.0)
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self(value)
    }
}

/// An op of any type, as nodes and plans hold it.
pub(crate) trait AnyOp: Debug + Send + Sync + 'static {
    fn name(&self) -> &'static str;
    fn inputs(&self) -> Signature;
    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String>;
    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>>;
    fn form(&self) -> Form;
    fn view(&self, input: &Layout) -> Option<Layout>;
    fn derivative(&self, input: usize) -> Derivative;
    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g>;
    fn domain(&self, input: usize) -> Domain;
    fn kinks(&self, input: usize) -> Kinks;
    fn is_surrogate(&self) -> bool;
    fn multiply_adds(&self, inputs: &[Meta]) -> usize;
    fn kernels(&self) -> Each<KernelsOf<'_>>;
    fn as_any(&self) -> &dyn Any;
    fn type_name(&self) -> &'static str;
}

impl<O: Op> AnyOp for O {
    fn name(&self) -> &'static str {
        Op::name(self)
    }

    fn inputs(&self) -> Signature {
        O::INPUTS
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        Op::infer(self, inputs)
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        Op::expand(self, inputs)
    }

    fn form(&self) -> Form {
        Op::form(self)
    }

    fn view(&self, input: &Layout) -> Option<Layout> {
        Op::view(self, input)
    }

    fn derivative(&self, input: usize) -> Derivative {
        Op::derivative(self, input)
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
        Op::vjp(self, call, input)
    }

    fn domain(&self, input: usize) -> Domain {
        Op::domain(self, input)
    }

    fn kinks(&self, input: usize) -> Kinks {
        Op::kinks(self, input)
    }

    fn is_surrogate(&self) -> bool {
        Op::is_surrogate(self)
    }

    fn multiply_adds(&self, inputs: &[Meta]) -> usize {
        Op::multiply_adds(self, inputs)
    }

    fn kernels(&self) -> Each<KernelsOf<'_>> {
        Each::new(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_name(&self) -> &'static str {
        std::any::type_name::<O>()
    }
}

/// The work of an op in one precision.
pub(crate) trait Kernels<T> {
    fn block(&self, x: &[&[T]], y: &mut [T]);
    fn run(&self, work: &mut Work<'_, '_, T>) -> Result<(), String>;
    fn workspace(&self, inputs: &[Shape]) -> usize;
}

impl<O: Op, T: Real> Kernels<T> for O {
    fn block(&self, x: &[&[T]], y: &mut [T]) {
        Op::block(self, x, y);
    }

    fn run(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        Op::run(self, work)
    }

    fn workspace(&self, inputs: &[Shape]) -> usize {
        Op::workspace::<T>(self, inputs)
    }
}

/// The work of an op that lives for `'a`, in each precision.
pub(crate) struct KernelsOf<'a>(PhantomData<&'a ()>);

impl<'a> Family for KernelsOf<'a> {
    type Of<T: Real> = &'a dyn Kernels<T>;
}

impl<'a, O: Op> Member<KernelsOf<'a>> for &'a O {
    #[inline(always)]
    fn member<T: Real>(self) -> &'a dyn Kernels<T> {
        self
    }
}

impl dyn AnyOp {
    /// The work in the precision of a run.
    pub(crate) fn work<T: Real>(&self) -> &dyn Kernels<T> {
        T::pick(self.kernels())
    }
}

/// The hash by type and attributes under which a graph finds an op that it holds already.
pub(crate) fn op_hash<O: Op>(op: &O) -> u64 {
    let mut hasher = FxHasher::default();
    TypeId::of::<O>().hash(&mut hasher);
    op.hash(&mut hasher);
    hasher.finish()
}
