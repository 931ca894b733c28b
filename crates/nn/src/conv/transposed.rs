//! Transposed convolution along one axis or two.

use gradus_graph::{Convolution, Param, Params, Real, Var, Window};

use super::filters::{Filters, expect_options};
use super::options::{ConvTransposeOptions, OutputPadding};
use super::planes::{Sizes, last, planes, rows_and_columns, unplaned};
use crate::layer::layer;

/// A transposed convolution along one axis.
///
/// # Shapes
/// `[…, channels, L]` gives `[…, filters, (L − 1)·stride − 2·padding + dilation·(kernel − 1) + output_padding + 1]`.
/// The parameters are `name.weight` `[channels, filters/groups, kernel]` and `name.bias` `[filters]`.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Params};
/// use gradus_nn::{ConvTranspose1d, ConvTranspose1dOptions};
/// let mut params: Params = Params::new(0);
/// let doubles = ConvTranspose1dOptions::new().stride(2);
/// let layer = ConvTranspose1d::with(&mut params, "layer", 4, 2, 2, doubles);
/// assert_eq!(layer.forward(Graph::new().zeros([3, 4, 10])).shape().sizes(), [3, 2, 20]);
/// ```
pub type ConvTranspose1d = ConvTranspose<1>;

/// A transposed convolution along two axes.
///
/// # Shapes
/// `[…, channels, H, W]` gives `[…, filters, P, Q]`, with `P = (H − 1)·stride − 2·padding + dilation·(kernel − 1) +
/// output_padding + 1` and `Q` likewise. The parameters are `name.weight` `[channels, filters/groups, kernel, kernel]`
/// and `name.bias` `[filters]`.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Params};
/// use gradus_nn::{ConvTranspose2d, ConvTranspose2dOptions};
/// let mut params: Params = Params::new(0);
/// let doubles = ConvTranspose2dOptions::new().stride(2).padding(1).output_padding(1);
/// let layer = ConvTranspose2d::with(&mut params, "layer", 16, 8, 3, doubles);
/// assert_eq!(layer.forward(Graph::new().zeros([1, 16, 7, 7])).shape().sizes(), [1, 8, 14, 14]);
/// ```
///
/// # Reference
/// Zeiler et al., "Deconvolutional networks" (2010); Dumoulin and Visin, "A guide to convolution arithmetic for deep
/// learning" (2016).
pub type ConvTranspose2d = ConvTranspose<2>;

/// A transposed convolution along `AXES` axes: [`ConvTranspose1d`] or [`ConvTranspose2d`].
///
/// Each element of `x` adds its filters, times itself, to the output at its position:
/// `y[n, o, p·stride + i·dilation − padding] += w[c, o, i] · x[n, c, p]`. It is the transpose of the convolution with
/// the same options, not its inverse, and enlarges what that makes smaller. The weight has the channels of `x` first,
/// as in PyTorch.
#[derive(Clone, Debug)]
pub struct ConvTranspose<const AXES: usize> {
    filters: Filters<AXES>,
    options: ConvTransposeOptions<AXES>,
}

impl<const AXES: usize> ConvTranspose<AXES> {
    const NAME: &'static str = if AXES == 1 { "ConvTranspose1d" } else { "ConvTranspose2d" };

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
        Self::with(params, name, channels, filters, kernel, ConvTransposeOptions::new())
    }

    /// Adds a layer to the store.
    ///
    /// # Panics
    /// If the kernel, the stride or the dilation is 0 along an axis, the groups do not divide channels and filters, the
    /// output padding is neither below the stride nor below the dilation, or the scope `name` has a `weight` or `bias`
    /// already.
    #[track_caller]
    pub fn with(
        params: &mut Params<impl Real>,
        name: &str,
        channels: usize,
        filters: usize,
        kernel: impl Into<Sizes<AXES>>,
        options: ConvTransposeOptions<AXES>,
    ) -> Self {
        let (Sizes(kernel), what) = (kernel.into(), Self::NAME);
        expect_options(what, name, [channels, filters], kernel, &options);
        for axis in 0..AXES {
            let (more, stride, dilation) =
                (options.padding.output_padding[axis], options.stride[axis], options.dilation[axis]);
            assert!(
                more < stride.max(dilation),
                "`{what}` `{name}`: the output padding {more} must be below the stride {stride} or the dilation {dilation}"
            );
        }
        let filters = Filters::new(params, name, [channels, filters / options.groups], kernel, filters, &options);
        Self { filters, options }
    }

    /// The weight, `[channels, filters/groups, kernel…]`.
    pub fn weight(&self) -> &Param {
        &self.filters.weight
    }

    /// The bias, `[filters]`, if there is one.
    pub fn bias(&self) -> Option<&Param> {
        self.filters.bias.as_ref()
    }

    /// The transposed convolution of `x` with the filters, and the bias.
    ///
    /// # Panics
    /// If `x` has another number of channels, or the padding leaves nothing of the output.
    #[track_caller]
    pub fn forward<'g>(&self, x: Var<'g>) -> Var<'g> {
        let (shape, weight) = (x.shape(), self.weight().shape());
        let ConvTransposeOptions { stride, padding, dilation, groups, .. } = self.options;
        let OutputPadding { padding, output_padding } = padding;
        self.filters.expect_channels(Self::NAME, &shape, weight[0], groups);
        let (sizes, kernel) = (last::<AXES>(&shape), last::<AXES>(weight));
        // After the output, the output padding is removed less; more than the padding lies beyond all filters.
        let (mut around, mut beyond, mut whole) = ([[0; 2]; AXES], [0; AXES], [0; AXES]);
        for axis in 0..AXES {
            let kept = output_padding[axis].min(padding[axis]);
            around[axis] = [padding[axis], padding[axis] - kept];
            beyond[axis] = output_padding[axis] - kept;
            // Sizes that overflow are more than any shape has, and refused as such.
            let window = Window { size: kernel[axis], stride: stride[axis], dilation: dilation[axis] };
            let reached =
                sizes[axis].checked_sub(1).map(|last| last.saturating_mul(stride[axis]).saturating_add(window.reach()));
            let cut = around[axis][0].saturating_add(around[axis][1]);
            whole[axis] = reached.and_then(|reached| reached.checked_sub(cut)).unwrap_or(0);
            assert!(
                whole[axis] > 0,
                "`{}` of {shape}: axis −{} must be long enough to leave something of the output without the padding \
                 {padding:?}",
                Self::NAME,
                AXES - axis
            );
        }
        let convolution = Convolution {
            stride: rows_and_columns(stride, 1),
            padding: rows_and_columns(around, [0, 0]),
            dilation: rows_and_columns(dilation, 1),
            groups,
        };
        let graph = x.graph();
        let _scope = graph.scope(&self.filters.name);
        let filters = self.filters.of(graph);
        let mut y = planes::<AXES>(x).conv_transposed(filters, convolution, rows_and_columns(whole, 1));
        for (axis, &zeros) in beyond.iter().enumerate().filter(|(_, zeros)| **zeros > 0) {
            y = y.pad((4 - AXES + axis) as isize, 0, zeros);
        }
        self.filters.add_bias(unplaned::<AXES>(y, &shape))
    }
}

layer!(ConvTranspose<AXES>, forward, const AXES: usize);

#[cfg(test)]
mod tests {
    use gradus_graph::check::assert_model;
    use gradus_graph::{Feed, Graph, Tensor};

    use super::*;
    use crate::conv::{ConvTranspose1dOptions, ConvTranspose2dOptions};
    use crate::test_numbers::numbers;

    fn options() -> Vec<(ConvTranspose2dOptions, usize, usize, [usize; 2])> {
        let plain = ConvTranspose2dOptions::new();
        vec![
            (plain, 2, 3, [2, 3]),
            (plain.stride([2, 3]).output_padding([1, 2]), 1, 2, [3, 2]),
            (plain.stride([2, 1]).padding(1).output_padding([1, 0]).without_bias(), 2, 1, [3, 3]),
            (plain.dilation([3, 2]).padding([1, 0]).output_padding([2, 1]), 1, 1, [2, 2]),
            (plain.groups(2).stride([1, 2]), 2, 4, [1, 2]),
        ]
    }

    #[test]
    fn every_element_adds_its_filters() {
        for (options, channels, filters, kernel) in options() {
            let mut params: Params<f64> = Params::new(1);
            let layer = ConvTranspose2d::with(&mut params, "layer", channels, filters, kernel, options);
            let (graph, x, size) = (Graph::new(), numbers([2, channels, 3, 4], 0), [3, 4]);
            let y = layer.forward(graph.constant(&x));
            let found = graph.eval_with(&[y], &params, &Feed::new()).unwrap().remove(0);
            let formula = |axis: usize| {
                (size[axis] - 1) * options.stride[axis]
                    + options.dilation[axis] * (kernel[axis] - 1)
                    + 1
                    + options.padding.output_padding[axis]
                    - 2 * options.padding.padding[axis]
            };
            let out = [formula(0), formula(1)];
            assert_eq!(y.shape().sizes(), [2, filters, out[0], out[1]]);
            let (w, per_group) =
                (params.get(layer.weight()).clone(), (channels / options.groups, filters / options.groups));
            let mut expected = Tensor::zeros(y.shape());
            for k in 0..expected.len() {
                let o = k / out[0] / out[1] % filters;
                expected.data_mut()[k] = layer.bias().map_or(0.0, |bias| params.get(bias).data()[o]);
            }
            for k in 0..x.len() {
                let (q, p, c, n) = (k % 4, k / 4 % 3, k / 12 % channels, k / 12 / channels);
                for l in 0..per_group.1 * kernel[0] * kernel[1] {
                    let (j, i, o) = (l % kernel[1], l / kernel[1] % kernel[0], l / kernel[1] / kernel[0]);
                    let row = (p * options.stride[0] + i * options.dilation[0]).checked_sub(options.padding.padding[0]);
                    let column =
                        (q * options.stride[1] + j * options.dilation[1]).checked_sub(options.padding.padding[1]);
                    let (Some(row), Some(column)) = (row, column) else { continue };
                    if row < out[0] && column < out[1] {
                        let filter = c / per_group.0 * per_group.1 + o;
                        let at = ((n * filters + filter) * out[0] + row) * out[1] + column;
                        expected.data_mut()[at] += x.data()[k] * w.data()[c * per_group.1 * kernel[0] * kernel[1] + l];
                    }
                }
            }
            assert!(found.real().is_close(&expected, 1e-12, 1e-12), "{options:?}");
        }
    }

    #[test]
    fn gradients_of_input_weight_and_bias() {
        for (options, channels, filters, kernel) in options() {
            let mut params: Params<f64> = Params::new(1);
            let layer = ConvTranspose2d::with(&mut params, "layer", channels, filters, kernel, options);
            let x = params.add("x", numbers([2, channels, 2, 2], 0));
            assert_model(&params, (), |graph, []| layer.forward(graph.param(&x)).square().sum());
        }
        let mut params: Params<f64> = Params::new(1);
        let options = ConvTranspose1dOptions::new().stride(2).padding(1).output_padding(1);
        let layer = ConvTranspose1d::with(&mut params, "layer", 2, 3, 3, options);
        let x = params.add("x", numbers([2, 4], 0));
        assert_model(&params, (), |graph, []| layer.forward(graph.param(&x)).square().sum());
    }

    #[test]
    fn names_shapes_and_initial_values_are_those_of_pytorch() {
        let mut params: Params<f64> = Params::new(1);
        let options = ConvTranspose1dOptions::new().groups(4);
        ConvTranspose1d::with(&mut params, "up", 8, 32, 5, options);
        let shapes: Vec<(&str, Vec<usize>)> =
            params.iter().map(|(p, value)| (p.name(), value.shape().to_vec())).collect();
        assert_eq!(shapes, [("up.weight", vec![8, 8, 5]), ("up.bias", vec![32])]);
        let bound = 1.0 / 40.0_f64.sqrt();
        for (param, value) in params.iter() {
            let largest = value.data().iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
            assert!(largest <= bound && largest > 0.9 * bound, "{param:?}: {largest}");
        }
    }

    #[test]
    fn no_images_go_through() {
        let mut params: Params<f64> = Params::new(0);
        let layer = ConvTranspose2d::new(&mut params, "layer", 2, 3, 2);
        let graph = Graph::new();
        let y = layer.forward(graph.ones([0, 2, 1, 1]));
        assert_eq!(y.shape().sizes(), [0, 3, 2, 2]);
        graph.eval_with(&[y], &params, &Feed::new()).unwrap();
    }

    #[test]
    #[should_panic(
        expected = "`ConvTranspose2d` of [3, 8, 8]: axis −3 must have size 4, as `layer.weight` is [4, 6, 3, 3] in \
                               1 group"
    )]
    fn channels_that_do_not_fit_are_named() {
        let mut params: Params = Params::new(0);
        ConvTranspose2d::new(&mut params, "layer", 4, 6, 3).forward(Graph::new().zeros([3, 8, 8]));
    }

    #[test]
    #[should_panic(
        expected = "`ConvTranspose1d` of [1, 1, 1]: axis −1 must be long enough to leave something of the output \
                               without the padding [1]"
    )]
    fn padding_that_leaves_nothing_is_named() {
        let options = ConvTranspose1dOptions::new().padding(1);
        ConvTranspose1d::with(&mut Params::<f32>::new(0), "layer", 1, 1, 2, options)
            .forward(Graph::new().zeros([1, 1, 1]));
    }
}
