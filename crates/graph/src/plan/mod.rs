//! Running a graph: compiled to a plan, or node by node.
//!
//! Compilation removes dead nodes, shares common subexpressions ([`order`]), turns views into layouts and pointwise
//! chains into fused loops ([`build`]), lets products add what is added to them ([`sums`]), packs what several products
//! read ([`packed`]), writes what is joined where it belongs ([`joined`]), cuts large batches ([`strips`]), takes sums in
//! the loops that compute what they are of ([`totals`]), assigns memory ([`assign`]) and steps that are one
//! pass ([`pairs`]), and keeps equal units once
//! ([`intern`]). A [`Plan`] is fixed and can be shared between threads; a [`Session`] holds the memory of its runs.

mod arena;
mod assign;
mod build;
mod draft;
mod feed;
mod free_list;
mod fused;
mod inputs;
mod intern;
mod joined;
mod memory;
mod order;
mod packed;
mod packed_params;
mod pairs;
mod profile;
mod reference;
mod registers;
mod run;
mod scalars;
mod session;
mod strips;
mod sums;
mod totals;
mod unit;

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::error::Error;
use crate::params::Param;
use crate::shape::Shape;
use crate::tape::op::{AnyOp, Kind, Meta};
use crate::tape::{Constant, Graph, NodeId, Tape, Var};
use crate::tensor::Tensor;
use assign::{Leaves, assign};
use build::build;
use feed::InputSpec;
use intern::Kinds;
use joined::join_in_place;
use memory::Map;
use packed::pack_shared_factors;
use strips::cut_into_strips;
use sums::fold_sums;
use totals::fold_totals;
use unit::{SlotId, Unit};

pub use arena::Arena;
pub use feed::Feed;
pub use inputs::Inputs;
pub use profile::{Profile, ProfileEntry};
pub use session::{Outputs, Session};

/// A compiled graph: the work for chosen outputs, in order, with memory assigned. It has no precision: sessions in
/// `f32` and `f64` may run one plan. Cheap to clone.
///
/// # Example
/// ```
/// use gradus_graph::{Feed, Graph, Params, Plan, Tensor};
/// let mut params: Params = Params::new(0);
/// let w = params.add("w", Tensor::from([2.0, 3.0]));
/// let graph = Graph::new();
/// let (x, w) = (graph.input("x", [2]), graph.param(&w));
/// let loss = (w * x).sum();
/// let gradient = graph.grad(loss, &[w])?[0];
/// let mut session = Plan::new(&graph, &[loss, gradient])?.session();
/// let x = Tensor::from([10.0, 100.0]);
/// let outputs = session.run(&params, &Feed::new().with("x", &x))?;
/// assert_eq!(outputs.real(0).item(), 320.0);
/// assert_eq!(outputs.real(1).data(), [10.0, 100.0]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone)]
pub struct Plan {
    inner: Arc<Inner>,
}

struct Inner {
    ops: Vec<Arc<dyn AnyOp>>,
    /// The units that differ.
    units: Vec<Unit>,
    /// What is run once, before the first run: numbers of units.
    prologue: Vec<u32>,
    /// What is run every time: numbers of units, each with its node.
    body: Vec<(u32, NodeId)>,
    /// For each unit of the body the description of its node; only where a run can fail.
    lines: Vec<String>,
    /// For each unit of the body the shapes of its node's outputs; only with anomaly checks, which report elements.
    shapes: Vec<Vec<Shape>>,
    inputs: Vec<InputSpec>,
    /// All inputs that the graph declares; one that the plan does not read may be fed as well.
    declared: FxHashSet<String>,
    params: Vec<Param>,
    real_constants: Vec<(SlotId, Tensor<f64>)>,
    index_constants: Vec<(SlotId, Tensor<i64>)>,
    outputs: Vec<Meta>,
    real: Map,
    index: Map,
    anomaly: bool,
    summary: Summary,
}

/// The work and memory of a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Nodes of the graph that the plan runs, after equal ones are shared.
    pub nodes: usize,
    /// Units of work, such as fused loops, that the nodes are compiled to.
    pub units: usize,
    /// Scalars in the parameters that the plan reads.
    pub parameters: usize,
    /// Multiply-adds of matrix products in one run.
    pub multiply_adds: usize,
    /// Elements of the arena.
    pub arena: usize,
    /// Elements of the outputs of all ops: the memory of a run without reuse and fusion.
    pub activations: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = |elements: usize| format!("{:.1} KiB", elements as f64 * 4.0 / 1024.0);
        writeln!(f, "nodes          {:>12}", self.nodes)?;
        writeln!(f, "units          {:>12}", self.units)?;
        writeln!(f, "parameters     {:>12}", self.parameters)?;
        writeln!(f, "multiply-adds  {:>12}", self.multiply_adds)?;
        writeln!(f, "arena          {:>12} in f32", bytes(self.arena))?;
        write!(f, "activations    {:>12} in f32", bytes(self.activations))
    }
}

impl Plan {
    /// Compiles the work for the given outputs.
    ///
    /// # Errors
    /// If an output needs the jvp of an op whose vjp is not linear in its cotangent, the layout of a view leaves its
    /// input, or an output belongs to another graph.
    #[track_caller]
    pub fn new(graph: &Graph, outputs: &[Var<'_>]) -> Result<Self, Error> {
        Self::compile(graph, outputs, true, Location::caller())
    }

    /// [`Plan::new`] without fusion, for debugging: a run stops at the first value that is NaN or infinite, with an
    /// error that names the op, its scope, its line and the ranges of its inputs.
    ///
    /// # Errors
    /// As [`Plan::new`].
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Feed, Graph, Params, Plan, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.input("x", [2]);
    /// let _scope = graph.scope("loss");
    /// let y = (x - 1.0).recip();
    /// let mut session = Plan::with_anomaly_checks(&graph, &[y])?.session::<f64>();
    /// let error = session.run(&Params::new(0), &Feed::new().with("x", &Tensor::from([2.0, 1.0]))).unwrap_err();
    /// assert!(error.to_string().starts_with("`recip` in scope `loss` at "));
    /// assert!(error.to_string().ends_with("gave inf at element [1]; its inputs range over [0, 1]"));
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn with_anomaly_checks(graph: &Graph, outputs: &[Var<'_>]) -> Result<Self, Error> {
        Self::compile(graph, outputs, false, Location::caller())
    }

    fn compile(
        graph: &Graph,
        outputs: &[Var<'_>],
        fuse: bool,
        caller: &'static Location<'static>,
    ) -> Result<Self, Error> {
        graph.check_own("Plan::new", outputs, caller)?;
        let tape = &*graph.tape();
        let values: Vec<_> = outputs.iter().map(|output| output.value).collect();
        let mut drafts = build(tape, &values, fuse)?;
        if fuse {
            fold_sums(tape, &mut drafts);
            pack_shared_factors(&mut drafts);
            join_in_place(tape, &mut drafts);
            cut_into_strips(tape, &mut drafts);
            fold_totals(tape, &mut drafts);
        }
        let mut summary = Summary {
            nodes: drafts.nodes,
            activations: drafts.activations,
            multiply_adds: drafts.multiply_adds,
            ..Summary::default()
        };
        let assigned = assign(tape, drafts);
        summary.units = assigned.body.len();
        summary.arena = assigned.real.arena();
        let line = |(unit, node): &(Unit, NodeId)| match unit {
            Unit::Kernel { .. } => tape.describe(*node),
            _ if !fuse => tape.describe(*node),
            _ => String::new(),
        };
        let shapes_of = |(_, node): &(Unit, NodeId)| match fuse {
            true => Vec::new(),
            false => tape.nodes[node.index()].outputs.iter().map(|meta| meta.shape.clone()).collect(),
        };
        // Only the leaves that the plan reads must be fed.
        let Leaves { inputs, params, .. } = &assigned.leaves;
        let inputs: Vec<InputSpec> = inputs.iter().map(|&input| reference::input_spec(tape, input)).collect();
        let params: Vec<Param> = params.iter().map(|&param| tape.params[param as usize].0.clone()).collect();
        let parameters = params.iter().map(|param| param.shape().len());
        summary.parameters = parameters.fold(0, usize::saturating_add);
        let (real_constants, index_constants) = constants(tape, &assigned.constants);
        let (lines, shapes) = (assigned.body.iter().map(line).collect(), assigned.body.iter().map(shapes_of).collect());
        let mut kinds = Kinds::default();
        let inner = Inner {
            ops: tape.ops.clone(),
            lines,
            shapes,
            prologue: assigned.prologue.into_iter().map(|unit| kinds.number(unit)).collect(),
            body: assigned.body.into_iter().map(|(unit, node)| (kinds.number(unit), node)).collect(),
            units: kinds.into_units(),
            inputs,
            declared: tape.inputs.iter().map(|(name, _)| name.clone()).collect(),
            params,
            real_constants,
            index_constants,
            outputs: outputs.iter().map(|output| tape.meta(output.value).clone()).collect(),
            real: assigned.real,
            index: assigned.index,
            anomaly: !fuse,
            summary,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The work and memory of the plan.
    pub fn summary(&self) -> &Summary {
        &self.inner.summary
    }

    /// The parameters that the plan reads.
    pub fn params(&self) -> &[Param] {
        &self.inner.params
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.summary.fmt(f)
    }
}

/// Constants of each kind with their slots.
type Constants = (Vec<(SlotId, Tensor<f64>)>, Vec<(SlotId, Tensor<i64>)>);

fn constants(tape: &Tape, kept: &[(u32, Kind, SlotId)]) -> Constants {
    let (mut real, mut index) = (Vec::new(), Vec::new());
    for &(constant, _, slot) in kept {
        match &tape.constants[constant as usize] {
            Constant::Scalar(value) => real.push((slot, Tensor::scalar(*value))),
            Constant::Real(tensor) => real.push((slot, tensor.clone())),
            Constant::Index(tensor) => index.push((slot, tensor.clone())),
        }
    }
    (real, index)
}

#[cfg(test)]
mod arena_laws;
#[cfg(test)]
mod layout_laws;
#[cfg(test)]
mod pass_tests;
#[cfg(test)]
mod tests;
