//! Dividing work over threads, without allocating, and so that the division does not show in the results.

use std::ops::Range;

/// Runs `work(part, range)` over disjoint ranges that cover `0..len`, on at most `threads` threads of the present rayon
/// pool. No range but the last is shorter than `grain` elements, and all start at multiples of `align`; part numbers
/// differ and are below `threads`. Small work runs inline.
pub fn in_parts(len: usize, grain: usize, align: usize, threads: usize, work: &(impl Fn(usize, Range<usize>) + Sync)) {
    let parts = (len / grain).clamp(1, threads);
    if parts == 1 {
        return work(0, 0..len);
    }
    let size = len.div_ceil(parts).next_multiple_of(align);
    divide(0, parts, &|part| {
        let range = (part * size).min(len)..((part + 1) * size).min(len);
        if !range.is_empty() {
            work(part, range);
        }
    });
}

fn divide(from: usize, to: usize, work: &(impl Fn(usize) + Sync)) {
    if to - from == 1 {
        return work(from);
    }
    let middle = from + (to - from) / 2;
    rayon::join(|| divide(from, middle, work), || divide(middle, to, work));
}
