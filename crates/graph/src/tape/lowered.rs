//! Ops that are recorded as their expansion.
//!
//! An op that declares a rule for its derivative gets a node after its expansion: its inputs are those of the op and
//! the outputs of the expansion, its outputs are those of the expansion. So a run computes the expansion, and the
//! reverse sweep uses the vjp of the op.

use std::hash::{Hash, Hasher};
use std::panic::Location;
use std::sync::Arc;

use super::op::{Accepts, AnyOp, Call, Derivative, Domain, Form, Kind, Kinks, Meta, Metas, Op, Signature, Vars};
use super::{Graph, Restore, Scope, Source, Var};
use crate::error::{Error, ErrorKind};

/// The node of an op after its expansion.
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
    const INPUTS: Signature = Signature::Variadic(Accepts::Any);

    fn name(&self) -> &'static str {
        self.op.name()
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        self.op.infer(&inputs[..self.arity])
    }

    fn form(&self) -> Form {
        Form::Alias { first: self.arity }
    }

    /// For inputs whose derivative is that of the expansion, which is recorded again and differentiated.
    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        self.op.expand(&inputs[..self.arity])
    }

    fn derivative(&self, input: usize) -> Derivative {
        // The outputs of the expansion are taken as functions of the inputs, so they get no cotangents.
        if input < self.arity { self.op.derivative(input) } else { Derivative::Zero }
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
        self.op.vjp(Call { inputs: &call.inputs[..self.arity], ..call }, input)
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
    /// Records the expansion of an op and, if the op declares a rule for its derivative, a node with its vjp.
    pub(super) fn lower<'g>(
        &'g self,
        op: Arc<dyn AnyOp>,
        id: u32,
        inputs: &[Var<'g>],
        outputs: &Metas,
        caller: &'static Location<'static>,
    ) -> Result<Vars<'g>, Error> {
        let name = op.name();
        let fault = |problem: String| Error::at(ErrorKind::Op, format!("`{name}`: {problem}"), caller);
        if self.is_infinite(id) {
            // The outermost op returns the error; until then, placeholders of the right shapes.
            let placeholder = |meta: &Meta| self.leaf(Source::Seed, meta.clone(), caller);
            return Ok(outputs.iter().map(placeholder).collect());
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
        if let Some(problem) = self.take_infinite() {
            return Err(fault(problem));
        }
        let expansion = expansion.ok_or_else(|| fault("has neither a kernel nor an expansion".into()))?;
        self.check_own(name, &expansion, caller)?;
        let found: Metas = expansion.iter().map(|output| self.tape().meta(output.value).clone()).collect();
        if found != *outputs {
            return Err(fault(format!("the shape rule says {outputs:?}, the expansion gives {found:?}")));
        }
        // Without a rule the derivative is that of the expansion.
        let is_rule =
            |(input, var): (usize, &Var<'g>)| var.kind() == Kind::Real && op.derivative(input) != Derivative::Expansion;
        if !inputs.iter().enumerate().any(is_rule) {
            return Ok(expansion);
        }
        let all = inputs.iter().chain(&expansion).map(|var| var.value).collect();
        let id = self.tape.borrow_mut().intern(WithRule { op, id, arity: inputs.len() });
        Ok(self.record(id, all, found, caller))
    }

    /// Marks an op as being expanded or differentiated, until the returned guard is dropped.
    pub(crate) fn enter(&self, op: u32) -> impl Drop + '_ {
        self.tape.borrow_mut().expanding.push(op);
        Restore(|| _ = self.tape.borrow_mut().expanding.pop())
    }

    /// Whether expansions are nested too deeply, which is taken for infinite recursion; the message is kept for the
    /// outermost.
    fn is_infinite(&self, op: u32) -> bool {
        let mut tape = self.tape.borrow_mut();
        if tape.expanding.is_empty() {
            // Left over from an expansion that panicked.
            tape.infinite = None;
        }
        if tape.infinite.is_none() && tape.expanding.len() >= MAX_EXPANSIONS {
            let (name, times) = (tape.ops[op as usize].name(), tape.expanding.iter().filter(|&&o| o == op).count());
            tape.infinite = Some(match times {
                0 => format!("{MAX_EXPANSIONS} expansions are nested, the innermost of `{name}`"),
                _ => format!("the expansion of `{name}` contains `{name}` again, {times} times so far: it is infinite"),
            });
        }
        tape.infinite.is_some()
    }

    /// The message for an infinite expansion, once the outermost has returned.
    pub(crate) fn take_infinite(&self) -> Option<String> {
        let mut tape = self.tape.borrow_mut();
        if tape.expanding.is_empty() { tape.infinite.take() } else { None }
    }
}

/// The most nested expansions: more than any finite expansion has.
pub(crate) const MAX_EXPANSIONS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tensor;
    use crate::check::Check;

    /// `√Σx²`, whose derivative is a rule.
    #[derive(Debug, PartialEq, Eq, Hash)]
    struct Length;

    impl Op for Length {
        const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

        fn name(&self) -> &'static str {
            "length"
        }

        fn infer(&self, _inputs: &[Meta]) -> Result<Metas, String> {
            Ok(smallvec::smallvec![Meta::real([])])
        }

        fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
            Some(smallvec::smallvec![inputs[0].square().sum().sqrt()])
        }

        fn derivative(&self, _input: usize) -> Derivative {
            Derivative::Rule
        }

        fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
            call.x(0) * call.g() / call.y()
        }
    }

    /// `x·y²`, whose derivatives are declared by the test.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    struct Mixed([Derivative; 2]);

    impl Op for Mixed {
        const INPUTS: Signature = Signature::Fixed(&[Accepts::Real, Accepts::Real]);

        fn name(&self) -> &'static str {
            "mixed"
        }

        fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
            Ok(smallvec::smallvec![inputs[0].clone()])
        }

        fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
            Some(smallvec::smallvec![inputs[0] * inputs[1] * inputs[1]])
        }

        fn derivative(&self, input: usize) -> Derivative {
            self.0[input]
        }

        fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
            let slope = if input == 0 { call.x(1).square() } else { call.x(0) * call.x(1) * 2.0 };
            slope * call.g()
        }
    }

    #[test]
    fn nothing_is_recorded_to_find_out_what_a_derivative_is() {
        let by_hand = Graph::new();
        by_hand.constant(&Tensor::from([3.0, 4.0])).square().sum().sqrt();
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([3.0, 4.0]));
        let y = graph.call(Length, &[x]);
        // What it expands into, and the op itself.
        assert_eq!(graph.len(), by_hand.len() + 1);
        let slope = graph.grad(y, &[x]).unwrap()[0];
        assert_eq!(graph.eval(slope).unwrap().data(), [0.6, 0.8]);

        // Nor for an error: the constant 1 of the gradient exists already.
        let product = graph.call(Mixed([Derivative::Undefined; 2]), &[x.floor() + x, x]).sum();
        let before = graph.len();
        let error = graph.grad(product, &[x]).unwrap_err().to_string();
        assert!(error.contains("`mixed`") && error.contains("no derivative with respect to input 0"), "{error}");
        assert!(graph.len() <= before + 2, "{} nodes more", graph.len() - before);
    }

    #[test]
    fn the_derivative_of_an_expansion_stands_beside_a_rule() {
        use Derivative::{Expansion, Rule, Undefined, Zero};
        let (a, b) = (Tensor::from([0.5, -2.0]), Tensor::from([3.0, -1.5]));
        for op in [Mixed([Rule, Expansion]), Mixed([Expansion, Rule]), Mixed([Rule, Rule])] {
            let report = Check::new().op(op, [a.clone().into(), b.clone().into()]);
            assert!(report.is_ok(), "{op:?}: {report:?}");
        }
        let graph = Graph::new();
        let [x, y] = [&a, &b].map(|value| graph.constant(value));
        let gradient = |op: Mixed, wrt: &[Var<'_>]| -> Result<Vec<Vec<f64>>, Error> {
            let found = graph.grad_or_zeros(graph.call(op, &[x, y]).sum(), wrt)?;
            found.into_iter().map(|slope| Ok(graph.eval(slope)?.data().to_vec())).collect()
        };
        assert_eq!(gradient(Mixed([Undefined, Expansion]), &[y]).unwrap(), [[3.0, 6.0]]);
        assert!(gradient(Mixed([Undefined, Expansion]), &[x]).is_err());
        assert_eq!(gradient(Mixed([Zero, Expansion]), &[x, y]).unwrap(), [[0.0, 0.0], [3.0, 6.0]]);
    }

    #[test]
    fn an_identity_names_an_output_that_there_is() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([0.5, -2.0]));
        let y = |output| graph.call(Mixed([Derivative::Identity { output }, Derivative::Zero]), &[x, x]).sum();
        assert_eq!(graph.eval(graph.grad(y(0), &[x]).unwrap()[0]).unwrap().data(), [1.0, 1.0]);
        let error = graph.grad(y(3), &[x]).unwrap_err().to_string();
        assert!(error.contains("derivative of `mixed` with respect to input 0 is that of output 3, of 1"), "{error}");
    }
}
