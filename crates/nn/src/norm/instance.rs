//! Instance normalisation.

use gradus_graph::{Param, Params, Real, Shape, Var, expect_setting};

use super::affine::Affine;
use super::group::expect_channels;
use super::running::Running;
use crate::init::Init;
use crate::layer::{Mode, layer};

/// `y = (x − mean)/√(variance + eps)·w + b`, with mean and biased variance of each channel of each example.
///
/// With running statistics, evaluation normalises by them, and training updates them by the batch's average of the
/// means and of the unbiased variances, as in PyTorch.
///
/// PyTorch's `InstanceNorm1d`, `2d` and `3d` in one. It has no `forward` without a [`Mode`], because evaluation uses
/// the running statistics if there are any; without them, which is the default, both modes give the same.
///
/// # Shapes
/// `[N, C, …]` keeps its shape, with one or more axes after the channels. The parameters, if there are, are
/// `name.weight` and `name.bias`, the buffers `name.running_mean` and `name.running_var`, all `[C]`, and
/// `name.num_batches_tracked` without axes, which stays 0, as in PyTorch.
///
/// # Example
/// ```
/// use gradus_graph::{Feed, Graph, Params, Tensor};
/// use gradus_nn::{InstanceNorm, Mode};
/// let mut params: Params<f64> = Params::new(0);
/// let norm = InstanceNorm::new(&mut params, "norm", 2);
/// let graph = Graph::new();
/// let x = graph.constant(&Tensor::new([1, 2, 2], vec![1.0, 3.0, 100.0, 300.0]));
/// let value = graph.eval_with(&[norm.forward_in(x, Mode::Eval)], &params, &Feed::new())?;
/// value[0].real().assert_close(&Tensor::new([1, 2, 2], vec![-1.0, 1.0, -1.0, 1.0]), 1e-5, 0.0);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Ulyanov, Vedaldi and Lempitsky, "Instance normalization: the missing ingredient for fast stylization" (2016).
#[derive(Clone, Debug)]
pub struct InstanceNorm {
    name: String,
    channels: usize,
    eps: f64,
    momentum: f64,
    affine: Affine,
    running: Option<Running>,
}

/// The options of an instance normalisation.
///
/// The default is that of PyTorch's `InstanceNorm2d`: `eps` 1e-5, no weight, no bias, no running statistics.
///
/// # Example
/// ```
/// use gradus_graph::Params;
/// use gradus_nn::{Init, InstanceNorm, InstanceNormOptions};
/// let mut params: Params = Params::new(0);
/// let options = InstanceNormOptions::new().weight(Init::ones()).bias(Init::zeros());
/// InstanceNorm::with(&mut params, "norm", 8, options);
/// assert_eq!(params.count(), 16);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InstanceNormOptions {
    eps: f64,
    momentum: f64,
    weight: Option<Init>,
    bias: Option<Init>,
    running: bool,
}

impl Default for InstanceNormOptions {
    fn default() -> Self {
        Self { eps: 1e-5, momentum: 0.1, weight: None, bias: None, running: false }
    }
}

impl InstanceNormOptions {
    /// PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number added to the variance; 1e-5 by default.
    #[must_use]
    pub fn eps(self, eps: f64) -> Self {
        Self { eps, ..self }
    }

    /// The share of a batch in the running statistics, from 0 to 1; 0.1 by default.
    #[must_use]
    pub fn momentum(self, momentum: f64) -> Self {
        Self { momentum, ..self }
    }

    /// The initial weight of each channel; by default there is no weight.
    #[must_use]
    pub fn weight(self, weight: Init) -> Self {
        Self { weight: Some(weight), ..self }
    }

    /// The initial bias of each channel; by default there is no bias.
    #[must_use]
    pub fn bias(self, bias: Init) -> Self {
        Self { bias: Some(bias), ..self }
    }

    /// Keeps running statistics, by which evaluation normalises; by default there are none. PyTorch's
    /// `track_running_stats=True`.
    #[must_use]
    pub fn running(self) -> Self {
        Self { running: true, ..self }
    }
}

impl InstanceNorm {
    /// Adds a normalisation of `channels` channels, without parameters.
    #[track_caller]
    pub fn new(params: &mut Params<impl Real>, name: &str, channels: usize) -> Self {
        Self::with(params, name, channels, InstanceNormOptions::new())
    }

    /// Adds a normalisation with other options.
    ///
    /// # Panics
    /// If the scope `name` has a parameter or buffer of the layer already.
    #[track_caller]
    pub fn with(params: &mut Params<impl Real>, name: &str, channels: usize, options: InstanceNormOptions) -> Self {
        let InstanceNormOptions { eps, momentum, weight, bias, running } = options;
        expect_setting("`InstanceNorm`: eps", eps, 0.0..);
        expect_setting("`InstanceNorm`: momentum", momentum, 0.0..=1.0);
        let mut scope = params.enter(name);
        let params = &mut *scope;
        let affine = Affine::new(params, &Shape::from(channels), weight, bias);
        let running = if running { Some(Running::new(params, channels)) } else { None };
        Self { name: name.to_owned(), channels, eps, momentum, affine, running }
    }

    /// The scale of each channel, if there is one.
    pub fn weight(&self) -> Option<&Param> {
        self.affine.weight.as_ref()
    }

    /// The shift of each channel, if there is one.
    pub fn bias(&self) -> Option<&Param> {
        self.affine.bias.as_ref()
    }

    /// The buffers of the running mean and variance, if there are.
    pub fn running(&self) -> Option<(&Param, &Param)> {
        self.running.as_ref().map(|running| (&running.mean, &running.variance))
    }

    /// `(x − mean)/√(variance + eps)·w + b`; in training also records the update of the running statistics, if there
    /// are any.
    ///
    /// An empty batch leaves the running statistics as they are.
    ///
    /// # Panics
    /// If the second axis of `x` is not that of the channels, no axis follows it, or a channel of an example is
    /// normalised by itself and has a single element.
    #[track_caller]
    pub fn forward_in<'g>(&self, x: Var<'g>, mode: Mode) -> Var<'g> {
        let (graph, shape) = (x.graph(), x.shape());
        expect_channels("InstanceNorm", &shape, self.channels);
        let size: usize = shape[2..].iter().product();
        let _scope = graph.scope(&self.name);
        let y = match (&self.running, mode) {
            (Some(running), Mode::Eval) => running.standardize(x, self.eps),
            (running, _) => {
                assert!(
                    shape.rank() > 2 && size != 1,
                    "`InstanceNorm` of {shape}: each channel of an example must have more than one element to be \
                     normalised by itself"
                );
                let (one, zero) = (graph.scalar(1.0), graph.scalar(0.0));
                let rows = x.reshape([shape[0], self.channels, size]);
                let [y, mean, variance] = rows.normalize(-1, self.eps, one, zero);
                if let Some(running) = running.as_ref().filter(|_| shape[0] * size > 0) {
                    let unbiased = variance * (size as f64 / (size as f64 - 1.0));
                    running.follow(mean.mean_axes(0), unbiased.mean_axes(0), graph.scalar(self.momentum));
                }
                y.reshape(shape)
            }
        };
        self.affine.apply_to_channels(y)
    }
}

layer!(InstanceNorm, forward_in);

#[cfg(test)]
mod tests {
    use gradus_graph::{Feed, Graph, Tensor, check};

    use super::*;
    use crate::norm::plain_loops::{by_hand, moments, moved};
    use crate::test_numbers::numbers;

    fn options(eps: f64, running: bool) -> InstanceNormOptions {
        let options = InstanceNormOptions { running, ..InstanceNormOptions::new() };
        options.eps(eps).momentum(0.25).weight(Init::ones()).bias(Init::zeros())
    }

    #[test]
    fn values_agree_with_plain_loops_in_both_modes() {
        for shape in [vec![2, 3, 4], vec![1, 3, 2, 2], vec![2, 3, 1, 2, 1]] {
            let mut params: Params<f64> = Params::new(1);
            let norm = InstanceNorm::with(&mut params, "norm", 3, options(0.5, false));
            moved(&mut params);
            let (w, b) = (params.get(norm.weight().unwrap()), params.get(norm.bias().unwrap()));
            let (x, inner) = (numbers(shape.clone(), 0), shape[2..].iter().product::<usize>());
            let plain = by_hand(&x, |k| k / inner, 0.5);
            let value = |k: usize| plain[k] * w.data()[k / inner % 3] + b.data()[k / inner % 3];
            let expected = Tensor::from_fn(shape, value);
            for mode in [Mode::Train, Mode::Eval] {
                let graph = Graph::new();
                let y = norm.forward_in(graph.constant(&x), mode);
                let found = graph.eval_with(&[y], &params, &Feed::new()).unwrap();
                found[0].real().assert_close(&expected, 1e-13, 1e-13);
            }
        }
    }

    #[test]
    fn running_statistics_are_the_average_over_examples() {
        let mut params: Params<f64> = Params::new(1);
        let norm = InstanceNorm::with(&mut params, "norm", 3, options(1e-5, true));
        let x = numbers([2, 3, 4], 0);
        let graph = Graph::new();
        norm.forward_in(graph.constant(&x), Mode::Train);
        let updates = graph.updates();
        let vars: Vec<Var<'_>> = updates.iter().map(|(_, value)| *value).collect();
        let found = graph.eval_with(&vars, &params, &Feed::new()).unwrap();
        let (mean, variance, _) = moments(&x, |k| k / 4);
        let average = |values: &[f64], c: usize| (values[c] + values[c + 3]) / 2.0;
        let expected = Tensor::from_fn([3], |c| 0.25 * average(&mean, c));
        found[0].real().assert_close(&expected, 1e-13, 1e-13);
        let expected = Tensor::from_fn([3], |c| 0.75 + 0.25 * average(&variance, c) * 4.0 / 3.0);
        found[1].real().assert_close(&expected, 1e-13, 1e-13);
        assert_eq!(updates.len(), 2);
    }

    #[test]
    fn gradients_in_both_modes() {
        for (running, mode) in [(false, Mode::Train), (true, Mode::Train), (true, Mode::Eval)] {
            let mut params: Params<f64> = Params::new(1);
            let x = params.add("x", numbers([2, 2, 3], 0));
            let norm = InstanceNorm::with(&mut params, "norm", 2, options(1e-5, running));
            moved(&mut params);
            check::assert_model(&params, (), |graph, []| norm.forward_in(graph.param(&x), mode).tanh().square().mean());
        }
    }

    #[test]
    fn an_empty_batch_changes_nothing() {
        let mut params: Params<f64> = Params::new(0);
        let norm = InstanceNorm::with(&mut params, "norm", 3, options(1e-5, true));
        let graph = Graph::new();
        let y = norm.forward_in(graph.zeros([0, 3, 2]), Mode::Train);
        assert!(graph.updates().is_empty());
        assert_eq!(graph.eval_with(&[y], &params, &Feed::new()).unwrap()[0].real().shape().sizes(), [0, 3, 2]);
    }

    #[test]
    #[should_panic(
        expected = "`InstanceNorm` of [2, 3, 1]: each channel of an example must have more than one element to be \
                    normalised by itself"
    )]
    fn one_number_cannot_be_normalised() {
        InstanceNorm::new(&mut Params::<f32>::new(0), "n", 3).forward_in(Graph::new().zeros([2, 3, 1]), Mode::Train);
    }
}
