//! Runs a fused loop: block by block, one vector loop per op, with intermediate values in registers of one block that
//! stay in the L1 cache.

use std::sync::Arc;

use super::memory::{Bound, Division, LoopPart};
use super::unit::{Access, Arg, Fused, Target};
use crate::kernel::strided::gather;
use crate::real::Real;
use crate::tape::op::Kernels;

/// Elements of a block.
pub(super) const BLOCK: usize = 1024;

/// The elements of a loop that are worth a thread: several microseconds of work, of which a step is a part that depends
/// on its function, and moving the elements the rest.
pub(super) fn grain(fused: &Fused) -> usize {
    (32 * 1024 / (3 + fused.steps.len())).max(BLOCK)
}

/// Elements of a register of a loop over `len` elements: a multiple of a cache line.
fn block(len: usize) -> usize {
    BLOCK.min(len.next_multiple_of(16))
}

/// Elements of scratch that each thread needs for a loop.
pub(super) fn scratch(fused: &Fused) -> usize {
    fused.registers as usize * block(fused.len)
}

/// Runs a loop, which is unit `unit`. `space` has [`scratch`] elements for each of `threads` parts.
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
    let (len, registers, block) = (fused.len, fused.registers as usize, block(fused.len));
    let division = Division { len, grain: grain(fused), threads, registers, block };
    memory.divide(unit, division, space, &|part| run_part(fused, kernels, part, block));
}

fn run_part<T: Real>(fused: &Fused, kernels: &[Arc<dyn Kernels<T>>], part: &mut LoopPart<'_, T>, block: usize) {
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
        let kernel = &*kernels[step.op as usize];
        part.step(from, count, args, step.target, |blocks, target| kernel.block(blocks, target));
    }
    for &(load, write) in &fused.copies {
        let arg = match fused.loads[load as usize].access {
            Access::Slice => Arg::Slice(load),
            Access::Fill | Access::Gather(_) => Arg::Register(fused.loads[load as usize].register),
        };
        part.step(from, count, &[arg], Target::Slot(write), |source, target| target.copy_from_slice(source[0]));
    }
}
