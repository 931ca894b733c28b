//! The nodes that a plan needs, common subexpressions among them, and their order.
//!
//! Ops are interned by the graph, so two nodes are equal if they have the same op and the same inputs. Pointwise ops
//! and views are delayed until their first consumer, so that a mask that only the backward pass reads is not written in
//! the forward pass. A pointwise op that is the last use of several values, such as the addition to a running sum, is
//! not delayed.

use std::hash::{Hash, Hasher};

use rustc_hash::{FxHashMap, FxHasher};

use crate::tape::op::Form;
use crate::tape::{NodeId, Source, Tape, Value};

/// The nodes of a plan, in order.
pub(super) struct Order {
    /// For every node up to the last one that is needed, the first node that is equal to it (often itself).
    pub(super) same: Vec<u32>,
    /// The nodes to run.
    pub(super) nodes: Vec<NodeId>,
}

impl Order {
    pub(super) fn canonical(&self, value: Value) -> Value {
        Value { node: NodeId(self.same[value.node.index()]), ..value }
    }
}

pub(super) fn order(tape: &Tape, outputs: &[Value]) -> Order {
    let end = outputs.iter().map(|value| value.node.index() + 1).max().unwrap_or(0);
    let needed = reach(end, outputs.iter().map(|value| value.node.0), |node, visit| {
        tape.nodes[node as usize].inputs.iter().for_each(|input| visit(input.node.0));
    });
    let same = share(tape, &needed);
    let needed = reach(end, outputs.iter().map(|value| same[value.node.index()]), |node, visit| {
        tape.nodes[node as usize].inputs.iter().for_each(|input| visit(same[input.node.index()]));
    });

    let lazy: Vec<bool> =
        tape.ops.iter().map(|op| matches!(op.form(), Form::Pointwise | Form::View | Form::Alias { .. })).collect();
    let is_lazy = |node: u32| match tape.nodes[node as usize].source {
        Source::Op(op) => lazy[op as usize],
        _ => false,
    };
    let ends = joins(tape, &same, &needed, outputs);
    let mut ordered = vec![false; end];
    let mut nodes = Vec::with_capacity(needed.iter().filter(|needed| **needed).count());
    let mut stack: Vec<(u32, bool)> = Vec::new();
    let mut visit = |root: u32, ordered: &mut Vec<bool>, nodes: &mut Vec<NodeId>| {
        stack.push((root, false));
        while let Some((node, inputs_done)) = stack.pop() {
            if ordered[node as usize] {
                continue;
            }
            if inputs_done {
                ordered[node as usize] = true;
                nodes.push(NodeId(node));
                continue;
            }
            stack.push((node, true));
            for input in tape.nodes[node as usize].inputs.iter().rev() {
                let input = same[input.node.index()];
                if !ordered[input as usize] {
                    stack.push((input, false));
                }
            }
        }
    };
    for node in 0..end as u32 {
        if needed[node as usize] && (!is_lazy(node) || ends[node as usize]) {
            visit(node, &mut ordered, &mut nodes);
        }
    }
    for value in outputs {
        visit(same[value.node.index()], &mut ordered, &mut nodes);
    }
    Order { same, nodes }
}

/// The pointwise nodes that are the only readers of several values: after them fewer values are alive.
fn joins(tape: &Tape, same: &[u32], needed: &[bool], outputs: &[Value]) -> Vec<bool> {
    let mut readers = vec![0_u32; needed.len()];
    let needed_nodes = || (0..needed.len()).filter(|&node| needed[node]);
    for node in needed_nodes() {
        for input in &tape.nodes[node].inputs {
            readers[same[input.node.index()] as usize] += 1;
        }
    }
    for output in outputs {
        readers[same[output.node.index()] as usize] += 1;
    }
    let mut joins = vec![false; needed.len()];
    for node in needed_nodes() {
        let Source::Op(op) = tape.nodes[node].source else { continue };
        let work = |input: &&Value| matches!(tape.nodes[input.node.index()].source, Source::Op(_) | Source::Random(_));
        let mut read = tape.nodes[node].inputs.iter().filter(work);
        joins[node] = tape.ops[op as usize].form() == Form::Pointwise
            && read.clone().count() > 1
            && read.all(|input| readers[same[input.node.index()] as usize] == 1);
    }
    joins
}

/// The nodes that the roots depend on.
fn reach(end: usize, roots: impl Iterator<Item = u32>, inputs: impl Fn(u32, &mut dyn FnMut(u32))) -> Vec<bool> {
    let mut needed = vec![false; end];
    roots.for_each(|root| needed[root as usize] = true);
    for node in (0..end).rev() {
        if needed[node] {
            inputs(node as u32, &mut |input| needed[input as usize] = true);
        }
    }
    needed
}

/// For each node the first node that is equal to it.
///
/// A node is looked for among those that have the same last input, in a list that begins at that input: of a long tape
/// all of this lies near the node, in a cache, where a table of all nodes would be read all over. Only the nodes of an
/// input with many readers are in such a table.
fn share(tape: &Tape, needed: &[bool]) -> Vec<u32> {
    const NONE: u32 = u32::MAX;
    const MANY: usize = 16;
    let mut same: Vec<u32> = (0..needed.len() as u32).collect();
    // For each input its last reader, and for each node the one before it in that list.
    let mut readers = vec![NONE; needed.len()];
    let mut before = vec![NONE; needed.len()];
    let mut others: FxHashMap<u64, u32> = FxHashMap::default();
    for (index, node) in tape.nodes[..needed.len()].iter().enumerate() {
        let Source::Op(op) = node.source else { continue };
        if !needed[index] {
            continue;
        }
        let equals = |same: &[u32], other: u32| {
            let other = &tape.nodes[other as usize];
            other.source == node.source
                && other.inputs.len() == node.inputs.len()
                && other
                    .inputs
                    .iter()
                    .zip(&node.inputs)
                    .all(|(a, b)| same[a.node.index()] == same[b.node.index()] && a.output == b.output)
        };
        let inputs = node.inputs.iter().map(|input| (same[input.node.index()], input.output));
        let last = inputs.clone().map(|(node, _)| node).max();
        let list = last.map_or(NONE, |input| readers[input as usize]);
        let (mut other, mut count) = (list, 0);
        while other != NONE && count < MANY && !equals(&same, other) {
            (other, count) = (before[other as usize], count + 1);
        }
        if let Some(input) = last
            && count < MANY
        {
            match other {
                NONE => before[index] = std::mem::replace(&mut readers[input as usize], index as u32),
                first => same[index] = first,
            }
            continue;
        }
        let mut hasher = FxHasher::default();
        op.hash(&mut hasher);
        inputs.for_each(|input| input.hash(&mut hasher));
        let first = *others.entry(hasher.finish()).or_insert(index as u32);
        if equals(&same, first) {
            same[index] = first;
        }
    }
    same
}

#[cfg(test)]
mod tests {
    use super::order;
    use crate::tape::{Graph, Value, Var};

    /// A chain, and values with few and with many readers.
    #[test]
    fn equal_nodes_are_one() {
        const COUNT: usize = 1000;
        let graph = Graph::new();
        let x = graph.input("x", []);
        let chain = || vec![(0..COUNT).fold(x, |z, _| z.sin())];
        fn readers(z: Var<'_>, count: usize) -> Vec<Var<'_>> {
            (0..count as i32).map(|k| z.powi(k)).collect()
        }
        let all = || -> Vec<Value> {
            let few = (0..40).flat_map(|count| readers(x * count as f64, count));
            chain().into_iter().chain(few).chain(readers(x, COUNT)).map(|output| output.value).collect()
        };
        let (once, twice) = (all(), all());
        let order = order(&graph.tape(), &[&once[..], &twice].concat());
        for (once, twice) in once.into_iter().zip(twice) {
            assert_eq!(order.canonical(twice), once);
        }
    }
}
