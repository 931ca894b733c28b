//! Normal noise in training, added or multiplied.

use gradus_graph::{Var, expect_setting};

use crate::dropout::expect_probability;
use crate::layer::{Mode, layer};

/// `y = x + σ·n` with normal noise `n` in training, `y = x` in evaluation. On the inputs of a model it acts like a
/// penalty on the gradient with respect to them; on those of a denoising autoencoder it defines the task.
///
/// # Shapes
/// Any; kept.
///
/// # Example
/// ```
/// use gradus_graph::Graph;
/// use gradus_nn::{GaussianNoise, Mode};
/// let graph = Graph::new();
/// let x = graph.ones([10_000]);
/// let noise = GaussianNoise::new(0.5);
/// assert_eq!(noise.forward_in(x, Mode::Eval), x);
/// let variance = graph.eval((noise.forward_in(x, Mode::Train) - x).square().mean())?.item();
/// assert!((variance - 0.25).abs() < 0.01);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Bishop, "Training with noise is equivalent to Tikhonov regularization" (1995).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GaussianNoise {
    deviation: f64,
}

impl GaussianNoise {
    /// Noise with the given standard deviation.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[track_caller]
    pub fn new(deviation: f64) -> Self {
        expect_setting("`GaussianNoise`: deviation", deviation, 0.0..);
        Self { deviation }
    }

    /// `x + σ·n` in training, `x` in evaluation.
    #[track_caller]
    pub fn forward_in<'g>(&self, x: Var<'g>, mode: Mode) -> Var<'g> {
        if mode == Mode::Eval || self.deviation == 0.0 {
            return x;
        }
        x + x.graph().normal(x.shape()) * self.deviation
    }
}

layer!(GaussianNoise, forward_in);

/// `y = x·(1 + n·√(p/(1 − p)))` with normal noise `n` in training, `y = x` in evaluation: the mean and the variance are
/// those of dropout with probability `p`.
///
/// # Shapes
/// Any; kept.
///
/// # Example
/// ```
/// use gradus_graph::Graph;
/// use gradus_nn::{GaussianDropout, Mode};
/// let graph = Graph::new();
/// let y = GaussianDropout::new(0.2).forward_in(graph.full([10_000], 2.0), Mode::Train);
/// let variance = graph.eval((y - 2.0).square().mean())?.item();
/// assert!((variance - 4.0 * 0.25).abs() < 0.05);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting" (2014), section 10.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GaussianDropout {
    probability: f64,
}

impl GaussianDropout {
    /// Noise as strong as dropout with the given probability.
    ///
    /// # Panics
    /// If the probability is not in `0..1`.
    #[track_caller]
    pub fn new(probability: f64) -> Self {
        expect_probability("GaussianDropout", probability);
        Self { probability }
    }

    /// `x·(1 + n·√(p/(1 − p)))` in training, `x` in evaluation.
    #[track_caller]
    pub fn forward_in<'g>(&self, x: Var<'g>, mode: Mode) -> Var<'g> {
        if mode == Mode::Eval || self.probability == 0.0 {
            return x;
        }
        let deviation = (self.probability / (1.0 - self.probability)).sqrt();
        x * (x.graph().normal(x.shape()) * deviation + 1.0)
    }
}

layer!(GaussianDropout, forward_in);

#[cfg(test)]
mod tests {
    use gradus_graph::{Feed, Graph, Params, Tensor, check};

    use super::*;
    use crate::layer::Layer;

    #[test]
    fn the_mean_stays_and_the_noise_changes_with_the_step() {
        let graph = Graph::new();
        let x = graph.full([40_000], 3.0);
        let layers: [&dyn Layer; 2] = [&GaussianNoise::new(2.0), &GaussianDropout::new(0.5)];
        for layer in layers {
            let y = layer.forward_in(x, Mode::Train);
            let at = |step: u64| {
                let feed = Feed::<f64>::new().random(0, step);
                graph.eval_with(&[y], &Params::new(0), &feed).unwrap()[0].real().clone()
            };
            let first = at(0);
            assert!((first.data().iter().sum::<f64>() / 40_000.0 - 3.0).abs() < 0.05);
            assert_eq!(first, at(0));
            assert_ne!(first, at(1));
            assert_eq!(graph.eval(layer.forward_in(graph.ones([0]), Mode::Train)).unwrap().len(), 0);
        }
    }

    #[test]
    fn the_derivative_uses_the_noise_of_the_value() {
        let x = [Tensor::from_fn([12], |k| k as f64 / 4.0 - 1.0)];
        check::assert_gradients(&x, |x| GaussianNoise::new(0.5).forward_in(x[0], Mode::Train).square());
        check::assert_gradients(&x, |x| GaussianDropout::new(0.5).forward_in(x[0], Mode::Train).square());
    }

    #[test]
    #[should_panic(expected = "`GaussianNoise`: deviation must be at least 0 and finite, not -1")]
    fn a_negative_deviation_is_refused() {
        GaussianNoise::new(-1.0);
    }
}
