//! Ops that are recorded as their expansion but differentiate by a rule of their own.
//!
//! The node takes the op's inputs and the outputs of the expansion, and its outputs are those of the expansion. So a
//! run computes the expansion, and the reverse sweep meets the op's own vjp.

use super::Var;
use super::op::{Call, Domain, Form, Kinks, Meta, Metas, Op, Vars, Vjp};

/// The op at the end of its own expansion.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct WithRule<O> {
    pub(super) op: O,
    pub(super) arity: usize,
}

/// Whether the op answers for a derivative itself for some input. The answer is found by asking for the vjp with the
/// outputs in the place of their cotangents; what nodes this makes are dead and cost nothing in a plan.
pub(super) fn has_rule<'g, O: Op>(op: &O, inputs: &[Var<'g>], outputs: &Vars<'g>) -> bool {
    let cotangents: smallvec::SmallVec<[Option<Var<'g>>; 2]> = outputs.iter().copied().map(Some).collect();
    let call = Call { inputs, outputs, cotangents: &cotangents };
    (0..inputs.len()).any(|input| !matches!(op.vjp(call, input), Vjp::Expanded))
}

impl<O: Op> Op for WithRule<O> {
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
}
