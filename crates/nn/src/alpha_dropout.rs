//! Alpha dropout.

use gradus_graph::Var;

use crate::dropout::expect_probability;
use crate::layer::{Mode, layer};

/// Scale times α of SELU; PyTorch's constant.
const LOWEST: f64 = 1.758_099_340_847_376_6;

/// Drops elements at random while a model is trained, and keeps a mean of 0 and a variance of 1: the dropout that goes
/// with [`Selu`](crate::Selu) and [`Init::lecun_normal`](crate::Init::lecun_normal).
///
/// Dropped elements become `−α'`, the limit of `selu` at −∞, and an affine map restores mean and variance:
/// `y = a·(x·m − α'·(1 − m) + α'·p)` with a mask `m` that is 0 with probability `p`, `α' = 1.7581` and
/// `a = 1/√((1 − p)·(1 + p·α'²))`.
///
/// # Shapes
/// Any; kept.
///
/// # Example
/// ```
/// use gradus_graph::Graph;
/// use gradus_nn::{AlphaDropout, Mode};
/// let graph = Graph::new();
/// let x = graph.normal([20_000]);
/// let y = AlphaDropout::new(0.25).forward_in(x, Mode::Train);
/// let moments = [graph.eval(y.mean())?.item(), graph.eval(y.square().mean())?.item()];
/// assert!(moments[0].abs() < 0.03 && (moments[1] - 1.0).abs() < 0.03);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Klambauer et al., "Self-normalizing neural networks" (2017).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AlphaDropout {
    probability: f64,
}

impl AlphaDropout {
    /// Drops each element with the given probability.
    ///
    /// # Panics
    /// If the probability is not in `0..1`.
    #[track_caller]
    pub fn new(probability: f64) -> Self {
        expect_probability("AlphaDropout", probability);
        Self { probability }
    }

    /// `a·(x·m − α'·(1 − m) + α'·p)` in training, `x` in evaluation.
    #[track_caller]
    pub fn forward_in<'g>(&self, x: Var<'g>, mode: Mode) -> Var<'g> {
        let p = self.probability;
        if mode == Mode::Eval || p == 0.0 {
            return x;
        }
        let mask = x.graph().bernoulli(1.0 - p, x.shape());
        let scale = ((1.0 - p) * (1.0 + p * LOWEST * LOWEST)).sqrt().recip();
        ((x + LOWEST) * mask - LOWEST * (1.0 - p)) * scale
    }
}

layer!(AlphaDropout, forward_in);

#[cfg(test)]
mod tests {
    use gradus_graph::{Graph, Tensor, check};

    use super::*;

    /// PyTorch's two values for an element of 0.7 at p = 0.3.
    #[test]
    fn an_element_is_scaled_or_falls_to_the_floor() {
        let graph = Graph::new();
        let y = graph.eval(AlphaDropout::new(0.3).forward_in(graph.full([1000], 0.7), Mode::Train)).unwrap();
        let (kept, dropped) = (1.056_758_899_509_512, -1.059_548_158_986_48);
        let near = |y: f64, value: f64| (y - value).abs() < 1e-14;
        assert!(y.data().iter().all(|&y| near(y, kept) || near(y, dropped)));
        let count = y.data().iter().filter(|&&y| near(y, dropped)).count();
        assert!((250..350).contains(&count), "{count}");
    }

    #[test]
    fn evaluation_changes_nothing_and_the_derivative_uses_the_mask() {
        let graph = Graph::new();
        let x = graph.ones([3]);
        assert_eq!(AlphaDropout::new(0.3).forward_in(x, Mode::Eval), x);
        assert_eq!(graph.eval(AlphaDropout::new(0.3).forward_in(graph.ones([0]), Mode::Train)).unwrap().len(), 0);
        let x = Tensor::from_fn([12], |k| k as f64 / 4.0 - 1.0);
        check::assert_gradients(&[x], |x| AlphaDropout::new(0.5).forward_in(x[0], Mode::Train).square());
    }

    #[test]
    #[should_panic(expected = "`AlphaDropout`: probability must be at least 0 and below 1, not -0.5")]
    fn a_negative_probability_is_refused() {
        AlphaDropout::new(-0.5);
    }
}
