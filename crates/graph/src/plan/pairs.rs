//! Two steps of arithmetic in a loop as one pass over a block.
//!
//! Before, for the slope `1 − t²` of the hyperbolic tangent, with `t` in register 0:
//!
//! ```text
//! register 1 = square(register 0)
//! register 2 = sub(one, register 1)
//! ```
//!
//! and after, without a pass that writes the square to the L1 cache and one that reads it:
//!
//! ```text
//! register 2 = square+sub(register 0, one)
//! ```
//!
//! A step is computed with the step that is its only reader, if both are sums, differences, products, squares or
//! negations ([`Arithmetic`]). The bits are those of two steps: each operation is rounded on its own.

use std::sync::Arc;

use super::draft::{DraftArg, DraftLoop};
use crate::kernel::simd::{Loop, vectorized};
use crate::real::Real;
use crate::tape::Tape;
use crate::tape::op::{Arithmetic, Kernels};

/// The second of two steps that are one pass; the first is the op of the step, whose arguments come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Second {
    /// An entry of the plan's ops.
    pub(super) op: u32,
    /// Whether the result of the first step is the second argument of this one, and not the first.
    is_right: bool,
    ops: [Arithmetic; 2],
}

/// The most arguments of two steps.
const MOST: usize = 3;

/// A step that is computed with a later one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) first: u32,
    pub(super) second: Second,
    /// The arguments of both: those of the first step, then the other one of the second.
    args: [DraftArg; MOST],
    len: usize,
}

impl Pair {
    pub(super) fn args(&self) -> &[DraftArg] {
        &self.args[..self.len]
    }
}

/// For each step of a loop, or for none, the step that is computed with it. `stored` tells for each step whether it has
/// readers outside the loop.
pub(super) fn find(tape: &Tape, draft: &DraftLoop, stored: impl Fn(usize) -> bool) -> Vec<Option<Pair>> {
    // A loop over one element has a form of its own.
    if draft.len == 1 {
        return Vec::new();
    }
    let arithmetic = |step: usize| tape.ops[draft.steps[step].op as usize].arithmetic();
    let args = |step: usize| draft.args_of(&draft.steps[step]);
    let mut uses = vec![0_u32; draft.steps.len()];
    for number in 0..draft.steps.len() {
        for arg in args(number) {
            if let DraftArg::Step(other) = arg {
                uses[*other as usize] += 1;
            }
        }
    }
    for total in &draft.totals {
        uses[total.step as usize] += 1;
    }
    let mut pairs: Vec<Option<Pair>> = vec![None; draft.steps.len()];
    for number in 0..draft.steps.len() {
        let Some(second) = arithmetic(number) else { continue };
        for (position, arg) in args(number).iter().enumerate() {
            let &DraftArg::Step(other) = arg else { continue };
            let first = other as usize;
            let inputs = args(first).len() + args(number).len() - 1;
            if uses[first] != 1 || stored(first) || pairs[first].is_some() || inputs > MOST {
                continue;
            }
            // A negation is seldom followed by arithmetic.
            let Some(of_first) = arithmetic(first).filter(|first| *first != Arithmetic::Negation) else { continue };
            let second = Second { op: draft.steps[number].op, is_right: position == 1, ops: [of_first, second] };
            let mut pair = Pair { first: other, second, args: [*arg; MOST], len: 0 };
            let others = args(number).iter().filter(|arg| !matches!(arg, DraftArg::Step(step) if *step == other));
            for arg in args(first).iter().chain(others) {
                pair.args[pair.len] = *arg;
                pair.len += 1;
            }
            pairs[number] = Some(pair);
            break;
        }
    }
    pairs
}

/// Computes a block of two steps from their arguments: those of the first, then the other one of the second.
pub(super) fn run<T: Real>(kernels: &[Arc<dyn Kernels<T>>], first: u32, second: &Second, args: &[&[T]], y: &mut [T]) {
    use Arithmetic::{CotangentProduct, Difference, Negation, Product, Square, Sum};
    let sign = |is_negative: bool| if is_negative { -T::one() } else { T::one() };
    let [of_first, of_second] = second.ops;
    let [a, b] = [args[0], *args[1..].first().filter(|_| of_first != Square).unwrap_or(&args[0])];
    let c = args[args.len() - 1];
    let is_sum = |op: Arithmetic| matches!(op, Sum | Difference);
    let pass = Pass {
        a,
        b,
        c,
        y: &mut *y,
        signs: [
            sign(of_first == Difference),
            sign(of_second == Negation || (of_second == Difference && second.is_right)),
            sign(of_second == Difference && !second.is_right),
        ],
    };
    let is_nan = match (is_sum(of_first), of_second) {
        (false, Product | CotangentProduct) => vectorized(OneOf::<T, false, TIMES>(pass)),
        (true, Product | CotangentProduct) => vectorized(OneOf::<T, true, TIMES>(pass)),
        (false, Sum | Difference) => vectorized(OneOf::<T, false, PLUS>(pass)),
        (true, Sum | Difference) => vectorized(OneOf::<T, true, PLUS>(pass)),
        (false, Square) => vectorized(OneOf::<T, false, SQUARED>(pass)),
        (true, Square) => vectorized(OneOf::<T, true, SQUARED>(pass)),
        (false, Negation) => vectorized(OneOf::<T, false, ALONE>(pass)),
        (true, Negation) => vectorized(OneOf::<T, true, ALONE>(pass)),
    };
    // Products of cotangents are 0 in some of these cases.
    if is_nan && second.ops.contains(&CotangentProduct) {
        one_after_the_other(kernels, first, second, args, y);
    }
}

/// The two steps one after the other.
#[cold]
fn one_after_the_other<T: Real>(
    kernels: &[Arc<dyn Kernels<T>>],
    first: u32,
    second: &Second,
    args: &[&[T]],
    y: &mut [T],
) {
    const PIECE: usize = 64;
    let mut between = [T::zero(); PIECE];
    let is_unary = matches!(second.ops[1], Arithmetic::Square | Arithmetic::Negation);
    let of_first = args.len() - usize::from(!is_unary);
    for from in (0..y.len()).step_by(PIECE) {
        let to = y.len().min(from + PIECE);
        let mut pieces: [&[T]; MOST] = [&[]; MOST];
        for number in 0..args.len() {
            pieces[number] = &args[number][from..to];
        }
        let between = &mut between[..to - from];
        kernels[first as usize].block(&pieces[..of_first], between);
        let (kernel, y) = (&kernels[second.op as usize], &mut y[from..to]);
        match (is_unary, second.is_right) {
            (true, _) => kernel.block(&[between], y),
            (false, false) => kernel.block(&[between, pieces[of_first]], y),
            (false, true) => kernel.block(&[pieces[of_first], between], y),
        }
    }
}

/// Numbers that a pass computes at once: a cache line of single precision.
const LANES: usize = 16;

const TIMES: u8 = 0;
const PLUS: u8 = 1;
const SQUARED: u8 = 2;
const ALONE: u8 = 3;

/// The arguments of two steps, and the signs of `b`, of the first result and of `c`. A number times a sign is exact.
struct Pass<'a, T> {
    a: &'a [T],
    b: &'a [T],
    c: &'a [T],
    y: &'a mut [T],
    signs: [T; 3],
}

impl<T: Real> Pass<'_, T> {
    #[inline(always)]
    fn value<const IS_SUM: bool, const SECOND: u8>(signs: [T; 3], a: T, b: T, c: T) -> T {
        let [of_b, of_first, of_c] = signs;
        let first = of_first * if IS_SUM { a + of_b * b } else { a * b };
        match SECOND {
            TIMES => first * c,
            PLUS => first + of_c * c,
            SQUARED => first * first,
            _ => first,
        }
    }
}

/// `a + b` or `a·b`, then what `SECOND` says; whether one of the results is NaN.
struct OneOf<'a, T, const IS_SUM: bool, const SECOND: u8>(Pass<'a, T>);

impl<T: Real, const IS_SUM: bool, const SECOND: u8> Loop for OneOf<'_, T, IS_SUM, SECOND> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let Pass { a, b, c, y, signs } = self.0;
        let n = y.len();
        let (a, b, c) = (&a[..n], &b[..n], &c[..n]);
        // Lane by lane: one flag for all would take more instructions than the arithmetic.
        let mut nan = [T::zero(); LANES];
        let (lines, rest) = y.as_chunks_mut::<LANES>();
        // No closure for all three, which would keep the loop from being vectorised.
        let (of_a, of_b, of_c) = (a.as_chunks::<LANES>().0, b.as_chunks::<LANES>().0, c.as_chunks::<LANES>().0);
        let (of_a, of_b, of_c) = (&of_a[..lines.len()], &of_b[..lines.len()], &of_c[..lines.len()]);
        for i in 0..lines.len() {
            let (a, b, c) = (of_a[i], of_b[i], of_c[i]);
            let mut values = [T::zero(); LANES];
            for k in 0..LANES {
                values[k] = Pass::value::<IS_SUM, SECOND>(signs, a[k], b[k], c[k]);
                nan[k] = if values[k].is_nan() { values[k] } else { nan[k] };
            }
            lines[i] = values;
        }
        let from = n - rest.len();
        for (k, y) in rest.iter_mut().enumerate() {
            *y = Pass::value::<IS_SUM, SECOND>(signs, a[from + k], b[from + k], c[from + k]);
            nan[k] = if y.is_nan() { *y } else { nan[k] };
        }
        nan.iter().any(|value| value.is_nan())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Params;
    use crate::plan::build::build;
    use crate::plan::draft::Draft;
    use crate::plan::{Feed, Plan};
    use crate::tape::{Graph, Var};
    use crate::tensor::Tensor;

    /// The steps of the only loop of a plan before the pass, and after it.
    fn steps(outputs: &[Var<'_>]) -> [Vec<String>; 2] {
        let tape = &*outputs[0].graph().tape();
        let values: Vec<_> = outputs.iter().map(|output| output.value).collect();
        let drafts = build(tape, &values, true).unwrap();
        let Some(Draft::Loop(draft)) = drafts.units.iter().map(|unit| &unit.draft).next_back() else {
            unreachable!("the last unit is a loop")
        };
        let stored = |step: usize| drafts.buffers[draft.steps[step].buffer as usize].stored;
        let pairs = find(tape, draft, stored);
        let name = |step: usize| tape.ops[draft.steps[step].op as usize].name().to_owned();
        let with_another = |step: &usize| pairs.iter().flatten().any(|pair| pair.first as usize == *step);
        let after = (0..draft.steps.len()).filter(|step| !with_another(step)).map(|step| match &pairs[step] {
            Some(pair) => format!("{}+{}", name(pair.first as usize), name(step)),
            None => name(step),
        });
        [(0..draft.steps.len()).map(name).collect(), after.collect()]
    }

    #[test]
    fn a_step_is_computed_with_its_only_reader() {
        let graph = Graph::new();
        let [x, y] = ["x", "y"].map(|name| graph.input(name, [40]));
        let of = |output: Var<'_>| steps(&[output]);
        assert_eq!(of(1.0 - x.square()), [vec!["square", "sub"], vec!["square+sub"]]);
        assert_eq!(of(-(x * y)), [vec!["mul", "neg"], vec!["mul+neg"]]);
        assert_eq!(of((x - y).square().exp()), [vec!["sub", "square", "exp"], vec!["sub+square", "exp"]]);
        // Of three, the first two.
        assert_eq!(of(x * y + x - y), [vec!["mul", "add", "sub"], vec!["mul+add", "sub"]]);
        // Two readers, functions, and what is stored.
        let square = x.square();
        assert_eq!(of(square.exp() + square)[1], ["square", "exp", "add"]);
        assert_eq!(of((x + y).sigmoid())[1], ["add", "sigmoid"]);
        assert_eq!(steps(&[square, square + y])[1], ["square", "add"]);
    }

    /// Numbers whose products and differences have signs of zeros, infinities and NaN.
    fn numbers<T: Real>(len: usize, by: usize) -> Tensor<T> {
        let odd = [0.0, -0.0, 1.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e30, -3e38];
        Tensor::from_fn([len], |k| match k * by % 11 {
            k if k < odd.len() => T::of(odd[k]),
            k => T::of((k * by % 17) as f64 - 8.3),
        })
    }

    /// Every pair of steps, each in a plan of its own, by evaluation node by node.
    fn compare<T: Real>(len: usize, is_odd: bool, pool: &rayon::ThreadPool) {
        let graph = Graph::new();
        let [x, y, z] = ["x", "y", "z"].map(|name| graph.input(name, [len]));
        let firsts = [x + y, x - y, x * y, x.square(), x.cotangent_times(y)];
        let pairs_of = |t: Var<'_>| {
            [t + z, t - z, z - t, t * z, t.square(), -t, t.cotangent_times(z), z.cotangent_times(t)]
                .map(|pair| pair.value)
        };
        let tensors: Vec<Tensor<T>> = (1..4)
            .map(|by| match is_odd {
                true => numbers(len, by),
                false => Tensor::from_fn([len], |k| T::of((k * by % 17) as f64 - 8.3)),
            })
            .collect();
        let (params, feed) =
            (Params::new(0), Feed::new().with("x", &tensors[0]).with("y", &tensors[1]).with("z", &tensors[2]));
        for output in firsts.into_iter().flat_map(pairs_of).map(|value| Var { value, ..x }) {
            let bits = |found: &Tensor<T>| -> Vec<Option<u64>> {
                found.data().iter().map(|x| (!x.is_nan()).then(|| x.as_f64().to_bits())).collect()
            };
            let plain = graph.eval_with(&[output], &params, &feed).unwrap();
            let plan = Plan::new(&graph, &[output]).unwrap();
            let found = pool.install(|| plan.session::<T>().run(&params, &feed).unwrap().real(0).clone());
            assert!(
                bits(&found) == bits(plain[0].real()),
                "{} of {len} elements",
                graph.tape().describe(output.node())
            );
        }
    }

    #[test]
    fn pairs_have_the_bits_of_two_steps_on_any_number_of_threads() {
        for threads in [1, 2, 3, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let sizes = if threads == 1 { &[1, 2, 15, 40, 300, 1025][..] } else { &[200_000] };
            for &len in sizes {
                compare::<f32>(len, false, &pool);
                compare::<f64>(len, false, &pool);
                compare::<f32>(len, true, &pool);
                compare::<f64>(len, true, &pool);
            }
        }
    }
}
