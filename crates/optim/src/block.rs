//! A block of elements of one parameter, passed through a chain.

use gradus_graph::Real;
use gradus_graph::kernel::simd::vectorized;
use smallvec::SmallVec;

use crate::element_loops::{ElementLoop, Elements, Target};
use crate::tensor_pass::{BLOCK, LONG_BLOCK};

/// Slices of the state of one parameter, a slot each; more slots than this cost an allocation a block.
pub(crate) type Slots<'a, T> = SmallVec<[&'a mut [T]; 8]>;

/// Memory for the update of one block after another, made where it is first needed: a rule of one transform mostly needs
/// none, and 4,096 zeros would take a tenth of the time of a small tensor.
pub(crate) struct Buffer<T> {
    short: Option<[T; BLOCK]>,
    long: Option<[T; LONG_BLOCK]>,
}

impl<T: Real> Buffer<T> {
    pub(crate) const fn new() -> Self {
        Self { short: None, long: None }
    }

    /// The first `len` elements, at most [`LONG_BLOCK`]; what was written is there in the next call of the same length.
    pub(crate) fn first(&mut self, len: usize) -> &mut [T] {
        match len {
            ..=BLOCK => &mut self.short.get_or_insert_with(|| [T::zero(); BLOCK])[..len],
            _ => &mut self.long.get_or_insert_with(|| [T::zero(); LONG_BLOCK])[..len],
        }
    }
}

/// A block of a parameter: its value, the update so far, and the state of the transform that runs.
///
/// A transform changes the update with [`each`](Block::each), once and at its end, or else by writing to
/// [`update`](Block::update).
pub struct Block<'a, T> {
    parameter: &'a mut [T],
    /// The index of the first element in its tensor.
    start: usize,
    /// The gradient, until a transform changes the update: from then on it is in `update`.
    untouched: Option<&'a [T]>,
    update: &'a mut Buffer<T>,
    /// The state of all transforms of the chain.
    slots: Slots<'a, T>,
    first_slot: usize,
    /// The number of transforms that are still to begin.
    transforms_left: usize,
    /// The factor of the update where it is subtracted from the parameter, if it is after the last transform.
    scale: Option<T>,
    /// Whether the running transform has called `each`.
    ended: bool,
}

impl<'a, T: Real> Block<'a, T> {
    /// The block with an update that stands in `gradient`, or else in `update`. Goes through `transforms` transforms,
    /// and is then, with a `scale`, subtracted from the parameter.
    pub(crate) fn new(
        parameter: &'a mut [T],
        start: usize,
        gradient: Option<&'a [T]>,
        update: &'a mut Buffer<T>,
        slots: Slots<'a, T>,
        transforms: usize,
        scale: Option<T>,
    ) -> Self {
        let (untouched, first_slot, transforms_left, ended) = (gradient, 0, transforms, false);
        Self { parameter, start, untouched, update, slots, first_slot, transforms_left, scale, ended }
    }

    /// Begins the next transform, whose state begins at that slot.
    pub(crate) fn enter(&mut self, slot: usize) {
        (self.first_slot, self.transforms_left, self.ended) = (slot, self.transforms_left - 1, false);
    }

    /// The parameter, and the update as it stands.
    pub(crate) fn current(&mut self) -> (&[T], &[T]) {
        let update = match self.untouched {
            Some(gradient) => gradient,
            None => self.update.first(self.parameter.len()),
        };
        (self.parameter, update)
    }

    /// Subtracts the update from the parameter, unless the last transform has.
    pub(crate) fn descend(&mut self) {
        if let Some(scale) = self.scale.take() {
            let source = match self.untouched {
                Some(gradient) => gradient,
                None => self.update.first(self.parameter.len()),
            };
            let target = Target::Parameter { parameter: self.parameter, scale };
            vectorized(ElementLoop { source, target, slots: &mut [], element: |_, update, _: &mut [T; 0]| update });
        }
    }

    /// The value of the parameter before the step.
    pub fn parameter(&self) -> &[T] {
        self.parameter
    }

    /// The index of the block's first element in its tensor, in row-major order.
    pub fn start(&self) -> usize {
        self.start
    }

    /// The update so far, to write to.
    ///
    /// # Panics
    /// If the transform has called [`each`](Block::each).
    pub fn update(&mut self) -> &mut [T] {
        self.state::<0>().1
    }

    /// The parameter, the update so far and the first `N` tensors of the transform's state.
    ///
    /// # Panics
    /// If the transform named fewer than `N` tensors, or has called [`each`](Block::each).
    pub fn state<const N: usize>(&mut self) -> (&[T], &mut [T], [&mut [T]; N]) {
        assert!(!self.ended, "{ENDED}");
        let update = self.update.first(self.parameter.len());
        if let Some(gradient) = self.untouched.take() {
            update.copy_from_slice(gradient);
        }
        let slots = self.slots[self.first_slot..].first_chunk_mut::<N>().expect(TOO_MANY);
        (self.parameter, update, slots.each_mut().map(|slot| &mut **slot))
    }

    /// Replaces each element of the update by `element(parameter, update, state)`, in vector code; ends the transform's
    /// work on the block. The state is one number from each of the first `N` tensors that the transform named, to read
    /// and write; `N` is at most four. After the last transform of a chain the same loop subtracts the update from the
    /// parameter.
    ///
    /// # Panics
    /// If the transform named fewer than `N` tensors, or has called `each` before.
    pub fn each<const N: usize>(&mut self, element: impl Fn(T, T, &mut [T; N]) -> T)
    where
        [T; N]: Elements<T>,
    {
        assert!(!std::mem::replace(&mut self.ended, true), "{ENDED}");
        let slots = self.slots[self.first_slot..].first_chunk_mut::<N>().expect(TOO_MANY);
        let scale = if self.transforms_left == 0 { self.scale.take() } else { None };
        let parameter = &mut *self.parameter;
        let len = parameter.len();
        match (self.untouched.take(), scale) {
            (gradient, Some(scale)) => {
                let target = Target::Parameter { parameter, scale };
                let source = match gradient {
                    Some(gradient) => gradient,
                    None => self.update.first(len),
                };
                vectorized(ElementLoop { source, target, slots, element });
            }
            (Some(source), None) => {
                let target = Target::Update { parameter, update: self.update.first(len) };
                vectorized(ElementLoop { source, target, slots, element });
            }
            (None, None) => {
                let target = Target::InPlace { parameter, update: self.update.first(len) };
                vectorized(ElementLoop { source: &[], target, slots, element });
            }
        }
    }
}

const TOO_MANY: &str = "a transform reads no more tensors of state than it names";
const ENDED: &str = "`each` ends a transform's work on a block: a transform calls it once, and last";
