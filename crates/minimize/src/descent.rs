//! The loop of the methods that choose a direction and search along it.

use gradus_graph::{Error, Params, Real};
use gradus_linalg::{dot, norm};

use crate::line_search::{Found, LineSearch, Sample};
use crate::outcome::{Limits, Minimization, Reason};
use crate::run::{Point, Run};
use crate::scaled::Scaled;
use crate::slope::Slope;

/// The rounding error of a value, in its spacings: sums of many terms err by several.
const NOISE: f64 = 16.0;

/// A choice of directions that learns from steps.
pub(crate) trait Direction {
    /// The direction at a point, and the length along its values to try first.
    fn choose(&mut self, point: &Point) -> (Scaled, f64);
    /// Whether the direction chosen last, with its unit, leads to the minimum of a quadratic model.
    fn has_model(&self) -> bool;
    /// Learns from a step of the given length along the values of the direction.
    fn learn(&mut self, before: &Point, after: &Point, direction: Scaled, length: f64);
    /// Drops what was learned, so that the next direction is the steepest; returns whether there was something.
    fn forget(&mut self) -> bool;
}

/// The steepest descent at a point, and a length to try first: that of a step as long as the gradient, but at most 1,
/// and not so short that rounding of the parameters hides it.
pub(crate) fn steepest(point: &Point, gradient: &Scaled) -> (Scaled, f64) {
    let size = norm(&gradient.values);
    let step = (size * gradient.unit).min(1.0).max(f64::EPSILON.sqrt() * norm(&point.x));
    (gradient.negated(), step / size)
}

/// Minimises with the directions.
pub(crate) fn minimize<T: Real>(
    params: &mut Params<T>,
    (limits, scaled): (Limits, bool),
    search: LineSearch,
    mut direction: impl Direction,
    mut objective: impl FnMut(&Params<T>, &mut Slope<'_>) -> Result<T, Error>,
) -> Result<Minimization, Error> {
    let mut run = Run::new(params, limits, scaled);
    let ended = descend(&mut run, search, &mut direction, &mut objective);
    run.close(ended)
}

fn descend<T: Real>(
    run: &mut Run<'_, T>,
    search: LineSearch,
    direction: &mut impl Direction,
    objective: &mut impl FnMut(&Params<T>, &mut Slope<'_>) -> Result<T, Error>,
) -> Result<Reason, Error> {
    run.evaluate(0.0, &[], &mut *objective)?;
    if let Some(reason) = run.start() {
        return Ok(reason);
    }
    loop {
        let (chosen, first) = direction.choose(&run.point);
        let slope = dot(&chosen.values, &run.point.gradient);
        if !(slope < 0.0 && slope.is_finite() && first.is_finite()) {
            if direction.forget() {
                continue;
            }
            return Ok(run.at_rest(Reason::Stalled));
        }
        let promised = (direction.has_model() && run.is_near()).then_some(0.5 * slope.abs() * chosen.unit);
        let small = !direction.has_model() && run.reach() <= run.limits.gradient * run.point.value.abs();
        if let Some(reason) = run.promise(promised).or((small && run.has_moved()).then_some(Reason::Gradient)) {
            return Ok(reason);
        }
        let start = Sample { at: 0.0, value: run.point.value, slope };
        let noise = NOISE * run.eps() * start.value.abs();
        let found = search.search(start, first, noise, |at| {
            if run.is_spent() {
                return Ok(None);
            }
            run.evaluate(at, &chosen.values, &mut *objective)?;
            let slope = dot(&chosen.values, &run.trial.gradient);
            // A gradient that is not finite makes no slope, even where the direction is zero.
            let value = if run.trial.is_finite() { run.trial.value } else { f64::NAN };
            Ok(Some(Sample { at, value, slope }))
        })?;
        match found {
            Found::Spent => return Ok(Reason::Budget),
            Found::Step(length) | Found::Best(length) if length > 0.0 => {
                direction.learn(&run.point, &run.trial, chosen, length);
                if let Some(reason) = run.accept() {
                    return Ok(reason);
                }
            }
            _ if !run.at_rest(Reason::LineSearch).is_converged() && direction.forget() => {}
            _ => return Ok(run.at_rest(Reason::LineSearch)),
        }
    }
}
