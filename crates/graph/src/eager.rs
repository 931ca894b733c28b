//! Ops of the graph applied to tensors eagerly: reductions, argmax and argmin, and products.
//!
//! Each records the op on a new graph and evaluates it in the precision of the tensor: so the shape rules, the kernels
//! and their accuracy are those of [`Var`], with an overhead of about a microsecond per call.

use crate::axes::Axes;
use crate::params::Params;
use crate::plan::Feed;
use crate::real::Real;
use crate::tape::{Graph, Var};
use crate::tensor::{AnyTensor, Data, Tensor};

/// The value of an expression of tensors as variables; a macro, so that a panic is at the caller's line.
macro_rules! eager {
    ($($x:ident = $tensor:expr),+ => $value:expr) => {{
        let graph = Graph::new();
        $(let $x = graph.input(stringify!($x), $tensor.shape());)+
        value_of($value, &[$(Data::Real($tensor)),+])
    }};
}

#[track_caller]
fn value_of<T: Real>(var: Var<'_>, data: &[Data<'_, T>]) -> AnyTensor<T> {
    match var.graph().eval_with(&[var], &Params::new(0), &Feed::in_order(data)) {
        Ok(mut values) => values.remove(0),
        Err(error) => error.panic(),
    }
}

macro_rules! reductions {
    ($($what:literal $all:ident $some:ident $keep:ident $(, $none:literal)?;)*) => {
        impl<T: Real> Tensor<T> {$(
            #[doc = concat!("The ", $what, " of all elements.", $(" ", $none)?)]
            #[track_caller]
            pub fn $all(&self) -> T {
                eager!(x = self => x.$all()).real().item()
            }

            #[doc = concat!("The ", $what, " over one or several axes, which are removed.", $(" ", $none)?)]
            ///
            /// # Panics
            /// If an axis is out of range or named twice.
            #[track_caller]
            pub fn $some(&self, axes: impl Into<Axes>) -> Self {
                eager!(x = self => x.$some(axes)).real().clone()
            }

            #[doc = concat!("The ", $what, " over one or several axes, which are kept with size 1.", $(" ", $none)?)]
            ///
            /// # Panics
            /// If an axis is out of range or named twice.
            #[track_caller]
            pub fn $keep(&self, axes: impl Into<Axes>) -> Self {
                eager!(x = self => x.$keep(axes)).real().clone()
            }
        )*}
    };
}

reductions! {
    "sum" sum sum_axes sum_keep;
    "mean" mean mean_axes mean_keep;
    "largest element" max max_axes max_keep, "NaN if there is one. Panics if there are no elements.";
    "smallest element" min min_axes min_keep, "NaN if there is one. Panics if there are no elements.";
}

impl<T: Real> Tensor<T> {
    /// The index of the largest element of each line along an axis: see [`Var::argmax`].
    ///
    /// # Panics
    /// If the axis is out of range or has size 0.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Tensor;
    /// let scores = Tensor::from_rows([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]]);
    /// assert_eq!(scores.argmax(-1), Tensor::from([1, 0]));
    /// assert_eq!((scores.max(), scores.sum_axes(0).data()[0]), (0.7, 0.6));
    /// ```
    #[track_caller]
    pub fn argmax(&self, axis: isize) -> Tensor<i64> {
        eager!(x = self => x.argmax(axis)).index().clone()
    }

    /// The index of the smallest element of each line along an axis: see [`Var::argmin`].
    ///
    /// # Panics
    /// If the axis is out of range or has size 0.
    #[track_caller]
    pub fn argmin(&self, axis: isize) -> Tensor<i64> {
        eager!(x = self => x.argmin(axis)).index().clone()
    }

    /// The matrix product, with broadcasting: see [`Var::matmul`].
    ///
    /// # Panics
    /// If the shapes do not fit.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Tensor;
    /// let x = Tensor::from_rows([[1.0, 2.0], [3.0, 4.0]]);
    /// assert_eq!(x.matmul(&Tensor::eye(2)), x);
    /// ```
    #[track_caller]
    pub fn matmul(&self, other: &Self) -> Self {
        eager!(x = self, y = other => x.matmul(y)).real().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::testing::panic_of;

    #[test]
    fn reductions_in_both_precisions() {
        let x = Tensor::from_rows([[1.0, 5.0, 0.0], [2.0, -3.0, 4.0]]);
        assert_eq!((x.sum(), x.mean(), x.max(), x.min()), (9.0, 1.5, 5.0, -3.0));
        assert_eq!((x.max_axes(0).data(), x.min_keep(1).shape().sizes()), (&[2.0, 5.0, 4.0][..], &[2, 1][..]));
        let centred = &x - &x.mean_keep(1);
        assert_eq!(centred.sum_axes(-1).data(), [0.0, 0.0]);
        assert_eq!(x.cast::<f32>().sum_axes([0, 1]).item(), 9.0_f32);
        // One by one in single precision, they would stay at 2²⁴.
        assert_eq!(Tensor::<f32>::ones([(1 << 24) + 4]).sum(), 16_777_220.0);
        assert_eq!(Tensor::<f32>::zeros([0, 3]).sum_axes(0).data(), [0.0; 3]);
        assert_eq!((x.argmax(1).data(), x.argmin(0).data()), (&[1, 2][..], &[0, 1, 0][..]));
        assert_eq!(x.matmul(&x.t()).data(), [26.0, -13.0, -13.0, 29.0]);
    }

    #[test]
    fn a_refusal_names_the_line_of_the_caller() {
        let x = Tensor::<f32>::zeros([2, 3]);
        let line = line!() + 1;
        let (message, place) = panic_of(|| drop(x.matmul(&x)));
        assert_eq!(message, "`matmul` of [2, 3] and [2, 3]: the inner sizes 3 and 2 differ");
        assert_eq!(place, (file!().to_owned(), line));
    }
}
