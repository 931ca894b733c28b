//! The summary of a graph: a line for each scope, and the memory of a plan.

use std::fmt::Write;

use rustc_hash::FxHashMap;

use super::shown;
use crate::plan::Plan;
use crate::shape::Shape;
use crate::tape::op::Meta;
use crate::tape::{Graph, NodeId, Source, Tape, Var};

impl Graph {
    /// The summary of the part of the graph that `outputs` depend on (all of it if there are none): for each scope,
    /// with the scopes within it, the shape of its last value, the number of nodes, the scalars in the parameters first
    /// used there, and the multiply-adds of its products; then the units of the plan for the outputs, and its arena
    /// compared with the sum of all activations.
    ///
    /// Scopes of one name within the same scope, such as the steps of a loop, share a line. The scope of a layer has
    /// the name of the layer, so the summary of a model's output is a table of its layers.
    ///
    /// # Panics
    /// If an output belongs to another graph.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Params, Tensor};
    /// let mut params: Params = Params::new(0);
    /// let weight = params.add("weight", Tensor::zeros([3, 2]));
    /// let graph = Graph::new();
    /// let x = graph.input("x", [4, 3]);
    /// let _scope = graph.scope("dense");
    /// let y = x.matmul(graph.param(&weight));
    /// let summary = graph.summary(&[y]);
    /// let lines: Vec<&str> = summary.lines().collect();
    /// assert_eq!(lines[0], "scope  output  nodes  parameters  multiply-adds");
    /// assert_eq!(lines[1], "dense  [4, 2]      2           6             24");
    /// ```
    #[track_caller]
    pub fn summary(&self, outputs: &[Var<'_>]) -> String {
        self.expect_own("summary", outputs);
        let mut text = table(&lines(self, outputs));
        if outputs.is_empty() {
            return text;
        }
        match Plan::new(self, outputs) {
            Ok(plan) => {
                let plan = plan.summary();
                let _ = write!(
                    text,
                    "\nplan: {} nodes as {} units, {} multiply-adds\narena: {} in f32",
                    grouped(plan.nodes),
                    grouped(plan.units),
                    grouped(plan.multiply_adds),
                    bytes(plan.arena)
                );
                if plan.activations > 0 {
                    let share = 100.0 * plan.arena as f64 / plan.activations as f64;
                    let _ = write!(text, ", {share:.0}% of the {} of all activations", bytes(plan.activations));
                }
                text.push('\n');
            }
            Err(error) => {
                let _ = writeln!(text, "\nno plan: {error}");
            }
        }
        text
    }
}

/// The line of a scope. Counts are of the scope alone at first, then include the scopes within it.
#[derive(Default)]
struct Line {
    name: String,
    parent: usize,
    depth: usize,
    /// The last node, and the shape of its first output.
    last: (usize, Shape),
    nodes: usize,
    parameters: usize,
    multiply_adds: usize,
}

/// The line of the total, then those of the scopes in the order of their first node.
fn lines(graph: &Graph, outputs: &[Var<'_>]) -> Vec<Line> {
    let view = graph.view();
    let tape = view.tape();
    let mut lines = vec![Line { name: "total".to_owned(), ..Line::default() }];
    let mut line_of_scope: Vec<Option<usize>> = vec![Some(0)];
    let mut by_name: FxHashMap<(usize, String), usize> = FxHashMap::default();
    for node in shown(&view, outputs).ones() {
        let line = line_of(tape, tape.nodes[node].scope, &mut lines, &mut line_of_scope, &mut by_name);
        let node = NodeId(node as u32);
        lines[line].nodes += 1;
        lines[line].last = (node.index(), tape.nodes[node.index()].outputs[0].shape.clone());
        lines[line].parameters += match tape.nodes[node.index()].source {
            Source::Param(param) => tape.params[param as usize].0.shape().len(),
            _ => 0,
        };
        if let Some(op) = tape.op(node) {
            let inputs: Vec<Meta> =
                tape.nodes[node.index()].inputs.iter().map(|&input| tape.meta(input).clone()).collect();
            lines[line].multiply_adds += op.multiply_adds(&inputs);
        }
    }
    // The line of an inner scope comes after that of the outer one.
    for line in (1..lines.len()).rev() {
        let Line { parent, nodes, parameters, multiply_adds, .. } = lines[line];
        if lines[parent].last.0 <= lines[line].last.0 {
            lines[parent].last = lines[line].last.clone();
        }
        lines[parent].nodes += nodes;
        lines[parent].parameters += parameters;
        lines[parent].multiply_adds += multiply_adds;
    }
    lines
}

/// The index of the line of a scope. Missing lines, of the scope and of those around it, are added.
fn line_of(
    tape: &Tape,
    scope: u32,
    lines: &mut Vec<Line>,
    line_of_scope: &mut Vec<Option<usize>>,
    by_name: &mut FxHashMap<(usize, String), usize>,
) -> usize {
    let mut missing = Vec::new();
    let mut outer = scope;
    while line_of_scope.get(outer as usize).copied().flatten().is_none() {
        missing.push(outer);
        outer = tape.scope(outer).1;
    }
    let mut line = line_of_scope[outer as usize].unwrap_or(0);
    for scope in missing.into_iter().rev() {
        let name = tape.scope(scope).0;
        let (parent, depth) = (line, lines[line].depth + 1);
        line = *by_name.entry((parent, name.to_owned())).or_insert_with(|| {
            lines.push(Line { name: name.to_owned(), parent, depth, ..Line::default() });
            lines.len() - 1
        });
        if line_of_scope.len() <= scope as usize {
            line_of_scope.resize(scope as usize + 1, None);
        }
        line_of_scope[scope as usize] = Some(line);
    }
    line
}

fn table(lines: &[Line]) -> String {
    let mut inner: Vec<Vec<usize>> = vec![Vec::new(); lines.len()];
    (1..lines.len()).rev().for_each(|line| inner[lines[line].parent].push(line));
    let mut rows = vec![["scope", "output", "nodes", "parameters", "multiply-adds"].map(str::to_owned)];
    let row = |line: &Line, name: String| {
        let shape = if line.nodes == 0 { String::new() } else { line.last.1.to_string() };
        [name, shape, grouped(line.nodes), grouped(line.parameters), grouped(line.multiply_adds)]
    };
    let mut next = std::mem::take(&mut inner[0]);
    while let Some(line) = next.pop() {
        let name = lines[line].name.replace(char::is_control, "\u{fffd}");
        rows.push(row(&lines[line], format!("{}{name}", "  ".repeat(lines[line].depth - 1))));
        next.append(&mut inner[line]);
    }
    rows.push(row(&lines[0], lines[0].name.clone()));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let [first, second, third, fourth, fifth] = [0, 1, 2, 3, 4].map(width);
    let mut text = String::new();
    for [name, shape, nodes, parameters, multiply_adds] in &rows {
        let _ = write!(text, "{name:first$}  {shape:second$}  {nodes:>third$}  ");
        let _ = writeln!(text, "{parameters:>fourth$}  {multiply_adds:>fifth$}");
    }
    text
}

/// "1,234,567".
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The memory of a number of `f32` elements.
fn bytes(elements: usize) -> String {
    let mut amount = elements as f64 * 4.0;
    for unit in ["B", "KiB", "MiB"] {
        if amount < 1024.0 {
            return if unit == "B" { format!("{amount} B") } else { format!("{amount:.1} {unit}") };
        }
        amount /= 1024.0;
    }
    format!("{amount:.1} GiB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Params;
    use crate::tensor::Tensor;

    #[test]
    fn a_recurrent_model_in_full() {
        let mut params: Params = Params::new(0);
        let weight = params.scope("cell", |params| params.add("weight", Tensor::zeros([20, 20])));
        let head = params.scope("head", |params| params.add("weight", Tensor::zeros([20, 1])));
        let graph = Graph::new();
        let mut h = graph.input("start", [8, 20]);
        {
            let _scope = graph.scope("model");
            {
                for _ in 0..3 {
                    h = {
                        let _scope = graph.scope("cell");
                        {
                            let h = h.matmul(graph.param(&weight));
                            {
                                let _scope = graph.scope("act");
                                h.square()
                            }
                        }
                    };
                }
                h = {
                    let _scope = graph.scope("head");
                    h.matmul(graph.param(&head))
                };
            }
        };
        let loss = h.sum();
        let _unused = {
            let _scope = graph.scope("unused");
            loss.recip()
        };
        let table = "\
scope    output   nodes  parameters  multiply-adds
model    [8, 1]       9         420          9,760
  cell   [8, 20]      7         400          9,600
    act  [8, 20]      3           0              0
  head   [8, 1]       2          20            160
total    []          11         420          9,760
";
        let text = graph.summary(&[loss]);
        assert!(text.starts_with(table), "{text}");
        let plan: Vec<&str> = text[table.len()..].lines().collect();
        assert!(plan[1].starts_with("plan: ") && plan[1].ends_with(", 9,760 multiply-adds"), "{text}");
        assert!(plan[2].starts_with("arena: ") && plan[2].ends_with("KiB of all activations"), "{text}");
        assert_eq!(plan.len(), 3);
    }

    #[test]
    fn without_outputs_all_is_counted_and_nothing_planned() {
        let graph = Graph::new();
        assert_eq!(
            graph.summary(&[]),
            "scope  output  nodes  parameters  multiply-adds\ntotal              0           0              0\n"
        );
        {
            let _scope = graph.scope("noise");
            graph.normal([2])
        };
        let expected = "scope  output  nodes  parameters  multiply-adds\n\
                        noise  [2]         1           0              0\n\
                        total  [2]         1           0              0\n";
        assert_eq!(graph.summary(&[]), expected);
    }

    #[test]
    fn numbers_are_grouped_and_bytes_scaled() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 255, 256, 1 << 20, 1 << 30].map(bytes), ["0 B", "1020 B", "1.0 KiB", "4.0 MiB", "4.0 GiB"]);
    }
}
