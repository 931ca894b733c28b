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
use crate::tape::op::Kernels;

/// Bits of [`Step::op`] for the op; above them is the number of arguments less one.
const OP_BITS: u32 = 30;

/// A step in sixteen bytes, since a run reads all of them.
#[derive(Debug, PartialEq)]
struct Step {
    op: u32,
    to: u32,
    /// The arguments if there are at most two, else where they begin in [`Scalars::more`].
    args: [u32; 2],
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
    pub(super) fn of(fused: &Fused) -> Option<Self> {
        let is_scalar = fused.len == 1 && fused.loads.iter().all(|load| !matches!(load.access, Access::Gather(_)));
        let stored = fused.steps.iter().filter(|step| matches!(step.target, Target::Slot(_))).count();
        let (before_loads, loads, writes) = (fused.registers, fused.loads.len(), stored + fused.copies.len());
        let count = before_loads as usize + loads + writes;
        if !is_scalar || u32::try_from(count).is_err() || fused.steps.iter().any(|step| step.op >> OP_BITS != 0) {
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
        for step in &fused.steps {
            let arg = |arg: &Arg| match *arg {
                Arg::Register(register) => register,
                Arg::Slice(load) => before_loads + load,
                Arg::Stored(write) => before_writes + write,
            };
            let to = match step.target {
                Target::Register(register) => register,
                Target::Slot(write) => before_writes + write,
            };
            let args = match &fused.args[step.first_arg as usize..][..step.args as usize] {
                [a] => [arg(a), 0],
                [a, b] => [arg(a), arg(b)],
                args => {
                    more.extend(args.iter().map(arg));
                    [(more.len() - args.len()) as u32, 0]
                }
            };
            steps.push(Step { op: (step.args - 1) << OP_BITS | step.op, to, args });
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
        for step in &self.steps {
            let args = match step.op >> OP_BITS {
                0 => &step.args[..1],
                1 => &step.args[..],
                others => &self.more[step.args[0] as usize..][..others as usize + 1],
            };
            kernels[(step.op & ((1 << OP_BITS) - 1)) as usize].scalar(values, args, step.to);
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
    use crate::plan::{Feed, Plan};
    use crate::tape::Graph;
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
        let scalars: Vec<Scalars> = fused.iter().filter_map(|fused| Scalars::of(fused)).collect();
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

    /// Every pointwise op, on numbers of all sizes, has the same bits in a loop over one element and over many.
    #[test]
    fn a_scalar_has_the_bits_of_an_element() {
        fn compare<T: Real>() {
            let numbers = [0.0, -0.0, 1.0, -1.5, 0.3, 2.5, 1e-30, -7e20, 1e300, f64::INFINITY, f64::NAN].map(T::of);
            let pairs = || numbers.iter().flat_map(|&a| numbers.iter().map(move |&b| (a, b)));
            let (a, b): (Vec<T>, Vec<T>) = pairs().unzip();
            let outputs = |shape: Vec<usize>, a: Vec<T>, b: Vec<T>| -> Vec<Vec<u64>> {
                let graph = Graph::new();
                let (x, y) = (graph.input("x", &shape[..]), graph.input("y", &shape[..]));
                let values = [
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
                ];
                let mut session = Plan::new(&graph, &values).expect("it compiles").session::<T>();
                let [a, b] = [a, b].map(|numbers| Tensor::new(&shape[..], numbers));
                let feed = Feed::new().with("x", &a).with("y", &b);
                let found = session.run(&Params::new(0), &feed).expect("it runs");
                let bits = |x: &T| if x.is_nan() { u64::MAX } else { x.as_f64().to_bits() };
                found.all().iter().map(|output| output.real().data().iter().map(bits).collect()).collect()
            };
            let many = outputs(vec![a.len()], a.clone(), b.clone());
            for (number, (a, b)) in pairs().enumerate() {
                let one = outputs(Vec::new(), vec![a], vec![b]);
                assert!(one.iter().zip(&many).all(|(one, many)| one[0] == many[number]), "{a} and {b}");
            }
        }
        compare::<f32>();
        compare::<f64>();
    }

    #[test]
    fn more_elements_are_blocks() {
        assert!(Scalars::of(&Fused { len: 2, ..Fused::default() }).is_none());
    }
}
