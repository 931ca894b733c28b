//! Measuring the units of a plan.

use std::time::Instant;

use super::limits::Limits;
use super::{Profile, ProfileEntry};
use crate::error::Error;
use crate::params::Params;
use crate::plan::unit::{Step, Unit, product_sizes};
use crate::plan::{Feed, Inner, Plan};
use crate::real::Real;
use crate::tape::op::{Kind, Meta};
use crate::tape::{Graph, NodeId, Tape, Var, at};

impl Graph {
    /// Compiles the outputs, runs them `runs` times, and measures each unit of the plan. What depends on constants alone
    /// runs once and is not measured. A [`Session`](crate::Session) has no clock between its units and pays nothing for
    /// this.
    ///
    /// # Errors
    /// As [`Plan::new`] and [`Session::run`](crate::Session::run).
    ///
    /// # Panics
    /// If the number of runs is 0.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Feed, Graph, Params, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.input("x", [64, 64]);
    /// let loss = x.matmul(x).tanh().sum();
    /// let gradient = graph.grad(loss, &[x])?[0];
    /// let ones = Tensor::<f32>::ones([64, 64]);
    /// let profile = graph.profile(&[loss, gradient], &Params::new(0), &Feed::new().with("x", &ones), 5)?;
    /// let products = profile.by_op().into_iter().find(|entry| entry.name == "matmul").expect("there are products");
    /// assert_eq!((products.units, products.operations), (3, 3 * 2 * 64 * 64 * 64));
    /// println!("{profile}");
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn profile<T: Real>(
        &self,
        outputs: &[Var<'_>],
        params: &Params<T>,
        feed: &Feed<'_, T>,
        runs: usize,
    ) -> Result<Profile, Error> {
        assert!(runs > 0, "a profile measures at least one run, not 0");
        let plan = Plan::new(self, outputs)?;
        let mut session = plan.session::<T>();
        let (mut results, mut whole) = (Vec::new(), Vec::with_capacity(runs));
        // The first run makes memory and constants.
        session.run_into(params, feed, &mut results)?;
        for _ in 0..runs {
            let start = Instant::now();
            session.run_into(params, feed, &mut results)?;
            whole.push(start.elapsed().as_secs_f64());
        }
        let inner = &*plan.inner;
        let (before, count) = (inner.prologue.len(), inner.body.len());
        let mut times = vec![Vec::with_capacity(runs); count];
        for _ in 0..runs {
            session.run_observed(params, feed, &mut results, &mut times, before)?;
        }
        let tape = &*self.tape();
        let entry = |(number, &(unit, node)): (usize, &(u32, NodeId))| {
            let mut entry = work::<T>(inner, tape, before + number, &inner.units[unit as usize], node);
            entry.seconds = median(&mut times[number]);
            entry
        };
        let entries = inner.body.iter().enumerate().map(entry).collect();
        let seconds = median(&mut whole);
        Ok(Profile { entries, seconds, runs, precision: T::NAME, limits: Limits::measure::<T>()? })
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Name, place and work of a unit; `number` counts from the first unit of the prologue.
fn work<T: Real>(inner: &Inner, tape: &Tape, number: usize, unit: &Unit, node: NodeId) -> ProfileEntry {
    let origin = &tape.nodes[node.index()];
    let (reals, indices) = (inner.real.touched(number), inner.index.touched(number));
    let elements = (reals + indices) as u64;
    let (name, operations, product_operations) = match unit {
        Unit::Fused(fused) => {
            let of_step = |step: &Step| [step.op].into_iter().chain(step.second.map(|second| second.op));
            let ops = fused.steps.iter().flat_map(of_step).chain(fused.totals.iter().map(|total| total.op));
            let names: Vec<&str> = ops.map(|op| inner.ops[op as usize].name()).collect();
            let name = if names.is_empty() { "copy".to_owned() } else { names.join("+") };
            (name, (fused.len * names.len()) as u64, 0)
        }
        Unit::Product(factors, _) => {
            let [m, k, n] = product_sizes(factors);
            let operations = 2 * (factors[0].batch.positions().count() * m * k * n) as u64;
            ("matmul".to_owned(), operations, operations)
        }
        Unit::Kernel { op, inputs, input_shapes, .. } => {
            let metas = inputs.iter().zip(input_shapes).map(|(kind, shape)| match kind {
                Kind::Real => Meta::real(shape),
                Kind::Index => Meta::index(shape),
            });
            let op = &inner.ops[*op as usize];
            let products = 2 * op.multiply_adds(&metas.collect::<Vec<_>>()) as u64;
            (op.name().to_owned(), if products > 0 { products } else { elements }, products)
        }
        Unit::Random { .. } => (tape.name(node).to_owned(), elements, 0),
        Unit::Pack(_) => ("pack".to_owned(), elements, 0),
        Unit::IndexCopy(_) => ("index copy".to_owned(), elements, 0),
    };
    ProfileEntry {
        name,
        scope: tape.scope_path(origin.scope),
        line: at(origin.location),
        units: 1,
        seconds: 0.0,
        operations,
        bytes: (reals * size_of::<T>() + indices * size_of::<i64>()) as u64,
        product_operations,
    }
}
