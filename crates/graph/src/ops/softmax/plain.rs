//! `softmax(x)ᵢ = exp(xᵢ)/Σⱼ exp(xⱼ)`.

use super::{RowWise, along, axis, by_rows, is_separable, rows_like, shifted, vjp::SoftmaxVjp};
use crate::kernel::across::Tile;
use crate::kernel::softmax::{softmax_row, softmax_tile};
use crate::real::Real;
use crate::tape::Var;
use crate::tape::op::{Accepts, Call, Form, Meta, Metas, Op, Signature, Vars, Work};

/// Along the axis with `after` others after it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Softmax {
    pub(super) after: usize,
}

impl RowWise for Softmax {
    #[inline(always)]
    fn row<T: Real>(x: &[T], y: &mut [T]) {
        softmax_row(x, y);
    }

    #[inline(always)]
    fn tile<T: Real>(x: &mut Tile<T>, y: &mut Tile<T>) {
        softmax_tile(x);
        for i in 0..x.columns().len() {
            y.columns()[i] = x.columns()[i];
        }
    }
}

impl Op for Softmax {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

    fn name(&self) -> &'static str {
        "softmax"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        rows_like(inputs, self.after)
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        let terms = shifted(inputs[0], self.after)?.exp();
        Some(smallvec::smallvec![terms / terms.sum_keep(axis(self.after))])
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
        call.y().graph().call(SoftmaxVjp { after: self.after }, &[call.y(), call.g()])
    }
}

impl<'g> Var<'g> {
    /// `exp(xᵢ)/Σⱼ exp(xⱼ)` along an axis: positive numbers with sum 1.
    ///
    /// The largest element is subtracted first, so that nothing overflows. The softmax of −∞ is 0, also if all elements
    /// are −∞, as where all are masked; in PyTorch it is NaN then. The derivative is `y·(g − Σ g·y)`.
    ///
    /// # Panics
    /// If the axis is out of range.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([1000.0, 1000.0, f64::NEG_INFINITY]));
    /// assert_eq!(graph.eval(x.softmax(0))?.data(), [0.5, 0.5, 0.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn softmax(self, axis: isize) -> Var<'g> {
        along(self, "softmax", axis, |after| Softmax { after })
    }
}
