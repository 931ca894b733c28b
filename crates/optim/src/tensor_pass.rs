//! The walk over one tensor, or a part of it: blocks in chunks.
//!
//! What a transform measures is summed chunk by chunk, and the sums are added in the order of the cuts (`division`).

use std::ops::Range;

use gradus_graph::Real;
use smallvec::SmallVec;

use crate::block::{Block, Buffer, Slots};
use crate::division::{Cut, Divide, in_order};
use crate::reductions;
use crate::transform::{AnyTransform, Change, StepInfo, Sums};

/// The number of elements in a block of a chain of several transforms: their update stays in the nearest cache beside
/// the rest, and the loops of two transforms overlap in the processor's window. Blocks of 1,024 made Adam with a loop
/// of its own for the parameter a fifth slower.
pub(crate) const BLOCK: usize = 256;

/// The number of elements in a block of a single transform, which leaves no update behind.
pub(crate) const LONG_BLOCK: usize = 4096;

/// The number of elements that make a sum of their own, and that are work for several microseconds.
pub(crate) const CHUNK: usize = 4 * LONG_BLOCK;

/// The number of elements that are looked at in one piece before the first write, and of a part in a list.
pub(crate) const PIECE: usize = 4 * CHUNK;

/// How many threads that many elements have enough work for.
pub(crate) fn shares(len: usize) -> usize {
    len / CHUNK
}

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

impl<T: Real> Divide for Work<'_, T> {
    fn len(&self) -> usize {
        self.parameter.len()
    }

    fn cut(self) -> Cut<Self> {
        match self.parameter.len() {
            len if len <= CHUNK => Cut::Break(self),
            len => Cut::Continue(self.split(half(len, CHUNK))),
        }
    }
}

impl<T: Real> Work<'_, T> {
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
        match self.measure {
            Some(_) => in_order(work, &|chunk| self.run_chunk(chunk, &mut Buffer::new()), join),
            None => self.run_chunk(work, &mut Buffer::new()),
        }
    }

    /// The pass on one chunk; the update of a block is in `buffer` in between.
    pub(crate) fn run_chunk(&self, mut work: Work<'_, T>, buffer: &mut Buffer<T>) -> Sums {
        let mut sums = Sums::default();
        let len = work.parameter.len();
        let block_len = if self.transforms > 1 || self.measure.is_some() { BLOCK } else { LONG_BLOCK };
        let lead = if self.measure.is_none() { before_line(work.parameter) } else { 0 };
        let mut end = 0;
        while end < len {
            let start = end;
            end = if start < lead { lead } else { len.min(start + block_len) };
            let range = start..end;
            let gradient = match self.from {
                UpdateStorage::Direct => Some(&work.gradient[range.clone()]),
                UpdateStorage::Buffered => {
                    buffer.first(range.len()).copy_from_slice(&work.pending[range.clone()]);
                    None
                }
            };
            let mut slots = Slots::new();
            for slot in &mut work.slots {
                slots.push(&mut slot[range.clone()]);
            }
            let parameter = &mut work.parameter[range.clone()];
            let scale = (self.to == UpdateStorage::Direct).then_some(self.scale);
            let mut block = Block::new(parameter, work.start + start, gradient, buffer, slots, self.transforms, scale);
            (self.change)(&mut block);
            if let Some(Measure { transform, step }) = &self.measure {
                let views = view(&work.views, &range);
                let (parameter, update) = block.current();
                sums = join(sums, transform.measure(step, parameter, update, &views));
            }
            match self.to {
                UpdateStorage::Direct => block.descend(),
                UpdateStorage::Buffered => work.pending[range].copy_from_slice(block.current().1),
            }
        }
        sums
    }
}

/// The number of elements before the first that begins a cache line, of a parameter of several blocks. The memory of a
/// large tensor mostly begins 16 bytes after a page: then all that a pass reads or writes would be in two lines each.
fn before_line<T>(parameter: &[T]) -> usize {
    const LINE: usize = 64;
    let lead = parameter.as_ptr().align_offset(LINE);
    if parameter.len() > LONG_BLOCK && lead < LINE { lead } else { 0 }
}

/// A gradient to look at before the first write, with its parameter and the state of the transform that measures.
pub(crate) struct Look<'a, T> {
    pub(crate) gradient: &'a [T],
    pub(crate) parameter: &'a [T],
    pub(crate) views: StateViews<'a, T>,
}

impl<T: Real> Divide for Look<'_, T> {
    fn len(&self) -> usize {
        self.gradient.len()
    }

    fn cut(self) -> Cut<Self> {
        if self.gradient.len() <= PIECE {
            return Cut::Break(self);
        }
        let at = half(self.gradient.len(), PIECE);
        let (gradient, gradient_rest) = self.gradient.split_at(at);
        let (parameter, parameter_rest) = self.parameter.split_at(at);
        let (views, views_rest) = self.views.into_iter().map(|slot| slot.split_at(at)).unzip();
        Cut::Continue((
            Self { gradient, parameter, views },
            Self { gradient: gradient_rest, parameter: parameter_rest, views: views_rest },
        ))
    }
}

impl<T: Real> Look<'_, T> {
    /// Whether the gradient is finite, and what the transform sums over it.
    pub(crate) fn run(self, measure: Option<Measure<'_, T>>) -> (bool, Sums) {
        let Some(Measure { transform, step }) = measure else {
            return (reductions::all_finite(self.gradient), Sums::default());
        };
        let look = |piece: Self| {
            let mut found = (true, Sums::default());
            for start in (0..piece.gradient.len()).step_by(LONG_BLOCK) {
                let range = start..piece.gradient.len().min(start + LONG_BLOCK);
                let (gradient, parameter) = (&piece.gradient[range.clone()], &piece.parameter[range.clone()]);
                found.1 = join(found.1, transform.measure(&step, parameter, gradient, &view(&piece.views, &range)));
                found.0 &= reductions::all_finite(gradient);
            }
            found
        };
        in_order(self, &look, |left, right| (left.0 && right.0, join(left.1, right.1)))
    }
}

/// Where the tensor is divided: half of the chunks, rounded up.
pub(crate) fn half(len: usize, chunk: usize) -> usize {
    (len / 2).next_multiple_of(chunk)
}
