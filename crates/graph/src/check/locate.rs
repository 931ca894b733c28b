//! Which op of a function is to blame: each op is checked by itself, on the values that it got, in the order of the
//! tape, until one fails.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::derivatives::INPUT;
use super::evaluator::Evaluator;
use super::report::{FailingOp, Failure, Method};
use super::sample::Sample;
use super::{Check, Effort, paste};
use crate::error::Error;
use crate::shape::{Shape, unravel};
use crate::tape::op::{AnyOp, Kinks};
use crate::tape::{Graph, NodeId, Tape, Value, Var, at};
use crate::tensor::AnyTensor;

/// The first op that fails by itself, with its failure.
///
/// An op that was given a number outside its domain is named only if the failure is a NaN and no op fails otherwise:
/// its value may be masked.
pub(super) fn first_wrong_op(
    evaluator: &Evaluator<'_>,
    check: &Check,
    whole: &Failure,
) -> Result<Option<(FailingOp, Box<Failure>)>, Error> {
    let graph = evaluator.graph;
    let nodes = needed(graph, evaluator);
    // Equal ops on equal values need no second look; on other values they may fail where the first did not.
    let mut seen: FxHashSet<(usize, Vec<Shape>, Vec<u64>)> = FxHashSet::default();
    let mut outside = None;
    for node in nodes {
        let Some((op, inputs)) = op_of(&graph.tape(), node) else { continue };
        let vars: Vec<Var<'_>> = inputs.iter().map(|&value| Var { graph, value }).collect();
        let values = evaluator.with(|params, feed| graph.eval_with::<f64>(&vars, params, feed))?;
        let shapes = values.iter().map(|value| value.shape().clone()).collect();
        let bits = values.iter().flat_map(bits).collect();
        if !seen.insert((Arc::as_ptr(&op).cast::<()>() as usize, shapes, bits)) {
            continue;
        }
        let sample = Sample { op, inputs: values };
        let alone = Check { effort: Effort::Balanced, ..check.clone() };
        if let Err(failure) = alone.look(&sample) {
            let found = failing_op(&graph.tape(), node, &sample);
            let failure = alone.explain(&sample, failure, None);
            if failure.what != INPUT {
                return Ok(Some((found, failure)));
            }
            outside.get_or_insert((found, failure));
        }
    }
    let nan = whole.method == Method::Domain || whole.analytic.is_nan() || whole.numeric.is_nan();
    Ok(outside.filter(|_| nan))
}

/// The ops of the function that are at a kink which they state: name, line and kink. The first three.
pub(super) fn kinks(evaluator: &Evaluator<'_>) -> Result<Vec<String>, Error> {
    let graph = evaluator.graph;
    let mut found = Vec::new();
    for node in needed(graph, evaluator) {
        let Some((op, inputs)) = op_of(&graph.tape(), node) else { continue };
        let all: Vec<Kinks> = (0..inputs.len()).map(|input| op.kinks(input)).collect();
        if all.iter().all(|kinks| matches!(kinks, Kinks::None | Kinks::Joint)) {
            continue;
        }
        let vars: Vec<Var<'_>> = inputs.iter().map(|&value| Var { graph, value }).collect();
        let values = evaluator.with(|params, feed| graph.eval_with::<f64>(&vars, params, feed))?;
        let at = |input: usize| {
            let AnyTensor::Real(value) = &values[input] else { return None };
            let kinks = &all[input];
            let mut elements = value.data().iter().enumerate();
            let tied = |k: usize| match values.first() {
                Some(AnyTensor::Real(first)) => input > 0 && first.data().get(k) == value.data().get(k),
                _ => false,
            };
            elements.find_map(|(k, &x)| {
                let place = unravel(k, value.shape());
                match kinks.nearest(x) {
                    Some((kink, _)) => {
                        ((kink - x).abs() <= 1e-9).then(|| format!("input {input} is {x:?} at {place:?}"))
                    }
                    None => (*kinks == Kinks::Ties && tied(k)).then(|| format!("its inputs are equal at {place:?}")),
                }
            })
        };
        if let Some(place) = (0..inputs.len()).find_map(at) {
            let tape = graph.tape();
            let line = crate::tape::at(tape.nodes[node.index()].location);
            found.push(format!("`{}` at {line}: {place}", op.name()));
        }
        if found.len() == 3 {
            break;
        }
    }
    Ok(found)
}

fn bits(value: &AnyTensor<f64>) -> Vec<u64> {
    match value {
        AnyTensor::Real(tensor) => tensor.data().iter().map(|x| x.to_bits()).collect(),
        AnyTensor::Index(tensor) => tensor.data().iter().map(|&x| x as u64).collect(),
    }
}

/// The nodes of the function itself that its outputs are made of, in the order of the tape.
fn needed(graph: &Graph, evaluator: &Evaluator<'_>) -> Vec<NodeId> {
    let tape = graph.tape();
    let mut needed = vec![false; evaluator.recorded];
    for output in &evaluator.outputs {
        needed[output.value.node.index()] = true;
    }
    for index in (0..evaluator.recorded).rev() {
        if needed[index] {
            tape.nodes[index].inputs.iter().for_each(|input| needed[input.node.index()] = true);
        }
    }
    (0..evaluator.recorded as u32).map(NodeId).filter(|node| needed[node.index()]).collect()
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

fn failing_op(tape: &Tape, node: NodeId, sample: &Sample) -> FailingOp {
    let node = &tape.nodes[node.index()];
    FailingOp {
        name: sample.op.name(),
        op: paste::op(&*sample.op),
        scope: tape.scope_path(node.scope),
        line: at(node.location),
        source: paste::line(node.location),
        can_be_written: paste::can_be_written(&*sample.op),
    }
}
