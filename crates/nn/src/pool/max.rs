//! Max pooling.

use gradus_graph::{Span, Var};

use super::positions::{Positions, expect_windows};
use crate::conv::{Sizes, last, planes, rows_and_columns, unplaned};
use crate::layer::layer;

/// The largest element of each window of a sequence.
///
/// # Shapes
/// `[…, C, L]` gives `[…, C, (L + 2·padding − dilation·(kernel − 1) − 1)/stride + 1]`.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::MaxPool1d;
/// let graph = Graph::new();
/// let x = graph.constant(&Tensor::from_rows([[1.0, 5.0, 4.0, 2.0]]));
/// assert_eq!(graph.eval(MaxPool1d::new(2).forward(x))?.data(), [5.0, 4.0]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
pub type MaxPool1d = MaxPool<1>;

/// The largest element of each window of a plane.
///
/// # Shapes
/// `[…, C, H, W]` gives `[…, C, P, Q]`, with `P = (H + 2·padding − dilation·(kernel − 1) − 1)/stride + 1` and `Q`
/// likewise.
///
/// # Example
/// ```
/// use gradus_graph::Graph;
/// use gradus_nn::{MaxPool2d, MaxPool2dOptions};
/// let overlapping = MaxPool2dOptions::new().stride(2).padding(1);
/// let pool = MaxPool2d::with(3, overlapping);
/// assert_eq!(pool.forward(Graph::new().zeros([8, 64, 112, 112])).shape().sizes(), [8, 64, 56, 56]);
/// ```
pub type MaxPool2d = MaxPool<2>;

/// Max pooling along `AXES` axes, the largest element of each window: [`MaxPool1d`] or [`MaxPool2d`]. There are no
/// parameters.
///
/// Padding counts as −∞. Of equal elements the first of the window takes all of the derivative, as in PyTorch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool<const AXES: usize> {
    kernel: [usize; AXES],
    options: MaxPoolOptions<AXES>,
}

/// The options of a max pooling along one axis.
pub type MaxPool1dOptions = MaxPoolOptions<1>;

/// The options of a max pooling along two axes.
pub type MaxPool2dOptions = MaxPoolOptions<2>;

/// The options of a max pooling.
///
/// The default is that of PyTorch's `MaxPool2d`: the stride is the size of the window, the padding 0, the dilation 1.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::{MaxPool1d, MaxPool1dOptions};
/// let graph = Graph::new();
/// let x = graph.constant(&Tensor::from_rows([[1.0, 5.0, 4.0, 2.0]]));
/// let overlapping = MaxPool1d::with(3, MaxPool1dOptions::new().stride(1).padding(1));
/// assert_eq!(graph.eval(overlapping.forward(x))?.data(), [5.0, 5.0, 5.0, 4.0]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPoolOptions<const AXES: usize> {
    stride: Option<[usize; AXES]>,
    padding: [usize; AXES],
    dilation: [usize; AXES],
    ceil_mode: bool,
}

impl<const AXES: usize> Default for MaxPoolOptions<AXES> {
    fn default() -> Self {
        Self { stride: None, padding: [0; AXES], dilation: [1; AXES], ceil_mode: false }
    }
}

impl<const AXES: usize> MaxPoolOptions<AXES> {
    /// PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The distance from one window to the next, in elements; by default the size of the window.
    #[must_use]
    pub fn stride(self, stride: impl Into<Sizes<AXES>>) -> Self {
        Self { stride: Some(stride.into().0), ..self }
    }

    /// The number of elements of −∞ before and after the input, at most half of the window; by default 0.
    #[must_use]
    pub fn padding(self, padding: impl Into<Sizes<AXES>>) -> Self {
        Self { padding: padding.into().0, ..self }
    }

    /// The distance between neighbouring elements of a window; by default 1.
    #[must_use]
    pub fn dilation(self, dilation: impl Into<Sizes<AXES>>) -> Self {
        Self { dilation: dilation.into().0, ..self }
    }

    /// Also counts a last window that begins within the input and ends beyond it; by default it is left out.
    #[must_use]
    pub fn ceil_mode(self) -> Self {
        Self { ceil_mode: true, ..self }
    }
}

impl<const AXES: usize> MaxPool<AXES> {
    const NAME: &'static str = if AXES == 1 { "MaxPool1d" } else { "MaxPool2d" };

    /// Windows that do not overlap: the stride is the size of the kernel.
    ///
    /// # Panics
    /// If the kernel has a size of 0.
    #[track_caller]
    pub fn new(kernel: impl Into<Sizes<AXES>>) -> Self {
        Self::with(kernel, MaxPoolOptions::default())
    }

    /// Windows with other options.
    ///
    /// # Panics
    /// If the kernel, the stride or the dilation is 0 along an axis, or the padding more than half of the kernel.
    #[track_caller]
    pub fn with(kernel: impl Into<Sizes<AXES>>, options: MaxPoolOptions<AXES>) -> Self {
        let Sizes(kernel) = kernel.into();
        expect_windows(Self::NAME, &kernel, &options.stride.unwrap_or(kernel), &options.padding);
        let dilation = options.dilation;
        assert!(!dilation.contains(&0), "`{}`: the dilation is {dilation:?}; it must be at least 1", Self::NAME);
        Self { kernel, options }
    }

    /// The largest element of each window.
    ///
    /// # Panics
    /// If there is no axis of channels, the padded input is smaller than a window, or a window lies entirely in the
    /// padding.
    #[track_caller]
    pub fn forward<'g>(&self, x: Var<'g>) -> Var<'g> {
        self.forward_with_indices(x).0
    }

    /// The largest element of each window, and its index within the plane or the sequence: row times columns plus
    /// column. PyTorch's `return_indices`.
    ///
    /// # Panics
    /// As [`MaxPool::forward`].
    #[track_caller]
    pub fn forward_with_indices<'g>(&self, x: Var<'g>) -> (Var<'g>, Var<'g>) {
        let shape = x.shape();
        let sizes = if shape.rank() > AXES { last::<AXES>(&shape) } else { [0; AXES] };
        let mut along: [Vec<Span>; AXES] = [const { Vec::new() }; AXES];
        for (axis, spans) in along.iter_mut().enumerate() {
            let positions = Positions {
                size: sizes[axis],
                kernel: self.kernel[axis],
                stride: self.options.stride.unwrap_or(self.kernel)[axis],
                padding: self.options.padding[axis],
                dilation: self.options.dilation[axis],
                ceil: self.options.ceil_mode,
            };
            spans.extend((0..positions.count()).map(|position| {
                let (start, count) = positions.elements(position);
                Span { start, step: positions.dilation, count }
            }));
            assert!(
                !spans.is_empty() && spans.iter().all(|span| span.count > 0),
                "`{}` of {shape}: after an axis of channels, axis −{} must hold a window of {} with padding {} and \
                 dilation {}",
                Self::NAME,
                AXES - axis,
                positions.kernel,
                positions.padding,
                positions.dilation
            );
        }
        let [rows, columns] = rows_and_columns(along.each_ref().map(Vec::as_slice), &ONE_ROW);
        let (y, indices) = planes::<AXES>(x).max_pool(rows, columns);
        (unplaned::<AXES>(y, &shape), unplaned::<AXES>(indices, &shape))
    }
}

/// The one row of a sequence.
pub(super) const ONE_ROW: [Span; 1] = [Span { start: 0, step: 1, count: 1 }];

layer!(MaxPool<AXES>, forward, const AXES: usize);

#[cfg(test)]
mod tests {
    use gradus_graph::check::assert_gradients;
    use gradus_graph::{Graph, Tensor};

    use super::*;
    use crate::test_numbers::numbers;

    fn pools() -> Vec<MaxPool2d> {
        let plain = MaxPool2dOptions::new();
        vec![
            MaxPool2d::new(2),
            MaxPool2d::with([3, 2], plain.stride([1, 2]).padding(1)),
            MaxPool2d::with(2, plain.dilation([2, 3]).stride(1)),
            MaxPool2d::with(2, plain.ceil_mode().stride([3, 2]).padding([0, 1])),
        ]
    }

    #[test]
    fn values_are_those_of_windows_over_minus_infinity() {
        let graph = Graph::new();
        for pool in pools() {
            let x = numbers([2, 3, 5, 6], 0);
            let y = graph.eval(pool.forward(graph.constant(&x))).unwrap();
            let (stride, options) = (pool.options.stride.unwrap_or(pool.kernel), pool.options);
            let expected = Tensor::from_fn(y.shape().clone(), |k| {
                let (columns, rows) = (y.shape()[3], y.shape()[2]);
                let (q, p, plane) = (k % columns, k / columns % rows, k / columns / rows);
                let mut largest = f64::NEG_INFINITY;
                for (i, j) in (0..pool.kernel[0]).flat_map(|i| (0..pool.kernel[1]).map(move |j| (i, j))) {
                    let row = (p * stride[0] + i * options.dilation[0]).wrapping_sub(options.padding[0]);
                    let column = (q * stride[1] + j * options.dilation[1]).wrapping_sub(options.padding[1]);
                    if row < 5 && column < 6 {
                        largest = largest.max(x.data()[(plane * 5 + row) * 6 + column]);
                    }
                }
                largest
            });
            assert_eq!(y, expected, "{pool:?}");
        }
    }

    #[test]
    fn gradients_of_every_option() {
        for pool in pools() {
            assert_gradients(&[numbers([2, 1, 4, 5], 0)], |x| pool.forward(x[0]).square());
        }
        let pool = MaxPool1d::with(3, MaxPool1dOptions::new().stride(2).padding(1));
        assert_gradients(&[numbers([3, 6], 0)], |x| pool.forward(x[0]).square());
    }

    #[test]
    fn places_are_within_the_plane() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::new([1, 1, 2, 4], vec![0.0, 3.0, 1.0, 2.0, 5.0, 4.0, 6.0, 7.0]));
        let (_, indices) = MaxPool2d::new(2).forward_with_indices(x);
        assert_eq!(graph.eval(indices.to_real()).unwrap().data(), [4.0, 7.0]);
    }

    #[test]
    fn no_images_and_single_elements_go_through() {
        let graph = Graph::new();
        let y = MaxPool2d::new(2).forward(graph.zeros([0, 3, 4, 4]));
        assert_eq!(graph.eval(y).unwrap().shape().sizes(), [0, 3, 2, 2]);
        assert_eq!(graph.eval(MaxPool1d::new(1).forward(graph.ones([1, 1]))).unwrap().data(), [1.0]);
    }

    #[test]
    #[should_panic(
        expected = "`MaxPool2d` of [3, 4, 2]: after an axis of channels, axis −1 must hold a window of 3 with \
                               padding 0 and dilation 1"
    )]
    fn what_is_too_small_for_a_window_is_named() {
        MaxPool2d::new(3).forward(Graph::new().zeros([3, 4, 2]));
    }

    #[test]
    #[should_panic(expected = "`MaxPool1d`: the padding [2] must be at most half of the kernel [3]")]
    fn padding_is_at_most_half_of_the_window() {
        MaxPool1d::with(3, MaxPool1dOptions::new().padding(2));
    }
}
