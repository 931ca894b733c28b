//! From a description to a graph. What it says may come from a stranger: all of it is checked, and the ops are recorded as
//! a program records them, so that each checks its inputs.

use std::panic::Location;

use rustc_hash::FxHashSet;

use super::{GraphDescription, NodeDescription};
use crate::error::{Error, ErrorKind};
use crate::params::Param;
use crate::shape::Shape;
use crate::tape::op::{Attributes, Kind, Meta, Metas, Number, Ops, Vars};
use crate::tape::{Graph, Var};
use crate::tensor::AnyTensor;

/// The most axes of a value: memory for the shapes of a graph is then in proportion to its nodes.
const AXES: usize = 64;
/// The most elements of all values together, 64 TiB in `f32`. With it, no size that is computed from several overflows.
const ELEMENTS: usize = 1 << 44;

impl GraphDescription {
    /// Records the graph that is described into an empty one, and returns its outputs. `param` gives the parameter of a
    /// name. The nodes have the line of the caller.
    ///
    /// # Errors
    /// If the graph is not empty, an op is unknown, of a later version or does not accept what is given to it, a node
    /// reads a later one, a parameter is missing, or the shapes are not those that are computed: the message names the
    /// node. The graph then holds a part.
    ///
    /// # Example
    /// See [`GraphDescription`].
    #[track_caller]
    pub fn build<'g>(
        &self,
        graph: &'g Graph,
        ops: &Ops,
        param: impl Fn(&str) -> Option<Param>,
    ) -> Result<Vars<'g>, Error> {
        let _line = graph.at_line(Location::caller());
        let fault = |problem: String| Error::new(ErrorKind::Description, problem);
        if graph.len() > 0 {
            return Err(fault(format!(
                "a description is built into an empty graph; this one has {} nodes",
                graph.len()
            )));
        }
        let (built, inputs) = (Vec::with_capacity(self.nodes.len()), FxHashSet::default());
        let mut builder = Builder { description: self, graph, ops, built, inputs, constants: 0 };
        let mut elements = 0_usize;
        for (number, node) in self.nodes.iter().enumerate() {
            let outputs = builder.node(node, &param).map_err(|problem| fault(format!("node {number}: {problem}")))?;
            let sizes = node.outputs.iter().map(|meta| meta.shape.len());
            elements = sizes.fold(elements, usize::saturating_add);
            if elements > ELEMENTS {
                return Err(fault(format!("node {number}: with it the values have more than {ELEMENTS} elements")));
            }
            builder.built.push(outputs);
        }
        builder.values(&self.outputs).map_err(|problem| fault(format!("outputs: {problem}")))
    }
}

struct Builder<'a, 'g> {
    description: &'a GraphDescription,
    graph: &'g Graph,
    ops: &'a Ops,
    /// The outputs of each node so far.
    built: Vec<Vars<'g>>,
    /// The names of the inputs so far.
    inputs: FxHashSet<String>,
    /// The number of constants with a tensor so far.
    constants: usize,
}

impl<'g> Builder<'_, 'g> {
    fn values(&self, places: &[(u32, u32)]) -> Result<Vars<'g>, String> {
        let value = |&(node, output): &(u32, u32)| {
            let outputs = self.built.get(node as usize);
            let found = outputs.and_then(|outputs| outputs.get(output as usize)).copied();
            found.ok_or_else(|| format!("output {output} of node {node} is not there, or comes later"))
        };
        places.iter().map(value).collect()
    }

    fn node(&mut self, node: &NodeDescription, param: impl Fn(&str) -> Option<Param>) -> Result<Vars<'g>, String> {
        if let Some(meta) = node.outputs.iter().find(|meta| meta.shape.rank() > AXES) {
            return Err(format!("a value has {} axes, of at most {AXES}", meta.shape.rank()));
        }
        let inputs = self.values(&node.inputs)?;
        let outputs = match self.leaf(node, param)? {
            Some(leaf) if inputs.is_empty() => smallvec::smallvec![leaf],
            Some(_) => return Err(format!("it is a leaf, `{}`, and reads nothing", node.op)),
            None => {
                let op = (node.op.as_str(), node.version, &node.attributes);
                self.ops.apply(op, self.graph, &inputs).map_err(|error| error.to_string())?
            }
        };
        let found: Metas = outputs.iter().map(|output| output.meta()).collect();
        match found == node.outputs {
            true => Ok(outputs),
            false => Err(format!("`{}` gives {}, where {} is said", node.op, listed(&found), listed(&node.outputs))),
        }
    }

    /// The node of an input, a parameter, a constant or random numbers; `None` if it is one of an op.
    fn leaf(
        &mut self,
        NodeDescription { op, version, attributes, outputs, .. }: &NodeDescription,
        param: impl Fn(&str) -> Option<Param>,
    ) -> Result<Option<Var<'g>>, String> {
        if !crate::tape::op::LEAVES.contains(&op.as_str()) {
            return Ok(None);
        }
        let ([Meta { kind, shape }], 1) = (&outputs[..], version) else {
            return Err(format!("`{op}` has one output and version 1, not {} and {version}", outputs.len()));
        };
        match op.as_str() {
            "input" => self.input(attributes.get("name")?, *kind, shape),
            "parameter" => {
                let name: String = attributes.get("name")?;
                let param = param(&name).ok_or_else(|| format!("parameter `{name}` is missing"))?;
                Ok(self.graph.param(&param))
            }
            "constant" => self.constant(attributes),
            _ => self.random(attributes, shape),
        }
        .map(Some)
    }

    fn input(&mut self, name: String, kind: Kind, shape: &Shape) -> Result<Var<'g>, String> {
        if !self.inputs.insert(name.clone()) {
            return Err(format!("there are two inputs named `{name}`"));
        }
        Ok(match kind {
            Kind::Real => self.graph.input(&name, shape),
            Kind::Index => self.graph.index_input(&name, shape),
        })
    }

    fn constant(&mut self, attributes: &Attributes) -> Result<Var<'g>, String> {
        if let Ok(Number(value)) = attributes.get("value") {
            return Ok(self.graph.scalar(value));
        }
        let number: usize = attributes.get("number")?;
        // A graph has a copy of each, so that a constant for many nodes would take much memory.
        if number != self.constants {
            return Err(format!("constant {number} is used where {} comes next", self.constants));
        }
        self.constants += 1;
        match self.description.constants.get(number) {
            Some(AnyTensor::Real(tensor)) => Ok(self.graph.constant(tensor)),
            Some(AnyTensor::Index(tensor)) => Ok(self.graph.index_constant(tensor)),
            None => Err(format!("there is no constant {number}")),
        }
    }

    fn random(&self, attributes: &Attributes, shape: &Shape) -> Result<Var<'g>, String> {
        let name: String = attributes.get("distribution")?;
        match name.as_str() {
            "uniform" => Ok(self.graph.uniform(shape)),
            "normal" => Ok(self.graph.normal(shape)),
            "bernoulli" => {
                let Number(probability) = attributes.get("probability")?;
                match (0.0..=1.0).contains(&probability) {
                    true => Ok(self.graph.bernoulli(probability, shape)),
                    false => Err(format!("{probability} is not a probability")),
                }
            }
            "integers" => {
                let [start, end] = attributes.get("range")?;
                match start < end {
                    true => Ok(self.graph.randint(start..end, shape)),
                    false => Err(format!("there is no integer in {start}..{end}")),
                }
            }
            _ => Err(format!("the distribution `{name}` is unknown")),
        }
    }
}

/// "real [2, 3] and index [2]".
fn listed(metas: &[Meta]) -> String {
    let one = |Meta { kind, shape }: &Meta| match kind {
        Kind::Real => format!("real {shape}"),
        Kind::Index => format!("index {shape}"),
    };
    if metas.is_empty() { "nothing".to_owned() } else { metas.iter().map(one).collect::<Vec<_>>().join(" and ") }
}
