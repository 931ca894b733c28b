//! Average pooling.

use gradus_graph::{Convolution, Tensor, Var};

use super::positions::{Positions, expect_windows};
use crate::conv::{Sizes, last, planes, rows_and_columns, unplaned};
use crate::layer::layer;

/// The mean of each window of a sequence.
///
/// # Shapes
/// `[…, C, L]` gives `[…, C, (L + 2·padding − kernel)/stride + 1]`.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::AvgPool1d;
/// let graph = Graph::new();
/// let x = graph.constant(&Tensor::from_rows([[1.0, 5.0, 4.0, 2.0]]));
/// assert_eq!(graph.eval(AvgPool1d::new(2).forward(x))?.data(), [3.0, 3.0]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
pub type AvgPool1d = AvgPool<1>;

/// The mean of each window of a plane.
///
/// # Shapes
/// `[…, C, H, W]` gives `[…, C, P, Q]`, with `P = (H + 2·padding − kernel)/stride + 1` and `Q` likewise.
///
/// # Example
/// ```
/// use gradus_graph::Graph;
/// use gradus_nn::AvgPool2d;
/// let graph = Graph::new();
/// let y = AvgPool2d::new([2, 4]).forward(graph.zeros([8, 64, 28, 28]));
/// assert_eq!(y.shape().sizes(), [8, 64, 14, 7]);
/// ```
pub type AvgPool2d = AvgPool<2>;

/// Average pooling along `AXES` axes, the mean of each window: [`AvgPool1d`] or [`AvgPool2d`]. There are no parameters.
///
/// Zeros of the padding count as elements unless [`AvgPoolOptions::exclude_padding`] is set; positions beyond the
/// padding never count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AvgPool<const AXES: usize> {
    kernel: [usize; AXES],
    options: AvgPoolOptions<AXES>,
}

/// The options of an average pooling along one axis.
pub type AvgPool1dOptions = AvgPoolOptions<1>;

/// The options of an average pooling along two axes.
pub type AvgPool2dOptions = AvgPoolOptions<2>;

/// The options of an average pooling.
///
/// The default is that of PyTorch's `AvgPool2d`: the stride is the size of the window, the padding 0, and its zeros
/// count.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::{AvgPool1d, AvgPool1dOptions};
/// let graph = Graph::new();
/// let x = graph.constant(&Tensor::from_rows([[1.0, 5.0, 4.0, 2.0]]));
/// let options = AvgPool1dOptions::new().padding(1);
/// assert_eq!(graph.eval(AvgPool1d::with(2, options).forward(x))?.data(), [0.5, 4.5, 1.0]);
/// assert_eq!(graph.eval(AvgPool1d::with(2, options.exclude_padding()).forward(x))?.data(), [1.0, 4.5, 2.0]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AvgPoolOptions<const AXES: usize> {
    stride: Option<[usize; AXES]>,
    padding: [usize; AXES],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: Option<usize>,
}

impl<const AXES: usize> Default for AvgPoolOptions<AXES> {
    fn default() -> Self {
        Self { stride: None, padding: [0; AXES], ceil_mode: false, count_include_pad: true, divisor: None }
    }
}

impl<const AXES: usize> AvgPoolOptions<AXES> {
    /// PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The distance from one window to the next, in elements; by default the size of the window.
    #[must_use]
    pub fn stride(self, stride: impl Into<Sizes<AXES>>) -> Self {
        Self { stride: Some(stride.into().0), ..self }
    }

    /// The number of zeros before and after the input, at most half of the window; by default 0.
    #[must_use]
    pub fn padding(self, padding: impl Into<Sizes<AXES>>) -> Self {
        Self { padding: padding.into().0, ..self }
    }

    /// Also counts a last window that begins within the input and ends beyond it; by default it is left out.
    #[must_use]
    pub fn ceil_mode(self) -> Self {
        Self { ceil_mode: true, ..self }
    }

    /// Divides by the number of elements of the input in a window; by default the zeros of the padding count as
    /// elements too. PyTorch's `count_include_pad=False`.
    #[must_use]
    pub fn exclude_padding(self) -> Self {
        Self { count_include_pad: false, ..self }
    }

    /// Divides the sum of every window by this number; by default by the number of its elements.
    #[must_use]
    pub fn divisor(self, divisor: usize) -> Self {
        Self { divisor: Some(divisor), ..self }
    }
}

impl<const AXES: usize> AvgPool<AXES> {
    const NAME: &'static str = if AXES == 1 { "AvgPool1d" } else { "AvgPool2d" };

    /// Windows that do not overlap: the stride is the size of the kernel.
    ///
    /// # Panics
    /// If the kernel has a size of 0.
    #[track_caller]
    pub fn new(kernel: impl Into<Sizes<AXES>>) -> Self {
        Self::with(kernel, AvgPoolOptions::default())
    }

    /// Windows with other options.
    ///
    /// # Panics
    /// If the kernel, the stride or the divisor is 0, or the padding more than half of the kernel.
    #[track_caller]
    pub fn with(kernel: impl Into<Sizes<AXES>>, options: AvgPoolOptions<AXES>) -> Self {
        let Sizes(kernel) = kernel.into();
        expect_windows(Self::NAME, &kernel, &options.stride.unwrap_or(kernel), &options.padding);
        assert!(
            options.divisor != Some(0),
            "`{}`: the divisor is 0; by default it is the number of elements",
            Self::NAME
        );
        Self { kernel, options }
    }

    /// The mean of each window.
    ///
    /// # Panics
    /// If there is no axis of channels, or the padded input is smaller than a window.
    #[track_caller]
    pub fn forward<'g>(&self, x: Var<'g>) -> Var<'g> {
        let shape = x.shape();
        let stride = self.options.stride.unwrap_or(self.kernel);
        let sizes = if shape.rank() > AXES { last::<AXES>(&shape) } else { [0; AXES] };
        let along: [Positions; AXES] = std::array::from_fn(|axis| Positions {
            size: sizes[axis],
            kernel: self.kernel[axis],
            stride: stride[axis],
            padding: self.options.padding[axis],
            dilation: 1,
            ceil: self.options.ceil_mode,
        });
        for (axis, positions) in along.iter().enumerate() {
            assert!(
                positions.count() > 0 && positions.size > 0,
                "`{}` of {shape}: after an axis of channels, axis −{} must hold a window of {} with padding {}",
                Self::NAME,
                AXES - axis,
                positions.kernel,
                positions.padding
            );
        }
        let row = Positions { size: 1, kernel: 1, stride: 1, padding: 0, dilation: 1, ceil: false };
        let along = rows_and_columns(along, row);
        let convolution = Convolution {
            stride: along.map(|axis| axis.stride),
            padding: along.map(|axis| {
                let end = (axis.count() - 1) * axis.stride + axis.kernel;
                [axis.padding, end.saturating_sub(axis.size + axis.padding)]
            }),
            ..Convolution::default()
        };
        let graph = x.graph();
        let whole = planes::<AXES>(x);
        // Each plane is an image of one channel.
        let shape_of_planes = whole.shape();
        let [images, channels, height, width] = [0, 1, 2, 3].map(|axis| shape_of_planes[axis]);
        let ones = graph.ones([1, 1, along[0].kernel, along[1].kernel]);
        let counts = along.map(|axis| axis.count());
        let sums = whole.reshape([images * channels, 1, height, width]).conv(ones, convolution);
        let means = sums.reshape([images, channels, counts[0], counts[1]]) * self.factors(graph, along);
        unplaned::<AXES>(means, &shape)
    }

    /// The factors of the sums: a number, or `[rows, columns]`.
    #[track_caller]
    fn factors<'g>(&self, graph: &'g gradus_graph::Graph, along: [Positions; 2]) -> Var<'g> {
        let counted = |axis: Positions, position| match self.options.count_include_pad {
            true => axis.with_padding(position),
            false => axis.elements(position).1,
        };
        let counts = along.map(|axis| axis.count());
        let factor = |k: usize| {
            let elements = counted(along[0], k / counts[1]) * counted(along[1], k % counts[1]);
            1.0 / self.options.divisor.unwrap_or(elements) as f64
        };
        let all = Tensor::from_fn(counts, factor);
        if all.data().iter().all(|other| *other == all.data()[0]) {
            return graph.full([], all.data()[0]);
        }
        graph.constant(&all)
    }
}

layer!(AvgPool<AXES>, forward, const AXES: usize);

#[cfg(test)]
mod tests {
    use gradus_graph::Graph;
    use gradus_graph::check::assert_gradients;

    use super::*;
    use crate::test_numbers::numbers;

    fn pools() -> Vec<AvgPool2d> {
        let plain = AvgPool2dOptions::new();
        let padded = plain.stride([1, 2]).padding(1);
        vec![
            AvgPool2d::new(2),
            AvgPool2d::with([3, 2], padded),
            AvgPool2d::with([3, 2], padded.exclude_padding()),
            AvgPool2d::with(2, plain.ceil_mode().stride([3, 2]).padding([0, 1])),
            AvgPool2d::with(3, plain.ceil_mode().exclude_padding().padding(1)),
            AvgPool2d::with(2, plain.divisor(7)),
        ]
    }

    #[test]
    fn values_are_means_of_windows() {
        let graph = Graph::new();
        for pool in pools() {
            let x = numbers([2, 3, 5, 6], 0);
            let y = graph.eval(pool.forward(graph.constant(&x))).unwrap();
            let (stride, options) = (pool.options.stride.unwrap_or(pool.kernel), pool.options);
            let expected = Tensor::from_fn(y.shape().clone(), |k| {
                let (columns, rows) = (y.shape()[3], y.shape()[2]);
                let (q, p, plane) = (k % columns, k / columns % rows, k / columns / rows);
                let (mut sum, mut count) = (0.0, 0);
                for (i, j) in (0..pool.kernel[0]).flat_map(|i| (0..pool.kernel[1]).map(move |j| (i, j))) {
                    let (row, column) = (p * stride[0] + i, q * stride[1] + j);
                    let inside = row >= options.padding[0] && column >= options.padding[1];
                    let (row, column) = (row.wrapping_sub(options.padding[0]), column.wrapping_sub(options.padding[1]));
                    if inside && row < 5 && column < 6 {
                        sum += x.data()[(plane * 5 + row) * 6 + column];
                        count += 1;
                    } else if options.count_include_pad
                        && p * stride[0] + i < 5 + 2 * options.padding[0]
                        && q * stride[1] + j < 6 + 2 * options.padding[1]
                    {
                        count += 1;
                    }
                }
                sum / options.divisor.unwrap_or(count) as f64
            });
            assert!(y.is_close(&expected, 1e-13, 1e-13), "{pool:?}: {y} {expected}");
        }
    }

    #[test]
    fn gradients_of_every_option() {
        for pool in pools() {
            assert_gradients(&[numbers([2, 1, 4, 5], 0)], |x| pool.forward(x[0]).square());
        }
        let pool = AvgPool1d::with(3, AvgPool1dOptions::new().stride(2).padding(1));
        assert_gradients(&[numbers([3, 6], 0)], |x| pool.forward(x[0]).square());
    }

    #[test]
    fn no_images_and_single_elements_go_through() {
        let graph = Graph::new();
        let y = AvgPool2d::new(2).forward(graph.zeros([0, 3, 4, 4]));
        assert_eq!(graph.eval(y).unwrap().shape().sizes(), [0, 3, 2, 2]);
        assert_eq!(graph.eval(AvgPool1d::new(1).forward(graph.ones([1, 1]))).unwrap().data(), [1.0]);
    }

    #[test]
    #[should_panic(
        expected = "`AvgPool1d` of [4]: after an axis of channels, axis −1 must hold a window of 3 with padding 0"
    )]
    fn an_axis_of_channels_is_needed() {
        AvgPool1d::new(3).forward(Graph::new().zeros([4]));
    }
}
