//! The rectifier with a learned slope.

use gradus_graph::{Param, Params, Real, Var};

use crate::init::{Fans, Init};
use crate::layer::layer;

/// `x` above 0, `a·x` below; `a` is learned, one for all elements or one for each channel. At 0 the derivative is `a`,
/// as in PyTorch.
///
/// # Shapes
/// Any, if there is one slope; with more, `[n, channels, …]` or `[channels]`. Kept. The parameter is `name.weight`
/// `[slopes]`.
///
/// # Example
/// ```
/// use gradus_graph::{Feed, Graph, Params, Tensor};
/// use gradus_nn::PRelu;
/// let mut params: Params<f64> = Params::new(0);
/// let layer = PRelu::new(&mut params, "layer", 1);
/// let graph = Graph::new();
/// let y = layer.forward(graph.constant(&Tensor::from([-4.0, 4.0])));
/// assert_eq!(graph.eval_with(&[y], &params, &Feed::new())?[0].real().data(), [-1.0, 4.0]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// He et al., "Delving deep into rectifiers" (2015).
#[derive(Clone, Debug)]
pub struct PRelu {
    name: String,
    weight: Param,
}

impl PRelu {
    /// Adds a layer to the store with one slope, or with one for each channel. They start at 0.25; they should have no
    /// weight decay, which would drive them to 0.
    ///
    /// # Panics
    /// If there are no slopes, or the scope `name` has a `weight` already.
    #[track_caller]
    pub fn new(params: &mut Params<impl Real>, name: &str, slopes: usize) -> Self {
        Self::with(params, name, slopes, Init::constant(0.25))
    }

    /// Adds a layer to the store whose slopes start from the given values.
    ///
    /// # Panics
    /// If there are no slopes, or the scope `name` has a `weight` already.
    #[track_caller]
    pub fn with(params: &mut Params<impl Real>, name: &str, slopes: usize, weight: Init) -> Self {
        assert!(slopes > 0, "`PRelu` needs at least one slope");
        let fans = Fans { inputs: slopes, outputs: slopes };
        let weight = weight.param(&mut params.enter(name), "weight", [slopes], fans);
        Self { name: name.to_owned(), weight }
    }

    /// The slopes, `[slopes]`.
    pub fn weight(&self) -> &Param {
        &self.weight
    }

    /// `x` above 0, `a·x` below.
    ///
    /// # Panics
    /// If there are several slopes, and not as many channels: the second axis, or the only one.
    #[track_caller]
    pub fn forward<'g>(&self, x: Var<'g>) -> Var<'g> {
        let (shape, count) = (x.shape(), self.weight.shape()[0]);
        let graph = x.graph();
        let _scope = graph.scope(&self.name);
        let mut slopes = graph.param(&self.weight);
        if count > 1 {
            let channels = if shape.rank() == 1 { 0 } else { 1 };
            assert!(
                shape.get(channels) == Some(&count),
                "`PRelu` of {shape}: there must be {count} channels on axis {channels}, as `{}` is [{count}]",
                self.weight.name()
            );
            let mut sizes = vec![1; shape.rank()];
            sizes[channels] = count;
            slopes = slopes.reshape(sizes);
        } else {
            slopes = slopes.reshape([]);
        }
        x.greater(0.0).where_(x, x * slopes)
    }
}

layer!(PRelu, forward);

#[cfg(test)]
mod tests {
    use gradus_graph::check::assert_model;
    use gradus_graph::{Feed, Graph, Tensor};

    use super::*;

    #[test]
    fn gradients_of_input_and_slopes() {
        for (count, shape) in [(1, vec![2, 3]), (3, vec![2, 3, 2]), (2, vec![2])] {
            let mut params: Params<f64> = Params::new(0);
            let x = params.add("x", Tensor::from_fn(shape, |k| if k % 3 == 0 { -1.25 } else { 0.5 } + k as f64 / 8.0));
            let layer = PRelu::with(&mut params, "layer", count, Init::uniform(0.1, 0.5));
            assert_model(&params, (), |graph, []| layer.forward(graph.param(&x)).square().sum());
        }
    }

    #[test]
    fn each_channel_has_its_slope() {
        let mut params: Params<f64> = Params::new(0);
        let layer = PRelu::new(&mut params, "layer", 2);
        params.set(layer.weight(), Tensor::from([0.5, 0.25]));
        let graph = Graph::new();
        let x = graph.constant(&Tensor::new([1, 2, 2], vec![-1.0, 2.0, -4.0, 0.0]));
        let y = layer.forward(x);
        let slope = graph.grad(y.sum(), &[x]).unwrap()[0];
        let values = graph.eval_with(&[y, slope], &params, &Feed::new()).unwrap();
        assert_eq!(values[0].real().data(), [-0.5, 2.0, -1.0, 0.0]);
        assert_eq!(values[1].real().data(), [0.5, 1.0, 0.25, 0.25]);
        let empty = layer.forward(graph.ones([0, 2]));
        assert_eq!(graph.eval_with(&[empty], &params, &Feed::new()).unwrap()[0].real().len(), 0);
    }

    #[test]
    #[should_panic(expected = "`PRelu` of [4, 3]: there must be 2 channels on axis 1, as `layer.weight` is [2]")]
    fn channels_that_do_not_fit_are_named() {
        let mut params: Params = Params::new(0);
        PRelu::new(&mut params, "layer", 2).forward(Graph::new().zeros([4, 3]));
    }
}
