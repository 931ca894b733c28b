//! Dropout of elements, of channels, and of features at all time steps.

use gradus_graph::{Shape, Var, expect_setting};

use crate::axis::resolve;
use crate::layer::{Mode, layer};

/// Sets elements to 0 at random in training: `y = x·m/(1 − p)` with a mask `m` that is 0 with probability `p` and
/// otherwise 1. In evaluation `y = x`.
///
/// The division keeps the mean, so that evaluation needs no scale ("inverted" dropout). The mask is a random leaf of
/// the graph: drawn anew at each step of a run, the same for the same seed and step, and the same in the derivative.
/// The layer has no `forward` without a [`Mode`].
///
/// # Shapes
/// Any; kept.
///
/// # Example
/// ```
/// use gradus_graph::Graph;
/// use gradus_nn::{Dropout, Mode};
/// let dropout = Dropout::new(0.2);
/// let graph = Graph::new();
/// let x = graph.ones([1000]);
/// assert_eq!(dropout.forward_in(x, Mode::Eval), x);
/// let dropped = graph.eval(dropout.forward_in(x, Mode::Train))?;
/// assert!(dropped.data().iter().all(|&y| y == 0.0 || y == 1.25));
/// let zeros = dropped.data().iter().filter(|&&y| y == 0.0).count();
/// assert!((150..250).contains(&zeros));
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting" (2014).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    probability: f64,
}

impl Dropout {
    /// Drops each element with the given probability.
    ///
    /// # Panics
    /// If the probability is not in `0..1`; 1 is excluded, since it leaves nothing.
    #[track_caller]
    pub fn new(probability: f64) -> Self {
        expect_probability("Dropout", probability);
        Self { probability }
    }

    /// `x·m/(1 − p)` in training, `x` in evaluation.
    #[track_caller]
    pub fn forward_in<'g>(&self, x: Var<'g>, mode: Mode) -> Var<'g> {
        if mode == Mode::Eval { x } else { drop(x, self.probability, x.shape()) }
    }
}

layer!(Dropout, forward_in);

/// Sets whole channels to 0 at random in training, as [`Dropout`] with one `m` for each channel: PyTorch's `Dropout1d`,
/// `Dropout2d` and `Dropout3d`.
///
/// For images, whose neighbouring elements are strongly correlated.
///
/// # Shapes
/// `[n, channels, …]`; kept. Unlike in PyTorch, the batch axis is required.
///
/// # Example
/// ```
/// use gradus_graph::Graph;
/// use gradus_nn::{ChannelDropout, Mode};
/// let graph = Graph::new();
/// let y = graph.eval(ChannelDropout::new(0.5).forward_in(graph.ones([2, 8, 3, 3]), Mode::Train))?;
/// assert!(y.data().chunks(9).all(|channel| channel == [0.0; 9] || channel == [2.0; 9]));
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Tompson et al., "Efficient object localization using convolutional networks" (2015).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChannelDropout {
    probability: f64,
}

impl ChannelDropout {
    /// Drops each channel with the given probability.
    ///
    /// # Panics
    /// If the probability is not in `0..1`.
    #[track_caller]
    pub fn new(probability: f64) -> Self {
        expect_probability("ChannelDropout", probability);
        Self { probability }
    }

    /// `x·m/(1 − p)` with one `m` a channel in training, `x` in evaluation.
    ///
    /// # Panics
    /// If there is no axis of channels.
    #[track_caller]
    pub fn forward_in<'g>(&self, x: Var<'g>, mode: Mode) -> Var<'g> {
        let shape = x.shape();
        assert!(shape.rank() >= 2, "`ChannelDropout` of {shape}: it takes channels, [n, channels, …]");
        if mode == Mode::Eval {
            return x;
        }
        let mask = shape.iter().enumerate().map(|(axis, &size)| if axis < 2 { size } else { 1 });
        drop(x, self.probability, mask.collect())
    }
}

layer!(ChannelDropout, forward_in);

/// Sets features of sequences to 0 at random in training, as [`Dropout`] with one `m` for all time steps: for the input
/// of a recurrent layer.
///
/// # Shapes
/// Any with the axis of time; kept.
///
/// # Example
/// ```
/// use gradus_graph::Graph;
/// use gradus_nn::{Mode, VariationalDropout};
/// let graph = Graph::new();
/// // Five time steps, two sequences, four features.
/// let y = graph.eval(VariationalDropout::new(0.5, 0).forward_in(graph.ones([5, 2, 4]), Mode::Train))?;
/// assert!(y.data().chunks(8).all(|time| time == &y.data()[..8]));
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Gal and Ghahramani, "A theoretically grounded application of dropout in recurrent neural networks" (2016).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VariationalDropout {
    probability: f64,
    axis: isize,
}

impl VariationalDropout {
    /// Drops each feature of each sequence with the given probability; `axis` is the axis of time.
    ///
    /// # Panics
    /// If the probability is not in `0..1`.
    #[track_caller]
    pub fn new(probability: f64, axis: isize) -> Self {
        expect_probability("VariationalDropout", probability);
        Self { probability, axis }
    }

    /// `x·m/(1 − p)` with one `m` for all times in training, `x` in evaluation.
    ///
    /// # Panics
    /// If there is no axis of time.
    #[track_caller]
    pub fn forward_in<'g>(&self, x: Var<'g>, mode: Mode) -> Var<'g> {
        let (shape, axis) = (x.shape(), self.axis);
        let Some(time) = resolve(axis, shape.rank()) else {
            panic!("`VariationalDropout` of {shape}: there is no axis {axis} of time");
        };
        if mode == Mode::Eval {
            return x;
        }
        let once: Shape = shape.iter().enumerate().map(|(k, &size)| if k == time { 1 } else { size }).collect();
        drop(x, self.probability, once)
    }
}

layer!(VariationalDropout, forward_in);

/// `x·m/(1 − p)` with a mask of the given shape, which broadcasts.
#[track_caller]
pub(crate) fn drop(x: Var<'_>, probability: f64, mask: Shape) -> Var<'_> {
    if probability == 0.0 {
        return x;
    }
    let kept = 1.0 - probability;
    x * (x.graph().bernoulli(kept, mask) * (1.0 / kept))
}

#[track_caller]
pub(crate) fn expect_probability(layer: &str, probability: f64) {
    expect_setting(&format!("`{layer}`: probability"), probability, 0.0..1.0);
}

#[cfg(test)]
mod tests {
    use gradus_graph::{Feed, Graph, Params, Tensor, check};

    use super::*;
    use crate::layer::Layer;

    #[test]
    fn the_mean_stays_and_the_mask_changes_with_the_step() {
        let graph = Graph::new();
        let y = Dropout::new(0.75).forward_in(graph.full([40_000], 3.0), Mode::Train);
        let at = |step: u64| {
            let feed = Feed::<f64>::new().random(0, step);
            graph.eval_with(&[y], &Params::new(0), &feed).unwrap()[0].real().clone()
        };
        let (first, second) = (at(0), at(1));
        assert!((first.data().iter().sum::<f64>() / 40_000.0 - 3.0).abs() < 0.1);
        assert_eq!(first, at(0));
        assert_ne!(first, second);
    }

    #[test]
    fn two_layers_draw_two_masks() {
        let graph = Graph::new();
        let (x, dropout) = (graph.ones([64]), Dropout::new(0.5));
        let [first, second] = [0, 1].map(|_| graph.eval(dropout.forward_in(x, Mode::Train)).unwrap());
        assert_ne!(first, second);
    }

    #[test]
    fn the_derivative_uses_the_mask_of_the_value() {
        let x = Tensor::from_fn([12], |k| k as f64 / 4.0 - 1.0);
        check::assert_gradients(&[x], |x| Dropout::new(0.5).forward_in(x[0], Mode::Train).square());
    }

    #[test]
    #[should_panic(expected = "`Dropout`: probability must be at least 0 and below 1, not 1")]
    fn everything_cannot_be_dropped() {
        Dropout::new(1.0);
    }

    #[test]
    fn channels_and_features_go_as_a_whole_and_the_mean_stays() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from_fn([100, 50, 2, 3], |_| 3.0));
        let layers: [&dyn Layer; 2] = [&ChannelDropout::new(0.25), &VariationalDropout::new(0.25, -1)];
        for layer in layers {
            assert_eq!(layer.forward_in(x, Mode::Eval), x);
            let y = graph.eval(layer.forward_in(x, Mode::Train)).unwrap();
            assert!((y.data().iter().sum::<f64>() / y.len() as f64 - 3.0).abs() < 0.1);
            assert!(y.data().chunks(3).all(|last| last == [0.0; 3] || last == [4.0; 3]));
        }
        let features = graph.eval(VariationalDropout::new(0.25, -1).forward_in(x, Mode::Train)).unwrap();
        assert!(features.data().chunks(6).any(|channel| channel[0] != channel[3]), "the other axes have their own");
        let none = graph.ones([0, 4, 2]);
        assert_eq!(graph.eval(ChannelDropout::new(0.5).forward_in(none, Mode::Train)).unwrap().len(), 0);
    }

    #[test]
    fn derivatives_of_shared_masks() {
        let x = [Tensor::from_fn([2, 3, 2], |k| k as f64 / 4.0 - 1.0)];
        check::assert_gradients(&x, |x| ChannelDropout::new(0.5).forward_in(x[0], Mode::Train).square());
        check::assert_gradients(&x, |x| VariationalDropout::new(0.5, 1).forward_in(x[0], Mode::Train).square());
    }

    #[test]
    #[should_panic(expected = "`VariationalDropout` of [3]: there is no axis 1 of time")]
    fn an_axis_that_is_not_there_is_named() {
        VariationalDropout::new(0.5, 1).forward_in(Graph::new().ones([3]), Mode::Eval);
    }

    #[test]
    #[should_panic(expected = "`ChannelDropout` of [3]: it takes channels, [n, channels, …]")]
    fn a_vector_has_no_channels() {
        ChannelDropout::new(0.5).forward_in(Graph::new().ones([3]), Mode::Eval);
    }
}
