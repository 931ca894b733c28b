//! From drafts to units: memory for every value that needs it, registers within loops.
//!
//! The arena is assigned in the order of the run: a value takes the smallest free piece that holds it when it is
//! produced, and gives it back after its last use.

use std::collections::{BTreeMap, BTreeSet};

use super::build::{Buffer, Draft, DraftArg, DraftLoop, Drafts, Origin, View};
use super::unit::{Access, Arg, Factor, Fused, Load, Operand, Place, Slot, SlotId, Step, Target, Unit};
use crate::shape::{Layout, Shape};
use crate::tape::op::Kind;
use crate::tape::{NodeId, Tape};

/// Elements to which pieces of memory are rounded: a cache line of `f32`.
const ALIGN: usize = 16;

/// Memory whose pieces are given out and taken back.
#[derive(Default)]
struct Arena {
    size: usize,
    by_offset: BTreeMap<usize, usize>,
    by_size: BTreeSet<(usize, usize)>,
}

impl Arena {
    fn take(&mut self, len: usize) -> usize {
        let len = len.next_multiple_of(ALIGN);
        if len == 0 {
            return 0;
        }
        if let Some(&(size, offset)) = self.by_size.range((len, 0)..).next() {
            self.remove(offset, size);
            if size > len {
                self.insert(offset + len, size - len);
            }
            return offset;
        }
        // Grow, from the last free piece if it ends where the arena does.
        let last = self.by_offset.last_key_value().map(|(&offset, &size)| (offset, size));
        let start = match last {
            Some((offset, size)) if offset + size == self.size => {
                self.remove(offset, size);
                offset
            }
            _ => self.size,
        };
        self.size = start + len;
        start
    }

    fn give(&mut self, mut offset: usize, len: usize) {
        let mut len = len.next_multiple_of(ALIGN);
        if len == 0 {
            return;
        }
        if let Some((&before, &size)) = self.by_offset.range(..offset).next_back()
            && before + size == offset
        {
            self.remove(before, size);
            offset = before;
            len += size;
        }
        if let Some(&size) = self.by_offset.get(&(offset + len)) {
            self.remove(offset + len, size);
            len += size;
        }
        self.insert(offset, len);
    }

    fn insert(&mut self, offset: usize, size: usize) {
        self.by_offset.insert(offset, size);
        self.by_size.insert((size, offset));
    }

    fn remove(&mut self, offset: usize, size: usize) {
        self.by_offset.remove(&offset);
        self.by_size.remove(&(size, offset));
    }
}

/// The memory of one kind of value.
#[derive(Default)]
pub(super) struct Space {
    pub(super) slots: Vec<Slot>,
    arena: Arena,
    pub(super) kept: usize,
}

impl Space {
    pub(super) fn arena_size(&self) -> usize {
        self.arena.size
    }
}

/// Units with memory assigned.
pub(super) struct Assigned {
    /// Run once, before the first run.
    pub(super) prologue: Vec<Unit>,
    /// Run every time, with the node that each stands for.
    pub(super) body: Vec<(Unit, NodeId)>,
    pub(super) real: Space,
    pub(super) index: Space,
    /// Constants of the tape, and where they are kept.
    pub(super) constants: Vec<(u32, Kind, SlotId)>,
}

struct Assigner<'a> {
    tape: &'a Tape,
    buffers: Vec<Buffer>,
    slots: Vec<SlotId>,
    last_use: Vec<u32>,
    done: Assigned,
}

const NO_SLOT: SlotId = SlotId::MAX;
const NEVER: u32 = u32::MAX;

pub(super) fn assign(tape: &Tape, mut drafts: Drafts) -> Assigned {
    let direct = claim_outputs(&mut drafts);
    let mut assigner = Assigner {
        tape,
        slots: vec![NO_SLOT; drafts.buffers.len()],
        last_use: last_uses(&drafts),
        buffers: drafts.buffers,
        done: Assigned {
            prologue: Vec::new(),
            body: Vec::new(),
            real: Space::default(),
            index: Space::default(),
            constants: Vec::new(),
        },
    };
    for buffer in 0..assigner.buffers.len() as u32 {
        assigner.place_leaf(buffer);
    }
    for (output, buffer) in direct {
        assigner.put(buffer, Place::Output(output));
    }
    let releases = assigner.releases(drafts.units.len());
    // What follows from constants alone runs before all else, so a loop may read a constant whose unit stands later.
    let (constant, varying): (Vec<_>, Vec<_>) =
        drafts.units.into_iter().enumerate().partition(|(_, drafted)| drafted.constant);
    for (number, drafted) in constant.into_iter().chain(varying) {
        assigner.place_results(&drafted.draft, drafted.constant);
        let unit = assigner.unit(drafted.draft);
        if drafted.constant {
            assigner.done.prologue.push(unit);
            continue;
        }
        assigner.done.body.push((unit, drafted.node));
        for &buffer in &releases[number] {
            let Buffer { kind, .. } = assigner.buffers[buffer as usize];
            let slot = assigner.slots[buffer as usize];
            let space = assigner.space(kind);
            let Slot { place, len } = space.slots[slot as usize];
            if let Place::Arena(offset) = place {
                space.arena.give(offset, len);
            }
        }
    }
    assigner.done
}

/// Gives each output of the plan a buffer of its own, in row-major order: the buffer that a unit produces where it is
/// free for that, else a copy.
fn claim_outputs(drafts: &mut Drafts) -> Vec<(u32, u32)> {
    let mut claimed: Vec<(u32, u32)> = Vec::new();
    let outputs = std::mem::take(&mut drafts.outputs);
    for (output, view) in outputs.into_iter().enumerate() {
        let buffer = drafts.buffers[view.buffer as usize];
        let free = matches!(buffer.origin, Origin::Unit(_))
            && !buffer.constant
            && view.layout.is_none()
            && claimed.iter().all(|(_, taken)| *taken != view.buffer);
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

/// For each buffer the last unit that reads it from memory.
fn last_uses(drafts: &Drafts) -> Vec<u32> {
    let mut last = vec![NEVER; drafts.buffers.len()];
    for (number, drafted) in drafts.units.iter().enumerate() {
        reads(&drafted.draft, |buffer| last[buffer as usize] = number as u32);
    }
    last
}

fn reads(draft: &Draft, mut read: impl FnMut(u32)) {
    match draft {
        Draft::Loop(draft) => draft.loads.iter().for_each(|view| read(view.buffer)),
        Draft::Product { a, b, .. } => [a, b].into_iter().for_each(|view| read(view.buffer)),
        Draft::Kernel { inputs, .. } => inputs.iter().for_each(|view| read(view.buffer)),
        Draft::Random { .. } => {}
        Draft::IndexCopy { from, .. } => read(from.buffer),
    }
}

fn results(draft: &Draft, mut result: impl FnMut(u32)) {
    match draft {
        Draft::Loop(draft) => {
            draft.steps.iter().for_each(|step| result(step.buffer));
            draft.copies.iter().for_each(|(_, out)| result(*out));
        }
        Draft::Product { out, .. } | Draft::Random { out, .. } | Draft::IndexCopy { out, .. } => result(*out),
        Draft::Kernel { outputs, .. } => outputs.iter().for_each(|out| result(*out)),
    }
}

impl Assigner<'_> {
    fn space(&mut self, kind: Kind) -> &mut Space {
        match kind {
            Kind::Real => &mut self.done.real,
            Kind::Index => &mut self.done.index,
        }
    }

    fn put(&mut self, buffer: u32, place: Place) {
        let Buffer { kind, len, .. } = self.buffers[buffer as usize];
        let space = self.space(kind);
        space.slots.push(Slot { place, len });
        let slot = space.slots.len() as SlotId - 1;
        self.slots[buffer as usize] = slot;
    }

    fn keep(&mut self, buffer: u32) {
        let Buffer { kind, len, .. } = self.buffers[buffer as usize];
        let space = self.space(kind);
        let offset = space.kept;
        space.kept += len.next_multiple_of(ALIGN);
        self.put(buffer, Place::Kept(offset));
    }

    fn place_leaf(&mut self, buffer: u32) {
        match self.buffers[buffer as usize].origin {
            Origin::Input(input) => self.put(buffer, Place::Input(input)),
            Origin::Param(param) => self.put(buffer, Place::Param(param)),
            Origin::Constant(constant) => {
                self.keep(buffer);
                let Buffer { kind, .. } = self.buffers[buffer as usize];
                self.done.constants.push((constant, kind, self.slots[buffer as usize]));
            }
            Origin::Unit(_) => {}
        }
    }

    fn place_results(&mut self, draft: &Draft, constant: bool) {
        results(draft, |buffer| {
            let Buffer { kind, len, stored, .. } = self.buffers[buffer as usize];
            if !stored || self.slots[buffer as usize] != NO_SLOT {
                return;
            }
            if constant {
                self.keep(buffer);
            } else {
                let offset = self.space(kind).arena.take(len);
                self.put(buffer, Place::Arena(offset));
            }
        });
    }

    /// For each unit, the buffers whose memory is free after it.
    fn releases(&self, units: usize) -> Vec<Vec<u32>> {
        let mut releases = vec![Vec::new(); units];
        for (buffer, &last) in self.last_use.iter().enumerate() {
            let Buffer { origin, stored, constant, .. } = self.buffers[buffer];
            if let (Origin::Unit(producer), true, false) = (origin, stored, constant) {
                let last = if last == NEVER { producer } else { last };
                releases[last as usize].push(buffer as u32);
            }
        }
        releases
    }

    fn slot(&self, buffer: u32) -> SlotId {
        self.slots[buffer as usize]
    }

    fn unit(&self, draft: Draft) -> Unit {
        let tape = self.tape;
        match draft {
            Draft::Loop(draft) => Unit::Fused(self.fused(draft)),
            Draft::Product { a, b, shapes: [a_shape, b_shape], out } => {
                Unit::Product { a: self.factor(a, a_shape), b: self.factor(b, b_shape), out: self.slot(out) }
            }
            Draft::Kernel { op, inputs, outputs, node } => {
                let metas = &tape.nodes[node.index()].inputs;
                let input_shapes: Vec<Shape> = metas.iter().map(|input| tape.meta(*input).shape.clone()).collect();
                let output_shapes: Vec<Shape> =
                    tape.nodes[node.index()].outputs.iter().map(|meta| meta.shape.clone()).collect();
                let operand = |buffer: u32, layout: Option<&Layout>, shape: &Shape| Operand {
                    kind: self.buffers[buffer as usize].kind,
                    slot: self.slot(buffer),
                    offset: layout.map_or(0, |layout| layout.offset),
                    len: shape.len(),
                };
                let inputs = inputs
                    .iter()
                    .zip(&input_shapes)
                    .map(|(view, shape)| operand(view.buffer, view.layout.as_deref(), shape))
                    .collect();
                let outputs =
                    outputs.iter().zip(&output_shapes).map(|(&out, shape)| operand(out, None, shape)).collect();
                Unit::Kernel { op, inputs, input_shapes, outputs, output_shapes }
            }
            Draft::Random { distribution, stream, out } => Unit::Random { distribution, stream, slot: self.slot(out) },
            Draft::IndexCopy { from, out } => {
                let len = self.buffers[from.buffer as usize].len;
                let layout = from.layout.map_or_else(|| Layout::contiguous(Shape::from(len)), |layout| *layout);
                Unit::IndexCopy { from: self.slot(from.buffer), layout, to: self.slot(out) }
            }
        }
    }

    fn factor(&self, view: View, shape: Shape) -> Factor {
        let layout = view.layout.map_or_else(|| Layout::contiguous(shape), |layout| *layout);
        Factor { slot: self.slot(view.buffer), layout }
    }

    /// Registers for the blocks of a loop: a linear scan, in which a step never writes a register that it reads.
    fn fused(&self, draft: DraftLoop) -> Fused {
        let mut registers = 0;
        let mut free: Vec<u32> = Vec::new();
        let loads: Vec<Load> = draft
            .loads
            .iter()
            .map(|view| {
                let access = access(view, draft.len);
                let register = registers;
                registers += u32::from(!matches!(access, Access::Slice(_)));
                Load { slot: self.slot(view.buffer), access, register }
            })
            .collect();
        let mut last = vec![NEVER; draft.steps.len()];
        for (number, step) in draft.steps.iter().enumerate() {
            for arg in &draft.args[step.first_arg as usize..(step.first_arg + step.args) as usize] {
                if let DraftArg::Step(other) = arg {
                    last[*other as usize] = number as u32;
                }
            }
        }
        let mut targets: Vec<Target> = Vec::with_capacity(draft.steps.len());
        let mut args = Vec::with_capacity(draft.args.len());
        let mut steps = Vec::with_capacity(draft.steps.len());
        for (number, step) in draft.steps.iter().enumerate() {
            let target = if self.buffers[step.buffer as usize].stored {
                Target::Slot(self.slot(step.buffer))
            } else {
                Target::Register(free.pop().unwrap_or_else(|| {
                    registers += 1;
                    registers - 1
                }))
            };
            let own = &draft.args[step.first_arg as usize..(step.first_arg + step.args) as usize];
            for (place, arg) in own.iter().enumerate() {
                args.push(match *arg {
                    DraftArg::Load(load) => match loads[load as usize].access {
                        Access::Slice(_) => Arg::Slice(load),
                        Access::Fill(_) | Access::Gather(_) => Arg::Register(loads[load as usize].register),
                    },
                    DraftArg::Step(other) => match targets[other as usize] {
                        Target::Register(register) => {
                            let again = own[..place].iter().any(|a| matches!(a, DraftArg::Step(o) if *o == other));
                            if last[other as usize] == number as u32 && !again {
                                free.push(register);
                            }
                            Arg::Register(register)
                        }
                        Target::Slot(slot) => Arg::Stored(slot),
                    },
                });
            }
            if let (Target::Register(register), NEVER) = (target, last[number]) {
                free.push(register);
            }
            targets.push(target);
            steps.push(Step { op: step.op, first_arg: step.first_arg, args: step.args, target });
        }
        let copies = draft.copies.iter().map(|&(load, out)| (load, self.slot(out))).collect();
        Fused { len: draft.len, loads, args, steps, copies, registers }
    }
}

fn access(view: &View, len: usize) -> Access {
    match &view.layout {
        None => Access::Slice(0),
        Some(layout) if layout.is_contiguous() => Access::Slice(layout.offset),
        Some(layout) if layout.strides.iter().zip(layout.shape.iter()).all(|(s, n)| *s == 0 || *n == 1) => {
            Access::Fill(layout.offset)
        }
        Some(layout) => {
            debug_assert_eq!(layout.shape.len(), len);
            Access::Gather(merged(layout))
        }
    }
}

/// The same positions with as few axes as strides allow.
fn merged(layout: &Layout) -> Layout {
    let mut shape: Vec<usize> = Vec::new();
    let mut strides: smallvec::SmallVec<[isize; _]> = smallvec::SmallVec::new();
    for (&size, &stride) in layout.shape.iter().zip(&layout.strides) {
        if size == 1 {
            continue;
        }
        match (shape.last_mut(), strides.last_mut()) {
            (Some(last), Some(step)) if *step == stride * size as isize => {
                *last *= size;
                *step = stride;
            }
            _ => {
                shape.push(size);
                strides.push(stride);
            }
        }
    }
    Layout { shape: shape.into(), strides, offset: layout.offset }
}
