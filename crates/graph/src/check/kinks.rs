//! Kinks and domains, which ops state and checks verify.
//!
//! At a kink that an op states the derivative must be the one that it states, and lie between the slopes from the two
//! sides; ties must share. Elsewhere there must be none: an elementwise op is scanned ([`scan`](super::scan)), another is
//! examined at round numbers, where most kinks are.

use super::derivatives::{Examination, Finding, real_input, worse};
use super::evaluator::Evaluator;
use super::report::{ENDS, Method, Verdict};
use crate::error::Error;
use crate::shape::unravel;
use crate::tape::op::{Form, Kinks};
use crate::tensor::AnyTensor;

/// Where an op that is not elementwise is examined beside its samples.
const ROUND: [f64; 7] = [0.0, 1.0, -1.0, 0.5, 2.0, 16.0, -16.0];

impl Examination<'_, '_> {
    /// Looks at the kinks of an op, stated and not.
    pub(super) fn kinks(&mut self) -> Result<(), Error> {
        let Some(sample) = self.target.op().cloned() else { return Ok(()) };
        if self.evaluator.levels.len() < 2 || self.is_surrogate() {
            return Ok(());
        }
        let mut outcome = Ok(Verdict::NotAsked);
        for variable in 0..self.evaluator.arguments() {
            let Some(input) = real_input(&sample, variable) else { continue };
            let (kinks, domain) = (sample.op.kinks(input), sample.op.domain(input));
            let size = self.evaluator.value(variable).len();
            if size == 0 {
                continue;
            }
            let element = self.check.seed as usize % size;
            for (number, end) in domain.ends().enumerate() {
                let bit = 1_u64 << (input * ENDS + number).min(63);
                self.report.ends |= bit;
                if self.evaluator.ends_at(variable, element, end)? {
                    self.report.ends_seen |= bit;
                }
            }
            match &kinks {
                Kinks::Ties | Kinks::Joint | Kinks::None => {}
                Kinks::At(places) => {
                    for &(place, subgradient) in places {
                        outcome = worse(outcome, self.at_kink(variable, element, place, subgradient)?);
                    }
                }
                Kinks::Every { first, step } => {
                    for k in [-1.0, 0.0, 2.0] {
                        outcome = worse(outcome, self.at_kink(variable, element, first + k * step, 0.0)?);
                    }
                }
            }
            // An elementwise op is scanned over its whole domain.
            if matches!(kinks, Kinks::Ties | Kinks::Joint) || sample.op.form() == Form::Pointwise {
                continue;
            }
            for place in ROUND {
                let near_end = domain.ends().any(|end| (end - place).abs() < 0.25);
                let near_kink = kinks.nearest(place).is_some_and(|(kink, _)| (kink - place).abs() < 0.0625);
                if domain.contains(place) && !near_end && !near_kink {
                    outcome = worse(outcome, self.at_round(variable, element, place)?);
                }
            }
        }
        self.record(Method::Kinks, outcome);
        Ok(())
    }

    /// At a stated kink.
    fn at_kink(
        &mut self,
        variable: usize,
        element: usize,
        place: f64,
        subgradient: f64,
    ) -> Result<Result<Verdict, Finding>, Error> {
        let evaluator = &mut *self.evaluator;
        let base = evaluator.value(variable).clone();
        evaluator.data_mut(variable)[element] = place;
        let analytic = evaluator.gradient(0)?[variable].data()[element];
        let slope = evaluator.along_element(0, [variable, element], 0.0, f64::INFINITY)?;
        let cotangent = cotangent_of(evaluator, element);
        evaluator.set_value(variable, base);
        let find = |note: String| Finding {
            variable: Some(evaluator.variables[variable].name.as_str().into()),
            element: Some(unravel(element, evaluator.value(variable).shape()).into()),
            note: Some(note),
            ..Finding::new(Method::Kinks, "`kinks`, or the derivative there,", [analytic, subgradient, 0.0])
        };
        // For an op that acts on each element by itself the stated number can be compared.
        if let Some(cotangent) = cotangent {
            let due = cotangent * subgradient;
            if (analytic - due).abs() > 1e-12 * (due.abs() + cotangent.abs()) {
                let stated = format!("at {place:?} it is {:.6e}; `kinks` states {subgradient}", analytic / cotangent);
                return Ok(Err(find(stated)));
            }
        }
        let Some([left, right]) = slope.kink else { return Ok(Ok(Verdict::Agrees)) };
        if left.is_vague(slope.size) || right.is_vague(slope.size) {
            // The function jumps: it has no slopes between which the derivative could lie.
            return Ok(Ok(Verdict::Agrees));
        }
        let slack = left.error + right.error + 1e-12;
        let (low, high) = (left.value.min(right.value), left.value.max(right.value));
        if analytic < low - slack || analytic > high + slack {
            let note =
                format!("at {place:?} it is not between the slopes from the two sides, {low:.6e} and {high:.6e}");
            return Ok(Err(find(note)));
        }
        Ok(Ok(Verdict::Agrees))
    }

    /// At a round number, where no kink is stated: there is none, and the derivative is right.
    fn at_round(&mut self, variable: usize, element: usize, place: f64) -> Result<Result<Verdict, Finding>, Error> {
        let evaluator = &mut *self.evaluator;
        let base = evaluator.value(variable).clone();
        evaluator.data_mut(variable)[element] = place;
        // Together with the other inputs the number may lie where the op is not defined, which no domain can state.
        let exact = evaluator.gradient(0)?[variable].data()[element];
        let slope = evaluator.along_element(0, [variable, element], 0.0, 0.25)?;
        evaluator.set_value(variable, base);
        let Some([left, right]) = slope.kink.filter(|_| exact.is_finite()) else {
            let allowed = slope.central.error + 1e-8 * (1.0 + exact.abs() + slope.size);
            let apart = (exact - slope.central.value).abs() > allowed;
            if !apart || slope.is_vague() || !exact.is_finite() {
                return Ok(Ok(Verdict::Agrees));
            }
            let mut point = self.target.inputs().to_vec();
            let input = self.target.op().and_then(|sample| real_input(sample, variable)).unwrap_or(variable);
            if let AnyTensor::Real(value) = &mut point[input] {
                value.data_mut()[element] = place;
            }
            return Ok(Err(Finding {
                variable: Some(evaluator.variables[variable].name.as_str().into()),
                element: Some(unravel(element, evaluator.value(variable).shape()).into()),
                point: Some(point.into()),
                ..Finding::new(Method::Differences, "the derivative", [exact, slope.central.value, allowed])
            }));
        };
        let sides = format!("{:.6e} from the left and {:.6e} from the right", left.value, right.value);
        Ok(Err(Finding {
            variable: Some(evaluator.variables[variable].name.as_str().into()),
            element: Some(unravel(element, evaluator.value(variable).shape()).into()),
            note: Some(format!("at {place:?} the slope is {sides}, and `kinks` does not state it")),
            ..Finding::new(Method::Kinks, "`kinks`", [f64::NAN; 3])
        }))
    }
}

/// The cotangent of an element, if output and inputs are of one shape, as for an op on each element.
fn cotangent_of(evaluator: &Evaluator<'_>, element: usize) -> Option<f64> {
    let cotangents = evaluator.levels[0].cotangents.clone();
    let alike = cotangents.len() == 1
        && (0..evaluator.arguments()).all(|v| evaluator.value(v).shape() == evaluator.value(cotangents.start).shape());
    alike.then(|| evaluator.value(cotangents.start).data()[element])
}

impl Evaluator<'_> {
    /// Whether a value or a derivative at the end of a domain, or just beyond, is not finite or above 10⁶ in size.
    pub(super) fn ends_at(&mut self, variable: usize, element: usize, end: f64) -> Result<bool, Error> {
        let base = self.value(variable).clone();
        let mut ends = false;
        for place in [end, end - 1e-8, end + 1e-8] {
            self.data_mut(variable)[element] = place;
            for level in 0..2 {
                let far = |x: &f64| !x.is_finite() || x.abs() > 1e6;
                ends |= self.run(level)?.iter().any(|value| value.real().data().iter().any(far));
            }
        }
        self.set_value(variable, base);
        Ok(ends)
    }
}
