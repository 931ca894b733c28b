//! From drafts to units: a slot for every value that needs memory, and what each unit reads and writes.
//!
//! The arena is assigned in the order of the run: a value is allocated when it is produced, and freed after its last
//! use. Values that lie within another ([`joined`](super::joined)) are parts of its slot. A product that is added to a
//! value which ends there takes over its memory.

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use super::draft::{Buffer, Draft, DraftLoop, Drafts, Origin, View};
use super::free_list::{ALIGN, FreeList};
use super::memory::{Footprint, Map, Part};
use super::unit::{Factor, Slot, SlotId, Storage, Sum, Unit};
use crate::kernel::parallel::GRAIN;
use crate::kernel::{gemm, random};
use crate::shape::{Layout, Shape};
use crate::tape::op::{Kind, Meta};
use crate::tape::{NodeId, Tape};

/// The multiply-adds of a kernel that are worth a thread, as [`GRAIN`] elements are, roughly.
const PRODUCTS: usize = 1 << 19;

/// The memory of one kind of value.
#[derive(Default)]
struct Space {
    slots: Vec<Slot>,
    arena: FreeList,
    kept: usize,
    /// Of the prologue, and of the body.
    footprints: [Vec<Footprint>; 2],
}

impl Space {
    fn map(self, outputs: usize) -> Map {
        Map::new(self.slots, self.footprints.concat(), self.arena.size(), self.kept, outputs)
    }
}

/// Units with memory assigned.
pub(super) struct Assigned {
    /// Run once, before the first run.
    pub(super) prologue: Vec<Unit>,
    /// Run every time, each with its node.
    pub(super) body: Vec<(Unit, NodeId)>,
    pub(super) real: Map,
    pub(super) index: Map,
    /// Constants of the tape with their slots.
    pub(super) constants: Vec<(u32, Kind, SlotId)>,
    /// Inputs and parameters of the tape that the plan reads, in the numbering of the slots.
    pub(super) leaves: Leaves,
}

/// Inputs and parameters that a plan reads, numbered in the order of their first use.
#[derive(Default)]
pub(super) struct Leaves {
    pub(super) inputs: Vec<u32>,
    pub(super) params: Vec<u32>,
    known_inputs: FxHashMap<u32, u32>,
    known_params: FxHashMap<u32, u32>,
}

impl Leaves {
    fn storage(&mut self, origin: Origin) -> Option<Storage> {
        let number = |list: &mut Vec<u32>, known: &mut FxHashMap<u32, u32>, leaf: u32| {
            *known.entry(leaf).or_insert_with(|| {
                list.push(leaf);
                list.len() as u32 - 1
            })
        };
        match origin {
            Origin::Input(input) => Some(Storage::Input(number(&mut self.inputs, &mut self.known_inputs, input))),
            Origin::Param(param) => Some(Storage::Param(number(&mut self.params, &mut self.known_params, param))),
            Origin::Constant(_) | Origin::Unit(_) => None,
        }
    }
}

pub(super) struct Assigner<'a> {
    pub(super) tape: &'a Tape,
    pub(super) buffers: Vec<Buffer>,
    slots: Vec<SlotId>,
    last_use: Vec<u32>,
    within: FxHashMap<u32, (u32, usize)>,
    units: [Vec<(Unit, NodeId)>; 2],
    real: Space,
    index: Space,
    constants: Vec<(u32, Kind, SlotId)>,
    leaves: Leaves,
}

const NO_SLOT: SlotId = SlotId::MAX;
pub(super) const NEVER: u32 = u32::MAX;

pub(super) fn assign(tape: &Tape, mut drafts: Drafts) -> Assigned {
    let direct = claim_outputs(&mut drafts);
    let outputs = direct.len();
    let mut assigner = Assigner {
        tape,
        slots: vec![NO_SLOT; drafts.buffers.len()],
        last_use: last_uses(&drafts),
        within: drafts.within,
        buffers: drafts.buffers,
        units: [Vec::new(), Vec::new()],
        real: Space::default(),
        index: Space::default(),
        constants: Vec::new(),
        leaves: Leaves::default(),
    };
    for buffer in 0..assigner.buffers.len() as u32 {
        assigner.assign_leaf(buffer);
    }
    for (output, buffer) in direct {
        assigner.add_slot(buffer, Storage::Output(output));
    }
    let releases = assigner.releases(drafts.units.len());
    // Units that depend on constants alone run first, so a loop may read a constant of a later unit.
    let (constant, varying): (Vec<_>, Vec<_>) =
        drafts.units.into_iter().enumerate().partition(|(_, drafted)| drafted.constant);
    for (number, drafted) in constant.into_iter().chain(varying) {
        let taken_over = assigner.take_over(&drafted.draft, number as u32);
        assigner.assign_results(&drafted.draft, drafted.constant);
        assigner.add(drafted.draft, drafted.node, drafted.constant);
        if drafted.constant {
            continue;
        }
        for &buffer in releases[number].iter().filter(|&&buffer| taken_over != Some(buffer)) {
            let Buffer { kind, .. } = assigner.buffers[buffer as usize];
            let slot = assigner.slots[buffer as usize];
            let space = assigner.space(kind);
            let Slot { storage, len } = space.slots[slot as usize];
            if let Storage::Arena(offset) = storage {
                space.arena.free(offset, len);
            }
        }
    }
    let Assigner { units: [prologue, body], real, index, constants, leaves, .. } = assigner;
    let prologue = prologue.into_iter().map(|(unit, _)| unit).collect();
    Assigned { prologue, body, real: real.map(outputs), index: index.map(outputs), constants, leaves }
}

/// The buffer of each output of the plan, in row-major order: the result of a unit if it is not used for another
/// output, else a copy.
fn claim_outputs(drafts: &mut Drafts) -> Vec<(u32, u32)> {
    let mut claimed: Vec<(u32, u32)> = Vec::new();
    let mut taken: FxHashSet<u32> = FxHashSet::default();
    let outputs = std::mem::take(&mut drafts.outputs);
    for (output, view) in outputs.into_iter().enumerate() {
        let buffer = drafts.buffers[view.buffer as usize];
        let free = matches!(buffer.origin, Origin::Unit(_))
            && !buffer.constant
            && view.layout.is_none()
            && !drafts.within.contains_key(&view.buffer)
            && taken.insert(view.buffer);
        let chosen = if free { view.buffer } else { copy_to_output(drafts, view) };
        claimed.push((output as u32, chosen));
    }
    claimed
}

fn copy_to_output(drafts: &mut Drafts, view: View) -> u32 {
    let Buffer { kind, len: whole, origin, .. } = drafts.buffers[view.buffer as usize];
    let len = view.layout.as_ref().map_or(whole, |layout| layout.shape.len());
    let node = match origin {
        Origin::Unit(unit) => drafts.units[unit as usize].node,
        _ => NodeId(0),
    };
    let unit = drafts.units.len() as u32;
    let out = drafts.add_produced(kind, len, unit);
    let draft = match kind {
        Kind::Real => Draft::Loop(DraftLoop { len, loads: vec![view], copies: vec![(0, out)], ..DraftLoop::default() }),
        Kind::Index => Draft::IndexCopy { from: view, out },
    };
    drafts.push_unit(draft, node);
    out
}

/// For each buffer the last unit that reads it, or something within it.
fn last_uses(drafts: &Drafts) -> Vec<u32> {
    let mut last = vec![NEVER; drafts.buffers.len()];
    for (number, drafted) in drafts.units.iter().enumerate() {
        drafted.draft.reads(|buffer| last[home(&drafts.within, buffer).0 as usize] = number as u32);
    }
    last
}

/// The value that has the memory of a buffer, and where the buffer begins in it.
fn home(within: &FxHashMap<u32, (u32, usize)>, mut buffer: u32) -> (u32, usize) {
    let mut from = 0;
    while let Some(&(whole, start)) = within.get(&buffer) {
        (buffer, from) = (whole, from + start);
    }
    (buffer, from)
}

impl Assigner<'_> {
    fn space(&mut self, kind: Kind) -> &mut Space {
        match kind {
            Kind::Real => &mut self.real,
            Kind::Index => &mut self.index,
        }
    }

    fn add_slot(&mut self, buffer: u32, storage: Storage) {
        let Buffer { kind, len, .. } = self.buffers[buffer as usize];
        let space = self.space(kind);
        space.slots.push(Slot { storage, len });
        let slot = space.slots.len() as SlotId - 1;
        self.slots[buffer as usize] = slot;
    }

    fn keep(&mut self, buffer: u32) {
        let Buffer { kind, len, .. } = self.buffers[buffer as usize];
        let space = self.space(kind);
        let offset = space.kept;
        space.kept += len.next_multiple_of(ALIGN);
        self.add_slot(buffer, Storage::Kept(offset));
    }

    fn assign_leaf(&mut self, buffer: u32) {
        match self.buffers[buffer as usize].origin {
            origin @ (Origin::Input(_) | Origin::Param(_)) => {
                let storage = self.leaves.storage(origin).expect("it is a leaf");
                self.add_slot(buffer, storage);
            }
            Origin::Constant(constant) => {
                self.keep(buffer);
                let Buffer { kind, .. } = self.buffers[buffer as usize];
                self.constants.push((constant, kind, self.slots[buffer as usize]));
            }
            Origin::Unit(_) => {}
        }
    }

    /// A product that is added to what nothing needs after it is added to it in its memory. Returns the buffer whose
    /// memory it takes over.
    fn take_over(&mut self, draft: &Draft, unit: u32) -> Option<u32> {
        let Draft::Product { a, b, shapes, plus: Some(View { buffer, layout: Some(layout) }), out, .. } = draft else {
            return None;
        };
        let Buffer { origin, constant, len, .. } = self.buffers[*buffer as usize];
        let is_last = matches!(origin, Origin::Unit(_)) && !constant && self.last_use[*buffer as usize] == unit;
        let is_whole = layout.is_contiguous() && layout.shape.len() == len && self.buffers[*out as usize].len == len;
        let is_own = [buffer, out].iter().all(|buffer| !self.within.contains_key(buffer));
        let is_apart = a.buffer != *buffer && b.buffer != *buffer && is_own && self.slot(*out) == NO_SLOT;
        let slot = self.slot(*buffer);
        let is_free = is_last && is_whole && is_apart && gemm::is_one_block(shapes[0][shapes[0].rank() - 1]);
        if is_free && matches!(self.real.slots[slot as usize].storage, Storage::Arena(_)) {
            self.slots[*out as usize] = slot;
            return Some(*buffer);
        }
        None
    }

    fn assign_results(&mut self, draft: &Draft, constant: bool) {
        draft.results(|buffer| {
            let (buffer, _) = home(&self.within, buffer);
            let Buffer { kind, len, stored, .. } = self.buffers[buffer as usize];
            if !stored || self.slots[buffer as usize] != NO_SLOT {
                return;
            }
            if constant {
                self.keep(buffer);
            } else {
                let offset = self.space(kind).arena.allocate(len);
                self.add_slot(buffer, Storage::Arena(offset));
            }
        });
    }

    /// For each unit, the buffers that are freed after it.
    fn releases(&self, units: usize) -> Vec<Vec<u32>> {
        let mut releases = vec![Vec::new(); units];
        for (buffer, &last) in self.last_use.iter().enumerate() {
            let Buffer { origin, stored, constant, .. } = self.buffers[buffer];
            if self.within.contains_key(&(buffer as u32)) {
                continue;
            }
            if let (Origin::Unit(producer), true, false) = (origin, stored, constant) {
                let last = if last == NEVER { producer } else { last };
                releases[last as usize].push(buffer as u32);
            }
        }
        releases
    }

    fn slot(&self, buffer: u32) -> SlotId {
        self.slots[home(&self.within, buffer).0 as usize]
    }

    /// All of a buffer, or the `len` elements of a contiguous view of it.
    pub(super) fn part(&self, view: &View, len: Option<usize>) -> Part {
        let whole = self.buffers[view.buffer as usize].len;
        let (home, start) = home(&self.within, view.buffer);
        let from = start + view.layout.as_ref().map_or(0, |layout| layout.offset);
        // A view without elements may start anywhere, also past the end of the buffer.
        let (from, len) = match len {
            Some(0) => (0, 0),
            Some(len) => (from, len),
            None => (start, whole),
        };
        Part { slot: self.slots[home as usize], from, len }
    }

    /// All of a result of a unit.
    pub(super) fn whole(&self, buffer: u32) -> Part {
        let (home, from) = home(&self.within, buffer);
        Part { slot: self.slots[home as usize], from, len: self.buffers[buffer as usize].len }
    }

    /// Adds the unit of a draft and its footprints.
    fn add(&mut self, draft: Draft, node: NodeId, constant: bool) {
        let tape = self.tape;
        let (mut real, mut index) = (Footprint::default(), Footprint::default());
        let unit = match draft {
            Draft::Loop(draft) => Unit::Fused(self.fused(draft, &mut real)),
            Draft::Product { a, b, shapes: [a_shape, b_shape], is_packed, plus, out } => {
                let out = self.whole(out);
                let sum = match plus {
                    None => Sum::Nothing,
                    Some(view) if self.whole(view.buffer) == out => Sum::Itself,
                    Some(View { buffer, layout: Some(layout) }) => {
                        real.reads.push(self.whole(buffer));
                        Sum::Matrix { offset: layout.offset, row: layout.strides[0] }
                    }
                    Some(_) => unreachable!("what is added to a product has a layout"),
                };
                real.reads.splice(0..0, [&a, &b].map(|view| self.part(view, None)));
                real.writes.push(out);
                let right = Factor { is_packed, ..factor(b, b_shape) };
                Unit::Product(Box::new([factor(a, a_shape), right]), sum)
            }
            Draft::Pack { from, shape, out } => {
                real = Footprint { reads: vec![self.part(&from, None)], writes: vec![self.whole(out)] };
                Unit::Pack(Box::new(factor(from, shape)))
            }
            Draft::Kernel { op, inputs, outputs, node, strips } => {
                let node = &tape.nodes[node.index()];
                let strip = |meta: &Meta| match strips {
                    1 => meta.clone(),
                    _ => Meta {
                        shape: meta.shape.with_size(0, meta.shape[0] / strips).expect("it is smaller"),
                        ..meta.clone()
                    },
                };
                let metas: SmallVec<[_; 3]> = node.inputs.iter().map(|input| strip(tape.meta(*input))).collect();
                let made: SmallVec<[_; 3]> = node.outputs.iter().map(strip).collect();
                for (view, meta) in inputs.iter().zip(&metas) {
                    let footprint = if meta.kind == Kind::Real { &mut real } else { &mut index };
                    footprint.reads.push(self.part(view, Some(meta.shape.len())));
                }
                for (&out, meta) in outputs.iter().zip(&made) {
                    let footprint = if meta.kind == Kind::Real { &mut real } else { &mut index };
                    footprint.writes.push(self.whole(out));
                }
                let elements = metas.iter().chain(&made).map(|meta| meta.shape.len());
                let elements = elements.fold(0, usize::saturating_add);
                let shares = elements / GRAIN + tape.ops[op as usize].multiply_adds(&metas) / PRODUCTS;
                Unit::Kernel {
                    op,
                    inputs: metas.iter().map(|meta| meta.kind).collect(),
                    input_shapes: metas.into_iter().map(|meta| meta.shape).collect(),
                    outputs: made.iter().map(|meta| meta.kind).collect(),
                    output_shapes: made.into_iter().map(|meta| meta.shape).collect(),
                    shares,
                }
            }
            Draft::Random { distribution, stream, out } => {
                let footprint = if distribution.kind() == Kind::Real { &mut real } else { &mut index };
                let out = self.whole(out);
                footprint.writes.push(out);
                Unit::Random { distribution, stream, shares: out.len / random::GRAIN }
            }
            Draft::IndexCopy { from, out } => {
                index = Footprint { reads: vec![self.part(&from, None)], writes: vec![self.whole(out)] };
                let len = self.buffers[from.buffer as usize].len;
                Unit::IndexCopy(from.layout.map_or_else(|| Layout::contiguous(Shape::from(len)), |layout| *layout))
            }
        };
        let list = usize::from(!constant);
        self.real.footprints[list].push(real);
        self.index.footprints[list].push(index);
        self.units[list].push((unit, node));
    }
}

/// A factor of a product; its layout has the axes of the batch, then rows and columns.
fn factor(view: View, shape: Shape) -> Factor {
    let Layout { shape, strides, offset } = view.layout.map_or_else(|| Layout::contiguous(shape), |layout| *layout);
    let lead = shape.rank() - 2;
    Factor {
        size: [shape[lead], shape[lead + 1]],
        strides: [strides[lead], strides[lead + 1]],
        batch: Layout { shape: shape[..lead].into(), strides: SmallVec::from_slice(&strides[..lead]), offset },
        is_packed: false,
    }
}
