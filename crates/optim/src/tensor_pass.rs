//! The walk over one tensor: blocks in chunks, chunks over threads.
//!
//! A tensor is divided into chunks in a way that depends on its length alone, and sums over chunks are added in the
//! order of the cuts: so the result is the same, to the bit, with any number of threads.

use std::ops::{ControlFlow, Range};
use std::sync::{Mutex, PoisonError};

use gradus_graph::Real;
use gradus_graph::kernel::parallel::in_parts;

use smallvec::SmallVec;

use crate::block::{Block, Slots};
use crate::reductions;
use crate::transform::{AnyTransform, Change, StepInfo, Sums};

/// The number of elements in a block of a chain of several transforms: their update stays in the nearest cache beside
/// the rest, and the loops of two transforms overlap in the processor's window. Blocks of 1,024 made Adam with a loop
/// of its own for the parameter a fifth slower.
const BLOCK: usize = 256;

/// The number of elements in a block of a single transform, which leaves no update behind.
pub(crate) const LONG_BLOCK: usize = 4096;

/// The number of elements of a block of a single transform on a tensor that has no more.
const MEDIUM: usize = 1024;

/// The number of elements of a task: several microseconds of work.
const CHUNK: usize = 4 * LONG_BLOCK;

/// The number of elements that are looked at in one piece before the first write: reading is fastest in long streams.
pub(crate) const PIECE: usize = 4 * CHUNK;

/// How many threads a tensor of that many elements has enough work for.
pub(crate) fn shares(len: usize) -> usize {
    len / CHUNK
}

/// How often a tensor is cut for the division over threads, at most: into 32 parts.
const CUTS: u32 = 5;

/// A transform that measures, at a step.
pub(crate) struct Measure<'a, T> {
    pub(crate) transform: &'a dyn AnyTransform<T>,
    pub(crate) step: StepInfo,
}

/// The sums over both parts.
pub(crate) fn join(a: Sums, b: Sums) -> Sums {
    std::array::from_fn(|i| a[i].join(b[i]))
}

impl<T> Clone for Measure<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Measure<'_, T> {}

/// The state of the transform that measures, to read.
pub(crate) type StateViews<'a, T> = SmallVec<[&'a [T]; 4]>;

/// The elements of that range in each slice.
fn view<'a, T>(views: &[&'a [T]], range: &Range<usize>) -> StateViews<'a, T> {
    views.iter().map(|slot| &slot[range.clone()]).collect()
}

/// Where an update comes from or goes to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum UpdateStorage {
    /// It comes from the gradient, or is subtracted from the parameter.
    Direct,
    /// It waits in memory between two passes.
    Buffered,
}

/// One pass over one tensor.
pub(crate) struct Pass<'a, T> {
    pub(crate) change: Change<'a, T>,
    /// The number of transforms that it consists of.
    pub(crate) transforms: usize,
    pub(crate) from: UpdateStorage,
    pub(crate) to: UpdateStorage,
    /// The factor of the update where it is subtracted from the parameter.
    pub(crate) scale: T,
    /// The transform that needs sums over the update at the end of this pass.
    pub(crate) measure: Option<Measure<'a, T>>,
}

/// The slices that a pass works on, all of one length; `pending` may be empty if no pass uses it.
pub(crate) struct Work<'a, T> {
    pub(crate) parameter: &'a mut [T],
    /// The index of the first element in its tensor.
    pub(crate) start: usize,
    pub(crate) gradient: &'a [T],
    pub(crate) pending: &'a mut [T],
    pub(crate) slots: Slots<'a, T>,
    pub(crate) views: StateViews<'a, T>,
}

impl<'a, T: Real> Work<'a, T> {
    /// Its two parts, unless it is a chunk.
    fn cut(self) -> Cut<Self> {
        match self.parameter.len() {
            len if len <= CHUNK => Cut::Break(self),
            len => Cut::Continue(self.split(half(len, CHUNK))),
        }
    }

    fn split(self, at: usize) -> (Self, Self) {
        let (parameter, parameter_rest) = self.parameter.split_at_mut(at);
        let (gradient, gradient_rest) = self.gradient.split_at(at);
        let (pending, pending_rest) = self.pending.split_at_mut(at.min(self.pending.len()));
        let (slots, slots_rest) = self.slots.into_iter().map(|slot| slot.split_at_mut(at)).unzip();
        let (views, views_rest) = self.views.into_iter().map(|slot| slot.split_at(at)).unzip();
        (
            Self { parameter, start: self.start, gradient, pending, slots, views },
            Self {
                parameter: parameter_rest,
                start: self.start + at,
                gradient: gradient_rest,
                pending: pending_rest,
                slots: slots_rest,
                views: views_rest,
            },
        )
    }
}

impl<T: Real> Pass<'_, T> {
    /// Makes the pass and gives the sums of the measuring transform.
    pub(crate) fn run(&self, work: Work<'_, T>) -> Sums {
        // A small tensor is not divided, nor needs it a long buffer.
        match work.parameter.len() {
            len if len <= BLOCK => self.run_chunk(work, &mut [T::zero(); BLOCK]),
            len if len <= MEDIUM => self.run_chunk(work, &mut [T::zero(); MEDIUM]),
            len if len <= CHUNK => self.run_chunk(work, &mut [T::zero(); LONG_BLOCK]),
            _ => over_parts(work, &Work::cut, &|chunk| self.run_chunk(chunk, &mut [T::zero(); LONG_BLOCK]), join),
        }
    }

    /// The pass on one chunk; the update of a block is in `buffer` in between, which holds the longest of them.
    pub(crate) fn run_chunk(&self, mut work: Work<'_, T>, buffer: &mut [T]) -> Sums {
        let mut sums = Sums::default();
        let len = work.parameter.len();
        let block_len = if self.transforms > 1 || self.measure.is_some() { BLOCK } else { LONG_BLOCK };
        for start in (0..len).step_by(block_len) {
            let range = start..len.min(start + block_len);
            let update = &mut buffer[..range.len()];
            let gradient = match self.from {
                UpdateStorage::Direct => Some(&work.gradient[range.clone()]),
                UpdateStorage::Buffered => {
                    update.copy_from_slice(&work.pending[range.clone()]);
                    None
                }
            };
            let mut slots = Slots::new();
            for slot in &mut work.slots {
                slots.push(&mut slot[range.clone()]);
            }
            let parameter = &mut work.parameter[range.clone()];
            let scale = (self.to == UpdateStorage::Direct).then_some(self.scale);
            let mut block = Block::new(parameter, work.start + start, gradient, update, slots, self.transforms, scale);
            (self.change)(&mut block);
            if let Some(Measure { transform, step }) = &self.measure {
                let views = view(&work.views, &range);
                sums = join(sums, transform.measure(step, block.parameter(), block.current(), &views));
            }
            match self.to {
                UpdateStorage::Direct => block.descend(),
                UpdateStorage::Buffered => work.pending[range].copy_from_slice(block.current()),
            }
        }
        sums
    }
}

/// Whether a gradient is finite, and what the transform sums over it.
pub(crate) fn survey_gradient<T: Real>(
    gradient: &[T],
    parameter: &[T],
    views: &[&[T]],
    measure: Option<Measure<'_, T>>,
) -> (bool, Sums) {
    let cut = |range: Range<usize>| match range.len() {
        len if len <= PIECE => Cut::Break(range),
        len => {
            let middle = range.start + half(len, PIECE);
            Cut::Continue((range.start..middle, middle..range.end))
        }
    };
    let look = |piece: Range<usize>| {
        let Some(Measure { transform, step }) = measure else {
            return (reductions::all_finite(&gradient[piece]), Sums::default());
        };
        let mut found = (true, Sums::default());
        for start in piece.clone().step_by(LONG_BLOCK) {
            let range = start..piece.end.min(start + LONG_BLOCK);
            let (gradient, parameter) = (&gradient[range.clone()], &parameter[range.clone()]);
            found.1 = join(found.1, transform.measure(&step, parameter, gradient, &view(views, &range)));
            found.0 &= reductions::all_finite(gradient);
        }
        found
    };
    over_parts(0..gradient.len(), &cut, &look, |left, right| (left.0 && right.0, join(left.1, right.1)))
}

/// Where the tensor is divided: half of the chunks, rounded up.
pub(crate) fn half(len: usize, chunk: usize) -> usize {
    (len / 2).next_multiple_of(chunk)
}

/// What is not cut, or the two parts of what is.
pub(crate) type Cut<W> = ControlFlow<W, (W, W)>;

/// Runs `run` on the chunks that `cut` leaves of the whole, which gives the two parts of what it cuts, and joins the
/// results in the order of the cuts. The first cuts divide the work over threads.
pub(crate) fn over_parts<W: Send, R: Send>(
    whole: W,
    cut: &(impl Fn(W) -> Cut<W> + Sync),
    run: &(impl Fn(W) -> R + Sync),
    join: impl Fn(R, R) -> R + Sync + Copy,
) -> R {
    /// A part before and after its run, and how often it was cut out of the whole.
    struct Part<W, R> {
        depth: u32,
        state: Mutex<(Option<W>, Option<R>)>,
    }

    type Parts<W, R> = SmallVec<[Part<W, R>; 1 << CUTS]>;

    fn divide<W, R>(whole: W, depth: u32, cut: &impl Fn(W) -> Cut<W>, parts: &mut Parts<W, R>) {
        let rest = if depth < CUTS { cut(whole) } else { Cut::Break(whole) };
        match rest {
            Cut::Continue((left, right)) => {
                divide(left, depth + 1, cut, parts);
                divide(right, depth + 1, cut, parts);
            }
            Cut::Break(part) => parts.push(Part { depth, state: Mutex::new((Some(part), None)) }),
        }
    }

    fn all<W, R>(whole: W, cut: &impl Fn(W) -> Cut<W>, run: &impl Fn(W) -> R, join: impl Fn(R, R) -> R + Copy) -> R {
        match cut(whole) {
            Cut::Continue((left, right)) => {
                let left = all(left, cut, run, join);
                join(left, all(right, cut, run, join))
            }
            Cut::Break(chunk) => run(chunk),
        }
    }

    let (left, right) = match cut(whole) {
        Cut::Continue(both) => both,
        Cut::Break(chunk) => return run(chunk),
    };
    let mut parts: Parts<W, R> = SmallVec::new();
    divide(left, 1, cut, &mut parts);
    divide(right, 1, cut, &mut parts);
    in_parts(parts.len(), 1, 1, rayon::current_num_threads(), &|_, range| {
        for part in &parts[range] {
            let mut state = part.state.lock().unwrap_or_else(PoisonError::into_inner);
            let part = state.0.take().expect(ONCE);
            state.1 = Some(all(part, cut, run, join));
        }
    });
    // Two neighbours of one depth are the halves of one part.
    let mut results: SmallVec<[(u32, R); 1 << CUTS]> = SmallVec::new();
    for part in parts {
        let (_, result) = part.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (mut depth, mut result) = (part.depth, result.expect(ONCE));
        while results.last().is_some_and(|(before, _)| *before == depth) {
            let (_, left) = results.pop().expect("it is there");
            (depth, result) = (depth - 1, join(left, result));
        }
        results.push((depth, result));
    }
    results.pop().expect("there is a part").1
}

const ONCE: &str = "each part is run once";
