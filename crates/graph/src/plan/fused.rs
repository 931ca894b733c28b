//! Runs a fused loop: block by block, one vector loop per op, with intermediate values in registers of one block that
//! stay in the L1 cache.

use std::sync::Arc;

use super::memory::{Bound, Division, LoopPart};
use super::unit::{Access, Arg, Fused, Target};
use crate::real::Real;
use crate::shape::Layout;
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

/// Fills `out` with the elements from index `from` on, in row-major order of the layout.
pub(super) fn gather<T: Copy>(source: &[T], layout: &Layout, from: usize, out: &mut [T]) {
    let rank = layout.shape.rank();
    let last = |axis: usize| match rank.checked_sub(axis) {
        Some(axis) => (layout.shape[axis], layout.strides[axis]),
        None => (1, 0),
    };
    // Rows, and how many of them are at equal distances.
    let ((row, stride), (rows, pitch)) = (last(1), last(2));
    let mut done = 0;
    while done < out.len() {
        // The row with the next element, in elements of the last axis.
        let number = from + done;
        let (mut rest, within) = (number / row, number % row);
        let mut position = layout.offset as isize + within as isize * stride;
        let number_of_row = rest % rows;
        for axis in (0..rank.saturating_sub(1)).rev() {
            position += (rest % layout.shape[axis]) as isize * layout.strides[axis];
            rest /= layout.shape[axis];
        }
        if within > 0 || out.len() - done < row {
            let count = (row - within).min(out.len() - done);
            copy_row(source, position, stride, &mut out[done..done + count]);
            done += count;
            continue;
        }
        // All whole rows up to the end of the last axis but one.
        let count = (rows - number_of_row).min((out.len() - done) / row);
        let out = &mut out[done..done + count * row];
        for number in 0..count {
            copy_row(source, position + number as isize * pitch, stride, &mut out[number * row..][..row]);
        }
        done += count * row;
    }
}

/// Fills `out` with the elements from a position on, `stride` apart.
#[allow(clippy::manual_memcpy)] // A call takes longer than a few elements.
#[inline(always)]
fn copy_row<T: Copy>(source: &[T], position: isize, stride: isize, out: &mut [T]) {
    match stride {
        0 => out.fill(source[position as usize]),
        1 if out.len() < 16 => {
            let source = &source[position as usize..][..out.len()];
            for k in 0..out.len() {
                out[k] = source[k];
            }
        }
        1 => out.copy_from_slice(&source[position as usize..][..out.len()]),
        _ => {
            for k in 0..out.len() {
                out[k] = source[(position + k as isize * stride) as usize];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_gather_reads_what_the_layout_says(
            axes in prop::collection::vec((1..6_usize, -3..30_isize), 0..4),
            ends in (0.0..=1.0_f64, 0.0..=1.0_f64),
        ) {
            let (sizes, strides): (Vec<usize>, Vec<isize>) = axes.iter().copied().unzip();
            let reach: isize = axes.iter().map(|&(size, stride)| (size as isize - 1) * stride.min(0)).sum();
            let layout =
                Layout { shape: sizes.iter().copied().collect(), strides: strides.into(), offset: reach.unsigned_abs() };
            let source: Vec<usize> = (0..1000).collect();
            let all: Vec<usize> = layout.positions().collect();
            let from = (ends.0 * all.len() as f64) as usize;
            let count = (ends.1 * (all.len() - from) as f64) as usize;
            let mut out = vec![usize::MAX; count];
            gather(&source, &layout, from, &mut out);
            prop_assert_eq!(&out[..], &all[from..from + count]);
        }
    }
}
