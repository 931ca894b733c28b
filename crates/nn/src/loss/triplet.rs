//! The triplet loss `max(0, d(a, p) − d(a, n) + m)`: an anchor `a` should be closer to a positive `p`, of the same
//! class, than to a negative `n`, by the margin `m`. The distance is `d(x, y) = ‖x − y + ε‖ₚ` along the last axis.
//!
//! The small `ε` within the norm is PyTorch's: it keeps the derivative of the root finite where both are equal.

use gradus_graph::{Var, expect_setting};

use super::expect_alike;

/// The number that is added to each difference.
const EPS: f64 = 1e-6;

/// The distance `(Σ|x − y + 10⁻⁶|ᵖ)^(1/p)` of each pair of vectors; PyTorch's `PairwiseDistance`, where `p` is 2 unless
/// given. An infinite `p` gives the largest difference.
///
/// # Shapes
/// Both `[…, n]`; the result is `[…]`.
///
/// # Panics
/// If the shapes differ or have no axis, or `p` is below 1.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let (a, b) = (graph.constant(&Tensor::from([3.0, 0.0])), graph.constant(&Tensor::from([0.0, -4.0])));
/// for (p, expected) in [(1.0, 7.0), (2.0, 5.0), (f64::INFINITY, 4.0)] {
///     assert!((graph.eval(loss::distance(a, b, p))?.item() - expected).abs() < 3e-6);
/// }
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[track_caller]
pub fn distance<'g>(a: Var<'g>, b: Var<'g>, p: f64) -> Var<'g> {
    expect_alike("distance", a, b);
    expect_setting("`distance`: p", p, 1.0..=f64::INFINITY);
    let difference = a - b + EPS;
    match p {
        1.0 => difference.abs().sum_axes(-1),
        2.0 => difference.norm_axes(-1),
        f64::INFINITY => difference.abs().max_axes(-1),
        _ if difference.shape().last() == Some(&0) => difference.sum_axes(-1),
        p => {
            // By the largest element, so that no power leaves the range of numbers; the result does not depend on it.
            let sizes = difference.abs();
            let largest = sizes.max_keep(-1).stop_gradient();
            let unit = largest.equal(0.0).where_(1.0, largest);
            (sizes / unit).powf(p).sum_axes(-1).powf(1.0 / p) * unit.squeeze(-1)
        }
    }
}

/// The triplet loss with its options.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss::Triplet;
/// let graph = Graph::new();
/// let [anchor, positive, negative] = [0.0, 1.0, 1.5].map(|x| graph.constant(&Tensor::from_rows([[x]])));
/// let loss = graph.eval(Triplet::new().loss(anchor, positive, negative))?.item();
/// assert!((loss - 0.5).abs() < 1e-5);
/// // The negative is nearer to the positive than to the anchor.
/// let swapped = Triplet::new().swap();
/// assert!((graph.eval(swapped.loss(anchor, positive, negative))?.item() - 1.5).abs() < 1e-5);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Schroff, Kalenichenko and Philbin, "FaceNet: a unified embedding for face recognition and clustering" (2015); the
/// swap: Balntas et al., "Learning local feature descriptors with triplets and shallow convolutional neural networks"
/// (2016).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Triplet {
    margin: f64,
    p: f64,
    swap: bool,
}

impl Default for Triplet {
    fn default() -> Self {
        Self { margin: 1.0, p: 2.0, swap: false }
    }
}

impl Triplet {
    /// PyTorch's defaults: a margin of 1 and the Euclidean distance.
    pub fn new() -> Self {
        Self::default()
    }

    /// How much nearer than the negative the positive should be; 1 by default.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn margin(self, margin: f64) -> Self {
        expect_setting("`Triplet::margin`: margin", margin, 0.0..);
        Self { margin, ..self }
    }

    /// The exponent of the norm, which may be infinite; 2 by default.
    ///
    /// # Panics
    /// If it is below 1.
    #[must_use]
    #[track_caller]
    pub fn p(self, p: f64) -> Self {
        expect_setting("`Triplet::p`: p", p, 1.0..=f64::INFINITY);
        Self { p, ..self }
    }

    /// Takes as the negative's distance that from anchor or positive, whichever is nearer; by default that from the
    /// anchor.
    #[must_use]
    pub fn swap(self) -> Self {
        Self { swap: true, ..self }
    }

    /// The mean of the losses of the triplets.
    ///
    /// # Shapes
    /// All three `[…, n]`; the result is a scalar.
    ///
    /// # Panics
    /// If the shapes differ or have no axis.
    #[track_caller]
    pub fn loss<'g>(&self, anchor: Var<'g>, positive: Var<'g>, negative: Var<'g>) -> Var<'g> {
        self.terms(anchor, positive, negative).mean()
    }

    /// The loss of each triplet, `[…]`.
    ///
    /// # Panics
    /// As [`Triplet::loss`].
    #[track_caller]
    pub fn terms<'g>(&self, anchor: Var<'g>, positive: Var<'g>, negative: Var<'g>) -> Var<'g> {
        let mut far = distance(anchor, negative, self.p);
        if self.swap {
            far = far.minimum(distance(positive, negative, self.p));
        }
        (distance(anchor, positive, self.p) - far + self.margin).relu()
    }
}

#[cfg(test)]
mod tests {
    use gradus_graph::check::strategies::tensor;
    use gradus_graph::check::{assert_gradients, assert_property};
    use gradus_graph::{Feed, Graph, Params, Tensor};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn gradients_of_distances() {
        let pairs = (0..3_usize).prop_flat_map(|size| vec![tensor([size, 3], 0.5..2.0), tensor([size, 3], -2.0..0.0)]);
        let pairs = || pairs.clone();
        for p in [1.0, 2.0, 3.0, 1.5] {
            assert_property(pairs(), |x| distance(x[0], x[1], p));
        }
        assert_gradients(&[Tensor::from_rows([[1.0, -3.0], [0.5, 0.25]])], |x| {
            distance(x[0], x[0].graph().zeros([2, 2]), f64::INFINITY)
        });
    }

    #[test]
    fn distances_of_any_size_keep_their_digits() {
        for (p, scale) in [(2.0, 1e30), (3.0, 1e30), (3.0, 1e36), (1.5, 1e37)] {
            let graph = Graph::new();
            let a = graph.constant(&Tensor::from_rows([[3.0, 4.0]])) * scale;
            let distance = distance(a, graph.zeros([1, 2]), p);
            let slope = graph.grad(distance.sum(), &[a]).unwrap()[0];
            let found = graph.eval_with::<f32>(&[distance / scale, slope], &Params::new(0), &Feed::new()).unwrap();
            let expected = (3.0_f64.powf(p) + 4.0_f64.powf(p)).powf(1.0 / p);
            assert!((f64::from(found[0].real().item()) / expected - 1.0).abs() < 1e-6);
            let slopes = [3.0, 4.0].map(|x: f64| (x / expected).powf(p - 1.0) as f32);
            found[1].real().assert_close(&Tensor::from_rows([slopes]), 1e-6, 0.0);
        }
        let graph = Graph::new();
        assert_eq!(graph.eval(distance(graph.zeros([1, 0]), graph.zeros([1, 0]), 3.0)).unwrap().data(), [0.0]);
    }

    /// Points so that one triplet keeps the margin, one does not, and for one the swap matters.
    fn points() -> [Tensor<f64>; 3] {
        let anchor = Tensor::from_rows([[0.0, 0.5], [1.0, -1.0], [0.0, 0.0]]);
        let positive = Tensor::from_rows([[0.25, 0.5], [1.5, 1.0], [1.0, 0.25]]);
        let negative = Tensor::from_rows([[3.0, 0.5], [1.0, -0.5], [1.5, 0.75]]);
        [anchor, positive, negative]
    }

    #[test]
    fn gradients() {
        for (p, swap) in [(2.0, false), (2.0, true), (3.0, true)] {
            let loss = Triplet { p, swap, ..Triplet::new() };
            assert_gradients(&points(), |x| loss.terms(x[0], x[1], x[2]));
        }
    }

    #[test]
    fn values_are_those_of_plain_loops() {
        let rows = points();
        let graph = Graph::new();
        let [anchor, positive, negative] = [0, 1, 2].map(|k| graph.constant(&rows[k]));
        for (p, swap) in [(2.0, false), (2.0, true), (3.0, false), (1.0, true)] {
            let apart = |a: usize, b: usize, row: usize| {
                let power = |k: usize| (rows[a].at(&[row, k]) - rows[b].at(&[row, k]) + 1e-6).abs().powf(p);
                (power(0) + power(1)).powf(1.0 / p)
            };
            let expected = Tensor::from_fn([3], |row| {
                let far = if swap { apart(0, 2, row).min(apart(1, 2, row)) } else { apart(0, 2, row) };
                (apart(0, 1, row) - far + 0.75).max(0.0)
            });
            let terms = Triplet { margin: 0.75, p, swap }.terms(anchor, positive, negative);
            graph.eval(terms).unwrap().assert_close(&expected, 1e-14, 1e-15);
        }
    }

    #[test]
    fn equal_points_and_none() {
        let graph = Graph::new();
        let x = graph.zeros([1, 4]);
        let slope = graph.grad(Triplet::new().loss(x, x, x), &[x]).unwrap()[0];
        assert!(graph.eval(slope).unwrap().data().iter().all(|value| value.is_finite()));
        let none = graph.zeros([0, 4]);
        assert_eq!(graph.eval(Triplet::new().terms(none, none, none)).unwrap().shape().sizes(), [0]);
    }

    #[test]
    #[should_panic(expected = "`distance` of [2, 3] and [2, 4]: prediction and target must have one shape")]
    fn shapes_that_differ_are_named() {
        let graph = Graph::new();
        Triplet::new().loss(graph.zeros([2, 3]), graph.zeros([2, 3]), graph.zeros([2, 4]));
    }
}
