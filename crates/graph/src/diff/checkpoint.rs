//! Gradient checkpointing: parts of a graph whose values are recomputed in the backward pass instead of kept in memory.
//!
//! A checkpointed part is an interval of the tape. When the reverse sweep reaches it, it copies the interval's nodes to
//! the end of the tape and visits the copy instead of the original. The copy reads values from outside through one
//! node, [`Recompute`], whose inputs include the cotangents so far: so a plan does not share the work of copy and
//! original, and cannot start the copy before the sweep reaches it. The copy of a random leaf draws the same numbers.
//!
//! The sweep adds cotangents in the same order as without checkpoints, so gradients are the same bit for bit. Intervals
//! can be nested; then the copy of the outer one contains copies of the inner ones, of which schedules for long chains
//! are made.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::reverse::{Cotangents, Interval};
use crate::tape::op::{Accepts, Derivative, Form, Meta, Metas, Op, Signature};
use crate::tape::{Graph, Node, NodeId, Region, Source, Value};

/// Which steps of a chain are checkpointed together.
///
/// # Reference
/// Griewank and Walther, "Algorithm 799: revolve" (2000), for the binomial schedule; Chen et al., "Training deep nets
/// with sublinear memory cost" (2016), for the square root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointSchedule {
    /// Segments of that many steps: the state after each is kept, and the values within one segment at a time. Each
    /// step except those of the last segment runs twice.
    Every(usize),
    /// Segments of `⌈√n⌉` of `n` steps: memory grows like `√n`.
    SquareRoot,
    /// At most that many states are kept besides the first one, and the values within one step. With `s` states, chains
    /// of up to `C(s + 1 + r, r)` steps run each step at most `r` additional times: memory can grow like the logarithm
    /// of the number of steps, as can `r`.
    Binomial(usize),
}

impl Graph {
    /// Runs `build`, and recomputes its values in the backward pass: only values that are used outside of it are kept
    /// in memory until then. Gradients are the same bit for bit; a checkpointed part runs twice.
    ///
    /// It is useful for parts with large intermediate values and small inputs and outputs, such as blocks of layers or
    /// segments of a recurrence. Random leaves draw the same numbers again, and updates of buffers apply once. Forward
    /// mode ([`Graph::jvp`]) keeps no values for a backward pass and ignores checkpoints.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Plan};
    /// let arena = |block: usize| {
    ///     let graph = Graph::new();
    ///     let x = graph.input("x", [4, 64]);
    ///     let mut h = x;
    ///     for _ in 0..16 {
    ///         h = graph.checkpoint(|| (0..block).fold(h, |h, _| h.softmax(-1) * 3.0));
    ///     }
    ///     let gradient = graph.grad(h.square().sum(), &[x])?[0];
    ///     Ok::<_, gradus_graph::Error>(Plan::new(&graph, &[gradient])?.summary().arena)
    /// };
    /// // Four times the layers take about the same memory, plus the values within one block.
    /// assert!(arena(8)? < 2 * arena(2)?);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    pub fn checkpoint<R>(&self, build: impl FnOnce() -> R) -> R {
        let start = self.len() as u32;
        let result = build();
        let end = self.len() as u32;
        if start < end {
            self.tape_mut().regions.push(Region { start, end });
        }
        result
    }

    /// Runs `step` for 0, 1, …, `count − 1` with checkpoints by a schedule: for the steps of a long chain, each of
    /// which continues from the state of the one before it.
    ///
    /// # Panics
    /// With [`CheckpointSchedule::Every`] of no steps.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, CheckpointSchedule, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([0.5, -0.25]));
    /// let mut state = x;
    /// graph.checkpoint_steps(100, CheckpointSchedule::SquareRoot, |_| state = (state * 1.01).tanh());
    /// let gradient = graph.grad(state.sum(), &[x])?[0];
    /// assert!(graph.eval(gradient)?.first_non_finite().is_none());
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn checkpoint_steps(&self, count: usize, schedule: CheckpointSchedule, mut step: impl FnMut(usize)) {
        let length = match schedule {
            CheckpointSchedule::Every(length) => length,
            CheckpointSchedule::SquareRoot => count.isqrt() + usize::from(count.isqrt().pow(2) < count),
            CheckpointSchedule::Binomial(states) => return self.binomial(0, count, states, &mut step),
        };
        assert!(length > 0 || count == 0, "`checkpoint_steps` needs segments of at least one step");
        for start in (0..count).step_by(length.max(1)) {
            let end = count.min(start + length);
            if end < count {
                self.checkpoint(|| (start..end).for_each(&mut step));
            } else {
                // The backward pass starts with these.
                (start..end).for_each(&mut step);
            }
        }
    }

    /// The steps `start..end` with `states` states that can be kept: a first part that is checkpointed, then the others
    /// with one state fewer.
    fn binomial(&self, mut start: usize, end: usize, mut states: usize, step: &mut dyn FnMut(usize)) {
        while start + 1 < end {
            let first = first_part(end - start, states);
            self.checkpoint(|| self.binomial(start, start + first, states, step));
            start += first;
            states = states.saturating_sub(1);
        }
        (start..end).for_each(step);
    }

    /// The outermost checkpointed part that ends at node `end`: its index in the list, and its first node.
    pub(super) fn region_before(&self, end: usize) -> Option<(usize, usize)> {
        let regions = &self.tape().regions;
        let next = regions.partition_point(|region| region.end as usize <= end);
        let index = next.checked_sub(1)?;
        (regions[index].end as usize == end).then(|| (index, regions[index].start as usize))
    }

    /// Copies a checkpointed part for the sweep; `None` if no value in it has a cotangent.
    pub(super) fn recompute(&self, index: usize, outer: &Interval, cotangents: &mut Cotangents) -> Option<Interval> {
        let region = self.tape().regions[index];
        let (start, end) = (region.start as usize, region.end as usize);
        let is_work = |source: Source| matches!(source, Source::Op(_) | Source::Random(_));
        let arrived = {
            let tape = self.tape();
            cotangents.arrived((start..end).filter(|&node| is_work(tape.nodes[node].source)), &tape)
        };
        if arrived.is_empty() {
            return None;
        }
        let mut outside_values: Vec<Value> = Vec::new();
        let mut copies: FxHashMap<Value, Value> = FxHashMap::default();
        {
            let tape = self.tape();
            // Leaves count as outside, wherever they were first used.
            let outside = |value: Value| value.node.index() < start || !is_work(tape.nodes[value.node.index()].source);
            for input in tape.nodes[start..end].iter().flat_map(|node| &node.inputs) {
                let fixed = matches!(tape.nodes[input.node.index()].source, Source::Constant(_) | Source::Seed);
                if outside(*input) && !fixed && !copies.contains_key(input) {
                    copies.insert(*input, *input);
                    outside_values.push(*input);
                }
            }
        }
        let mut tape = self.tape_mut();
        let like = &tape.nodes[end - 1];
        let (location, scope) = (like.location, like.scope);
        let inputs: SmallVec<[Value; 2]> =
            arrived.iter().map(|&(_, cotangent)| cotangent).chain(outside_values.iter().copied()).collect();
        let outputs: Metas = outside_values.iter().map(|&value| tape.meta(value).clone()).collect();
        let recompute = NodeId(tape.nodes.len() as u32);
        let source = Source::Op(tape.intern(Recompute { number: recompute.0, controls: arrived.len() }));
        tape.nodes.push(Node { source, inputs, outputs, location, scope });
        for (output, &value) in outside_values.iter().enumerate() {
            let through = Value { node: recompute, output: output as u32 };
            copies.insert(value, through);
            cotangents.redirect(through, value);
        }
        let low = tape.nodes.len();
        let mut copied_nodes: Vec<NodeId> = Vec::with_capacity(end - start);
        let mut starts: Vec<u32> = Vec::with_capacity(end - start + 1);
        let copy = |value: Value, copied_nodes: &[NodeId]| match copies.get(&value) {
            Some(&through) => through,
            None if value.node.index() < start => value,
            None => Value { node: copied_nodes[value.node.index() - start], ..value },
        };
        for node in start..end {
            starts.push(tape.nodes.len() as u32);
            let Node { source, ref inputs, ref outputs, location, scope } = tape.nodes[node];
            if !is_work(source) {
                copied_nodes.push(NodeId(node as u32));
                continue;
            }
            let inputs = inputs.iter().map(|&input| copy(input, &copied_nodes)).collect();
            let outputs = outputs.clone();
            copied_nodes.push(NodeId(tape.nodes.len() as u32));
            tape.nodes.push(Node { source, inputs, outputs, location, scope });
        }
        starts.push(tape.nodes.len() as u32);
        let within = tape.regions[..index].iter().rev().take_while(|inner| inner.end > region.start);
        let mut inner: Vec<Region> = within.filter(|inner| inner.start >= region.start).copied().collect();
        inner.reverse();
        for Region { start: from, end: to } in inner {
            let [from, to] = [from, to].map(|node| starts[node as usize - start]);
            if from < to {
                tape.regions.push(Region { start: from, end: to });
            }
        }
        let next = tape.nodes.len();
        drop(tape);
        cotangents.extend(next);
        for (value, cotangent) in arrived {
            self.add_cotangent(cotangents, copy(value, &copied_nodes), cotangent);
        }
        let inside = |value: &&(Value, Value)| (start..end).contains(&value.1.node.index());
        let wanted =
            outer.wanted.iter().filter(inside).map(|&(_, value)| (value, copy(value, &copied_nodes))).collect();
        let copied = (start..end).zip(&copied_nodes).filter(|(node, copy)| *node != copy.index());
        Some(Interval { next, low, wanted, copied: copied.map(|(node, copy)| (node, copy.index())).collect() })
    }
}

/// The most steps that can be reversed with `states` states if each step runs at most `repeats` additional times:
/// `C(states + 1 + repeats, repeats)`.
fn reach(states: usize, repeats: usize) -> usize {
    (1..=repeats).fold(1_usize, |reach, k| reach.saturating_mul(states + 1 + k) / k)
}

/// The number of steps before the next state that is kept, for a chain of at least two steps.
fn first_part(length: usize, states: usize) -> usize {
    if states == 0 {
        return length - 1;
    }
    let repeats = (1..).find(|&repeats| reach(states, repeats) >= length).expect("the reach is unbounded");
    // Both parts must stay within their reach.
    let others = reach(states - 1, repeats);
    length.saturating_sub(others).max(1).max(reach(states, repeats.saturating_sub(2)).min(length - 1))
}

/// The values that a copy reads from outside: output `k` is input `controls + k`. The inputs before these are
/// cotangents, which the copy waits for. The number distinguishes copies.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Recompute {
    number: u32,
    controls: usize,
}

impl Op for Recompute {
    const INPUTS: Signature = Signature::Variadic(Accepts::Any);

    fn name(&self) -> &'static str {
        "recompute"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        Ok(inputs[self.controls..].iter().cloned().collect())
    }

    fn form(&self) -> Form {
        Form::Alias { first: self.controls }
    }

    fn derivative(&self, input: usize) -> Derivative {
        match input.checked_sub(self.controls) {
            Some(output) => Derivative::Identity { output },
            None => Derivative::Zero,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use crate::{Feed, Param, Params, Plan, Tensor, Var};

    /// A recurrence of matrix products with dropout, a value that leaves the middle of each step, and its loss.
    fn recurrence<'g>(graph: &'g Graph, weight: &Param, steps: usize, schedule: Option<CheckpointSchedule>) -> Var<'g> {
        let x = graph.input("x", [steps, 2, 3]);
        let (mut h, mut left) = (graph.zeros([2, 3]), graph.scalar(0.0));
        let step = |t: usize| {
            let now = x.slice(0, t as isize, t as isize + 1).squeeze(0);
            let inner = h.matmul(graph.param(weight)) + now;
            left += inner.square().sum() * 0.01;
            h = inner.tanh() * graph.bernoulli(0.8, [2, 3]) + h * 0.5;
        };
        match schedule {
            Some(schedule) => graph.checkpoint_steps(steps, schedule, step),
            None => (0..steps).for_each(step),
        }
        h.sum() + left
    }

    fn weight(params: &mut Params<f64>) -> Param {
        params.add("weight", Tensor::from_fn([3, 3], |k| ((k * 5) % 7) as f64 / 7.0 - 0.4))
    }

    /// Loss, gradients and, if `second` is true, a Hessian-vector product; and the elements of the arena.
    fn outcome(steps: usize, schedule: Option<CheckpointSchedule>, second: bool) -> (Vec<Vec<u64>>, usize) {
        let mut params = Params::new(0);
        let weight = weight(&mut params);
        let graph = Graph::new();
        let loss = recurrence(&graph, &weight, steps, schedule);
        let wrt = [graph.param(&weight)];
        let mut outputs = vec![loss];
        outputs.extend(graph.grad_or_zeros(loss, &wrt).expect("it has a gradient"));
        if second {
            let along = graph.constant(&Tensor::from_fn([3, 3], |k| k as f64 - 4.0));
            outputs.extend(graph.hvp(loss, &wrt, &[along]).expect("it has a second derivative"));
            outputs.extend(graph.jvp(&[loss], &wrt, &[along]).expect("it has a derivative"));
        }
        let plan = Plan::new(&graph, &outputs).expect("it compiles");
        let x = Tensor::from_fn([steps, 2, 3], |k| ((k * 37) % 101) as f64 / 101.0 - 0.5);
        let feed = Feed::new().with("x", &x).random(3, 5);
        let mut session = plan.session();
        let outputs = session.run(&params, &feed).expect("it runs");
        let bits = |tensor: &Tensor<f64>| tensor.data().iter().map(|x| x.to_bits()).collect();
        (outputs.all().iter().map(|output| bits(output.real())).collect(), plan.summary().arena)
    }

    const SCHEDULES: [CheckpointSchedule; 6] = [
        CheckpointSchedule::Every(1),
        CheckpointSchedule::Every(7),
        CheckpointSchedule::SquareRoot,
        CheckpointSchedule::Binomial(0),
        CheckpointSchedule::Binomial(1),
        CheckpointSchedule::Binomial(3),
    ];

    #[test]
    fn gradients_are_the_same_to_the_bit() {
        for steps in [0, 1, 2, 13] {
            let plain = outcome(steps, None, false).0;
            for schedule in SCHEDULES {
                assert_eq!(outcome(steps, Some(schedule), false).0, plain, "{schedule:?} of {steps} steps");
            }
        }
    }

    #[test]
    fn second_derivatives_and_forward_mode_go_through() {
        let close = |a: &[u64], b: &[u64]| {
            let both = a.iter().zip(b).map(|(&a, &b)| (f64::from_bits(a), f64::from_bits(b)));
            both.map(|(a, b)| (a - b).abs() / (1.0 + b.abs())).fold(0.0, f64::max) < 1e-13
        };
        let plain = outcome(9, None, true).0;
        for schedule in SCHEDULES {
            let again = outcome(9, Some(schedule), true).0;
            assert!(again.iter().zip(&plain).all(|(a, b)| close(a, b)), "{schedule:?}");
        }
    }

    #[test]
    fn memory_grows_as_the_schedules_say() {
        let arena = |steps, schedule| outcome(steps, schedule, false).1;
        let grows = |schedule: Option<CheckpointSchedule>| arena(400, schedule) as f64 / arena(100, schedule) as f64;
        let (plain, root, few) =
            (grows(None), grows(Some(CheckpointSchedule::SquareRoot)), grows(Some(CheckpointSchedule::Binomial(4))));
        assert!((3.5..4.5).contains(&plain), "{plain}");
        assert!((1.7..2.3).contains(&root), "{root}");
        assert!(few < 1.3, "{few}");
    }

    #[test]
    fn a_chain_of_pointwise_work_is_not_computed_ahead() {
        // It has no node with a position of its own on the tape.
        let arena = |schedule: Option<CheckpointSchedule>| {
            let graph = Graph::new();
            let x = graph.input("x", [1000]);
            let mut h = x;
            let step = |_| h = (h * h + 0.1).sin();
            match schedule {
                Some(schedule) => graph.checkpoint_steps(400, schedule, step),
                None => (0..400).for_each(step),
            }
            let gradient = graph.grad(h.sum(), &[x]).expect("it has a gradient")[0];
            Plan::new(&graph, &[gradient]).expect("it compiles").summary().arena
        };
        let (plain, root) = (arena(None), arena(Some(CheckpointSchedule::SquareRoot)));
        assert!(root * 5 < plain, "{root} of {plain}");
    }

    #[test]
    fn gradients_with_respect_to_what_lies_within() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([0.3, -0.7]));
        let mut inner = x;
        let y = graph.checkpoint(|| {
            let h = graph.checkpoint(|| {
                inner = x.sin();
                inner.exp() * inner
            });
            h * h
        });
        let outer = inner * 3.0;
        let found = graph.grad((y + outer).sum(), &[inner, x]).unwrap();
        let h = x.sin();
        let by_hand = h.exp() * h * h.exp() * (h + 1.0) * 2.0 + 3.0;
        graph.eval(found[0]).unwrap().assert_close(&graph.eval(by_hand).unwrap(), 1e-14, 0.0);
        graph.eval(found[1]).unwrap().assert_close(&graph.eval(by_hand * x.cos()).unwrap(), 1e-14, 0.0);
    }

    #[test]
    fn a_checkpointed_model_passes_the_check() {
        let mut params = Params::new(0);
        let weight = weight(&mut params);
        check::assert_model(&params, (), |graph, []| {
            let mut h = graph.constant(&Tensor::from_fn([2, 3], |k| k as f64 / 6.0));
            graph.checkpoint_steps(5, CheckpointSchedule::Every(2), |_| h = h.matmul(graph.param(&weight)).tanh());
            h.square().sum()
        });
    }

    #[test]
    fn parts_stay_within_their_reach() {
        for states in 0..6 {
            for length in 2..200 {
                let first = first_part(length, states);
                assert!((1..length).contains(&first), "{first} of {length} with {states}");
                let repeats = (1..).find(|&repeats| reach(states, repeats) >= length).unwrap();
                assert!(reach(states, repeats - 1) >= first, "{first} of {length} with {states}: the first part");
                let others = if states == 0 { 1 } else { reach(states - 1, repeats) };
                assert!(others >= length - first, "{first} of {length} with {states}: the others");
            }
        }
        assert_eq!([reach(8, 7), reach(0, 5), reach(3, 0)], [11440, 6, 1]);
    }
}
