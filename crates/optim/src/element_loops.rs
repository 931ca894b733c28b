//! The loops over the elements of a block: one for each number of tensors of state.

use gradus_graph::Real;
use gradus_graph::kernel::simd::Loop;

/// The numbers of state of one element: an array of none to four.
pub trait Elements<T>: sealed::Loops<T> {}

impl<T, S: sealed::Loops<T>> Elements<T> for S {}

mod sealed {
    type Slots<'a, 'b, T> = &'a mut [&'b mut [T]];

    /// The three loops, with the state in slices.
    pub trait Loops<T>: Sized {
        /// From the source to the update.
        fn outward(p: &[T], from: &[T], to: &mut [T], slots: Slots<'_, '_, T>, f: &impl Fn(T, T, &mut Self) -> T);
        /// From the update to the update.
        fn in_place(p: &[T], update: &mut [T], slots: Slots<'_, '_, T>, f: &impl Fn(T, T, &mut Self) -> T);
        /// From the source, subtracted from the parameter.
        fn descend(p: &mut [T], from: &[T], scale: T, slots: Slots<'_, '_, T>, f: &impl Fn(T, T, &mut Self) -> T);
    }
}

/// Where the elements go.
pub(crate) enum Target<'a, T> {
    /// To the update.
    Update { parameter: &'a [T], update: &'a mut [T] },
    /// To the update, which is also the source.
    InPlace { parameter: &'a [T], update: &'a mut [T] },
    /// Off the parameter, times `scale`.
    Parameter { parameter: &'a mut [T], scale: T },
}

/// A loop of one transform over one block.
pub(crate) struct ElementLoop<'a, 'b, T, F, const N: usize> {
    pub(crate) source: &'a [T],
    pub(crate) target: Target<'a, T>,
    pub(crate) slots: &'a mut [&'b mut [T]; N],
    pub(crate) element: F,
}

impl<T, F: Fn(T, T, &mut [T; N]) -> T, const N: usize> Loop for ElementLoop<'_, '_, T, F, N>
where
    [T; N]: Elements<T>,
{
    type Output = ();

    #[inline(always)]
    fn run(self) {
        use sealed::Loops;
        let Self { source, target, slots, element } = self;
        match target {
            Target::Update { parameter, update } => Loops::outward(parameter, source, update, slots, &element),
            Target::InPlace { parameter, update } => Loops::in_place(parameter, update, slots, &element),
            Target::Parameter { parameter, scale } => Loops::descend(parameter, source, scale, slots, &element),
        }
    }
}

/// Each tensor of state is an argument of its own in the inner functions: so the compiler knows that no two overlap.
macro_rules! loops {
    ($number:literal $($slot:ident)*) => {
        impl<T: Real> sealed::Loops<T> for [T; $number] {
            #[inline(always)]
            fn outward(p: &[T], from: &[T], to: &mut [T], slots: &mut [&mut [T]], f: &impl Fn(T, T, &mut Self) -> T) {
                #[inline(always)]
                #[allow(clippy::too_many_arguments)]
                fn run<T: Real>(
                    p: &[T],
                    from: &[T],
                    to: &mut [T],
                    $($slot: &mut [T],)*
                    f: &impl Fn(T, T, &mut [T; $number]) -> T,
                ) {
                    let (p, from) = (&p[..to.len()], &from[..to.len()]);
                    $(let $slot = &mut $slot[..to.len()];)*
                    for i in 0..to.len() {
                        let mut state = [$($slot[i]),*];
                        to[i] = f(p[i], from[i], &mut state);
                        [$($slot[i]),*] = state;
                    }
                }
                if let [$($slot),*] = slots {
                    run(p, from, to, $($slot,)* f);
                }
            }

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
            fn descend(p: &mut [T], from: &[T], scale: T, slots: &mut [&mut [T]], f: &impl Fn(T, T, &mut Self) -> T) {
                #[inline(always)]
                #[allow(clippy::too_many_arguments)]
                fn run<T: Real>(
                    p: &mut [T],
                    from: &[T],
                    scale: T,
                    $($slot: &mut [T],)*
                    f: &impl Fn(T, T, &mut [T; $number]) -> T,
                ) {
                    let from = &from[..p.len()];
                    $(let $slot = &mut $slot[..p.len()];)*
                    for i in 0..p.len() {
                        let mut state = [$($slot[i]),*];
                        p[i] -= scale * f(p[i], from[i], &mut state);
                        [$($slot[i]),*] = state;
                    }
                }
                if let [$($slot),*] = slots {
                    run(p, from, scale, $($slot,)* f);
                }
            }
        }
    };
}

loops!(0);
loops!(1 a);
loops!(2 a b);
loops!(3 a b c);
loops!(4 a b c d);
