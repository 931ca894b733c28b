//! Concatenations along the first axis, such as the stack of all states of an unrolled sequence: what is joined is
//! written where it belongs.
//!
//! Before, for `concat([tanh(x), a·b, w])`:
//!
//! ```text
//! loop     h = tanh(x)
//! product  p = a·b
//! concat   y = [h, p, w]        reads and writes all of it
//! ```
//!
//! and after, where `y[0]` is the memory of `h` itself, which its readers read there:
//!
//! ```text
//! loop     y[0] = tanh(x)
//! product  y[1] = a·b
//! loop     y[2] = w
//! ```
//!
//! What is not the result of a unit, or is in another place already, is copied; if that is more than half, the
//! concatenation stays. [`assign`](super::assign) gives the whole its memory when its first part is written. The bits are
//! the same.

use rustc_hash::FxHashSet;

use super::draft::{Draft, DraftLoop, Drafted, Drafts, Origin, Place, View};
use crate::tape::Tape;
use crate::tape::op::Kind;

/// Lets units write their results into what they are joined to.
pub(super) fn join_in_place(tape: &Tape, drafts: &mut Drafts) {
    let joins: Vec<bool> = tape.ops.iter().map(|op| op.joined_axis().is_some()).collect();
    if !joins.contains(&true) {
        return;
    }
    // An output of the plan has its own memory.
    let outputs: FxHashSet<u32> = drafts.outputs.iter().map(|view| view.buffer).collect();
    let (mut places, mut copied) = (drafts.places(), 0);
    for unit in 0..drafts.units.len() as u32 {
        let Drafted { draft: Draft::Kernel { op, inputs, outputs: results, node, .. }, constant: false, .. } =
            &drafts.units[unit as usize]
        else {
            continue;
        };
        let axis = if joins[*op as usize] { tape.ops[*op as usize].joined_axis() } else { None };
        let Some(axis) = axis else { continue };
        let node = &tape.nodes[node.index()];
        let whole = results[0];
        if node.outputs[0].shape[..axis].iter().any(|&size| size != 1) || node.outputs[0].shape.contains(&0) {
            continue;
        }
        let mut seen = FxHashSet::default();
        let is_own = |view: &View| {
            let buffer = drafts.buffers[view.buffer as usize];
            view.layout.is_none()
                && matches!(buffer.origin, Origin::Unit(_))
                && !buffer.constant
                && !drafts.within.contains_key(&view.buffer)
                && !outputs.contains(&view.buffer)
        };
        let parts: Vec<(View, usize, bool)> = inputs
            .iter()
            .zip(&node.inputs)
            .map(|(view, &input)| {
                (view.clone(), tape.meta(input).shape.len(), is_own(view) && seen.insert(view.buffer))
            })
            .collect();
        let in_place: usize = parts.iter().filter(|part| part.2).map(|part| part.1).sum();
        if in_place * 2 < node.outputs[0].shape.len() {
            continue;
        }
        let (mut start, kind) = (0, drafts.buffers[whole as usize].kind);
        for (view, len, is_own) in parts {
            let part = if is_own {
                view.buffer
            } else if len > 0 {
                let copy = drafts.units.len() as u32;
                let out = drafts.add_produced(kind, len, copy);
                let draft = match kind {
                    Kind::Real => Draft::Loop(DraftLoop {
                        len,
                        loads: vec![view],
                        copies: vec![(0, out)],
                        ..DraftLoop::default()
                    }),
                    Kind::Index => Draft::IndexCopy { from: view, out },
                };
                drafts.push_unit(draft, drafts.units[unit as usize].node);
                places.push(Place::before(unit, copied));
                copied += 1;
                out
            } else {
                continue;
            };
            drafts.within.insert(part, (whole, start));
            drafts.buffers[whole as usize].origin = drafts.buffers[part as usize].origin;
            start += len;
        }
        // Nothing is left of it.
        drafts.units[unit as usize].draft = Draft::Loop(DraftLoop::default());
    }
    if !drafts.within.is_empty() {
        drafts.reorder(&places);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Params;
    use crate::plan::build::build;
    use crate::plan::{Feed, Plan};
    use crate::tape::{Graph, Var};
    use crate::tensor::Tensor;

    /// The units of a plan before and after, and how many results are in another.
    fn units(outputs: &[Var<'_>]) -> ([Vec<String>; 2], usize) {
        let tape = &*outputs[0].graph().tape();
        let values: Vec<_> = outputs.iter().map(|output| output.value).collect();
        let mut drafts = build(tape, &values, true).unwrap();
        let listed = |drafts: &Drafts| -> Vec<String> {
            let name = |draft: &Draft| match draft {
                Draft::Product { .. } => "product".to_owned(),
                Draft::Loop(draft) if draft.steps.is_empty() => "copy".to_owned(),
                Draft::Loop(draft) => {
                    draft.steps.iter().map(|step| tape.ops[step.op as usize].name()).collect::<Vec<_>>().join("+")
                }
                Draft::Kernel { op, .. } => tape.ops[*op as usize].name().to_owned(),
                other => format!("{other:?}"),
            };
            drafts.units.iter().map(|unit| name(&unit.draft)).collect()
        };
        let before = listed(&drafts);
        join_in_place(tape, &mut drafts);
        ([before, listed(&drafts)], drafts.within.len())
    }

    #[test]
    fn results_are_written_where_they_are_joined() {
        let graph = Graph::new();
        let (x, w) = (graph.input("x", [2, 3]), graph.input("w", [3, 3]));
        let (h, p) = (x.tanh(), x.matmul(w));
        let joined = graph.concat(&[h, p, w], 0);
        let ([before, after], within) = units(&[joined.sum_axes(0)]);
        assert_eq!(before, ["product", "tanh", "concat", "sum"]);
        assert_eq!((&after[..], within), (&["product", "tanh", "copy", "sum"].map(String::from)[..], 3));
        // The same value twice; parts of a part; the stack of a recurrence.
        let ([_, after], within) = units(&[graph.concat(&[h, h], 0).sum_axes(0)]);
        assert_eq!((&after[..], within), (&["tanh", "copy", "sum"].map(String::from)[..], 2));
        let inner = graph.concat(&[h, p], 0);
        let ([_, after], within) = units(&[graph.concat(&[inner, p.sin()], 0).sum_axes(0)]);
        assert_eq!((&after[..], within), (&["product", "tanh+sin", "sum"].map(String::from)[..], 4));
    }

    #[test]
    fn other_concatenations_stay() {
        let graph = Graph::new();
        let (x, w) = (graph.input("x", [2, 3]), graph.input("w", [3, 3]));
        // Mostly copies; outputs of the plan; another axis than the first.
        let h = x.tanh();
        let outputs = [
            vec![graph.concat(&[h, w], 0).sum_axes(0)],
            vec![graph.concat(&[h, h.sin()], 0), h, h.sin()],
            vec![graph.concat(&[h, x.sin()], 1).sum_axes(0)],
        ];
        for outputs in outputs {
            let ([before, after], within) = units(&outputs);
            assert_eq!((before, within), (after, 0));
        }
    }

    /// Joined values with readers before and after, in a value that is an output, on several threads.
    #[test]
    fn the_bits_are_those_of_copies() {
        let graph = Graph::new();
        let (x, w) = (graph.input("x", [40, 70]), graph.input("w", [70, 70]));
        let mut states = vec![x.sin()];
        for _ in 0..9 {
            states.push((states[states.len() - 1].matmul(w) + x).tanh());
        }
        states.push(x);
        states.push(states[3] * 2.0 + states[4]);
        let all = graph.stack(&states, 0);
        let pairs = graph.concat(&[graph.stack(&states[2..4], 0), graph.stack(&states[4..6], 0)], 0);
        let empty = graph.concat(&[x.slice(0, 0, 0).exp(), x.cos()], 0);
        let places = w.sum_axes(0).argmax(0).unsqueeze(0);
        let indices = graph.concat(&[places, w.argmax(0)], 0);
        let gradient = graph.grad((all.square().sum() + pairs.exp().sum()) * 0.5, &[w]).unwrap()[0];
        let outputs = [all, gradient, pairs, states[7], empty, indices.to_real() * 2.0];
        let numbers = |shape: [usize; 2]| Tensor::<f32>::from_fn(shape, |k| ((k * 7919) % 1013) as f32 / 5060.0 - 0.1);
        let (x, w) = (numbers([40, 70]), numbers([70, 70]));
        let feed = Feed::new().with("x", &x).with("w", &w);
        let plain = graph.eval_with(&outputs, &Params::new(0), &feed).unwrap();
        let plan = Plan::new(&graph, &outputs).unwrap();
        for threads in [1, 2, 3, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut session = plan.session::<f32>();
                for _ in 0..2 {
                    assert!(session.run(&Params::new(0), &feed).unwrap().all() == &plain[..], "{threads} threads");
                }
            });
        }
    }
}
