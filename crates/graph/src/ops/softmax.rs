//! `softmax(x)ᵢ = exp(xᵢ)/Σⱼ exp(xⱼ)` along an axis, its logarithm, and `logsumexp(x) = ln Σⱼ exp(xⱼ)`.
//!
//! Derivatives: `y·(g − Σ g·y)`, `g − exp(y)·Σ g` and `softmax(x)·g`. They are accurate where one element has nearly
//! all the weight: the first uses `g` minus that of the largest element, which differs only in rounding, and the second
//! is computed as `−expm1(y)·g − exp(y)·(Σ g − g)`. The sum of exponentials leaves out the 1 of the largest element, so
//! that its logarithm is accurate where the others are small. Second derivatives of softmax are within a few roundings
//! of the largest of them.
//!
//! Kernels work on rows; another axis is permuted to the last.

use smallvec::SmallVec;

use crate::axes::{Axes, resolve_axis};
use crate::kernel::across::{ACROSS, LONGEST, Tile, groups, one_by_one};
use crate::kernel::parallel::in_pieces;
use crate::kernel::reduce::{Add, fold_row};
use crate::kernel::simd::{Loop, vectorized};
use crate::kernel::softmax::{ln_sum_of_exp, ln_sums_of_exp, shift, shifts, softmax_row, softmax_tile};
use crate::real::Real;
use crate::tape::Var;
use crate::tape::op::reduction::reduction;
use crate::tape::op::{Accepts, Call, Derivative, Form, Meta, Metas, Op, Signature, Vars, Work};

/// The elements that are worth a thread, several microseconds.
const GRAIN: usize = 1 << 12;

/// Along the last axis.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Softmax;

/// The cotangent of softmax's input from its output `y` and the cotangent of that: `y·(g·Σ y − Σ g·y)`, in one pass.
///
/// `Σ y` is 1. With it the formula does not change when a number is added to all of `g`, whatever `y` is.
#[derive(Debug, PartialEq, Eq, Hash)]
struct SoftmaxVjp;

/// Along the last axis.
#[derive(Debug, PartialEq, Eq, Hash)]
struct LogSoftmax;

/// Along the last axis, which disappears.
#[derive(Debug, PartialEq, Eq, Hash)]
struct LogSumExp;

/// Checks that the inputs have one shape, with a last axis.
fn check_rows(inputs: &[Meta]) -> Result<(), String> {
    if inputs.iter().any(|input| input.shape != inputs[0].shape) {
        return Err("the shapes differ".into());
    }
    if inputs[0].shape.rank() == 0 { Err("a scalar has no axis".into()) } else { Ok(()) }
}

/// Rows minus their largest elements, from which the expansions start; `None` for rows without elements.
fn shifted(x: Var<'_>) -> Option<Var<'_>> {
    let some = x.shape().last().is_some_and(|&size| size > 0);
    some.then(|| x - x.max_keep(-1).stop_gradient())
}

/// Work on one row, which makes another row or one number.
trait RowWise {
    /// Fills `y` from `x`; marked `#[inline(always)]`.
    fn row<T: Real>(x: &[T], y: &mut [T]);

    /// The same for the rows of a tile, whose results it returns in `y`; marked `#[inline(always)]`.
    fn tile<T: Real>(x: &mut Tile<T>, y: &mut Tile<T>);
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

/// All rows of `x`, `size[0]` elements each, and those of `y`, `size[1]` each.
struct Rows<'a, T, R> {
    x: &'a [T],
    y: &'a mut [T],
    size: [usize; 2],
    work: std::marker::PhantomData<R>,
}

impl<T: Real, R: RowWise> Loop for Rows<'_, T, R> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x, y, size, .. } = self;
        let rows = y.len() / size[1];
        if size[0] > LONGEST {
            for row in 0..rows {
                R::row(&x[row * size[0]..][..size[0]], &mut y[row * size[1]..][..size[1]]);
            }
            return;
        }
        let (mut from, mut to) = (Tile::new(size[0]), Tile::new(size[1]));
        for (first, end) in groups(rows) {
            from.load(&x[first * size[0]..end * size[0]]);
            R::tile(&mut from, &mut to);
            to.store(&mut y[first * size[1]..end * size[1]]);
        }
    }
}

fn by_rows<R: RowWise, T: Real>(work: &mut Work<'_, '_, T>, reduces: bool) {
    let (x, y) = (work.inputs[0].real(), work.outputs[0].real());
    let size = *work.input_shapes[0].last().expect("a scalar was refused");
    if size > 0 {
        let size = [size, if reduces { 1 } else { size }];
        in_pieces(y, GRAIN / if reduces { size[0] } else { 1 }, size[1], &|start, y| {
            let x = &x[start / size[1] * size[0]..];
            vectorized(Rows::<T, R> { x, y, size, work: std::marker::PhantomData });
        });
    } else {
        y.fill(T::neg_infinity());
    }
}

impl Op for Softmax {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

    fn name(&self) -> &'static str {
        "softmax"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        check_rows(inputs)?;
        Ok(smallvec::smallvec![inputs[0].clone()])
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        let terms = shifted(inputs[0])?.exp();
        Some(smallvec::smallvec![terms / terms.sum_keep(-1)])
    }

    fn is_separable(&self, inputs: &[Meta]) -> bool {
        inputs[0].shape.rank() > 1
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        by_rows::<Self, T>(work, false);
        Ok(())
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        call.y().graph().call(SoftmaxVjp, &[call.y(), call.g()])
    }
}

impl Op for SoftmaxVjp {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real, Accepts::Real]);

    fn name(&self) -> &'static str {
        "softmax_vjp"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        check_rows(inputs)?;
        Ok(smallvec::smallvec![inputs[0].clone()])
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        let (y, g) = (inputs[0], inputs[1]);
        Some(smallvec::smallvec![y * (g * y.sum_keep(-1) - (y * g).sum_keep(-1))])
    }

    fn derivative(&self, _input: usize) -> Derivative {
        Derivative::Expansion
    }

    fn is_separable(&self, inputs: &[Meta]) -> bool {
        inputs[0].shape.rank() > 1
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let [y, g] = [work.inputs[0].real(), work.inputs[1].real()];
        let size = *work.input_shapes[0].last().expect("a scalar was refused");
        if size > 0 {
            in_pieces(work.outputs[0].real(), GRAIN, size, &|start, x| {
                vectorized(SoftmaxVjpRows { y: &y[start..], g: &g[start..], x, size });
            });
        }
        Ok(())
    }
}

struct SoftmaxVjpRows<'a, T> {
    y: &'a [T],
    g: &'a [T],
    x: &'a mut [T],
    size: usize,
}

impl<T: Real> Loop for SoftmaxVjpRows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { y, g, x, size } = self;
        if size <= LONGEST {
            let [mut of_y, mut of_g, mut of_x] = [(); 3].map(|()| Tile::new(size));
            for (first, end) in groups(x.len() / size) {
                of_y.load(&y[first * size..end * size]);
                of_g.load(&g[first * size..end * size]);
                softmax_vjp_tile(&mut of_y, &mut of_g, &mut of_x);
                of_x.store(&mut x[first * size..end * size]);
            }
            return;
        }
        for row in 0..x.len() / size {
            let row = row * size..(row + 1) * size;
            softmax_vjp_row(&y[row.clone()], &g[row.clone()], &mut x[row]);
        }
    }
}

#[inline(always)]
fn softmax_vjp_row<T: Real>(y: &[T], g: &[T], x: &mut [T]) {
    let size = y.len();
    let (g, x) = (&g[..size], &mut x[..size]);
    // Minus the cotangent of the element with most of the weight, so that there is no cancellation.
    for i in 0..size {
        x[i] = if y[i] > T::of(0.5) { g[i] } else { T::zero() };
    }
    let base = fold_row::<T, Add>(x);
    let base = if base.is_finite() { base } else { T::zero() };
    for i in 0..size {
        x[i] = y[i] * (g[i] - base);
    }
    let (total, weight) = (fold_row::<T, Add>(x), fold_row::<T, Add>(y));
    for i in 0..size {
        x[i] = y[i] * ((g[i] - base) * weight - total);
    }
}

/// [`softmax_vjp_row`] of each row of tiles.
#[inline(always)]
fn softmax_vjp_tile<T: Real>(y: &mut Tile<T>, g: &mut Tile<T>, x: &mut Tile<T>) {
    let size = y.columns().len();
    let (half, zero) = (T::of(0.5), T::zero());
    let weights = y.fold::<Add>();
    let (y, g) = (y.columns(), g.columns());
    for i in 0..size {
        one_by_one();
        for row in 0..ACROSS {
            x.columns()[i][row] = if y[i][row] > half { g[i][row] } else { zero };
        }
    }
    let mut bases = x.fold::<Add>();
    for row in 0..ACROSS {
        bases[row] = if bases[row].is_finite() { bases[row] } else { zero };
    }
    for i in 0..size {
        one_by_one();
        for row in 0..ACROSS {
            x.columns()[i][row] = y[i][row] * (g[i][row] - bases[row]);
        }
    }
    let totals = x.fold::<Add>();
    for i in 0..size {
        one_by_one();
        for row in 0..ACROSS {
            x.columns()[i][row] = y[i][row] * ((g[i][row] - bases[row]) * weights[row] - totals[row]);
        }
    }
}

impl Op for LogSoftmax {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

    fn name(&self) -> &'static str {
        "log_softmax"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        check_rows(inputs)?;
        Ok(smallvec::smallvec![inputs[0].clone()])
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        let x = shifted(inputs[0])?;
        Some(smallvec::smallvec![x - x.exp().sum_keep(-1).ln()])
    }

    fn is_separable(&self, inputs: &[Meta]) -> bool {
        inputs[0].shape.rank() > 1
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        by_rows::<Self, T>(work, false);
        Ok(())
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        let (y, g) = (call.y(), call.g());
        -(y.exp_m1() * g) - y.exp() * (g.sum_keep(-1) - g)
    }
}

impl Op for LogSumExp {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

    fn name(&self) -> &'static str {
        "logsumexp"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        check_rows(inputs)?;
        let shape = &inputs[0].shape;
        Ok(smallvec::smallvec![Meta::real(&shape[..shape.rank() - 1])])
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        let (x, largest) = (shifted(inputs[0])?, inputs[0].max_axes(-1).stop_gradient());
        Some(smallvec::smallvec![largest + x.exp().sum_axes(-1).ln()])
    }

    fn is_separable(&self, inputs: &[Meta]) -> bool {
        inputs[0].shape.rank() > 1
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        by_rows::<Self, T>(work, true);
        Ok(())
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        call.x(0).softmax(-1) * call.g().unsqueeze(-1)
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
        let axis = resolve_axis("softmax", axis, &self.shape()) as isize;
        self.graph().call(Softmax, &[self.transpose(axis, -1)]).transpose(axis, -1)
    }

    /// The logarithm of [`Var::softmax`], `xᵢ − ln Σⱼ exp(xⱼ)`, without overflow and with full accuracy.
    ///
    /// It is −∞ for elements of −∞. The derivative is `g − softmax(x)·Σ g`.
    ///
    /// # Panics
    /// If the axis is out of range.
    #[track_caller]
    pub fn log_softmax(self, axis: isize) -> Var<'g> {
        let axis = resolve_axis("log_softmax", axis, &self.shape()) as isize;
        self.graph().call(LogSoftmax, &[self.transpose(axis, -1)]).transpose(axis, -1)
    }

    #[track_caller]
    fn logsumexp_resolved(self, axes: SmallVec<[usize; 4]>) -> Var<'g> {
        self.graph().call(LogSumExp, &[self.reduced_axes_last(&axes)])
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

crate::tape::op::saved_ops! {
    "softmax": Softmax {},
    "softmax_vjp": SoftmaxVjp {},
    "log_softmax": LogSoftmax {},
    "log_sum_exp": LogSumExp {},
}

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{shape, tensor};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    /// `N` tensors of one shape with a last axis.
    fn rows<const N: usize>() -> impl Strategy<Value = [crate::Tensor<f64>; N]> {
        (shape(3), 0..5_usize).prop_flat_map(|(rows, size)| {
            let shape = rows.iter().copied().chain([size]).collect::<crate::Shape>();
            std::array::from_fn(|_| tensor(shape.clone(), -4.0..4.0))
        })
    }
    vec![
        Entry::new(
            "softmax",
            "`exp xᵢ / Σⱼ exp xⱼ` along the last axis",
            rows().prop_map(|[x]| Sample::new(Softmax, [x.into()])),
        ),
        Entry::new(
            "softmax_vjp",
            "`y·(g·Σ y − Σ g·y)` along the last axis, the derivative of `softmax`",
            rows().prop_map(|[y, g]| Sample::new(SoftmaxVjp, [y.into(), g.into()])),
        ),
        Entry::new(
            "log_softmax",
            "`xᵢ − ln Σⱼ exp xⱼ` along the last axis",
            rows().prop_map(|[x]| Sample::new(LogSoftmax, [x.into()])),
        ),
        Entry::new(
            "logsumexp",
            "`ln Σ exp x` over the last axis",
            rows().prop_map(|[x]| Sample::new(LogSumExp, [x.into()])),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::check::assert_property;
    use crate::check::strategies::{alike, tensor};
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    const NONE: f64 = f64::NEG_INFINITY;

    fn cube() -> impl Strategy<Value = Vec<Tensor<f64>>> {
        prop::collection::vec(0..4_usize, 3)
            .prop_flat_map(|shape| vec![tensor(shape.clone(), -3.0..3.0), tensor(shape, -3.0..3.0)])
    }

    /// Rows of numbers that are hard to add or to compare, of one size.
    fn rows() -> impl Strategy<Value = (usize, Vec<f64>)> {
        let number = prop_oneof![
            6 => -3.0..3.0_f64,
            2 => prop::sample::select(&[0.0, -0.0, 1.0, 800.0, f64::NEG_INFINITY][..]),
            1 => prop::sample::select(&[f64::NAN, f64::INFINITY][..]),
        ];
        (1..=LONGEST, 0..40_usize)
            .prop_flat_map(move |(size, rows)| (Just(size), prop::collection::vec(number.clone(), size * rows)))
    }

    fn bits<T: Real>(values: &[T]) -> Vec<Option<u64>> {
        // Which NaN comes out is left open.
        values.iter().map(|value| (!value.is_nan()).then(|| value.as_f64().to_bits())).collect()
    }

    /// What rows side by side give and what they give one by one.
    fn both<R: RowWise, T: Real>(x: &[T], size: [usize; 2]) -> [Vec<Option<u64>>; 2] {
        let mut results = [(); 2].map(|()| vec![T::of(7.0); x.len() / size[0] * size[1]]);
        vectorized(Rows::<T, R> { x, y: &mut results[0], size, work: std::marker::PhantomData });
        for (x, y) in x.chunks(size[0]).zip(results[1].chunks_mut(size[1])) {
            R::row(x, y);
        }
        results.map(|result| bits(&result))
    }

    fn side_by_side_as_one_by_one<T: Real>(size: usize, rows: &[f64]) {
        let x: Vec<T> = rows.iter().map(|&x| T::of(x)).collect();
        let all = [
            both::<Softmax, T>(&x, [size, size]),
            both::<LogSoftmax, T>(&x, [size, size]),
            both::<LogSumExp, T>(&x, [size, 1]),
        ];
        all.iter().for_each(|[across, alone]| assert_eq!(across, alone));
        let g: Vec<T> = x.iter().rev().copied().collect();
        let mut results = [(); 2].map(|()| vec![T::of(7.0); x.len()]);
        vectorized(SoftmaxVjpRows { y: &x, g: &g, x: &mut results[0], size });
        for ((y, g), x) in x.chunks(size).zip(g.chunks(size)).zip(results[1].chunks_mut(size)) {
            softmax_vjp_row(y, g, x);
        }
        assert_eq!(bits(&results[0]), bits(&results[1]));
    }

    proptest! {
        #[test]
        fn rows_side_by_side_have_the_bits_of_one((size, rows) in rows()) {
            side_by_side_as_one_by_one::<f32>(size, &rows);
            side_by_side_as_one_by_one::<f64>(size, &rows);
        }
    }

    #[test]
    fn gradients_along_every_axis() {
        for axis in 0..3 {
            assert_property(cube(), |x| x[0].softmax(axis) * x[1]);
            assert_property(cube(), |x| x[0].log_softmax(axis) * x[1]);
        }
        assert_property(cube(), |x| x[0].softmax(-1).softmax(0));
    }

    #[test]
    fn gradients_of_logsumexp_over_any_axes() {
        let full =
            || prop::collection::vec(1..4_usize, 3).prop_flat_map(|s| tensor(s, -3.0..3.0).prop_map(|x| vec![x]));
        assert_property(full(), |x| x[0].logsumexp());
        assert_property(full(), |x| x[0].logsumexp_axes(0).square());
        assert_property(full(), |x| x[0].logsumexp_axes([2, 0]).square());
        assert_property(full(), |x| x[0] * x[0].logsumexp_keep([0, 1]));
        assert_property(alike(1, -3.0..3.0), |x| x[0].unsqueeze(0).logsumexp_axes(0));
    }

    /// Where one element has nearly all the weight, the slopes of all are small and keep their digits.
    #[test]
    fn saturated_rows_keep_their_digits() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([0.0, -40.0, -50.0]));
        let g = graph.constant(&Tensor::from([3.0, 1.0, -2.0]));
        // With p = exp(-40), q = exp(-50), which are all that counts to 16 digits:
        let (p, q) = ((-40.0_f64).exp(), (-50.0_f64).exp());
        let close = |y: Var<'_>, expected: [f64; 3]| {
            graph.eval(y).unwrap().assert_close(&Tensor::from(expected), 1e-14, 0.0);
        };
        close(graph.vjp(&[x.softmax(0)], &[g], &[x]).unwrap()[0], [2.0 * p + 5.0 * q, -2.0 * p, -5.0 * q]);
        close(
            graph.vjp(&[x.log_softmax(0)], &[g], &[x]).unwrap()[0],
            [3.0 * (p + q) + 1.0, 1.0 - 2.0 * p, -2.0 - 2.0 * q],
        );
        let own = graph.vjp(&[x.log_softmax(0)], &[graph.constant(&Tensor::from([1.0, 0.0, 0.0]))], &[x]).unwrap()[0];
        close(own, [p + q, -p, -q]);
        close(x.log_softmax(0), [-(p + q), -40.0, -50.0]);
        assert_eq!(graph.eval(x.logsumexp()).unwrap().item(), p + q);
    }

    #[test]
    fn large_and_infinite_elements() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from_rows([[1e4, -1e4, 1e4], [0.0, NONE, 0.0], [NONE, NONE, NONE]]));
        let value = |y| graph.eval(y).unwrap().into_vec();
        let softmax = [0.5, 0.0, 0.5, 0.5, 0.0, 0.5, 0.0, 0.0, 0.0];
        assert_eq!(value(x.softmax(1)), softmax);
        let half = 0.5_f64.ln();
        let log = [half, half - 2e4, half, half, NONE, half, NONE, NONE, NONE];
        assert!(value(x.log_softmax(1)).iter().zip(log).all(|(a, b)| *a == b || (a - b).abs() < 1e-11));
        assert_eq!(value(x.logsumexp_axes(1)), [1e4 - half, -half, NONE]);
        assert_eq!(value(graph.grad(x.logsumexp_axes(1).sum(), &[x]).unwrap()[0]), softmax);
        assert!(value(graph.grad(x.softmax(1).square().sum(), &[x]).unwrap()[0]).iter().all(|g| g.is_finite()));
        assert!(value(graph.grad(x.log_softmax(1).sum(), &[x]).unwrap()[0]).iter().all(|g| g.is_finite()));
        let infinite = graph.constant(&Tensor::from([0.0, f64::INFINITY]));
        assert_eq!(value(infinite.logsumexp()), [f64::INFINITY]);
        assert!(value(graph.constant(&Tensor::from([0.0, f64::NAN])).softmax(0)).iter().all(|y| y.is_nan()));
    }

    #[test]
    fn no_elements() {
        let graph = Graph::new();
        assert_eq!(graph.eval(graph.zeros([2, 0]).softmax(1)).unwrap().shape().sizes(), [2, 0]);
        assert_eq!(graph.eval(graph.zeros([2, 0]).logsumexp_axes(1)).unwrap().data(), [NONE, NONE]);
        assert_eq!(graph.eval(graph.zeros([0, 3]).log_softmax(1)).unwrap().shape().sizes(), [0, 3]);
    }

    #[test]
    fn kernels_agree_with_their_definitions() {
        let graph = Graph::new();
        let table = |k: usize| ((k * 37) % 101) as f64 / 10.0 - 5.0;
        for shape in [vec![3, 700], vec![2, 2, 5], vec![1], vec![4, 1], vec![0, 3]] {
            let x = graph.constant(&Tensor::from_fn(shape.clone(), table));
            let g = graph.constant(&Tensor::from_fn(shape.clone(), |k| table(k * 3 + 1)));
            agree(&graph, Softmax, &[x]);
            agree(&graph, LogSoftmax, &[x]);
            agree(&graph, LogSumExp, &[x]);
            agree(&graph, SoftmaxVjp, &[x.softmax(-1), g]);
            // The derivatives of the definitions, which the graph finds by itself.
            let own = graph.vjp(&[x.softmax(-1), x.log_softmax(-1)], &[g, g], &[x]).unwrap()[0];
            let expanded = [Softmax.expand(&[x]).unwrap()[0], LogSoftmax.expand(&[x]).unwrap()[0]];
            close(&graph, own, graph.vjp(&expanded, &[g, g], &[x]).unwrap()[0]);
        }
    }

    fn agree<O: Op>(graph: &Graph, op: O, inputs: &[Var<'_>]) {
        let definition = op.expand(inputs).unwrap()[0];
        close(graph, graph.call(op, inputs), definition);
    }

    fn close(graph: &Graph, a: Var<'_>, b: Var<'_>) {
        let (a, b) = (graph.eval(a).unwrap(), graph.eval(b).unwrap());
        assert_eq!(a.shape(), b.shape());
        assert!(a.data().iter().zip(b.data()).all(|(a, b)| (a - b).abs() < 1e-12 * (1.0 + b.abs())));
    }
}
