//! The memory of a session, seen through its slots.
//!
//! This is the one place where a plan turns slots into slices. Slices of several slots are alive at once, some of them
//! to be written, although they lie in one arena; the borrow checker cannot see that they do not overlap, the
//! assignment of memory guarantees it.

#![allow(unsafe_code)]

use super::unit::{Place, Slot, SlotId};

/// The first element of a slot.
#[derive(Clone, Copy)]
struct Start<T>(*mut T);

// SAFETY: a `Start` is only followed through `Memory`, whose `read` and `write` state who may do so when.
unsafe impl<T: Send> Send for Start<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Start<T> {}

/// Bytes of a cache line: vectors that start at one do not straddle two.
const LINE: usize = 64;

/// So many elements, and enough more that they can start at a cache line.
pub(super) fn padded<T: Clone>(count: usize, zero: T) -> Vec<T> {
    vec![zero; count + LINE / size_of::<T>()]
}

/// The elements from the first that starts at a cache line.
pub(super) fn aligned<T>(elements: &mut [T]) -> &mut [T] {
    let skip = elements.as_ptr().align_offset(LINE);
    &mut elements[skip..]
}

/// The slots of one kind of value: reals or indices.
pub(super) struct Memory<T> {
    slots: Vec<Slot>,
    starts: Vec<Start<T>>,
    /// Owned here so that the starts stay valid; reached only through them.
    _arena: Vec<T>,
    _kept: Vec<T>,
}

impl<T: Copy> Memory<T> {
    pub(super) fn new(slots: Vec<Slot>, arena: usize, kept: usize, zero: T) -> Self {
        let (mut arena, mut kept) = (padded(arena, zero), padded(kept, zero));
        let (in_arena, in_kept) = (aligned(&mut arena).as_mut_ptr(), aligned(&mut kept).as_mut_ptr());
        let start = |slot: &Slot| match slot.place {
            // SAFETY: the assignment of memory sized both so that every slot lies within their aligned parts, and a `Vec`
            // keeps its buffer when it is moved.
            Place::Arena(offset) => unsafe { in_arena.add(offset) },
            // SAFETY: as above.
            Place::Kept(offset) => unsafe { in_kept.add(offset) },
            Place::Input(_) | Place::Param(_) | Place::Output(_) => std::ptr::null_mut(),
        };
        let starts = slots.iter().map(|slot| Start(start(slot))).collect();
        Self { slots, starts, _arena: arena, _kept: kept }
    }

    /// Places the slots that lie outside the session, for one run. `read` gives the elements of an input or parameter,
    /// `write` those of an output.
    pub(super) fn bind<'a, E>(
        &mut self,
        mut read: impl FnMut(Place) -> Result<&'a [T], E>,
        mut write: impl FnMut(u32) -> &'a mut [T],
    ) -> Result<(), E>
    where
        T: 'a,
    {
        for (slot, start) in self.slots.iter().zip(&mut self.starts) {
            match slot.place {
                Place::Arena(_) | Place::Kept(_) => {}
                Place::Input(_) | Place::Param(_) => {
                    let elements = read(slot.place)?;
                    assert!(elements.len() == slot.len, "a bound tensor has the declared shape");
                    *start = Start(elements.as_ptr().cast_mut());
                }
                Place::Output(output) => {
                    let elements = write(output);
                    assert!(elements.len() == slot.len, "an output tensor has the declared shape");
                    *start = Start(elements.as_mut_ptr());
                }
            }
        }
        Ok(())
    }

    pub(super) fn len(&self, slot: SlotId) -> usize {
        self.slots[slot as usize].len
    }

    /// Elements `from..from + count` of a slot.
    ///
    /// # Safety
    /// The slot is bound, what it is bound to is alive, and no slice that [`Memory::write`] gave over these elements is.
    pub(super) unsafe fn read(&self, slot: SlotId, from: usize, count: usize) -> &[T] {
        // A view without elements may begin anywhere, also beyond a value that has none.
        if count == 0 {
            return &[];
        }
        assert!(from + count <= self.len(slot));
        let Start(start) = self.starts[slot as usize];
        // SAFETY: within the slot by the assertion; alive and unwritten by the caller's promise.
        unsafe { std::slice::from_raw_parts(start.add(from), count) }
    }

    /// Elements `from..from + count` of a slot that a unit produces, to write to.
    ///
    /// # Safety
    /// The slot is bound, is no input or parameter, what it is bound to is alive, and no other slice over these
    /// elements is.
    #[allow(clippy::mut_from_ref)]
    pub(super) unsafe fn write(&self, slot: SlotId, from: usize, count: usize) -> &mut [T] {
        if count == 0 {
            return &mut [];
        }
        assert!(from + count <= self.len(slot));
        let Start(start) = self.starts[slot as usize];
        // SAFETY: within the slot by the assertion; alive and not aliased by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(start.add(from), count) }
    }
}
