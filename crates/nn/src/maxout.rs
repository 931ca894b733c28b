//! Maxout.

use gradus_graph::{Params, Real, Var};

use crate::dense::{Dense, DenseOptions};
use crate::layer::layer;

/// `yₖ = maxⱼ (wₖⱼ·x + bₖⱼ)`: each output is the largest of `pieces` weighted sums of all inputs, a learned convex
/// activation. Equal sums share the derivative.
///
/// # Shapes
/// `[…, inputs]` gives `[…, outputs]`. The parameters are those of a [`Dense`] layer with `outputs·pieces` outputs,
/// the pieces of an output in neighbouring rows: `name.weight` `[outputs·pieces, inputs]` and `name.bias`
/// `[outputs·pieces]`.
///
/// # Example
/// ```
/// use gradus_graph::{Feed, Graph, Params, Tensor};
/// use gradus_nn::{DenseOptions, Init, Maxout};
/// let mut params = Params::new(0);
/// // |x| is the larger of x and −x.
/// let layer = Maxout::with(&mut params, "layer", 1, 1, 2, DenseOptions::new().without_bias());
/// params.set(layer.dense().weight(), Tensor::from_rows([[1.0], [-1.0]]));
///
/// let graph = Graph::new();
/// let y = layer.forward(graph.constant(&Tensor::from_rows([[2.0], [-3.0]])));
/// assert_eq!(graph.eval_with::<f64>(&[y], &params, &Feed::new())?[0].real().data(), [2.0, 3.0]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Goodfellow et al., "Maxout networks" (2013).
#[derive(Clone, Debug)]
pub struct Maxout {
    dense: Dense,
    pieces: usize,
}

impl Maxout {
    /// Adds a layer to the store that starts as a [`Dense`] layer does.
    ///
    /// # Panics
    /// If there are no pieces, or the scope `name` has a `weight` or `bias` already.
    #[track_caller]
    pub fn new(params: &mut Params<impl Real>, name: &str, inputs: usize, outputs: usize, pieces: usize) -> Self {
        Self::with(params, name, inputs, outputs, pieces, DenseOptions::new())
    }

    /// Adds a layer to the store that starts from the given values, or has no bias.
    ///
    /// # Panics
    /// If there are no pieces, or the scope `name` has a `weight` or `bias` already.
    #[track_caller]
    pub fn with(
        params: &mut Params<impl Real>,
        name: &str,
        inputs: usize,
        outputs: usize,
        pieces: usize,
        options: DenseOptions,
    ) -> Self {
        assert!(pieces > 0, "`Maxout` needs at least one piece an output");
        Self { dense: Dense::with(params, name, inputs, outputs.saturating_mul(pieces), options), pieces }
    }

    /// The layer whose outputs are the weighted sums.
    pub fn dense(&self) -> &Dense {
        &self.dense
    }

    /// `maxⱼ (wₖⱼ·x + bₖⱼ)`
    ///
    /// # Panics
    /// If the last axis of `x` does not have the size `inputs`.
    #[track_caller]
    pub fn forward<'g>(&self, x: Var<'g>) -> Var<'g> {
        let sums = self.dense.forward(x);
        let shape = sums.shape();
        let leading = &shape[..shape.rank() - 1];
        sums.reshape([leading, &[self.dense.outputs() / self.pieces, self.pieces]].concat()).max_axes(-1)
    }
}

layer!(Maxout, forward);

#[cfg(test)]
mod tests {
    use gradus_graph::check::assert_model;
    use gradus_graph::{Feed, Graph, Tensor};

    use super::*;

    fn layer() -> (Params<f64>, Maxout) {
        let mut params = Params::new(2);
        let layer = Maxout::new(&mut params, "layer", 3, 2, 4);
        (params, layer)
    }

    #[test]
    fn values_are_those_of_plain_loops() {
        let (params, layer) = layer();
        let x = Tensor::from_fn([5, 3], |k| (k as f64 * 0.7).sin());
        let graph = Graph::new();
        let y = layer.forward(graph.constant(&x));
        let values = graph.eval_with(&[y], &params, &Feed::new()).unwrap()[0].real().clone();
        let (weight, bias) = (params.get(layer.dense.weight()), params.get(layer.dense.bias().unwrap()));
        let expected = Tensor::from_fn([5, 2], |index| {
            let sum = |piece: usize| {
                let row = index % 2 * 4 + piece;
                (0..3).map(|i| weight.at(&[row, i]) * x.at(&[index / 2, i])).sum::<f64>() + bias.data()[row]
            };
            (0..4).map(sum).fold(f64::NEG_INFINITY, f64::max)
        });
        values.assert_close(&expected, 1e-15, 1e-15);
    }

    #[test]
    fn gradients_of_input_and_parameters() {
        let (mut params, layer) = layer();
        let x = params.add("x", Tensor::from_fn([4, 3], |k| (k as f64 * 0.9).cos()));
        assert_model(&params, (), |graph, []| layer.forward(graph.param(&x)).square().sum());
    }

    #[test]
    fn no_rows_and_one_vector() {
        let (params, layer) = layer();
        let graph = Graph::new();
        for (shape, expected) in [(vec![0, 3], vec![0, 2]), (vec![3], vec![2])] {
            let y = layer.forward(graph.ones(shape));
            assert_eq!(graph.eval_with(&[y], &params, &Feed::new()).unwrap()[0].real().shape().sizes(), expected);
        }
    }

    #[test]
    #[should_panic(expected = "`Dense` of [4]: the last axis must have size 3, as `layer.weight` is [8, 3]")]
    fn a_shape_that_does_not_fit_is_named() {
        layer().1.forward(Graph::new().zeros([4]));
    }

    #[test]
    #[should_panic(expected = "`Maxout` needs at least one piece an output")]
    fn a_maximum_of_nothing_is_refused() {
        Maxout::new(&mut Params::<f64>::new(0), "layer", 3, 2, 0);
    }
}
