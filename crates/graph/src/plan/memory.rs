//! The memory of a session, and the only module of the plan that makes slices from offsets.
//!
//! Slices of several values of one arena are alive at the same time, some of them mutable; the borrow checker cannot
//! see that they do not overlap. A [`Map`] is checked for that when it is made: each part that a unit reads or writes
//! lies within its slot, each slot within its space, and the parts that a unit writes overlap no other part of it.
//! Memory is bound to a map for one run ([`Bound`]), and then lent to one unit at a time, so other modules need no
//! `unsafe`.
//!
//! The safety of each block below rests on these facts:
//!
//! 1. The fields of a [`Map`] are private and set by [`Map::new`], which checks them.
//! 2. Starts are set by a [`Binder`] from borrows that live as long as the [`Bound`] does, of at least the lengths that
//!    the map states. Inputs and parameters are shared borrows, and the map lets no unit write them.
//! 3. [`Bound`] lends to one unit at a time, since lending takes it by `&mut`.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::Range;

use super::unit::{Arg, Slot, SlotId, Storage, Target};
use crate::kernel::parallel::{Pieces, in_parts};
use crate::tape::form::MAX_POINTWISE;

/// Bytes of a cache line: vectors that start at one do not straddle two.
pub(super) const LINE: usize = 64;

/// Allocates `count` elements aligned to a cache line, if there are fewer.
///
/// # Errors
/// The number of bytes, if they could not be allocated.
pub(super) fn reserve<T: Copy>(memory: &mut Vec<T>, count: usize, zero: T) -> Result<(), usize> {
    let padded = count.checked_add(LINE / size_of::<T>()).ok_or(usize::MAX)?;
    if count == 0 || memory.len() >= padded {
        return Ok(());
    }
    // Not resized: the contents need not be kept, and the old memory is freed first.
    *memory = Vec::new();
    memory.try_reserve_exact(padded).map_err(|_| padded.saturating_mul(size_of::<T>()))?;
    memory.resize(padded, zero);
    Ok(())
}

/// The elements from the first one that is aligned to a cache line.
pub(super) fn aligned<T>(elements: &mut [T]) -> &mut [T] {
    let skip = elements.as_ptr().align_offset(LINE).min(elements.len());
    &mut elements[skip..]
}

/// Elements `from..from + len` of a slot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Part {
    pub(super) slot: SlotId,
    pub(super) from: usize,
    pub(super) len: usize,
}

/// The parts of one kind of value that a unit reads and writes, in its order.
#[derive(Clone, Debug, Default)]
pub(super) struct Footprint {
    pub(super) reads: Vec<Part>,
    pub(super) writes: Vec<Part>,
}

/// The footprint of a unit in the list of all parts: `reads` parts from `first` on, then `writes`.
#[derive(Clone, Copy, Debug)]
struct Span {
    first: usize,
    reads: u32,
    writes: u32,
}

/// The slots of one kind of value and the footprint of each unit; see the module.
#[derive(Debug)]
pub(super) struct Map {
    slots: Vec<Slot>,
    /// One list for all units, so that a run reads them in order.
    parts: Vec<Part>,
    spans: Vec<Span>,
    arena: usize,
    kept: usize,
    /// For each output of the plan its slot, if it is of this kind.
    outputs: Vec<Option<SlotId>>,
}

impl Map {
    /// # Panics
    /// If a part leaves its slot or a slot its space, or a part that a unit writes overlaps another part of it: a bug
    /// of an earlier pass.
    pub(super) fn new(slots: Vec<Slot>, footprints: Vec<Footprint>, arena: usize, kept: usize, outputs: usize) -> Self {
        let mut map = Self { slots, parts: Vec::new(), spans: Vec::new(), arena, kept, outputs: vec![None; outputs] };
        for (number, slot) in map.slots.iter().enumerate() {
            let fits = |offset: usize, space: usize| offset.checked_add(slot.len).is_some_and(|end| end <= space);
            match slot.storage {
                Storage::Arena(offset) => assert!(fits(offset, arena), "{slot:?} leaves the arena of {arena}"),
                Storage::Kept(offset) => assert!(fits(offset, kept), "{slot:?} leaves the kept memory of {kept}"),
                Storage::Input(_) | Storage::Param(_) => {}
                Storage::Output(output) => {
                    let known = map.outputs[output as usize].replace(number as SlotId);
                    assert!(known.is_none(), "output {output} has two slots");
                }
            }
        }
        footprints.iter().for_each(|footprint| map.expect_apart(footprint));
        map.spans.reserve_exact(footprints.len());
        map.parts
            .reserve_exact(footprints.iter().map(|footprint| footprint.reads.len() + footprint.writes.len()).sum());
        for Footprint { reads, writes } in footprints {
            let (first, count) =
                (map.parts.len(), |parts: &[Part]| u32::try_from(parts.len()).expect("there are fewer"));
            map.spans.push(Span { first, reads: count(&reads), writes: count(&writes) });
            map.parts.extend(reads);
            map.parts.extend(writes);
        }
        map
    }

    /// What a unit reads and what it writes.
    #[inline(always)]
    pub(super) fn footprint(&self, unit: usize) -> (&[Part], &[Part]) {
        let Span { first, reads, writes } = self.spans[unit];
        self.parts[first..][..reads as usize + writes as usize].split_at(reads as usize)
    }

    /// Where the elements of a part are stored.
    pub(super) fn storage(&self, part: Part) -> Storage {
        self.slots[part.slot as usize].storage
    }

    fn expect_apart(&self, footprint: &Footprint) {
        // For each part the space, the range of elements, and whether it is written.
        let mut spans: Vec<((u8, u32), Range<usize>, bool)> = Vec::new();
        let reads = footprint.reads.iter().map(|part| (part, false));
        for (part, written) in reads.chain(footprint.writes.iter().map(|part| (part, true))) {
            let slot = &self.slots[part.slot as usize];
            let end = part.from.checked_add(part.len);
            assert!(end.is_some_and(|end| end <= slot.len), "{part:?} leaves {slot:?}");
            let (space, offset) = match slot.storage {
                Storage::Arena(offset) => ((0, 0), offset),
                Storage::Kept(offset) => ((1, 0), offset),
                Storage::Input(number) => ((2, number), 0),
                Storage::Param(number) => ((3, number), 0),
                Storage::Output(number) => ((4, number), 0),
            };
            assert!(!written || !matches!(space, (2 | 3, _)), "{slot:?} is not to be written");
            if part.len > 0 {
                spans.push((space, offset + part.from..offset + part.from + part.len, written));
            }
        }
        spans.sort_unstable_by_key(|(space, span, _)| (*space, span.start));
        // The largest end so far in this space, of all parts and of those that are written.
        let (mut space_now, mut touched, mut written_to) = (None, 0, 0);
        for (space, span, written) in spans {
            if space_now != Some(space) {
                (space_now, touched, written_to) = (Some(space), 0, 0);
            }
            let free_from = if written { touched } else { written_to };
            assert!(span.start >= free_from, "a unit writes elements {span:?} and touches them otherwise");
            touched = touched.max(span.end);
            if written {
                written_to = written_to.max(span.end);
            }
        }
    }

    /// The number of elements that a unit reads and writes.
    pub(super) fn touched(&self, unit: usize) -> usize {
        let (reads, writes) = self.footprint(unit);
        reads.iter().chain(writes).map(|part| part.len).sum()
    }

    /// The slots, and the number of units.
    #[cfg(test)]
    pub(super) fn slots(&self) -> (&[Slot], usize) {
        (&self.slots, self.spans.len())
    }

    /// Elements of the arena.
    pub(super) fn arena(&self) -> usize {
        self.arena
    }
}

/// The first element of a slot.
#[derive(Clone, Copy)]
struct Start<T>(*mut T);

// SAFETY: a `Start` is only followed by `read` and `write` below, whose callers state who may do so when.
unsafe impl<T: Send> Send for Start<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Start<T> {}

/// The elements of a part.
///
/// # Safety
/// `starts` are those of a [`Bound`] of the map that has the part, its memory is borrowed for `'b`, and nothing writes
/// these elements during `'b`.
#[inline]
unsafe fn read<'b, T>(starts: &[Start<T>], part: Part) -> &'b [T] {
    // A part without elements may be in a slot that is nowhere.
    if part.len == 0 {
        return &[];
    }
    let Start(start) = starts[part.slot as usize];
    // SAFETY: the part lies within the slot and this within what it is bound to; the rest by the caller's promise.
    unsafe { std::slice::from_raw_parts(start.add(part.from), part.len) }
}

/// The elements of a part, to write to.
///
/// # Safety
/// As for [`read`]; also, the part is one that its unit writes, and nothing else refers to these elements during `'b`.
#[inline]
unsafe fn write<'b, T>(starts: &[Start<T>], part: Part) -> &'b mut [T] {
    if part.len == 0 {
        return &mut [];
    }
    let Start(start) = starts[part.slot as usize];
    // SAFETY: as in `read`; a part that is written is in no input or parameter.
    unsafe { std::slice::from_raw_parts_mut(start.add(part.from), part.len) }
}

/// The memory of a session for one kind of value, besides the arena.
pub(super) struct Frame<T> {
    /// Set for each run; kept for its allocation.
    starts: Vec<Start<T>>,
    kept: Vec<T>,
}

impl<T: Copy> Frame<T> {
    pub(super) fn new() -> Self {
        Self { starts: Vec::new(), kept: Vec::new() }
    }

    /// Allocates the memory that is kept between runs.
    ///
    /// # Errors
    /// As [`reserve`].
    pub(super) fn reserve(&mut self, map: &Map, zero: T) -> Result<(), usize> {
        reserve(&mut self.kept, map.kept, zero)
    }

    /// Starts to bind memory to the slots of a map.
    ///
    /// # Panics
    /// If the arena or the kept memory is too small.
    pub(super) fn bind<'a>(&'a mut self, map: &'a Map, arena: &'a mut [T]) -> Binder<'a, T> {
        let (arena, kept) = (aligned(arena), aligned(&mut self.kept));
        assert!(arena.len() >= map.arena && kept.len() >= map.kept, "there is memory for the plan");
        let (arena, kept) = (arena.as_mut_ptr(), kept.as_mut_ptr());
        self.starts.clear();
        self.starts.extend(map.slots.iter().map(|slot| {
            Start(match slot.storage {
                // Within the arena by the map, unless the slot has no elements and is not followed.
                Storage::Arena(offset) => arena.wrapping_add(offset),
                Storage::Kept(offset) => kept.wrapping_add(offset),
                Storage::Input(_) | Storage::Param(_) | Storage::Output(_) => std::ptr::null_mut(),
            })
        }));
        Binder { map, starts: &mut self.starts, memory: PhantomData }
    }
}

/// A binding of memory to the slots of a map, under construction.
pub(super) struct Binder<'a, T> {
    map: &'a Map,
    starts: &'a mut Vec<Start<T>>,
    memory: PhantomData<&'a mut [T]>,
}

impl<'a, T> Binder<'a, T> {
    /// Binds inputs and parameters, whose elements `read` returns.
    ///
    /// # Errors
    /// The first error of `read`.
    ///
    /// # Panics
    /// If the number of elements is not that of the slot.
    pub(super) fn leaves<E>(&mut self, mut read: impl FnMut(Storage) -> Result<&'a [T], E>) -> Result<(), E> {
        for (slot, start) in self.map.slots.iter().zip(self.starts.iter_mut()) {
            if let Storage::Input(_) | Storage::Param(_) = slot.storage {
                let elements = read(slot.storage)?;
                assert!(elements.len() == slot.len, "a tensor that is bound has the declared shape");
                *start = Start(elements.as_ptr().cast_mut());
            }
        }
        Ok(())
    }

    /// Binds an output.
    ///
    /// # Panics
    /// If the output is not of this kind, or the number of elements is not that of its slot.
    pub(super) fn output(&mut self, number: usize, elements: &'a mut [T]) {
        let slot = self.map.outputs[number].expect("the output is of this kind");
        assert!(elements.len() == self.map.slots[slot as usize].len, "an output has the declared shape");
        self.starts[slot as usize] = Start(elements.as_mut_ptr());
    }

    /// Finishes the binding.
    ///
    /// # Panics
    /// If a slot is not bound.
    pub(super) fn finish(self) -> Bound<'a, T> {
        let bound = |(slot, start): (&Slot, &Start<T>)| slot.len == 0 || !start.0.is_null();
        assert!(self.map.slots.iter().zip(&*self.starts).all(bound), "every slot is bound");
        Bound { map: self.map, starts: self.starts, memory: PhantomData }
    }
}

/// Memory bound to the slots of a map for one run.
pub(super) struct Bound<'a, T> {
    map: &'a Map,
    starts: &'a [Start<T>],
    memory: PhantomData<&'a mut [T]>,
}

impl<T> Bound<'_, T> {
    /// The reads and the writes of a unit, each in the order of its footprint.
    pub(super) fn lend(&mut self, unit: usize) -> (impl Iterator<Item = &[T]>, impl Iterator<Item = &mut [T]>) {
        let Self { map, starts, .. } = &*self;
        let (reads, writes) = map.footprint(unit);
        (
            // SAFETY: facts 1 to 3 of the module: for as long as `self` is borrowed, what this unit writes is what the
            // second iterator gives, which is apart from these.
            reads.iter().map(|&part| unsafe { read(starts, part) }),
            // SAFETY: as above; each part is given once, and the map lets none overlap.
            writes.iter().map(|&part| unsafe { write(starts, part) }),
        )
    }

    /// The reads and the writes of a unit, both shared, for inspection.
    pub(super) fn look(&self, unit: usize) -> (impl Iterator<Item = &[T]>, impl Iterator<Item = &[T]>) {
        let Self { map, starts, .. } = self;
        let (reads, writes) = map.footprint(unit);
        // SAFETY: nothing is written while `self` is shared.
        let look = move |&part: &Part| unsafe { read(starts, part) };
        (reads.iter().map(look), writes.iter().map(look))
    }

    /// All of a slot of kept memory, mutable.
    ///
    /// # Panics
    /// If the slot is not in kept memory.
    pub(super) fn kept_mut(&mut self, slot: SlotId) -> &mut [T] {
        let Slot { storage, len } = self.map.slots[slot as usize];
        assert!(matches!(storage, Storage::Kept(_)), "the slot is in kept memory");
        // SAFETY: a whole slot is a part within it, in the session's own memory; nothing else is lent while `self` is
        // borrowed.
        unsafe { write(self.starts, Part { slot, from: 0, len }) }
    }

    /// Divides a loop over `len` elements into parts for at most `threads` threads, as [`in_parts`] does. Each part
    /// writes its own range of the values that the unit writes, but for the last `totals`, and has its own range of the
    /// records: `record` numbers for each block. Each thread has `registers` registers of `block` elements of `scratch`,
    /// one every `stride`.
    ///
    /// # Panics
    /// If a value that a part writes does not have `len` elements, `stride` is shorter than a block, or there is not
    /// enough scratch or records.
    pub(super) fn divide(
        &mut self,
        unit: usize,
        Division { len, grain, threads, registers, block, stride, totals, record, first }: Division,
        [scratch, records]: [&mut [T]; 2],
        work: &(impl Fn(&mut LoopPart<'_, T>) + Sync),
    ) where
        T: Send + Sync,
    {
        let (reads, writes) = self.map.footprint(unit);
        let writes = &writes[..writes.len() - totals];
        assert!(writes.iter().all(|part| part.len == len), "a loop writes as many elements as it has");
        assert!(stride >= block, "registers do not overlap");
        let (starts, own) = (self.starts, registers * stride);
        let (scratch, records) = (Pieces::new(scratch), Pieces::new(records));
        let run = |worker: usize, range: Range<usize>| {
            let [from, to] = [range.start / block, range.end.div_ceil(block)];
            // SAFETY: workers that run at the same time differ, so no two pieces that are used then overlap; nor do the
            // blocks of two ranges, which begin with a block.
            let [registers, records] =
                unsafe { [scratch.piece(worker * own, own), records.piece(from * record, (to - from) * record)] };
            work(&mut LoopPart { starts, reads, writes, range, registers, records, block, stride });
        };
        match first {
            Some(count) => run(0, 0..count.min(len)),
            None => in_parts(len, grain, block, threads, &run),
        }
    }
}

/// How a loop is divided over threads; see [`Bound::divide`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Division {
    pub(super) len: usize,
    pub(super) grain: usize,
    pub(super) threads: usize,
    pub(super) registers: usize,
    pub(super) block: usize,
    /// Elements from the start of a register to that of the next, at least a block.
    pub(super) stride: usize,
    pub(super) totals: usize,
    pub(super) record: usize,
    /// How many elements the calling thread runs, instead of all threads all of them.
    pub(super) first: Option<usize>,
}

/// The part of a loop that one thread runs: its range of the writes of the loop, all reads of the loop, and registers.
///
/// The ranges of parts do not overlap, and a loop does not write what it reads; so no part accesses an element that
/// another part writes.
pub(super) struct LoopPart<'a, T> {
    starts: &'a [Start<T>],
    reads: &'a [Part],
    writes: &'a [Part],
    range: Range<usize>,
    registers: &'a mut [T],
    records: &'a mut [T],
    block: usize,
    stride: usize,
}

impl<'a, T> LoopPart<'a, T> {
    /// The elements of the loop that belong to this part.
    pub(super) fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// All elements of a load, and a register.
    pub(super) fn load(&mut self, load: u32, register: u32) -> (&'a [T], &mut [T]) {
        // SAFETY: what a loop reads it does not write, and the memory is lent to the loop for `'a`.
        let elements = unsafe { read(self.starts, self.reads[load as usize]) };
        (elements, &mut self.registers[register as usize * self.stride..][..self.block])
    }

    /// Elements of a value that the loop has computed, and the records of this part.
    ///
    /// # Panics
    /// As [`step`](LoopPart::step).
    pub(super) fn computed(&mut self, range: Range<usize>, of: Arg) -> (&[T], &mut [T]) {
        let (from, count) = (range.start, range.len());
        let inside = self.range.start <= from && count <= self.block && count <= self.range.end.saturating_sub(from);
        assert!(inside, "elements {from}..+{count} of {:?}", self.range);
        let values = match of {
            Arg::Register(register) => &self.registers[register as usize * self.stride..][..count],
            // SAFETY: as for an argument of a step; nothing is written while `self` is borrowed but records.
            Arg::Stored(write) => unsafe {
                read(self.starts, Part { from, len: count, ..self.writes[write as usize] })
            },
            Arg::Slice(_) => unreachable!("the loop does not compute what it reads"),
        };
        (values, self.records)
    }

    /// Runs `work` with elements `from..from + count` of the arguments of a step, and of its target.
    ///
    /// # Panics
    /// If these elements do not belong to this part, `count` is longer than a block, there are too many arguments, or
    /// one of them is the target.
    #[inline(always)]
    pub(super) fn step(
        &mut self,
        from: usize,
        count: usize,
        args: &[Arg],
        target: Target,
        work: impl FnOnce(&[&[T]], &mut [T]),
    ) {
        let inside = self.range.start <= from && count <= self.block && count <= self.range.end.saturating_sub(from);
        assert!(inside, "elements {from}..+{count} of {:?}", self.range);
        let Self { starts, reads, writes, registers, stride, .. } = self;
        let written = |write: u32| {
            let part = writes[write as usize];
            Part { from: part.from + from, len: count, ..part }
        };
        let pieces = Pieces::new(registers);
        let start = |register: u32| pieces.start(register as usize * *stride, count);
        let mut blocks: [&[T]; MAX_POINTWISE] = [&[]; MAX_POINTWISE];
        for number in 0..args.len() {
            blocks[number] = match (args[number], target) {
                (Arg::Register(a), Target::Register(b)) if a == b => unreachable!("a step reads what it writes"),
                (Arg::Stored(a), Target::Slot(b)) if a == b => unreachable!("a step reads what it writes"),
                // SAFETY: within the registers, which are borrowed with `self`; the one that is written is another.
                (Arg::Register(register), _) => unsafe { std::slice::from_raw_parts(start(register), count) },
                // SAFETY: what a loop reads it does not write.
                (Arg::Slice(load), _) => {
                    let whole: &[T] = unsafe { read(starts, reads[load as usize]) };
                    &whole[from..from + count]
                }
                // SAFETY: these elements of what the loop writes are this part's, within the value by the length that
                // `divide` checked, and borrowed with `self`; what the step writes is another value.
                (Arg::Stored(write), _) => unsafe { read(starts, written(write)) },
            };
        }
        let to = match target {
            // SAFETY: as for an argument; no argument is this register.
            Target::Register(register) => unsafe { std::slice::from_raw_parts_mut(start(register), count) },
            // SAFETY: as for an argument; no argument is this value.
            Target::Slot(slot) => unsafe { write(starts, written(slot)) },
        };
        work(&blocks[..args.len()], to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(slots: &[(Storage, usize)], reads: &[(u32, usize, usize)], writes: &[(u32, usize, usize)]) -> Map {
        let slots = slots.iter().map(|&(storage, len)| Slot { storage, len }).collect();
        let parts = |parts: &[(u32, usize, usize)]| {
            parts.iter().map(|&(slot, from, len)| Part { slot, from, len }).collect::<Vec<_>>()
        };
        Map::new(slots, vec![Footprint { reads: parts(reads), writes: parts(writes) }], 32, 16, 2)
    }

    #[test]
    fn a_map_that_is_not_sound_is_refused() {
        use Storage::{Arena, Input, Kept, Output, Param};
        let slots = [(Arena(0), 16), (Arena(16), 16), (Arena(8), 16), (Input(0), 4), (Kept(0), 16), (Output(0), 4)];
        map(&slots, &[(0, 0, 16), (0, 4, 8), (3, 0, 4)], &[(1, 0, 16), (4, 0, 16), (5, 0, 4)]);
        // Halves of one slot are apart, and what has no elements overlaps nothing.
        map(&slots, &[(0, 0, 8), (1, 0, 0)], &[(0, 8, 8), (2, 8, 8), (1, 15, 0)]);
        type Parts = &'static [(u32, usize, usize)];
        let refused: [(Parts, Parts, &str); 9] = [
            (&[(0, 0, 17)], &[], "leaves"),
            (&[(0, usize::MAX - 63, 16)], &[], "leaves"),
            (&[(0, 1, usize::MAX)], &[], "leaves"),
            (&[(3, 4, 1)], &[], "leaves"),
            (&[(0, 0, 16)], &[(0, 15, 1)], "touches"),
            (&[(2, 0, 16)], &[(1, 0, 16)], "touches"),
            (&[], &[(0, 0, 16), (2, 0, 1)], "touches"),
            (&[(0, 0, 16), (0, 0, 1)], &[(2, 0, 1)], "touches"),
            (&[], &[(3, 0, 1)], "not to be written"),
        ];
        let says = |run: Box<dyn FnOnce() -> Map + std::panic::UnwindSafe>, word: &str| {
            let panic = std::panic::catch_unwind(run).expect_err("it is refused");
            let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            assert!(text.contains(word), "{text}");
        };
        for (reads, writes, word) in refused {
            says(Box::new(move || map(&slots, reads, writes)), word);
        }
        for (storage, len) in [(Arena(17), 16), (Arena(usize::MAX), 2), (Kept(1), 16)] {
            says(Box::new(move || map(&[(storage, len)], &[], &[])), "leaves");
        }
        says(Box::new(|| map(&[(Output(0), 1), (Output(0), 1)], &[], &[])), "two slots");
        says(Box::new(|| map(&[(Param(0), 1)], &[], &[(0, 0, 1)])), "not to be written");
    }

    #[test]
    fn memory_that_cannot_be_allocated_is_an_error() {
        let mut memory: Vec<f64> = Vec::new();
        assert_eq!(reserve(&mut memory, usize::MAX, 0.0), Err(usize::MAX));
        assert!(reserve(&mut memory, 1 << 58, 0.0).is_err_and(|bytes| bytes > 1 << 60));
        assert_eq!(reserve(&mut memory, 100, 0.0), Ok(()));
        assert!(aligned(&mut memory).len() >= 100 && aligned(&mut memory).as_ptr().addr().is_multiple_of(LINE));
        assert!(aligned::<f64>(&mut []).is_empty());
    }
}
