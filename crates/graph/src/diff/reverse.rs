//! The reverse sweep: one walk backwards over the tape. It knows no op.

use std::panic::Location;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::error::Error;
use crate::tape::op::{AnyOp, Call, Derivative, Kind, Vars};
use crate::tape::{Graph, MAX_EXPANSIONS, NodeId, Source, Tape, Value, Var};

/// The cotangents that have arrived so far.
pub(super) struct Cotangents {
    /// Of output 0 of each node from `floor` on.
    first: Vec<Option<Value>>,
    /// Of further outputs.
    others: FxHashMap<Value, Value>,
    /// Values that stand for others, whose cotangents are added to those of the others.
    stands_for: FxHashMap<Value, Value>,
    floor: usize,
}

impl Cotangents {
    fn get(&self, value: Value) -> Option<Value> {
        match value.output {
            0 => self.first[value.node.index() - self.floor],
            _ => self.others.get(&value).copied(),
        }
    }

    pub(super) fn set(&mut self, value: Value, cotangent: Value) {
        match value.output {
            0 => self.first[value.node.index() - self.floor] = Some(cotangent),
            _ => drop(self.others.insert(value, cotangent)),
        }
    }

    /// Cotangents of `value` are from now on cotangents of `of`, which may itself stand for another.
    pub(super) fn redirect(&mut self, value: Value, of: Value) {
        let of = self.resolve(of);
        self.stands_for.insert(value, of);
    }

    fn resolve(&self, value: Value) -> Value {
        if self.stands_for.is_empty() { value } else { self.stands_for.get(&value).copied().unwrap_or(value) }
    }

    /// Makes room for nodes up to number `end`.
    pub(super) fn extend(&mut self, end: usize) {
        self.first.resize(end - self.floor, None);
    }

    /// The values of the given nodes that have a cotangent, with it.
    pub(super) fn arrived(&self, nodes: impl Iterator<Item = usize>, tape: &Tape) -> Vec<(Value, Value)> {
        let mut arrived = Vec::new();
        for node in nodes.filter(|&node| node >= self.floor) {
            for output in 0..tape.nodes[node].outputs.len() as u32 {
                let value = Value { node: NodeId(node as u32), output };
                arrived.extend(self.get(value).map(|cotangent| (value, cotangent)));
            }
        }
        arrived
    }
}

/// A stretch of the tape that the sweep walks over, backwards.
pub(super) struct Walk {
    /// The number of the node after the one to look at next.
    pub(super) next: usize,
    /// The number of the last node to look at.
    pub(super) low: usize,
    /// Values whose cotangents are wanted, first as the walk before names them, then as this one does.
    pub(super) wanted: Vec<(Value, Value)>,
    /// If this is a copy: nodes of the original with their copies.
    pub(super) copied: Vec<(usize, usize)>,
}

impl Graph {
    /// The cotangents of `wrt` that follow from the seeds, pairs of a value and its cotangent; `None` where nothing
    /// depends. Nodes before `floor` are not looked at. Checkpointed parts are computed again if `again` says so.
    pub(super) fn sweep<'g>(
        &'g self,
        seeds: &[(Value, Value)],
        wrt: &[Var<'g>],
        floor: u32,
        again: bool,
        caller: &'static Location<'static>,
    ) -> Result<Vec<Option<Var<'g>>>, Error> {
        let var = |value| Var { graph: self, value };
        let first_wrt = wrt.iter().map(|x| x.value.node.0).min().unwrap_or(0);
        let floor = floor.max(first_wrt) as usize;
        let end = seeds.iter().map(|(value, _)| value.node.index() + 1).max().unwrap_or(0).max(floor);
        let mut depends = self.dependents(wrt, floor, end);

        let (others, stands_for) = (FxHashMap::default(), FxHashMap::default());
        let mut cotangents = Cotangents { first: vec![None; end - floor], others, stands_for, floor };
        let add = |cotangents: &mut Cotangents, value: Value, cotangent: Value| {
            let total = match cotangents.get(value) {
                Some(before) => (var(before) + var(cotangent)).value,
                None => cotangent,
            };
            cotangents.set(value, total);
        };
        for &(value, cotangent) in seeds {
            if value.node.index() >= floor {
                add(&mut cotangents, value, cotangent);
            }
        }
        let wanted = wrt.iter().map(|x| (x.value, x.value)).collect();
        let mut walks = vec![Walk { next: end, low: floor, wanted, copied: Vec::new() }];
        while let Some(walk) = walks.last_mut() {
            if walk.next <= walk.low {
                let done = walks.pop().expect("there is a last one");
                for (value, copy) in done.wanted.into_iter().filter(|(value, copy)| value != copy) {
                    if let Some(cotangent) = cotangents.get(copy) {
                        cotangents.set(value, cotangent);
                    }
                }
                continue;
            }
            if let Some((place, start)) = again.then(|| self.region_before(walk.next)).flatten() {
                walk.next = start;
                if let Some(inner) = self.recompute(place, walk, &mut cotangents) {
                    depends.resize(inner.next - floor, false);
                    for &(node, copy) in &inner.copied {
                        depends[copy - floor] = node >= floor && depends[node - floor];
                    }
                    walks.push(inner);
                }
                continue;
            }
            walk.next -= 1;
            let index = walk.next;
            if !depends[index - floor] {
                continue;
            }
            let node = NodeId(index as u32);
            let outputs = self.tape().nodes[index].outputs.len() as u32;
            let outputs = (0..outputs).map(|output| Value { node, output });
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
                    |i, cotangent| add(&mut cotangents, sources[i], cotangent.value),
                )
            })?;
        }
        Ok(wrt
            .iter()
            .map(|x| if x.value.node.index() < end { cotangents.get(x.value).map(var) } else { None })
            .collect())
    }

    /// Asks an op for the cotangents of the inputs that need one, and hands them to `give`.
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
                // What is stopped before it reaches a variable need not exist.
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
            let problem = format!("the derivative of the expansion of `{}` comes to it again, without end", op.name());
            return Err(self.fault(caller, problem));
        }
        let entered = self.enter(id);
        let floor = self.len() as u32;
        // Stand-ins for the inputs: an input may itself depend on another, or be passed twice.
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
        if let Some(problem) = self.take_endless() {
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

    /// For each node from `floor` to `end`, whether a derivative may pass from it to one of `wrt`.
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

    /// Whether a cotangent of `value` would reach one of `wrt`: whether on some way there no op's derivative is zero.
    ///
    /// Only asked before a derivative is refused.
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
