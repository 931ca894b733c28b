//! Derivatives. They append nodes to the graph, so that they can be differentiated again.
//!
//! Reverse mode is one backward pass over the tape. Forward mode needs no rule from the author of an op: a vjp is
//! linear in its cotangent, so its transpose, found by a second backward pass, is the jvp.

mod checkpoint;
mod dense;
mod joined;
mod reverse;

use std::panic::Location;

use crate::error::{Error, ErrorKind};
use crate::tape::op::Kind;
use crate::tape::{Graph, NodeId, Value, Var};

pub use checkpoint::CheckpointSchedule;

/// The cotangents of variables as functions of those of outputs, which are seeds.
struct Pulled<'g> {
    seeds: Vec<Var<'g>>,
    cotangents: Vec<Option<Var<'g>>>,
}

impl Graph {
    /// The gradient of a scalar with respect to each of `wrt`.
    ///
    /// If the scalar does not depend on a variable differentiably, which is usually a layer that was forgotten, this is
    /// an error; [`Graph::grad_or_zeros`] returns zeros instead.
    ///
    /// # Errors
    /// If `of` is not a scalar, does not depend on one of `wrt`, or an op between them has no derivative.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([1.0, 2.0]));
    /// let first = graph.grad((x * x * x).sum(), &[x])?[0];
    /// let second = graph.grad(first.sum(), &[x])?[0];
    /// assert_eq!(graph.eval(second)?.data(), [6.0, 12.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn grad<'g>(&'g self, of: Var<'g>, wrt: &[Var<'g>]) -> Result<Vec<Var<'g>>, Error> {
        let caller = Location::caller();
        let found = self.scalar_sweep(of, wrt, caller)?;
        let named = |(cotangent, x): (Option<Var<'g>>, &Var<'g>)| {
            cotangent.ok_or_else(|| self.fault(caller, self.why_independent(of.value, x.value)))
        };
        found.into_iter().zip(wrt).map(named).collect()
    }

    /// [`Graph::grad`] with zeros for variables that the scalar does not depend on.
    ///
    /// # Errors
    /// If `of` is not a scalar or an op between them has no derivative.
    #[track_caller]
    pub fn grad_or_zeros<'g>(&'g self, of: Var<'g>, wrt: &[Var<'g>]) -> Result<Vec<Var<'g>>, Error> {
        let found = self.scalar_sweep(of, wrt, Location::caller())?;
        Ok(self.or_zeros(found, wrt))
    }

    /// The scalar and its gradient, which share work in a plan.
    ///
    /// # Errors
    /// As [`Graph::grad`].
    #[track_caller]
    pub fn value_and_grad<'g>(&'g self, of: Var<'g>, wrt: &[Var<'g>]) -> Result<(Var<'g>, Vec<Var<'g>>), Error> {
        Ok((of, self.grad(of, wrt)?))
    }

    /// Vector-Jacobian products: the cotangents of `wrt` from those of `outputs`. Zeros for independent variables.
    ///
    /// # Errors
    /// If a cotangent does not have its output's shape or an op between them has no derivative.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([2.0, 3.0]));
    /// let u = graph.constant(&Tensor::from([1.0, 10.0]));
    /// let product = graph.vjp(&[x * x], &[u], &[x])?[0];
    /// assert_eq!(graph.eval(product)?.data(), [4.0, 60.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn vjp<'g>(
        &'g self,
        outputs: &[Var<'g>],
        cotangents: &[Var<'g>],
        wrt: &[Var<'g>],
    ) -> Result<Vec<Var<'g>>, Error> {
        let found = self.seeded_sweep("vjp", outputs, cotangents, wrt, Location::caller())?;
        Ok(self.or_zeros(found, wrt))
    }

    /// Jacobian-vector products: the tangents of `outputs` from those of `wrt`. Zeros for independent outputs.
    ///
    /// # Errors
    /// If a tangent does not have its variable's shape or an op between them has no derivative.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([2.0, 3.0]));
    /// let v = graph.constant(&Tensor::from([1.0, 10.0]));
    /// let product = graph.jvp(&[(x * x).sum()], &[x], &[v])?[0];
    /// assert_eq!(graph.eval(product)?.item(), 64.0);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn jvp<'g>(
        &'g self,
        outputs: &[Var<'g>],
        wrt: &[Var<'g>],
        tangents: &[Var<'g>],
    ) -> Result<Vec<Var<'g>>, Error> {
        let caller = Location::caller();
        for vars in [outputs, wrt, tangents] {
            self.check_own("jvp", vars, caller)?;
        }
        let pulled = self.pulled(outputs, wrt, caller)?;
        if wrt.len() != tangents.len() {
            return Err(self.fault(caller, format!("`jvp`: {} variables but {} tangents", wrt.len(), tangents.len())));
        }
        for (x, tangent) in wrt.iter().zip(tangents) {
            if tangent.shape() != x.shape() {
                let shapes = format!("a tangent of shape {} for a variable of {}", tangent.shape(), x.shape());
                return Err(self.fault(caller, format!("`jvp`: {shapes}")));
            }
        }
        self.pushed(&pulled, outputs, tangents, caller)
    }

    /// The first sweep of a jvp, which does not depend on the tangents.
    fn pulled<'g>(
        &'g self,
        outputs: &[Var<'g>],
        wrt: &[Var<'g>],
        caller: &'static Location<'static>,
    ) -> Result<Pulled<'g>, Error> {
        let seeds: Vec<Var<'g>> = outputs.iter().map(|output| self.seed(output.shape(), caller)).collect();
        let cotangents = self.seeded_sweep("jvp", outputs, &seeds, wrt, caller)?;
        Ok(Pulled { seeds, cotangents })
    }

    /// The second sweep of a jvp, for tangents that have the shapes of the variables.
    fn pushed<'g>(
        &'g self,
        Pulled { seeds, cotangents }: &Pulled<'g>,
        outputs: &[Var<'g>],
        tangents: &[Var<'g>],
        caller: &'static Location<'static>,
    ) -> Result<Vec<Var<'g>>, Error> {
        let both =
            cotangents.iter().zip(tangents).filter_map(|(pulled, tangent)| pulled.map(|pulled| (pulled, *tangent)));
        let (reached, arriving): (Vec<_>, Vec<_>) = both.unzip();
        let found = self.seeded_sweep("jvp", &reached, &arriving, seeds, caller)?;
        Ok(self.or_zeros(found, outputs))
    }

    /// Hessian-vector products of a scalar: for each of `wrt`, the derivative of its gradient along `vectors`. Zeros
    /// where the gradient is constant.
    ///
    /// # Errors
    /// As [`Graph::grad_or_zeros`]; also if a vector does not have its variable's shape.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([2.0, 3.0]));
    /// let v = graph.constant(&Tensor::from([1.0, 1.0]));
    /// let product = graph.hvp((x * x * x).sum(), &[x], &[v])?[0];
    /// assert_eq!(graph.eval(product)?.data(), [12.0, 18.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn hvp<'g>(&'g self, of: Var<'g>, wrt: &[Var<'g>], vectors: &[Var<'g>]) -> Result<Vec<Var<'g>>, Error> {
        let gradients = self.grad_or_zeros(of, wrt)?;
        let found = self.seeded_sweep("hvp", &gradients, vectors, wrt, Location::caller())?;
        Ok(self.or_zeros(found, wrt))
    }

    fn scalar_sweep<'g>(
        &'g self,
        of: Var<'g>,
        wrt: &[Var<'g>],
        caller: &'static Location<'static>,
    ) -> Result<Vec<Option<Var<'g>>>, Error> {
        self.check_own("grad", &[of], caller)?;
        self.check_own("grad", wrt, caller)?;
        let shape = of.shape();
        if shape.rank() > 0 || of.kind() != Kind::Real {
            let made = self.tape().describe(of.node());
            let problem = match of.kind() {
                Kind::Real => format!("`grad` of a value of shape {shape}, {made}: only a real scalar has a gradient"),
                Kind::Index => format!("`grad` of indices, {made}: indices have no derivative"),
            };
            let advice = "take `sum()` or `mean()` first, or use `vjp` with a cotangent or `jacobian`";
            return Err(self.fault(caller, if shape.rank() > 0 { format!("{problem}; {advice}") } else { problem }));
        }
        self.sweep(&[(of.value, self.scalar(1.0).value)], wrt, 0, true, caller)
    }

    fn seeded_sweep<'g>(
        &'g self,
        op: &str,
        outputs: &[Var<'g>],
        cotangents: &[Var<'g>],
        wrt: &[Var<'g>],
        caller: &'static Location<'static>,
    ) -> Result<Vec<Option<Var<'g>>>, Error> {
        for vars in [outputs, cotangents, wrt] {
            self.check_own(op, vars, caller)?;
        }
        if outputs.len() != cotangents.len() {
            let counts = format!("{} outputs but {} cotangents", outputs.len(), cotangents.len());
            return Err(self.fault(caller, format!("`{op}`: {counts}")));
        }
        let mut seeds: Vec<(Value, Value)> = Vec::with_capacity(outputs.len());
        for (output, cotangent) in outputs.iter().zip(cotangents) {
            if output.meta() != cotangent.meta() {
                let shapes = format!("a cotangent of shape {} for an output of {}", cotangent.shape(), output.shape());
                return Err(self.fault(caller, format!("`{op}`: {shapes}")));
            }
            seeds.push((output.value, cotangent.value));
        }
        self.sweep(&seeds, wrt, 0, op != "jvp", caller)
    }

    /// Why a scalar has no gradient with respect to `x`.
    fn why_independent(&self, of: Value, x: Value) -> String {
        let tape = self.tape();
        let mut depends = vec![false; of.node.index() + 1];
        let mut indices = None;
        for index in x.node.index()..depends.len() {
            let node = &tape.nodes[index];
            let reads = node.inputs.iter().any(|input| depends[input.node.index()]);
            depends[index] = index == x.node.index() || reads;
            if reads && indices.is_none() && node.outputs.iter().all(|meta| meta.kind == Kind::Index) {
                indices = Some(NodeId(index as u32));
            }
        }
        match indices.filter(|_| depends[of.node.index()]) {
            Some(node) => format!(
                "`grad`: the scalar depends on {} through {} alone, whose values are indices: indices have no derivative",
                tape.describe(x.node),
                tape.describe(node)
            ),
            None => format!(
                "`grad`: the scalar does not depend on {}; `grad_or_zeros` gives zeros instead",
                tape.describe(x.node)
            ),
        }
    }

    fn or_zeros<'g>(&'g self, found: Vec<Option<Var<'g>>>, like: &[Var<'g>]) -> Vec<Var<'g>> {
        let filled = |(cotangent, x): (Option<Var<'g>>, &Var<'g>)| cotangent.unwrap_or_else(|| self.zeros(x.shape()));
        found.into_iter().zip(like).map(filled).collect()
    }

    fn fault(&self, caller: &'static Location<'static>, problem: String) -> Error {
        Error::at(ErrorKind::Derivative, problem, caller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real::Real;
    use crate::tape::op::{Accepts, Derivative, Form, Meta, Metas, Op, Signature, Vars, Work};
    use crate::tensor::Tensor;

    /// `x²` by a kernel, without a vjp.
    #[derive(Debug, PartialEq, Eq, Hash)]
    struct Kernel;

    impl Op for Kernel {
        const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

        fn name(&self) -> &'static str {
            "kernel"
        }

        fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
            Ok(smallvec::smallvec![inputs[0].clone()])
        }

        fn form(&self) -> Form {
            Form::Kernel
        }

        fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
            let x = work.inputs[0].real();
            work.outputs[0].real().iter_mut().zip(x).for_each(|(y, &x)| *y = x * x);
            Ok(())
        }
    }

    /// `x²` by its expansion, whose derivative is declared as a rule that is not there.
    #[derive(Debug, PartialEq, Eq, Hash)]
    struct Expanded;

    impl Op for Expanded {
        const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

        fn name(&self) -> &'static str {
            "expanded"
        }

        fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
            Ok(smallvec::smallvec![inputs[0].clone()])
        }

        fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
            Some(smallvec::smallvec![inputs[0].square()])
        }

        fn derivative(&self, _input: usize) -> Derivative {
            Derivative::Rule
        }
    }

    /// From every method that differentiates, with the op, its line, and that of the caller; and the graph is of use
    /// afterwards.
    #[test]
    fn an_op_without_a_vjp_is_an_error() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([0.5, -2.0]));
        let line = line!() + 1;
        let ops = [("kernel", graph.call(Kernel, &[x])), ("expanded", graph.call(Expanded, &[x]))];
        for (name, y) in ops {
            assert_eq!(graph.eval(y).unwrap().data(), [0.25, 4.0]);
            let (loss, one) = (y.sum(), graph.ones([2]));
            let called = line!() + 2;
            let errors = [
                graph.grad(loss, &[x]).err(),
                graph.grad_or_zeros(loss, &[x]).err(),
                graph.value_and_grad(loss, &[x]).err(),
                graph.vjp(&[y], &[one], &[x]).err(),
                graph.jvp(&[y], &[x], &[one]).err(),
                graph.hvp(loss, &[x], &[one]).err(),
                graph.jacobian(y, x).err(),
                graph.hessian(loss, x).err(),
            ];
            for (number, error) in (0..).zip(errors) {
                let error = error.expect("there is no derivative");
                assert_eq!(error.kind(), ErrorKind::Derivative);
                let message = error.to_string();
                let start = format!("`{name}` at crates/graph/src/diff/mod.rs:{line}:");
                assert!(message.starts_with(&start), "{message}");
                let problem = "has no derivative with respect to input 0; its derivative is declared as a rule, but the \
                               op implements no `vjp` (at crates/graph/src/diff/mod.rs:";
                assert!(message.contains(problem), "{message}");
                assert!(
                    message.contains(&format!("(at crates/graph/src/diff/mod.rs:{}:", called + number)),
                    "{message}"
                );
            }
        }
        assert_eq!(graph.eval(graph.grad(x.square().sum(), &[x]).unwrap()[0]).unwrap().data(), [1.0, -4.0]);
    }
}
