//! Convolution along one axis or two.

use gradus_graph::{Convolution, Param, Params, Real, Var};

use super::filters::{Filters, expect_options};
use super::options::{ConvOptions, Padding};
use super::planes::{Sizes, last, planes, rows_and_columns, unplaned};
use crate::layer::layer;

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
/// let wide = Conv1dOptions::new().padding(Padding::Same).dilation(2);
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
/// let halves = Conv2dOptions::new().stride(2).padding(1);
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

/// A convolution along `AXES` axes: [`Conv1d`] or [`Conv2d`].
///
/// `y[n, o, p] = b[o] + Σ w[o, c, i] · x[n, c, p·stride + i·dilation − padding]`, over the channels `c` of the group of
/// `o` and the elements `i` of its filter. The filters are not flipped, as everywhere in neural networks. The weight is
/// laid out as in PyTorch, so that weights carry over as they are. As many groups as channels make the convolution
/// depthwise.
#[derive(Clone, Debug)]
pub struct Conv<const AXES: usize> {
    filters: Filters<AXES>,
    convolution: Convolution,
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
        Self::with(params, name, channels, filters, kernel, ConvOptions::new())
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
        expect_options(what, name, [channels, filters], kernel, &options);
        let ConvOptions { stride, padding, dilation, groups, .. } = options;
        assert!(
            padding != Padding::Same || stride == [1; AXES],
            "`{what}` `{name}`: the padding `Same` needs a stride of 1, not {stride:?}; give the zeros in numbers"
        );
        let around = |axis: usize| match padding {
            Padding::Valid => [0, 0],
            Padding::Zeros(zeros) => [zeros[axis]; 2],
            Padding::Same => {
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
        let filters = Filters::new(params, name, [filters, channels / groups], kernel, filters, &options);
        Self { filters, convolution }
    }

    /// The weight, `[filters, channels/groups, kernel…]`.
    pub fn weight(&self) -> &Param {
        &self.filters.weight
    }

    /// The bias, `[filters]`, if there is one.
    pub fn bias(&self) -> Option<&Param> {
        self.filters.bias.as_ref()
    }

    /// The convolution of `x` with the filters, and the bias.
    ///
    /// # Panics
    /// If `x` has another number of channels, or is smaller than a filter after padding.
    #[track_caller]
    pub fn forward<'g>(&self, x: Var<'g>) -> Var<'g> {
        let (shape, weight) = (x.shape(), self.weight().shape());
        let groups = self.convolution.groups;
        self.filters.expect_channels(Self::NAME, &shape, weight[1] * groups, groups);
        let (sizes, kernel) = (last::<AXES>(&shape), last::<AXES>(weight));
        assert!(
            self.convolution.positions(rows_and_columns(sizes, 1), rows_and_columns(kernel, 1)).is_some(),
            "`{}` of {shape}: the last axes must hold a filter of {kernel:?} with padding and dilation, as `{}` is {weight}",
            Self::NAME,
            self.weight().name()
        );
        let graph = x.graph();
        let _scope = graph.scope(&self.filters.name);
        let y = planes::<AXES>(x).conv(self.filters.of(graph), self.convolution);
        self.filters.add_bias(unplaned::<AXES>(y, &shape))
    }
}

layer!(Conv<AXES>, forward, const AXES: usize);

#[cfg(test)]
mod tests {
    use gradus_graph::check::assert_model;
    use gradus_graph::{Feed, Graph, Tensor};

    use super::*;
    use crate::conv::{Conv1dOptions, Conv2dOptions};
    use crate::test_numbers::numbers;

    /// Every option, alone or with others.
    fn options() -> Vec<(Conv2dOptions, usize, usize, [usize; 2])> {
        let plain = Conv2dOptions::new();
        vec![
            (plain, 2, 3, [2, 3]),
            (plain.stride([2, 1]).padding([1, 2]), 1, 2, [3, 2]),
            (plain.padding(Padding::Same).dilation([2, 1]).without_bias(), 1, 1, [2, 4]),
            (plain.groups(2).padding(1), 4, 2, [1, 3]),
            (plain.groups(3).stride(2), 3, 3, [2, 2]),
            (plain, 3, 2, [1, 1]),
        ]
    }

    #[test]
    fn values_are_those_of_plain_loops() {
        for (options, channels, filters, kernel) in options() {
            let mut params: Params<f64> = Params::new(1);
            let layer = Conv2d::with(&mut params, "layer", channels, filters, kernel, options);
            let (graph, x) = (Graph::new(), numbers([2, channels, 5, 6], 0));
            let y = layer.forward(graph.constant(&x));
            let found = graph.eval_with(&[y], &params, &Feed::new()).unwrap().remove(0);
            let (w, shape) = (params.get(layer.weight()).clone(), y.shape());
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
            let x = params.add("x", numbers([2, channels, 3, 4], 0));
            assert_model(&params, (), |graph, []| layer.forward(graph.param(&x)).square().sum());
        }
    }

    #[test]
    fn a_sequence_is_a_plane_of_one_row() {
        let mut params: Params<f64> = Params::new(1);
        let options = Conv1dOptions::new().stride(2).padding(2).dilation(2).groups(2);
        let layer = Conv1d::with(&mut params, "sequence", 4, 2, 3, options);
        let options = Conv2dOptions::new().stride([1, 2]).padding([0, 2]).dilation([1, 2]).groups(2);
        let planes = Conv2d::with(&mut params, "planes", 4, 2, [1, 3], options);
        let weight = params.get(layer.weight()).clone();
        params.set(planes.weight(), Tensor::new([2, 2, 1, 3], weight.data().to_vec()));
        let bias = params.get(layer.bias().unwrap()).clone();
        params.set(planes.bias().unwrap(), bias);
        let graph = Graph::new();
        let x = graph.constant(&numbers([3, 4, 9], 0));
        let (y, other) = (layer.forward(x), planes.forward(x.unsqueeze(2)).squeeze(2));
        let values = graph.eval_with(&[y, other], &params, &Feed::new()).unwrap();
        assert_eq!(values[0].real(), values[1].real());
        let input = params.add("x", numbers([2, 4, 6], 0));
        assert_model(&params, (), |graph, []| layer.forward(graph.param(&input)).square().sum());
    }

    #[test]
    fn names_shapes_and_initial_values_are_those_of_pytorch() {
        let mut params: Params<f64> = Params::new(1);
        let options = Conv2dOptions::new().groups(2);
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
                               groups"
    )]
    fn channels_that_do_not_fit_are_named() {
        let mut params: Params = Params::new(0);
        let options = Conv2dOptions::new().groups(2);
        Conv2d::with(&mut params, "layer", 4, 6, 3, options).forward(Graph::new().zeros([2, 3, 8, 8]));
    }

    #[test]
    #[should_panic(
        expected = "`Conv1d` of [1, 4, 2]: the last axes must hold a filter of [3] with padding and dilation, as \
                               `layer.weight` is [6, 4, 3]"
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
        let options = Conv1dOptions::new().stride(2).padding(Padding::Same);
        Conv1d::with(&mut Params::<f32>::new(0), "layer", 1, 1, 3, options);
    }
}
