//! Group normalisation.

use gradus_graph::{Param, Params, Real, Shape, Var, expect_setting};

use super::affine::{Affine, initial_values};
use crate::init::Init;
use crate::layer::layer;

/// `y = (x − mean)/√(variance + eps)·w + b`, with mean and biased variance over a group of neighbouring channels of one
/// example.
///
/// With one group it is a layer normalisation over all axes but the first, with one weight a channel; with as many
/// groups as channels it is an instance normalisation.
///
/// # Shapes
/// `[N, C, …]` keeps its shape, with any number of axes after the channels. The parameters are `name.weight` and
/// `name.bias`, both `[C]`.
///
/// # Example
/// ```
/// use gradus_graph::{Feed, Graph, Params, Tensor};
/// use gradus_nn::GroupNorm;
/// let mut params: Params<f64> = Params::new(0);
/// let norm = GroupNorm::new(&mut params, "norm", 2, 4);
/// let graph = Graph::new();
/// let y = norm.forward(graph.constant(&Tensor::from_rows([[1.0, 3.0, 100.0, 300.0]])));
/// let value = graph.eval_with(&[y], &params, &Feed::new())?;
/// value[0].real().assert_close(&Tensor::from_rows([[-1.0, 1.0, -1.0, 1.0]]), 1e-5, 0.0);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Wu and He, "Group normalization" (2018).
#[derive(Clone, Debug)]
pub struct GroupNorm {
    name: String,
    groups: usize,
    channels: usize,
    eps: f64,
    affine: Affine,
}

/// The options of a group normalisation.
///
/// The default is that of PyTorch's `GroupNorm`: `eps` is 1e-5, the weight ones, the bias zeros.
///
/// # Example
/// ```
/// use gradus_graph::Params;
/// use gradus_nn::{GroupNorm, GroupNormOptions};
/// let mut params: Params = Params::new(0);
/// let plain = GroupNormOptions::new().without_weight().without_bias();
/// GroupNorm::with(&mut params, "norm", 4, 8, plain);
/// assert_eq!(params.len(), 0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNormOptions {
    eps: f64,
    weight: Option<Init>,
    bias: Option<Init>,
}

impl Default for GroupNormOptions {
    fn default() -> Self {
        Self { eps: 1e-5, weight: Some(Init::ones()), bias: Some(Init::zeros()) }
    }
}

impl GroupNormOptions {
    /// PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number added to the variance; 1e-5 by default.
    #[must_use]
    pub fn eps(self, eps: f64) -> Self {
        Self { eps, ..self }
    }
}

initial_values!(GroupNormOptions: weight without_weight "ones", bias without_bias "zeros");

impl GroupNorm {
    /// Adds a normalisation of `groups` groups of channels, with PyTorch's initial values.
    ///
    /// # Panics
    /// If the channels cannot be divided into `groups` equal groups, or the scope `name` has a `weight` or `bias`
    /// already.
    #[track_caller]
    pub fn new(params: &mut Params<impl Real>, name: &str, groups: usize, channels: usize) -> Self {
        Self::with(params, name, groups, channels, GroupNormOptions::new())
    }

    /// Adds a normalisation with other options.
    ///
    /// # Panics
    /// As [`GroupNorm::new`], or if a number of the options has no meaning.
    #[track_caller]
    pub fn with(
        params: &mut Params<impl Real>,
        name: &str,
        groups: usize,
        channels: usize,
        options: GroupNormOptions,
    ) -> Self {
        assert!(
            groups > 0 && channels.is_multiple_of(groups),
            "`GroupNorm` of {channels} channels: they cannot be divided into {groups} equal groups"
        );
        let GroupNormOptions { eps, weight, bias } = options;
        expect_setting("`GroupNorm`: eps", eps, 0.0..);
        let affine = Affine::new(&mut params.enter(name), &Shape::from(channels), weight, bias);
        Self { name: name.to_owned(), groups, channels, eps, affine }
    }

    /// The scale of each channel, if there is one.
    pub fn weight(&self) -> Option<&Param> {
        self.affine.weight.as_ref()
    }

    /// The shift of each channel, if there is one.
    pub fn bias(&self) -> Option<&Param> {
        self.affine.bias.as_ref()
    }

    /// `(x − mean)/√(variance + eps)·w + b`
    ///
    /// # Panics
    /// If the second axis of `x` is not that of the channels.
    #[track_caller]
    pub fn forward<'g>(&self, x: Var<'g>) -> Var<'g> {
        let (graph, shape) = (x.graph(), x.shape());
        expect_channels("GroupNorm", &shape, self.channels);
        let _scope = graph.scope(&self.name);
        let size = self.channels / self.groups * shape[2..].iter().product::<usize>();
        let (one, zero) = (graph.scalar(1.0), graph.scalar(0.0));
        let [y, ..] = x.reshape([shape[0], self.groups, size]).normalize(-1, self.eps, one, zero);
        self.affine.apply_to_channels(y.reshape(shape))
    }
}

/// Panics if the second axis is not that of the channels.
#[track_caller]
pub(super) fn expect_channels(layer: &str, shape: &Shape, channels: usize) {
    assert!(
        shape.get(1) == Some(&channels),
        "`{layer}` of {shape}: the second axis must have size {channels}, the number of channels of the layer"
    );
}

layer!(GroupNorm, forward);

#[cfg(test)]
mod tests {
    use gradus_graph::{Feed, Graph, Tensor, check};

    use super::*;
    use crate::norm::plain_loops::{by_hand, moved};
    use crate::test_numbers::numbers;

    #[test]
    fn values_agree_with_plain_loops() {
        for (shape, groups) in [(vec![2, 4], 2), (vec![2, 4, 3], 2), (vec![1, 6, 2, 2], 3), (vec![2, 3, 1, 2, 1], 1)] {
            let channels = shape[1];
            let mut params: Params<f64> = Params::new(1);
            let options = GroupNormOptions::new().eps(0.5);
            let norm = GroupNorm::with(&mut params, "norm", groups, channels, options);
            moved(&mut params);
            let (w, b) = (params.get(norm.weight().unwrap()), params.get(norm.bias().unwrap()));
            let x = numbers(shape.clone(), 0);
            let inner: usize = shape[2..].iter().product();
            let plain = by_hand(&x, |k| k / (inner * channels / groups), 0.5);
            let channel = |k: usize| k / inner % channels;
            let value = |k: usize| plain[k] * w.data()[channel(k)] + b.data()[channel(k)];
            let expected = Tensor::from_fn(shape, value);
            let graph = Graph::new();
            let found = graph.eval_with(&[norm.forward(graph.constant(&x))], &params, &Feed::new()).unwrap();
            found[0].real().assert_close(&expected, 1e-13, 1e-13);
        }
    }

    #[test]
    fn gradients_of_input_weight_and_bias() {
        let mut params: Params<f64> = Params::new(1);
        let x = params.add("x", numbers([2, 4, 2], 0));
        let norm = GroupNorm::new(&mut params, "norm", 2, 4);
        moved(&mut params);
        check::assert_model(&params, (), |graph, []| norm.forward(graph.param(&x)).tanh().square().mean());
    }

    #[test]
    fn no_examples_and_one_element() {
        let mut params: Params<f64> = Params::new(0);
        let norm = GroupNorm::new(&mut params, "norm", 2, 2);
        let graph = Graph::new();
        let (none, one) = (norm.forward(graph.zeros([0, 2, 3])), norm.forward(graph.full([1, 2, 1], 5.0)));
        let found = graph.eval_with(&[none, one], &params, &Feed::new()).unwrap();
        assert_eq!(found[0].real().shape().sizes(), [0, 2, 3]);
        assert_eq!(found[1].real().data(), [0.0; 2]);
    }

    #[test]
    #[should_panic(
        expected = "`GroupNorm` of [2, 3]: the second axis must have size 4, the number of channels of the layer"
    )]
    fn other_channels_are_refused() {
        GroupNorm::new(&mut Params::<f32>::new(0), "norm", 2, 4).forward(Graph::new().zeros([2, 3]));
    }

    #[test]
    #[should_panic(expected = "`GroupNorm` of 4 channels: they cannot be divided into 3 equal groups")]
    fn groups_are_equal() {
        GroupNorm::new(&mut Params::<f32>::new(0), "norm", 3, 4);
    }
}
