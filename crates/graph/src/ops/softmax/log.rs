//! `ln softmax(x)ᵢ = xᵢ − ln Σⱼ exp(xⱼ)`.

use super::{RowWise, along, axis, by_rows, is_separable, rows_like, shifted};
use crate::kernel::across::{ACROSS, Tile, one_by_one};
use crate::kernel::softmax::{ln_sum_of_exp, ln_sums_of_exp, shift, shifts};
use crate::real::Real;
use crate::tape::Var;
use crate::tape::op::{Accepts, Call, Form, Meta, Metas, Op, Signature, Vars, Work};

/// Along the axis with `after` others after it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct LogSoftmax {
    pub(super) after: usize,
}

impl RowWise for LogSoftmax {
    #[inline(always)]
    fn row<T: Real>(x: &[T], y: &mut [T]) {
        let shift = shift(x);
        // If the sum is 0 all elements are −∞, as is the result.
        let log = ln_sum_of_exp(x, shift);
        let log = if log == T::neg_infinity() { T::zero() } else { log };
        let y = &mut y[..x.len()];
        for k in 0..x.len() {
            y[k] = (x[k] - shift) - log;
        }
    }

    #[inline(always)]
    fn tile<T: Real>(x: &mut Tile<T>, y: &mut Tile<T>) {
        let shifts = shifts(x);
        for i in 0..x.columns().len() {
            y.columns()[i] = x.columns()[i];
        }
        let mut logs = ln_sums_of_exp(x, shifts);
        for row in 0..ACROSS {
            logs[row] = if logs[row] == T::neg_infinity() { T::zero() } else { logs[row] };
        }
        for y in y.columns() {
            one_by_one();
            for row in 0..ACROSS {
                y[row] = (y[row] - shifts[row]) - logs[row];
            }
        }
    }
}

impl Op for LogSoftmax {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

    fn name(&self) -> &'static str {
        "log_softmax"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        rows_like(inputs, self.after)
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        let x = shifted(inputs[0], self.after)?;
        Some(smallvec::smallvec![x - x.exp().sum_keep(axis(self.after)).ln()])
    }

    fn is_separable(&self, inputs: &[Meta]) -> bool {
        is_separable(inputs, self.after)
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        by_rows::<Self, T>(work, self.after, false);
        Ok(())
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        let (y, g) = (call.y(), call.g());
        -(y.exp_m1() * g) - y.exp() * (g.sum_keep(axis(self.after)) - g)
    }
}

impl<'g> Var<'g> {
    /// The logarithm of [`Var::softmax`], `xᵢ − ln Σⱼ exp(xⱼ)`, without overflow and with full accuracy.
    ///
    /// It is −∞ for elements of −∞. The derivative is `g − softmax(x)·Σ g`.
    ///
    /// # Panics
    /// If the axis is out of range.
    #[track_caller]
    pub fn log_softmax(self, axis: isize) -> Var<'g> {
        along(self, "log_softmax", axis, |after| LogSoftmax { after })
    }
}
