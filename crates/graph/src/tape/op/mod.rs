//! What an op is: one object that states its name, its shape rule, its work and its derivative.
//!
//! Built-in ops and users' ops implement the same trait and have the same rights. The graph, the derivatives and the
//! plan know no op by name: they ask it for its [`Form`].

mod any;
mod domain;
pub(crate) mod elementwise;
mod meta;
mod number;
mod pointwise;
pub(crate) mod reduction;
mod work;

use std::fmt::Debug;
use std::hash::Hash;

use smallvec::SmallVec;

use crate::real::Real;
use crate::shape::{Layout, Shape};
use crate::tape::Var;
pub(crate) use any::{AnyOp, op_hash};
#[cfg(test)]
pub(crate) use domain::number;
pub use domain::{Domain, Kinks};
pub use meta::{Accepts, Kind, Meta, Metas, Signature};
pub use number::Number;
pub use pointwise::Pointwise;
pub use work::{Array, ArrayMut, Work};

/// A list of variables, such as the outputs of an op.
pub type Vars<'g> = SmallVec<[Var<'g>; 2]>;

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
    ///
    /// An op that declares a rule must implement it: otherwise [`Graph::grad`](crate::Graph::grad) and related methods
    /// return an error that names the op.
    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
        let x = call.x(input);
        x.graph().missing_vjp.set(true);
        // Of the right kind and shape; the sweep returns an error before it uses it.
        x
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
