//! Batch normalisation.

use gradus_graph::{Param, Params, Real, Shape, Var, expect_setting};

use super::affine::{Affine, initial_values};
use super::group::expect_channels;
use super::running::Running;
use crate::init::Init;
use crate::layer::{Mode, layer};

/// `y = (x − mean)/√(variance + eps)·w + b`, with mean and variance of each channel over the batch.
///
/// In training they are those of the batch, the variance biased, and the running statistics are updated:
/// `running = (1 − m)·running + m·batch` with the momentum `m`, of the mean and of the unbiased variance
/// `Σ(x − mean)²/(n − 1)`, as in PyTorch. In evaluation they are the running statistics, so that the output for an
/// example does not depend on the others.
///
/// PyTorch's `BatchNorm1d`, `2d` and `3d` in one. It has no `forward` without a [`Mode`].
///
/// # Shapes
/// `[N, C, …]` keeps its shape, with any number of axes after the channels. The parameters are `name.weight` and
/// `name.bias`, the buffers `name.running_mean` and `name.running_var`, all `[C]`, and `name.num_batches_tracked`
/// without axes.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_nn::{BatchNorm, Mode};
/// let mut params: Params<f64> = Params::new(0);
/// let norm = BatchNorm::new(&mut params, "norm", 1);
/// let graph = gradus_graph::Graph::new();
/// let x = graph.constant(&Tensor::from_rows([[1.0], [3.0]]));
/// let y = norm.forward_in(x, Mode::Train);
/// let (mean, after) = &graph.updates()[1];
/// let value = graph.eval_with(&[y, *after], &params, &gradus_graph::Feed::new())?;
/// value[0].real().assert_close(&Tensor::from_rows([[-1.0], [1.0]]), 1e-5, 0.0);
/// // The running mean after a training run: a tenth of the mean of the batch.
/// assert_eq!(mean.name(), "norm.running_mean");
/// value[1].real().assert_close(&Tensor::from([0.2]), 1e-12, 0.0);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift"
/// (2015).
#[derive(Clone, Debug)]
pub struct BatchNorm {
    name: String,
    channels: usize,
    eps: f64,
    momentum: Option<f64>,
    affine: Affine,
    running: Option<Running>,
}

/// The options of a batch normalisation.
///
/// The default is that of PyTorch's `BatchNorm2d`: `eps` 1e-5, momentum 0.1, a weight of ones, a bias of zeros, and
/// running statistics.
///
/// # Example
/// ```
/// use gradus_graph::Params;
/// use gradus_nn::{BatchNorm, BatchNormOptions};
/// let mut params: Params = Params::new(0);
/// let options = BatchNormOptions::new().without_running();
/// BatchNorm::with(&mut params, "norm", 8, options);
/// assert_eq!((params.len(), params.count()), (2, 16));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNormOptions {
    eps: f64,
    momentum: Option<f64>,
    weight: Option<Init>,
    bias: Option<Init>,
    running: bool,
}

impl Default for BatchNormOptions {
    fn default() -> Self {
        let (weight, bias) = (Some(Init::ones()), Some(Init::zeros()));
        Self { eps: 1e-5, momentum: Some(0.1), weight, bias, running: true }
    }
}

impl BatchNormOptions {
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
        Self { momentum: Some(momentum), ..self }
    }

    /// Makes the running statistics the averages over all batches: the share of the `k`-th batch is `1/k`. PyTorch's
    /// `momentum=None`.
    #[must_use]
    pub fn cumulative_average(self) -> Self {
        Self { momentum: None, ..self }
    }

    /// Leaves the running statistics out, so that evaluation normalises by the batch as training does. PyTorch's
    /// `track_running_stats=False`.
    #[must_use]
    pub fn without_running(self) -> Self {
        Self { running: false, ..self }
    }
}

initial_values!(BatchNormOptions: weight without_weight "ones", bias without_bias "zeros");

impl BatchNorm {
    /// Adds a normalisation of `channels` channels, with PyTorch's initial values.
    ///
    /// # Panics
    /// If the scope `name` has a parameter or buffer of the layer already.
    #[track_caller]
    pub fn new(params: &mut Params<impl Real>, name: &str, channels: usize) -> Self {
        Self::with(params, name, channels, BatchNormOptions::new())
    }

    /// Adds a normalisation with other options.
    ///
    /// # Panics
    /// As [`BatchNorm::new`], or if a number of the options has no meaning.
    #[track_caller]
    pub fn with(params: &mut Params<impl Real>, name: &str, channels: usize, options: BatchNormOptions) -> Self {
        let BatchNormOptions { eps, momentum, weight, bias, running } = options;
        expect_setting("`BatchNorm`: eps", eps, 0.0..);
        if let Some(momentum) = momentum {
            expect_setting("`BatchNorm`: momentum", momentum, 0.0..=1.0);
        }
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

    /// `(x − mean)/√(variance + eps)·w + b`; in training also records the update of the running statistics.
    ///
    /// An empty batch leaves the running statistics as they are.
    ///
    /// # Panics
    /// If the second axis of `x` is not that of the channels, or a channel is normalised by the batch and has a single
    /// element.
    #[track_caller]
    pub fn forward_in<'g>(&self, x: Var<'g>, mode: Mode) -> Var<'g> {
        let (graph, shape) = (x.graph(), x.shape());
        expect_channels("BatchNorm", &shape, self.channels);
        let _scope = graph.scope(&self.name);
        match (&self.running, mode) {
            (Some(running), Mode::Eval) => self.affine.apply_to_channels(running.standardize(x, self.eps)),
            (running, _) => {
                let count = shape[0] * shape[2..].iter().product::<usize>();
                assert!(
                    count != 1,
                    "`BatchNorm` of {shape}: each channel must have more than one element to be normalised by its batch"
                );
                let axes: Vec<isize> = (0..shape.rank() as isize).filter(|&axis| axis != 1).collect();
                let [weight, bias] = self.affine.of_channels(x);
                let [y, mean, variance] = x.normalize(&axes[..], self.eps, weight, bias);
                if let Some(running) = running.as_ref().filter(|_| count > 0) {
                    let batches = running.count(x);
                    let share = match self.momentum {
                        Some(share) => graph.scalar(share),
                        None => batches.recip(),
                    };
                    running.follow(mean, variance * (count as f64 / (count as f64 - 1.0)), share);
                }
                y
            }
        }
    }
}

layer!(BatchNorm, forward_in);

#[cfg(test)]
mod tests {
    use gradus_graph::{Feed, Graph, Tensor, check};

    use super::*;
    use crate::norm::plain_loops::{by_hand, moments, moved};
    use crate::test_numbers::numbers;

    const SHAPES: [&[usize]; 4] = [&[5, 3], &[2, 3, 4], &[2, 3, 2, 2], &[1, 3, 1, 2, 2]];

    /// The channel of an element.
    fn channel(shape: &[usize]) -> impl Fn(usize) -> usize {
        let (inner, channels) = (shape[2..].iter().product::<usize>(), shape[1]);
        move |k| k / inner % channels
    }

    /// Runs as a training step does: the outputs, and the updates left in the store.
    fn train(params: &mut Params<f64>, f: impl for<'g> Fn(&'g Graph) -> Var<'g>) -> Tensor<f64> {
        let graph = Graph::new();
        let y = f(&graph);
        let updates = graph.updates();
        let roots: Vec<Var<'_>> = updates.iter().map(|(_, value)| *value).chain([y]).collect();
        let values = graph.eval_with(&roots, params, &Feed::new()).unwrap();
        for ((buffer, _), value) in updates.iter().zip(&values) {
            params.set(buffer, value.real().clone());
        }
        values.last().unwrap().real().clone()
    }

    #[test]
    fn values_in_training_agree_with_plain_loops() {
        for shape in SHAPES {
            let mut params: Params<f64> = Params::new(1);
            let norm = BatchNorm::with(&mut params, "n", 3, BatchNormOptions::new().eps(0.5));
            moved(&mut params);
            let (w, b) = (params.get(norm.weight().unwrap()).clone(), params.get(norm.bias().unwrap()).clone());
            let x = numbers(shape, 0);
            let (channel, plain) = (channel(shape), by_hand(&x, channel(shape), 0.5));
            let expected = Tensor::from_fn(shape, |k| plain[k] * w.data()[channel(k)] + b.data()[channel(k)]);
            let y = train(&mut params, |graph| norm.forward_in(graph.constant(&x), Mode::Train));
            y.assert_close(&expected, 1e-13, 1e-13);
        }
    }

    /// Three batches by both rules of following, and that evaluation uses what they left and changes nothing.
    #[test]
    fn running_statistics_follow_and_serve_evaluation() {
        for momentum in [Some(0.1), Some(1.0), None] {
            let mut params: Params<f64> = Params::new(1);
            let options = BatchNormOptions { momentum, ..BatchNormOptions::new() }.without_weight().without_bias();
            let norm = BatchNorm::with(&mut params, "norm", 3, options);
            let (mut mean, mut variance) = (vec![0.0; 3], vec![1.0; 3]);
            let shape: &[usize] = &[2, 3, 4];
            for batch in 0..3 {
                let x = numbers(shape, 11 * batch);
                train(&mut params, |graph| norm.forward_in(graph.constant(&x), Mode::Train));
                let (means, variances, _) = moments(&x, channel(shape));
                let share = momentum.unwrap_or(1.0 / (batch as f64 + 1.0));
                for c in 0..3 {
                    mean[c] += share * (means[c] - mean[c]);
                    variance[c] += share * (variances[c] * 8.0 / 7.0 - variance[c]);
                }
            }
            let (running_mean, running_variance) = norm.running().unwrap();
            params.get(running_mean).assert_close(&Tensor::from_slice(&mean), 1e-13, 1e-13);
            params.get(running_variance).assert_close(&Tensor::from_slice(&variance), 1e-13, 1e-13);
            let batches = params.find("norm.num_batches_tracked").unwrap();
            assert_eq!(params.get(batches).item(), 3.0);

            let x = numbers(shape, 0);
            let before: Vec<Tensor<f64>> = params.iter().map(|(_, value)| value.clone()).collect();
            let y = train(&mut params, |graph| norm.forward_in(graph.constant(&x), Mode::Eval));
            assert!(params.iter().map(|(_, value)| value).eq(&before));
            let c = channel(shape);
            let value = |k: usize| (x.data()[k] - mean[c(k)]) / (variance[c(k)] + 1e-5).sqrt();
            y.assert_close(&Tensor::from_fn(shape, value), 1e-13, 1e-13);
        }
    }

    /// Two calls in one graph are two batches.
    #[test]
    fn a_layer_that_is_used_twice_counts_two_batches() {
        let mut params: Params<f64> = Params::new(1);
        let norm = BatchNorm::new(&mut params, "norm", 3);
        let mut apart = params.clone();
        let [x, y] = [0, 5].map(|k| numbers([4, 3], k));
        train(&mut params, |graph| {
            norm.forward_in(graph.constant(&x), Mode::Train) + norm.forward_in(graph.constant(&y), Mode::Train)
        });
        for batch in [&x, &y] {
            train(&mut apart, |graph| norm.forward_in(graph.constant(batch), Mode::Train));
        }
        for ((param, together), (_, apart)) in params.iter().zip(apart.iter()) {
            together.assert_close(apart, 1e-14, 1e-14);
            assert!(!param.name().contains("num_batches") || together.item() == 2.0);
        }
    }

    #[test]
    fn gradients_in_training_in_evaluation_and_without_running_statistics() {
        for (running, mode) in [(true, Mode::Train), (true, Mode::Eval), (false, Mode::Eval)] {
            let mut params: Params<f64> = Params::new(1);
            let x = params.add("x", numbers([3, 2, 2], 0));
            let norm = BatchNorm::with(&mut params, "n", 2, BatchNormOptions { running, ..BatchNormOptions::new() });
            moved(&mut params);
            check::assert_model(&params, (), |graph, []| norm.forward_in(graph.param(&x), mode).tanh().square().mean());
        }
    }

    #[test]
    fn an_empty_batch_changes_nothing() {
        let mut params: Params<f64> = Params::new(0);
        let norm = BatchNorm::new(&mut params, "norm", 3);
        for mode in [Mode::Train, Mode::Eval] {
            let graph = Graph::new();
            let y = norm.forward_in(graph.zeros([0, 3, 2]), mode);
            assert!(graph.updates().is_empty());
            assert_eq!(graph.eval_with(&[y], &params, &Feed::new()).unwrap()[0].real().shape().sizes(), [0, 3, 2]);
        }
    }

    #[test]
    #[should_panic(
        expected = "`BatchNorm` of [1, 3]: each channel must have more than one element to be normalised by its batch"
    )]
    fn one_number_is_no_batch() {
        BatchNorm::new(&mut Params::<f32>::new(0), "norm", 3).forward_in(Graph::new().zeros([1, 3]), Mode::Train);
    }

    #[test]
    #[should_panic(
        expected = "`BatchNorm` of [5]: the second axis must have size 3, the number of channels of the layer"
    )]
    fn other_channels_are_refused() {
        BatchNorm::new(&mut Params::<f32>::new(0), "norm", 3).forward_in(Graph::new().zeros([5]), Mode::Eval);
    }
}
