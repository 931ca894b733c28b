//! The reverse sweep: one backward pass over the tape, independent of particular ops.

use std::panic::Location;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::error::Error;
use crate::tape::op::{AnyOp, Call, Derivative, Kind, Vars};
use crate::tape::{Graph, MAX_EXPANSIONS, NodeId, Source, Tape, Value, Var};

/// The cotangents so far.
pub(super) struct Cotangents {
    /// Of output 0 of each node from `floor` on.
    first: Vec<Option<Value>>,
    /// Of further outputs.
    others: FxHashMap<Value, Value>,
    /// Summands that are joined when all of a value have arrived; see [`joined`](super::joined).
    parts: FxHashMap<Value, Vec<Value>>,
    /// Values whose cotangents are added to those of another value.
    redirected: FxHashMap<Value, Value>,
    floor: usize,
}

impl Cotangents {
    fn get(&self, value: Value) -> Option<Value> {
        match value.output {
            0 => self.first[value.node.index() - self.floor],
            _ => self.others.get(&value).copied(),
        }
    }

    fn set(&mut self, value: Value, cotangent: Value) {
        match value.output {
            0 => self.first[value.node.index() - self.floor] = Some(cotangent),
            _ => drop(self.others.insert(value, cotangent)),
        }
    }

    /// From now on, cotangents of `value` are added to those of `of`, which may itself be redirected.
    pub(super) fn redirect(&mut self, value: Value, of: Value) {
        let of = self.resolve(of);
        self.redirected.insert(value, of);
    }

    fn resolve(&self, value: Value) -> Value {
        if self.redirected.is_empty() { value } else { self.redirected.get(&value).copied().unwrap_or(value) }
    }

    /// Extends the table to nodes before `end`.
    pub(super) fn extend(&mut self, end: usize) {
        self.first.resize(end - self.floor, None);
    }

    /// Gives `to` the cotangents of `from` instead of its own.
    fn hand_over(&mut self, from: Value, to: Value) {
        if let Some(cotangent) = self.get(from) {
            self.set(to, cotangent);
        }
        if let Some(parts) = self.parts.remove(&from) {
            self.parts.insert(to, parts);
        }
    }

    /// The values of the given nodes that have a cotangent, each with it, and with each summand that is to be joined.
    pub(super) fn arrived(&self, nodes: impl Iterator<Item = usize>, tape: &Tape) -> Vec<(Value, Value)> {
        let mut arrived = Vec::new();
        for node in nodes.filter(|&node| node >= self.floor) {
            for output in 0..tape.nodes[node].outputs.len() as u32 {
                let value = Value { node: NodeId(node as u32), output };
                arrived.extend(self.get(value).map(|cotangent| (value, cotangent)));
                let parts = self.parts.get(&value).into_iter().flatten();
                arrived.extend(parts.map(|&part| (value, part)));
            }
        }
        arrived
    }
}

/// An interval of the tape that the sweep visits backwards.
pub(super) struct Interval {
    /// One more than the index of the next node.
    pub(super) next: usize,
    /// The index of the last node.
    pub(super) low: usize,
    /// Values whose cotangents are needed: in the enclosing interval, and in this one.
    pub(super) wanted: Vec<(Value, Value)>,
    /// For a copy: nodes of the original with their copies.
    pub(super) copied: Vec<(usize, usize)>,
}

impl Graph {
    /// The cotangents of `wrt` from the seeds, pairs of a value and its cotangent; `None` for independent variables.
    /// Nodes before `floor` are not visited. Checkpointed parts are recomputed if `recompute` is true.
    pub(super) fn sweep<'g>(
        &'g self,
        seeds: &[(Value, Value)],
        wrt: &[Var<'g>],
        floor: u32,
        recompute: bool,
        caller: &'static Location<'static>,
    ) -> Result<Vec<Option<Var<'g>>>, Error> {
        let var = |value| Var { graph: self, value };
        let first_wrt = wrt.iter().map(|x| x.value.node.0).min().unwrap_or(0);
        let floor = floor.max(first_wrt) as usize;
        let end = seeds.iter().map(|(value, _)| value.node.index() + 1).max().unwrap_or(0).max(floor);
        let mut depends = self.dependents(wrt, floor, end);

        let mut cotangents = Cotangents {
            first: vec![None; end - floor],
            others: FxHashMap::default(),
            parts: FxHashMap::default(),
            redirected: FxHashMap::default(),
            floor,
        };
        for &(value, cotangent) in seeds {
            if value.node.index() >= floor {
                self.add_cotangent(&mut cotangents, value, cotangent);
            }
        }
        let wanted = wrt.iter().map(|x| (x.value, x.value)).collect();
        let mut intervals = vec![Interval { next: end, low: floor, wanted, copied: Vec::new() }];
        while let Some(interval) = intervals.last_mut() {
            if interval.next <= interval.low {
                let done = intervals.pop().expect("there is a last one");
                for (value, copy) in done.wanted.into_iter().filter(|(value, copy)| value != copy) {
                    cotangents.hand_over(copy, value);
                }
                continue;
            }
            if let Some((index, start)) = recompute.then(|| self.region_before(interval.next)).flatten() {
                interval.next = start;
                if let Some(inner) = self.recompute(index, interval, &mut cotangents) {
                    depends.resize(inner.next - floor, false);
                    for &(node, copy) in &inner.copied {
                        depends[copy - floor] = node >= floor && depends[node - floor];
                    }
                    intervals.push(inner);
                }
                continue;
            }
            interval.next -= 1;
            let index = interval.next;
            if !depends[index - floor] {
                continue;
            }
            let node = NodeId(index as u32);
            let outputs = self.tape().nodes[index].outputs.len() as u32;
            let outputs = (0..outputs).map(|output| Value { node, output });
            outputs.clone().for_each(|value| self.join_parts(&mut cotangents, value));
            let arrived: SmallVec<[Option<Var<'g>>; 2]> =
                outputs.clone().map(|value| cotangents.get(value).map(var)).collect();
            if arrived.iter().all(Option::is_none) {
                continue;
            }
            let Source::Op(number) = self.tape().nodes[index].source else { continue };
            let op = Arc::clone(&self.tape().ops[number as usize]);
            let inputs: Vars<'g> = self.tape().nodes[index].inputs.iter().copied().map(var).collect();
            let sources: SmallVec<[Value; 2]> = inputs.iter().map(|input| cotangents.resolve(input.value)).collect();
            let outputs: Vars<'g> = outputs.map(var).collect();
            self.on_behalf_of(node, || {
                let call = Call { inputs: &inputs, outputs: &outputs, cotangents: &arrived };
                self.pull(
                    (number, &*op),
                    call,
                    |i| self.reaches(inputs[i].value, wrt, floor),
                    |i| self.may_pass(sources[i], &depends, floor),
                    caller,
                    |i, cotangent| self.add_cotangent(&mut cotangents, sources[i], cotangent.value),
                )
            })?;
        }
        wrt.iter().for_each(|x| self.join_parts(&mut cotangents, x.value));
        Ok(wrt
            .iter()
            .map(|x| if x.value.node.index() < end { cotangents.get(x.value).map(var) } else { None })
            .collect())
    }

    /// Adds to the cotangent of a value, or to the summands that are to be joined.
    pub(super) fn add_cotangent(&self, cotangents: &mut Cotangents, value: Value, cotangent: Value) {
        if self.is_part(cotangent) {
            cotangents.parts.entry(value).or_default().push(cotangent);
        } else {
            self.add_to_total(cotangents, value, cotangent);
        }
    }

    fn add_to_total(&self, cotangents: &mut Cotangents, value: Value, cotangent: Value) {
        let var = |value| Var { graph: self, value };
        let total = match cotangents.get(value) {
            Some(before) => (var(before) + var(cotangent)).value,
            None => cotangent,
        };
        cotangents.set(value, total);
    }

    /// Joins the summands of the cotangent of a value, of which no more arrive.
    fn join_parts(&self, cotangents: &mut Cotangents, value: Value) {
        let Some(parts) = cotangents.parts.remove(&value) else { return };
        self.on_behalf_of(parts[0].node, || {
            self.joined(&parts).into_iter().for_each(|sum| self.add_to_total(cotangents, value, sum.value));
        });
    }

    /// Calls `give` with the cotangent of each input of an op that needs one.
    fn pull<'g>(
        &'g self,
        (id, op): (u32, &dyn AnyOp),
        call: Call<'_, 'g>,
        reaches: impl Fn(usize) -> bool,
        needed: impl Fn(usize) -> bool,
        caller: &'static Location<'static>,
        mut give: impl FnMut(usize, Var<'g>),
    ) -> Result<(), Error> {
        let mut expanded: SmallVec<[usize; 4]> = SmallVec::new();
        for input in (0..call.inputs.len()).filter(|&input| needed(input)) {
            let cotangent = match op.derivative(input) {
                Derivative::Rule => {
                    self.missing_vjp.set(false);
                    let cotangent = op.vjp(call, input);
                    if self.missing_vjp.take() {
                        let problem = "its derivative is declared as a rule, but the op implements no `vjp`";
                        return Err(self.no_derivative(call, input, &format!("; {problem}"), caller));
                    }
                    Some(cotangent)
                }
                Derivative::Identity { output } => match call.cotangents.get(output) {
                    Some(arrived) => *arrived,
                    None => {
                        let problem = format!("is that of output {output}, of {}", call.outputs.len());
                        let input = format!("the derivative of `{}` with respect to input {input}", op.name());
                        return Err(self.fault(caller, format!("{input} {problem}")));
                    }
                },
                Derivative::Zero => None,
                Derivative::Expansion => {
                    expanded.push(input);
                    None
                }
                // A derivative that reaches no variable need not exist.
                Derivative::Undefined if !reaches(input) => None,
                Derivative::Undefined => return Err(self.no_derivative(call, input, "", caller)),
            };
            let Some(cotangent) = cotangent else { continue };
            self.check_own(op.name(), &[cotangent], caller)?;
            let (found, wanted) = (cotangent.meta(), call.inputs[input].meta());
            if found != wanted {
                let problem = format!("gives {} for input {input} of {}", found.shape, wanted.shape);
                return Err(self.fault(caller, format!("the vjp of `{}` {problem}", op.name())));
            }
            give(input, cotangent);
        }
        if expanded.is_empty() {
            return Ok(());
        }
        if self.tape().expanding.len() >= MAX_EXPANSIONS {
            let problem =
                format!("the derivative of the expansion of `{}` contains it again: it is infinite", op.name());
            return Err(self.fault(caller, problem));
        }
        let entered = self.enter(id);
        let floor = self.len() as u32;
        // New nodes for the inputs: an input may depend on another, or be passed twice.
        let inputs: Vars<'g> = call.inputs.iter().map(|input| input.as_new_node()).collect();
        let Some(outputs) = op.expand(&inputs) else {
            let problem = format!("`{}` declares the derivative of its expansion, but has none", op.name());
            return Err(self.fault(caller, problem));
        };
        self.check_own(op.name(), &outputs, caller)?;
        let seeds: Vec<(Value, Value)> = outputs
            .iter()
            .zip(call.cotangents)
            .filter_map(|(output, cotangent)| cotangent.map(|cotangent| (output.value, cotangent.value)))
            .collect();
        let wrt: Vec<Var<'g>> = expanded.iter().map(|&input| inputs[input]).collect();
        let found = self.sweep(&seeds, &wrt, floor, true, caller);
        drop(entered);
        if let Some(problem) = self.take_infinite() {
            return Err(self.fault(caller, format!("`{}`: {problem}", op.name())));
        }
        for (&input, cotangent) in expanded.iter().zip(found?) {
            if let Some(cotangent) = cotangent {
                give(input, cotangent);
            }
        }
        Ok(())
    }

    /// The error for an op that has no derivative with respect to an input.
    fn no_derivative(&self, call: Call<'_, '_>, input: usize, why: &str, caller: &'static Location<'static>) -> Error {
        let line = self.tape().describe(call.y().node());
        self.fault(caller, format!("{line} has no derivative with respect to input {input}{why}"))
    }

    /// For each node of `floor..end`, whether it depends on one of `wrt` through real values.
    fn dependents(&self, wrt: &[Var<'_>], floor: usize, end: usize) -> Vec<bool> {
        let mut depends = vec![false; end - floor];
        for x in wrt {
            if (floor..end).contains(&x.value.node.index()) {
                depends[x.value.node.index() - floor] = true;
            }
        }
        let tape = self.tape();
        for index in floor..end {
            let node = &tape.nodes[index];
            if !depends[index - floor] && matches!(node.source, Source::Op(_)) {
                depends[index - floor] = node.inputs.iter().any(|input| {
                    input.node.index() >= floor
                        && depends[input.node.index() - floor]
                        && tape.meta(*input).kind == Kind::Real
                });
            }
        }
        depends
    }

    /// Whether a cotangent of `value` reaches one of `wrt`: whether there is a path on which no derivative is zero.
    ///
    /// It is called only before an error is returned.
    fn reaches(&self, value: Value, wrt: &[Var<'_>], floor: usize) -> bool {
        let tape = self.tape();
        let end = value.node.index() + 1;
        let mut reaches = vec![false; end - floor];
        for x in wrt.iter().filter(|x| (floor..end).contains(&x.value.node.index())) {
            reaches[x.value.node.index() - floor] = true;
        }
        for index in floor..end {
            if reaches[index - floor] {
                continue;
            }
            let Some(op) = tape.op(NodeId(index as u32)) else { continue };
            let passes = |(number, &input): (usize, &Value)| {
                self.may_pass(input, &reaches, floor) && op.derivative(number) != Derivative::Zero
            };
            reaches[index - floor] = tape.nodes[index].inputs.iter().enumerate().any(passes);
        }
        reaches[end - 1 - floor]
    }

    fn may_pass(&self, value: Value, depends: &[bool], floor: usize) -> bool {
        value.node.index() >= floor && depends[value.node.index() - floor] && self.tape().meta(value).kind == Kind::Real
    }
}
