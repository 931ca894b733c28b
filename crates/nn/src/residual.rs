//! Residual and highway connections around layers.

use gradus_graph::{Params, Real, Var};

use crate::dense::{Dense, DenseOptions};
use crate::init::Init;
use crate::layer::{Layer, Mode, Steady};

/// `y = x + f(x)` around any layer that keeps the shape. Values and gradients also bypass the layer unchanged, so that
/// deep stacks can be trained.
///
/// # Shapes
/// Any; kept.
///
/// # Example
/// ```
/// use gradus_graph::Graph;
/// use gradus_nn::{Apply, Layer, Residual};
/// let graph = Graph::new();
/// let y = Residual(Apply(|x| x * 0.5)).forward(graph.ones([2]));
/// assert_eq!(graph.eval(y)?.data(), [1.5, 1.5]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// He et al., "Deep residual learning for image recognition" (2016).
#[derive(Clone, Copy, Debug)]
pub struct Residual<L>(
    /// The layer, or a stack of them.
    pub L,
);

impl<L: Layer> Layer for Residual<L> {
    #[track_caller]
    fn forward_in<'g>(&self, x: Var<'g>, mode: Mode) -> Var<'g> {
        let y = self.0.forward_in(x, mode);
        expect_kept("Residual", x, y);
        x + y
    }
}

impl<L: Steady> Steady for Residual<L> {}

/// `y = t·f(x) + (1 − t)·x` around any layer that keeps the shape, with a gate `t = σ(W·x + b)` for each feature.
///
/// # Shapes
/// `[…, size]`; kept. The parameters are those of the gate, a [`Dense`] layer of the given name: `name.weight`
/// `[size, size]` and `name.bias` `[size]`; the wrapped layer has its own.
///
/// # Example
/// ```
/// use gradus_graph::{Feed, Graph, Params, Tensor};
/// use gradus_nn::{Apply, Highway, Layer};
/// let mut params = Params::new(0);
/// let layer = Highway::new(&mut params, "gate", 1, Apply(|x| x * 10.0));
/// params.set(layer.gate().weight(), Tensor::from_rows([[0.0]]));
/// params.set(layer.gate().bias().expect("a gate has one"), Tensor::from([-3.0_f64.ln()]));
/// let graph = Graph::new();
/// let y = layer.forward(graph.ones([1, 1]));
/// let value = graph.eval_with(&[y], &params, &Feed::new())?[0].real().item();
/// assert!((value - (0.25 * 10.0 + 0.75)).abs() < 1e-15);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Srivastava, Greff and Schmidhuber, "Training very deep networks" (2015).
#[derive(Clone, Debug)]
pub struct Highway<L> {
    gate: Dense,
    layer: L,
}

impl<L: Layer> Highway<L> {
    /// Adds the gate to the store. Its bias starts at −1, so that at first most of the input is carried through.
    ///
    /// # Panics
    /// If the scope `name` has a `weight` or `bias` already.
    #[track_caller]
    pub fn new(params: &mut Params<impl Real>, name: &str, size: usize, layer: L) -> Self {
        let options = DenseOptions::new().bias(Init::constant(-1.0));
        Self::with(params, name, size, layer, options)
    }

    /// Adds a gate to the store that starts from the given values.
    ///
    /// # Panics
    /// If the scope `name` has a `weight` or `bias` already.
    #[track_caller]
    pub fn with(params: &mut Params<impl Real>, name: &str, size: usize, layer: L, gate: DenseOptions) -> Self {
        Self { gate: Dense::with(params, name, size, size, gate), layer }
    }

    /// The layer of the gate.
    pub fn gate(&self) -> &Dense {
        &self.gate
    }
}

impl<L: Layer> Layer for Highway<L> {
    #[track_caller]
    fn forward_in<'g>(&self, x: Var<'g>, mode: Mode) -> Var<'g> {
        let gate = self.gate.forward(x).sigmoid();
        let y = self.layer.forward_in(x, mode);
        expect_kept("Highway", x, y);
        x + gate * (y - x)
    }
}

impl<L: Steady> Steady for Highway<L> {}

#[track_caller]
fn expect_kept(connection: &str, x: Var<'_>, y: Var<'_>) {
    let (x, y) = (x.shape(), y.shape());
    assert!(x == y, "`{connection}` around a layer from {x} to {y}: the layer must keep the shape");
}

#[cfg(test)]
mod tests {
    use gradus_graph::check::assert_model;
    use gradus_graph::{Feed, Graph, Tensor};

    use super::*;
    use crate::{Dropout, Tanh};

    #[test]
    fn gradients_and_values_through_both() {
        let mut params: Params<f64> = Params::new(1);
        let x = params.add("x", Tensor::from_fn([2, 3], |k| (k as f64).sin()));
        let inner = (Dense::new(&mut params, "inner", 3, 3), Tanh);
        let residual = Residual(inner.clone());
        let highway = Highway::new(&mut params, "gate", 3, inner.clone());
        assert_eq!(params.get(highway.gate().bias().unwrap()).data(), [-1.0; 3]);
        assert_model(&params, (), |graph, []| highway.forward(residual.forward(graph.param(&x))).square().sum());
        let graph = Graph::new();
        let x = graph.param(&x);
        let (f, t) = (inner.forward(x), highway.gate.forward(x).sigmoid());
        let roots = [residual.forward(x), x + f, highway.forward(x), t * f + (1.0 - t) * x];
        let values = graph.eval_with(&roots, &params, &Feed::new()).unwrap();
        values[0].real().assert_close(values[1].real(), 0.0, 0.0);
        values[2].real().assert_close(values[3].real(), 1e-14, 1e-15);
    }

    #[test]
    fn the_mode_reaches_the_layer() {
        let (graph, layer) = (Graph::new(), Residual(Dropout::new(0.5)));
        let x = graph.ones([64]);
        assert_eq!(graph.eval(layer.forward_in(x, Mode::Eval)).unwrap().data(), [2.0; 64]);
        assert_ne!(graph.eval(layer.forward_in(x, Mode::Train)).unwrap().data(), [2.0; 64]);
        assert_eq!(graph.eval(layer.forward_in(graph.ones([0]), Mode::Train)).unwrap().len(), 0);
    }

    #[test]
    #[should_panic(expected = "`Residual` around a layer from [4, 2] to [4, 1]: the layer must keep the shape")]
    fn a_layer_that_changes_the_shape_is_refused() {
        let mut params: Params = Params::new(0);
        Residual(Dense::new(&mut params, "inner", 2, 1)).forward(Graph::new().zeros([4, 2]));
    }
}
