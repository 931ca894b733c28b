//! Registers for the values of a loop that need no memory.

use super::assign::{Assigner, NEVER};
use super::draft::{DraftArg, DraftLoop, View};
use super::memory::Footprint;
use super::pairs;
use super::unit::{Access, Arg, Fused, Load, Step, Target, TotalStep};

/// The target of a step that is computed with another, which nothing reads.
const NOWHERE: Target = Target::Register(u32::MAX);

impl Assigner<'_> {
    /// Registers for the blocks of a loop: a linear scan, in which a step never writes a register that it reads.
    pub(super) fn fused(&self, draft: DraftLoop, footprint: &mut Footprint) -> Fused {
        let mut registers = 0;
        let mut free: Vec<u32> = Vec::new();
        let loads: Vec<Load> = draft
            .loads
            .iter()
            .map(|view| {
                let access = access(view, draft.len);
                let len = match access {
                    Access::Slice => Some(draft.len),
                    Access::Fill => Some(1),
                    Access::Gather(_) => None,
                };
                footprint.reads.push(self.part(view, len));
                let register = registers;
                registers += u32::from(!matches!(access, Access::Slice));
                Load { access, register }
            })
            .collect();
        let is_stored = |step: usize| self.buffers[draft.steps[step].buffer as usize].stored;
        let pairs = pairs::find(self.tape, &draft, is_stored);
        let pair_of = |number: usize| pairs.get(number).and_then(Option::as_ref);
        let mut is_first = vec![false; pairs.len()];
        pairs.iter().flatten().for_each(|pair| is_first[pair.first as usize] = true);
        let is_first = |number: usize| is_first.get(number) == Some(&true);
        // The arguments of a step, behind those of the one that is computed with it.
        let args_of = |number: usize| match pair_of(number) {
            None => draft.args_of(&draft.steps[number]),
            Some(pair) => pair.args(),
        };
        let mut last = vec![NEVER; draft.steps.len()];
        for number in (0..draft.steps.len()).filter(|&number| !is_first(number)) {
            for arg in args_of(number) {
                if let DraftArg::Step(other) = arg {
                    last[*other as usize] = number as u32;
                }
            }
        }
        // What totals are of is there until the end of a block.
        for total in &draft.totals {
            last[total.step as usize] = draft.steps.len() as u32;
        }
        let mut targets: Vec<Target> = Vec::with_capacity(draft.steps.len());
        let mut args = Vec::with_capacity(draft.args.len());
        let mut steps = Vec::with_capacity(draft.steps.len());
        for (number, step) in draft.steps.iter().enumerate() {
            if is_first(number) {
                targets.push(NOWHERE);
                continue;
            }
            let target = if self.buffers[step.buffer as usize].stored {
                footprint.writes.push(self.whole(step.buffer));
                Target::Slot(footprint.writes.len() as u32 - 1)
            } else {
                Target::Register(free.pop().unwrap_or_else(|| {
                    registers += 1;
                    registers - 1
                }))
            };
            let (own, first_arg) = (args_of(number), args.len() as u32);
            for (position, arg) in own.iter().enumerate() {
                args.push(match *arg {
                    DraftArg::Load(load) => match loads[load as usize].access {
                        Access::Slice => Arg::Slice(load),
                        Access::Fill | Access::Gather(_) => Arg::Register(loads[load as usize].register),
                    },
                    DraftArg::Step(other) => match targets[other as usize] {
                        Target::Register(register) => {
                            let again = own[..position].iter().any(|a| matches!(a, DraftArg::Step(o) if *o == other));
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
            let (op, second) = match pair_of(number) {
                None => (step.op, None),
                Some(pair) => (draft.steps[pair.first as usize].op, Some(pair.second)),
            };
            steps.push(Step { op, second, first_arg, args: own.len() as u32, target });
        }
        let mut copies = Vec::with_capacity(draft.copies.len());
        for &(load, out) in &draft.copies {
            copies.push((load, footprint.writes.len() as u32));
            footprint.writes.push(self.whole(out));
        }
        let mut totals = Vec::with_capacity(draft.totals.len());
        for total in &draft.totals {
            let of = match targets[total.step as usize] {
                Target::Register(register) => Arg::Register(register),
                Target::Slot(slot) => Arg::Stored(slot),
            };
            totals.push(TotalStep { op: total.op, total: total.total, of });
            footprint.writes.push(self.whole(total.out));
        }
        Fused { len: draft.len, loads, args, steps, copies, totals, registers }
    }
}

fn access(view: &View, len: usize) -> Access {
    match &view.layout {
        None => Access::Slice,
        Some(layout) if layout.is_contiguous() => Access::Slice,
        Some(layout) if layout.strides.iter().zip(layout.shape.iter()).all(|(s, n)| *s == 0 || *n == 1) => Access::Fill,
        Some(layout) => {
            debug_assert_eq!(layout.shape.len(), len);
            Access::Gather(layout.merged())
        }
    }
}
