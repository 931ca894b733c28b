//! The walk over one tensor: blocks in chunks, chunks over threads.
//!
//! A tensor is cut into chunks at places that depend on its length alone, and sums over chunks are added in the order
//! of the cuts: so the result is the same, to the bit, with any number of threads.

use gradus_graph::Real;

use crate::block::{Block, Slots};
use crate::link::{AnyLink, Change};
use crate::survey;

/// The number of elements in a block of a chain of several links: their update stays in the nearest cache beside the
/// rest, and the loops of two links overlap in the processor's window. Blocks of 1,024 made Adam with a loop of its own
/// for the parameter a fifth slower.
const BLOCK: usize = 256;

/// The number of elements in a block of a single link, which leaves no update behind.
const LONG_BLOCK: usize = 4096;

/// The number of elements that are worth a task of their own: several microseconds of work.
const CHUNK: usize = 4 * LONG_BLOCK;

/// The number of elements that are looked at in one piece before the first write: reading is fastest in long streams.
const PIECE: usize = 4 * CHUNK;

/// Whether a tensor of that many elements is spread over threads.
pub(crate) fn is_large(len: usize) -> bool {
    len > CHUNK
}

/// Adds the sums of two parts.
pub(crate) fn add(a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
    [a[0] + b[0], a[1] + b[1]]
}

/// Where an update comes from or goes to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It comes from the gradient, or goes off the parameter.
    Outside,
    /// It waits in memory between two passes.
    Waiting,
}

/// One pass over one tensor.
pub(crate) struct Pass<'a, T> {
    pub(crate) change: Change<'a, T>,
    /// The number of links that it consists of.
    pub(crate) links: usize,
    pub(crate) from: Place,
    pub(crate) to: Place,
    /// The factor of the update when it goes off the parameter.
    pub(crate) scale: T,
    /// The link that needs sums over the update at the end of this pass.
    pub(crate) measure: Option<&'a dyn AnyLink<T>>,
    pub(crate) threads: bool,
}

/// The slices that a pass works on, all of one length; `waiting` may be empty if no pass uses it.
pub(crate) struct Work<'a, T> {
    pub(crate) parameter: &'a mut [T],
    pub(crate) gradient: &'a [T],
    pub(crate) waiting: &'a mut [T],
    pub(crate) slots: Slots<'a, T>,
}

impl<'a, T: Real> Work<'a, T> {
    fn split(self, at: usize) -> (Self, Self) {
        let (parameter, parameter_rest) = self.parameter.split_at_mut(at);
        let (gradient, gradient_rest) = self.gradient.split_at(at);
        let (waiting, waiting_rest) = self.waiting.split_at_mut(at.min(self.waiting.len()));
        let (slots, slots_rest) = self.slots.into_iter().map(|slot| slot.split_at_mut(at)).unzip();
        (
            Self { parameter, gradient, waiting, slots },
            Self { parameter: parameter_rest, gradient: gradient_rest, waiting: waiting_rest, slots: slots_rest },
        )
    }
}

impl<T: Real> Pass<'_, T> {
    /// Makes the pass and gives the sums of the measuring link.
    pub(crate) fn run(&self, work: Work<'_, T>) -> [f64; 2] {
        let len = work.parameter.len();
        if len <= CHUNK {
            return self.run_chunk(work);
        }
        let (left, right) = work.split(half(len, CHUNK));
        let (left, right) = fork(self.threads, || self.run(left), || self.run(right));
        add(left, right)
    }

    fn run_chunk(&self, mut work: Work<'_, T>) -> [f64; 2] {
        let mut buffer = [T::zero(); LONG_BLOCK];
        let mut sums = [0.0; 2];
        let len = work.parameter.len();
        let block_len = if self.links > 1 || self.measure.is_some() { BLOCK } else { LONG_BLOCK };
        for start in (0..len).step_by(block_len) {
            let range = start..len.min(start + block_len);
            let update = &mut buffer[..range.len()];
            let gradient = match self.from {
                Place::Outside => Some(&work.gradient[range.clone()]),
                Place::Waiting => {
                    update.copy_from_slice(&work.waiting[range.clone()]);
                    None
                }
            };
            let mut slots = Slots::new();
            for slot in &mut work.slots {
                slots.push(&mut slot[range.clone()]);
            }
            let parameter = &mut work.parameter[range.clone()];
            let scale = (self.to == Place::Outside).then_some(self.scale);
            let mut block = Block::new(parameter, gradient, update, slots, self.links, scale);
            (self.change)(&mut block);
            if let Some(link) = self.measure {
                sums = add(sums, link.measure(block.parameter(), block.current()));
            }
            match self.to {
                Place::Outside => block.descend(),
                Place::Waiting => work.waiting[range].copy_from_slice(block.current()),
            }
        }
        sums
    }
}

/// Whether a gradient is finite, and what the link sums over it.
pub(crate) fn look_at<T: Real>(
    gradient: &[T],
    parameter: &[T],
    link: Option<&dyn AnyLink<T>>,
    threads: bool,
) -> (bool, [f64; 2]) {
    let len = gradient.len();
    if len > PIECE {
        let ((a, b), (c, d)) = (gradient.split_at(half(len, PIECE)), parameter.split_at(half(len, PIECE)));
        let (left, right) = fork(threads, || look_at(a, c, link, threads), || look_at(b, d, link, threads));
        return (left.0 && right.0, add(left.1, right.1));
    }
    let Some(link) = link else { return (survey::all_finite(gradient), [0.0; 2]) };
    let mut found = (true, [0.0; 2]);
    for (gradient, parameter) in gradient.chunks(LONG_BLOCK).zip(parameter.chunks(LONG_BLOCK)) {
        found.1 = add(found.1, link.measure(parameter, gradient));
        found.0 &= survey::all_finite(gradient);
    }
    found
}

/// The place of the cut: half of the chunks, rounded up.
fn half(len: usize, chunk: usize) -> usize {
    (len / 2).next_multiple_of(chunk)
}

/// Runs both, side by side if asked.
fn fork<A: Send, B: Send>(threads: bool, left: impl FnOnce() -> A + Send, right: impl FnOnce() -> B + Send) -> (A, B) {
    if threads { rayon::join(left, right) } else { (left(), right()) }
}
