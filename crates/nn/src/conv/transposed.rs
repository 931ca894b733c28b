//! Transposed convolution: each element of `x` adds its filters, times itself, to the output at its position:
//! `y[n, o, p·stride + i·dilation − padding] += w[c, o, i] · x[n, c, p]`.
//!
//! It is the transpose of the convolution with the same numbers, not its inverse, and enlarges what that makes smaller.
//! The weight `[C, O/groups, k]` or `[C, O/groups, kh, kw]` has the channels of `x` first, as in PyTorch.

use std::panic::Location;

use gradus_graph::{Convolution, Param, Params, Real, Shape, Var, Window};

use super::convolution::{expect_channels, expect_groups, expect_steps, with_bias};
use super::planes::{Sizes, filters, last, planes, rows_and_columns, unplaned};
use crate::init::{Fans, Init};
use crate::layer::{Layer, Mode, Steady};

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
/// let doubles = ConvTranspose1dOptions { stride: [2], ..Default::default() };
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
/// let doubles = ConvTranspose2dOptions { stride: [2, 2], padding: [1, 1], output_padding: [1, 1], ..Default::default() };
/// let layer = ConvTranspose2d::with(&mut params, "layer", 16, 8, 3, doubles);
/// assert_eq!(layer.forward(Graph::new().zeros([1, 16, 7, 7])).shape().sizes(), [1, 8, 14, 14]);
/// ```
///
/// # Reference
/// Zeiler et al., "Deconvolutional networks" (2010); Dumoulin and Visin, "A guide to convolution arithmetic for deep
/// learning" (2016).
pub type ConvTranspose2d = ConvTranspose<2>;

/// A transposed convolution along so many axes: [`ConvTranspose1d`] or [`ConvTranspose2d`].
#[derive(Clone, Debug)]
pub struct ConvTranspose<const AXES: usize> {
    name: String,
    weight: Param,
    bias: Option<Param>,
    options: ConvTransposeOptions<AXES>,
}

/// What a transposed convolution along one axis starts from.
pub type ConvTranspose1dOptions = ConvTransposeOptions<1>;

/// What a transposed convolution along two axes starts from.
pub type ConvTranspose2dOptions = ConvTransposeOptions<2>;

/// What a transposed convolution starts from: a number for each axis, rows before columns.
///
/// The default is PyTorch's: weight and bias uniform on `±1/√fan`, where `fan` counts the filters of a group times the
/// elements of the kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConvTransposeOptions<const AXES: usize> {
    /// How far apart neighbouring elements of `x` put their filters.
    pub stride: [usize; AXES],
    /// So many elements are cut off the output before and behind.
    pub padding: [usize; AXES],
    /// So many fewer are cut off behind; less than the stride or the dilation.
    pub output_padding: [usize; AXES],
    /// From one place that a filter reaches to the next.
    pub dilation: [usize; AXES],
    /// Into so many groups channels and filters are divided.
    pub groups: usize,
    /// The initial weight.
    pub weight: Init,
    /// The initial bias; `None` for a layer without.
    pub bias: Option<Init>,
}

impl<const AXES: usize> Default for ConvTransposeOptions<AXES> {
    fn default() -> Self {
        Self {
            stride: [1; AXES],
            padding: [0; AXES],
            output_padding: [0; AXES],
            dilation: [1; AXES],
            groups: 1,
            weight: Init::default(),
            bias: Some(Init::default()),
        }
    }
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
        Self::with(params, name, channels, filters, kernel, ConvTransposeOptions::default())
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
        let numbers: [(&str, &[usize]); 3] =
            [("kernel", &kernel), ("stride", &options.stride), ("dilation", &options.dilation)];
        expect_steps(what, name, &numbers);
        expect_groups(what, name, channels, filters, options.groups);
        for axis in 0..AXES {
            let (more, stride, dilation) = (options.output_padding[axis], options.stride[axis], options.dilation[axis]);
            assert!(
                more < stride.max(dilation),
                "`{what}` `{name}`: the output padding {more} must be below the stride {stride} or the dilation {dilation}"
            );
        }
        let shape: Shape = [channels, filters / options.groups].into_iter().chain(kernel).collect();
        let fans = Fans::of(shape.clone());
        params.scope(name, |params| {
            let weight = options.weight.param(params, "weight", shape, fans);
            let bias = options.bias.map(|init| init.param(params, "bias", [filters], fans));
            Self { name: name.to_owned(), weight, bias, options }
        })
    }

    /// The weight, `[channels, filters/groups, kernel…]`.
    pub fn weight(&self) -> &Param {
        &self.weight
    }

    /// The bias, `[filters]`, if there is one.
    pub fn bias(&self) -> Option<&Param> {
        self.bias.as_ref()
    }

    /// The transposed convolution of `x` with the filters, and the bias.
    ///
    /// # Panics
    /// If `x` has other channels, or the padding leaves nothing of the output.
    #[track_caller]
    pub fn forward<'g>(&self, x: Var<'g>) -> Var<'g> {
        let (shape, weight, caller) = (x.shape(), self.weight.shape(), Location::caller());
        let ConvTransposeOptions { stride, padding, output_padding, dilation, groups, .. } = self.options;
        expect_channels(Self::NAME, &self.weight, &shape, AXES, weight[0], groups, caller);
        let (sizes, kernel) = (last::<AXES>(&shape), last::<AXES>(weight));
        // Behind, the output padding is cut off less; what is more than the padding lies beyond all filters.
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
                 {padding:?} (at {caller})",
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
        let _scope = graph.scope(&self.name);
        let filters = filters::<AXES>(graph.param(&self.weight));
        let mut y = planes::<AXES>(x).conv_transposed(filters, convolution, rows_and_columns(whole, 1));
        for (axis, &zeros) in beyond.iter().enumerate().filter(|(_, zeros)| **zeros > 0) {
            y = y.pad((4 - AXES + axis) as isize, 0, zeros);
        }
        with_bias(unplaned::<AXES>(y, &shape), self.bias.as_ref(), AXES)
    }
}

impl<const AXES: usize> Layer for ConvTranspose<AXES> {
    fn forward_in<'g>(&self, x: Var<'g>, _mode: Mode) -> Var<'g> {
        self.forward(x)
    }
}

impl<const AXES: usize> Steady for ConvTranspose<AXES> {}

#[cfg(test)]
mod tests {
    use gradus_graph::check::assert_model;
    use gradus_graph::{Feed, Graph, Tensor};

    use super::*;

    fn numbers(shape: impl Into<Shape>) -> Tensor<f64> {
        Tensor::from_fn(shape.into(), |k| ((k * 37 + 11) % 23) as f64 / 8.0 - 1.4)
    }

    fn options() -> Vec<(ConvTranspose2dOptions, usize, usize, [usize; 2])> {
        let plain = ConvTranspose2dOptions::default();
        vec![
            (plain, 2, 3, [2, 3]),
            (ConvTranspose2dOptions { stride: [2, 3], output_padding: [1, 2], ..plain }, 1, 2, [3, 2]),
            (
                ConvTranspose2dOptions { stride: [2, 1], padding: [1, 1], output_padding: [1, 0], bias: None, ..plain },
                2,
                1,
                [3, 3],
            ),
            (
                ConvTranspose2dOptions { dilation: [3, 2], output_padding: [2, 1], padding: [1, 0], ..plain },
                1,
                1,
                [2, 2],
            ),
            (ConvTranspose2dOptions { groups: 2, stride: [1, 2], ..plain }, 2, 4, [1, 2]),
        ]
    }

    #[test]
    fn every_element_adds_its_filters() {
        for (options, channels, filters, kernel) in options() {
            let mut params: Params<f64> = Params::new(1);
            let layer = ConvTranspose2d::with(&mut params, "layer", channels, filters, kernel, options);
            let (graph, x, size) = (Graph::new(), numbers([2, channels, 3, 4]), [3, 4]);
            let y = layer.forward(graph.constant(&x));
            let found = graph.eval_with(&[y], &params, &Feed::new()).unwrap().remove(0);
            let formula = |axis: usize| {
                (size[axis] - 1) * options.stride[axis]
                    + options.dilation[axis] * (kernel[axis] - 1)
                    + 1
                    + options.output_padding[axis]
                    - 2 * options.padding[axis]
            };
            let out = [formula(0), formula(1)];
            assert_eq!(y.shape().sizes(), [2, filters, out[0], out[1]]);
            let (w, per_group) =
                (params.get(&layer.weight).clone(), (channels / options.groups, filters / options.groups));
            let mut expected = Tensor::zeros(y.shape());
            for k in 0..expected.len() {
                let o = k / out[0] / out[1] % filters;
                expected.data_mut()[k] = layer.bias().map_or(0.0, |bias| params.get(bias).data()[o]);
            }
            for k in 0..x.len() {
                let (q, p, c, n) = (k % 4, k / 4 % 3, k / 12 % channels, k / 12 / channels);
                for l in 0..per_group.1 * kernel[0] * kernel[1] {
                    let (j, i, o) = (l % kernel[1], l / kernel[1] % kernel[0], l / kernel[1] / kernel[0]);
                    let row = (p * options.stride[0] + i * options.dilation[0]).checked_sub(options.padding[0]);
                    let column = (q * options.stride[1] + j * options.dilation[1]).checked_sub(options.padding[1]);
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
            let x = params.add("x", numbers([2, channels, 2, 2]));
            assert_model(&params, (), |graph, []| layer.forward(graph.param(&x)).square().sum());
        }
        let mut params: Params<f64> = Params::new(1);
        let options = ConvTranspose1dOptions { stride: [2], padding: [1], output_padding: [1], ..Default::default() };
        let layer = ConvTranspose1d::with(&mut params, "layer", 2, 3, 3, options);
        let x = params.add("x", numbers([2, 4]));
        assert_model(&params, (), |graph, []| layer.forward(graph.param(&x)).square().sum());
    }

    #[test]
    fn names_shapes_and_initial_values_are_those_of_pytorch() {
        let mut params: Params<f64> = Params::new(1);
        let options = ConvTranspose1dOptions { groups: 4, ..Default::default() };
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
                               1 group (at crates/nn/src/conv/"
    )]
    fn channels_that_do_not_fit_are_named() {
        let mut params: Params = Params::new(0);
        ConvTranspose2d::new(&mut params, "layer", 4, 6, 3).forward(Graph::new().zeros([3, 8, 8]));
    }

    #[test]
    #[should_panic(
        expected = "`ConvTranspose1d` of [1, 1, 1]: axis −1 must be long enough to leave something of the output \
                               without the padding [1] (at "
    )]
    fn padding_that_leaves_nothing_is_named() {
        let options = ConvTranspose1dOptions { padding: [1], ..Default::default() };
        ConvTranspose1d::with(&mut Params::<f32>::new(0), "layer", 1, 1, 2, options)
            .forward(Graph::new().zeros([1, 1, 1]));
    }
}
