//! Global pooling: the mean or the largest element of each channel, over the sequence or the plane; the axes disappear.
//!
//! PyTorch has it as adaptive pooling to one part, which keeps axes of size 1.

use gradus_graph::{Shape, Var};

use crate::layer::layer;

/// The mean of each channel of a sequence: `[…, C, L]` gives `[…, C]`.
pub type GlobalAvgPool1d = GlobalAvgPool<1>;

/// The mean of each channel of a plane: `[…, C, H, W]` gives `[…, C]`.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::{GlobalAvgPool2d, GlobalMaxPool2d};
/// let graph = Graph::new();
/// let x = graph.constant(&Tensor::new([1, 2, 1, 2], vec![1.0, 3.0, 5.0, 6.0]));
/// assert_eq!(graph.eval(GlobalAvgPool2d::new().forward(x))?.data(), [2.0, 5.5]);
/// assert_eq!(graph.eval(GlobalMaxPool2d::new().forward(x))?.data(), [3.0, 6.0]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Lin, Chen and Yan, "Network in network" (2014).
pub type GlobalAvgPool2d = GlobalAvgPool<2>;

/// The largest element of each channel of a sequence: `[…, C, L]` gives `[…, C]`.
pub type GlobalMaxPool1d = GlobalMaxPool<1>;

/// The largest element of each channel of a plane: `[…, C, H, W]` gives `[…, C]`.
pub type GlobalMaxPool2d = GlobalMaxPool<2>;

/// The mean over the last axes: [`GlobalAvgPool1d`] or [`GlobalAvgPool2d`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GlobalAvgPool<const AXES: usize>;

/// The largest element over the last axes: [`GlobalMaxPool1d`] or [`GlobalMaxPool2d`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GlobalMaxPool<const AXES: usize>;

/// The last axes, which must have elements and come after one of channels.
#[track_caller]
fn expect_pooled<const AXES: usize>(what: &str, shape: &Shape) -> [isize; AXES] {
    let fits = shape.rank() > AXES && !shape[shape.rank() - AXES..].contains(&0);
    assert!(fits, "`{what}` of {shape}: after an axis of channels there must be {AXES} with an element or more",);
    std::array::from_fn(|axis| axis as isize - AXES as isize)
}

impl<const AXES: usize> GlobalAvgPool<AXES> {
    /// The layer, which has no options.
    pub const fn new() -> Self {
        Self
    }

    /// The mean of each channel.
    ///
    /// # Panics
    /// If there is no axis of channels, or a channel has no elements.
    #[track_caller]
    pub fn forward<'g>(&self, x: Var<'g>) -> Var<'g> {
        let what = if AXES == 1 { "GlobalAvgPool1d" } else { "GlobalAvgPool2d" };
        x.mean_axes(expect_pooled::<AXES>(what, &x.shape()))
    }
}

impl<const AXES: usize> GlobalMaxPool<AXES> {
    /// The layer, which has no options.
    pub const fn new() -> Self {
        Self
    }

    /// The largest element of each channel; equal ones share the derivative equally.
    ///
    /// # Panics
    /// If there is no axis of channels, or a channel has no elements.
    #[track_caller]
    pub fn forward<'g>(&self, x: Var<'g>) -> Var<'g> {
        let what = if AXES == 1 { "GlobalMaxPool1d" } else { "GlobalMaxPool2d" };
        x.max_axes(expect_pooled::<AXES>(what, &x.shape()))
    }
}

layer!(GlobalAvgPool<AXES>, forward, const AXES: usize);

layer!(GlobalMaxPool<AXES>, forward, const AXES: usize);
#[cfg(test)]
mod tests {
    use gradus_graph::Graph;
    use gradus_graph::check::assert_gradients;

    use super::*;
    use crate::test_numbers::numbers;

    #[test]
    fn gradients() {
        let x = [numbers([2, 3, 4], 0)];
        assert_gradients(&x, |x| GlobalAvgPool1d::new().forward(x[0]).square());
        assert_gradients(&x, |x| GlobalAvgPool2d::new().forward(x[0]).square());
        assert_gradients(&x, |x| GlobalMaxPool1d::new().forward(x[0]).square());
        assert_gradients(&x, |x| GlobalMaxPool2d::new().forward(x[0]).square());
    }

    #[test]
    fn no_images_go_through() {
        let graph = Graph::new();
        let x = graph.zeros([0, 2, 3, 1]);
        for y in [GlobalAvgPool2d::new().forward(x), GlobalMaxPool2d::new().forward(x)] {
            assert_eq!(graph.eval(y).unwrap().shape().sizes(), [0, 2]);
        }
    }

    #[test]
    #[should_panic(
        expected = "`GlobalAvgPool2d` of [5, 3]: after an axis of channels there must be 2 with an element or more"
    )]
    fn an_axis_of_channels_is_needed() {
        GlobalAvgPool2d::new().forward(Graph::new().zeros([5, 3]));
    }
}
