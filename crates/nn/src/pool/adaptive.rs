//! Adaptive pooling: the mean or the largest element of equal parts of each axis.

use gradus_graph::{Shape, Span, Tensor, Var};

use super::max::ONE_ROW;
use crate::conv::{Sizes, last, planes, rows_and_columns, unplaned};
use crate::layer::layer;

/// The mean of each of a number of parts of a sequence.
///
/// # Shapes
/// `[…, C, L]` gives `[…, C, parts]`.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::AdaptiveAvgPool1d;
/// let graph = Graph::new();
/// let x = graph.constant(&Tensor::from_rows([[1.0, 5.0, 4.0, 2.0]]));
/// assert_eq!(graph.eval(AdaptiveAvgPool1d::new(2).forward(x))?.data(), [3.0, 3.0]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
pub type AdaptiveAvgPool1d = AdaptiveAvgPool<1>;

/// The mean of each of a number of parts of a plane.
///
/// # Shapes
/// `[…, C, H, W]` gives `[…, C, rows, columns]`.
///
/// # Example
/// ```
/// use gradus_graph::Graph;
/// use gradus_nn::AdaptiveAvgPool2d;
/// let graph = Graph::new();
/// let y = AdaptiveAvgPool2d::new([7, 5]).forward(graph.zeros([8, 64, 20, 31]));
/// assert_eq!(y.shape().sizes(), [8, 64, 7, 5]);
/// ```
pub type AdaptiveAvgPool2d = AdaptiveAvgPool<2>;

/// The largest element of each of a number of parts of a sequence.
///
/// # Shapes
/// `[…, C, L]` gives `[…, C, parts]`.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::AdaptiveMaxPool1d;
/// let graph = Graph::new();
/// let x = graph.constant(&Tensor::from_rows([[1.0, 5.0, 4.0]]));
/// assert_eq!(graph.eval(AdaptiveMaxPool1d::new(2).forward(x))?.data(), [5.0, 5.0]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
pub type AdaptiveMaxPool1d = AdaptiveMaxPool<1>;

/// The largest element of each of a number of parts of a plane.
///
/// # Shapes
/// `[…, C, H, W]` gives `[…, C, rows, columns]`.
///
/// # Example
/// ```
/// use gradus_graph::Graph;
/// use gradus_nn::AdaptiveMaxPool2d;
/// let graph = Graph::new();
/// let y = AdaptiveMaxPool2d::new(1).forward(graph.zeros([8, 64, 20, 31]));
/// assert_eq!(y.shape().sizes(), [8, 64, 1, 1]);
/// ```
pub type AdaptiveMaxPool2d = AdaptiveMaxPool<2>;

/// Means of parts along `AXES` axes: [`AdaptiveAvgPool1d`] or [`AdaptiveAvgPool2d`].
///
/// Part `i` of `n` of an axis of `size` elements goes from `⌊i·size/n⌋` to before `⌈(i + 1)·size/n⌉`, so that parts of
/// unequal sizes overlap by an element, as in PyTorch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdaptiveAvgPool<const AXES: usize> {
    parts: [usize; AXES],
}

/// Largest elements of parts along `AXES` axes: [`AdaptiveMaxPool1d`] or [`AdaptiveMaxPool2d`]. The parts are those of
/// [`AdaptiveAvgPool`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdaptiveMaxPool<const AXES: usize> {
    parts: [usize; AXES],
}

/// The parts of an axis.
fn spans(size: usize, parts: usize) -> Vec<Span> {
    let part = |i: usize| {
        let start = i * size / parts;
        Span { start, step: 1, count: ((i + 1) * size).div_ceil(parts) - start }
    };
    (0..parts).map(part).collect()
}

/// The sizes of the last axes of a shape that can be divided into parts.
#[track_caller]
fn expect_divisible<const AXES: usize>(what: &str, shape: &Shape) -> [usize; AXES] {
    let sizes = if shape.rank() > AXES { last::<AXES>(shape) } else { [0; AXES] };
    assert!(
        !sizes.contains(&0),
        "`{what}` of {shape}: after an axis of channels there must be {AXES} with an element or more",
    );
    sizes
}

/// The matrix whose product with an axis is the mean of each of its parts.
fn means(size: usize, parts: usize) -> Tensor<f64> {
    let mut matrix: Tensor<f64> = Tensor::zeros([parts, size]);
    for (row, span) in spans(size, parts).into_iter().enumerate() {
        matrix.data_mut()[row * size + span.start..][..span.count].fill(1.0 / span.count as f64);
    }
    matrix
}

impl<const AXES: usize> AdaptiveAvgPool<AXES> {
    const NAME: &'static str = if AXES == 1 { "AdaptiveAvgPool1d" } else { "AdaptiveAvgPool2d" };

    /// Divides each axis into `parts` parts.
    pub fn new(parts: impl Into<Sizes<AXES>>) -> Self {
        Self { parts: parts.into().0 }
    }

    /// The mean of each part.
    ///
    /// # Panics
    /// If there is no axis of channels, or an axis has no elements.
    #[track_caller]
    pub fn forward<'g>(&self, x: Var<'g>) -> Var<'g> {
        let (graph, sizes) = (x.graph(), expect_divisible::<AXES>(Self::NAME, &x.shape()));
        // Products with constant matrices. Columns first: that is one product, and leaves less for the others.
        let mut y = x.matmul(graph.constant(&means(sizes[AXES - 1], self.parts[AXES - 1])).t());
        if AXES == 2 {
            y = graph.constant(&means(sizes[0], self.parts[0])).matmul(y);
        }
        y
    }
}

impl<const AXES: usize> AdaptiveMaxPool<AXES> {
    const NAME: &'static str = if AXES == 1 { "AdaptiveMaxPool1d" } else { "AdaptiveMaxPool2d" };

    /// Divides each axis into `parts` parts.
    pub fn new(parts: impl Into<Sizes<AXES>>) -> Self {
        Self { parts: parts.into().0 }
    }

    /// The largest element of each part; of equal ones the first takes all of the derivative.
    ///
    /// # Panics
    /// If there is no axis of channels, or an axis has no elements.
    #[track_caller]
    pub fn forward<'g>(&self, x: Var<'g>) -> Var<'g> {
        let shape = x.shape();
        let sizes = expect_divisible::<AXES>(Self::NAME, &shape);
        let along: [Vec<Span>; AXES] = std::array::from_fn(|axis| spans(sizes[axis], self.parts[axis]));
        let [rows, columns] = rows_and_columns(along.each_ref().map(Vec::as_slice), &ONE_ROW);
        unplaned::<AXES>(planes::<AXES>(x).max_pool(rows, columns).0, &shape)
    }
}

layer!(AdaptiveAvgPool<AXES>, forward, const AXES: usize);

layer!(AdaptiveMaxPool<AXES>, forward, const AXES: usize);
#[cfg(test)]
mod tests {
    use gradus_graph::Graph;
    use gradus_graph::check::assert_gradients;

    use super::*;
    use crate::test_numbers::numbers;

    #[test]
    fn parts_are_pytorchs() {
        let ends = |size, parts| spans(size, parts).iter().map(|s| (s.start, s.start + s.count)).collect::<Vec<_>>();
        assert_eq!(ends(7, 3), [(0, 3), (2, 5), (4, 7)]);
        assert_eq!(ends(2, 3), [(0, 1), (0, 2), (1, 2)]);
        assert_eq!(ends(4, 1), [(0, 4)]);
    }

    #[test]
    fn values_are_means_and_largest_elements_of_parts() {
        let (graph, x) = (Graph::new(), numbers([2, 3, 5, 7], 0));
        let input = graph.constant(&x);
        let (mean, largest) =
            (AdaptiveAvgPool2d::new([2, 3]).forward(input), AdaptiveMaxPool2d::new([2, 3]).forward(input));
        let (mean, largest) = (graph.eval(mean).unwrap(), graph.eval(largest).unwrap());
        let (rows, columns) = ([(0, 3), (2, 5)], [(0, 3), (2, 5), (4, 7)]);
        for k in 0..mean.len() {
            let ((top, bottom), (left, right)) = (rows[k / 3 % 2], columns[k % 3]);
            let part: Vec<f64> = (top..bottom)
                .flat_map(|row| (left..right).map(move |column| (row, column)))
                .map(|(row, column)| x.data()[(k / 6 * 5 + row) * 7 + column])
                .collect();
            assert!((mean.data()[k] - part.iter().sum::<f64>() / part.len() as f64).abs() < 1e-14);
            assert_eq!(largest.data()[k], part.into_iter().fold(f64::NEG_INFINITY, f64::max));
        }
    }

    #[test]
    fn gradients() {
        let x = [numbers([2, 3, 4], 0)];
        assert_gradients(&x, |x| AdaptiveAvgPool1d::new(3).forward(x[0]).square());
        assert_gradients(&x, |x| AdaptiveAvgPool2d::new([2, 3]).forward(x[0]).square());
        assert_gradients(&x, |x| AdaptiveMaxPool1d::new(3).forward(x[0]).square());
        assert_gradients(&x, |x| AdaptiveMaxPool2d::new([2, 3]).forward(x[0]).square());
    }

    #[test]
    fn no_images_go_through() {
        let graph = Graph::new();
        let x = graph.zeros([0, 2, 3, 3]);
        for y in [AdaptiveAvgPool2d::new(2).forward(x), AdaptiveMaxPool2d::new(2).forward(x)] {
            assert_eq!(graph.eval(y).unwrap().shape().sizes(), [0, 2, 2, 2]);
        }
    }

    #[test]
    #[should_panic(
        expected = "`AdaptiveAvgPool2d` of [2, 0, 3]: after an axis of channels there must be 2 with an element or \
                               more"
    )]
    fn an_axis_without_elements_is_named() {
        AdaptiveAvgPool2d::new(2).forward(Graph::new().zeros([2, 0, 3]));
    }
}
