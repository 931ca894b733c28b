//! `−ln softmax(x)[label]` for each row of logits, and `−Σᵢ pᵢ·ln softmax(x)ᵢ` for a distribution `p` over the classes.
//!
//! Both are computed from the logits in one pass, `ln Σⱼ exp(xⱼ) − x[label]`. Derivatives:
//! `(softmax(x) − one_hot(label))·g` and `(softmax(x)·Σp − p)·g`.

use crate::kernel::across::{ACROSS, LONGEST, Tile, groups, one_by_one};
use crate::kernel::indices::check_below;
use crate::kernel::parallel::in_pieces;
use crate::kernel::reduce::{Add, fold_row, sum_of};
use crate::kernel::simd::{Loop, vectorized};
use crate::kernel::softmax::{ln_sum_of_exp, ln_sums_of_exp, shift, shifts, softmax_row, softmax_tile};
use crate::real::Real;
use crate::shape::Shape;
use crate::tape::Var;
use crate::tape::op::{Accepts, Call, Derivative, Form, Meta, Metas, Op, Signature, Vars, Work};

/// The elements that are worth a thread, several microseconds.
const GRAIN: usize = 1 << 12;

/// From logits and labels.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CrossEntropy;

/// The cotangent of the logits from logits, labels and the cotangent of the loss: `(softmax(x) − one_hot(label))·g`, in
/// one pass.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CrossEntropyVjp;

/// From logits and probabilities.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CrossEntropyWith;

/// Checks that there is one label for each row of logits.
fn check_label_shapes(logits: &Shape, labels: &Shape) -> Result<(), String> {
    match logits.split_last() {
        None => Err("a scalar has no axis of classes".into()),
        Some((_, rows)) if labels.sizes() != rows => {
            Err(format!("there must be one label a row of logits, labels of shape {}", Shape::from(rows)))
        }
        Some(_) => Ok(()),
    }
}

fn check_label_range<T: Real>(work: &Work<'_, '_, T>) -> Result<(), String> {
    let classes = *work.input_shapes[0].last().expect("a scalar was refused");
    let labels = work.inputs[1].index();
    check_below(labels, &work.input_shapes[1], classes, "label", || format!("{classes} classes"))
}

impl Op for CrossEntropy {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real, Accepts::Index]);

    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        check_label_shapes(&inputs[0].shape, &inputs[1].shape)?;
        Ok(smallvec::smallvec![Meta::real(inputs[1].shape.clone())])
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        let (logits, labels) = (inputs[0], inputs[1]);
        let loss = -logits.log_softmax(-1).take_along(-1, labels.unsqueeze(-1)).squeeze(-1);
        Some(smallvec::smallvec![loss])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        check_label_range(work)?;
        let (logits, labels) = (work.inputs[0].real(), work.inputs[1].index());
        let classes = logits.len() / labels.len().max(1);
        in_pieces(work.outputs[0].real(), GRAIN / classes.max(1), 1, &|from, losses| {
            vectorized(Losses { logits: &logits[from * classes..], labels: &labels[from..], losses, classes });
        });
        Ok(())
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        call.y().graph().call(CrossEntropyVjp, &[call.x(0), call.x(1), call.g()])
    }
}

struct Losses<'a, T> {
    logits: &'a [T],
    labels: &'a [i64],
    losses: &'a mut [T],
    classes: usize,
}

impl<T: Real> Loop for Losses<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { logits, labels, losses, classes } = self;
        let loss = |row: usize, shift: T, log: T| match log == T::neg_infinity() {
            true => T::infinity(),
            false => (shift - logits[row * classes + labels[row] as usize]) + log,
        };
        if classes > LONGEST {
            for row in 0..losses.len() {
                let logits = &logits[row * classes..][..classes];
                let shift = shift(logits);
                losses[row] = loss(row, shift, ln_sum_of_exp(logits, shift));
            }
            return;
        }
        let mut tile = Tile::new(classes);
        for (first, end) in groups(losses.len()) {
            tile.load(&logits[first * classes..end * classes]);
            let shifts = shifts(&mut tile);
            let logs = ln_sums_of_exp(&mut tile, shifts);
            for row in first..end {
                losses[row] = loss(row, shifts[row - first], logs[row - first]);
            }
        }
    }
}

impl Op for CrossEntropyVjp {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real, Accepts::Index, Accepts::Real]);

    fn name(&self) -> &'static str {
        "cross_entropy_vjp"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        check_label_shapes(&inputs[0].shape, &inputs[1].shape)?;
        if inputs[2].shape != inputs[1].shape {
            return Err("labels and cotangent have different shapes".into());
        }
        Ok(smallvec::smallvec![inputs[0].clone()])
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        let (logits, labels, g) = (inputs[0], inputs[1], inputs[2]);
        let classes = *logits.shape().last().expect("a scalar was refused");
        Some(smallvec::smallvec![(logits.softmax(-1) - labels.one_hot(classes)) * g.unsqueeze(-1)])
    }

    fn derivative(&self, _input: usize) -> Derivative {
        Derivative::Expansion
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        check_label_range(work)?;
        let (logits, labels, g) = (work.inputs[0].real(), work.inputs[1].index(), work.inputs[2].real());
        let classes = (logits.len() / labels.len().max(1)).max(1);
        in_pieces(work.outputs[0].real(), GRAIN, classes, &|from, slopes| {
            let first = from / classes;
            let (logits, labels, g) = (&logits[from..], &labels[first..], &g[first..]);
            vectorized(LossSlopes { logits, labels, g, slopes, classes });
        });
        Ok(())
    }
}

struct LossSlopes<'a, T> {
    logits: &'a [T],
    labels: &'a [i64],
    g: &'a [T],
    slopes: &'a mut [T],
    classes: usize,
}

impl<T: Real> Loop for LossSlopes<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { logits, labels, g, slopes, classes } = self;
        let rows = slopes.len() / classes;
        if classes > LONGEST {
            for row in 0..rows {
                let (from, end) = (row * classes, (row + 1) * classes);
                slope_row(&logits[from..end], labels[row] as usize, g[row], &mut slopes[from..end]);
            }
            return;
        }
        let mut tile = Tile::new(classes);
        for (first, end) in groups(rows) {
            tile.load(&logits[first * classes..end * classes]);
            slope_tile(&mut tile, &labels[first..end], &g[first..end]);
            tile.store(&mut slopes[first * classes..end * classes]);
        }
    }
}

#[inline(always)]
fn slope_row<T: Real>(logits: &[T], label: usize, g: T, slopes: &mut [T]) {
    softmax_row(logits, slopes);
    // 1 minus the probability of the label is the sum of the others, without cancellation.
    let own = std::mem::replace(&mut slopes[label], T::zero());
    let others = fold_row::<T, Add>(slopes);
    slopes[label] = slope_of_label(own, others);
    for slope in slopes {
        *slope *= g;
    }
}

/// The slope of a label of probability `own`, from the sum of the others.
#[inline(always)]
fn slope_of_label<T: Real>(own: T, others: T) -> T {
    if own == T::zero() { -T::one() } else { -others }
}

/// [`slope_row`] of each row of a tile, in place.
#[inline(always)]
fn slope_tile<T: Real>(tile: &mut Tile<T>, labels: &[i64], g: &[T]) {
    softmax_tile(tile);
    let (mut own, mut of_loss) = ([T::zero(); ACROSS], [T::zero(); ACROSS]);
    for row in 0..labels.len() {
        own[row] = std::mem::replace(&mut tile.columns()[labels[row] as usize][row], T::zero());
        of_loss[row] = g[row];
    }
    let others = tile.fold::<Add>();
    for row in 0..labels.len() {
        tile.columns()[labels[row] as usize][row] = slope_of_label(own[row], others[row]);
    }
    for column in tile.columns() {
        one_by_one();
        for row in 0..ACROSS {
            column[row] *= of_loss[row];
        }
    }
}

impl Op for CrossEntropyWith {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real, Accepts::Real]);

    fn name(&self) -> &'static str {
        "cross_entropy_with"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        let shape = &inputs[0].shape;
        if shape.rank() == 0 {
            return Err("a scalar has no axis of classes".into());
        }
        if *shape != inputs[1].shape {
            return Err("there must be one probability a logit".into());
        }
        Ok(smallvec::smallvec![Meta::real(&shape[..shape.rank() - 1])])
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        Some(smallvec::smallvec![-(inputs[0].log_softmax(-1) * inputs[1]).sum_axes(-1)])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let classes = *work.input_shapes[0].last().expect("a scalar was refused");
        let (logits, chances) = (work.inputs[0].real(), work.inputs[1].real());
        in_pieces(work.outputs[0].real(), GRAIN / classes.max(1), 1, &|from, losses| {
            let [logits, chances] = [logits, chances].map(|all| &all[from * classes..]);
            vectorized(LossesWith { logits, chances, losses, classes });
        });
        Ok(())
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
        let (logits, chances, g) = (call.x(0), call.x(1), call.g().unsqueeze(-1));
        match input {
            0 => {
                // `softmax(x)·Σp − p` without loss of digits where a probability nears 1.
                let logs = logits.log_softmax(-1);
                (logs.exp_m1() * chances + logs.exp() * (chances.sum_keep(-1) - chances)) * g
            }
            _ => -(logits.log_softmax(-1) * g),
        }
    }
}

struct LossesWith<'a, T> {
    logits: &'a [T],
    chances: &'a [T],
    losses: &'a mut [T],
    classes: usize,
}

impl<T: Real> Loop for LossesWith<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { logits, chances, losses, classes } = self;
        // Without classes there are no rows to write them.
        losses.fill(T::zero());
        let rows = logits.chunks_exact(classes.max(1)).zip(chances.chunks_exact(classes.max(1)));
        for ((row, chances), loss) in rows.zip(losses) {
            let shift = shift(row);
            let log = ln_sum_of_exp(row, shift);
            let log = if log == T::neg_infinity() { T::zero() } else { log };
            *loss = sum_of!(T; row.len(), |from, terms| {
                for ((term, &x), &chance) in terms.iter_mut().zip(&row[from..]).zip(&chances[from..]) {
                    let whole = chance * ((shift - x) + log);
                    *term = if chance == T::zero() { T::zero() } else { whole };
                }
            });
        }
    }
}

impl<'g> Var<'g> {
    /// The cross entropy of each row of logits with its label, `−ln softmax(x)[label] = ln Σⱼ exp(xⱼ) − x[label]`, as
    /// PyTorch's `cross_entropy` with `reduction="none"`.
    ///
    /// It is computed in one pass, does not overflow, and is accurate where the probability of the label is near 1. The
    /// derivative is `softmax(x) − one_hot(label)`. A label that is out of range is an error of the run.
    ///
    /// # Shapes
    /// Logits of `[…, classes]` and index labels of `[…]` give losses of `[…]`.
    ///
    /// # Panics
    /// If the shapes do not fit, or the labels are real.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let logits = graph.constant(&Tensor::from_rows([[0.0, 0.0], [1e4, -1e4]]));
    /// let labels = graph.index_constant(&Tensor::from([1, 1]));
    /// assert_eq!(graph.eval(logits.cross_entropy(labels))?.data(), [2.0_f64.ln(), 2e4]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn cross_entropy(self, labels: Var<'g>) -> Var<'g> {
        self.graph().call(CrossEntropy, &[self, labels])
    }

    /// The cross entropy of each row of logits with a distribution over the classes, `−Σᵢ pᵢ·ln softmax(x)ᵢ`.
    ///
    /// A class of probability 0 adds 0, even if its logit is −∞. The derivative with respect to the logits is
    /// `softmax(x)·Σp − p`, that with respect to the probabilities `−ln softmax(x)`.
    ///
    /// # Shapes
    /// Logits and probabilities of `[…, classes]` give losses of `[…]`.
    ///
    /// # Panics
    /// If the shapes differ.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let logits = graph.constant(&Tensor::from([3.0, 3.0, f64::NEG_INFINITY]));
    /// let chances = graph.constant(&Tensor::from([0.25, 0.75, 0.0]));
    /// assert_eq!(graph.eval(logits.cross_entropy_with(chances))?.item(), 2.0_f64.ln());
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn cross_entropy_with(self, distribution: Var<'g>) -> Var<'g> {
        self.graph().call(CrossEntropyWith, &[self, distribution])
    }
}

crate::tape::op::saved_ops! {
    "cross_entropy": CrossEntropy {},
    "cross_entropy_vjp": CrossEntropyVjp {},
    "cross_entropy_with": CrossEntropyWith {},
}

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{indices, shape, tensor};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    /// Logits, labels, and one more number a row.
    fn labelled() -> impl Strategy<Value = (crate::Tensor<f64>, crate::Tensor<i64>, crate::Tensor<f64>)> {
        (shape(3), 1..5_usize).prop_flat_map(|(rows, classes)| {
            let logits = rows.iter().copied().chain([classes]).collect::<crate::Shape>();
            (tensor(logits, -4.0..4.0), indices(rows.clone(), classes), tensor(rows, -4.0..4.0))
        })
    }
    let with = (shape(3), 0..5_usize).prop_flat_map(|(rows, classes)| {
        let both = rows.iter().copied().chain([classes]).collect::<crate::Shape>();
        (tensor(both.clone(), -4.0..4.0), tensor(both, -1.0..2.0))
            .prop_map(|(logits, chances)| Sample::new(CrossEntropyWith, [logits.into(), chances.into()]))
    });
    vec![
        Entry::new(
            "cross_entropy",
            "`−ln softmax(x)[label]` of each row of logits",
            labelled().prop_map(|(logits, labels, _)| Sample::new(CrossEntropy, [logits.into(), labels.into()])),
        ),
        Entry::new(
            "cross_entropy_vjp",
            "`(softmax(x) − one_hot(label))·g` of each row of logits, the derivative of `cross_entropy`",
            labelled()
                .prop_map(|(logits, labels, g)| Sample::new(CrossEntropyVjp, [logits.into(), labels.into(), g.into()])),
        ),
        Entry::new("cross_entropy_with", "`−Σᵢ pᵢ·ln softmax(x)ᵢ` of each row of logits", with),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    const NONE: f64 = f64::NEG_INFINITY;

    /// Some label for each row.
    fn labels<'g>(logits: Var<'g>) -> Var<'g> {
        let shape = logits.shape();
        let (classes, rows) = shape.split_last().unwrap();
        logits.graph().index_constant(&Tensor::from_fn(rows, |k| ((k * k + 1) % classes) as i64))
    }

    /// The slopes of many classes come row by row, those of a few side by side.
    #[test]
    fn slopes_side_by_side_have_the_bits_of_one_row() {
        fn check<T: Real>() {
            for (classes, rows) in (1..=LONGEST).flat_map(|classes| [1, 15, 16, 37].map(|rows| (classes, rows))) {
                let number = |k: usize| match k % 23 {
                    3 => f64::NEG_INFINITY,
                    5 => 900.0,
                    _ => (k * 37 % 101) as f64 / 10.0 - 5.0,
                };
                let logits: Vec<T> = (0..rows * classes).map(|k| T::of(number(k))).collect();
                let labels: Vec<i64> = (0..rows).map(|row| (row * 7 % classes) as i64).collect();
                let g: Vec<T> = (0..rows).map(|row| T::of(row as f64 - 3.5)).collect();
                let (mut across, mut alone) = (vec![T::zero(); logits.len()], vec![T::zero(); logits.len()]);
                vectorized(LossSlopes { logits: &logits, labels: &labels, g: &g, slopes: &mut across, classes });
                for row in 0..rows {
                    let (from, end) = (row * classes, (row + 1) * classes);
                    slope_row(&logits[from..end], labels[row] as usize, g[row], &mut alone[from..end]);
                }
                let bits =
                    |all: &[T]| all.iter().map(|x| (!x.is_nan()).then(|| x.as_f64().to_bits())).collect::<Vec<_>>();
                assert_eq!(bits(&across), bits(&alone), "{rows} rows of {classes} classes");
                let mut losses = vec![T::zero(); rows];
                vectorized(Losses { logits: &logits, labels: &labels, losses: &mut losses, classes });
                for row in 0..rows {
                    let logits = &logits[row * classes..][..classes];
                    let shift = shift(logits);
                    let log = ln_sum_of_exp(logits, shift);
                    let loss = (shift - logits[labels[row] as usize]) + log;
                    let loss = if log == T::neg_infinity() { T::infinity() } else { loss };
                    assert_eq!(bits(&losses[row..=row]), bits(&[loss]));
                }
            }
        }
        check::<f32>();
        check::<f64>();
    }

    #[test]
    fn kernels_agree_with_their_expansions() {
        let graph = Graph::new();
        let table = |k: usize| ((k * 37) % 101) as f64 / 7.0 - 5.0;
        for shape in [vec![2, 3, 5], vec![7], vec![3, 700], vec![4, 1]] {
            let x = graph.constant(&Tensor::from_fn(shape.clone(), table));
            let p = graph.constant(&Tensor::from_fn(shape.clone(), |k| ((k * 29) % 13) as f64 / 13.0));
            let g = graph.constant(&Tensor::from_fn(&shape[..shape.len() - 1], |k| 1.0 + k as f64));
            let same = |a: Var<'_>, b: Option<Vars<'_>>| {
                let (a, b) = (graph.eval(a).unwrap(), graph.eval(b.unwrap()[0]).unwrap());
                assert_eq!(a.shape(), b.shape());
                assert!(a.data().iter().zip(b.data()).all(|(a, b)| (a - b).abs() < 1e-12 * (1.0 + b.abs())));
            };
            let l = labels(x);
            same(x.cross_entropy(l), CrossEntropy.expand(&[x, l]));
            same(graph.call(CrossEntropyVjp, &[x, l, g]), CrossEntropyVjp.expand(&[x, l, g]));
            same(x.cross_entropy_with(p), CrossEntropyWith.expand(&[x, p]));
        }
    }

    /// Where the label has nearly all the weight, the loss and the slopes are small and keep their digits.
    #[test]
    fn saturated_rows_keep_their_digits() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from_rows([[0.0, -40.0, -50.0]]));
        let (p, q) = ((-40.0_f64).exp(), (-50.0_f64).exp());
        let labels = graph.index_constant(&Tensor::from([0]));
        for loss in [x.cross_entropy(labels), x.cross_entropy_with(labels.one_hot(3))] {
            graph.eval(loss).unwrap().assert_close(&Tensor::from([p + q]), 1e-14, 0.0);
            let slope = graph.grad(loss.sum(), &[x]).unwrap()[0];
            graph.eval(slope).unwrap().assert_close(&Tensor::from_rows([[-(p + q), p, q]]), 1e-14, 0.0);
            let curved = graph.grad((slope * graph.constant(&Tensor::from([0.0, 1.0, 0.0]))).sum(), &[x]).unwrap()[0];
            graph.eval(curved).unwrap().assert_close(&Tensor::from_rows([[-p, p, -p * q]]), 1e-14, 0.0);
        }
    }

    #[test]
    fn large_and_infinite_logits() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from_rows([[1e4, -1e4], [1e4, -1e4], [0.0, NONE], [0.0, NONE], [NONE, NONE]]));
        let labels = graph.index_constant(&Tensor::from([0, 1, 0, 1, 0]));
        let loss = x.cross_entropy(labels);
        let value = |y| graph.eval(y).unwrap().into_vec();
        assert_eq!(value(loss), [0.0, 2e4, 0.0, f64::INFINITY, f64::INFINITY]);
        let slope = graph.grad(loss.sum(), &[x]).unwrap()[0];
        assert_eq!(value(slope), [0.0, 0.0, 1.0, -1.0, 0.0, 0.0, 1.0, -1.0, -1.0, 0.0]);
        let with = x.cross_entropy_with(labels.one_hot(2));
        assert_eq!(value(with), value(loss));
        assert_eq!(value(graph.grad(with.sum(), &[x]).unwrap()[0]), value(slope));
    }

    #[test]
    fn labels_that_are_no_class_are_named() {
        let graph = Graph::new();
        let logits = graph.zeros([2, 2, 10]);
        for (label, classes) in [(10, 10), (-1, 10)] {
            let labels = graph.index_constant(&Tensor::from_rows([[0, 9], [label, 0]]));
            let error = graph.eval(logits.cross_entropy(labels)).unwrap_err().to_string();
            let message = format!(": label {label} at position [1, 0] is out of range for {classes} classes");
            assert!(error.ends_with(&message), "{error}");
        }
    }

    #[test]
    fn no_rows_and_no_classes() {
        let graph = Graph::new();
        let none = graph.index_constant(&Tensor::full([0], 0));
        assert_eq!(graph.eval(graph.zeros([0, 3]).cross_entropy(none)).unwrap().shape().sizes(), [0]);
        assert_eq!(graph.eval(graph.zeros([0, 0]).cross_entropy(none)).unwrap().shape().sizes(), [0]);
        let one = graph.index_constant(&Tensor::full([1], 0));
        let error = graph.eval(graph.zeros([1, 0]).cross_entropy(one)).unwrap_err().to_string();
        assert!(error.ends_with("label 0 at position [0] is out of range for 0 classes"), "{error}");
        let nothing = graph.zeros([2, 0]);
        assert_eq!(graph.eval(nothing.cross_entropy_with(nothing)).unwrap().data(), [0.0, 0.0]);
    }

    #[test]
    #[should_panic(expected = "`cross_entropy` of [4, 3] and [3]: there must be one label a row of logits, labels of \
                               shape [4]")]
    fn shapes_that_do_not_fit_are_named() {
        let graph = Graph::new();
        graph.zeros([4, 3]).cross_entropy(graph.index_constant(&Tensor::full([3], 0)));
    }
}
