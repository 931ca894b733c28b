//! What the iterators give that a trainer reads: the inputs of one run of its step.

use std::fmt::Display;

use gradus_data::Batch;
use gradus_graph::{AnyTensor, Data, Real, Tensor};

/// The inputs of a step for one batch, or why there are none: what the items of an iterator over batches are.
///
/// Implemented for [`Batch`], for a tensor, for tuples of two to four tensors and arrays of them, and for a `Result` of
/// any of these, whose error ends the training. The first axis of the first input counts the rows.
///
/// # Example
/// ```
/// use gradus_graph::Tensor;
/// use gradus_train::BatchInputs;
/// let pair = (Tensor::from([0.5_f32, 1.5]), Tensor::from([1, 0]));
/// let inputs = BatchInputs::<f32, 2>::inputs(&pair).unwrap();
/// assert_eq!(inputs[1].meta().shape.sizes(), [2]);
/// let missing: Result<Tensor<f32>, &str> = Err("line 7 is empty");
/// assert_eq!(BatchInputs::<f32, 1>::inputs(&missing).unwrap_err(), "line 7 is empty");
/// ```
#[diagnostic::on_unimplemented(
    message = "a batch with {N} input(s) of precision `{T}` is expected, found `{Self}`",
    note = "batches are `Batch`, tensors, tuples or arrays of tensors, or a `Result` of them"
)]
pub trait BatchInputs<T, const N: usize> {
    /// The inputs in the order of the closure's.
    ///
    /// # Errors
    /// The message of the error that the iterator gave in place of a batch.
    fn inputs(&self) -> Result<[Data<'_, T>; N], String>;
}

impl<T, B: BatchInputs<T, N>, E: Display, const N: usize> BatchInputs<T, N> for Result<B, E> {
    fn inputs(&self) -> Result<[Data<'_, T>; N], String> {
        match self {
            Ok(batch) => batch.inputs(),
            Err(problem) => Err(problem.to_string()),
        }
    }
}

impl<T, X: Clone, Y: Clone> BatchInputs<T, 2> for Batch<X, Y>
where
    for<'a> &'a Tensor<X>: Into<Data<'a, T>>,
    for<'a> &'a Tensor<Y>: Into<Data<'a, T>>,
{
    fn inputs(&self) -> Result<[Data<'_, T>; 2], String> {
        Ok([(&self.inputs).into(), (&self.targets).into()])
    }
}

impl<T, X> BatchInputs<T, 1> for Tensor<X>
where
    for<'a> &'a Tensor<X>: Into<Data<'a, T>>,
{
    fn inputs(&self) -> Result<[Data<'_, T>; 1], String> {
        Ok([self.into()])
    }
}

impl<T: Real> BatchInputs<T, 1> for AnyTensor<T> {
    fn inputs(&self) -> Result<[Data<'_, T>; 1], String> {
        Ok([self.into()])
    }
}

impl<T, D, const N: usize> BatchInputs<T, N> for [D; N]
where
    for<'a> &'a D: Into<Data<'a, T>>,
{
    fn inputs(&self) -> Result<[Data<'_, T>; N], String> {
        Ok(self.each_ref().map(Into::into))
    }
}

macro_rules! tuple {
    ($count:literal, $($input:ident)*) => {
        impl<T, $($input),*> BatchInputs<T, $count> for ($($input,)*)
        where
            $(for<'a> &'a $input: Into<Data<'a, T>>,)*
        {
            #[allow(non_snake_case)]
            fn inputs(&self) -> Result<[Data<'_, T>; $count], String> {
                let ($($input,)*) = self;
                Ok([$($input.into()),*])
            }
        }
    };
}

tuple!(2, A B);
tuple!(3, A B C);
tuple!(4, A B C D);

/// The number of rows of a batch: the first size of its first input, 1 if that has no axis.
pub(super) fn rows<T: Real>(inputs: &[Data<'_, T>]) -> usize {
    inputs.first().and_then(|input| input.meta().shape.first().copied()).unwrap_or(1)
}
