//! Runs a fused loop: block by block, one vector loop per op, with intermediate values in registers of one block that
//! stay in the L1 cache; then the totals of all blocks.

use std::ops::Range;
use std::sync::Arc;

use super::memory::{Bound, Division, LoopPart};
use super::pairs;
use super::unit::{Access, Arg, Fused, Target};
use crate::kernel::reduce::{RECORD, RECORDED, Records, add_plainly, plain_mean};
use crate::kernel::strided::gather;
use crate::real::Real;
use crate::tape::op::Kernels;

/// Elements of a block.
pub(super) const BLOCK: usize = RECORDED;

/// The elements of a loop that are worth a thread: several microseconds of work, of which a step is a part that depends
/// on its function, and moving the elements the rest.
pub(super) fn grain(fused: &Fused) -> usize {
    (32 * 1024 / (3 + fused.steps.len())).max(BLOCK)
}

/// Elements of a cache line in single precision.
const LINE: usize = super::memory::LINE / size_of::<f32>();

/// Elements of a register of a loop over `len` elements: a multiple of a cache line.
fn block(len: usize) -> usize {
    BLOCK.min(len.next_multiple_of(LINE))
}

/// Elements from the start of a register to that of the next: a cache line more, since registers that begin a power of
/// two apart compete for the same sets of the L1 cache.
fn stride(block: usize) -> usize {
    block + LINE
}

/// Elements of scratch that a loop needs on a number of threads: registers, records, and the first elements of totals.
pub(super) fn scratch(fused: &Fused, threads: usize) -> usize {
    let registers = (fused.registers as usize * stride(block(fused.len))).saturating_mul(threads);
    let records = fused.len.div_ceil(BLOCK).saturating_mul(RECORD) + 1;
    registers.saturating_add(fused.totals.len().saturating_mul(records))
}

/// Runs a loop, which is unit `unit`. `space` has as many elements as [`scratch`] says.
pub(super) fn run<T: Real>(
    fused: &Fused,
    kernels: &[Arc<dyn Kernels<T>>],
    memory: &mut Bound<'_, T>,
    unit: usize,
    space: &mut [T],
    threads: usize,
) {
    if fused.len == 0 {
        return;
    }
    let (len, registers, totals) = (fused.len, fused.registers as usize, fused.totals.len());
    let (block, record) = (block(len), totals * RECORD);
    let (grain, stride) = (grain(fused), stride(block));
    let division = Division { len, grain, threads, registers, block, stride, totals, record, first: None };
    let (space, records) = space.split_at_mut(threads * registers * stride);
    if totals == 0 {
        let run = |part: &mut LoopPart<'_, T>| run_part(fused, kernels, part, block, |_, _| {});
        return memory.divide(unit, division, [space, records], &run);
    }
    let (records, firsts) = records.split_at_mut(len.div_ceil(BLOCK) * record);
    let firsts = &mut firsts[..totals];
    if len > BLOCK {
        // Means are of differences from the first element, which all parts need.
        let first = Division { first: Some(1), ..division };
        memory.divide(unit, first, [&mut *space, &mut *records], &|part| {
            run_part(fused, kernels, part, block, |part, range| {
                for (number, total) in fused.totals.iter().enumerate() {
                    let (values, records) = part.computed(range.clone(), total.of);
                    records[number * RECORD] = values[0];
                }
            });
        });
        for number in 0..totals {
            firsts[number] = records[number * RECORD];
        }
    }
    memory.divide(unit, division, [&mut *space, &mut *records], &|part| {
        let start = part.range().start;
        run_part(fused, kernels, part, block, |part, range| {
            for (number, total) in fused.totals.iter().enumerate() {
                let at = ((range.start - start) / BLOCK * totals + number) * RECORD;
                let (values, records) = part.computed(range.clone(), total.of);
                let first = if len > BLOCK { firsts[number] } else { values[0] };
                total.total.record(first, values, &mut records[at..at + RECORD]);
            }
        });
    });
    let written = memory.lend(unit).1.count() - totals;
    for (number, total) in fused.totals.iter().enumerate() {
        let found = total.total.finish(len, Records { all: records, total: number, totals });
        let found = found.unwrap_or_else(|| {
            // The mean from the plain sum, for which the loop runs again, in the record of this total.
            let all = Division { first: Some(len), ..division };
            let at = number * RECORD;
            records[at..at + 2].fill(T::zero());
            memory.divide(unit, all, [&mut *space, &mut *records], &|part| {
                run_part(fused, kernels, part, block, |part, range| {
                    let (values, records) = part.computed(range, total.of);
                    add_plainly(values, &mut records[at..at + 2]);
                });
            });
            plain_mean(len, &records[at..at + 2])
        });
        memory.lend(unit).1.nth(written + number).expect("a total is written")[0] = found;
    }
}

/// Runs the blocks of a part, and `done` after each, with its elements.
#[inline(always)]
fn run_part<T: Real>(
    fused: &Fused,
    kernels: &[Arc<dyn Kernels<T>>],
    part: &mut LoopPart<'_, T>,
    block: usize,
    done: impl Fn(&mut LoopPart<'_, T>, Range<usize>),
) {
    for number in 0..fused.loads.len() {
        let load = &fused.loads[number];
        if let Access::Fill = load.access {
            let (elements, register) = part.load(number as u32, load.register);
            register.fill(elements[0]);
        }
    }
    let range = part.range();
    let mut from = range.start;
    while from < range.end {
        let count = block.min(range.end - from);
        run_block(fused, kernels, part, from, count);
        done(part, from..from + count);
        from += count;
    }
}

#[inline(always)]
fn run_block<T: Real>(
    fused: &Fused,
    kernels: &[Arc<dyn Kernels<T>>],
    part: &mut LoopPart<'_, T>,
    from: usize,
    count: usize,
) {
    for number in 0..fused.loads.len() {
        let load = &fused.loads[number];
        if let Access::Gather(layout) = &load.access {
            let (source, register) = part.load(number as u32, load.register);
            gather(source, layout, from, &mut register[..count]);
        }
    }
    for step in &fused.steps {
        let args = &fused.args[step.first_arg as usize..][..step.args as usize];
        part.step(from, count, args, step.target, |blocks, target| match &step.second {
            None => kernels[step.op as usize].block(blocks, target),
            Some(second) => pairs::run(kernels, step.op, second, blocks, target),
        });
    }
    for &(load, write) in &fused.copies {
        let arg = match fused.loads[load as usize].access {
            Access::Slice => Arg::Slice(load),
            Access::Fill | Access::Gather(_) => Arg::Register(fused.loads[load as usize].register),
        };
        part.step(from, count, &[arg], Target::Slot(write), |source, target| target.copy_from_slice(source[0]));
    }
}
