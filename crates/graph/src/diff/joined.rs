//! Cotangents that are zeros but for a range along an axis, as those of slices: joined, not added up.
//!
//! A sequence of which a program takes step after step gets from each a cotangent of its own size. Before, for `x` of
//! `n` steps:
//!
//! ```text
//! embed  p₁ = [g₁, 0, 0, …]
//! embed  p₂ = [0, g₂, 0, …]
//! …
//! add    g = p₁ + p₂ + …          time and memory: n²
//! ```
//!
//! and after:
//!
//! ```text
//! concat g = [g₁, g₂, …]          n
//! ```
//!
//! Equal ranges are added first. Ranges that overlap are joined in layers, and what a range of several that touch leaves
//! of the axis is filled with zeros once for all of them. The tangents of a concatenation arrive in the same form, since
//! a jvp transposes its slices.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::tape::{Graph, Value, Var};

/// Consecutive indices of an axis, and what they hold.
struct Part<'g> {
    start: usize,
    end: usize,
    held: Var<'g>,
}

impl Graph {
    /// Whether a value is zeros but for a range along an axis.
    pub(super) fn is_part(&self, value: Value) -> bool {
        self.tape().op(value.node).is_some_and(|op| op.placement().is_some())
    }

    /// Values whose sum is that of some values which [`Graph::is_part`] accepts.
    pub(super) fn joined<'g>(&'g self, values: &[Value]) -> Vec<Var<'g>> {
        let var = |value| Var { graph: self, value };
        if let [value] = values {
            return vec![var(*value)];
        }
        let shape = var(values[0]).shape();
        let part = |&value: &Value| {
            let (axis, start) = self.tape().op(value.node)?.placement()?;
            let held = var(self.tape().nodes[value.node.index()].inputs[0]);
            Some((axis, Part { start, end: start + held.shape()[axis], held }))
        };
        let mut parts: Vec<(usize, Part<'g>)> = values.iter().filter_map(part).collect();
        parts.sort_by_key(|(axis, part)| (*axis, part.start, part.end));
        let mut sums = Vec::new();
        for parts in parts.chunk_by_mut(|a, b| a.0 == b.0) {
            let axis = parts[0].0;
            for layer in layers(parts.iter().map(|(_, part)| part)) {
                for run in layer.chunk_by(|a, b| a.end == b.start) {
                    let held: Vec<Var<'g>> = run.iter().map(|part| part.held).collect();
                    let (start, end) = (run[0].start, run[run.len() - 1].end);
                    let held = self.concat(&held, axis as isize);
                    let is_whole = (start, end) == (0, shape[axis]);
                    sums.push(if is_whole { held } else { held.pad(axis as isize, start, shape[axis] - end) });
                }
            }
        }
        sums
    }
}

/// Parts in the order of their ranges, divided so that no two of one layer overlap; those with equal ranges are added up.
fn layers<'a, 'g: 'a>(parts: impl Iterator<Item = &'a Part<'g>>) -> Vec<Vec<Part<'g>>> {
    let mut layers: Vec<Vec<Part<'g>>> = Vec::new();
    // Where each layer ends, and that to which the latest part went.
    let (mut ends, mut latest) = (BinaryHeap::<Reverse<(usize, usize)>>::new(), 0);
    for &Part { start, end, held } in parts {
        if let Some(last) = layers.get_mut(latest).and_then(|layer| layer.last_mut())
            && (last.start, last.end) == (start, end)
        {
            last.held += held;
            continue;
        }
        latest = match ends.peek() {
            Some(&Reverse((before, layer))) if before <= start => {
                ends.pop();
                layer
            }
            _ => {
                layers.push(Vec::new());
                layers.len() - 1
            }
        };
        ends.push(Reverse((end, latest)));
        layers[latest].push(Part { start, end, held });
    }
    layers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::tensor::Tensor;

    /// The ops of a gradient that are `embed`, `concat` or `add`, and its value.
    fn gradient(size: usize, of: impl for<'g> Fn(Var<'g>) -> Var<'g>) -> (Vec<&'static str>, Vec<f64>) {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from_fn([size], |k| k as f64 + 1.0));
        let loss = of(x);
        let before = graph.len();
        let gradient = graph.grad(loss, &[x]).unwrap()[0];
        let value = graph.eval(gradient).unwrap().into_vec();
        let tape = graph.tape();
        let names = (before..graph.len()).filter_map(|node| tape.op(crate::tape::NodeId(node as u32)));
        let names = names.map(|op| op.name()).filter(|name| ["embed", "concat", "add"].contains(name)).collect();
        (names, value)
    }

    /// `Σ wₖ·Σ x[range k]`, whose gradient is the sum of the weights of the ranges that hold an element.
    fn weighted(ranges: &'static [(isize, isize)]) -> impl for<'g> Fn(Var<'g>) -> Var<'g> {
        move |x| {
            let terms = (1..).zip(ranges).map(|(k, &(from, to))| x.slice(0, from, to).sum() * f64::from(1 << k));
            terms.reduce(|a, b| a + b).expect("there are ranges")
        }
    }

    #[test]
    fn ranges_that_touch_are_joined() {
        // The cotangents arrive from the last use to the first; each range is embedded when its rule is called.
        let (names, value) = gradient(3, weighted(&[(0, 1), (1, 2), (2, 3)]));
        assert_eq!(names, ["embed", "embed", "embed", "concat"]);
        assert_eq!(value, [2.0, 4.0, 8.0]);
        let (names, value) = gradient(5, weighted(&[(2, 4), (1, 2)]));
        assert_eq!(names, ["embed", "embed", "concat", "embed"]);
        assert_eq!(value, [0.0, 4.0, 2.0, 2.0, 0.0]);
    }

    #[test]
    fn other_ranges_are_added_up() {
        // Equal ranges; a gap; ranges that overlap, in two layers.
        let (names, value) = gradient(3, weighted(&[(0, 1), (0, 1), (1, 3)]));
        assert_eq!(names, ["embed", "embed", "embed", "add", "concat"]);
        assert_eq!(value, [6.0, 8.0, 8.0]);
        let (names, value) = gradient(4, weighted(&[(0, 1), (3, 4)]));
        assert_eq!(names[2..], ["embed", "embed", "add"]);
        assert_eq!(value, [2.0, 0.0, 0.0, 4.0]);
        let (names, value) = gradient(4, weighted(&[(0, 2), (1, 3), (2, 4)]));
        assert_eq!(names[3..], ["concat", "embed", "add"]);
        assert_eq!(value, [2.0, 6.0, 12.0, 8.0]);
        // Other axes, steps, and uses as a whole.
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from_fn([2, 3], |k| k as f64));
        let parts = [x.slice(0, 0, 1), x.slice(1, 1, 2), x.slice_step(1, None, None, 2), x.flip(1), x];
        let terms = (0..).zip(parts).map(|(k, part)| part.sum() * f64::from(1 << k));
        let loss = terms.reduce(|a, b| a + b).expect("there are terms");
        let gradient = graph.grad(loss, &[x]).unwrap()[0];
        let wanted = Tensor::from_rows([[29.0, 27.0, 29.0], [28.0, 26.0, 28.0]]);
        assert_eq!(graph.eval(gradient).unwrap(), wanted);
    }

    /// The work of the gradient of a sequence and of the tangent of a concatenation grows with their length alone.
    #[test]
    fn work_is_linear_in_the_number_of_parts() {
        let activations = |steps: usize| {
            let graph = Graph::new();
            let x = graph.input("x", [steps, 4]);
            let each = |k: usize| x.slice(0, k as isize, k as isize + 1).sin();
            let sum = (0..steps).map(|k| each(k).sum()).reduce(|a, b| a + b).expect("there are steps");
            let gradient = graph.grad(sum, &[x]).unwrap()[0];
            let joined = graph.concat(&(0..steps).map(each).collect::<Vec<_>>(), 0);
            let tangent = graph.jvp(&[joined], &[x], &[graph.ones([steps, 4])]).unwrap()[0];
            [gradient, tangent].map(|output| Plan::new(&graph, &[output]).unwrap().summary().activations)
        };
        let (few, many) = (activations(50), activations(100));
        for (few, many) in few.into_iter().zip(many) {
            assert!(many * 10 < few * 21, "{few} and {many}");
        }
    }
}
