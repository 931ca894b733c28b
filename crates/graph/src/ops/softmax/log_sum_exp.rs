//! `logsumexp(x) = ln Σⱼ exp(xⱼ)`.

use smallvec::SmallVec;

use super::{RowWise, Softmax, after, axis, by_rows, is_separable, rows_like, shifted};
use crate::axes::Axes;
use crate::kernel::across::{ACROSS, Tile};
use crate::kernel::softmax::{ln_sum_of_exp, ln_sums_of_exp, shift, shifts};
use crate::real::Real;
use crate::shape::Shape;
use crate::tape::Var;
use crate::tape::op::reduction::reduction;
use crate::tape::op::{Accepts, Call, Form, Meta, Metas, Op, Signature, Vars, Work};

/// Along the axis with `after` others after it, which disappears.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct LogSumExp {
    pub(super) after: usize,
}

impl RowWise for LogSumExp {
    #[inline(always)]
    fn row<T: Real>(x: &[T], y: &mut [T]) {
        let shift = shift(x);
        y[0] = shift + ln_sum_of_exp(x, shift);
    }

    #[inline(always)]
    fn tile<T: Real>(x: &mut Tile<T>, y: &mut Tile<T>) {
        let shifts = shifts(x);
        let logs = ln_sums_of_exp(x, shifts);
        for row in 0..ACROSS {
            y.columns()[0][row] = shifts[row] + logs[row];
        }
    }
}

impl Op for LogSumExp {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

    fn name(&self) -> &'static str {
        "logsumexp"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        let shape = &rows_like(inputs, self.after)?[0].shape;
        let axis = shape.rank() - 1 - self.after;
        Ok(smallvec::smallvec![Meta::real(shape.without(|other| other == axis))])
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        let (x, axis) = (shifted(inputs[0], self.after)?, axis(self.after));
        let largest = inputs[0].max_axes(axis).stop_gradient();
        Some(smallvec::smallvec![largest + x.exp().sum_axes(axis).ln()])
    }

    fn is_separable(&self, inputs: &[Meta]) -> bool {
        is_separable(inputs, self.after)
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        by_rows::<Self, T>(work, self.after, true);
        Ok(())
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        let softmax = call.g().graph().call(Softmax { after: self.after }, &[call.x(0)]);
        softmax * call.g().unsqueeze(axis(self.after))
    }
}

impl<'g> Var<'g> {
    #[track_caller]
    fn logsumexp_resolved(self, axes: SmallVec<[usize; 4]>) -> Var<'g> {
        let (graph, shape) = (self.graph(), self.shape());
        // Axes that follow each other are one axis.
        if let (Some(&first), Some(&last)) = (axes.first(), axes.last())
            && last - first + 1 == axes.len()
        {
            let count: usize = shape[first..=last].iter().product();
            let merged: Shape = shape[..first].iter().chain([&count]).chain(&shape[last + 1..]).copied().collect();
            if let Some(after) = after(&merged, first) {
                let x = if first < last { self.reshape(merged) } else { self };
                return graph.call(LogSumExp { after }, &[x]);
            }
        }
        graph.call(LogSumExp { after: 0 }, &[self.reduced_axes_last(&axes)])
    }
}

reduction! {
    ///
    /// The largest element is subtracted first, so that nothing overflows. It is −∞ for no elements, and if all are −∞.
    /// The derivative is `softmax(x)·g`.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([1000.0, 1000.0]));
    /// assert_eq!(graph.eval(x.logsumexp())?.item(), 1000.0 + 2.0_f64.ln());
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    "logarithm of the sum of the exponentials, `ln Σ exp(x)`,",
    logsumexp, logsumexp_axes, logsumexp_keep = logsumexp_resolved
}
