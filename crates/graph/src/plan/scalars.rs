//! Loops over one element.
//!
//! A chain of scalars, such as a loss that is put together from sums or a solver of one equation, is one loop over one
//! element. A block of each step would cost more than its function. Before: a [`Fused`] loop, whose steps find slices in
//! registers, loads and writes. After: [`Scalars`], whose steps find numbers in one list, all of whose values are
//! numbered: the registers, then the loads that are read in place, then the writes.
//!
//! The bits are those of blocks, since the functions are the same.

use std::sync::Arc;

use super::memory::Bound;
use super::unit::{Access, Arg, Fused, Target};
use crate::real::Real;
use crate::tape::form::MAX_POINTWISE;
use crate::tape::op::{AnyOp, Arithmetic, Kernels, cotangent_product};

/// The argument that is the result of the step before. A chain would otherwise wait, at each step, for what it has just
/// written to be read again: twice as long as an addition takes.
const LAST: u32 = u32::MAX;

/// What a step computes; arguments are numbers of values or [`LAST`]. Arithmetic is computed in place, since a call
/// takes longer than the operation; each is a case of its own, and so are the commonest uses of the last result, since
/// the questions between them take as long too.
#[derive(Debug, PartialEq)]
enum Work {
    /// `last + x`
    Add(u32),
    /// `last · x`
    Multiply(u32),
    /// The product of a cotangent, which is the last result, and a slope.
    MultiplySlope(u32),
    /// The product of a cotangent and a slope, which is the last result.
    MultiplyCotangent(u32),
    /// An op of the last result.
    Apply(u32),
    Sum([u32; 2]),
    Difference([u32; 2]),
    Product([u32; 2]),
    CotangentProduct([u32; 2]),
    Negation(u32),
    One {
        op: u32,
        arg: u32,
    },
    Two {
        op: u32,
        args: [u32; 2],
    },
    /// The arguments are a range of [`Scalars::more`].
    More {
        op: u32,
        first: u32,
        count: u8,
    },
}

impl Work {
    /// The arithmetic of the values of these numbers; a function of one number has it twice.
    fn arithmetic(is: Arithmetic, args: [u32; 2]) -> Self {
        match (is, args) {
            (Arithmetic::Sum, [LAST, x] | [x, LAST]) if x != LAST => Self::Add(x),
            (Arithmetic::Sum, args) => Self::Sum(args),
            (Arithmetic::Difference, args) => Self::Difference(args),
            (Arithmetic::Product, [LAST, x] | [x, LAST]) if x != LAST => Self::Multiply(x),
            (Arithmetic::Product | Arithmetic::Square, args) => Self::Product(args),
            (Arithmetic::Negation, [x, _]) => Self::Negation(x),
            (Arithmetic::CotangentProduct, [LAST, slope]) if slope != LAST => Self::MultiplySlope(slope),
            (Arithmetic::CotangentProduct, [cotangent, LAST]) if cotangent != LAST => {
                Self::MultiplyCotangent(cotangent)
            }
            (Arithmetic::CotangentProduct, args) => Self::CotangentProduct(args),
        }
    }
}

/// A step, whose result is the value number `to`.
#[derive(Debug, PartialEq)]
struct Step {
    work: Work,
    to: u32,
}

/// A loop over one element; see the module.
#[derive(Debug)]
pub(super) struct Scalars {
    /// For each load, where its value goes.
    loads: Vec<u32>,
    steps: Vec<Step>,
    more: Vec<u32>,
    /// For each write, where its value is.
    writes: Vec<u32>,
    /// How many values there are.
    count: usize,
}

impl Scalars {
    /// The loop in this form, if it is one over one element.
    pub(super) fn of(fused: &Fused, ops: &[Arc<dyn AnyOp>]) -> Option<Self> {
        let is_scalar = fused.len == 1 && fused.loads.iter().all(|load| !matches!(load.access, Access::Gather(_)));
        let stored = fused.steps.iter().filter(|step| matches!(step.target, Target::Slot(_))).count();
        let (before_loads, loads, writes) = (fused.registers, fused.loads.len(), stored + fused.copies.len());
        let count = before_loads as usize + loads + writes;
        if !is_scalar || count >= LAST as usize {
            return None;
        }
        let before_writes = before_loads + loads as u32;
        let loads = (0..).zip(&fused.loads).map(|(number, load)| match load.access {
            Access::Slice => before_loads + number,
            Access::Fill | Access::Gather(_) => load.register,
        });
        let loads: Vec<u32> = loads.collect();
        let mut more = Vec::new();
        let mut steps = Vec::with_capacity(fused.steps.len());
        let mut before = None;
        for step in &fused.steps {
            let arg = |arg: &Arg| {
                let number = match *arg {
                    Arg::Register(register) => register,
                    Arg::Slice(load) => before_loads + load,
                    Arg::Stored(write) => before_writes + write,
                };
                if Some(number) == before { LAST } else { number }
            };
            let to = match step.target {
                Target::Register(register) => register,
                Target::Slot(write) => before_writes + write,
            };
            let op = step.op;
            let args = &fused.args[step.first_arg as usize..][..step.args as usize];
            let work = match (ops[op as usize].arithmetic(), args) {
                (Some(is), [a]) => Work::arithmetic(is, [arg(a); 2]),
                (Some(is), [a, b]) => Work::arithmetic(is, [arg(a), arg(b)]),
                (_, [a]) => match arg(a) {
                    LAST => Work::Apply(op),
                    arg => Work::One { op, arg },
                },
                (_, [a, b]) => Work::Two { op, args: [arg(a), arg(b)] },
                (_, args) => {
                    more.extend(args.iter().map(arg));
                    Work::More { op, first: (more.len() - args.len()) as u32, count: args.len() as u8 }
                }
            };
            steps.push(Step { work, to });
            before = Some(to);
        }
        let mut writes: Vec<u32> = (0..writes as u32).map(|write| before_writes + write).collect();
        for &(load, write) in &fused.copies {
            writes[write as usize] = loads[load as usize];
        }
        Some(Self { loads, steps, more, writes, count })
    }

    /// Elements of scratch that a run needs.
    pub(super) fn scratch(&self) -> usize {
        self.count
    }

    /// Runs the loop, which is unit `unit`.
    pub(super) fn run<T: Real>(
        &self,
        kernels: &[Arc<dyn Kernels<T>>],
        memory: &mut Bound<'_, T>,
        unit: usize,
        scratch: &mut [T],
    ) {
        let values = &mut scratch[..self.count];
        let (reads, writes) = memory.lend(unit);
        for (&to, read) in self.loads.iter().zip(reads) {
            values[to as usize] = read[0];
        }
        let mut last = T::zero();
        for step in &self.steps {
            let value = |number: u32| if number == LAST { last } else { values[number as usize] };
            let kernel = |op: u32| &kernels[op as usize];
            last = match step.work {
                Work::Add(x) => last + values[x as usize],
                Work::Multiply(x) => last * values[x as usize],
                Work::MultiplySlope(slope) => cotangent_product(last, values[slope as usize]),
                Work::MultiplyCotangent(cotangent) => cotangent_product(values[cotangent as usize], last),
                Work::Apply(op) => kernel(op).scalar(last, &[]),
                Work::Sum([a, b]) => value(a) + value(b),
                Work::Difference([a, b]) => value(a) - value(b),
                Work::Product([a, b]) => value(a) * value(b),
                Work::CotangentProduct([cotangent, slope]) => cotangent_product(value(cotangent), value(slope)),
                Work::Negation(x) => -value(x),
                Work::One { op, arg } => kernel(op).scalar(value(arg), &[]),
                Work::Two { op, args: [a, b] } => kernel(op).scalar(value(a), &[value(b)]),
                Work::More { op, first, count } => {
                    let args = &self.more[first as usize..][..count.into()];
                    let mut others = [T::zero(); MAX_POINTWISE];
                    for (number, &arg) in args[1..].iter().enumerate() {
                        others[number] = value(arg);
                    }
                    kernel(op).scalar(value(args[0]), &others[..args.len() - 1])
                }
            };
            values[step.to as usize] = last;
        }
        for (&from, write) in self.writes.iter().zip(writes) {
            write[0] = values[from as usize];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Params;
    use crate::plan::unit::Unit;
    use crate::plan::{Feed, Plan, Session};
    use crate::tape::{Graph, Var};
    use crate::tensor::Tensor;

    /// `x` and a product of it with a constant, which are both outputs, and a step of three arguments.
    #[test]
    fn the_steps_of_a_scalar_loop_are_numbered() {
        let graph = Graph::new();
        let (x, y) = (graph.input("x", []), graph.input("y", [1]));
        let twice = x * 2.0;
        let y = y.reshape([]);
        let last = twice.sin().greater_equal(y).where_(twice * y, x);
        let plan = Plan::new(&graph, &[twice, x, last]).expect("it compiles");
        let fused: Vec<&Fused> = plan
            .inner
            .units
            .iter()
            .filter_map(|unit| if let Unit::Fused(fused) = unit { Some(fused) } else { None })
            .collect();
        let scalars: Vec<Scalars> = fused.iter().filter_map(|fused| Scalars::of(fused, &plan.inner.ops)).collect();
        assert_eq!(scalars.len(), fused.len());
        assert_eq!(scalars[0].more.len(), 3);
        assert!(scalars.iter().any(|scalars| scalars.steps.is_empty() && scalars.writes == scalars.loads));
        for (x, y, last) in [(0.5, -1.0, -1.0), (0.5, 1.0, 0.5)] {
            let (x, y) = (Tensor::scalar(x), Tensor::from([y]));
            let feed = Feed::new().with("x", &x).with("y", &y);
            let mut session = plan.session::<f64>();
            let outputs = session.run(&Params::new(0), &feed).expect("it runs");
            assert_eq!([0, 1, 2].map(|output| outputs.real(output).item()), [2.0 * x.item(), x.item(), last]);
        }
    }

    /// The outputs of a function of every two of some numbers, in a loop over one element and in one over all.
    fn compare<T: Real>(function: impl for<'g> Fn(Var<'g>, Var<'g>) -> Vec<Var<'g>>) {
        let numbers = [0.0, -0.0, 1.0, -1.5, 0.3, 2.5, 1e-30, -7e20, 1e300, f64::INFINITY, f64::NAN].map(T::of);
        let pairs = || numbers.iter().flat_map(|&a| numbers.iter().map(move |&b| (a, b)));
        let (a, b): (Vec<T>, Vec<T>) = pairs().unzip();
        let plan = |shape: &[usize]| {
            let graph = Graph::new();
            let outputs = function(graph.input("x", shape), graph.input("y", shape));
            Plan::new(&graph, &outputs).expect("it compiles").session::<T>()
        };
        let run = |session: &mut Session<T>, [a, b]: [Tensor<T>; 2]| -> Vec<Vec<u64>> {
            let feed = Feed::new().with("x", &a).with("y", &b);
            let found = session.run(&Params::new(0), &feed).expect("it runs");
            let bits = |x: &T| if x.is_nan() { u64::MAX } else { x.as_f64().to_bits() };
            found.all().iter().map(|output| output.real().data().iter().map(bits).collect()).collect()
        };
        let many = run(&mut plan(&[a.len()]), [a, b].map(|numbers| Tensor::new([numbers.len()], numbers)));
        let mut alone = plan(&[]);
        for (number, (a, b)) in pairs().enumerate() {
            let one = run(&mut alone, [a, b].map(Tensor::scalar));
            assert!(one.iter().zip(&many).all(|(one, many)| one[0] == many[number]), "{a} and {b}");
        }
    }

    /// Every pointwise op, on numbers of all sizes, has the same bits in a loop over one element and over many.
    #[test]
    fn a_scalar_has_the_bits_of_an_element() {
        fn every<'g>(x: Var<'g>, y: Var<'g>) -> Vec<Var<'g>> {
            vec![
                x + y,
                x - y,
                x * y,
                x / y,
                x.maximum(y),
                x.exp(),
                x.tanh(),
                x.sigmoid(),
                x.sin(),
                x.cos(),
                x.sqrt(),
                x.abs().ln(),
                x.cotangent_times(y),
                x.greater(y).where_(x.sin(), y),
                x.floor(),
                x.square(),
                -x,
            ]
        }
        compare::<f32>(every);
        compare::<f64>(every);
    }

    /// A step reads the result of the step before on either side, on both and not at all.
    #[test]
    fn a_step_reads_the_last_result_on_any_side() {
        const COUNT: usize = 17;
        fn step<'g>(number: usize, t: Var<'g>, y: Var<'g>) -> Var<'g> {
            let steps: [Var<'g>; COUNT] = [
                t + y,
                y + t,
                t + t,
                t - y,
                y - t,
                t - t,
                t * y,
                y * t,
                t.square(),
                -t,
                t.cotangent_times(y),
                y.cotangent_times(t),
                t.cotangent_times(t),
                t.exp(),
                t / y,
                y / t,
                y.greater(t).where_(t, y),
            ];
            steps[number]
        }
        for number in 0..COUNT {
            compare::<f32>(|x, y| vec![step(number, x.floor(), y)]);
            compare::<f64>(|x, y| vec![step(number, x.floor(), y)]);
        }
    }

    #[test]
    fn a_chain_passes_its_results_on() {
        let graph = Graph::new();
        let x = graph.input("x", []);
        let plan = Plan::new(&graph, &[(x.sin() * x + x).exp()]).expect("it compiles");
        let Unit::Fused(fused) = &plan.inner.units[0] else { unreachable!("it is a loop") };
        let steps = Scalars::of(fused, &plan.inner.ops).expect("it is one over one element").steps;
        let works: Vec<Work> = steps.into_iter().map(|step| step.work).collect();
        let x = 2;
        assert_eq!(works, [Work::One { op: 0, arg: x }, Work::Multiply(x), Work::Add(x), Work::Apply(3)]);
    }

    #[test]
    fn more_elements_are_blocks() {
        assert!(Scalars::of(&Fused { len: 2, ..Fused::default() }, &[]).is_none());
    }
}
