//! The method `LevenbergMarquardt`.

use gradus_graph::{Error, Graph, Params, Real, Tensor, Var};
use gradus_linalg::{PivotedQr, Triangle, dot, norm};

use crate::jacobian::Jacobian;
use crate::options;
use crate::outcome::{Limits, Minimization, Reason};
use crate::run::Run;
use crate::traced::{Traced, Wanted};

/// A step is accepted if the sum falls by at least this part of what the model says.
const ACCEPTED: f64 = 1e-4;
/// The first radius as a multiple of `‖Dx‖`.
const FIRST_RADIUS: f64 = 100.0;

/// Levenberg–Marquardt: the first choice for a sum of squares with up to some hundred parameters.
///
/// The value of the outcome is the sum of the squares.
///
/// Levenberg–Marquardt for `f = Σ rᵢ²`: the step `p` solves `min ‖r + Jp‖` within `‖Dp‖ ≤ Δ`, so
/// `(JᵀJ + λD²)p = −Jᵀr` with the `λ ≥ 0` that makes the step as long as the radius.
///
/// As MINPACK's `lmder`: `J` is factored by QR with pivots, `λ` found by a few Newton steps, `D` holds for each
/// parameter the largest norm of its column so far, which makes the method indifferent to the parameters' scales; `Δ`
/// starts at 100·‖Dx‖ and follows the ratio of the actual to the predicted fall.
///
/// State: `D`, `Δ` and `λ`.
///
/// Moré: The Levenberg-Marquardt algorithm, implementation and theory, 1978.
///
/// # Example
/// ```
/// use gradus_graph::{Feed, Graph, Params, Plan, Tensor};
/// use gradus_minimize::LevenbergMarquardt;
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0, -0.1]));
///
/// // Fits a·exp(b·t) to three points.
/// let graph = Graph::new();
/// let at = graph.param(&x);
/// let t = graph.constant(&Tensor::from([0.0, 1.0, 2.0]));
/// let y = graph.constant(&Tensor::from([2.0, 1.0, 0.5]));
/// let residuals = at.slice(0, 0, 1) * (at.slice(0, 1, 2) * t).exp() - y;
/// let jacobian = graph.jacobian(residuals, at)?;
/// let mut residuals = Plan::new(&graph, &[residuals])?.session();
/// let mut jacobians = Plan::new(&graph, &[jacobian])?.session();
///
/// let outcome = LevenbergMarquardt::new().minimize(
///     &mut params,
///     |params| Ok(residuals.run(params, &Feed::new())?.real(0).clone()),
///     |params, jacobian| {
///         jacobian.set(&x, jacobians.run(params, &Feed::new())?.real(0));
///         Ok(())
///     },
/// )?;
/// assert!(outcome.reason.is_converged() && outcome.value < 1e-20, "{outcome}");
/// params.get(&x).assert_close(&Tensor::from([2.0, -(2.0_f64.ln())]), 1e-10, 0.0);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct LevenbergMarquardt {
    limits: Limits,
}

options::limits!(LevenbergMarquardt);

impl LevenbergMarquardt {
    /// The method with the default limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the trainable parameters to a minimum of the sum of the squared residuals. The second closure sets the
    /// Jacobian of the residuals by each parameter.
    ///
    /// # Errors
    /// Those of the closures. The parameters are then at the lowest point so far.
    pub fn minimize<T: Real>(
        &self,
        params: &mut Params<T>,
        residuals: impl FnMut(&Params<T>) -> Result<Tensor<T>, Error>,
        jacobian: impl FnMut(&Params<T>, &mut Jacobian<'_>) -> Result<(), Error>,
    ) -> Result<Minimization, Error> {
        let mut run = Run::new(params, self.limits, false);
        let ended = descend(&mut run, residuals, jacobian);
        run.close(ended)
    }

    /// [`minimize`](Self::minimize) for residuals that a closure traces: once, at the start.
    ///
    /// # Errors
    /// If an op has no derivative, and as
    /// [`Plan::new`](gradus_graph::Plan::new) and [`Session::run`](gradus_graph::Session::run).
    ///
    /// # Panics
    /// Where the closure does.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Params, Tensor};
    /// use gradus_minimize::LevenbergMarquardt;
    /// let mut params: Params<f64> = Params::new(0);
    /// let [a, b] = [("a", 1.0), ("b", -0.1)].map(|(name, x)| params.add(name, Tensor::scalar(x)));
    ///
    /// // Fits a·exp(b·t) to three points.
    /// let (t, y) = (Tensor::from([0.0, 1.0, 2.0]), Tensor::from([2.0, 1.0, 0.5]));
    /// let outcome = LevenbergMarquardt::new().fit(&mut params, |graph| {
    ///     graph.param(&a) * (graph.param(&b) * graph.constant(&t)).exp() - graph.constant(&y)
    /// })?;
    /// assert!(outcome.reason.is_converged() && outcome.value < 1e-20, "{outcome}");
    /// assert!((params.get(&b).item() + 2.0_f64.ln()).abs() < 1e-10);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn fit<T: Real>(
        &self,
        params: &mut Params<T>,
        residuals: impl for<'g> FnOnce(&'g Graph) -> Var<'g>,
    ) -> Result<Minimization, Error> {
        let [mut values, mut jacobians] = Traced::new(params, residuals, [Wanted::Value, Wanted::Jacobian])?;
        self.minimize(params, |params| values.value(params), |params, jacobian| jacobians.jacobian(params, jacobian))
    }
}

fn descend<T: Real>(
    run: &mut Run<'_, T>,
    mut residuals: impl FnMut(&Params<T>) -> Result<Tensor<T>, Error>,
    mut jacobian: impl FnMut(&Params<T>, &mut Jacobian<'_>) -> Result<(), Error>,
) -> Result<Reason, Error> {
    // The residuals where `run.trial` is.
    let mut r = Vec::new();
    let mut try_at = |run: &mut Run<'_, T>, r: &mut Vec<f64>, step: &[f64]| {
        run.evaluate(1.0, step, |params, _| {
            *r = residuals(params)?.data().iter().map(|r| r.as_f64()).collect();
            Ok(T::of(dot(r, r)))
        })
    };
    // Sets the gradient at the trial, and gives the Jacobian column by column.
    let mut linearize = |run: &mut Run<'_, T>, r: &[f64]| {
        let (n, rows) = (run.layout.len(), r.len().max(run.layout.len()));
        let mut columns = vec![0.0; n * rows];
        run.derivatives += 1;
        jacobian(run.params, &mut Jacobian::new(&run.layout, &mut columns, r.len(), rows))?;
        for (gradient, column) in run.trial.gradient.iter_mut().zip(columns.chunks(rows.max(1))) {
            *gradient = 2.0 * dot(&column[..r.len()], r);
        }
        Ok::<_, Error>((columns, rows))
    };
    try_at(run, &mut r, &[])?;
    let (mut columns, mut rows) = linearize(run, &r)?;
    if let Some(reason) = run.start() {
        return Ok(reason);
    }
    let mut region = Region { scale: vec![0.0; run.layout.len()], radius: 0.0, lambda: 0.0 };
    let mut first = true;
    loop {
        for (scale, column) in region.scale.iter_mut().zip(columns.chunks(rows)) {
            let size = norm(column);
            *scale = if first && size == 0.0 { 1.0 } else { scale.max(size) };
        }
        let mut size = region.norm(&run.point.x);
        if first {
            region.radius = FIRST_RADIUS * if size > 0.0 { size } else { 1.0 };
        }
        let qr = PivotedQr::new(std::mem::take(&mut columns), rows);
        let (qtr, triangle) = (qr.transposed_times(&r), qr.triangle());
        let before = norm(&r);
        // The part of the residuals that lies in what the columns span.
        let span = norm(&qtr[..triangle.rank().min(qtr.len())]);
        if let Some(reason) = run.promise(Some(span * span)) {
            return Ok(reason);
        }
        loop {
            if run.is_spent() {
                return Ok(Reason::Budget);
            }
            let step: Vec<f64> = region.step(&qr, &qtr).iter().map(|p| -p).collect();
            let length = region.norm(&step);
            if first {
                region.radius = region.radius.min(length);
                first = false;
            }
            let mut trial = Vec::new();
            try_at(run, &mut trial, &step)?;
            let after = norm(&trial);
            // NaN and infinities count as a rise.
            let actual = if 0.1 * after < before { 1.0 - (after / before).powi(2) } else { -1.0 };
            let in_columns: Vec<f64> = qr.order.iter().map(|&index| step[index]).collect();
            let linear = (norm(&triangle.times(&in_columns)) / before).powi(2);
            let damping = region.lambda * (length / before).powi(2);
            let predicted = linear + 2.0 * damping;
            let ratio = if predicted == 0.0 { 0.0 } else { actual / predicted };
            let mut accepted = ratio >= ACCEPTED;
            if accepted {
                let fresh = linearize(run, &trial)?;
                accepted = run.trial.is_finite() && fresh.0.iter().all(|value| value.is_finite());
                if accepted {
                    (columns, rows) = fresh;
                } else {
                    run.return_to_point();
                }
            }
            region.follow(
                if accepted { ratio } else { ratio.min(0.0) },
                actual,
                linear + damping,
                after / before,
                length,
            );
            if accepted {
                (r, size) = (trial, region.norm(&run.trial.x));
                if let Some(reason) = run.accept() {
                    return Ok(reason);
                }
            }
            let rounding = run.eps();
            let no_fall = actual.abs() <= rounding && predicted <= rounding && ratio <= 2.0;
            if no_fall || region.radius <= rounding * size {
                return Ok(run.at_rest(Reason::Stalled));
            }
            if accepted {
                break;
            }
        }
    }
}

/// The region in which the residuals are taken to be linear.
struct Region {
    /// The diagonal of D.
    scale: Vec<f64>,
    /// Δ
    radius: f64,
    /// λ
    lambda: f64,
}

impl Region {
    /// ‖Dp‖
    fn norm(&self, p: &[f64]) -> f64 {
        let scaled: Vec<f64> = p.iter().zip(&self.scale).map(|(p, scale)| p * scale).collect();
        norm(&scaled)
    }

    /// The solution p of `(JᵀJ + λD²)p = Jᵀr`, with λ such that its length is within a tenth of the radius, or 0 if it
    /// is short enough so.
    fn step(&mut self, qr: &PivotedQr, qtr: &[f64]) -> Vec<f64> {
        let triangle = qr.triangle();
        let mut undamped = qtr.to_vec();
        triangle.solve(&mut undamped);
        let mut p = qr.in_parameter_order(&undamped);
        let mut length = self.norm(&p);
        let mut excess = length - self.radius;
        if excess <= 0.1 * self.radius {
            self.lambda = 0.0;
            return p;
        }
        // Newton's step for λ: the excess over its slope, both over the radius.
        let newton = |region: &Self, triangle: &Triangle, p: &[f64], length: f64, excess: f64| {
            let scaled = |&index: &usize| region.scale[index] * (region.scale[index] * p[index] / length);
            let mut w: Vec<f64> = qr.order.iter().map(scaled).collect();
            triangle.solve_transposed(&mut w);
            excess / region.radius / dot(&w, &w)
        };
        let full = triangle.rank() == qtr.len();
        let mut least = if full { newton(self, &triangle, &p, length, excess) } else { 0.0 };
        let slope = triangle.transposed_times(qtr);
        let scaled: Vec<f64> = slope.iter().zip(&qr.order).map(|(slope, &index)| slope / self.scale[index]).collect();
        let mut most = norm(&scaled) / self.radius;
        if most == 0.0 {
            most = f64::MIN_POSITIVE / self.radius.min(0.1);
        }
        self.lambda = self.lambda.max(least).min(most);
        if self.lambda == 0.0 {
            self.lambda = norm(&scaled) / length;
        }
        for last in [false, false, false, false, false, false, false, false, false, true] {
            if self.lambda == 0.0 {
                self.lambda = f64::MIN_POSITIVE.max(1e-3 * most);
            }
            let root = self.lambda.sqrt();
            let d: Vec<f64> = self.scale.iter().map(|scale| root * scale).collect();
            let damped;
            (p, damped) = qr.damped(qtr, &d);
            length = self.norm(&p);
            let before = std::mem::replace(&mut excess, length - self.radius);
            let near = excess.abs() <= 0.1 * self.radius;
            if near || (least == 0.0 && excess <= before && before < 0.0) || last {
                break;
            }
            let correction = newton(self, &damped, &p, length, excess);
            if excess > 0.0 {
                least = least.max(self.lambda);
            } else {
                most = most.min(self.lambda);
            }
            self.lambda = least.max(self.lambda + correction);
        }
        p
    }

    /// Changes the radius by what a step of the given length brought: the ratio of the actual fall to the predicted
    /// one, the actual fall, the slope along the step, and the norm after as a multiple of the one before.
    fn follow(&mut self, ratio: f64, actual: f64, slope: f64, after: f64, length: f64) {
        if ratio <= 0.25 {
            // The minimum of the parabola with the slope at the start and the fall at the end.
            let parabola = if actual >= 0.0 { 0.5 } else { 0.5 * slope / (slope - 0.5 * actual) };
            let factor = if 0.1 * after < 1.0 { parabola.max(0.1) } else { 0.1 };
            self.radius = factor * self.radius.min(10.0 * length);
            self.lambda /= factor;
        } else if self.lambda == 0.0 || ratio >= 0.75 {
            self.radius = 2.0 * length;
            self.lambda *= 0.5;
        }
    }
}
