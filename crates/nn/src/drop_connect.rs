//! DropConnect.

use gradus_graph::Var;

use crate::dense::Dense;
use crate::dropout::expect_probability;
use crate::layer::{Mode, layer};

/// A [`Dense`] layer whose weights are set to 0 at random in training: `y = x·(W∘M)ᵀ/(1 − p) + b`, with a mask `M` that
/// is 0 with probability `p`. In evaluation `y = x·Wᵀ + b`.
///
/// The paper draws a mask for each row of a batch, and samples in evaluation too. Here, as is usual, the rows of a step
/// share one mask, and the division by `1 − p` in training leaves evaluation with the mean weights.
///
/// # Shapes
/// As the dense layer: `[…, inputs]` gives `[…, outputs]`.
///
/// # Example
/// ```
/// use gradus_graph::{Feed, Graph, Params, Tensor};
/// use gradus_nn::{Dense, DropConnect, Mode};
/// let mut params: Params<f64> = Params::new(0);
/// let layer = DropConnect::new(Dense::new(&mut params, "layer", 1, 50), 0.5);
/// params.set(layer.dense().weight(), Tensor::full([50, 1], 1.0));
/// params.set(layer.dense().bias().expect("there is one"), Tensor::zeros([50]));
/// let graph = Graph::new();
/// let y = layer.forward_in(graph.ones([1]), Mode::Train);
/// let values = graph.eval_with(&[y], &params, &Feed::new())?;
/// assert!(values[0].real().data().iter().all(|&y| y == 0.0 || y == 2.0));
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Wan et al., "Regularization of neural networks using DropConnect" (2013).
#[derive(Clone, Debug)]
pub struct DropConnect {
    dense: Dense,
    probability: f64,
}

impl DropConnect {
    /// Drops each weight of the layer with the given probability.
    ///
    /// # Panics
    /// If the probability is not in `0..1`.
    #[track_caller]
    pub fn new(dense: Dense, probability: f64) -> Self {
        expect_probability("DropConnect", probability);
        Self { dense, probability }
    }

    /// The layer that holds the parameters.
    pub fn dense(&self) -> &Dense {
        &self.dense
    }

    /// `x·(W∘M)ᵀ/(1 − p) + b` in training, `x·Wᵀ + b` in evaluation.
    ///
    /// # Panics
    /// If the last axis of `x` does not have the size `inputs`.
    #[track_caller]
    pub fn forward_in<'g>(&self, x: Var<'g>, mode: Mode) -> Var<'g> {
        let probability = if mode == Mode::Train { self.probability } else { 0.0 };
        self.dense.forward_dropping(x, probability)
    }
}

layer!(DropConnect, forward_in);

#[cfg(test)]
mod tests {
    use gradus_graph::{Feed, Graph, Params, Tensor, check};

    use super::*;

    fn layer() -> (Params<f64>, DropConnect) {
        let mut params = Params::new(1);
        let dense = Dense::new(&mut params, "layer", 3, 4);
        (params, DropConnect::new(dense, 0.5))
    }

    #[test]
    fn all_rows_of_a_step_lose_the_same_weights_and_the_next_step_others() {
        let (params, layer) = layer();
        let graph = Graph::new();
        let x =
            graph.constant(&Tensor::from_rows([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 1.0, 1.0]]));
        let y = layer.forward_in(x, Mode::Train);
        let at = |step| graph.eval_with(&[y], &params, &Feed::new().random(0, step)).unwrap()[0].real().clone();
        let (weight, bias) = (params.get(layer.dense.weight()), params.get(layer.dense.bias().unwrap()));
        let values = at(0);
        for output in 0..4 {
            let kept = |input: usize| values.at(&[input, output]) - bias.data()[output];
            for input in 0..3 {
                let whole = 2.0 * weight.at(&[output, input]);
                assert!(kept(input).abs() < 1e-15 || (kept(input) - whole).abs() < 1e-15);
            }
            let sum = kept(0) + kept(1) + kept(2);
            assert!((values.at(&[3, output]) - bias.data()[output] - sum).abs() < 1e-14);
        }
        assert_ne!(values, at(1));
    }

    #[test]
    fn evaluation_is_the_dense_layer() {
        let (params, layer) = layer();
        let graph = Graph::new();
        for rows in [0, 2] {
            let x = graph.full([rows, 3], 0.5);
            let roots = [layer.forward_in(x, Mode::Eval), layer.dense.forward(x)];
            let values = graph.eval_with(&roots, &params, &Feed::new()).unwrap();
            assert_eq!(values[0].real(), values[1].real());
        }
    }

    #[test]
    fn gradients_of_input_and_parameters() {
        let (mut params, layer) = layer();
        let x = params.add("x", Tensor::from_fn([2, 3], |k| (k as f64).sin()));
        check::assert_model(&params, (), |graph, []| layer.forward_in(graph.param(&x), Mode::Train).square().sum());
    }

    #[test]
    #[should_panic(expected = "`Dense` of [2]: the last axis must have size 3, as `layer.weight` is [4, 3]")]
    fn a_shape_that_does_not_fit_is_named() {
        layer().1.forward_in(Graph::new().zeros([2]), Mode::Train);
    }
}
