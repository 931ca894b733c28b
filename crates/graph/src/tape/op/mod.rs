//! The trait of ops: a name, a shape rule, the work and the derivative.
//!
//! Built-in ops and users' ops implement the same trait. The graph, the derivatives and the plan do not depend on
//! particular ops, only on their [`Form`].

mod any;
mod domain;
pub(crate) mod elementwise;
mod meta;
mod number;
mod pointwise;
pub(crate) mod reduction;
pub(crate) mod saved;
mod work;

use std::fmt::Debug;
use std::hash::Hash;
use std::slice::{from_mut, from_ref};

use smallvec::SmallVec;

use crate::kernel::reduce::Total;
use crate::real::Real;
use crate::shape::{Layout, Shape};
use crate::tape::Var;
use crate::tape::form::MAX_POINTWISE;
pub(crate) use any::{AnyOp, Kernels, op_hash};
#[cfg(test)]
pub(crate) use domain::number;
pub use domain::{Domain, Kinks};
pub use meta::{Accepts, Kind, Meta, Metas, Signature};
pub use number::Number;
pub use pointwise::Pointwise;
pub use saved::{Attribute, AttributeValue, Attributes, Ops, SavedOp};
pub(crate) use saved::{LEAVES, saved_ops};
pub use work::{Array, ArrayMut, Work};

/// A list of variables, such as the outputs of an op.
pub type Vars<'g> = SmallVec<[Var<'g>; 2]>;

/// How the work of an op is stated; passes of the plan match on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// By other ops: the graph records [`Op::expand`] instead of the op.
    Expanded,
    /// The same elements under another layout: [`Op::view`].
    View,
    /// Output number `k` is input number `first + k`.
    Alias {
        /// The input that is output 0.
        first: usize,
    },
    /// Elementwise, with inputs and output of one shape: [`Op::block`].
    Pointwise,
    /// A matrix product over the last two axes of two inputs, whose other axes are equal.
    Product,
    /// Anything else: [`Op::run`].
    Kernel,
}

/// What the value of an elementwise op is, if it is one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    /// `x + y`
    Sum,
    /// `x − y`
    Difference,
    /// `x · y`
    Product,
    /// `x · x`
    Square,
    /// `−x`
    Negation,
    /// That of [`Var::cotangent_times`]: `x · y`, or 0 in some of the cases where this is NaN.
    CotangentProduct,
}

/// The value of [`Arithmetic::CotangentProduct`].
#[inline(always)]
pub(crate) fn cotangent_product<T: Real>(cotangent: T, slope: T) -> T {
    let product = cotangent * slope;
    if product.is_nan() && is_zero_product(cotangent, slope) { T::zero() } else { product }
}

/// Whether the product of a cotangent and a slope is 0 where it is NaN by the rules of floating-point numbers.
#[inline(always)]
pub(crate) fn is_zero_product<T: Real>(cotangent: T, slope: T) -> bool {
    (cotangent == T::zero()) | ((slope == T::zero()) & !cotangent.is_nan())
}

/// The kind of the derivative of an op with respect to one of its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Derivative {
    /// A rule: [`Op::vjp`] returns the cotangent of the input.
    Rule,
    /// The identity: the cotangent of the input is that of an output.
    Identity {
        /// The number of the output.
        output: usize,
    },
    /// That of [`Op::expand`].
    Expansion,
    /// Zero where it exists (as for `floor`), or by definition (`stop_gradient`).
    Zero,
    /// It does not exist: a gradient through this input is an error.
    Undefined,
}

/// The arguments of a vjp: the inputs and outputs of the op, and the cotangents of its outputs.
#[derive(Clone, Copy)]
pub struct Call<'a, 'g> {
    /// The inputs.
    pub inputs: &'a [Var<'g>],
    /// The outputs.
    pub outputs: &'a [Var<'g>],
    /// The cotangent of each output; `None` is zero.
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
        self.cotangents[0].expect("a vjp is called only if the output has a cotangent")
    }
}

/// An op: the work of a node and its derivative.
///
/// Required are a name, the kinds of the inputs and a shape rule, and one of:
///
/// - [`expand`](Op::expand): the definition in ordinary graph ops. With it alone the op runs and has every derivative.
/// - a [`form`](Op::form) with its kernel, and a [`vjp`](Op::vjp). If `expand` is given too, it is the definition
///   that the kernel and the vjp are checked against.
///
/// The op declares the kind of its derivative with respect to each input: [`derivative`](Op::derivative).
///
/// An elementwise function, such as an activation, implements the smaller trait [`Pointwise`] instead. Ops are compared
/// by type and attributes, so that equal work is shared: derive `PartialEq`, `Eq` and `Hash`, and store real attributes
/// as [`Number`].
pub trait Op: Debug + PartialEq + Eq + Hash + Send + Sync + 'static {
    /// The number and kinds of the inputs, which are checked before the shape rule is called.
    const INPUTS: Signature;

    /// The name that messages and pictures use, such as `"matmul"`.
    fn name(&self) -> &'static str;

    /// The shape rule: kinds and shapes of the outputs. An error message need not name the op, the shapes or the line:
    /// the graph adds them.
    ///
    /// # Errors
    /// If the op does not accept these inputs.
    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String>;

    /// The definition in ordinary graph ops, if it has one.
    fn expand<'g>(&self, _inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        None
    }

    /// How the work is stated, which decides which of the methods below is called.
    fn form(&self) -> Form {
        Form::Expanded
    }

    /// For [`Form::View`]: the layout of the output over the buffer of the input, or `None` if strides cannot express
    /// it and the plan must copy the input first. For a contiguous input there must be a layout.
    fn view(&self, _input: &Layout) -> Option<Layout> {
        None
    }

    /// For [`Form::Pointwise`]: fills `y` from slices of the inputs of the same length.
    fn block<T: Real>(&self, _x: &[&[T]], _y: &mut [T]) {
        unreachable!("{} is pointwise but has no `block`", self.name())
    }

    /// [`Op::block`] of one element, of the first input and the others: a number by itself is passed in a register.
    #[doc(hidden)]
    fn scalar<T: Real>(&self, x: T, others: &[T]) -> T {
        let mut inputs = [from_ref(&x); MAX_POINTWISE];
        for number in 0..others.len() {
            inputs[number + 1] = from_ref(&others[number]);
        }
        let mut y = T::zero();
        self.block(&inputs[..=others.len()], from_mut(&mut y));
        y
    }

    /// For [`Form::Kernel`]: fills the outputs.
    ///
    /// # Errors
    /// Only for what the shape rule cannot check, such as an index that is out of range.
    fn run<T: Real>(&self, _work: &mut Work<'_, '_, T>) -> Result<(), String> {
        unreachable!("{} is a kernel but has no `run`", self.name())
    }

    /// For [`Form::Kernel`]: the number of elements of scratch memory that a run needs for inputs of these shapes, on
    /// the threads of the current rayon pool. A plan allocates it once for all its kernels, so that runs do not
    /// allocate.
    fn workspace<T: Real>(&self, _inputs: &[Shape]) -> usize {
        0
    }

    /// The kind of the derivative with respect to a real input; by default a rule or, for an op of the form
    /// [`Form::Expanded`], that of the expansion. Such an op must declare a rule if it has one.
    fn derivative(&self, _input: usize) -> Derivative {
        match self.form() {
            Form::Expanded => Derivative::Expansion,
            _ => Derivative::Rule,
        }
    }

    /// For [`Derivative::Rule`]: the cotangent of input number `input`, written in graph ops on the inputs, outputs and
    /// cotangents of `call`. It is called only if an output has a cotangent.
    ///
    /// An op that declares a rule must implement it: otherwise [`Graph::grad`](crate::Graph::grad) and related methods
    /// return an error that names the op.
    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
        let x = call.x(input);
        x.graph().missing_vjp.set(true);
        // Of the right kind and shape; the sweep returns an error before it uses it.
        x
    }

    /// The domain of the input.
    fn domain(&self, _input: usize) -> Domain {
        Domain::REAL
    }

    /// The points where the op is not differentiable with respect to the input.
    fn kinks(&self, _input: usize) -> Kinks {
        Kinks::None
    }

    /// Whether [`vjp`](Op::vjp) is deliberately not the derivative of the op's values: a surrogate gradient, such as a
    /// smooth slope for a step, or that of the identity for rounding. Checks then do not compare it with differences of
    /// values, nor with the derivative of [`expand`](Op::expand); all other checks apply.
    fn is_surrogate(&self) -> bool {
        false
    }

    /// For [`Form::Pointwise`]: the arithmetic that the value is, which a plan may compute together with what makes an
    /// input of it: at the end of a product, or with another step of a loop.
    fn arithmetic(&self) -> Option<Arithmetic> {
        None
    }

    /// For [`Form::Kernel`]: the total of all elements of its only input that the output is, for a shape of the input; a
    /// plan may take it where the elements are computed.
    #[doc(hidden)]
    fn total(&self, _input: &Shape) -> Option<Total> {
        None
    }

    /// For an op whose output is its only input at consecutive indices of one axis, among zeros: the axis, and the first
    /// index. A derivative joins such values instead of adding them up.
    #[doc(hidden)]
    fn placement(&self) -> Option<(usize, usize)> {
        None
    }

    /// For an op whose output is its inputs one after another along an axis: the axis. A plan may write them there.
    #[doc(hidden)]
    fn joined_axis(&self) -> Option<usize> {
        None
    }

    /// For [`Form::Kernel`]: whether the outputs at each index of their first axis depend on the inputs at this index of
    /// theirs alone, and the op is the same for any number of indices. A plan may run it on some indices at a time.
    #[doc(hidden)]
    fn is_separable(&self, _inputs: &[Meta]) -> bool {
        false
    }

    /// The multiply-adds of one run, for the summary of a graph.
    fn multiply_adds(&self, _inputs: &[Meta]) -> usize {
        0
    }
}
