//! `softmax(x)ᵢ = exp(xᵢ)/Σⱼ exp(xⱼ)` along an axis, its logarithm, and `logsumexp(x) = ln Σⱼ exp(xⱼ)`.
//!
//! Derivatives: `y·(g − Σ g·y)`, `g − exp(y)·Σ g` and `softmax(x)·g`. They are accurate where one element has nearly
//! all the weight: the first uses `g` minus that of the largest element, which differs only in rounding, and the second
//! is computed as `−expm1(y)·g − exp(y)·(Σ g − g)`. The sum of exponentials leaves out the 1 of the largest element, so
//! that its logarithm is accurate where the others are small. Second derivatives of softmax are within a few roundings
//! of the largest of them.
//!
//! Kernels work on rows along an axis. Short ones lie side by side where other axes follow, and are read as columns, where
//! they are; long ones, and those of few columns, are permuted to the last axis before.

mod log;
mod log_sum_exp;
mod plain;
mod vjp;

use crate::axes::resolve_axis;
use crate::kernel::across::{ACROSS, LONGEST, Tile, groups};
use crate::kernel::parallel::{Columns, in_columns, in_pieces};
use crate::kernel::simd::{Loop, vectorized};
use crate::real::Real;
use crate::shape::Shape;
use crate::tape::Var;
use crate::tape::op::saved::{Attributes, Ops, SavedOp};
use crate::tape::op::{Meta, Metas, Op, Work};
use log::LogSoftmax;
use log_sum_exp::LogSumExp;
use plain::Softmax;
use vjp::SoftmaxVjp;

/// The elements that are worth a thread, several microseconds.
const GRAIN: usize = 1 << 12;

/// The output of inputs of one shape, with an axis along which rows lie and `after` others after it: that shape.
fn rows_like(inputs: &[Meta], after: usize) -> Result<Metas, String> {
    let shape = &inputs[0].shape;
    if inputs.iter().any(|input| input.shape != *shape) {
        return Err("the shapes differ".into());
    }
    match shape.rank().checked_sub(after.saturating_add(1)) {
        None if after == 0 => Err("a scalar has no axis".into()),
        None => Err(format!("{after} axes come after none of {}", shape.rank())),
        Some(axis) if after > 0 && shape[axis] > LONGEST => {
            Err(format!("rows of {} elements lie side by side; at most {LONGEST} may", shape[axis]))
        }
        Some(_) => Ok(smallvec::smallvec![inputs[0].clone()]),
    }
}

/// How many axes come after the one along which rows lie, if kernels take them as they lie there.
fn after(shape: &Shape, axis: usize) -> Option<usize> {
    let columns: usize = shape[axis + 1..].iter().product();
    (axis + 1 == shape.rank() || shape[axis] <= LONGEST && columns >= ACROSS).then(|| shape.rank() - 1 - axis)
}

/// A row-wise op along an axis of `x`; `op` takes how many axes come after it.
#[track_caller]
fn along<'g, O: Op>(x: Var<'g>, name: &str, axis: isize, op: impl Fn(usize) -> O) -> Var<'g> {
    let (graph, shape) = (x.graph(), x.shape());
    let axis = resolve_axis(name, axis, &shape);
    match after(&shape, axis) {
        Some(after) => graph.call(op(after), &[x]),
        None => {
            let axis = axis as isize;
            graph.call(op(0), &[x.transpose(axis, -1)]).transpose(axis, -1)
        }
    }
}

/// The axis that `after` others come after, as callers count.
fn axis(after: usize) -> isize {
    -1 - after as isize
}

/// Whether rows along an axis with `after` others after it stay whole where the first axis is cut.
fn is_separable(inputs: &[Meta], after: usize) -> bool {
    inputs[0].shape.rank() > 1 + after
}

/// Rows minus their largest elements, from which the expansions start; `None` for rows without elements.
fn shifted(x: Var<'_>, after: usize) -> Option<Var<'_>> {
    let shape = x.shape();
    let some = shape.rank().checked_sub(1 + after).is_some_and(|axis| shape[axis] > 0);
    some.then(|| x - x.max_keep(axis(after)).stop_gradient())
}

/// Work on one row, which makes another row or one number.
trait RowWise {
    /// Fills `y` from `x`; marked `#[inline(always)]`.
    fn row<T: Real>(x: &[T], y: &mut [T]);

    /// The same for the rows of a tile, whose results it returns in `y`; marked `#[inline(always)]`.
    fn tile<T: Real>(x: &mut Tile<T>, y: &mut Tile<T>);
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

/// Rows that lie side by side, `columns` of a matrix, in the columns `y`.
struct SideBySide<'a, T, R> {
    x: &'a [T],
    y: Columns<'a, T>,
    size: [usize; 2],
    columns: usize,
    work: std::marker::PhantomData<R>,
}

impl<T: Real, R: RowWise> Loop for SideBySide<'_, T, R> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x, mut y, size, columns, .. } = self;
        let (mut from, mut to) = (Tile::new(size[0]), Tile::new(size[1]));
        for (matrix, group) in y.groups(ACROSS) {
            from.load_columns(&x[matrix * size[0] * columns + group.start..], columns, group.len());
            R::tile(&mut from, &mut to);
            for i in 0..size[1] {
                to.store_column(i, y.row(matrix, i, group.clone()));
            }
        }
    }
}

/// The elements of a row along the axis with `after` others after it, and how many lie side by side.
fn sizes(shape: &Shape, after: usize) -> [usize; 2] {
    let axis = shape.rank() - 1 - after;
    [shape[axis], shape[axis + 1..].iter().product()]
}

fn by_rows<R: RowWise, T: Real>(work: &mut Work<'_, '_, T>, after: usize, reduces: bool) {
    let (x, y) = (work.inputs[0].real(), work.outputs[0].real());
    let [size, columns] = sizes(&work.input_shapes[0], after);
    let grain = GRAIN / if reduces { size.max(1) } else { 1 };
    match (size, after) {
        (0, _) => y.fill(T::neg_infinity()),
        (size, 0) => {
            let size = [size, if reduces { 1 } else { size }];
            in_pieces(y, grain, size[1], &|start, y| {
                let x = &x[start / size[1] * size[0]..];
                vectorized(Rows::<T, R> { x, y, size, work: std::marker::PhantomData });
            });
        }
        (size, _) => {
            let size = [size, if reduces { 1 } else { size }];
            in_columns(y, [size[1], columns], grain, ACROSS, &|y| {
                vectorized(SideBySide::<T, R> { x, y, size, columns, work: std::marker::PhantomData });
            });
        }
    }
}

/// Writes the ops and reads them; before the second version rows were along the last axis.
macro_rules! saved_along {
    ($($name:literal: $op:ident),*) => {
        $(impl SavedOp for $op {
            const SAVED_AS: &'static str = $name;
            const VERSION: u32 = 2;

            fn attributes(&self) -> Attributes {
                Attributes::new().with("after", &self.after)
            }

            fn from_attributes(attributes: &Attributes, version: u32) -> Result<Self, String> {
                Ok(Self { after: if version < 2 { 0 } else { attributes.get("after")? } })
            }
        })*

        /// Adds the ops that files may hold.
        pub(super) fn saved(ops: Ops) -> Ops {
            ops$(.with::<$op>())*
        }
    };
}

saved_along!("softmax": Softmax, "softmax_vjp": SoftmaxVjp, "log_softmax": LogSoftmax, "log_sum_exp": LogSumExp);

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{shape, tensor};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    /// `N` tensors of one shape with rows along an axis, and how many axes come after it.
    fn rows<const N: usize>() -> impl Strategy<Value = (usize, [crate::Tensor<f64>; N])> {
        (shape(3), 0..5_usize, 0..4_usize).prop_flat_map(|(others, size, after)| {
            let mut sizes: Vec<usize> = others.iter().copied().collect();
            let after = after.min(sizes.len());
            sizes.insert(sizes.len() - after, size);
            let shape: Shape = sizes.into_iter().collect();
            (Just(after), std::array::from_fn(|_| tensor(shape.clone(), -4.0..4.0)))
        })
    }
    vec![
        Entry::new(
            "softmax",
            "`exp xᵢ / Σⱼ exp xⱼ` along an axis",
            rows().prop_map(|(after, [x])| Sample::new(Softmax { after }, [x.into()])),
        ),
        Entry::new(
            "softmax_vjp",
            "`y·(g·Σ y − Σ g·y)` along an axis, the derivative of `softmax`",
            rows().prop_map(|(after, [y, g])| Sample::new(SoftmaxVjp { after }, [y.into(), g.into()])),
        ),
        Entry::new(
            "log_softmax",
            "`xᵢ − ln Σⱼ exp xⱼ` along an axis",
            rows().prop_map(|(after, [x])| Sample::new(LogSoftmax { after }, [x.into()])),
        ),
        Entry::new(
            "logsumexp",
            "`ln Σ exp x` over an axis",
            rows().prop_map(|(after, [x])| Sample::new(LogSumExp { after }, [x.into()])),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::vjp::{SoftmaxVjpRows, softmax_vjp_row};
    use super::*;
    use crate::check::assert_property;
    use crate::check::strategies::{alike, tensor};
    use crate::params::Params;
    use crate::plan::{Feed, Plan};
    use crate::tape::Graph;
    use crate::tape::op::Op;
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

    /// Rows side by side, by the same rows one after another; of several matrices, on several threads.
    #[test]
    fn columns_have_the_bits_of_rows() {
        for (matrices, size, columns) in [(1, 3, 16), (2, 10, 37), (3, 32, 100), (1, 2, 20_000), (3, 7, 5_000)] {
            let graph = Graph::new();
            let number = |k: usize| match k % 101 {
                7 => NONE,
                8 => 800.0,
                k => ((k * 7919 + 13) % 1009) as f64 / 97.0 - 4.0,
            };
            let x = Tensor::from_fn([matrices, size, columns], number);
            let feed = Feed::new().with("x", &x);
            let x = graph.input("x", [matrices, size, columns]);
            let g = (x * 0.5).sin();
            let call = |after: usize, x| {
                let x: [Var<'_>; 2] = x;
                [
                    graph.call(Softmax { after }, &x[..1]),
                    graph.call(LogSoftmax { after }, &x[..1]),
                    graph.call(SoftmaxVjp { after }, &x[..]),
                    graph.call(LogSumExp { after }, &x[..1]),
                ]
            };
            let y = call(1, [x, g]);
            let rows = call(0, [x.transpose(1, 2), g.transpose(1, 2)]);
            let plan = Plan::new(&graph, &[y, rows].concat()).unwrap();
            for threads in [1, 2, 3, 8] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let found = pool.install(|| plan.session::<f64>().run(&Params::new(0), &feed).unwrap().all().to_vec());
                for number in 0..4 {
                    let rows = found[4 + number].real();
                    let rows = if number < 3 { rows.permute([0, 2, 1]) } else { rows.clone() };
                    assert_eq!(found[number].real().shape(), rows.shape());
                    assert_eq!(bits(found[number].real().data()), bits(rows.data()), "{number}: {size}×{columns}");
                }
            }
        }
    }

    #[test]
    fn axes_are_taken_as_they_lie_where_that_pays() {
        let graph = Graph::new();
        let x = graph.input("x", [3, 5, 4, 20]);
        let kernels = |y: Var<'_>| Plan::new(&graph, &[y]).unwrap().summary().units;
        for y in [x.softmax(1), x.log_softmax(2), x.logsumexp_axes([0, 1]), x.logsumexp_axes(-1)] {
            assert_eq!(kernels(y), 1);
        }
        // Few columns, and axes apart from each other.
        let narrow = graph.input("narrow", [30, 4, 5]);
        for y in [narrow.logsumexp_axes(1), x.logsumexp_axes([0, 2])] {
            assert_eq!(kernels(y), 2);
        }
        assert_eq!(x.logsumexp_axes([0, 1]).shape().sizes(), [4, 20]);
        assert_eq!(x.logsumexp_axes([1, 2]).shape().sizes(), [3, 20]);
        let refused = graph.apply(Softmax { after: 2 }, &[graph.input("long", [33, 4, 5])]).unwrap_err().to_string();
        assert!(refused.contains("rows of 33 elements lie side by side; at most 32 may"), "{refused}");
        let refused = graph.apply(Softmax { after: 4 }, &[x]).unwrap_err().to_string();
        assert!(refused.contains("4 axes come after none of 4"), "{refused}");
    }

    #[test]
    fn the_first_version_is_along_the_last_axis() {
        assert_eq!(Softmax::from_attributes(&Attributes::new(), 1), Ok(Softmax { after: 0 }));
        let saved = LogSumExp { after: 2 }.attributes();
        assert_eq!(LogSumExp::from_attributes(&saved, 2), Ok(LogSumExp { after: 2 }));
        Softmax::from_attributes(&Attributes::new(), 2).expect_err("the second version has an attribute");
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
        for shape in [vec![3, 700], vec![2, 2, 5], vec![1], vec![4, 1], vec![0, 3], vec![3, 32, 21], vec![2, 0, 20]] {
            let x = graph.constant(&Tensor::from_fn(shape.clone(), table));
            let g = graph.constant(&Tensor::from_fn(shape.clone(), |k| table(k * 3 + 1)));
            for after in 0..shape.len() {
                let size = shape[shape.len() - 1 - after];
                if size == 0 || after > 0 && size > LONGEST {
                    continue;
                }
                agree(&graph, Softmax { after }, &[x]);
                agree(&graph, LogSoftmax { after }, &[x]);
                agree(&graph, LogSumExp { after }, &[x]);
                agree(&graph, SoftmaxVjp { after }, &[x.softmax(-1), g]);
            }
            // The derivatives of the definitions, which the graph finds by itself.
            let own = graph.vjp(&[x.softmax(-1), x.log_softmax(-1)], &[g, g], &[x]).unwrap()[0];
            let expanded =
                [Softmax { after: 0 }.expand(&[x]).unwrap()[0], LogSoftmax { after: 0 }.expand(&[x]).unwrap()[0]];
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
