//! Running a fused loop: block by block, one vector loop an op, intermediates in registers of one block that stay in
//! the first-level cache.

#![allow(unsafe_code)]

use std::sync::Arc;

use super::memory::Memory;
use super::unit::{Access, Arg, Fused, Load, Target};
use crate::kernel::parallel::in_parts;
use crate::real::Real;
use crate::shape::Layout;
use crate::tape::op::AnyOp;

/// Elements of a block.
pub(super) const BLOCK: usize = 1024;
/// A loop over fewer elements than this for each part is not divided over threads.
const GRAIN: usize = 16 * 1024;
/// The most inputs that a pointwise op has.
const MAX_ARGS: usize = 4;

/// Elements of a register of a loop over `len`: whole cache lines.
fn block(len: usize) -> usize {
    BLOCK.min(len.next_multiple_of(16))
}

/// Elements of scratch that each thread needs for a loop.
pub(super) fn scratch(fused: &Fused) -> usize {
    fused.registers as usize * block(fused.len)
}

/// The scratch of all threads, of which each part of a loop takes its own piece.
struct Scratch<T>(*mut T);

// SAFETY: parts on different threads use disjoint pieces, see `run`.
unsafe impl<T: Send> Sync for Scratch<T> {}

/// Runs a loop. `scratch` holds [`scratch`] elements for each of `threads` parts.
pub(super) fn run<T: Real>(
    fused: &Fused,
    ops: &[Arc<dyn AnyOp>],
    memory: &Memory<T>,
    scratch_of_all: &mut [T],
    threads: usize,
) {
    if fused.len == 0 {
        return;
    }
    let own = scratch(fused);
    assert!(own * threads <= scratch_of_all.len());
    let start = Scratch(scratch_of_all.as_mut_ptr());
    in_parts(fused.len, GRAIN, BLOCK, threads, &|part, range| {
        let start = &start;
        // SAFETY: part numbers are below `threads` and differ, so the pieces lie within the scratch and are disjoint.
        let registers = unsafe { std::slice::from_raw_parts_mut(start.0.add(part * own), own) };
        Part { fused, ops, memory, registers: registers.as_mut_ptr(), block: block(fused.len) }.run(range);
    });
}

struct Part<'a, T> {
    fused: &'a Fused,
    ops: &'a [Arc<dyn AnyOp>],
    memory: &'a Memory<T>,
    registers: *mut T,
    block: usize,
}

impl<T: Real> Part<'_, T> {
    /// A register to read.
    ///
    /// # Safety
    /// No slice from `register_mut` of the same register is alive.
    unsafe fn register(&self, number: u32, count: usize) -> &[T] {
        // SAFETY: the scratch holds `registers` blocks of `block ≥ count` elements.
        unsafe { std::slice::from_raw_parts(self.registers.add(number as usize * self.block), count) }
    }

    /// A register to write.
    ///
    /// # Safety
    /// No other slice of the same register is alive.
    #[allow(clippy::mut_from_ref)]
    unsafe fn register_mut(&self, number: u32, count: usize) -> &mut [T] {
        // SAFETY: as in `register`.
        unsafe { std::slice::from_raw_parts_mut(self.registers.add(number as usize * self.block), count) }
    }

    fn run(&self, range: std::ops::Range<usize>) {
        for load in &self.fused.loads {
            if let Access::Fill(position) = load.access {
                // SAFETY: what a loop loads it does not write; the register belongs to this load alone.
                let (value, register) = unsafe {
                    (self.memory.read(load.slot, position, 1)[0], self.register_mut(load.register, self.block))
                };
                register.fill(value);
            }
        }
        let mut from = range.start;
        while from < range.end {
            let count = self.block.min(range.end - from);
            self.run_block(from, count);
            from += count;
        }
    }

    fn run_block(&self, from: usize, count: usize) {
        let fused = self.fused;
        for load in &fused.loads {
            if let Access::Gather(layout) = &load.access {
                // SAFETY: what a loop loads it does not write; the register belongs to this load alone.
                let (source, register) = unsafe {
                    (
                        self.memory.read(load.slot, 0, self.memory.len(load.slot)),
                        self.register_mut(load.register, count),
                    )
                };
                gather(source, layout, from, register);
            }
        }
        for step in &fused.steps {
            let mut blocks: [&[T]; MAX_ARGS] = [&[]; MAX_ARGS];
            let args = &fused.args[step.first_arg as usize..(step.first_arg + step.args) as usize];
            for (block, arg) in blocks.iter_mut().zip(args) {
                // SAFETY: loads are not written by the loop. The register or slot of a step is never one of its own
                // arguments, so nothing that is read here is written below, and the parts of a loop on other threads
                // have registers of their own and write other elements of the slots.
                *block = unsafe {
                    match *arg {
                        Arg::Register(register) => self.register(register, count),
                        Arg::Slice(load) => self.slice(&fused.loads[load as usize], from, count),
                        Arg::Stored(slot) => self.memory.read(slot, from, count),
                    }
                };
            }
            // SAFETY: as above.
            let target = unsafe {
                match step.target {
                    Target::Register(register) => self.register_mut(register, count),
                    Target::Slot(slot) => self.memory.write(slot, from, count),
                }
            };
            T::op_block(&*self.ops[step.op as usize], &blocks[..args.len()], target);
        }
        for &(load, slot) in &fused.copies {
            let load = &fused.loads[load as usize];
            // SAFETY: what a loop loads it does not write.
            unsafe {
                let source = match load.access {
                    Access::Slice(_) => self.slice(load, from, count),
                    Access::Fill(_) | Access::Gather(_) => self.register(load.register, count),
                };
                self.memory.write(slot, from, count).copy_from_slice(source);
            }
        }
    }

    /// # Safety
    /// The loop does not write what it loads.
    unsafe fn slice(&self, load: &Load, from: usize, count: usize) -> &[T] {
        let Access::Slice(offset) = load.access else { unreachable!("the load is read in place") };
        // SAFETY: by the caller's promise.
        unsafe { self.memory.read(load.slot, offset + from, count) }
    }
}

/// Fills `out` with the elements from number `from` on, in row-major order of the layout.
pub(super) fn gather<T: Copy>(source: &[T], layout: &Layout, from: usize, out: &mut [T]) {
    let rank = layout.shape.rank();
    let (run, stride) = match rank {
        0 => (1, 0),
        _ => (layout.shape[rank - 1], layout.strides[rank - 1]),
    };
    let mut done = 0;
    let mut number = from;
    while done < out.len() {
        // Where the run with element `number` starts; a block has few runs, or short ones whose index is cheap.
        let (mut rest, within) = (number / run, number % run);
        let mut position = layout.offset as isize + within as isize * stride;
        for axis in (0..rank.saturating_sub(1)).rev() {
            position += (rest % layout.shape[axis]) as isize * layout.strides[axis];
            rest /= layout.shape[axis];
        }
        let count = (run - within).min(out.len() - done);
        let target = &mut out[done..done + count];
        match stride {
            0 => target.fill(source[position as usize]),
            1 => target.copy_from_slice(&source[position as usize..position as usize + count]),
            _ => {
                for value in target {
                    *value = source[position as usize];
                    position += stride;
                }
            }
        }
        done += count;
        number += count;
    }
}
