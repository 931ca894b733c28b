//! Convolution: `y[n, o, p] = b[o] + Σ w[o, c, i] · x[n, c, p·stride + i·dilation − padding]`, over the channels `c` of
//! the group of `o` and the elements `i` of its filter, along one axis or two.
//!
//! The filters are not flipped, as everywhere in neural networks. The weight `[O, C/groups, k]` or `[O, C/groups, kh,
//! kw]` is laid out as in PyTorch, so that weights carry over as they are. As many groups as channels make the
//! convolution depthwise.

use std::panic::Location;

use gradus_graph::{Convolution, Param, Params, Real, Shape, Var};

use super::planes::{Sizes, filters, last, planes, rows_and_columns, unplaned};
use crate::init::{Fans, Init};
use crate::layer::{Layer, Mode, Steady};

/// A convolution along one axis, for sequences and signals.
///
/// # Shapes
/// `[…, channels, L]` gives `[…, filters, (L + 2·padding − dilation·(kernel − 1) − 1)/stride + 1]`. The parameters are
/// `name.weight` `[filters, channels/groups, kernel]` and `name.bias` `[filters]`.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Params};
/// use gradus_nn::{Conv1d, Conv1dOptions, Padding};
/// let mut params: Params = Params::new(0);
/// let wide = Conv1dOptions { padding: Padding::Same, dilation: [2], ..Conv1dOptions::default() };
/// let layer = Conv1d::with(&mut params, "layer", 4, 8, 3, wide);
/// assert_eq!(layer.forward(Graph::new().zeros([2, 4, 100])).shape().sizes(), [2, 8, 100]);
/// ```
pub type Conv1d = Conv<1>;

/// A convolution along two axes, for images.
///
/// # Shapes
/// `[…, channels, H, W]` gives `[…, filters, P, Q]`, with `P = (H + 2·padding − dilation·(kernel − 1) − 1)/stride + 1`
/// and `Q` likewise. The parameters are `name.weight` `[filters, channels/groups, kernel, kernel]` and `name.bias`
/// `[filters]`.
///
/// # Example
/// ```
/// use gradus_graph::{Feed, Graph, Params, Tensor};
/// use gradus_nn::{Conv2d, Conv2dOptions};
/// let mut params: Params = Params::new(0);
/// let halves = Conv2dOptions { stride: [2, 2], padding: 1.into(), ..Conv2dOptions::default() };
/// let layer = Conv2d::with(&mut params, "layer", 3, 16, 3, halves);
/// assert_eq!(layer.forward(Graph::new().zeros([10, 3, 28, 28])).shape().sizes(), [10, 16, 14, 14]);
///
/// let edges = Conv2d::new(&mut params, "edges", 1, 1, [1, 2]);
/// params.set(edges.weight(), Tensor::new([1, 1, 1, 2], vec![-1.0, 1.0]));
/// params.set(edges.bias().expect("there is one"), Tensor::from([0.0]));
/// let graph = Graph::new();
/// let y = edges.forward(graph.constant(&Tensor::new([1, 1, 1, 4], vec![0.0, 0.0, 5.0, 5.0])));
/// assert_eq!(graph.eval_with(&[y], &params, &Feed::new())?[0].real().data(), [0.0, 5.0, 0.0]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
pub type Conv2d = Conv<2>;

/// A convolution along so many axes: [`Conv1d`] or [`Conv2d`].
#[derive(Clone, Debug)]
pub struct Conv<const AXES: usize> {
    name: String,
    weight: Param,
    bias: Option<Param>,
    convolution: Convolution,
}

/// How many zeros a convolution puts around what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Padding<const AXES: usize> {
    /// None: a position for each place where the filter fits.
    Valid,
    /// As many as keep the sizes, where the stride is 1; of an odd number the larger half comes behind.
    Same,
    /// So many before and behind, for each axis.
    Zeros([usize; AXES]),
}

impl<const AXES: usize> From<usize> for Padding<AXES> {
    fn from(zeros: usize) -> Self {
        Self::Zeros([zeros; AXES])
    }
}

/// What a convolution along one axis starts from.
pub type Conv1dOptions = ConvOptions<1>;

/// What a convolution along two axes starts from.
pub type Conv2dOptions = ConvOptions<2>;

/// What a convolution starts from: a number for each axis, rows before columns.
///
/// The default is PyTorch's: each position, no padding, one group, weight and bias uniform on `±1/√fan`, where `fan` is
/// the number of elements of a filter. For deep stacks with `relu` take [`Init::he_normal`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConvOptions<const AXES: usize> {
    /// From one position of the filters to the next.
    pub stride: [usize; AXES],
    /// Zeros around what the layer is given.
    pub padding: Padding<AXES>,
    /// From one element that a filter sees to the next.
    pub dilation: [usize; AXES],
    /// Into so many groups channels and filters are divided; a filter sees the channels of its group only.
    pub groups: usize,
    /// The initial weight.
    pub weight: Init,
    /// The initial bias; `None` for a layer without.
    pub bias: Option<Init>,
}

impl<const AXES: usize> Default for ConvOptions<AXES> {
    fn default() -> Self {
        Self {
            stride: [1; AXES],
            padding: Padding::Valid,
            dilation: [1; AXES],
            groups: 1,
            weight: Init::default(),
            bias: Some(Init::default()),
        }
    }
}

impl<const AXES: usize> Conv<AXES> {
    const NAME: &'static str = if AXES == 1 { "Conv1d" } else { "Conv2d" };

    /// Adds a layer to the store, with PyTorch's defaults.
    ///
    /// # Panics
    /// If the kernel has a size of 0, or the scope `name` has a `weight` or `bias` already.
    #[track_caller]
    pub fn new(
        params: &mut Params<impl Real>,
        name: &str,
        channels: usize,
        filters: usize,
        kernel: impl Into<Sizes<AXES>>,
    ) -> Self {
        Self::with(params, name, channels, filters, kernel, ConvOptions::default())
    }

    /// Adds a layer to the store.
    ///
    /// # Panics
    /// If the kernel, the stride or the dilation is 0 along an axis, the groups do not divide channels and filters, the
    /// padding is [`Padding::Same`] and the stride not 1, or the scope `name` has a `weight` or `bias` already.
    #[track_caller]
    pub fn with(
        params: &mut Params<impl Real>,
        name: &str,
        channels: usize,
        filters: usize,
        kernel: impl Into<Sizes<AXES>>,
        options: ConvOptions<AXES>,
    ) -> Self {
        let (Sizes(kernel), what) = (kernel.into(), Self::NAME);
        let ConvOptions { stride, padding, dilation, groups, weight, bias } = options;
        expect_steps(what, name, &[("kernel", &kernel), ("stride", &stride), ("dilation", &dilation)]);
        expect_groups(what, name, channels, filters, groups);
        let around = |axis: usize| match padding {
            Padding::Valid => [0, 0],
            Padding::Zeros(zeros) => [zeros[axis]; 2],
            Padding::Same => {
                assert!(
                    stride == [1; AXES],
                    "`{what}` `{name}`: the padding `Same` needs a stride of 1, not {stride:?}; give the zeros in numbers"
                );
                let missing = dilation[axis] * (kernel[axis] - 1);
                [missing / 2, missing - missing / 2]
            }
        };
        let convolution = Convolution {
            stride: rows_and_columns(stride, 1),
            padding: rows_and_columns(std::array::from_fn::<_, AXES, _>(around), [0, 0]),
            dilation: rows_and_columns(dilation, 1),
            groups,
        };
        let shape: Shape = [filters, channels / groups].into_iter().chain(kernel).collect();
        let fans = Fans::of(shape.clone());
        params.scope(name, |params| {
            let weight = weight.param(params, "weight", shape, fans);
            let bias = bias.map(|init| init.param(params, "bias", [filters], fans));
            Self { name: name.to_owned(), weight, bias, convolution }
        })
    }

    /// The weight, `[filters, channels/groups, kernel…]`.
    pub fn weight(&self) -> &Param {
        &self.weight
    }

    /// The bias, `[filters]`, if there is one.
    pub fn bias(&self) -> Option<&Param> {
        self.bias.as_ref()
    }

    /// The convolution of `x` with the filters, and the bias.
    ///
    /// # Panics
    /// If `x` has other channels, or a filter does not fit even once.
    #[track_caller]
    pub fn forward<'g>(&self, x: Var<'g>) -> Var<'g> {
        let (shape, weight, caller) = (x.shape(), self.weight.shape(), Location::caller());
        let channels = weight[1] * self.convolution.groups;
        expect_channels(Self::NAME, &self.weight, &shape, AXES, channels, self.convolution.groups, caller);
        let (sizes, kernel) = (last::<AXES>(&shape), last::<AXES>(weight));
        assert!(
            self.convolution.positions(rows_and_columns(sizes, 1), rows_and_columns(kernel, 1)).is_some(),
            "`{}` of {shape}: the last axes must hold a filter of {kernel:?} with padding and dilation, as `{}` is {weight} \
             (at {caller})",
            Self::NAME,
            self.weight.name()
        );
        let graph = x.graph();
        let _scope = graph.scope(&self.name);
        let y = planes::<AXES>(x).conv(filters::<AXES>(graph.param(&self.weight)), self.convolution);
        with_bias(unplaned::<AXES>(y, &shape), self.bias.as_ref(), AXES)
    }
}

impl<const AXES: usize> Layer for Conv<AXES> {
    fn forward_in<'g>(&self, x: Var<'g>, _mode: Mode) -> Var<'g> {
        self.forward(x)
    }
}

impl<const AXES: usize> Steady for Conv<AXES> {}

/// Panics if one of the named numbers is 0.
#[track_caller]
pub(super) fn expect_steps(what: &str, name: &str, numbers: &[(&str, &[usize])]) {
    for (number, along) in numbers {
        assert!(
            !along.contains(&0),
            "`{what}` `{name}`: the {number} is {along:?}; it must be at least 1 on each axis"
        );
    }
}

/// Panics if the groups do not divide channels and filters.
#[track_caller]
pub(super) fn expect_groups(what: &str, name: &str, channels: usize, filters: usize, groups: usize) {
    assert!(
        groups > 0 && channels.is_multiple_of(groups) && filters.is_multiple_of(groups),
        "`{what}` `{name}`: {groups} groups must divide {channels} channels and {filters} filters"
    );
}

/// Panics at the caller's line if the axis of channels, before the last `axes`, has another size.
#[track_caller]
pub(super) fn expect_channels(
    what: &str,
    weight: &Param,
    shape: &Shape,
    axes: usize,
    channels: usize,
    groups: usize,
    caller: &Location<'_>,
) {
    let found = shape.rank().checked_sub(axes + 1).map(|axis| shape[axis]);
    assert!(
        found == Some(channels),
        "`{what}` of {shape}: axis −{} must have size {channels}, as `{}` is {} in {groups} group{} (at {caller})",
        axes + 1,
        weight.name(),
        weight.shape(),
        if groups == 1 { "" } else { "s" }
    );
}

/// With the bias of each channel added.
#[track_caller]
pub(super) fn with_bias<'g>(y: Var<'g>, bias: Option<&Param>, axes: usize) -> Var<'g> {
    match bias {
        Some(bias) => {
            let shape: Shape = [bias.shape()[0]].into_iter().chain(std::iter::repeat_n(1, axes)).collect();
            y + y.graph().param(bias).reshape(shape)
        }
        None => y,
    }
}

#[cfg(test)]
mod tests {
    use gradus_graph::check::assert_model;
    use gradus_graph::{Feed, Graph, Tensor};

    use super::*;

    fn numbers(shape: impl Into<Shape>) -> Tensor<f64> {
        Tensor::from_fn(shape.into(), |k| ((k * 37 + 11) % 23) as f64 / 8.0 - 1.4)
    }

    /// Every option, alone or with others.
    fn options() -> Vec<(Conv2dOptions, usize, usize, [usize; 2])> {
        let plain = Conv2dOptions::default();
        vec![
            (plain, 2, 3, [2, 3]),
            (Conv2dOptions { stride: [2, 1], padding: Padding::Zeros([1, 2]), ..plain }, 1, 2, [3, 2]),
            (Conv2dOptions { padding: Padding::Same, dilation: [2, 1], bias: None, ..plain }, 1, 1, [2, 4]),
            (Conv2dOptions { groups: 2, padding: 1.into(), ..plain }, 4, 2, [1, 3]),
            (Conv2dOptions { groups: 3, stride: [2, 2], ..plain }, 3, 3, [2, 2]),
            (plain, 3, 2, [1, 1]),
        ]
    }

    #[test]
    fn values_are_those_of_plain_loops() {
        for (options, channels, filters, kernel) in options() {
            let mut params: Params<f64> = Params::new(1);
            let layer = Conv2d::with(&mut params, "layer", channels, filters, kernel, options);
            let (graph, x) = (Graph::new(), numbers([2, channels, 5, 6]));
            let y = layer.forward(graph.constant(&x));
            let found = graph.eval_with(&[y], &params, &Feed::new()).unwrap().remove(0);
            let (w, shape) = (params.get(&layer.weight).clone(), y.shape());
            let per_group = (channels / options.groups, filters / options.groups);
            let before = [0, 1].map(|axis| match options.padding {
                Padding::Valid => 0,
                Padding::Zeros(zeros) => zeros[axis],
                Padding::Same => options.dilation[axis] * (kernel[axis] - 1) / 2,
            });
            let expected = Tensor::from_fn(shape.clone(), |k| {
                let (q, p) = (k % shape[3], k / shape[3] % shape[2]);
                let (o, n) = (k / shape[3] / shape[2] % filters, k / shape[3] / shape[2] / filters);
                let mut sum = layer.bias().map_or(0.0, |bias| params.get(bias).data()[o]);
                for (c, i, j) in (0..per_group.0)
                    .flat_map(|c| (0..kernel[0]).flat_map(move |i| (0..kernel[1]).map(move |j| (c, i, j))))
                {
                    let row = p * options.stride[0] + i * options.dilation[0];
                    let column = q * options.stride[1] + j * options.dilation[1];
                    if (before[0]..before[0] + 5).contains(&row) && (before[1]..before[1] + 6).contains(&column) {
                        let channel = o / per_group.1 * per_group.0 + c;
                        let at = ((n * channels + channel) * 5 + row - before[0]) * 6 + column - before[1];
                        sum += w.data()[((o * per_group.0 + c) * kernel[0] + i) * kernel[1] + j] * x.data()[at];
                    }
                }
                sum
            });
            assert!(found.real().is_close(&expected, 1e-12, 1e-12), "{options:?}");
        }
    }

    #[test]
    fn gradients_of_input_weight_and_bias() {
        for (options, channels, filters, kernel) in options() {
            let mut params: Params<f64> = Params::new(1);
            let layer = Conv2d::with(&mut params, "layer", channels, filters, kernel, options);
            let x = params.add("x", numbers([2, channels, 3, 4]));
            assert_model(&params, (), |graph, []| layer.forward(graph.param(&x)).square().sum());
        }
    }

    #[test]
    fn a_sequence_is_a_plane_of_one_row() {
        let mut params: Params<f64> = Params::new(1);
        let options = Conv1dOptions { stride: [2], padding: 2.into(), dilation: [2], groups: 2, ..Default::default() };
        let layer = Conv1d::with(&mut params, "sequence", 4, 2, 3, options);
        let options = Conv2dOptions {
            stride: [1, 2],
            padding: Padding::Zeros([0, 2]),
            dilation: [1, 2],
            groups: 2,
            ..Default::default()
        };
        let planes = Conv2d::with(&mut params, "planes", 4, 2, [1, 3], options);
        let weight = params.get(&layer.weight).clone();
        params.set(planes.weight(), Tensor::new([2, 2, 1, 3], weight.data().to_vec()));
        let bias = params.get(layer.bias().unwrap()).clone();
        params.set(planes.bias().unwrap(), bias);
        let graph = Graph::new();
        let x = graph.constant(&numbers([3, 4, 9]));
        let (y, other) = (layer.forward(x), planes.forward(x.unsqueeze(2)).squeeze(2));
        let values = graph.eval_with(&[y, other], &params, &Feed::new()).unwrap();
        assert_eq!(values[0].real(), values[1].real());
        let input = params.add("x", numbers([2, 4, 6]));
        assert_model(&params, (), |graph, []| layer.forward(graph.param(&input)).square().sum());
    }

    #[test]
    fn names_shapes_and_initial_values_are_those_of_pytorch() {
        let mut params: Params<f64> = Params::new(1);
        let options = Conv2dOptions { groups: 2, ..Default::default() };
        let layer = params.scope("stem", |params| Conv2d::with(params, "conv", 8, 64, [3, 5], options));
        let names: Vec<&str> = params.iter().map(|(param, _)| param.name()).collect();
        assert_eq!(names, ["stem.conv.weight", "stem.conv.bias"]);
        assert_eq!(
            (layer.weight().shape().sizes(), layer.bias().unwrap().shape().sizes()),
            (&[64, 4, 3, 5][..], &[64][..])
        );
        let bound = 1.0 / 60.0_f64.sqrt();
        for (param, value) in params.iter() {
            let largest = value.data().iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
            assert!(largest <= bound && largest > 0.9 * bound, "{param:?}: {largest}");
        }
    }

    #[test]
    fn single_images_sequences_of_images_and_none_go_through() {
        let mut params: Params<f64> = Params::new(0);
        let layer = Conv2d::new(&mut params, "layer", 2, 3, 2);
        let graph = Graph::new();
        for lead in [vec![], vec![1], vec![0], vec![4, 5]] {
            let y = layer.forward(graph.ones([&lead[..], &[2, 2, 3]].concat()));
            assert_eq!(y.shape().sizes(), [&lead[..], &[3, 1, 2]].concat());
            graph.eval_with(&[y], &params, &Feed::new()).unwrap();
        }
    }

    #[test]
    #[should_panic(
        expected = "`Conv2d` of [2, 3, 8, 8]: axis −3 must have size 4, as `layer.weight` is [6, 2, 3, 3] in 2 \
                               groups (at crates/nn/src/conv/"
    )]
    fn channels_that_do_not_fit_are_named() {
        let mut params: Params = Params::new(0);
        let options = Conv2dOptions { groups: 2, ..Default::default() };
        Conv2d::with(&mut params, "layer", 4, 6, 3, options).forward(Graph::new().zeros([2, 3, 8, 8]));
    }

    #[test]
    #[should_panic(
        expected = "`Conv1d` of [1, 4, 2]: the last axes must hold a filter of [3] with padding and dilation, as \
                               `layer.weight` is [6, 4, 3] (at "
    )]
    fn what_is_too_small_for_a_filter_is_named() {
        let mut params: Params = Params::new(0);
        Conv1d::new(&mut params, "layer", 4, 6, 3).forward(Graph::new().zeros([1, 4, 2]));
    }

    #[test]
    #[should_panic(
        expected = "`Conv1d` `layer`: the padding `Same` needs a stride of 1, not [2]; give the zeros in numbers"
    )]
    fn same_sizes_need_every_position() {
        let options = Conv1dOptions { stride: [2], padding: Padding::Same, ..Default::default() };
        Conv1d::with(&mut Params::<f32>::new(0), "layer", 1, 1, 3, options);
    }
}
