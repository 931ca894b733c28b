//! The division of the work over threads, and the workspace of each.

use std::ops::Range;

use super::geometry::{Blocks, Geometry, LANES};
use crate::kernel::parallel::{Pieces, in_parts};
use crate::real::Real;

/// Multiplications per thread.
const PER_THREAD: usize = 1 << 19;

/// The number of threads with workspace: those of the pool, but no more than there is work for.
pub(super) fn workers(multiplications: usize, parts: usize) -> usize {
    rayon::current_num_threads().min(multiplications / PER_THREAD).min(parts).max(1)
}

/// Divides `tasks` over the threads that `workspace` has room for; each call gets a range of them and its own scratch.
pub(super) fn divided<T: Real>(
    tasks: usize,
    multiplications: usize,
    room: usize,
    workspace: &mut [T],
    work: impl Fn(Range<usize>, &mut [T]) + Sync,
) {
    if tasks == 0 {
        return;
    }
    let threads = workers(multiplications, tasks).min(workspace.len().checked_div(room).unwrap_or(usize::MAX)).max(1);
    let grain = tasks / (multiplications / PER_THREAD).clamp(1, tasks);
    let scratch = Pieces::new(workspace);
    in_parts(tasks, grain, 1, threads, &|worker, range| {
        // SAFETY: workers that run at the same time differ, and are below `threads`, for which there is room.
        work(range, unsafe { scratch.piece(worker * room, room) });
    });
}

/// Elements of scratch that a thread needs for products of blocks: each size is that of a whole block or that of the
/// last one, and the smaller product may need more.
pub(super) fn thread_workspace<T: Real>(blocks: Blocks, [m, k, n]: [[usize; 2]; 3]) -> usize {
    let mut most = 0;
    for m in m {
        for k in k {
            most = n.iter().fold(most, |most, &n| most.max(T::workspace(m, k, n)));
        }
    }
    (blocks.scratch + blocks.packed + most).next_multiple_of(LANES)
}

/// The columns of a block and those of the last one.
pub(super) fn widths(geometry: &Geometry, blocks: Blocks) -> [usize; 2] {
    match blocks.images {
        1 => whole_and_last(geometry.area(), blocks.columns),
        several => whole_and_last(geometry.images * geometry.area(), several * geometry.area()),
    }
}

/// The size of a block and that of the last one, where `whole` is divided into blocks of `part`.
pub(super) fn whole_and_last(whole: usize, part: usize) -> [usize; 2] {
    let part = part.min(whole);
    [part, whole.checked_rem(part).unwrap_or(0)]
}
