//! Normalisation over axes: `y = (x − mean)/√(variance + ε)·w + b`, with mean and variance as further outputs.
//!
//! The variance is the biased one, `Σ(x − mean)²/n`, in two passes. With
//! `x̂ = (x − mean)/√(variance + ε)` the derivatives are `Σg·x̂` for `w`, `Σg` for `b`, and for `x`
//! `w/√(variance + ε)·(g − (Σg + x̂·Σg·x̂)/n)`; these three come from one op, in two passes. Mean and variance of no
//! elements are 0, so that an empty batch gives no NaN.
//!
//! If the variance overflows, the output `variance` is ∞, but `y` and the first derivatives are computed from the
//! standard deviation.

mod rows;

use smallvec::SmallVec;

use crate::axes::{Axes, check_axes};
use crate::kernel::parallel::{GRAIN, in_pieces, in_rows};
use crate::kernel::reduce::{Add, Fold, Rows, mean as mean_of, reduce};
use crate::kernel::simd::vectorized;
use crate::real::Real;
use crate::shape::Shape;
use crate::tape::Var;
use crate::tape::op::{Accepts, Call, Derivative, Domain, Form, Meta, Metas, Number, Op, Signature, Vars, Work};
use rows::{Backward, BackwardRows, Centred, Divisor, Forward, ForwardRows, Known, Total, overflown};

/// From `x`, `w` and `b`, over `axes`, which are counted from the first, in order, and have size 1 in all but `x`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Normalize {
    axes: SmallVec<[usize; 4]>,
    eps: Number,
}

/// The cotangents of `x`, `w` and `b` from `x`, `w`, mean, variance and the cotangent of `y`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct NormalizeVjp(Normalize);

impl Normalize {
    /// The shape of mean, variance, `w` and `b`.
    fn kept(&self, shape: &Shape) -> Shape {
        shape.with_ones(|axis| self.axes.contains(&axis))
    }

    /// The divisor of a mean: the number of elements, or 1 if there are none.
    fn count(&self, shape: &Shape) -> f64 {
        self.axes.iter().map(|&axis| shape[axis]).product::<usize>().max(1) as f64
    }

    /// Checks that the shapes of the inputs fit that of `x`.
    fn check_inputs(&self, inputs: &[Meta], names: &[&str]) -> Result<(), String> {
        let shape = &inputs[0].shape;
        check_axes(&self.axes, shape)?;
        let kept = self.kept(shape);
        for (input, name) in inputs[1..].iter().zip(names) {
            let expected = if *name == "cotangent" { shape } else { &kept };
            if input.shape != *expected {
                return Err(format!("the {name} must have shape {expected}"));
            }
        }
        Ok(())
    }

    fn sum<'g>(&self, x: Var<'g>) -> Var<'g> {
        x.sum_resolved(self.axes.clone()).reshape(self.kept(&x.shape()))
    }
}

impl Op for Normalize {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real, Accepts::Real, Accepts::Real]);

    fn name(&self) -> &'static str {
        "normalize"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        self.check_inputs(inputs, &["weight", "bias"])?;
        let kept = Meta::real(self.kept(&inputs[0].shape));
        Ok([inputs[0].clone(), kept.clone(), kept].into_iter().collect())
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        let (x, count) = (inputs[0], self.count(&inputs[0].shape()));
        let mean = self.sum(x) / count;
        let centred = x - mean;
        let variance = self.sum(centred.square()) / count;
        let y = centred * (variance + self.eps.0).rsqrt() * inputs[1] + inputs[2];
        Some([y, mean, variance].into_iter().collect())
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let shape = &work.input_shapes[0];
        let [x, weight, bias] = [0, 1, 2].map(|input| work.inputs[input].real());
        let [y, mean, variance] = work.outputs else { unreachable!("the shape rule gives three outputs") };
        let (y, mean, variance) = (y.real(), mean.real(), variance.real());
        let (count, eps) = (T::of(self.count(shape)), self.eps.real());
        let rows = &Rows::of(shape, &self.axes);
        if x.is_empty() {
            mean_of(x, shape, &self.axes, mean);
            variance.fill(T::zero());
        } else {
            let size = rows.row;
            if rows.are_long_and_in_order() {
                in_rows(y, size, [&mut *mean, &mut *variance], GRAIN, &|first, y, [mean, variance]| {
                    vectorized(ForwardRows { x, weight, bias, y, mean, variance, rows, first, count, eps });
                });
            } else {
                mean_of(x, shape, &self.axes, mean);
                rows.in_pieces(x.len(), variance, &|from, variance| {
                    let terms = Centred { x, g: x, mean, square: true };
                    vectorized(Total { terms, rows, from, totals: variance, divisor: Divisor::Count(count) });
                });
                let variance = &*variance;
                in_pieces(y, GRAIN, size, &|from, y| {
                    let first = from / size;
                    vectorized(Forward { x: &x[from..], weight, bias, y, mean, variance, rows, first, eps });
                });
            }
            overflown(x, rows, mean, variance, count, |first, at, deviation| {
                rows.elements(first, |k| y[k] = (x[k] - mean[at]) / deviation * weight[at] + bias[at]);
            });
        }
        Ok(())
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
        let (x, mean, variance) = (call.x(0), call.outputs[1], call.outputs[2]);
        let (shape, count) = (x.shape(), self.count(&x.shape()));
        let of_y = call.cotangents[0].map(|g| {
            let inputs = [x, call.x(1), mean, variance, g];
            x.graph().apply(NormalizeVjp(self.clone()), &inputs).expect("the shapes are those of the op")[input]
        });
        let of_mean = call.cotangents[1].map(|g| (g / count).broadcast_to(shape));
        let of_variance = call.cotangents[2].map(|g| (x - mean) * (g * (2.0 / count)));
        let others = if input == 0 { [of_mean, of_variance] } else { [None, None] };
        let all = of_y.into_iter().chain(others.into_iter().flatten());
        // Mean and variance do not depend on weight and bias.
        all.reduce(|a, b| a + b).unwrap_or_else(|| x.graph().zeros(call.x(input).shape()))
    }
}

impl Op for NormalizeVjp {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real; 5]);

    fn name(&self) -> &'static str {
        "normalize_vjp"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        self.0.check_inputs(inputs, &["weight", "mean", "variance", "cotangent"])?;
        Ok([&inputs[0], &inputs[1], &inputs[1]].into_iter().cloned().collect())
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        let [x, weight, mean, variance, g] = inputs else { unreachable!("the shape rule takes five inputs") };
        let (scale, count) = ((*variance + self.0.eps.0).rsqrt(), self.0.count(&x.shape()));
        let normal = (*x - *mean) * scale;
        let (of_weight, of_bias) = (self.0.sum(*g * normal), self.0.sum(*g));
        let of_x = (*g - of_bias / count - normal * (of_weight / count)) * (*weight * scale);
        Some([of_x, of_weight, of_bias].into_iter().collect())
    }

    fn derivative(&self, _input: usize) -> Derivative {
        Derivative::Expansion
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let shape = &work.input_shapes[0];
        let [x, weight, mean, variance, g] = [0, 1, 2, 3, 4].map(|input| work.inputs[input].real());
        let [of_x, of_weight, of_bias] = work.outputs else { unreachable!("the shape rule gives three outputs") };
        let (of_x, of_weight, of_bias) = (of_x.real(), of_weight.real(), of_bias.real());
        let (count, eps) = (T::of(self.0.count(shape)), self.0.eps.real());
        let rows = &Rows::of(shape, &self.0.axes);
        if x.is_empty() {
            reduce::<T, Add>(g, shape, &self.0.axes, of_bias);
            of_weight.fill(T::zero());
        } else {
            let known = Known { x, weight, mean, variance, g, rows, count, eps };
            if rows.are_long_and_in_order() {
                in_rows(
                    of_x,
                    rows.row,
                    [&mut *of_weight, &mut *of_bias],
                    GRAIN,
                    &|first, of_x, [of_weight, of_bias]| {
                        vectorized(BackwardRows { known, of_x, of_weight, of_bias, first });
                    },
                );
            } else {
                reduce::<T, Add>(g, shape, &self.0.axes, of_bias);
                rows.in_pieces(x.len(), of_weight, &|from, totals| {
                    let (terms, divisor) = (Centred { x, g, mean, square: false }, Divisor::Deviation(variance, eps));
                    vectorized(Total { terms, rows, from, totals, divisor });
                });
                let (of_weight, of_bias) = (&*of_weight, &*of_bias);
                in_pieces(of_x, GRAIN, rows.row, &|from, of_x| {
                    vectorized(Backward { known, of_x, of_weight, of_bias, first: from / rows.row });
                });
            }
            overflown(x, rows, mean, variance, count, |first, at, deviation| {
                let normal = |k: usize| (x[k] - mean[at]) / deviation;
                let (mut total, mut lost) = (T::zero(), T::zero());
                rows.elements(first, |k| Add::gather(&mut total, &mut lost, g[k] * normal(k)));
                of_weight[at] = Add::finish(total, lost);
                let (scale, shift) = (weight[at] / deviation, of_bias[at] / count);
                rows.elements(first, |k| of_x[k] = (g[k] - shift - normal(k) * of_weight[at] / count) * scale);
            });
        }
        Ok(())
    }

    fn domain(&self, input: usize) -> Domain {
        if input == 3 { Domain::between(-self.0.eps.0, f64::INFINITY) } else { Domain::REAL }
    }
}

impl<'g> Var<'g> {
    /// `(x − mean)/√(variance + eps)·weight + bias` over the given axes, then the mean and the variance, whose axes
    /// are kept with size 1.
    ///
    /// The variance is the biased one, `Σ(x − mean)²/n`, in two passes, so that a large mean does not reduce the
    /// accuracy. Over no elements mean and variance are 0. If the variance overflows it is ∞, but the first output and
    /// its first derivatives are computed from the standard deviation.
    ///
    /// With `x̂ = (x − mean)/√(variance + eps)` the derivatives of the first output are
    /// `weight/√(variance + eps)·(g − (Σg + x̂·Σg·x̂)/n)` for `x`, `Σg·x̂` for the weight and `Σg` for the bias. Batch,
    /// layer, group and instance normalisation (Ioffe and Szegedy 2015; Ba et al. 2016; Wu and He 2018; Ulyanov et al.
    /// 2016) are this op over different axes.
    ///
    /// # Shapes
    /// Weight and bias broadcast to the shape of the mean.
    ///
    /// # Panics
    /// If an axis is out of range or named twice, or weight or bias do not broadcast.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from_rows([[1.0, 3.0], [5.0, 5.0]]));
    /// let [y, mean, variance] = x.normalize(-1, 3.0, graph.scalar(2.0), graph.scalar(0.5));
    /// assert_eq!(graph.eval(y)?, Tensor::from_rows([[-0.5, 1.5], [0.5, 0.5]]));
    /// assert_eq!(graph.eval(mean)?.data(), [2.0, 5.0]);
    /// assert_eq!(graph.eval(variance)?.data(), [1.0, 0.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn normalize(self, axes: impl Into<Axes>, eps: f64, weight: Var<'g>, bias: Var<'g>) -> [Var<'g>; 3] {
        let shape = self.shape();
        let op = Normalize { axes: axes.into().resolve("normalize", &shape), eps: Number(eps) };
        let kept = op.kept(&shape);
        let inputs = [self, weight.broadcast_to(kept.clone()), bias.broadcast_to(kept)];
        match self.graph().apply(op, &inputs) {
            Ok(outputs) => [0, 1, 2].map(|output| outputs[output]),
            Err(error) => error.panic(),
        }
    }
}

crate::tape::op::saved::fields!(Normalize { axes, eps });
crate::tape::op::saved_ops! {
    "normalize": Normalize { axes, eps },
    "normalize_vjp": NormalizeVjp { 0 },
}

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{axes, shape, tensor};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    /// An op, a shape, and that of what it keeps.
    fn ops() -> impl Strategy<Value = (Normalize, Shape, Shape)> {
        shape(5).prop_flat_map(|shape| {
            (axes(shape.rank()), 0.25..2.0_f64).prop_map(move |(axes, eps)| {
                let op = Normalize { axes: axes.into(), eps: Number((eps * 8.0).round() / 8.0) };
                let kept = op.kept(&shape);
                (op, shape.clone(), kept)
            })
        })
    }
    let forward = ops().prop_flat_map(|(op, shape, kept)| {
        let parts = (tensor(shape, -2.0..2.0), tensor(kept.clone(), -2.0..2.0), tensor(kept, -2.0..2.0));
        parts.prop_map(move |(x, w, b)| Sample::new(op.clone(), [x.into(), w.into(), b.into()]))
    });
    let backward = ops().prop_flat_map(|(op, shape, kept)| {
        let of_kept = [0, 1].map(|_| tensor(kept.clone(), -2.0..2.0));
        let parts = (tensor(shape.clone(), -2.0..2.0), of_kept, tensor(kept, -0.125..2.0), tensor(shape, -2.0..2.0));
        parts.prop_map(move |(x, [w, mean], variance, g)| {
            let inputs = [x.into(), w.into(), mean.into(), variance.into(), g.into()];
            Sample::new(NormalizeVjp(op.clone()), inputs)
        })
    });
    vec![
        Entry::new("normalize", "`(x − mean)/√(variance + ε)·w + b` over axes, mean and variance", forward),
        Entry::new("normalize_vjp", "the derivatives of `normalize` with respect to `x`, `w` and `b`", backward)
            .domain("`variance > −ε`"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    /// `y` and the gradient of `Σ y²·c` do not change but by the factor when `x` is scaled, over rows and over columns.
    #[test]
    fn variances_out_of_range_cost_nothing() {
        fn check<T: Real>(factor: f64) {
            let normal = |factor: f64, columns: bool| {
                let graph = Graph::new();
                let table = Tensor::from_rows([[1.0, 2.0, 3.0], [-4.0, 5.0, 0.5]]).map(|x| x * factor);
                let x = graph.constant(&table);
                let (weight, bias) = (graph.scalar(2.0), graph.scalar(0.5));
                let rows = if columns { x.t() } else { x };
                let [y, ..] = rows.normalize(if columns { 0 } else { 1 }, 0.0, weight, bias);
                let y = if columns { y.t() } else { y };
                let weights = graph.constant(&Tensor::from_rows([[1.0, -2.0, 0.5], [3.0, 1.0, 2.0]]));
                let slopes = graph.grad((y.square() * weights).sum(), &[x, weight, bias]).unwrap();
                let all = [y, slopes[0] * factor, slopes[1], slopes[2]];
                let values = graph.eval_with::<T>(&all, &crate::Params::new(0), &crate::Feed::new()).unwrap();
                let values = values.iter().flat_map(|value| value.real().data().iter().map(|x| x.as_f64()));
                values.collect::<Vec<_>>()
            };
            for columns in [false, true] {
                let (expected, found) = (normal(1.0, columns), normal(factor, columns));
                for (found, expected) in found.iter().zip(&expected) {
                    let distance = (found - expected).abs();
                    assert!(
                        distance <= 32.0 * T::EPS * (1.0 + expected.abs()),
                        "{factor:e}: {found} and not {expected}"
                    );
                }
            }
        }
        check::<f32>(1e30);
        check::<f32>(3e37);
        check::<f64>(1e200);
        check::<f64>(1e307);
    }

    /// Layouts with reduced and with kept rows, longer than a block of terms.
    #[test]
    fn kernels_agree_with_their_expansions() {
        let graph = Graph::new();
        let table = |k: usize| ((k * 37) % 101) as f64 / 20.0 - 2.5;
        let cases: [(&[usize], &[usize]); 6] = [
            (&[3, 700], &[1]),
            (&[5, 4, 7], &[0, 2]),
            (&[600, 3], &[0]),
            (&[2, 3, 4, 5], &[1]),
            (&[4], &[]),
            (&[0, 3], &[1]),
        ];
        for (shape, axes) in cases {
            let op = Normalize { axes: axes.into(), eps: Number(0.5) };
            let kept = op.kept(&shape.into());
            let constant =
                |shape: &Shape, seed: usize| graph.constant(&Tensor::from_fn(shape.clone(), |k| table(k * 3 + seed)));
            let [x, g] = [0, 1].map(|seed| constant(&shape.into(), seed));
            let [w, b] = [2, 3].map(|seed| constant(&kept, seed));
            let forward = graph.apply(op.clone(), &[x, w, b]).unwrap();
            let definition = op.expand(&[x, w, b]).unwrap();
            let vjp = NormalizeVjp(op);
            let inputs = [x, w, definition[1], definition[2], g];
            let (backward, back) = (graph.apply(vjp.clone(), &inputs).unwrap(), vjp.expand(&inputs).unwrap());
            // And the derivative that the graph finds by itself.
            let own = graph.vjp(&definition, &[g, w, b], &[x, w, b]).unwrap();
            let ours = graph.vjp(&forward, &[g, w, b], &[x, w, b]).unwrap();
            let pairs = forward.iter().zip(&definition).chain(backward.iter().zip(&back)).chain(ours.iter().zip(&own));
            for (a, b) in pairs {
                let (a, b) = (graph.eval(*a).unwrap(), graph.eval(*b).unwrap());
                assert_eq!(a.shape(), b.shape());
                assert!(a.data().iter().zip(b.data()).all(|(a, b)| (a - b).abs() < 1e-12 * (1.0 + b.abs())));
            }
        }
    }

    /// Rows with a mean of their own, by the passes over all of a tensor with the same rows.
    #[test]
    fn rows_have_the_bits_of_passes() {
        fn bits<T: Real>(x: &[T]) -> Vec<u64> {
            x.iter().map(|x| x.as_f64().to_bits()).collect()
        }
        fn check<T: Real>() {
            for size in [17, 32, 100, 256, 257, 300, 1100] {
                let (count, eps) = (T::of(size as f64), T::of(1e-3));
                let numbers = |seed: usize| -> Vec<T> {
                    (0..5 * size).map(|k| T::of(((k * 7919 + seed) % 1013) as f64 / 100.0 - 3.0)).collect()
                };
                let (shape, [x, g]) = (Shape::from([5, size]), [13, 177].map(numbers));
                let (weight, bias) = (&numbers(1)[..5], &numbers(2)[..5]);
                let rows = &Rows::of(&shape, &[1]);
                assert!(rows.are_long_and_in_order());
                let [mut y, mut of_y] = [(); 2].map(|()| vec![T::zero(); x.len()]);
                let [mut mean, mut variance, mut of_mean, mut of_variance] = [(); 4].map(|()| vec![T::zero(); 5]);
                vectorized(ForwardRows {
                    x: &x,
                    weight,
                    bias,
                    y: &mut y,
                    mean: &mut mean,
                    variance: &mut variance,
                    rows,
                    first: 0,
                    count,
                    eps,
                });
                mean_of(&x, &shape, &[1], &mut of_mean);
                let terms = Centred { x: &x, g: &x, mean: &of_mean, square: true };
                let divisor = Divisor::Count(count);
                vectorized(Total { terms, rows, from: 0, totals: &mut of_variance, divisor });
                let (mean, variance) = (&mean, &variance);
                vectorized(Forward { x: &x, weight, bias, y: &mut of_y, mean, variance, rows, first: 0, eps });
                let found = [&y, mean, variance].map(|all| bits(all));
                assert_eq!(found, [&of_y, &of_mean, &of_variance].map(|all| bits(all)), "{size}");

                let known = Known { x: &x, weight, mean, variance, g: &g, rows, count, eps };
                let [mut of_weight, mut of_bias, mut weights, mut biases] = [(); 4].map(|()| vec![T::zero(); 5]);
                let (own, other) = (&mut y, &mut of_y);
                vectorized(BackwardRows {
                    known,
                    of_x: own,
                    of_weight: &mut of_weight,
                    of_bias: &mut of_bias,
                    first: 0,
                });
                reduce::<T, Add>(&g, &shape, &[1], &mut biases);
                let terms = Centred { x: &x, g: &g, mean, square: false };
                let divisor = Divisor::Deviation(variance, eps);
                vectorized(Total { terms, rows, from: 0, totals: &mut weights, divisor });
                vectorized(Backward { known, of_x: other, of_weight: &weights, of_bias: &biases, first: 0 });
                let found = [&y, &of_weight, &of_bias].map(|all| bits(all));
                assert_eq!(found, [&of_y, &weights, &biases].map(|all| bits(all)), "{size}");
            }
        }
        check::<f32>();
        check::<f64>();
    }

    #[test]
    fn a_large_mean_costs_no_digits() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([1e9 + 1.0, 1e9 + 3.0]));
        let [y, _, variance] = x.normalize(0, 0.0, graph.scalar(1.0), graph.scalar(0.0));
        assert_eq!(graph.eval(y).unwrap().data(), [-1.0, 1.0]);
        assert_eq!(graph.eval(variance).unwrap().data(), [1.0]);
    }
}
