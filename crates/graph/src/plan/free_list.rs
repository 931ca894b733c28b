//! Allocation of ranges of an arena, the smallest free range that fits first.

use std::collections::{BTreeMap, BTreeSet};

/// Elements to which the sizes of ranges are rounded up: a cache line of `f32`.
pub(super) const ALIGN: usize = 16;

/// The free ranges of an arena that grows, by offset and by size.
#[derive(Default)]
pub(super) struct FreeList {
    size: usize,
    by_offset: BTreeMap<usize, usize>,
    by_size: BTreeSet<(usize, usize)>,
}

impl FreeList {
    /// The elements of the arena.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The offset of at least `len` elements: of the smallest free range that holds them.
    ///
    /// # Panics
    /// If the arena would have more elements than can be counted; with the sizes that shapes have, thousands of values
    /// would have to be alive that no memory holds.
    pub(super) fn allocate(&mut self, len: usize) -> usize {
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
        self.size = start.checked_add(len).expect("the elements of a plan can be counted");
        start
    }

    /// Frees `len` elements at an offset that was allocated; free neighbours are merged.
    pub(super) fn free(&mut self, mut offset: usize, len: usize) {
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
