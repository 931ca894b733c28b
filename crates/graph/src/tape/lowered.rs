//! Ops that are recorded as their expansion but differentiate by a rule of their own.
//!
//! The node takes the op's inputs and the outputs of the expansion, and its outputs are those of the expansion. So a
//! run computes the expansion, and the reverse sweep meets the op's own vjp.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::op::{AnyOp, Call, Domain, Form, Kinks, Meta, Metas, Op, Vjp};

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
}
