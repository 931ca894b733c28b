//! Negative log-likelihoods of targets under distributions whose parameters a model predicts, element by element.

use std::f64::consts::PI;

use gradus_graph::Var;

use super::expect_alike;

/// The smallest variance that counts, and what keeps the logarithm of a rate finite.
const SMALLEST_VARIANCE: f64 = 1e-6;
const SMALLEST_RATE: f64 = 1e-8;

/// The mean negative log-likelihood of targets `t` under normal distributions with mean `μ` and variance `v`,
/// `½·(ln v + (t − μ)²/v)`: PyTorch's `GaussianNLLLoss`. In full `½·ln 2π`, which does not depend on the prediction, is
/// added.
///
/// A variance below 10⁻⁶ counts as 10⁻⁶. The derivative with respect to it is then the one at 10⁻⁶, and not 0, so that
/// training can raise it again.
///
/// # Shapes
/// Means, targets and variances of one shape, in PyTorch's order; the result is a scalar. `variances.broadcast_to(..)`
/// makes one variance count for all.
///
/// # Panics
/// If the shapes differ.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let (means, targets) = (graph.constant(&Tensor::from([1.0])), graph.constant(&Tensor::from([3.0])));
/// let variances = graph.constant(&Tensor::from([4.0]));
/// let loss = graph.eval(loss::gaussian_nll(means, targets, variances, false))?.item();
/// assert_eq!(loss, 0.5 * (4.0_f64.ln() + 1.0));
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Nix and Weigend, "Estimating the mean and variance of the target probability distribution" (1994).
#[track_caller]
pub fn gaussian_nll<'g>(means: Var<'g>, targets: Var<'g>, variances: Var<'g>, full: bool) -> Var<'g> {
    gaussian_nll_terms(means, targets, variances, full).mean()
}

/// The negative log-likelihood of each target under its normal distribution.
///
/// # Panics
/// If the shapes differ.
#[track_caller]
pub fn gaussian_nll_terms<'g>(means: Var<'g>, targets: Var<'g>, variances: Var<'g>, full: bool) -> Var<'g> {
    expect_alike("gaussian_nll", means, targets);
    expect_alike("gaussian_nll", variances, targets);
    let lacking = (SMALLEST_VARIANCE - variances).relu().stop_gradient();
    let variances = variances + lacking;
    let terms = (variances.ln() + (targets - means).square() / variances) * 0.5;
    if full { terms + 0.5 * (2.0 * PI).ln() } else { terms }
}

/// The mean negative log-likelihood of counts `t` under Poisson distributions, from their rates `λ`, `λ − t·ln λ`:
/// PyTorch's `PoissonNLLLoss(log_input=False)`, where 10⁻⁸ is added to a rate before its logarithm is taken.
///
/// In full Stirling's formula for `ln t!`, `t·ln t − t + ½·ln(2π·t)` where `t > 1`, is added, as in PyTorch.
///
/// # Shapes
/// Rates and counts of one shape; the result is a scalar.
///
/// # Panics
/// If the shapes differ.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let (rates, counts) = (graph.constant(&Tensor::from([2.0])), graph.constant(&Tensor::from([3.0])));
/// let loss = graph.eval(loss::poisson_nll(rates, counts, false))?.item();
/// assert!((loss - (2.0 - 3.0 * 2.0_f64.ln())).abs() < 1e-7);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[track_caller]
pub fn poisson_nll<'g>(rates: Var<'g>, counts: Var<'g>, full: bool) -> Var<'g> {
    poisson_nll_terms(rates, counts, full).mean()
}

/// The negative log-likelihood of each count under its Poisson distribution, from the rate.
///
/// # Panics
/// If the shapes differ.
#[track_caller]
pub fn poisson_nll_terms<'g>(rates: Var<'g>, counts: Var<'g>, full: bool) -> Var<'g> {
    expect_alike("poisson_nll", rates, counts);
    let terms = rates - counts * (rates + SMALLEST_RATE).ln();
    if full { terms + log_factorial(counts) } else { terms }
}

/// The mean negative log-likelihood of counts `t` under Poisson distributions, from the logarithms `x` of their rates,
/// `eˣ − t·x`: PyTorch's `PoissonNLLLoss`. In full as [`poisson_nll`].
///
/// # Shapes
/// Logarithms and counts of one shape; the result is a scalar.
///
/// # Panics
/// If the shapes differ.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss;
/// let graph = Graph::new();
/// let (logs, counts) = (graph.constant(&Tensor::from([2.0_f64.ln()])), graph.constant(&Tensor::from([3.0])));
/// let loss = graph.eval(loss::poisson_nll_of_logs(logs, counts, false))?.item();
/// assert!((loss - (2.0 - 3.0 * 2.0_f64.ln())).abs() < 1e-15);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[track_caller]
pub fn poisson_nll_of_logs<'g>(log_rates: Var<'g>, counts: Var<'g>, full: bool) -> Var<'g> {
    poisson_nll_of_logs_terms(log_rates, counts, full).mean()
}

/// The negative log-likelihood of each count under its Poisson distribution, from the logarithm of the rate.
///
/// # Panics
/// If the shapes differ.
#[track_caller]
pub fn poisson_nll_of_logs_terms<'g>(log_rates: Var<'g>, counts: Var<'g>, full: bool) -> Var<'g> {
    expect_alike("poisson_nll_of_logs", log_rates, counts);
    let terms = log_rates.exp() - counts * log_rates;
    if full { terms + log_factorial(counts) } else { terms }
}

/// Stirling's formula for `ln t!` where `t > 1`; 0 below.
#[track_caller]
fn log_factorial(counts: Var<'_>) -> Var<'_> {
    let large = counts.greater(1.0);
    let safe = large.where_(counts, 1.0);
    large.where_(counts * safe.ln() - counts + (safe * (2.0 * PI)).ln() * 0.5, 0.0)
}

#[cfg(test)]
mod tests {
    use gradus_graph::check::assert_property;
    use gradus_graph::check::strategies::alike;
    use gradus_graph::{Graph, Tensor};

    use super::*;

    /// Counts away from 1, where Stirling's formula sets in.
    fn counts<'g>(x: Var<'g>) -> Var<'g> {
        x.square() * 2.0 + 1.2
    }

    #[test]
    fn gradients() {
        for full in [false, true] {
            assert_property(alike(3, -2.0..2.0), |x| gaussian_nll_terms(x[0], x[1], x[2].square() + 0.3, full));
            assert_property(alike(2, -2.0..2.0), |x| poisson_nll_terms(x[0].exp(), counts(x[1]), full));
            assert_property(alike(2, -2.0..2.0), |x| poisson_nll_of_logs_terms(x[0], counts(x[1]), full));
        }
    }

    #[test]
    fn in_full_they_are_the_logarithms_of_densities() {
        let graph = Graph::new();
        let var = |value: f64| graph.constant(&Tensor::from([value]));
        let value = |loss: Var<'_>| graph.eval(loss).unwrap().data()[0];
        let density = (-(0.5_f64 - 2.0).powi(2) / (2.0 * 0.81)).exp() / (2.0 * PI * 0.81).sqrt();
        assert!((value(gaussian_nll_terms(var(0.5), var(2.0), var(0.81), true)) + density.ln()).abs() < 1e-14);
        // Stirling's formula is right to 1/(12·t).
        let rate = 3.5_f64;
        let factorial: f64 = (1..=10).map(f64::from).product();
        let chance = (-rate).exp() * rate.powi(10) / factorial;
        let loss = value(poisson_nll_terms(var(rate), var(10.0), true));
        assert!((loss + chance.ln()).abs() < 1.0 / 120.0, "{loss}");
        assert!((value(poisson_nll_of_logs_terms(var(rate.ln()), var(10.0), true)) - loss).abs() < 1e-7);
        for small in [0.0, 1.0] {
            assert_eq!(value(poisson_nll_of_logs_terms(var(0.0), var(small), true)), 1.0);
        }
    }

    #[test]
    fn a_variance_that_fell_too_low_is_driven_up() {
        let graph = Graph::new();
        let variance = graph.zeros([1]);
        let loss = gaussian_nll(graph.ones([1]), graph.zeros([1]), variance, false);
        let slope = graph.grad(loss, &[variance]).unwrap()[0];
        let expected = 0.5 * (1e6 - 1e12);
        assert!((graph.eval(slope).unwrap().data()[0] / expected - 1.0).abs() < 1e-12);
        assert!((graph.eval(loss).unwrap().item() - 0.5 * (1e-6_f64.ln() + 1e6)).abs() < 1e-6);
    }

    #[test]
    #[should_panic(expected = "`gaussian_nll` of [1] and [4]: prediction and target must have one shape")]
    fn one_variance_for_all_must_be_said() {
        let graph = Graph::new();
        gaussian_nll(graph.zeros([4]), graph.zeros([4]), graph.ones([1]), false);
    }
}
