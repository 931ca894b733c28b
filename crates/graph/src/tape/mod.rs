//! Recording: a graph is a tape of nodes in an order in which they can be evaluated.
//!
//! Nodes are appended and never change. A node has its op, its inputs, the kind and shape of its outputs, the line of
//! the user's code that made it, and its scope.

pub(crate) mod form;
mod guards;
mod iter;
mod leaves;
mod lowered;
pub(crate) mod op;
mod operand;
mod updates;
mod var;
mod visit;

use std::any::Any;
use std::cell::{Cell, Ref, RefCell, RefMut};
use std::fmt;
use std::ops::Range;
use std::panic::Location;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::error::{Error, ErrorKind};
use crate::params::Param;
use crate::shape::{IntoShape, Shape};
use crate::tensor::{AnyTensor, Tensor};
use guards::Restore;
pub use guards::{Scoped, Substituted};
pub(crate) use lowered::MAX_EXPANSIONS;
use lowered::WithRule;
use op::{AnyOp, Form, Kind, Meta, Metas, Op, Vars, op_hash};
pub use operand::Operand;
pub use var::Var;
pub use visit::{Edge, Edges, GraphView, Nodes};

/// The number of a node on the tape.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// The index on the tape, counted from 0.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// One output of a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Value {
    pub(crate) node: NodeId,
    pub(crate) output: u32,
}

/// What a node is: an op of the table, or a leaf.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Source {
    /// An entry of [`Tape::ops`].
    Op(u32),
    /// An entry of [`Tape::inputs`].
    Input(u32),
    /// An entry of [`Tape::constants`].
    Constant(u32),
    /// An entry of [`Tape::params`].
    Param(u32),
    /// An entry of [`Tape::randoms`].
    Random(u32),
    /// A placeholder for a cotangent, from which forward mode is derived; it is never evaluated.
    Seed,
}

/// One entry of the tape.
pub(crate) struct Node {
    pub(crate) source: Source,
    pub(crate) inputs: SmallVec<[Value; 2]>,
    pub(crate) outputs: Metas,
    pub(crate) location: &'static Location<'static>,
    pub(crate) scope: u32,
}

/// A constant of a graph; real constants are kept in double precision, whatever the run.
#[derive(Clone)]
pub(crate) enum Constant {
    Scalar(f64),
    Real(Tensor<f64>),
    Index(Tensor<i64>),
}

/// The distribution of a random leaf.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Distribution {
    /// Uniform in [0, 1).
    Uniform,
    /// Normal with mean 0 and standard deviation 1.
    Normal,
    /// 1 with the given probability, else 0.
    Bernoulli(f64),
    /// An index, uniform in the range.
    Integers(Range<i64>),
}

impl Distribution {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Uniform | Self::Normal | Self::Bernoulli(_) => Kind::Real,
            Self::Integers(_) => Kind::Index,
        }
    }
}

/// The nodes `start..end`, which are recomputed for the backward pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Region {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

struct Scope {
    parent: u32,
    name: String,
}

/// The tape and its tables.
#[derive(Default)]
pub(crate) struct Tape {
    pub(crate) nodes: Vec<Node>,
    pub(crate) ops: Vec<Arc<dyn AnyOp>>,
    /// Ops by [`op_hash`]; ops with one hash are compared.
    op_index: FxHashMap<u64, SmallVec<[u32; 1]>>,
    pub(crate) inputs: Vec<(String, NodeId)>,
    input_index: FxHashMap<String, u32>,
    pub(crate) constants: Vec<Constant>,
    scalars: FxHashMap<u64, Value>,
    pub(crate) params: Vec<(Param, NodeId)>,
    param_index: FxHashMap<Param, Value>,
    /// Buffers with the values that a training run leaves in them; of a buffer, the last entry counts.
    updates: Vec<(Param, Value)>,
    /// For each buffer the index of its last entry in `updates`, and its rank in the order of first updates.
    updated: FxHashMap<Param, (usize, usize)>,
    pub(crate) randoms: Vec<Distribution>,
    scopes: Vec<Scope>,
    /// The scopes that are open, the innermost last.
    open: Vec<u32>,
    /// Values that replace parameters at present, the latest last, each with the number of its guard. There are few.
    substitutes: Vec<(u64, Param, Value)>,
    /// The number of guards of substitutions so far.
    guards: u64,
    /// The ops whose expansion or derivative is being recorded, the innermost last.
    pub(crate) expanding: Vec<u32>,
    /// The message for an infinite expansion, until the outermost one returns.
    infinite: Option<String>,
    /// Checkpointed parts, an inner one before the outer one, so that their ends are in ascending order.
    pub(crate) regions: Vec<Region>,
    /// While a derivative is built: the line and scope of the node that is differentiated.
    origin: Option<(&'static Location<'static>, u32)>,
    /// The line that nodes carry instead of the one that records them; see [`Graph::at_line`].
    line: Option<&'static Location<'static>>,
}

impl Tape {
    pub(crate) fn meta(&self, value: Value) -> &Meta {
        &self.nodes[value.node.index()].outputs[value.output as usize]
    }

    pub(crate) fn op(&self, node: NodeId) -> Option<&Arc<dyn AnyOp>> {
        match self.nodes[node.index()].source {
            Source::Op(op) => Some(&self.ops[op as usize]),
            _ => None,
        }
    }

    /// The op whose vjp a node has, and its number of inputs, if the op was recorded as its expansion.
    pub(crate) fn rule(&self, node: NodeId) -> Option<(Arc<dyn AnyOp>, usize)> {
        let rule = self.op(node)?.as_any().downcast_ref::<WithRule>()?;
        Some((Arc::clone(&rule.op), rule.arity))
    }

    /// The name of a node's op, or what kind of leaf it is.
    pub(crate) fn name(&self, node: NodeId) -> &'static str {
        match self.nodes[node.index()].source {
            Source::Op(op) => self.ops[op as usize].name(),
            Source::Input(_) => "input",
            Source::Constant(_) => "constant",
            Source::Param(_) => "parameter",
            Source::Random(_) => "random",
            Source::Seed => "seed",
        }
    }

    /// The dotted path of a scope; empty at the top.
    pub(crate) fn scope_path(&self, mut scope: u32) -> String {
        let mut names = Vec::new();
        while scope != 0 {
            names.push(self.scopes[scope as usize].name.as_str());
            scope = self.scopes[scope as usize].parent;
        }
        names.reverse();
        names.join(".")
    }

    /// Name and parent of a scope other than the top.
    pub(crate) fn scope(&self, scope: u32) -> (&str, u32) {
        (&self.scopes[scope as usize].name, self.scopes[scope as usize].parent)
    }

    /// "`matmul` in scope encoder at src/main.rs:3:4", for messages.
    pub(crate) fn describe(&self, node: NodeId) -> String {
        let Node { location, scope, .. } = &self.nodes[node.index()];
        let what = match self.nodes[node.index()].source {
            Source::Input(input) => format!("input `{}`", self.inputs[input as usize].0),
            Source::Param(param) => format!("parameter `{}`", self.params[param as usize].0.name()),
            Source::Constant(_) | Source::Random(_) | Source::Seed => self.name(node).to_owned(),
            Source::Op(_) => format!("`{}`", self.name(node)),
        };
        let path = self.scope_path(*scope);
        let within = if path.is_empty() { String::new() } else { format!(" in scope `{path}`") };
        format!("{what}{within} at {}", at(location))
    }

    /// The number of the op, or of an equal one.
    pub(crate) fn intern<O: Op>(&mut self, op: O) -> u32 {
        let hash = op_hash(&op);
        match self.interned(hash, &|other| other.downcast_ref::<O>() == Some(&op)) {
            Some(id) => id,
            None => self.insert(hash, Arc::new(op)),
        }
    }

    /// The op of a hash that is the same.
    fn interned(&self, hash: u64, is_same: &dyn Fn(&dyn Any) -> bool) -> Option<u32> {
        self.op_index.get(&hash)?.iter().copied().find(|&id| is_same(self.ops[id as usize].as_any()))
    }

    /// The number of an op that is new.
    fn insert(&mut self, hash: u64, op: Arc<dyn AnyOp>) -> u32 {
        let id = self.ops.len() as u32;
        self.ops.push(op);
        self.op_index.entry(hash).or_default().push(id);
        id
    }

    /// The scope that is open.
    fn scope_now(&self) -> u32 {
        self.open.last().copied().unwrap_or(0)
    }

    fn push(
        &mut self,
        source: Source,
        inputs: SmallVec<[Value; 2]>,
        outputs: Metas,
        caller: &'static Location<'static>,
    ) -> Value {
        let node = NodeId(u32::try_from(self.nodes.len()).expect("a graph has fewer than 2^32 nodes"));
        let (location, scope) = self.origin.unwrap_or((self.line.unwrap_or(caller), self.scope_now()));
        self.nodes.push(Node { source, inputs, outputs, location, scope });
        Value { node, output: 0 }
    }
}

/// "src/main.rs:3:4".
pub(crate) fn at(location: &Location<'_>) -> String {
    format!("{}:{}:{}", location.file(), location.line(), location.column())
}

/// Panics at the caller's line, with the op, the shapes of its inputs and what is wrong.
#[track_caller]
pub(crate) fn refuse(op: &str, of: &[&Shape], problem: &str) -> ! {
    panic!("{}", message(op, of, problem))
}

/// The shape that a caller passes to an op.
#[track_caller]
pub(crate) fn expect_shape(op: &str, of: &[&Shape], shape: impl IntoShape) -> Shape {
    match shape.try_into_shape() {
        Ok(shape) => shape,
        Err(problem) => refuse(op, of, &problem),
    }
}

/// "`matmul` of [2, 3] and [4, 5]: the inner sizes 3 and 4 differ".
fn message(op: &str, of: &[&Shape], problem: &str) -> String {
    let shapes: Vec<String> = of.iter().map(|shape| shape.to_string()).collect();
    let of = if shapes.is_empty() { String::new() } else { format!(" of {}", shapes.join(" and ")) };
    format!("`{op}`{of}: {problem}")
}

/// A computation graph: a tape to which variables append nodes.
///
/// A graph is a value. It is built by a program, differentiated (which appends more nodes), inspected, and compiled to
/// a [`Plan`](crate::Plan) that runs in either precision. Nothing is computed while it is built, except by
/// [`Graph::eval`].
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// let graph = Graph::new();
/// let x = graph.constant(&Tensor::from([1.0, 2.0, 3.0]));
/// let y = (x * x + 1.0).sum();
/// let slope = graph.grad(y, &[x])?[0];
/// assert_eq!(graph.eval(y)?.item(), 17.0);
/// assert_eq!(graph.eval(slope)?.data(), [2.0, 4.0, 6.0]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
pub struct Graph {
    tape: RefCell<Tape>,
    /// The values that [`Graph::eval`] has computed: the outputs of each node, none if it was not evaluated.
    pub(crate) evaluated: RefCell<Vec<SmallVec<[AnyTensor<f64>; 1]>>>,
    /// Set by the default of [`Op::vjp`], which has no rule to record.
    pub(crate) missing_vjp: Cell<bool>,
}

impl Default for Graph {
    fn default() -> Self {
        Self::new()
    }
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        let top = Scope { parent: 0, name: String::new() };
        let tape = RefCell::new(Tape { scopes: vec![top], ..Tape::default() });
        Self { tape, evaluated: RefCell::default(), missing_vjp: Cell::default() }
    }

    pub(crate) fn tape(&self) -> Ref<'_, Tape> {
        self.tape.borrow()
    }

    pub(crate) fn tape_mut(&self) -> RefMut<'_, Tape> {
        self.tape.borrow_mut()
    }

    /// The number of nodes.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.tape().nodes.len()
    }

    fn leaf(&self, source: Source, meta: Meta, caller: &'static Location<'static>) -> Var<'_> {
        let value = self.tape.borrow_mut().push(source, SmallVec::new(), smallvec::smallvec![meta], caller);
        Var { graph: self, value }
    }

    /// Appends a node for the op, or its expansion if the op has the form [`Form::Expanded`].
    ///
    /// # Errors
    /// If the op does not accept the inputs, its declared outputs do not fit its form, its expansion is infinite, or an
    /// input belongs to another graph: the message names the op, the shapes and the caller's line.
    #[track_caller]
    pub fn apply<'g, O: Op>(&'g self, op: O, inputs: &[Var<'g>]) -> Result<Vars<'g>, Error> {
        let id = self.tape.borrow_mut().intern(op);
        self.apply_interned(id, inputs, Location::caller())
    }

    /// Appends a node for an op of one output.
    ///
    /// # Panics
    /// Where [`Graph::apply`] returns an error.
    #[track_caller]
    pub fn call<'g, O: Op>(&'g self, op: O, inputs: &[Var<'g>]) -> Var<'g> {
        match self.apply(op, inputs) {
            Ok(outputs) => outputs[0],
            Err(error) => error.panic(),
        }
    }

    /// [`Graph::apply`] of an op of any type. It is not looked up among those that the graph holds.
    #[track_caller]
    pub(crate) fn apply_any<'g>(&'g self, op: &Arc<dyn AnyOp>, inputs: &[Var<'g>]) -> Result<Vars<'g>, Error> {
        let id = {
            let mut tape = self.tape.borrow_mut();
            tape.ops.push(Arc::clone(op));
            tape.ops.len() as u32 - 1
        };
        self.apply_interned(id, inputs, Location::caller())
    }

    /// Records again the nodes from index `start` on that `of` depends on. `replace` is called with the name, the
    /// inputs and the output of each, and may return a variable to use instead. `None` if it never does.
    #[cfg(any(test, feature = "proptest"))]
    pub(crate) fn rerecord<'g>(
        &'g self,
        start: usize,
        of: Var<'g>,
        replace: impl Fn(&str, &[Var<'g>], Var<'g>) -> Option<Var<'g>>,
    ) -> Option<Var<'g>> {
        let mut renewed: FxHashMap<Value, Var<'g>> = FxHashMap::default();
        for index in start..=of.value.node.index() {
            let node = NodeId(index as u32);
            let Some(op) = self.tape().op(node).map(Arc::clone) else { continue };
            let values = self.tape().nodes[index].inputs.clone();
            let var = |value: Value| renewed.get(&value).copied().unwrap_or(Var { graph: self, value });
            let inputs: Vars<'g> = values.iter().map(|&value| var(value)).collect();
            let output = Value { node, output: 0 };
            if let Some(other) = replace(op.name(), &inputs, Var { graph: self, value: output }) {
                renewed.insert(output, other);
            } else if values.iter().any(|value| renewed.contains_key(value)) {
                let outputs = self.apply_any(&op, &inputs).ok()?;
                renewed.extend(outputs.iter().zip(0..).map(|(&var, output)| (Value { node, output }, var)));
            }
        }
        renewed.get(&of.value).copied()
    }

    // The rest does not depend on the type of the op, so that it is compiled once and not for every op.

    fn apply_interned<'g>(
        &'g self,
        id: u32,
        inputs: &[Var<'g>],
        caller: &'static Location<'static>,
    ) -> Result<Vars<'g>, Error> {
        let (op, caller) = {
            let tape = self.tape();
            (Arc::clone(&tape.ops[id as usize]), tape.line.unwrap_or(caller))
        };
        self.check_own(op.name(), inputs, caller)?;
        let metas: SmallVec<[Meta; 3]> = {
            let tape = self.tape();
            inputs.iter().map(|input| tape.meta(input.value).clone()).collect()
        };
        let inferred = op.inputs().check(&metas).and_then(|()| op.infer(&metas));
        let inferred = inferred.and_then(|outputs| form::check(&*op, &metas, &outputs).map(|()| outputs));
        let outputs = inferred.map_err(|problem| {
            let shapes: SmallVec<[&Shape; 3]> = metas.iter().map(|meta| &meta.shape).collect();
            let line = self.tape().origin.map_or(caller, |(location, _)| location);
            Error::at(ErrorKind::Op, message(op.name(), &shapes, &problem), line)
        })?;
        if op.form() == Form::Expanded {
            return self.lower(op, id, inputs, &outputs, caller);
        }
        Ok(self.record(id, inputs.iter().map(|input| input.value).collect(), outputs, caller))
    }

    /// Checks that variables belong to this graph.
    ///
    /// # Errors
    /// Names the method, the variable of another graph, and both lines.
    pub(crate) fn check_own(
        &self,
        what: &str,
        vars: &[Var<'_>],
        caller: &'static Location<'static>,
    ) -> Result<(), Error> {
        let Some(number) = vars.iter().position(|var| !std::ptr::eq(var.graph, self)) else { return Ok(()) };
        let stranger = vars[number].graph.tape().describe(vars[number].node());
        let problem = format!("variable {number} belongs to another graph: {stranger}");
        Err(Error::at(ErrorKind::Op, format!("`{what}`: {problem}"), caller))
    }

    /// [`Graph::check_own`] in methods that return no error.
    ///
    /// # Panics
    /// Where that returns an error.
    #[track_caller]
    pub(crate) fn expect_own(&self, what: &str, vars: &[Var<'_>]) {
        if let Err(error) = self.check_own(what, vars, Location::caller()) {
            error.panic();
        }
    }

    fn record<'g>(
        &'g self,
        id: u32,
        inputs: SmallVec<[Value; 2]>,
        outputs: Metas,
        caller: &'static Location<'static>,
    ) -> Vars<'g> {
        let count = outputs.len() as u32;
        let Value { node, .. } = self.tape.borrow_mut().push(Source::Op(id), inputs, outputs, caller);
        (0..count).map(|output| Var { graph: self, value: Value { node, output } }).collect()
    }
}
