//! Dropout: in training `y = x·m/(1 − p)` with a mask `m` that is 0 with probability `p` and else 1; in evaluation
//! `y = x`.
//!
//! The division keeps the mean of `y` that of `x`, so that evaluation has nothing to scale ("inverted" dropout). The
//! mask is a random leaf of the graph: drawn anew at each step of a run, the same for the same seed and step, and the
//! same in the derivative.

use gradus_graph::Var;

use crate::layer::{Layer, Mode};

/// Sets elements to 0 at random while a model is trained.
///
/// It has no `forward` without a [`Mode`]: neither can training forget to drop, nor evaluation to stop.
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
        assert!(
            (0.0..1.0).contains(&probability),
            "`Dropout` needs a probability from 0 to below 1, not {probability}"
        );
        Self { probability }
    }

    /// `x·m/(1 − p)` in training, `x` in evaluation.
    #[track_caller]
    pub fn forward_in<'g>(&self, x: Var<'g>, mode: Mode) -> Var<'g> {
        if mode == Mode::Eval || self.probability == 0.0 {
            return x;
        }
        let kept = 1.0 - self.probability;
        x * (x.graph().bernoulli(kept, x.shape()) * (1.0 / kept))
    }
}

impl Layer for Dropout {
    fn forward_in<'g>(&self, x: Var<'g>, mode: Mode) -> Var<'g> {
        Self::forward_in(self, x, mode)
    }
}

#[cfg(test)]
mod tests {
    use gradus_graph::{Feed, Graph, Params, Tensor, check};

    use super::*;

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
    #[should_panic(expected = "`Dropout` needs a probability from 0 to below 1, not 1")]
    fn everything_cannot_be_dropped() {
        Dropout::new(1.0);
    }
}
