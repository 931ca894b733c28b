//! The pieces of work that a plan consists of, as a session runs them.

use crate::kernel::random::Stream;
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

/// How a fused loop reads a value from outside.
#[derive(Clone, Debug)]
pub(super) enum Access {
    /// Element `i` of the loop is element `offset + i`.
    Slice(usize),
    /// Every element is the one at this position.
    Fill(usize),
    /// Element `i` is where the layout says.
    Gather(Layout),
}

/// A value that a fused loop reads from outside.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub(super) slot: SlotId,
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
    /// The block of a value that the loop itself has stored.
    Stored(SlotId),
}

/// Where a step writes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    Register(u32),
    Slot(SlotId),
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
    /// Loads that are copied to a slot as they are.
    pub(super) copies: Vec<(u32, SlotId)>,
    pub(super) registers: u32,
}

/// One side of a matrix product: its slot and the layout with the batch axes first.
#[derive(Clone, Debug)]
pub(super) struct Factor {
    pub(super) slot: SlotId,
    pub(super) layout: Layout,
}

/// A contiguous input of a kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operand {
    pub(super) kind: Kind,
    pub(super) slot: SlotId,
    pub(super) offset: usize,
    pub(super) len: usize,
}

/// One piece of work.
#[derive(Clone, Debug)]
pub(super) enum Unit {
    Fused(Fused),
    Product {
        a: Factor,
        b: Factor,
        out: SlotId,
    },
    Kernel {
        op: u32,
        inputs: Vec<Operand>,
        input_shapes: Vec<Shape>,
        outputs: Vec<Operand>,
        output_shapes: Vec<Shape>,
    },
    Random {
        distribution: Distribution,
        stream: u32,
        slot: SlotId,
    },
    /// Indices brought into row-major order.
    IndexCopy {
        from: SlotId,
        layout: Layout,
        to: SlotId,
    },
}

impl Unit {
    /// The numbers of a random unit under the seed and step of a run.
    pub(super) fn stream(seed: u64, step: u64, stream: u32) -> Stream {
        Stream { seed, step, stream }
    }
}
