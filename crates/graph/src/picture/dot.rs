//! A graph as DOT text: nodes and edges by petgraph, scopes as nested clusters around them.

use std::fmt::Write;

use petgraph::dot::{Config, Dot};
use petgraph::visit::{EdgeRef, NodeFiltered};

use super::{Shown, label, shape, shown};
use crate::tape::{Graph, NodeId, Source, Tape, Var};

impl Graph {
    /// The part of the graph that `outputs` need (all of it if there are none) as text in the DOT language, which
    /// Graphviz and many viewers draw: scopes are nested clusters, edges carry shapes, outputs have a double border.
    ///
    /// # Panics
    /// If an output belongs to another graph.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Graph;
    /// let graph = Graph::new();
    /// let x = graph.input("x", [3]);
    /// let _scope = graph.scope("loss");
    /// let loss = (x * x).sum();
    /// let text = graph.dot(&[loss]);
    /// assert!(text.starts_with("digraph {"));
    /// assert!(text.contains(r#"label = "loss""#));
    /// assert!(text.contains(r#"0 -> 1 [ label = "[3]"]"#));
    /// ```
    #[track_caller]
    pub fn dot(&self, outputs: &[Var<'_>]) -> String {
        self.expect_own("dot", outputs);
        let view = self.view();
        let tape = view.tape();
        let shown = shown(&view, outputs);
        let mut is_output = vec![false; tape.nodes.len()];
        outputs.iter().for_each(|output| is_output[output.node().index()] = true);

        let mut text = String::from(HEAD);
        write_clusters(&mut text, tape, &shown);
        let part = NodeFiltered(&view, shown);
        let edge_attributes = |_, edge: crate::tape::Edge<'_>| {
            let (target, slot) = edge.id();
            let value = tape.nodes[target.index()].inputs[slot as usize];
            let several = tape.nodes[value.node.index()].outputs.len() > 1;
            let which = if several { format!("{}: ", value.output) } else { String::new() };
            format!("label = \"{which}{}\"", shape(edge.weight()))
        };
        let node_attributes = |_, (index, _): (petgraph::graph::NodeIndex<u32>, _)| {
            let node = NodeId(index.index() as u32);
            let mut attributes = format!("label = \"{}", escaped(&label(tape, node)));
            if is_output[index.index()] {
                // It may have no outgoing edge to show its shape.
                for meta in &tape.nodes[index.index()].outputs {
                    let _ = write!(attributes, "\\n{}", shape(meta));
                }
            }
            attributes.push('"');
            attributes.push_str(look(tape, node));
            if is_output[index.index()] {
                attributes.push_str(", peripheries = 2");
            }
            attributes
        };
        let config = [Config::GraphContentOnly, Config::EdgeNoLabel, Config::NodeNoLabel];
        let _ = write!(text, "{:?}", Dot::with_attr_getters(&part, &config, &edge_attributes, &node_attributes));
        text.push_str("}\n");
        text
    }
}

const HEAD: &str = r##"digraph {
    node [ shape = box, style = "rounded,filled", fillcolor = "#ffffff", fontname = "Helvetica", fontsize = 11 ]
    edge [ fontname = "Helvetica", fontsize = 9, color = "#707070" ]
    graph [ fontname = "Helvetica", fontsize = 11, style = "rounded,filled", color = "#b0b0b0", fillcolor = "#00000008" ]
"##;

/// Further attributes of a node: leaves look different from ops.
fn look(tape: &Tape, node: NodeId) -> &'static str {
    match tape.nodes[node.index()].source {
        Source::Op(_) => "",
        Source::Input(_) => ", shape = ellipse, style = filled, fillcolor = \"#cfe2f3\"",
        Source::Param(_) => ", style = filled, fillcolor = \"#fff2cc\"",
        Source::Constant(_) | Source::Random(_) | Source::Seed => ", shape = plaintext, style = \"\"",
    }
}

/// Writes the clusters with the numbers of their nodes. Scopes may be nested deeply, so this is not recursive.
fn write_clusters(text: &mut String, tape: &Tape, shown: &Shown) {
    let mut scopes: Vec<Scope> = Vec::new();
    let count = tape.nodes.iter().map(|node| node.scope as usize + 1).max().unwrap_or(0);
    scopes.resize_with(count, Scope::default);
    for node in shown.ones() {
        scopes[tape.nodes[node].scope as usize].nodes.push(node);
    }
    // An inner scope has a greater number than the outer one.
    for scope in (1..count).rev() {
        if !scopes[scope].nodes.is_empty() || !scopes[scope].inner.is_empty() {
            scopes[tape.scope(scope as u32).1 as usize].inner.push(scope);
        }
    }
    let mut open: Vec<usize> = Vec::new();
    let mut next: Vec<usize> = scopes.first_mut().map(|top| std::mem::take(&mut top.inner)).unwrap_or_default();
    while let Some(scope) = next.pop() {
        let (name, parent) = tape.scope(scope as u32);
        close(text, &mut open, |scope| scope != parent as usize);
        let indent = indent(open.len());
        let _ = writeln!(text, "{indent}subgraph cluster_{scope} {{");
        let _ = writeln!(text, "{indent}    label = \"{}\"", escaped(name));
        if !scopes[scope].nodes.is_empty() {
            let nodes: Vec<String> = scopes[scope].nodes.iter().map(usize::to_string).collect();
            let _ = writeln!(text, "{indent}    {}", nodes.join("; "));
        }
        open.push(scope);
        next.append(&mut scopes[scope].inner);
    }
    close(text, &mut open, |_| true);
}

/// Closes the innermost clusters while `done` is true for them.
fn close(text: &mut String, open: &mut Vec<usize>, done: impl Fn(usize) -> bool) {
    while open.last().is_some_and(|&scope| done(scope)) {
        open.pop();
        let _ = writeln!(text, "{}}}", indent(open.len()));
    }
}

/// The indentation of a cluster at a depth; bounded, so that the text is linear in the number of scopes.
fn indent(depth: usize) -> String {
    "    ".repeat(depth.min(15) + 1)
}

#[derive(Default)]
struct Scope {
    nodes: Vec<usize>,
    /// The scopes within it that have nodes, last first.
    inner: Vec<usize>,
}

/// Escapes a text for a DOT string, in which Graphviz decodes HTML entities.
fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '&' => text.push_str("&amp;"),
            '\n' => text.push_str("\\n"),
            other if other.is_control() => text.push('\u{fffd}'),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Params;
    use crate::tensor::Tensor;

    #[test]
    fn a_small_model_in_full() {
        let mut params: Params = Params::new(0);
        let weight = params.scope("hidden", |params| params.add("weight", Tensor::zeros([3, 2])));
        let graph = Graph::new();
        let x = graph.input("x", [4, 3]);
        let h = {
            let _scope = graph.scope("model");
            {
                let h = {
                    let _scope = graph.scope("hidden");
                    x.matmul(graph.param(&weight))
                };
                h * h
            }
        };
        let loss = {
            let _scope = graph.scope("loss");
            h.sum() * 0.5
        };
        let _unused = x.recip();
        let body = r##"    subgraph cluster_1 {
        label = "model"
        3
        subgraph cluster_2 {
            label = "hidden"
            1; 2
        }
    }
    subgraph cluster_3 {
        label = "loss"
        4; 5; 6
    }
    0 [ label = "x", shape = ellipse, style = filled, fillcolor = "#cfe2f3"]
    1 [ label = "hidden.weight", style = filled, fillcolor = "#fff2cc"]
    2 [ label = "matmul"]
    3 [ label = "mul"]
    4 [ label = "sum"]
    5 [ label = "0.5", shape = plaintext, style = ""]
    6 [ label = "mul\n[]", peripheries = 2]
    0 -> 2 [ label = "[4, 3]"]
    1 -> 2 [ label = "[3, 2]"]
    2 -> 3 [ label = "[4, 2]"]
    2 -> 3 [ label = "[4, 2]"]
    3 -> 4 [ label = "[4, 2]"]
    4 -> 6 [ label = "[]"]
    5 -> 6 [ label = "[]"]
}
"##;
        let text = graph.dot(&[loss]);
        assert_eq!(text.strip_prefix(HEAD), Some(body), "{text}");
    }

    #[test]
    fn names_are_quoted() {
        let graph = Graph::new();
        let x = graph.index_input("a \"quote\" \\N &amp;\n", [2]);
        {
            let _scope = graph.scope("}\"");
            x.to_real()
        };
        let text = graph.dot(&[]);
        assert!(text.contains(r#"label = "a \"quote\" \\N &amp;amp;\n", shape"#), "{text}");
        assert!(text.contains(r#"label = "}\"""#), "{text}");
        assert!(text.contains(r#"label = "index [2]""#), "{text}");
    }

    #[test]
    fn no_nodes_and_deep_scopes() {
        let graph = Graph::new();
        assert_eq!(graph.dot(&[]), format!("{HEAD}}}\n"));
        // Scopes are left one after the other on the way out of this recursion; the walk has no such depth.
        fn nest(graph: &Graph, depth: usize) {
            match depth {
                0 => drop(graph.normal([1])),
                _ => {
                    let _scope = graph.scope("inner");
                    nest(graph, depth - 1)
                }
            }
        }
        nest(&graph, 300);
        let text = graph.dot(&[]);
        assert_eq!(text.matches("subgraph").count(), 300);
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }
}
