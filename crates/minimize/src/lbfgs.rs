//! The method `Lbfgs`.

use std::collections::VecDeque;

use gradus_graph::{Error, Graph, Params, Real, Var};
use gradus_linalg::{add_scaled, dot, norm};

use crate::descent::{self, Direction, steepest};
use crate::line_search::LineSearch;
use crate::options;
use crate::outcome::{Limits, Minimization};
use crate::run::Point;
use crate::scaled::Scaled;
use crate::slope::Slope;
use crate::traced::{Traced, Wanted};

/// L-BFGS with a line search for the strong Wolfe conditions: the first choice for a smooth loss without noise.
///
/// Goes along `d = −H∇f`, where `H` is the inverse Hessian that the last pairs `s = Δx`, `y = Δ∇f` suggest.
///
/// `H` is applied by the two-loop recursion, from `H₀ = (sᵀy / yᵀy)·I` of the latest pair. The length meets the strong
/// Wolfe conditions with c₁ 1e-4, c₂ 0.9; a pair with too small a `sᵀy` is not kept. Where the search fails the pairs
/// are dropped.
///
/// Defaults: 10 pairs. State: the pairs.
///
/// Nocedal: Updating quasi-Newton matrices with limited storage, 1980. Liu, Nocedal: On the limited memory BFGS method
/// for large scale optimization, 1989.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_minimize::Lbfgs;
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([3.0, -2.0]));
/// let outcome = Lbfgs::new().memory(5).minimize(&mut params, |params, slope| {
///     let x_now = params.get(&x);
///     slope.set([(&x, &x_now.map(|x| 4.0 * (x - 1.0).powi(3)))]);
///     Ok(x_now.data().iter().map(|x| (x - 1.0).powi(4)).sum())
/// })?;
/// assert!(outcome.reason.is_converged() && outcome.value < 1e-10, "{outcome}");
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Lbfgs {
    memory: usize,
    limits: Limits,
    scaled: bool,
}

impl Default for Lbfgs {
    fn default() -> Self {
        Self { memory: 10, limits: Limits::default(), scaled: false }
    }
}

options::limits_and_scale!(Lbfgs);

impl Lbfgs {
    /// L-BFGS with ten pairs.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of pairs that are kept.
    ///
    /// # Panics
    /// If it is 0.
    #[must_use]
    #[track_caller]
    pub fn memory(mut self, pairs: usize) -> Self {
        assert!(pairs > 0, "L-BFGS keeps at least one pair; without one use `ConjugateGradient`");
        self.memory = pairs;
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
        let pairs = Pairs { kept: VecDeque::new(), memory: self.memory };
        let search = LineSearch { decrease: 1e-4, curvature: 0.9 };
        descent::minimize(params, (self.limits, self.scaled), search, pairs, function)
    }

    /// [`minimize`](Self::minimize) for a loss that a closure traces: once, at the start.
    ///
    /// # Errors
    /// If the loss is not a scalar or an op has no derivative, and as
    /// [`Plan::new`](gradus_graph::Plan::new) and [`Session::run`](gradus_graph::Session::run).
    ///
    /// # Panics
    /// Where the closure does.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Params, Tensor};
    /// use gradus_minimize::Lbfgs;
    /// let mut params: Params<f64> = Params::new(0);
    /// let [a, b] = [("a", -1.2), ("b", 1.0)].map(|(name, x)| params.add(name, Tensor::scalar(x)));
    /// let outcome = Lbfgs::new().fit(&mut params, |graph| {
    ///     let (a, b) = (graph.param(&a), graph.param(&b));
    ///     (1.0 - a).square() + (b - a.square()).square() * 100.0
    /// })?;
    /// assert!(outcome.reason.is_converged(), "{outcome}");
    /// assert!((params.get(&b).item() - 1.0).abs() < 1e-7);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
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

struct Pairs {
    kept: VecDeque<Pair>,
    memory: usize,
}

struct Pair {
    s: Scaled,
    y: Scaled,
    /// sᵀy over both units.
    product: f64,
}

impl Direction for Pairs {
    fn choose(&mut self, point: &Point) -> (Scaled, f64) {
        let gradient = Scaled::of(&point.gradient);
        let Some(latest) = self.kept.back() else { return steepest(point, &gradient) };
        let start = latest.product / latest.y.dot(&latest.y) * (latest.s.unit / latest.y.unit);
        // The direction over the gradient's unit; the weights are those of the values of `y`.
        let Scaled { values: mut direction, unit } = gradient.negated();
        let mut weights = Vec::with_capacity(self.kept.len());
        for pair in self.kept.iter().rev() {
            let weight = dot(&pair.s.values, &direction) / pair.product;
            add_scaled(&mut direction, -weight, &pair.y.values);
            weights.push(weight);
        }
        direction.iter_mut().for_each(|element| *element *= start);
        for (pair, weight) in self.kept.iter().zip(weights.into_iter().rev()) {
            let back = dot(&pair.y.values, &direction) / pair.product;
            add_scaled(&mut direction, weight * (pair.s.unit / pair.y.unit) - back, &pair.s.values);
        }
        direction.iter_mut().for_each(|element| *element *= unit);
        let direction = Scaled::of(&direction);
        let length = direction.unit;
        (direction, length)
    }

    fn has_model(&self) -> bool {
        !self.kept.is_empty()
    }

    fn learn(&mut self, before: &Point, after: &Point, _direction: Scaled, _length: f64) {
        let difference = |after: &[f64], before: &[f64]| {
            Scaled::of(&after.iter().zip(before).map(|(a, b)| a - b).collect::<Vec<f64>>())
        };
        let (s, y) = (difference(&after.x, &before.x), difference(&after.gradient, &before.gradient));
        let product = s.dot(&y);
        if product > f64::EPSILON * norm(&s.values) * norm(&y.values) {
            if self.kept.len() == self.memory {
                self.kept.pop_front();
            }
            self.kept.push_back(Pair { s, y, product });
        }
    }

    fn forget(&mut self) -> bool {
        let some = !self.kept.is_empty();
        self.kept.clear();
        some
    }
}
