//! Cumulative sums along an axis, `yᵢ = x₀ + … + xᵢ`. The derivative is the cumulative sum of the cotangent from the
//! end.
//!
//! Sums are compensated.

use crate::axes::{check_axes, resolve_axis};
use crate::kernel::along_axis::AlongAxis;
use crate::kernel::reduce::{Add, Fold};
use crate::kernel::simd::{Loop, vectorized};
use crate::real::Real;
use crate::tape::Var;
use crate::tape::op::{Accepts, Call, Form, Meta, Metas, Op, Signature, Work};

/// Along `axis`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CumSum {
    axis: usize,
}

impl Op for CumSum {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

    fn name(&self) -> &'static str {
        "cumsum"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        check_axes(&[self.axis], &inputs[0].shape)?;
        Ok(smallvec::smallvec![inputs[0].clone()])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let along = AlongAxis::new(self.axis, &work.input_shapes[0]);
        let (x, y) = (work.inputs[0].real(), work.outputs[0].real());
        vectorized(Running { x, y, along });
        Ok(())
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        let axis = self.axis as isize;
        call.g().flip(axis).cumsum(axis).flip(axis)
    }
}

struct Running<'a, T> {
    x: &'a [T],
    y: &'a mut [T],
    along: AlongAxis,
}

/// Lines that are summed together.
const LINES: usize = 256;

impl<T: Real> Loop for Running<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x, y, along } = self;
        for block in 0..along.outer {
            for from in (0..along.inner).step_by(LINES) {
                let (mut totals, mut lost) = ([T::zero(); LINES], [T::zero(); LINES]);
                let len = LINES.min(along.inner - from);
                for index in 0..along.size {
                    let start = along.start(block, index) + from;
                    let lines = x[start..start + len].iter().zip(&mut y[start..start + len]);
                    for ((&x, y), (total, lost)) in lines.zip(totals.iter_mut().zip(&mut lost)) {
                        Add::gather(total, lost, x);
                        *y = Add::finish(*total, *lost);
                    }
                }
            }
        }
    }
}

impl<'g> Var<'g> {
    /// Cumulative sums along an axis, `yᵢ = x₀ + … + xᵢ`.
    ///
    /// Sums are compensated: the error is within two roundings of the sum and, to second order, of `Σ|x|`, for any
    /// number of elements. The derivative is the cumulative sum of the cotangent from the end.
    ///
    /// # Panics
    /// If the axis is out of range.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([1.0, 2.0, 3.0]));
    /// assert_eq!(graph.eval(x.cumsum(0))?.data(), [1.0, 3.0, 6.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn cumsum(self, axis: isize) -> Var<'g> {
        let axis = resolve_axis("cumsum", axis, &self.shape());
        self.graph().call(CumSum { axis }, &[self])
    }
}

crate::tape::op::saved_ops!("cumsum": CumSum { axis });

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{shape_and_axis, tensor};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    let samples = shape_and_axis(5).prop_flat_map(|(shape, axis)| {
        tensor(shape, -4.0..4.0).prop_map(move |x| Sample::new(CumSum { axis }, [x.into()]))
    });
    vec![Entry::new("cumsum", "`x₀ + … + xᵢ` along an axis", samples)]
}

#[cfg(test)]
mod tests {
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    #[test]
    fn sums_along_each_axis() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from_rows([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]));
        assert_eq!(graph.eval(x.cumsum(0)).unwrap().data(), [1.0, 2.0, 3.0, 5.0, 7.0, 9.0]);
        assert_eq!(graph.eval(x.cumsum(1)).unwrap().data(), [1.0, 3.0, 6.0, 4.0, 9.0, 15.0]);
    }
}
