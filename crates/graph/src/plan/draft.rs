//! Drafts of units: the work of a plan before memory is assigned.

use rustc_hash::FxHashMap;

use crate::kernel::reduce::Total;
use crate::shape::{Layout, Shape};
use crate::tape::op::Kind;
use crate::tape::{Distribution, NodeId};

/// A value before memory is assigned: a leaf, or a result of a unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buffer {
    pub(super) kind: Kind,
    pub(super) len: usize,
    pub(super) origin: Origin,
    /// For the result of a step of a loop: the index of the step.
    pub(super) step: u32,
    /// Whether it is read outside its loop, so that it needs memory.
    pub(super) stored: bool,
    /// Whether it depends on constants alone.
    pub(super) constant: bool,
}

/// The source of a buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Origin {
    Input(u32),
    Param(u32),
    Constant(u32),
    Unit(u32),
}

/// A buffer and the layout of a reader; without a layout, all elements in row-major order.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) buffer: u32,
    pub(super) layout: Option<Box<Layout>>,
}

/// An argument of a step of a loop under construction.
#[derive(Clone, Copy, Debug)]
pub(super) enum DraftArg {
    Load(u32),
    Step(u32),
}

/// A step of a loop under construction.
#[derive(Clone, Copy, Debug)]
pub(super) struct DraftStep {
    pub(super) op: u32,
    pub(super) first_arg: u32,
    pub(super) args: u32,
    pub(super) buffer: u32,
}

/// A loop under construction.
#[derive(Clone, Debug, Default)]
pub(super) struct DraftLoop {
    pub(super) len: usize,
    pub(super) loads: Vec<View>,
    pub(super) args: Vec<DraftArg>,
    pub(super) steps: Vec<DraftStep>,
    /// Loads that are stored unchanged, and their buffers.
    pub(super) copies: Vec<(u32, u32)>,
    pub(super) totals: Vec<DraftTotal>,
}

impl DraftLoop {
    pub(super) fn args_of(&self, step: &DraftStep) -> &[DraftArg] {
        &self.args[step.first_arg as usize..][..step.args as usize]
    }
}

/// A total of what a step of a loop computes.
#[derive(Clone, Copy, Debug)]
pub(super) struct DraftTotal {
    /// The op that it is, for its name.
    pub(super) op: u32,
    pub(super) total: Total,
    pub(super) step: u32,
    pub(super) out: u32,
}

/// A unit before memory is assigned.
#[derive(Clone, Debug)]
pub(super) enum Draft {
    Loop(DraftLoop),
    /// `plus` has the rows and columns of each product, and contiguous rows. `is_packed` says that b is the result of a
    /// [`Draft::Pack`].
    Product {
        a: View,
        b: View,
        shapes: [Shape; 2],
        is_packed: bool,
        plus: Option<View>,
        out: u32,
    },
    /// A right factor of products, in the panels that their kernel reads.
    Pack {
        from: View,
        shape: Shape,
        out: u32,
    },
    Kernel {
        op: u32,
        inputs: Vec<View>,
        outputs: Vec<u32>,
        node: NodeId,
        /// Into how many strips of the first axis the node is cut, of which this is one.
        strips: usize,
    },
    Random {
        distribution: Distribution,
        stream: u32,
        out: u32,
    },
    IndexCopy {
        from: View,
        out: u32,
    },
}

impl Draft {
    /// Calls a function with each buffer that the unit reads, once for each view.
    pub(super) fn reads(&self, mut read: impl FnMut(u32)) {
        match self {
            Self::Loop(draft) => draft.loads.iter().for_each(|view| read(view.buffer)),
            Self::Product { a, b, plus, .. } => [a, b].into_iter().chain(plus).for_each(|view| read(view.buffer)),
            Self::Kernel { inputs, .. } => inputs.iter().for_each(|view| read(view.buffer)),
            Self::Random { .. } => {}
            Self::IndexCopy { from, .. } | Self::Pack { from, .. } => read(from.buffer),
        }
    }

    /// Calls a function with each buffer that the unit makes.
    pub(super) fn results(&self, mut result: impl FnMut(u32)) {
        match self {
            Self::Loop(draft) => {
                draft.steps.iter().for_each(|step| result(step.buffer));
                draft.copies.iter().for_each(|(_, out)| result(*out));
                draft.totals.iter().for_each(|total| result(total.out));
            }
            Self::Product { out, .. }
            | Self::Pack { out, .. }
            | Self::Random { out, .. }
            | Self::IndexCopy { out, .. } => result(*out),
            Self::Kernel { outputs, .. } => outputs.iter().for_each(|out| result(*out)),
        }
    }
}

/// A draft with its first node, and whether it depends on constants alone.
pub(super) struct Drafted {
    pub(super) draft: Draft,
    pub(super) node: NodeId,
    pub(super) constant: bool,
}

/// All units of a plan before memory is assigned.
pub(super) struct Drafts {
    pub(super) units: Vec<Drafted>,
    pub(super) buffers: Vec<Buffer>,
    /// For each output of the plan, its view.
    pub(super) outputs: Vec<View>,
    /// Results that lie within another value: that value, and where they begin in it.
    pub(super) within: FxHashMap<u32, (u32, usize)>,
    /// Elements of the outputs of all ops.
    pub(super) activations: usize,
    pub(super) multiply_adds: usize,
    pub(super) nodes: usize,
}

/// Where a pass puts a unit: at its own number, or before the unit of a number, among others in an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(u32, u32);

impl Place {
    pub(super) fn before(unit: u32, order: u32) -> Self {
        Self(unit, order)
    }
}

impl Drafts {
    /// How many units and outputs read each buffer.
    pub(super) fn readers(&self) -> Vec<u32> {
        let mut readers = vec![0; self.buffers.len()];
        for unit in &self.units {
            unit.draft.reads(|buffer| readers[buffer as usize] += 1);
        }
        for output in &self.outputs {
            readers[output.buffer as usize] += 1;
        }
        readers
    }

    /// The places that the units have.
    pub(super) fn places(&self) -> Vec<Place> {
        (0..self.units.len() as u32).map(|unit| Place(unit, u32::MAX)).collect()
    }

    /// Brings the units into the order of their places, without loops of which nothing is left.
    pub(super) fn reorder(&mut self, places: &[Place]) {
        let is_left = |unit: &u32| match &self.units[*unit as usize].draft {
            Draft::Loop(draft) => !draft.steps.is_empty() || !draft.copies.is_empty(),
            _ => true,
        };
        let mut order: Vec<u32> = (0..places.len() as u32).filter(is_left).collect();
        order.sort_by_key(|&unit| places[unit as usize]);
        let mut numbers = vec![u32::MAX; places.len()];
        for (number, &unit) in order.iter().enumerate() {
            numbers[unit as usize] = number as u32;
        }
        let mut units: Vec<_> = std::mem::take(&mut self.units).into_iter().map(Some).collect();
        self.units = order.iter().filter_map(|&unit| units[unit as usize].take()).collect();
        for buffer in &mut self.buffers {
            if let Origin::Unit(unit) = &mut buffer.origin {
                // None for a value that no unit makes any more.
                *unit = numbers.get(*unit as usize).copied().unwrap_or(u32::MAX);
            }
        }
    }

    /// Adds the buffer of a result of unit `unit`.
    pub(super) fn add_produced(&mut self, kind: Kind, len: usize, unit: u32) -> u32 {
        let origin = Origin::Unit(unit);
        self.buffers.push(Buffer { kind, len, origin, step: 0, stored: true, constant: false });
        self.buffers.len() as u32 - 1
    }

    pub(super) fn push_unit(&mut self, draft: Draft, node: NodeId) {
        self.units.push(Drafted { draft, node, constant: false });
    }
}
