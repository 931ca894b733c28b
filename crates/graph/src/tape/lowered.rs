//! Ops that are recorded as their expansion, and among them those that differentiate by a rule of their own.
//!
//! One that has a rule is a node at the end of its expansion: it takes the op's inputs and the outputs of the expansion,
//! and its outputs are those of the expansion. So a run computes the expansion, and the reverse sweep meets the op's own
//! vjp.

use std::hash::{Hash, Hasher};
use std::panic::Location;
use std::sync::Arc;

use smallvec::SmallVec;

use super::op::{AnyOp, Call, Domain, Form, Kinks, Meta, Metas, Op, Vars, Vjp};
use super::{Graph, Restore, Scope, Source, Var, at};
use crate::error::{Error, ErrorKind};

/// The op at the end of its own expansion.
#[derive(Debug)]
pub(super) struct WithRule {
    pub(super) op: Arc<dyn AnyOp>,
    /// The number of the op in its graph, by which it is compared.
    pub(super) id: u32,
    pub(super) arity: usize,
}

impl PartialEq for WithRule {
    fn eq(&self, other: &Self) -> bool {
        (self.id, self.arity) == (other.id, other.arity)
    }
}

impl Eq for WithRule {}

impl Hash for WithRule {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.id, self.arity).hash(state);
    }
}

impl Op for WithRule {
    fn name(&self) -> &'static str {
        self.op.name()
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        self.op.infer(&inputs[..self.arity])
    }

    fn form(&self) -> Form {
        Form::Alias { first: self.arity }
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Vjp<'g> {
        if input >= self.arity {
            return Vjp::Zero;
        }
        let own = Call { inputs: &call.inputs[..self.arity], ..call };
        match self.op.vjp(own, input) {
            Vjp::Expanded => Vjp::Undefined,
            answer => answer,
        }
    }

    fn domain(&self, input: usize) -> Domain {
        self.op.domain(input)
    }

    fn kinks(&self, input: usize) -> Kinks {
        self.op.kinks(input)
    }

    fn is_surrogate(&self) -> bool {
        self.op.is_surrogate()
    }
}

impl Graph {
    /// Records the expansion of an op. If the op states a vjp of its own, a node that carries it stands at the end.
    pub(super) fn lower<'g>(
        &'g self,
        op: Arc<dyn AnyOp>,
        id: u32,
        inputs: &[Var<'g>],
        outputs: &Metas,
        caller: &'static Location<'static>,
    ) -> Result<Vars<'g>, Error> {
        let name = op.name();
        let fault = |problem: String| Error::new(ErrorKind::Op, format!("`{name}`: {problem} (at {})", at(caller)));
        if self.is_endless(id) {
            // The op in whose expansion this one stands gives the error; until then something of the right shape.
            let mut stand_in = |meta: &Meta| self.leaf(Source::Seed, meta.clone(), caller);
            return Ok(outputs.iter().map(&mut stand_in).collect());
        }
        let expanding = self.enter(id);
        let restore = {
            let mut tape = self.tape.borrow_mut();
            let outer = tape.origin;
            let scope = outer.map_or(tape.scope_now(), |(_, scope)| scope);
            tape.scopes.push(Scope { parent: scope, name: name.to_owned() });
            let scope = tape.scopes.len() as u32 - 1;
            let line = outer.map_or(caller, |(location, _)| location);
            tape.origin = Some((line, scope));
            Restore(move || self.tape.borrow_mut().origin = outer)
        };
        let expansion = op.expand(inputs);
        drop((restore, expanding));
        if let Some(problem) = self.take_endless() {
            return Err(fault(problem));
        }
        let expansion = expansion.ok_or_else(|| fault("has neither a kernel nor an expansion".into()))?;
        self.expect_own(name, &expansion, caller)?;
        let found: Metas = expansion.iter().map(|output| self.tape().meta(output.value).clone()).collect();
        if found != *outputs {
            return Err(fault(format!("the shape rule says {outputs:?}, the expansion gives {found:?}")));
        }
        if inputs.is_empty() || !self.has_rule(id, &*op, inputs, &expansion) {
            return Ok(expansion);
        }
        let all = inputs.iter().chain(&expansion).map(|var| var.value).collect();
        let id = self.tape.borrow_mut().intern(WithRule { op, id, arity: inputs.len() });
        Ok(self.record(id, all, found, caller))
    }

    /// Marks an op as being expanded or asked for its derivative, until what is given back is dropped.
    pub(crate) fn enter(&self, op: u32) -> impl Drop + '_ {
        self.tape.borrow_mut().expanding.push(op);
        Restore(|| _ = self.tape.borrow_mut().expanding.pop())
    }

    /// Whether expansions stand in each other so deep that there is no end to them; the message is kept for the
    /// outermost.
    fn is_endless(&self, op: u32) -> bool {
        let mut tape = self.tape.borrow_mut();
        if tape.expanding.is_empty() {
            // What is left of an expansion that panicked.
            tape.endless = None;
        }
        if tape.endless.is_none() && tape.expanding.len() >= MAX_EXPANSIONS {
            let (name, times) = (tape.ops[op as usize].name(), tape.expanding.iter().filter(|&&o| o == op).count());
            tape.endless = Some(match times {
                0 => format!("{MAX_EXPANSIONS} expansions stand in each other, the last of them `{name}`"),
                _ => format!("the expansion of `{name}` comes to `{name}` again, {times} times so far, without end"),
            });
        }
        tape.endless.is_some()
    }

    /// The message for expansions without end, once the outermost has returned.
    pub(crate) fn take_endless(&self) -> Option<String> {
        let mut tape = self.tape.borrow_mut();
        if tape.expanding.is_empty() { tape.endless.take() } else { None }
    }

    /// Whether the op answers for a derivative itself for some input. The answer is found by asking for the vjp with the
    /// outputs in the place of their cotangents; what nodes this makes are dead and cost nothing in a plan.
    fn has_rule<'g>(&'g self, id: u32, op: &dyn AnyOp, inputs: &[Var<'g>], outputs: &Vars<'g>) -> bool {
        if self.tape().asked.contains(&id) {
            // A vjp that is written with the op itself is a rule.
            return true;
        }
        self.tape.borrow_mut().asked.push(id);
        let asked = Restore(|| _ = self.tape.borrow_mut().asked.pop());
        let cotangents: SmallVec<[Option<Var<'g>>; 2]> = outputs.iter().copied().map(Some).collect();
        let call = Call { inputs, outputs, cotangents: &cotangents };
        let has_rule = (0..inputs.len()).any(|input| !matches!(op.vjp(call, input), Vjp::Expanded));
        drop(asked);
        has_rule
    }
}

/// Expansions that may stand in each other: more than any op that ends has.
pub(crate) const MAX_EXPANSIONS: usize = 100;
