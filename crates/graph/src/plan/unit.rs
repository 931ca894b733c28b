//! The pieces of work that a plan consists of, as a session runs them.

use crate::shape::{Layout, Shape};
use crate::tape::Distribution;
use crate::tape::op::Kind;

/// A place for one value: a number within the real or the index slots of a session.
pub(super) type SlotId = u32;

/// Where the elements of a slot are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Place {
    /// In the arena, whose memory is used again when its value is no longer needed.
    Arena(usize),
    /// In memory that keeps its value between runs: constants, and what follows from constants alone.
    Kept(usize),
    /// In the tensor that was fed.
    Input(u32),
    /// In the parameter store.
    Param(u32),
    /// In the tensor that the run gives.
    Output(u32),
}

/// A slot of a plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) place: Place,
    pub(super) len: usize,
}

/// How a fused loop reads a value from outside: what its part of a slot has to do with the elements of the loop.
#[derive(Clone, Debug)]
pub(super) enum Access {
    /// Element `i` of the loop is element `i` of the part.
    Slice,
    /// Every element is the only one of the part.
    Fill,
    /// Element `i` is where the layout says, over a part that is the whole slot.
    Gather(Layout),
}

/// A value that a fused loop reads from outside; load number `k` is what the unit reads as number `k`.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub(super) access: Access,
    /// The register that holds a filled or gathered block.
    pub(super) register: u32,
}

/// An argument of a step within a fused loop.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arg {
    /// A block in a register.
    Register(u32),
    /// The block of a load that is read in place.
    Slice(u32),
    /// The block of a value that the loop itself has stored: what the unit writes as number so much.
    Stored(u32),
}

/// Where a step writes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    Register(u32),
    /// To what the unit writes as number so much.
    Slot(u32),
}

/// One op within a fused loop; its arguments are a run of [`Fused::args`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// An entry of the plan's ops.
    pub(super) op: u32,
    pub(super) first_arg: u32,
    pub(super) args: u32,
    pub(super) target: Target,
}

/// Pointwise ops over equally many elements, run block by block.
#[derive(Clone, Debug, Default)]
pub(super) struct Fused {
    pub(super) len: usize,
    pub(super) loads: Vec<Load>,
    pub(super) args: Vec<Arg>,
    pub(super) steps: Vec<Step>,
    /// Loads that are stored as they are, and the number among what the unit writes.
    pub(super) copies: Vec<(u32, u32)>,
    pub(super) registers: u32,
}

/// One side of a matrix product.
#[derive(Clone, Debug)]
pub(super) struct Factor {
    /// Rows and columns of one matrix, and the steps between them.
    pub(super) size: [usize; 2],
    pub(super) strides: [isize; 2],
    /// Where the matrices of the batch begin.
    pub(super) batch: Layout,
}

/// One piece of work. What it reads and writes is in the footprint of the same number, for each kind of value.
#[derive(Clone, Debug)]
pub(super) enum Unit {
    Fused(Fused),
    /// Reads two factors, writes their product.
    Product(Box<[Factor; 2]>),
    /// Reads and writes values of these kinds.
    Kernel {
        op: u32,
        inputs: Vec<Kind>,
        input_shapes: Vec<Shape>,
        outputs: Vec<Kind>,
        output_shapes: Vec<Shape>,
        /// Whether it may be worth more than one thread.
        is_large: bool,
    },
    Random {
        distribution: Distribution,
        stream: u32,
    },
    /// Indices brought into row-major order.
    IndexCopy(Layout),
}
