//! The method `ConjugateGradient`.

use gradus_graph::{Error, Graph, Params, Real, Var};
use gradus_linalg::{add_scaled, max_norm, norm};

use crate::descent::{self, Direction, steepest};
use crate::line_search::LineSearch;
use crate::options;
use crate::outcome::{Limits, Minimization};
use crate::run::Point;
use crate::scaled::Scaled;
use crate::slope::Slope;
use crate::traced::{Traced, Wanted};

/// The share of the last direction in the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Beta {
    /// Fletcher and Reeves, 1964.
    FletcherReeves,
    /// Polak and Ribière, 1969, never below zero.
    PolakRibiere,
    /// Hestenes and Stiefel, 1952.
    HestenesStiefel,
    /// Dai and Yuan, 1999.
    DaiYuan,
    /// Hager and Zhang, 2005.
    #[default]
    HagerZhang,
}

/// Nonlinear conjugate gradients: it stores three vectors, whatever the number of steps.
///
/// Goes along `d ← −g + β·d`, with `y = g − g₋`, `g₋` and `d` those of the last step.
///
/// | β | formula |
/// |---|---|
/// | Fletcher–Reeves | `gᵀg / g₋ᵀg₋` |
/// | Polak–Ribière+ | `max(0, gᵀy / g₋ᵀg₋)` |
/// | Hestenes–Stiefel | `gᵀy / dᵀy` |
/// | Dai–Yuan | `gᵀg / dᵀy` |
/// | Hager–Zhang | `max((y − 2d·yᵀy/dᵀy)ᵀg / dᵀy, −1 / (‖d‖·min(0.01, ‖g₋‖)))` |
///
/// The length meets the strong Wolfe conditions with c₁ 1e-4, c₂ 0.1. It restarts along −g after n steps for n
/// scalars, where `|gᵀg₋| ≥ 0.2·gᵀg` (Powell's test; but not for Hager–Zhang), and where d does not descend.
///
/// Defaults: Hager–Zhang. State: the last gradient, direction and length.
///
/// Nocedal, Wright: Numerical optimization, 2nd edition, section 5.2. Hager, Zhang: A new conjugate gradient method
/// with guaranteed descent and an efficient line search, 2005.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_minimize::{Beta, ConjugateGradient};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0, 1.0, 1.0]));
/// let curvatures = [1.0, 10.0, 100.0];
/// let method = ConjugateGradient::new().beta(Beta::PolakRibiere);
/// let outcome = method.minimize(&mut params, |params, slope| {
///     let x_now = params.get(&x).data();
///     slope.set([(&x, &Tensor::from_fn([3], |i| curvatures[i] * x_now[i]))]);
///     Ok((0..3).map(|i| 0.5 * curvatures[i] * x_now[i] * x_now[i]).sum())
/// })?;
/// assert!(outcome.reason.is_converged() && outcome.iterations() < 20, "{outcome}");
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ConjugateGradient {
    beta: Beta,
    limits: Limits,
    scaled: bool,
}

options::limits_and_scale!(ConjugateGradient);

impl ConjugateGradient {
    /// Conjugate gradients in the form of Hager and Zhang.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another formula for β.
    #[must_use]
    pub fn beta(mut self, beta: Beta) -> Self {
        self.beta = beta;
        self
    }

    /// Moves the trainable parameters to a minimum of the function, which gives its value and sets its gradient.
    ///
    /// # Errors
    /// Those of the function. The parameters are then at the lowest point so far.
    pub fn minimize<T: Real>(
        &self,
        params: &mut Params<T>,
        function: impl FnMut(&Params<T>, &mut Slope<'_>) -> Result<T, Error>,
    ) -> Result<Minimization, Error> {
        let search = LineSearch { decrease: 1e-4, curvature: 0.1 };
        let directions = Conjugate { beta: self.beta, last: None };
        descent::minimize(params, (self.limits, self.scaled), search, directions, function)
    }

    /// [`minimize`](Self::minimize) for a loss that a closure traces: once, at the start.
    ///
    /// # Errors
    /// If the loss is not a scalar or an op has no derivative, and as
    /// [`Plan::new`](gradus_graph::Plan::new) and [`Session::run`](gradus_graph::Session::run).
    ///
    /// # Panics
    /// Where the closure does.
    #[track_caller]
    pub fn fit<T: Real>(
        &self,
        params: &mut Params<T>,
        loss: impl for<'g> FnOnce(&'g Graph) -> Var<'g>,
    ) -> Result<Minimization, Error> {
        let [mut traced] = Traced::new(params, loss, [Wanted::Gradient])?;
        self.minimize(params, |params, slope| traced.gradient(params, slope))
    }
}

struct Conjugate {
    beta: Beta,
    last: Option<Last>,
}

/// The last step.
struct Last {
    gradient: Scaled,
    direction: Scaled,
    /// Along the values of the direction.
    length: f64,
    /// Steps since one along the steepest descent.
    steps: usize,
}

impl Beta {
    /// β from the gradient, the last gradient and the last direction.
    fn of(self, g: &Scaled, last_g: &Scaled, d: &Scaled) -> f64 {
        let y = g.minus(last_g);
        // Each quotient of products, times that of their units.
        match self {
            Self::FletcherReeves => g.dot(g) / last_g.dot(last_g) * (g.unit / last_g.unit).powi(2),
            Self::PolakRibiere => {
                let beta = g.dot(&y) / last_g.dot(last_g) * (g.unit / last_g.unit) * (y.unit / last_g.unit);
                beta.max(0.0)
            }
            Self::HestenesStiefel => g.dot(&y) / d.dot(&y) * (g.unit / d.unit),
            Self::DaiYuan => g.dot(g) / d.dot(&y) * (g.unit / d.unit) * (g.unit / y.unit),
            Self::HagerZhang => {
                let dy = d.dot(&y);
                let beta = (y.dot(g) - 2.0 * y.dot(&y) * d.dot(g) / dy) / dy * (g.unit / d.unit);
                let sizes = [d, last_g].map(|vector| norm(&vector.values) * vector.unit);
                beta.max(-1.0 / (sizes[0] * sizes[1].min(0.01)))
            }
        }
    }

    /// Powell's test restarts where gradients are far from orthogonal.
    fn restarts(self, g: &Scaled, last_g: &Scaled) -> bool {
        self != Self::HagerZhang && g.dot(last_g).abs() * (last_g.unit / g.unit) >= 0.2 * g.dot(g)
    }
}

impl Direction for Conjugate {
    fn choose(&mut self, point: &Point) -> (Scaled, f64) {
        let g = Scaled::of(&point.gradient);
        let Some(last) = &mut self.last else { return steepest(point, &g) };
        let n = g.values.len();
        let mut direction = g.negated();
        last.steps += 1;
        if last.steps < n && !self.beta.restarts(&g, &last.gradient) {
            let beta = self.beta.of(&g, &last.gradient, &last.direction);
            let mut sum: Vec<f64> = point.gradient.iter().map(|g| -g).collect();
            add_scaled(&mut sum, beta * last.direction.unit, &last.direction.values);
            direction = Scaled::of(&sum);
        }
        if !(direction.dot(&g) < 0.0 && max_norm(&direction.values).is_finite()) || last.steps >= n {
            direction = g.negated();
            last.steps = 0;
        }
        // The change to first order is taken to be that of the last step.
        let fall = last.length * last.direction.dot(&last.gradient);
        let length = fall / direction.dot(&g) * (last.gradient.unit / g.unit);
        (direction, length)
    }

    fn has_model(&self) -> bool {
        false
    }

    fn learn(&mut self, before: &Point, _after: &Point, direction: Scaled, length: f64) {
        let steps = self.last.as_ref().map_or(0, |last| last.steps);
        self.last = Some(Last { gradient: Scaled::of(&before.gradient), direction, length, steps });
    }

    fn forget(&mut self) -> bool {
        self.last.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// g = (3, 4), g₋ = (1, 0), d = (−1, 2): y = (2, 4), dᵀy = 6, gᵀy = 22, gᵀg = 25, yᵀy = 20, dᵀg = 5.
    #[test]
    fn by_hand() {
        let of =
            |beta: Beta, [g, last_g, d]: [[f64; 2]; 3]| beta.of(&Scaled::of(&g), &Scaled::of(&last_g), &Scaled::of(&d));
        let beta = |beta: Beta| of(beta, [[3.0, 4.0], [1.0, 0.0], [-1.0, 2.0]]);
        assert_eq!(beta(Beta::FletcherReeves), 25.0);
        assert_eq!(beta(Beta::PolakRibiere), 22.0);
        assert_eq!(beta(Beta::HestenesStiefel), 22.0 / 6.0);
        assert_eq!(beta(Beta::DaiYuan), 25.0 / 6.0);
        assert!((beta(Beta::HagerZhang) - (22.0 - 2.0 * 20.0 * 5.0 / 6.0) / 6.0).abs() < 1e-14);
        assert_eq!(of(Beta::PolakRibiere, [[1.0, 0.0], [2.0, 0.0], [-1.0, 0.0]]), 0.0);
    }
}
