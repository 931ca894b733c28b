//! The 2-norm over axes, `√Σx²`, and its derivative `x/‖x‖·g`, which is 0 for the zero vector at every order.
//!
//! If the sum of the squares overflows or underflows they are scaled before they are added, as in LAPACK's `nrm2`.

use smallvec::SmallVec;

use crate::axes::Axes;
use crate::kernel::reduce::norm;
use crate::real::Real;
use crate::tape::Var;
use crate::tape::op::reduction::{reduced_shape, reduction};
use crate::tape::op::{Accepts, Call, Domain, Form, Kinks, Meta, Metas, Op, Pointwise, Signature, Vars, Work};

/// The norm over `axes`, which are counted from the first, in order, and absent from the output.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Norm {
    axes: SmallVec<[usize; 4]>,
}

impl Op for Norm {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

    fn name(&self) -> &'static str {
        "norm"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        reduced_shape(inputs, &self.axes)
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        Some(smallvec::smallvec![inputs[0].square().sum_resolved(self.axes.clone()).sqrt()])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        norm(work.inputs[0].real(), &work.input_shapes[0], &self.axes, work.outputs[0].real());
        Ok(())
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        let kept = call.x(0).shape().with_ones(|axis| self.axes.contains(&axis));
        let unit = call.x(0).pointwise(Quotient, call.y().reshape(kept.clone()));
        unit * call.g().reshape(kept)
    }

    fn kinks(&self, _input: usize) -> Kinks {
        Kinks::At(vec![(0.0, 0.0)])
    }
}

/// `x / y`, and 0 with all its derivatives where `y` is 0.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Quotient;

impl Pointwise for Quotient {
    const NAME: &'static str = "quotient_or_zero";
    const ARITY: usize = 2;

    #[inline(always)]
    fn value<T: Real>(&self, x: &[T]) -> T {
        let quotient = x[0] / x[1];
        if x[1] == T::zero() { T::zero() } else { quotient }
    }

    fn slope<'g>(&self, x: &[Var<'g>], y: Var<'g>, input: usize) -> Var<'g> {
        let graph = x[0].graph();
        if input == 0 { graph.ones(x[1].shape()).pointwise(Quotient, x[1]) } else { (-y).pointwise(Quotient, x[1]) }
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
        let quotient = call.g().pointwise(Quotient, call.x(1));
        if input == 0 { quotient } else { -(quotient * call.y()) }
    }

    fn domain(&self, input: usize) -> Domain {
        if input == 1 { Domain::NONZERO } else { Domain::REAL }
    }
}

impl<'g> Var<'g> {
    #[track_caller]
    pub(super) fn norm_resolved(self, axes: SmallVec<[usize; 4]>) -> Var<'g> {
        self.graph().call(Norm { axes }, &[self])
    }
}

reduction! {
    ///
    /// Squares are scaled where their sum would overflow or underflow, as in LAPACK's `nrm2`, so that only a norm that
    /// is itself out of range overflows. The derivative is `x/‖x‖`; at the zero vector it and those of higher order are
    /// 0.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([3.0, -4.0]));
    /// assert_eq!(graph.eval(x.norm())?.item(), 5.0);
    /// let slope = graph.grad(x.norm(), &[x])?[0];
    /// assert_eq!(graph.eval(slope)?.data(), [0.6, -0.8]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    "2-norm, `√Σx²`,", norm, norm_axes, norm_keep = norm_resolved
}

crate::tape::op::saved_ops! {
    "norm": Norm { axes },
    "quotient_or_zero": Quotient {},
}

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{away_from, axes, shape, tensor};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    let samples = shape(4).prop_flat_map(|shape| {
        (axes(shape.rank()), away_from(shape, -4.0..4.0, &[0.0]))
            .prop_map(|(axes, x)| Sample::new(Norm { axes: axes.into() }, [x.into()]))
    });
    // Exactly at the discontinuity differences show nothing.
    let quotient = shape(5).prop_flat_map(|shape| {
        (tensor(shape.clone(), -4.0..4.0), away_from(shape, -4.0..4.0, &[0.0]))
            .prop_map(|(x, y)| Sample::new(Quotient, [x.into(), y.into()]))
    });
    vec![
        Entry::new("norm", "`√Σx²` over axes", samples).kinks("the zero vector: 0"),
        Entry::new("quotient_or_zero", "`x / y`, and 0 where `y = 0`: the derivative of `norm`", quotient),
    ]
}

#[cfg(test)]
mod tests {
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    #[test]
    fn derivatives_at_the_zero_vector_are_zero() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from_rows([[0.0, 0.0], [0.0, 2.0]]));
        let first = graph.grad(x.norm_axes(1).sum(), &[x]).unwrap()[0];
        assert_eq!(graph.eval(first).unwrap().data(), [0.0, 0.0, 0.0, 1.0]);
        let weights = graph.constant(&Tensor::from_rows([[1.0, 2.0], [3.0, 4.0]]));
        let second = graph.grad((first * weights).sum(), &[x]).unwrap()[0];
        assert_eq!(graph.eval(second).unwrap().data(), [0.0, 0.0, 1.5, 0.0]);
        let third = graph.grad((second * weights).sum(), &[x]).unwrap()[0];
        assert!(graph.eval(third).unwrap().data()[..2].iter().all(|&d| d == 0.0));
    }

    /// Norms of rows and of columns in one precision, and their gradients.
    fn of_rows_and_columns<T: crate::Real>(rows: &Tensor<f64>) -> [Vec<f64>; 4] {
        let graph = Graph::new();
        let x = graph.constant(rows);
        let norms = [x.norm_axes(1), x.t().norm_axes(0)];
        let slopes = [0, 1].map(|k| graph.grad(norms[k].sum(), &[x]).unwrap()[0]);
        let values = graph
            .eval_with::<T>(&[norms[0], norms[1], slopes[0], slopes[1]], &crate::Params::new(0), &crate::Feed::new())
            .unwrap();
        [0, 1, 2, 3].map(|k| values[k].real().data().iter().map(|x| x.as_f64()).collect())
    }

    #[test]
    fn squares_do_not_leave_the_range() {
        fn check<T: crate::Real>(scales: &[f64], tolerance: f64) {
            let rows = Tensor::from_fn([scales.len(), 2], |k| scales[k / 2] * [3.0, 4.0][k % 2]);
            let [by_rows, by_columns, slopes, others] = of_rows_and_columns::<T>(&rows);
            for (norms, slopes) in [(by_rows, slopes), (by_columns, others)] {
                for (norm, scale) in norms.iter().zip(scales) {
                    assert!((norm / scale / 5.0 - 1.0).abs() <= tolerance, "{scale:e}: {norm:e}");
                }
                for (number, slope) in slopes.iter().enumerate() {
                    assert!((slope - [0.6, 0.8][number % 2]).abs() <= 2.0 * tolerance, "element {number}: {slope}");
                }
            }
        }
        let powers = |range: std::ops::RangeInclusive<i32>| {
            range.map(|n| if n < 0 { 0.5_f64.powi(-n) } else { 2.0_f64.powi(n) }).collect::<Vec<_>>()
        };
        check::<f32>(&[1e20], f64::from(f32::EPSILON));
        check::<f32>(&powers(-149..=125), f64::from(f32::EPSILON));
        check::<f64>(&[1e200, 1e-200], f64::EPSILON);
        check::<f64>(&powers(-1074..=1021), f64::EPSILON);
    }

    #[test]
    fn infinities_and_nan_in_a_norm() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        let rows = Tensor::from_rows([[1.0, inf], [-inf, 1e300], [nan, 1.0], [nan, inf], [f64::MAX, f64::MAX]]);
        let [norms, ..] = of_rows_and_columns::<f64>(&rows);
        assert_eq!([norms[0], norms[1], norms[4]], [inf; 3]);
        assert!(norms[2].is_nan() && norms[3].is_nan());
    }

    #[test]
    fn the_norm_of_nothing_is_zero() {
        let graph = Graph::new();
        assert_eq!(graph.eval(graph.zeros([0]).norm()).unwrap().item(), 0.0);
    }
}
