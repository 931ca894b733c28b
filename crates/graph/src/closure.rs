//! Type annotations for closures of variables that are stored before they are used.

use crate::tape::{Graph, Var};

/// Gives a closure from a variable to a variable the type that it needs to be called with variables of several graphs.
///
/// Rust infers the signature of a closure from where it is passed. One that is stored in a variable first is taken to
/// be for the variables of a single graph, and does not compile ("lifetime may not live long enough"). This function
/// returns its argument.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor, model_fn};
/// let swish = model_fn(|x| x * x.sigmoid());
/// for size in [1, 2] {
///     let graph = Graph::new();
///     let y = swish(swish(graph.zeros([size])));
///     assert_eq!(graph.eval(y)?, Tensor::zeros([size]));
/// }
/// # Ok::<(), gradus_graph::Error>(())
/// ```
pub fn model_fn<F>(f: F) -> F
where
    F: for<'g> Fn(Var<'g>) -> Var<'g>,
{
    f
}

/// [`model_fn`] for a loss, from a graph and its inputs: what a training step compiles and
/// [`check::assert_model`](crate::check::assert_model) checks.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor, check, loss_fn};
/// let mut params: Params = Params::new(0);
/// let w = params.add("w", Tensor::from([0.5, -1.0]));
/// let loss = loss_fn(|graph, [x, y]| ((graph.param(&w) * x).sin() - y).square().mean());
/// let (x, y) = (Tensor::from([1.0, 2.0]), Tensor::from([0.0, 0.25]));
/// check::assert_model(&params, (&x, &y), &loss);
/// ```
pub fn loss_fn<F, const N: usize>(f: F) -> F
where
    F: for<'g> Fn(&'g Graph, [Var<'g>; N]) -> Var<'g>,
{
    f
}

/// [`loss_fn`] for a loss with auxiliary values beside it.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor, check, loss_with_aux_fn};
/// let mut params: Params = Params::new(0);
/// let w = params.add("w", Tensor::from([0.5, -1.0]));
/// let loss = loss_with_aux_fn(|graph, [x]| {
///     let y = (graph.param(&w) * x).tanh();
///     (y.square().mean(), [y])
/// });
/// check::assert_model(&params, &Tensor::from([1.0, 2.0]), |graph, inputs| loss(graph, inputs).0);
/// ```
pub fn loss_with_aux_fn<F, const N: usize, const M: usize>(f: F) -> F
where
    F: for<'g> Fn(&'g Graph, [Var<'g>; N]) -> (Var<'g>, [Var<'g>; M]),
{
    f
}
