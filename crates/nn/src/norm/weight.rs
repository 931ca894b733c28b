//! Weight normalisation.

use gradus_graph::{Graph, Param, Params, Real, Shape, Tensor, Var};

use crate::axis::resolve;
use crate::layer::{Layer, Mode, Steady};

/// A layer whose weight is `w = g·v/‖v‖`: a length `g` and a direction `v` for each slice along an axis.
///
/// Any parameter of any layer can be wrapped: the layer reads its weight from the graph as before, and
/// [`Graph::substitute`] replaces it while the layer is traced.
///
/// The wrapped layer's own weight is no parameter any more: `…weight` becomes `…parametrizations.weight.original1`, the
/// direction `v`, and `…parametrizations.weight.original0` holds the lengths `g`, which start as `‖v‖`, so that the
/// layer computes what it did before. These are the names of `torch.nn.utils.parametrizations`; the older ones,
/// `weight_g` and `weight_v`, belong to a function that PyTorch has deprecated.
///
/// For a layer with more than one weight wrap it once for each.
///
/// # Shapes
/// `g` has the size of the weight along the axis, and 1 along the others.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Params};
/// use gradus_nn::{Dense, Layer, WeightNorm};
/// let mut params: Params = Params::new(0);
/// let dense = Dense::new(&mut params, "hidden", 4, 3);
/// let hidden = WeightNorm::new(&mut params, dense, Dense::weight, 0);
/// let names: Vec<&str> = params.iter().map(|(param, _)| param.name()).collect();
/// let expected = ["parametrizations.weight.original1", "bias", "parametrizations.weight.original0"];
/// assert_eq!(names, expected.map(|name| format!("hidden.{name}")));
///
/// let graph = Graph::new();
/// assert_eq!(hidden.forward(graph.zeros([8, 4])).shape().sizes(), [8, 3]);
/// ```
///
/// # Reference
/// Salimans and Kingma, "Weight normalization: a simple reparameterization to accelerate training of deep neural
/// networks" (2016).
#[derive(Clone, Debug)]
pub struct WeightNorm<L> {
    layer: L,
    weight: Param,
    length: Param,
    direction: Param,
    axis: usize,
}

impl<L> WeightNorm<L> {
    /// Wraps a layer and replaces the weight that `weight` returns by lengths times directions; each slice along
    /// `axis`, which is counted from the end if negative, has a length of its own. PyTorch's default is axis 0, that of
    /// the outputs.
    ///
    /// # Panics
    /// If the weight has no such axis.
    #[track_caller]
    pub fn new<T: Real>(params: &mut Params<T>, layer: L, weight: impl FnOnce(&L) -> &Param, axis: isize) -> Self {
        let weight = weight(&layer).clone();
        let shape = weight.shape();
        let Some(axis) = resolve(axis, shape.rank()) else {
            panic!("`WeightNorm` of `{}` of {shape}: it has no axis {axis}", weight.name());
        };
        let lengths = lengths(params.get(&weight), axis);
        let (length, direction) = params.beside(&weight, |params, own| {
            params.scope("parametrizations", |params| {
                params.scope(own, |params| {
                    let direction = params.rename(&weight, "original1");
                    (params.add("original0", lengths), direction)
                })
            })
        });
        Self { layer, weight, length, direction, axis }
    }

    /// The layer that is wrapped. Its own weight is no parameter any more.
    pub fn layer(&self) -> &L {
        &self.layer
    }

    /// The lengths `g`.
    pub fn length(&self) -> &Param {
        &self.length
    }

    /// The directions `v`.
    pub fn direction(&self) -> &Param {
        &self.direction
    }

    /// The weight, `g·v/‖v‖`.
    #[track_caller]
    pub fn weight<'g>(&self, graph: &'g Graph) -> Var<'g> {
        let v = graph.param(&self.direction);
        let others: Vec<isize> = (0..v.rank() as isize).filter(|&axis| axis != self.axis as isize).collect();
        let norm = if others.is_empty() { v.abs() } else { v.norm_keep(&others[..]) };
        v * (graph.param(&self.length) / norm)
    }

    /// Calls `trace` on the wrapped layer while its weight is `g·v/‖v‖`; for layers that take more than one variable. A
    /// layer of one is called with [`Layer::forward_in`].
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Params};
    /// use gradus_nn::{Embedding, WeightNorm};
    /// let mut params: Params = Params::new(0);
    /// let words = Embedding::new(&mut params, "words", 10, 4);
    /// let words = WeightNorm::new(&mut params, words, Embedding::weight, 0);
    /// let graph = Graph::new();
    /// let logits = words.trace(&graph, |words| words.logits(graph.zeros([2, 4])));
    /// assert_eq!(logits.shape().sizes(), [2, 10]);
    /// ```
    #[track_caller]
    pub fn trace<R>(&self, graph: &Graph, trace: impl FnOnce(&L) -> R) -> R {
        let _weight = graph.substitute(&self.weight, self.weight(graph));
        trace(&self.layer)
    }
}

/// The norm of each slice along an axis, under a shape of ones along the others.
fn lengths<T: Real>(value: &Tensor<T>, axis: usize) -> Tensor<T> {
    let shape = value.shape();
    let (inner, size) = (shape[axis + 1..].iter().product::<usize>(), shape[axis]);
    let mut squares = vec![0.0; size];
    for (k, x) in value.data().iter().enumerate() {
        squares[k / inner % size] += x.as_f64() * x.as_f64();
    }
    let kept: Shape = shape.iter().enumerate().map(|(other, &size)| if other == axis { size } else { 1 }).collect();
    Tensor::new(kept, squares.into_iter().map(|square| T::of(square.sqrt())).collect())
}

impl<L: Layer> Layer for WeightNorm<L> {
    #[track_caller]
    fn forward_in<'g>(&self, x: Var<'g>, mode: Mode) -> Var<'g> {
        let _weight = x.graph().substitute(&self.weight, self.weight(x.graph()));
        self.layer.forward_in(x, mode)
    }
}

impl<L: Steady> Steady for WeightNorm<L> {}

#[cfg(test)]
mod tests {
    use gradus_graph::{Feed, check};

    use super::*;
    use crate::norm::plain_loops::moved;
    use crate::test_numbers::numbers;
    use crate::{Dense, DenseOptions};

    fn dense(params: &mut Params<f64>) -> Dense {
        Dense::with(params, "dense", 2, 3, DenseOptions::new().without_bias())
    }

    #[test]
    fn the_layer_computes_what_it_did_before() {
        for axis in 0..2 {
            let mut params: Params<f64> = Params::new(1);
            let dense = dense(&mut params);
            let graph = Graph::new();
            let x = graph.constant(&numbers([4, 2], 0));
            let before = graph.eval_with(&[dense.forward(x)], &params, &Feed::new()).unwrap();
            let norm = WeightNorm::new(&mut params, dense, Dense::weight, axis as isize);
            let graph = Graph::new();
            let x = graph.constant(&numbers([4, 2], 0));
            let after = graph.eval_with(&[norm.forward(x)], &params, &Feed::new()).unwrap();
            after[0].real().assert_close(before[0].real(), 1e-14, 1e-14);
            let size = [3, 2][axis];
            assert_eq!(norm.length().shape().len(), size);
            // Twice the length is twice the weight; the direction's length is of no account.
            for (param, factor) in [(norm.length(), 2.0), (norm.direction(), 7.0)] {
                let value = params.get(param).map(|value| factor * value);
                params.set(param, value);
            }
            let after = graph.eval_with(&[norm.forward(x)], &params, &Feed::new()).unwrap();
            after[0].real().assert_close(&before[0].real().map(|y| 2.0 * y), 1e-14, 1e-14);
        }
    }

    #[test]
    fn gradients_of_lengths_and_directions() {
        for axis in 0..2 {
            let mut params: Params<f64> = Params::new(1);
            let x = params.add("x", numbers([4, 2], 0));
            let dense = dense(&mut params);
            let norm = WeightNorm::new(&mut params, dense, Dense::weight, axis as isize);
            moved(&mut params);
            check::assert_model(&params, (), |graph, []| norm.forward(graph.param(&x)).tanh().square().mean());
        }
    }

    #[test]
    fn a_layer_within_scopes_keeps_its_place_in_the_store() {
        let mut params: Params<f64> = Params::new(1);
        let norm = params.scope("encoder", |params| {
            let dense = dense(params);
            WeightNorm::new(params, dense, Dense::weight, 0)
        });
        assert_eq!(norm.direction().name(), "encoder.dense.parametrizations.weight.original1");
        assert_eq!(norm.length().name(), "encoder.dense.parametrizations.weight.original0");
    }

    /// Outside of its wrapper the layer has no weight: an error of the run, and never another weight.
    #[test]
    fn the_wrapped_layer_has_no_weight_of_its_own() {
        let mut params: Params<f64> = Params::new(1);
        let dense = dense(&mut params);
        let norm = WeightNorm::new(&mut params, dense, Dense::weight, 0);
        let graph = Graph::new();
        let x = graph.ones([1, 2]);
        norm.forward(x);
        let error = graph.eval_with(&[norm.layer().forward(x)], &params, &Feed::new()).unwrap_err().to_string();
        assert!(error.contains("parameter `dense.weight` of shape [3, 2] is not in this store"), "{error}");
    }

    #[test]
    #[should_panic(expected = "`WeightNorm` of `dense.weight` of [3, 2]: it has no axis 2")]
    fn the_axis_is_one_of_the_weight() {
        let mut params: Params<f64> = Params::new(1);
        let dense = dense(&mut params);
        WeightNorm::new(&mut params, dense, Dense::weight, 2);
    }
}
