//! From a graph to its description.

use std::panic::Location;

use rustc_hash::FxHashMap;

use super::{GraphDescription, NodeDescription};
use crate::error::{Error, ErrorKind};
use crate::tape::op::{Attributes, Form, Number, Ops};
use crate::tape::{Constant, Distribution, Graph, NodeId, Source, Tape, Value, Var};
use crate::tensor::AnyTensor;

impl Graph {
    /// The description of what the outputs need, and of all inputs of the graph.
    ///
    /// # Errors
    /// If an output belongs to another graph, or needs an op that is not among `ops` or depends on the cotangent of a
    /// derivative: the message names it and its line.
    ///
    /// # Example
    /// See [`GraphDescription`].
    #[track_caller]
    pub fn describe(&self, outputs: &[Var<'_>], ops: &Ops) -> Result<GraphDescription, Error> {
        self.check_own("describe", outputs, Location::caller())?;
        let describer = Describer { tape: &self.tape(), ops };
        describer.describe(outputs.iter().map(|output| output.value))
    }
}

struct Describer<'a> {
    tape: &'a Tape,
    ops: &'a Ops,
}

impl Describer<'_> {
    /// The value itself, behind nodes that hand on what they read and that files do not know, such as that of an op with
    /// an expansion.
    fn behind(&self, mut value: Value) -> Value {
        while let Some(op) = self.tape.op(value.node)
            && let Form::Alias { first } = op.form()
            && !self.ops.has(&**op)
        {
            value = self.tape.nodes[value.node.index()].inputs[first + value.output as usize];
        }
        value
    }

    /// Whether each node is a part of the description.
    fn described(&self, outputs: &[Value]) -> Vec<bool> {
        let nodes = &self.tape.nodes;
        let mut described = vec![false; nodes.len()];
        outputs.iter().for_each(|output| described[output.node.index()] = true);
        let mut randoms = 0;
        for index in (0..nodes.len()).rev() {
            match nodes[index].source {
                Source::Input(_) => described[index] = true,
                Source::Random(number) if described[index] => randoms = randoms.max(number + 1),
                _ => {}
            }
            if described[index] {
                nodes[index].inputs.iter().for_each(|&input| described[self.behind(input).node.index()] = true);
            }
        }
        // The numbers of a random leaf depend on how many there are before it.
        for (node, described) in nodes.iter().zip(&mut described) {
            *described |= matches!(node.source, Source::Random(number) if number < randoms);
        }
        described
    }

    fn describe(&self, outputs: impl Iterator<Item = Value>) -> Result<GraphDescription, Error> {
        let outputs: Vec<Value> = outputs.map(|output| self.behind(output)).collect();
        let mut description = GraphDescription::default();
        let mut places: FxHashMap<NodeId, u32> = FxHashMap::default();
        let described = self.described(&outputs);
        for (index, _) in described.iter().enumerate().filter(|(_, described)| **described) {
            let (id, node) = (NodeId(index as u32), &self.tape.nodes[index]);
            let place = |&input: &_| {
                let Value { node, output } = self.behind(input);
                (places[&node], output)
            };
            let inputs = node.inputs.iter().map(place).collect();
            let (op, version, attributes) = self.what(id, &mut description.constants)?;
            places.insert(id, description.nodes.len() as u32);
            let (op, outputs) = (op.to_owned(), node.outputs.clone());
            description.nodes.push(NodeDescription { op, version, attributes, inputs, outputs });
        }
        description.outputs = outputs.iter().map(|value| (places[&value.node], value.output)).collect();
        Ok(description)
    }

    /// Name, version and attributes of a node.
    fn what(&self, id: NodeId, constants: &mut Vec<AnyTensor<f64>>) -> Result<(&'static str, u32, Attributes), Error> {
        let Self { tape, ops } = self;
        let fault =
            |problem: &str| Err(Error::new(ErrorKind::Description, format!("{}: {problem}", tape.describe(id))));
        let attributes = Attributes::new();
        let (name, attributes) = match tape.nodes[id.index()].source {
            Source::Input(input) => ("input", attributes.with("name", &tape.inputs[input as usize].0)),
            Source::Param(param) => {
                ("parameter", attributes.with("name", &tape.params[param as usize].0.name().to_owned()))
            }
            Source::Constant(constant) => {
                let number = constants.len();
                match &tape.constants[constant as usize] {
                    Constant::Scalar(value) => ("constant", attributes.with("value", &Number(*value))),
                    Constant::Real(tensor) => {
                        constants.push(tensor.clone().into());
                        ("constant", attributes.with("number", &number))
                    }
                    Constant::Index(tensor) => {
                        constants.push(tensor.clone().into());
                        ("constant", attributes.with("number", &number))
                    }
                }
            }
            Source::Random(random) => ("random", distribution(&tape.randoms[random as usize])),
            Source::Seed => return fault("it stands for a cotangent and has no value"),
            Source::Op(op) => {
                let op = &tape.ops[op as usize];
                return match ops.find(&**op) {
                    Some(known) => Ok(known),
                    None => fault(&format!(
                        "the op cannot be written to a file: it is not among the `Ops`; \
                         `saved_op!(\"name\": {} {{ … }})` says how, and `Ops::builtin().with::<…>()` adds it",
                        op.type_name()
                    )),
                };
            }
        };
        Ok((name, 1, attributes))
    }
}

fn distribution(distribution: &Distribution) -> Attributes {
    let named = |name: &str| Attributes::new().with("distribution", &name.to_owned());
    match distribution {
        Distribution::Uniform => named("uniform"),
        Distribution::Normal => named("normal"),
        Distribution::Bernoulli(probability) => named("bernoulli").with("probability", &Number(*probability)),
        Distribution::Integers(range) => named("integers").with("range", &[range.start, range.end]),
    }
}
