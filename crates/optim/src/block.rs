//! A few hundred elements of one parameter on their way through a chain.

use gradus_graph::Real;
use gradus_graph::kernel::simd::{Loop, vectorized};
use smallvec::SmallVec;

/// The number of elements in a block: the block's update, parameter and state together fit the nearest cache, and the
/// phases of two blocks overlap in the processor's window. Blocks of 1,024 made Adam a fifth slower.
pub(crate) const BLOCK: usize = 256;

/// Slices of the state of one parameter, a slot each; more slots than this cost an allocation a block.
pub(crate) type Slots<'a, T> = SmallVec<[&'a mut [T]; 8]>;

/// A block of a parameter: its value, the update so far, and the state of the link that runs.
pub struct Block<'a, T> {
    parameter: &'a [T],
    /// The gradient, until a link changes the update: from then on it is in `update`.
    untouched: Option<&'a [T]>,
    update: &'a mut [T],
    /// The state of all links of the chain.
    slots: Slots<'a, T>,
    first_slot: usize,
}

impl<'a, T: Real> Block<'a, T> {
    /// The block with an update that stands in `gradient`, or else in `update`.
    pub(crate) fn new(parameter: &'a [T], gradient: Option<&'a [T]>, update: &'a mut [T], slots: Slots<'a, T>) -> Self {
        Self { parameter, untouched: gradient, update, slots, first_slot: 0 }
    }

    /// Makes the state that begins at the slot the state that [`Block::each`] and [`Block::state`] give.
    pub(crate) fn enter(&mut self, slot: usize) {
        self.first_slot = slot;
    }

    /// The update as it stands.
    pub(crate) fn current(&self) -> &[T] {
        self.untouched.unwrap_or(self.update)
    }

    /// Ends the block; says whether its update is still the gradient.
    pub(crate) fn ends_untouched(self) -> bool {
        self.untouched.is_some()
    }

    /// The value of the parameter before the step.
    pub fn parameter(&self) -> &[T] {
        self.parameter
    }

    /// The update so far, to write to.
    pub fn update(&mut self) -> &mut [T] {
        if let Some(gradient) = self.untouched.take() {
            self.update.copy_from_slice(gradient);
        }
        self.update
    }

    /// The parameter, the update so far and the first `N` tensors of the link's state.
    ///
    /// # Panics
    /// If the link named fewer than `N` tensors.
    pub fn state<const N: usize>(&mut self) -> (&[T], &mut [T], [&mut [T]; N]) {
        self.update();
        let slots = self.slots[self.first_slot..].first_chunk_mut::<N>().expect(TOO_MANY);
        (self.parameter, self.update, slots.each_mut().map(|slot| &mut **slot))
    }

    /// Replaces each element of the update by `element(parameter, update, state)`, in vector code. The state is one
    /// number from each of the first `N` tensors that the link named, to read and write; `N` is at most four.
    ///
    /// # Panics
    /// If the link named fewer than `N` tensors.
    pub fn each<const N: usize>(&mut self, element: impl Fn(T, T, &mut [T; N]) -> T)
    where
        [T; N]: Elements<T>,
    {
        let slots = self.slots[self.first_slot..].first_chunk_mut::<N>().expect(TOO_MANY);
        let (parameter, update) = (self.parameter, &mut *self.update);
        vectorized(Each { parameter, source: self.untouched.take(), update, slots, element });
    }
}

const TOO_MANY: &str = "a link reads no more tensors of state than it names";

/// The numbers of state of one element: an array of none to four.
pub trait Elements<T>: sealed::EachElement<T> {}

impl<T, S: sealed::EachElement<T>> Elements<T> for S {}

mod sealed {
    /// The loops over a block, one for each number of tensors of state.
    pub trait EachElement<T>: Sized {
        fn in_place(p: &[T], update: &mut [T], slots: &mut [&mut [T]], f: &impl Fn(T, T, &mut Self) -> T);
        fn from(p: &[T], source: &[T], update: &mut [T], slots: &mut [&mut [T]], f: &impl Fn(T, T, &mut Self) -> T);
    }
}

struct Each<'a, 'b, T, F, const N: usize> {
    parameter: &'a [T],
    source: Option<&'a [T]>,
    update: &'a mut [T],
    slots: &'a mut [&'b mut [T]; N],
    element: F,
}

impl<T, F: Fn(T, T, &mut [T; N]) -> T, const N: usize> Loop for Each<'_, '_, T, F, N>
where
    [T; N]: Elements<T>,
{
    type Output = ();

    #[inline(always)]
    fn run(self) {
        match self.source {
            Some(source) => sealed::EachElement::from(self.parameter, source, self.update, self.slots, &self.element),
            None => sealed::EachElement::in_place(self.parameter, self.update, self.slots, &self.element),
        }
    }
}

/// The loops with each tensor of state as an argument of its own: so the compiler knows that no two overlap.
macro_rules! elements {
    ($number:literal $($slot:ident)*) => {
        impl<T: Real> sealed::EachElement<T> for [T; $number] {
            #[inline(always)]
            fn in_place(p: &[T], update: &mut [T], slots: &mut [&mut [T]], f: &impl Fn(T, T, &mut Self) -> T) {
                #[inline(always)]
                fn run<T: Real>(
                    p: &[T],
                    update: &mut [T],
                    $($slot: &mut [T],)*
                    f: &impl Fn(T, T, &mut [T; $number]) -> T,
                ) {
                    let p = &p[..update.len()];
                    $(let $slot = &mut $slot[..update.len()];)*
                    for i in 0..update.len() {
                        let mut state = [$($slot[i]),*];
                        update[i] = f(p[i], update[i], &mut state);
                        [$($slot[i]),*] = state;
                    }
                }
                if let [$($slot),*] = slots {
                    run(p, update, $($slot,)* f);
                }
            }

            #[inline(always)]
            fn from(
                p: &[T],
                source: &[T],
                update: &mut [T],
                slots: &mut [&mut [T]],
                f: &impl Fn(T, T, &mut Self) -> T,
            ) {
                #[inline(always)]
                #[allow(clippy::too_many_arguments)] // Arguments are what the compiler knows not to overlap.
                fn run<T: Real>(
                    p: &[T],
                    source: &[T],
                    update: &mut [T],
                    $($slot: &mut [T],)*
                    f: &impl Fn(T, T, &mut [T; $number]) -> T,
                ) {
                    let (p, source) = (&p[..update.len()], &source[..update.len()]);
                    $(let $slot = &mut $slot[..update.len()];)*
                    for i in 0..update.len() {
                        let mut state = [$($slot[i]),*];
                        update[i] = f(p[i], source[i], &mut state);
                        [$($slot[i]),*] = state;
                    }
                }
                if let [$($slot),*] = slots {
                    run(p, source, update, $($slot,)* f);
                }
            }
        }
    };
}

elements!(0);
elements!(1 a);
elements!(2 a b);
elements!(3 a b c);
elements!(4 a b c d);
