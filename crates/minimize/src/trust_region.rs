//! The loop of the methods that minimise a quadratic model within a ball: `min gᵀp + ½pᵀBp`, `‖p‖ ≤ Δ`.
//!
//! The model is minimised by conjugate gradients, which ask for products with `B` alone and stop at the ball, along a
//! direction of curvature not above zero, or where the residual is below `min(0.01, √‖g‖)·‖g‖`. The radius shrinks
//! where the function does not follow the model, and doubles where it does and the step is as long as the radius. It
//! starts at the norm of the parameters.
//!
//! Steihaug: The conjugate gradient method and trust regions in large scale optimization, 1983.
//! Conn, Gould, Toint: Trust-region methods, 2000; section 17.4.2 for the ratio near rounding.

use gradus_graph::{Error, Params, Real};
use gradus_linalg::{add_scaled, dot, max_norm, norm};

use crate::outcome::{Limits, Minimization, Reason};
use crate::run::Run;
use crate::scaled::Scaled;
use crate::slope::Slope;

/// A step is accepted if the value falls by at least this part of what the model says.
const ACCEPTED: f64 = 1e-4;
/// The residual of the model's minimiser at most, as a part of the gradient. With a half, the usual choice, the steps
/// are too rough for scales as different as those of Meyer's problem; in sum over Moré, Garbow and Hillstrom's problems
/// this saves a sixth of the evaluations at the same number of products.
const TOLERANCE: f64 = 0.01;

/// The function and its model, as a method sees them.
pub(crate) trait Model<T> {
    /// Whether the gradient comes with the value, and is not asked for.
    const GRADIENT_WITH_VALUE: bool;
    /// The value.
    fn value(&mut self, params: &Params<T>, slope: &mut Slope<'_>) -> Result<T, Error>;
    /// Sets the gradient where the value was asked for last.
    fn gradient(&mut self, params: &Params<T>, slope: &mut Slope<'_>) -> Result<(), Error>;
    /// Sets the product of the model's matrix with the direction.
    fn product(&mut self, params: &Params<T>, direction: &Params<T>, slope: &mut Slope<'_>) -> Result<(), Error>;
}

/// Minimises with the model.
pub(crate) fn minimize<T: Real>(
    params: &mut Params<T>,
    (limits, scaled): (Limits, bool),
    mut model: impl Model<T>,
) -> Result<Minimization, Error> {
    let mut run = Run::new(params, limits, scaled);
    let ended = descend(&mut run, &mut model);
    run.close(ended)
}

fn descend<T: Real>(run: &mut Run<'_, T>, model: &mut impl Model<T>) -> Result<Reason, Error> {
    run.evaluate(0.0, &[], |params, slope| model.value(params, slope))?;
    gradient_at_trial(run, model)?;
    if let Some(reason) = run.start() {
        return Ok(reason);
    }
    let mut directions = run.params.clone();
    let size = norm(&run.point.x);
    let mut radius = if size > 0.0 { size } else { 1.0 };
    loop {
        run.return_to_point();
        let step = truncated(run, model, &mut directions, radius)?;
        let length = norm(&step.p);
        if let Some(reason) = run.promise((step.inside && run.is_near()).then_some(step.predicted)) {
            return Ok(reason);
        }
        if run.is_spent() {
            return Ok(Reason::Budget);
        }
        run.evaluate(1.0, &step.p, |params, slope| model.value(params, slope))?;
        let noise = 10.0 * run.eps() * run.point.value.abs();
        // Both falls are raised by what rounding may hide, so that their ratio approaches 1 there.
        let ratio = (run.point.value - run.trial.value + noise) / (step.predicted + noise);
        let good = run.trial.value.is_finite() && ratio >= ACCEPTED;
        if good {
            gradient_at_trial(run, model)?;
        }
        if good && run.trial.is_finite() && step.predicted > 0.0 {
            if ratio > 0.75 && length > 0.9 * radius {
                radius *= 2.0;
            } else if ratio < 0.25 {
                radius = 0.5 * length;
            }
            if let Some(reason) = run.accept() {
                return Ok(reason);
            }
        } else {
            radius = 0.25 * length;
        }
        if radius <= run.eps() * 1e-3 * norm(&run.point.x) {
            run.return_to_point();
            return Ok(run.at_rest(Reason::LineSearch));
        }
    }
}

fn gradient_at_trial<T: Real, M: Model<T>>(run: &mut Run<'_, T>, model: &mut M) -> Result<(), Error> {
    if M::GRADIENT_WITH_VALUE {
        return Ok(());
    }
    run.derivatives += 1;
    model.gradient(run.params, &mut Slope::new(&run.layout, &mut run.trial.gradient))
}

/// A step and how far the model falls along it.
struct Step {
    p: Vec<f64>,
    predicted: f64,
    /// Whether the step leads to the minimum of the model, or stopped before.
    inside: bool,
}

/// Steihaug's truncated conjugate gradients.
fn truncated<T: Real>(
    run: &mut Run<'_, T>,
    model: &mut impl Model<T>,
    directions: &mut Params<T>,
    radius: f64,
) -> Result<Step, Error> {
    let n = run.layout.len();
    let mut p = vec![0.0; n];
    // Residual and direction are over the gradient's unit, so that their squares stay in range.
    let Scaled { values: gradient, unit } = Scaled::of(&run.point.gradient);
    let mut residual = gradient.clone();
    let mut d: Vec<f64> = residual.iter().map(|g| -g).collect();
    let size = norm(&residual);
    let wanted = size * (size * unit).sqrt().min(TOLERANCE);
    let mut square = dot(&residual, &residual);
    let mut product = vec![0.0; n];
    let mut inside = false;
    // In exact arithmetic n products suffice; rounding may need more.
    for _ in 0..2 * n + 10 {
        run.layout.write(directions, &mut d);
        model.product(run.params, directions, &mut Slope::new(&run.layout, &mut product))?;
        run.products += 1;
        let curvature = dot(&d, &product);
        if !max_norm(&product).is_finite() || !curvature.is_finite() {
            // Without a model the slope alone is followed, a short way.
            if p.iter().all(|&p| p == 0.0) {
                add_scaled(&mut p, 0.1 * radius / norm(&d), &d);
            }
            break;
        }
        // Along the values of the direction.
        let length = square / curvature * unit;
        let mut next = p.clone();
        add_scaled(&mut next, length, &d);
        if curvature <= 0.0 || norm(&next) >= radius {
            let to_edge = to_edge(&p, &d, radius);
            add_scaled(&mut p, to_edge, &d);
            add_scaled(&mut residual, to_edge / unit, &product);
            break;
        }
        p = next;
        add_scaled(&mut residual, length / unit, &product);
        if norm(&residual) <= wanted {
            inside = true;
            break;
        }
        let last = std::mem::replace(&mut square, dot(&residual, &residual));
        for (d, r) in d.iter_mut().zip(&residual) {
            *d = square / last * *d - r;
        }
    }
    // With residual = g + Bp the model is ½pᵀ(g + residual).
    let predicted = -0.5 * (dot(&p, &gradient) + dot(&p, &residual)) * unit;
    Ok(Step { p, predicted, inside })
}

/// The τ ≥ 0 with `‖p + τd‖ = Δ`.
fn to_edge(p: &[f64], d: &[f64], radius: f64) -> f64 {
    // In units of Δ and of ‖d‖, since squares of large and of small steps would leave the range.
    let size = norm(d);
    let share: Vec<f64> = p.iter().map(|p| p / radius).collect();
    let direction: Vec<f64> = d.iter().map(|d| d / size).collect();
    let (b, c) = (dot(&share, &direction), dot(&share, &share) - 1.0);
    let root = (b * b - c).max(0.0).sqrt();
    // The form without cancellation.
    (if b > 0.0 { -c / (b + root) } else { root - b }) * (radius / size)
}
