//! Steps that one later loop alone reads, such as the slopes of a recurrence: computed there.
//!
//! A pointwise op joins the loop of what it is computed of, so the slope of a sigmoid is computed with the sigmoid, and
//! lies in memory until the backward pass. Before, for `s = σ(x)` and its derivative:
//!
//! ```text
//! loop     s = σ(x), t = 1 − s, d = s·t      writes s and d
//! …
//! loop     g = cotangent·d                   reads d
//! ```
//!
//! and after:
//!
//! ```text
//! loop     s = σ(x)                          writes s
//! …
//! loop     t = 1 − s, d = s·t,
//!          g = cotangent·d                   reads s
//! ```
//!
//! A step moves only with all that read it. The later loop then reads what the earlier one writes or both read, but no more
//! values than it reads less: so neither the memory nor what is read grows. The bits are the same.

use super::build::{MAX_STEPS, SHORT};
use super::draft::{Draft, DraftArg, DraftLoop, DraftStep, Drafts, Origin, View};

/// No unit reads a value, and more than one, or an output of the plan.
const NOBODY: u32 = u32::MAX;
const MANY: u32 = u32::MAX - 1;
/// How often the steps of a loop are looked through; where that is not enough, they stay.
const ROUNDS: usize = 8;

/// Moves the steps of the drafts that only a later loop reads.
pub(super) fn compute_later(drafts: &mut Drafts) {
    let mut readers = readers(drafts);
    let mut has_moved = false;
    for unit in 0..drafts.units.len() as u32 {
        while let Some((later, moves)) = find(drafts, &readers, unit) {
            step_over(drafts, &mut readers, [unit, later], &moves);
            has_moved = true;
        }
    }
    if has_moved {
        let places = drafts.places();
        drafts.reorder(&places);
    }
}

/// For each buffer the unit that reads it.
fn readers(drafts: &Drafts) -> Vec<u32> {
    let mut readers = vec![NOBODY; drafts.buffers.len()];
    for (number, unit) in drafts.units.iter().enumerate() {
        unit.draft.reads(|buffer| {
            let reader = &mut readers[buffer as usize];
            *reader = if [NOBODY, number as u32].contains(reader) { number as u32 } else { MANY };
        });
    }
    for output in &drafts.outputs {
        readers[output.buffer as usize] = MANY;
    }
    readers
}

/// The loop of a unit, if its values are long enough to matter.
fn long_loop(drafts: &Drafts, unit: u32) -> Option<&DraftLoop> {
    match &drafts.units.get(unit as usize)?.draft {
        Draft::Loop(draft) if draft.len > SHORT => Some(draft),
        _ => None,
    }
}

/// A later loop that steps of a unit move to, and for each step whether it does.
fn find(drafts: &Drafts, readers: &[u32], unit: u32) -> Option<(u32, Vec<bool>)> {
    let draft = long_loop(drafts, unit)?;
    let constant = drafts.units[unit as usize].constant;
    // Where the results of a step are read outside of the loop.
    let outside = |step: &DraftStep| match drafts.buffers[step.buffer as usize].stored {
        true => readers[step.buffer as usize],
        false => NOBODY,
    };
    let target = |later: u32| {
        long_loop(drafts, later).filter(|other| {
            later != unit
                && other.len == draft.len
                && drafts.units[later as usize].constant == constant
                && other.steps.len() + draft.steps.len() <= MAX_STEPS
        })
    };
    if !draft.steps.iter().any(|step| target(outside(step)).is_some()) {
        return None;
    }
    let mut stays = vec![false; draft.steps.len()];
    for _ in 0..ROUNDS {
        // Backwards: the one loop that needs a step, for itself or for what moves there.
        let mut goes: Vec<u32> = draft.steps.iter().map(outside).collect();
        for (number, &step) in draft.steps.iter().enumerate().rev() {
            if stays[number] || target(goes[number]).is_none() {
                goes[number] = MANY;
            }
            for arg in draft.args_of(&step) {
                if let DraftArg::Step(other) = *arg {
                    let (to, other) = (goes[number], &mut goes[other as usize]);
                    *other = if [NOBODY, to].contains(other) { to } else { MANY };
                }
            }
        }
        // Forwards: whether what it is computed of is there.
        let mut is_settled = true;
        for (number, &step) in draft.steps.iter().enumerate() {
            let Some(other) = target(goes[number]) else { continue };
            let is_there = draft.args_of(&step).iter().all(|arg| match *arg {
                DraftArg::Load(load) => {
                    let view = &draft.loads[load as usize];
                    drafts.buffers[view.buffer as usize].constant || other.loads.iter().any(|load| is_same(load, view))
                }
                DraftArg::Step(before) => {
                    goes[before as usize] == goes[number]
                        || drafts.buffers[draft.steps[before as usize].buffer as usize].stored
                }
            });
            let is_read_in_order = other.loads.iter().all(|load| load.buffer != step.buffer || load.layout.is_none())
                && other.copies.is_empty();
            if !is_there || !is_read_in_order {
                (stays[number], goes[number], is_settled) = (true, MANY, false);
            }
        }
        if is_settled {
            let later = goes.iter().copied().find(|&later| target(later).is_some())?;
            let moves: Vec<bool> = goes.into_iter().map(|to| to == later).collect();
            if saves(drafts, draft, target(later)?, &moves) {
                return Some((later, moves));
            }
            stays.iter_mut().zip(moves).for_each(|(stays, moves)| *stays |= moves);
        }
    }
    None
}

/// Whether a later loop reads at most as many values more as it reads less if steps move there.
fn saves(drafts: &Drafts, draft: &DraftLoop, later: &DraftLoop, moves: &[bool]) -> bool {
    let moved = || draft.steps.iter().zip(moves).filter(|(_, moves)| **moves).map(|(step, _)| *step);
    let mut more: Vec<u32> = Vec::new();
    for arg in moved().flat_map(|step| draft.args_of(&step)) {
        if let DraftArg::Step(before) = *arg
            && !moves[before as usize]
            && let buffer = draft.steps[before as usize].buffer
            && !more.contains(&buffer)
            && !later.loads.iter().any(|load| load.buffer == buffer && load.layout.is_none())
        {
            more.push(buffer);
        }
    }
    more.len() <= moved().filter(|step| drafts.buffers[step.buffer as usize].stored).count()
}

fn is_same(x: &View, y: &View) -> bool {
    x.buffer == y.buffer && x.layout == y.layout
}

/// Moves steps from a loop to the beginning of a later one.
fn step_over(drafts: &mut Drafts, readers: &mut [u32], [unit, later]: [u32; 2], moves: &[bool]) {
    let mut take = |unit: u32| match &mut drafts.units[unit as usize].draft {
        Draft::Loop(draft) => std::mem::take(draft),
        _ => unreachable!("steps move from loop to loop"),
    };
    let [from, to] = [take(unit), take(later)];
    let empty = || DraftLoop { len: from.len, ..DraftLoop::default() };
    let (mut left, mut grown) = (empty(), empty());
    // The new numbers of the steps.
    let mut numbers = Vec::with_capacity(from.steps.len());
    for (&step, &is_moved) in from.steps.iter().zip(moves) {
        let new = if is_moved { &mut grown } else { &mut left };
        let list: Vec<DraftArg> = from
            .args_of(&step)
            .iter()
            .map(|arg| match *arg {
                DraftArg::Load(load) => new.load(&from.loads[load as usize]),
                DraftArg::Step(before) if moves[before as usize] == is_moved => {
                    DraftArg::Step(numbers[before as usize])
                }
                DraftArg::Step(before) => new.load(&View { buffer: from.steps[before as usize].buffer, layout: None }),
            })
            .collect();
        numbers.push(new.push(step, &list));
        let buffer = &mut drafts.buffers[step.buffer as usize];
        buffer.step = numbers[numbers.len() - 1];
        if is_moved {
            (buffer.origin, buffer.stored) = (Origin::Unit(later), false);
        }
    }
    let moved = grown.steps.len() as u32;
    for load in &grown.loads {
        let reader = &mut readers[load.buffer as usize];
        *reader = if *reader == later { later } else { MANY };
    }
    for &step in &to.steps {
        let list: Vec<DraftArg> = to
            .args_of(&step)
            .iter()
            .map(|arg| match *arg {
                DraftArg::Step(before) => DraftArg::Step(before + moved),
                DraftArg::Load(load) => {
                    let view = &to.loads[load as usize];
                    match drafts.buffers[view.buffer as usize] {
                        own if own.origin == Origin::Unit(later) => DraftArg::Step(own.step),
                        _ => grown.load(view),
                    }
                }
            })
            .collect();
        drafts.buffers[step.buffer as usize].step = grown.push(step, &list);
    }
    for (old, new) in [(&from, &mut left), (&to, &mut grown)] {
        for &(load, out) in &old.copies {
            let DraftArg::Load(load) = new.load(&old.loads[load as usize]) else { unreachable!("a load is a load") };
            new.copies.push((load, out));
        }
    }
    drafts.units[unit as usize].draft = Draft::Loop(left);
    drafts.units[later as usize].draft = Draft::Loop(grown);
}

impl DraftLoop {
    /// The load of a view, which is added if there is none.
    fn load(&mut self, view: &View) -> DraftArg {
        let known = self.loads.iter().position(|load| is_same(load, view));
        DraftArg::Load(known.unwrap_or_else(|| {
            self.loads.push(view.clone());
            self.loads.len() - 1
        }) as u32)
    }

    /// Adds a step with other arguments; its number.
    fn push(&mut self, step: DraftStep, args: &[DraftArg]) -> u32 {
        let first_arg = self.args.len() as u32;
        self.args.extend_from_slice(args);
        self.steps.push(DraftStep { first_arg, ..step });
        self.steps.len() as u32 - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::pass_tests::{assert_bits_on_threads, before_and_after};
    use crate::plan::{Feed, Plan};
    use crate::real::Real;
    use crate::tape::{Graph, Var};
    use crate::tensor::Tensor;

    fn units(outputs: &[Var<'_>]) -> [Vec<String>; 2] {
        before_and_after(outputs, |_, drafts| compute_later(drafts)).0
    }

    #[test]
    fn a_slope_is_computed_where_it_is_read() {
        let graph = Graph::new();
        let (x, w) = (graph.input("x", [8, 16]), graph.input("w", [16, 16]));
        let s = x.matmul(w).sigmoid();
        let y = s.matmul(w);
        let [before, after] = units(&[y * (s * (1.0 - s)) + s]);
        assert_eq!(before, ["product", "sigmoid+sub+mul", "product", "mul+add"]);
        assert_eq!(after, ["product", "sigmoid", "product", "sub+mul+mul+add"]);
        // The later loop need not read s: then it reads s instead of the slope.
        let [before, after] = units(&[y * (s * (1.0 - s))]);
        assert_eq!(before, ["product", "sigmoid+sub+mul", "product", "mul"]);
        assert_eq!(after, ["product", "sigmoid", "product", "sub+mul+mul"]);
    }

    #[test]
    fn what_another_unit_needs_stays() {
        let graph = Graph::new();
        let (x, w) = (graph.input("x", [8, 16]), graph.input("w", [16, 16]));
        let s = x.matmul(w).sigmoid();
        let (t, y) = (s * (1.0 - s), s.matmul(w));
        for outputs in [
            // A product reads the slope; it is an output; two loops read it; the later loop reads it transposed or has fewer
            // elements; it would read two values instead of one.
            vec![y * t + s, t.matmul(w)],
            vec![y * t + s, t],
            vec![(y * t + s).matmul(w) * t + s],
            vec![y.reshape([16, 8]) * t.t() + s.t()],
            vec![y * (s * s.exp()), s.exp().matmul(w)],
            vec![y.sum_axes(0) * t.slice(0, 0, 1).squeeze(0) + s.slice(0, 0, 1).squeeze(0)],
        ] {
            let [before, after] = units(&outputs);
            assert_eq!(before, after);
        }
        // Of two steps one moves, and the other one, which stays, is read.
        let u = (s + 1.0).exp();
        let [before, after] = units(&[y * (u * s) + s * u, u.matmul(w)]);
        assert_eq!(before.iter().filter(|unit| unit.contains("exp+mul")).count(), 1, "{before:?}");
        assert!(after.iter().any(|unit| unit.ends_with("exp")), "{after:?}");
    }

    #[test]
    fn a_recurrence_keeps_no_slopes() {
        let graph = Graph::new();
        let (mut state, w) = (graph.input("x", [8, 64]), graph.input("w", [64, 64]));
        for _ in 0..20 {
            state = state.matmul(w).tanh();
        }
        let gradient = graph.grad(state.square().sum(), &[w]).expect("it has a gradient");
        let arena = Plan::new(&graph, &gradient).expect("the graph is right").summary().arena;
        // 20 states and no slopes, the weight's gradient, its panels, and a few values of one step.
        assert!(arena < 20 * 8 * 64 + 2 * 64 * 64 + 6 * 8 * 64, "{arena}");
    }

    fn compare<T: Real>() {
        let graph = Graph::new();
        let (x, w) = (graph.input("x", [40, 70]), graph.input("w", [70, 70]));
        let (mut state, mut cell) = (x.sin(), x.tanh());
        for step in 0..5 {
            let gates = state.matmul(w) + x;
            cell = gates.sigmoid() * cell + (gates * 0.5).tanh() * (gates + f64::from(step)).sigmoid();
            state = cell.tanh() * (gates - 1.0).sigmoid();
        }
        let loss = (state.square().sum() + cell.exp().sum()) * 0.25;
        let first = graph.grad(loss, &[w, x]).expect("it has a gradient");
        let second = graph.grad((first[0] * first[0]).sum(), &[w]).expect("it has a second one");
        let numbers =
            |shape: [usize; 2]| Tensor::<T>::from_fn(shape, |k| T::of(((k * 7919) % 1013) as f64 / 5060.0 - 0.1));
        let (x, w) = (numbers([40, 70]), numbers([70, 70]));
        let feed = Feed::new().with("x", &x).with("w", &w);
        assert_bits_on_threads::<T>(&graph, &[loss, first[0], first[1], second[0], state], &feed);
    }

    #[test]
    fn the_bits_are_those_of_steps_in_their_places() {
        compare::<f32>();
        compare::<f64>();
    }
}
