//! State that a guard or a closure sets for its lifetime: scopes, values that replace parameters, the line of new
//! nodes.

use std::panic::Location;

use super::op::Meta;
use super::{Graph, Node, NodeId, Scope, Var};
use crate::params::Param;

impl Graph {
    /// Opens a scope within the current one: until the guard is dropped, new nodes belong to it. Messages, pictures and
    /// summaries show scopes.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Graph;
    /// let graph = Graph::new();
    /// let x = graph.input("x", [2]);
    /// let hidden = {
    ///     let _scope = graph.scope("hidden");
    ///     x.tanh()
    /// };
    /// assert!(graph.dot(&[hidden]).contains("hidden"));
    /// ```
    pub fn scope(&self, name: &str) -> Scoped<'_> {
        let mut tape = self.tape.borrow_mut();
        let parent = tape.scope_now();
        tape.scopes.push(Scope { parent, name: name.to_owned() });
        let scope = tape.scopes.len() as u32 - 1;
        tape.open.push(scope);
        Scoped { graph: self, scope }
    }

    /// Until the guard is dropped, new nodes have the line `caller` instead of the line that records them: for layers
    /// that record nodes in closures, which lose the line of their caller. Of nested guards the outermost applies.
    ///
    /// # Example
    /// ```
    /// use std::panic::Location;
    /// use gradus_graph::{Graph, Var};
    /// #[track_caller]
    /// fn both<'g>(x: Var<'g>) -> [Var<'g>; 2] {
    ///     let _line = x.graph().at_line(Location::caller());
    ///     [1.0, 2.0].map(|factor| x * factor)
    /// }
    /// let graph = Graph::new();
    /// both(graph.ones([2]));
    /// ```
    #[must_use = "the line applies until the guard is dropped"]
    pub fn at_line(&self, caller: &'static Location<'static>) -> impl Drop + '_ {
        let outer = self.tape.borrow().line;
        self.tape.borrow_mut().line = outer.or(Some(caller));
        Restore(move || self.tape.borrow_mut().line = outer)
    }

    /// Runs `build`; the nodes that it makes have the line and scope of `node`.
    pub(crate) fn on_behalf_of<R>(&self, node: NodeId, build: impl FnOnce() -> R) -> R {
        let Node { location, scope, .. } = self.tape().nodes[node.index()];
        self.with_origin(location, scope, build)
    }

    /// Runs `build`; the nodes that it makes have the line of `node`, or the line of the node that is differentiated.
    pub(crate) fn at_line_of<R>(&self, node: NodeId, build: impl FnOnce() -> R) -> R {
        let (location, scope) = {
            let tape = self.tape();
            tape.origin.unwrap_or((tape.nodes[node.index()].location, tape.scope_now()))
        };
        self.with_origin(location, scope, build)
    }

    fn with_origin<R>(&self, location: &'static Location<'static>, scope: u32, build: impl FnOnce() -> R) -> R {
        let outer = self.tape.borrow_mut().origin.replace((location, scope));
        let restore = Restore(|| self.tape.borrow_mut().origin = outer);
        let result = build();
        drop(restore);
        result
    }

    /// Replaces a parameter by a value: until the guard is dropped, [`Graph::param`] returns the value. So the weight
    /// of a layer can be computed from other parameters, as in weight normalisation, without a change of the layer. Of
    /// several values for one parameter the latest whose guard is alive applies.
    ///
    /// # Panics
    /// If the value is an index, has another shape than the parameter, or belongs to another graph.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Params, Tensor};
    /// let mut params: Params = Params::new(0);
    /// let weight = params.add("weight", Tensor::from([2.0, 3.0]));
    /// let graph = Graph::new();
    /// {
    ///     let _weight = graph.substitute(&weight, graph.ones([2]));
    ///     assert_eq!(graph.eval(graph.param(&weight).sum())?.item(), 2.0);
    /// }
    /// let itself = graph.param(&weight);
    /// assert_eq!(graph.params()[0].1, itself);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn substitute<'g>(&'g self, param: &Param, value: Var<'g>) -> Substituted<'g> {
        let (name, shape, found) = (param.name(), param.shape(), value.meta());
        self.expect_own("substitute", &[value]);
        assert!(
            found == Meta::real(shape.clone()),
            "`substitute` for `{name}` of shape {shape} of a value of shape {}",
            found.shape
        );
        let mut tape = self.tape.borrow_mut();
        tape.guards += 1;
        let guard = tape.guards;
        tape.substitutes.push((guard, param.clone(), value.value));
        Substituted { graph: self, guard }
    }
}

/// A scope that is open; see [`Graph::scope`].
#[must_use = "the scope closes when this is dropped: `let _scope = graph.scope(…)`"]
pub struct Scoped<'g> {
    graph: &'g Graph,
    scope: u32,
}

impl Drop for Scoped<'_> {
    fn drop(&mut self) {
        self.graph.tape.borrow_mut().open.retain(|&scope| scope != self.scope);
    }
}

/// A parameter that is replaced by a value; see [`Graph::substitute`].
#[must_use = "the substitution ends when this is dropped: `let _weight = graph.substitute(…)`"]
pub struct Substituted<'g> {
    graph: &'g Graph,
    guard: u64,
}

impl Drop for Substituted<'_> {
    fn drop(&mut self) {
        self.graph.tape.borrow_mut().substitutes.retain(|&(guard, ..)| guard != self.guard);
    }
}

/// Runs a closure when dropped, also during a panic.
pub(super) struct Restore<F: FnMut()>(pub(super) F);

impl<F: FnMut()> Drop for Restore<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
