//! Pictures of a graph: DOT text, a standalone SVG file, and a summary as a table.
//!
//! They show the nodes that chosen outputs depend on, with the names of ops, inputs, parameters and scopes.

mod dot;
mod summary;
#[cfg(feature = "svg")]
mod svg;

use petgraph::visit::{Dfs, NodeIndexable, Reversed, Visitable};

use crate::tape::op::{Kind, Meta};
use crate::tape::{Constant, Distribution, GraphView, NodeId, Source, Tape, Var};

/// The set of nodes that are shown.
type Shown = <GraphView<'static> as Visitable>::Map;

/// The nodes that the outputs need; all nodes if there are no outputs.
fn shown(view: &GraphView<'_>, outputs: &[Var<'_>]) -> Shown {
    if outputs.is_empty() {
        let mut all = view.visit_map();
        all.set_range(.., true);
        return all;
    }
    let back = Reversed(view);
    let mut walk = Dfs::empty(back);
    walk.stack.extend(outputs.iter().map(|output| view.from_index(output.node().index())));
    while walk.next(back).is_some() {}
    walk.discovered
}

/// The label of a node: the op, the name of an input or parameter, the value of a scalar.
fn label(tape: &Tape, node: NodeId) -> String {
    match tape.nodes[node.index()].source {
        Source::Input(input) => tape.inputs[input as usize].0.clone(),
        Source::Param(param) => tape.params[param as usize].0.name().to_owned(),
        Source::Constant(constant) => match tape.constants[constant as usize] {
            Constant::Scalar(value) => number(value),
            Constant::Real(_) | Constant::Index(_) => "constant".to_owned(),
        },
        Source::Random(random) => match &tape.randoms[random as usize] {
            Distribution::Uniform => "uniform".to_owned(),
            Distribution::Normal => "normal".to_owned(),
            Distribution::Bernoulli(probability) => format!("bernoulli {}", number(*probability)),
            Distribution::Integers(range) => format!("randint {range:?}"),
        },
        Source::Op(_) | Source::Seed => tape.name(node).to_owned(),
    }
}

/// A number with at most six digits.
fn number(value: f64) -> String {
    let rounded: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    let plain = rounded == 0.0 || !rounded.is_finite() || (1e-4..1e6).contains(&rounded.abs());
    if plain { format!("{rounded}") } else { format!("{rounded:e}") }
}

/// "[2, 3]", or "index [2, 3]".
fn shape(meta: &Meta) -> String {
    match meta.kind {
        Kind::Real => meta.shape.to_string(),
        Kind::Index => format!("index {}", meta.shape),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::Graph;

    #[test]
    fn numbers_are_short() {
        let cases = [
            (0.0, "0"),
            (-1.0, "-1"),
            (1.0 / 3.0, "0.333333"),
            (0.1 + 0.2, "0.3"),
            (1e300, "1e300"),
            (1.5e-9, "1.5e-9"),
            (123_456.7, "123457"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "NaN"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn only_what_the_outputs_need_is_shown() {
        let graph = Graph::new();
        let x = graph.input("x", [2]);
        let (y, _unused) = (x * x, x.recip());
        let z = y.sum();
        let view = graph.view();
        let numbers = |outputs: &[Var<'_>]| shown(&view, outputs).ones().collect::<Vec<_>>();
        assert_eq!(numbers(&[]), [0, 1, 2, 3]);
        assert_eq!(numbers(&[z]), [0, 1, 3]);
        assert_eq!(numbers(&[x, y]), [0, 1]);
    }

    #[test]
    #[should_panic(
        expected = "`dot`: variable 0 belongs to another graph: constant at crates/graph/src/picture/mod.rs"
    )]
    fn outputs_of_another_graph_are_refused() {
        let (one, other) = (Graph::new(), Graph::new());
        let _ = one.dot(&[other.scalar(1.0)]);
    }
}
