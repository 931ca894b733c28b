//! The same value as a new node: where an expansion is differentiated, it is recorded on such nodes, so that its
//! derivatives are separate from those of other uses of the value.

use crate::shape::Layout;
use crate::tape::Var;
use crate::tape::op::{Accepts, Derivative, Form, Meta, Metas, Op, Signature};

/// `x`
#[derive(Debug, PartialEq, Eq, Hash)]
struct Identity;

impl Op for Identity {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Any]);

    fn name(&self) -> &'static str {
        "identity"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        Ok(smallvec::smallvec![inputs[0].clone()])
    }

    fn form(&self) -> Form {
        Form::View
    }

    fn view(&self, input: &Layout) -> Option<Layout> {
        Some(input.clone())
    }

    fn derivative(&self, _input: usize) -> Derivative {
        Derivative::Identity { output: 0 }
    }
}

impl<'g> Var<'g> {
    /// The same value as a new node, so that its derivative is separate from those of other uses of the value.
    pub(crate) fn as_new_node(self) -> Var<'g> {
        self.graph().call(Identity, &[self])
    }
}

crate::tape::op::saved_ops!("identity": Identity {});

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{any_tensor, shape};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    let samples = shape(5).prop_flat_map(any_tensor).prop_map(|x| Sample::new(Identity, [x]));
    vec![Entry::new("identity", "`x` as a new node", samples)]
}
