//! The inputs of a compiled closure, whose number is checked at compile time.

use crate::real::Real;
use crate::tensor::{AnyTensor, Data, Tensor};

/// The values of `N` inputs, real or index, of a closure that takes `[Var; N]`: nothing, one reference to a tensor, a
/// tuple of two to eight, or an array.
///
/// | inputs | written as |
/// |---|---|
/// | none | `()` |
/// | one | `&x` |
/// | two to eight, real and index | `(&x, &classes)` |
/// | any number of one kind | `[&x, &y]` |
///
/// So the compiler checks that the number of inputs is that of the closure. A reference is to a `Tensor<T>` of real
/// numbers, a `Tensor<i64>` of indices or an [`AnyTensor`].
///
/// # Example
/// ```
/// use gradus_graph::{Inputs, Tensor};
/// fn count<'a, const N: usize>(_: impl Inputs<'a, f32, N>) -> usize {
///     N
/// }
/// let (x, classes) = (Tensor::from([0.5_f32, 1.5]), Tensor::from([1, 0]));
/// assert_eq!((count(()), count(&x), count((&x, &classes)), count([&x, &x, &x])), (0, 1, 2, 3));
/// ```
#[diagnostic::on_unimplemented(
    message = "expected {N} input(s) of precision `{T}`, found `{Self}`",
    label = "the closure takes {N} input(s)",
    note = "inputs are `()`, `&tensor`, a tuple `(&x, &y)` or an array `[&x, &y]`; real tensors have the precision of \
            the parameters, index tensors hold `i64`"
)]
pub trait Inputs<'a, T, const N: usize> {
    /// The values in order.
    fn data(self) -> [Data<'a, T>; N];
}

impl<'a, T> Inputs<'a, T, 0> for () {
    fn data(self) -> [Data<'a, T>; 0] {
        []
    }
}

impl<'a, T: Real> Inputs<'a, T, 1> for &'a Tensor<T> {
    fn data(self) -> [Data<'a, T>; 1] {
        [self.into()]
    }
}

impl<'a, T: Real> Inputs<'a, T, 1> for &'a Tensor<i64> {
    fn data(self) -> [Data<'a, T>; 1] {
        [self.into()]
    }
}

impl<'a, T: Real> Inputs<'a, T, 1> for &'a AnyTensor<T> {
    fn data(self) -> [Data<'a, T>; 1] {
        [self.into()]
    }
}

impl<'a, T: Real, D: Into<Data<'a, T>>, const N: usize> Inputs<'a, T, N> for [D; N] {
    fn data(self) -> [Data<'a, T>; N] {
        self.map(Into::into)
    }
}

macro_rules! tuple {
    ($count:literal, $($input:ident)*) => {
        impl<'a, T: Real, $($input: Into<Data<'a, T>>),*> Inputs<'a, T, $count> for ($($input,)*) {
            #[allow(non_snake_case)]
            fn data(self) -> [Data<'a, T>; $count] {
                let ($($input,)*) = self;
                [$($input.into()),*]
            }
        }
    };
}

tuple!(2, A B);
tuple!(3, A B C);
tuple!(4, A B C D);
tuple!(5, A B C D E);
tuple!(6, A B C D E F);
tuple!(7, A B C D E F G);
tuple!(8, A B C D E F G H);
