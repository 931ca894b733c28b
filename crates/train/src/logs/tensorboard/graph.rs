//! A graph as TensorBoard draws it.

use std::collections::HashSet;

use gradus_graph::Graph;
use petgraph::Direction;
use petgraph::visit::{EdgeRef, IntoEdgesDirected, IntoNodeReferences};

use crate::logs::message::Message;

/// The nodes of a graph: scopes are parts of their names, which slashes divide.
pub(super) fn definition(graph: &Graph) -> Message {
    let view = graph.view();
    let mut taken = HashSet::new();
    let mut names: Vec<String> = Vec::new();
    let mut definition = Message::new();
    for (node, outputs) in view.node_references() {
        let op = view.op(node);
        let own = view.name(node).replace('.', "/");
        let scope = view.scope(node).replace('.', "/");
        // The name of a parameter says where it belongs.
        let mut name = if op == "parameter" || scope.is_empty() { own } else { format!("{scope}/{own}") };
        if !taken.insert(name.clone()) {
            name = format!("{name}_{}", node.index());
            taken.insert(name.clone());
        }
        let mut message = Message::new().bytes(1, name.as_bytes()).bytes(2, op.as_bytes());
        // In the order of the inputs.
        let mut inputs: Vec<(u32, usize)> =
            view.edges_directed(node, Direction::Incoming).map(|edge| (edge.id().1, edge.source().index())).collect();
        inputs.sort_unstable();
        for (_, source) in inputs {
            message = message.bytes(3, names[source].as_bytes());
        }
        let shapes = outputs.iter().fold(Message::new(), |list, output| {
            let sizes = output
                .shape
                .iter()
                .fold(Message::new(), |shape, &size| shape.message(2, &Message::new().integer(1, size as u64)));
            list.message(7, &sizes)
        });
        let attribute = Message::new().bytes(1, b"_output_shapes").message(2, &Message::new().message(1, &shapes));
        definition = definition.message(1, &message.message(5, &attribute));
        names.push(name);
    }
    // The version that TensorFlow has had since 1.0.
    definition.message(4, &Message::new().integer(1, 22))
}
