//! Closures that trace a loss, with or without auxiliary values.

use gradus_graph::{Graph, Var};

/// A function that a [`Step`](crate::Step) differentiates: a loss of `N` inputs, with `M` auxiliary values. Implemented for
/// closures `Fn(&Graph, [Var; N]) -> Var`, and for [`WithAux`].
pub trait Loss<const N: usize, const M: usize> {
    /// Records the loss and its auxiliary values on a graph.
    fn trace<'g>(&self, graph: &'g Graph, inputs: [Var<'g>; N]) -> (Var<'g>, [Var<'g>; M]);
}

impl<F, const N: usize> Loss<N, 0> for F
where
    F: for<'g> Fn(&'g Graph, [Var<'g>; N]) -> Var<'g>,
{
    fn trace<'g>(&self, graph: &'g Graph, inputs: [Var<'g>; N]) -> (Var<'g>, [Var<'g>; 0]) {
        (self(graph, inputs), [])
    }
}

/// A closure that gives a loss and auxiliary values, in a step made by [`Step::with_aux`](crate::Step::with_aux).
pub struct WithAux<F>(pub(crate) F);

impl<F, const N: usize, const M: usize> Loss<N, M> for WithAux<F>
where
    F: for<'g> Fn(&'g Graph, [Var<'g>; N]) -> (Var<'g>, [Var<'g>; M]),
{
    fn trace<'g>(&self, graph: &'g Graph, inputs: [Var<'g>; N]) -> (Var<'g>, [Var<'g>; M]) {
        (self.0)(graph, inputs)
    }
}
