//! The units of work of a plan, as a session runs them.

use super::fused;
use super::pairs::Second;
use crate::kernel::gemm::{pack_shares, product_shares};
use crate::kernel::reduce::Total;
use crate::kernel::slim;
use crate::shape::{Layout, Shape};
use crate::tape::Distribution;
use crate::tape::op::Kind;

/// The index of a slot, which holds one value, among the real or the index slots of a session.
pub(super) type SlotId = u32;

/// Where the elements of a slot are stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Storage {
    /// In the arena, whose memory is used again when its value is no longer needed.
    Arena(usize),
    /// In memory that is kept between runs: constants, and values that depend on constants alone.
    Kept(usize),
    /// In the tensor that was fed.
    Input(u32),
    /// In the parameter store.
    Param(u32),
    /// In an output of the run.
    Output(u32),
}

/// A slot of a plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) storage: Storage,
    pub(super) len: usize,
}

/// How a fused loop reads a value from outside: which element of its part of a slot belongs to an element of the loop.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Access {
    /// Element `i` of the loop is element `i` of the part.
    Slice,
    /// All elements are the only element of the part.
    Fill,
    /// Element `i` is at position `i` of the layout; the part is the whole slot.
    Gather(Layout),
}

/// A value that a fused loop reads from outside; load `k` is read `k` of the unit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Load {
    pub(super) access: Access,
    /// The register that holds a filled or gathered block.
    pub(super) register: u32,
}

/// An argument of a step within a fused loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Arg {
    /// A block in a register.
    Register(u32),
    /// The block of a load that is read in place.
    Slice(u32),
    /// The block of a value that the loop itself has stored, by the index among the writes of the unit.
    Stored(u32),
}

/// Where a step writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Target {
    Register(u32),
    /// A write of the unit, by index.
    Slot(u32),
}

/// One op within a fused loop, or two; the arguments are a range of [`Fused::args`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Step {
    /// An entry of the plan's ops.
    pub(super) op: u32,
    /// The op that is computed with it, from its result and the last argument.
    pub(super) second: Option<Second>,
    pub(super) first_arg: u32,
    pub(super) args: u32,
    pub(super) target: Target,
}

/// Pointwise ops over the same number of elements, run block by block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Fused {
    pub(super) len: usize,
    pub(super) loads: Vec<Load>,
    pub(super) args: Vec<Arg>,
    pub(super) steps: Vec<Step>,
    /// Loads that are stored unchanged, and their index among the writes of the unit.
    pub(super) copies: Vec<(u32, u32)>,
    /// Each is one element, and one of the last writes of the unit.
    pub(super) totals: Vec<TotalStep>,
    pub(super) registers: u32,
}

/// A total of a value of a fused loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TotalStep {
    /// An entry of the plan's ops, for its name.
    pub(super) op: u32,
    pub(super) total: Total,
    pub(super) of: Arg,
}

/// One side of a matrix product.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Factor {
    /// Rows and columns of one matrix, and their strides.
    pub(super) size: [usize; 2],
    pub(super) strides: [isize; 2],
    /// The positions of the first elements of the matrices of the batch.
    pub(super) batch: Layout,
    /// Whether the elements are the panels that [`Unit::Pack`] wrote.
    pub(super) is_packed: bool,
}

/// What a product is added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Sum {
    Nothing,
    /// What its result holds before.
    Itself,
    /// A third read of the unit: a matrix from a position on, whose rows are contiguous and this far apart.
    Matrix {
        offset: usize,
        row: isize,
    },
}

/// One unit of work, without the values that it works on: its reads and writes are in a footprint, for each kind of
/// value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Unit {
    Fused(Fused),
    /// Reads two factors, writes their product, or its sum with something.
    Product(Box<[Factor; 2]>, Sum),
    /// Reads a right factor of products, writes it in panels.
    Pack(Box<Factor>),
    /// Reads and writes values of these kinds.
    Kernel {
        op: u32,
        inputs: Vec<Kind>,
        input_shapes: Vec<Shape>,
        outputs: Vec<Kind>,
        output_shapes: Vec<Shape>,
        /// How many threads it has enough work for.
        shares: usize,
    },
    Random {
        distribution: Distribution,
        stream: u32,
        /// As of a kernel.
        shares: usize,
    },
    /// Indices brought into row-major order.
    IndexCopy(Layout),
}

impl Unit {
    /// How many threads it has enough work for: several microseconds for each.
    pub(super) fn shares<T>(&self) -> usize {
        match self {
            Self::Fused(fused) => fused.len / fused::grain(fused),
            Self::Product(factors, _) => {
                let ([m, k, n], count) = (product_sizes(factors), factors[0].batch.shape.len());
                match slim::suits(count, [m, k, n], [factors[0].strides, factors[1].strides]) {
                    true => slim::shares(count, [m, k, n]),
                    false => product_shares::<T>(count, m, k, n),
                }
            }
            Self::Kernel { shares, .. } => *shares,
            Self::Random { shares, .. } => *shares,
            Self::Pack(factor) => pack_shares(factor.size),
            Self::IndexCopy(_) => 0,
        }
    }
}

/// Rows, inner size and columns of a product.
pub(super) fn product_sizes([a, b]: &[Factor; 2]) -> [usize; 3] {
    [a.size[0], a.size[1], b.size[1]]
}
