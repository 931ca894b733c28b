//! Operands of arithmetic: variables and numbers of several types.

use super::op::{Kind, Pointwise};
use super::{Var, refuse};
use crate::tensor::Tensor;

/// The other operand of an operator on a variable: a variable, or a number of type `f64`, `f32`, `i32`, `i64`, `u32`,
/// `u64`, `isize` or `usize`.
///
/// Operands are broadcast by NumPy's rule: axes are aligned at the last one, and a size of 1 is repeated.
///
/// An integer and an index variable make an index: `+`, `−` and `*` of indices are those of 64-bit integers, as are
/// [`Var::floor_div`] and [`Var::modulo`], and overflow is an error of the run. Indices and real numbers cannot be
/// combined; convert with [`Var::to_real`] or [`Var::to_index`].
///
/// On the left of an operator a number is an `f64` or an `i32`, the types of literals: with more types there, the
/// compiler could not infer the type of `(1.0 - x).exp()`. For another type write `f64::from(a) - x`.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// let graph = Graph::new();
/// let mut x = graph.constant(&Tensor::from([1.0, 3.0]));
/// x += 1;
/// let y = (2 - x * 3).square() + 0.5_f32;
/// assert_eq!(graph.eval(y)?.data(), [16.5, 100.5]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
pub trait Operand<'g>: Sized {
    /// The operand as a variable of the graph of `other`.
    #[doc(hidden)]
    #[track_caller]
    fn operand_of(self, other: Var<'g>) -> Var<'g>;

    /// `base` to the power of the operand.
    #[doc(hidden)]
    #[track_caller]
    fn power_of(self, base: Var<'g>) -> Var<'g>;
}

impl<'g> Operand<'g> for Var<'g> {
    fn operand_of(self, _other: Var<'g>) -> Var<'g> {
        self
    }

    #[track_caller]
    fn power_of(self, base: Var<'g>) -> Var<'g> {
        base.pow_var(self)
    }
}

macro_rules! real_operand {
    ($($number:ty),*) => {$(
        impl<'g> Operand<'g> for $number {
            #[track_caller]
            fn operand_of(self, other: Var<'g>) -> Var<'g> {
                other.graph().scalar(f64::from(self))
            }

            #[track_caller]
            fn power_of(self, base: Var<'g>) -> Var<'g> {
                base.powf(f64::from(self))
            }
        }
    )*};
}

macro_rules! integer_operand {
    ($($number:ty),*) => {$(
        impl<'g> Operand<'g> for $number {
            #[track_caller]
            fn operand_of(self, other: Var<'g>) -> Var<'g> {
                match other.kind() {
                    Kind::Real => other.graph().scalar(self as f64),
                    Kind::Index => match i64::try_from(self) {
                        Ok(index) => other.graph().index_constant(&Tensor::scalar(index)),
                        Err(_) => refuse("index", &[], &format!("{self} has more than 64 bits")),
                    },
                }
            }

            #[track_caller]
            fn power_of(self, base: Var<'g>) -> Var<'g> {
                match i32::try_from(self) {
                    Ok(exponent) => base.powi(exponent),
                    Err(_) => base.powf(self as f64),
                }
            }
        }
    )*};
}

real_operand!(f64, f32);
integer_operand!(i32, i64, u32, u64, isize, usize);

impl<'g> Var<'g> {
    /// Applies a pointwise op of two inputs, after broadcasting.
    #[track_caller]
    pub(crate) fn pointwise<P: Pointwise>(self, op: P, other: impl Operand<'g>) -> Var<'g> {
        let other = other.operand_of(self);
        let (x, y) = self.broadcast_with(P::NAME, other);
        self.graph().call(op, &[x, y])
    }
}
