//! Which op of a function is to blame: each op is checked by itself, on the values that it got, in the order of the
//! tape, until one fails.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::machine::Machine;
use super::report::{Culprit, Failure};
use super::sample::Sample;
use super::{Check, Effort, paste};
use crate::error::Error;
use crate::plan::AnyTensor;
use crate::shape::Shape;
use crate::tape::op::AnyOp;
use crate::tape::{Graph, NodeId, Tape, Value, Var, at};

/// The first op that fails by itself, with its failure.
pub(super) fn first_wrong_op(machine: &Machine<'_>, check: &Check) -> Result<Option<(Culprit, Box<Failure>)>, Error> {
    let graph = machine.graph;
    let nodes = needed(graph, machine);
    // Equal ops on equal values need no second look; on other values they may fail where the first did not.
    let mut seen: FxHashSet<(usize, Vec<Shape>, Vec<u64>)> = FxHashSet::default();
    for node in nodes {
        let Some((op, inputs)) = op_of(&graph.tape(), node) else { continue };
        let vars: Vec<Var<'_>> = inputs.iter().map(|&value| Var { graph, value }).collect();
        let values = machine.with(|params, feed| graph.eval_with::<f64>(&vars, params, feed))?;
        let shapes = values.iter().map(|value| value.shape().clone()).collect();
        let bits = values.iter().flat_map(bits).collect();
        if !seen.insert((Arc::as_ptr(&op).cast::<()>() as usize, shapes, bits)) {
            continue;
        }
        let sample = Sample { op, inputs: values };
        let alone = Check { effort: Effort::Balanced, ..check.clone() };
        if let Err(failure) = alone.sample(&sample) {
            let found = culprit(&graph.tape(), node, &sample);
            return Ok(Some((found, failure)));
        }
    }
    Ok(None)
}

fn bits(value: &AnyTensor<f64>) -> Vec<u64> {
    match value {
        AnyTensor::Real(tensor) => tensor.data().iter().map(|x| x.to_bits()).collect(),
        AnyTensor::Index(tensor) => tensor.data().iter().map(|&x| x as u64).collect(),
    }
}

/// The nodes of the function itself that its outputs are made of, in the order of the tape.
fn needed(graph: &Graph, machine: &Machine<'_>) -> Vec<NodeId> {
    let tape = graph.tape();
    let mut needed = vec![false; machine.recorded];
    for output in &machine.outputs {
        needed[output.value.node.index()] = true;
    }
    for index in (0..machine.recorded).rev() {
        if needed[index] {
            tape.nodes[index].inputs.iter().for_each(|input| needed[input.node.index()] = true);
        }
    }
    (0..machine.recorded as u32).map(NodeId).filter(|node| needed[node.index()]).collect()
}

/// The op of a node with its inputs. A node that carries the vjp of an op which is recorded as its expansion stands for
/// that op.
fn op_of(tape: &Tape, node: NodeId) -> Option<(Arc<dyn AnyOp>, Vec<Value>)> {
    let inputs = &tape.nodes[node.index()].inputs;
    if let Some((op, arity)) = tape.rule(node) {
        return Some((op, inputs[..arity].to_vec()));
    }
    Some((Arc::clone(tape.op(node)?), inputs.to_vec()))
}

fn culprit(tape: &Tape, node: NodeId, sample: &Sample) -> Culprit {
    let node = &tape.nodes[node.index()];
    Culprit {
        name: sample.op.name(),
        op: paste::op(&*sample.op),
        scope: tape.scope_path(node.scope),
        line: at(node.location),
        source: paste::line(node.location),
    }
}
