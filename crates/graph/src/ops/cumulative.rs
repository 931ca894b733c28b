//! Cumulative products, maxima and logarithms of sums of exponentials, and differences, along an axis.
//!
//! Products and logarithms expand into a parallel scan, whose derivative is theirs: so the derivative of a product is
//! correct where elements are 0, and that of a logarithm does not overflow. Maxima are gathered by their indices.

use crate::axes::{check_axes, resolve_axis};
use crate::kernel::along_axis::AlongAxis;
use crate::kernel::math::special::log_add_exp;
use crate::kernel::simd::{Loop, vectorized};
use crate::real::Real;
use crate::tape::Var;
use crate::tape::op::{Accepts, Derivative, Form, Kinks, Meta, Metas, Op, Signature, Vars, Work};

/// `x₀·…·xᵢ` along `axis`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CumProd {
    axis: usize,
}

/// `ln(exp x₀ + … + exp xᵢ)` along `axis`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct LogCumSumExp {
    axis: usize,
}

/// The index of the largest element so far along `axis`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CumArgMax {
    axis: usize,
}

/// Combines each element with all before it, in steps of doubling distance; `start` is the neutral element.
fn scan<'g>(x: Var<'g>, axis: usize, start: f64, join: fn(Var<'g>, Var<'g>) -> Var<'g>) -> Var<'g> {
    let (size, along) = (x.shape()[axis], axis as isize);
    let (mut y, mut reach) = (x, 1);
    while reach < size {
        let before = x.shape().with_size(axis, reach).expect("it is no larger than the input");
        let kept = y.slice(along, None, (size - reach) as isize);
        y = join(x.graph().concat(&[x.graph().full(before, start), kept], along), y);
        reach *= 2;
    }
    y
}

/// Fills `y` with the elements of `x`, each combined with all before it along the axis.
struct Running<'a, T, F> {
    x: &'a [T],
    y: &'a mut [T],
    along: AlongAxis,
    join: F,
}

impl<T: Real, F: Fn(T, T) -> T> Loop for Running<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x, y, along, join } = self;
        for block in 0..along.outer {
            let (first, inner) = (along.start(block, 0), along.inner);
            let Some(len) = (along.size * inner).checked_sub(inner) else { continue };
            y[first..first + inner].copy_from_slice(&x[first..first + inner]);
            for k in first + inner..first + inner + len {
                y[k] = join(y[k - inner], x[k]);
            }
        }
    }
}

impl Op for CumProd {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

    fn name(&self) -> &'static str {
        "cumprod"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        check_axes(&[self.axis], &inputs[0].shape)?;
        Ok(smallvec::smallvec![inputs[0].clone()])
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        Some(smallvec::smallvec![scan(inputs[0], self.axis, 1.0, |a, b| a * b)])
    }

    fn derivative(&self, _input: usize) -> Derivative {
        Derivative::Expansion
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let along = AlongAxis::new(self.axis, &work.input_shapes[0]);
        vectorized(Running { x: work.inputs[0].real(), y: work.outputs[0].real(), along, join: |a, b| a * b });
        Ok(())
    }
}

impl Op for LogCumSumExp {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

    fn name(&self) -> &'static str {
        "log_cumsum_exp"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        check_axes(&[self.axis], &inputs[0].shape)?;
        Ok(smallvec::smallvec![inputs[0].clone()])
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        Some(smallvec::smallvec![scan(inputs[0], self.axis, f64::NEG_INFINITY, |a, b| a.logaddexp(b))])
    }

    fn derivative(&self, _input: usize) -> Derivative {
        Derivative::Expansion
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let along = AlongAxis::new(self.axis, &work.input_shapes[0]);
        vectorized(Running { x: work.inputs[0].real(), y: work.outputs[0].real(), along, join: log_add_exp::<T> });
        Ok(())
    }
}

impl Op for CumArgMax {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

    fn name(&self) -> &'static str {
        "cum_argmax"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        check_axes(&[self.axis], &inputs[0].shape)?;
        Ok(smallvec::smallvec![Meta::index(inputs[0].shape.clone())])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let along = AlongAxis::new(self.axis, &work.input_shapes[0]);
        let (x, indices) = (work.inputs[0].real(), work.outputs[0].index());
        for (block, inner) in (0..along.outer).flat_map(|block| (0..along.inner).map(move |inner| (block, inner))) {
            let mut best = 0;
            for index in 0..along.size {
                let [value, largest] = [index, best].map(|index| x[along.start(block, index) + inner]);
                if !largest.is_nan() && (value >= largest || value.is_nan()) {
                    best = index;
                }
                indices[along.start(block, index) + inner] = best as i64;
            }
        }
        Ok(())
    }

    fn kinks(&self, _input: usize) -> Kinks {
        Kinks::Ties
    }
}

impl<'g> Var<'g> {
    /// Cumulative products along an axis, `yᵢ = x₀·…·xᵢ`.
    ///
    /// The derivative does not divide, so it is correct where elements are 0, to every order.
    ///
    /// # Panics
    /// If the axis is out of range.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([2.0, 0.0, 3.0]));
    /// assert_eq!(graph.eval(x.cumprod(0))?.data(), [2.0, 0.0, 0.0]);
    /// let slope = graph.grad(x.cumprod(0).sum(), &[x])?[0];
    /// assert_eq!(graph.eval(slope)?.data(), [1.0, 8.0, 0.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn cumprod(self, axis: isize) -> Var<'g> {
        let axis = resolve_axis("cumprod", axis, &self.shape());
        self.graph().call(CumProd { axis }, &[self])
    }

    /// Cumulative maxima along an axis, `yᵢ = max(x₀, …, xᵢ)`; NaN from the first NaN on.
    ///
    /// Of equal elements the last one gets the derivative, as in PyTorch.
    ///
    /// # Panics
    /// If the axis is out of range.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([2.0, 1.0, 3.0]));
    /// assert_eq!(graph.eval(x.cummax(0))?.data(), [2.0, 2.0, 3.0]);
    /// let slope = graph.grad(x.cummax(0).sum(), &[x])?[0];
    /// assert_eq!(graph.eval(slope)?.data(), [2.0, 0.0, 1.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn cummax(self, axis: isize) -> Var<'g> {
        let line = resolve_axis("cummax", axis, &self.shape());
        self.take_along(axis, self.graph().call(CumArgMax { axis: line }, &[self]))
    }

    /// Logarithms of cumulative sums of exponentials along an axis, `yᵢ = ln(exp x₀ + … + exp xᵢ)`, without overflow:
    /// PyTorch's `logcumsumexp`.
    ///
    /// # Panics
    /// If the axis is out of range.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([f64::NEG_INFINITY, 1000.0, 1000.0]));
    /// let expected = [f64::NEG_INFINITY, 1000.0, 1000.0 + 2.0_f64.ln()];
    /// assert_eq!(graph.eval(x.log_cumsum_exp(0))?.data(), expected);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn log_cumsum_exp(self, axis: isize) -> Var<'g> {
        let axis = resolve_axis("log_cumsum_exp", axis, &self.shape());
        self.graph().call(LogCumSumExp { axis }, &[self])
    }

    /// The differences of adjacent elements along an axis, `xᵢ₊₁ − xᵢ`; the axis becomes one shorter, unless it is
    /// empty.
    ///
    /// # Panics
    /// If the axis is out of range.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([1.0, 4.0, 9.0]));
    /// assert_eq!(graph.eval(x.diff(0))?.data(), [3.0, 5.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn diff(self, axis: isize) -> Var<'g> {
        let size = self.shape()[resolve_axis("diff", axis, &self.shape())] as isize;
        self.slice(axis, size.min(1), None) - self.slice(axis, None, (size - 1).max(0))
    }
}

crate::tape::op::saved_ops! {
    "cumprod": CumProd { axis },
    "log_cumsum_exp": LogCumSumExp { axis },
    "cum_argmax": CumArgMax { axis },
}

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{number, separated, shape_and_axis, tensor};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    let products = shape_and_axis(5).prop_flat_map(|(shape, axis)| {
        // Zeros are where a derivative by division would fail.
        let element = prop_oneof![6 => number(-2.0..2.0), 1 => Just(0.0)];
        prop::collection::vec(element, shape.len())
            .prop_map(move |data| Sample::new(CumProd { axis }, [crate::Tensor::new(shape.clone(), data).into()]))
    });
    let logarithms = shape_and_axis(5).prop_flat_map(|(shape, axis)| {
        tensor(shape, -4.0..4.0).prop_map(move |x| Sample::new(LogCumSumExp { axis }, [x.into()]))
    });
    let indices = shape_and_axis(5).prop_flat_map(|(shape, axis)| {
        separated(shape, 0.25).prop_map(move |x| Sample::new(CumArgMax { axis }, [x.into()]))
    });
    vec![
        Entry::new("cumprod", "`x₀·…·xᵢ` along an axis", products),
        Entry::new("log_cumsum_exp", "`ln(exp x₀ + … + exp xᵢ)` along an axis", logarithms),
        Entry::new("cum_argmax", "the index of the largest element so far along an axis", indices),
    ]
}

#[cfg(test)]
mod tests {
    use crate::check::assert_property;
    use crate::check::strategies::separated;
    use crate::tape::{Graph, Var};
    use crate::tensor::Tensor;
    use proptest::prelude::*;

    fn values(y: Var<'_>) -> Vec<f64> {
        y.graph().eval(y).unwrap().into_vec()
    }

    #[test]
    fn along_each_axis() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from_rows([[1.0, 3.0, 2.0], [4.0, -1.0, 5.0]]));
        assert_eq!(values(x.cumprod(0)), [1.0, 3.0, 2.0, 4.0, -3.0, 10.0]);
        assert_eq!(values(x.cumprod(-1)), [1.0, 3.0, 6.0, 4.0, -4.0, -20.0]);
        assert_eq!(values(x.cummax(0)), [1.0, 3.0, 2.0, 4.0, 3.0, 5.0]);
        assert_eq!(values(x.cummax(1)), [1.0, 3.0, 3.0, 4.0, 4.0, 5.0]);
        assert_eq!(values(x.diff(0)), [3.0, -4.0, 3.0]);
        assert_eq!(values(x.diff(-1)), [2.0, -1.0, -5.0, 6.0]);
        for axis in [0, 1] {
            let direct = graph.eval(x.exp().cumsum(axis).ln()).unwrap();
            graph.eval(x.log_cumsum_exp(axis)).unwrap().assert_close(&direct, 1e-15, 1e-15);
        }
        let none = graph.zeros([2, 0]);
        for y in [none.cumprod(1), none.cummax(1), none.log_cumsum_exp(1), none.diff(1)] {
            assert_eq!(graph.eval(y).unwrap().shape().sizes(), [2, 0]);
        }
    }

    #[test]
    fn nan_ties_and_infinities() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([1.0, 1.0, f64::NAN, 2.0]));
        let largest = values(x.cummax(0));
        assert!(largest[..2] == [1.0, 1.0] && largest[2].is_nan() && largest[3].is_nan());
        let tied = graph.constant(&Tensor::from([1.0, 1.0]));
        let slope = graph.grad(tied.cummax(0).sum(), &[tied]).unwrap()[0];
        assert_eq!(values(slope), [1.0, 1.0]);
        let masked = graph.constant(&Tensor::from([f64::NEG_INFINITY, f64::NEG_INFINITY, 1e4, -1e4]));
        let slope = graph.grad(masked.log_cumsum_exp(0).sum(), &[masked]).unwrap()[0];
        assert_eq!(graph.eval(slope).unwrap().first_non_finite(), None);
    }

    #[test]
    fn gradients() {
        let lines = || (1..6_usize, 1..4_usize).prop_flat_map(|(n, m)| separated([n, m], 0.25).prop_map(|x| vec![x]));
        assert_property(lines(), |x| x[0].cummax(0).square());
        assert_property(lines(), |x| x[0].cumprod(-1) * x[0]);
        assert_property(lines(), |x| x[0].diff(0).square());
        assert_property(lines(), |x| x[0].log_cumsum_exp(0).square());
    }
}
