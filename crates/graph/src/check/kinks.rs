//! Kinks and domains, which ops state and checks verify.
//!
//! At a kink that an op states the derivative must be the one that it states, and lie between the slopes from the two
//! sides; ties must share. Elsewhere there must be none: round numbers, where most kinks are, are looked at on purpose.

use super::machine::Machine;
use super::report::{ENDS, Vote, Way};
use super::ways::{Examination, Finding, real_input, worse};
use crate::error::Error;
use crate::tape::op::Kinks;
use crate::tensor::unravel;

/// Where kinks are looked for that an op does not state.
const ROUND: [f64; 5] = [0.0, 1.0, -1.0, 0.5, 2.0];

impl Examination<'_, '_> {
    /// Looks at the kinks of an op, stated and not.
    pub(super) fn kinks(&mut self) -> Result<(), Error> {
        let Some(sample) = self.target.op().cloned() else { return Ok(()) };
        if self.machine.levels.len() < 2 {
            return Ok(());
        }
        let mut outcome = Ok(Vote::NotAsked);
        for variable in 0..self.machine.arguments() {
            let Some(input) = real_input(&sample, variable) else { continue };
            let (kinks, domain) = (sample.op.kinks(input), sample.op.domain(input));
            let size = self.machine.value(variable).len();
            if size == 0 {
                continue;
            }
            let element = self.check.seed as usize % size;
            for (number, end) in domain.ends().enumerate() {
                let bit = 1_u64 << (input * ENDS + number).min(63);
                self.report.ends |= bit;
                if self.machine.ends_at(variable, element, end)? {
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
            if matches!(kinks, Kinks::Ties | Kinks::Joint) {
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
        self.vote(Way::Kinks, outcome);
        Ok(())
    }

    /// At a stated kink.
    fn at_kink(
        &mut self,
        variable: usize,
        element: usize,
        place: f64,
        subgradient: f64,
    ) -> Result<Result<Vote, Finding>, Error> {
        let machine = &mut *self.machine;
        let base = machine.value(variable).clone();
        machine.data_mut(variable)[element] = place;
        let analytic = machine.gradient(0)?[variable].data()[element];
        let slope = machine.along_element(0, [variable, element], 0.0, f64::INFINITY)?;
        let cotangent = cotangent_of(machine, element);
        machine.set_value(variable, base);
        let find = |note: String| Finding {
            variable: Some(machine.variables[variable].name.clone()),
            element: Some(unravel(element, machine.value(variable).shape())),
            note: Some(note),
            ..Finding::new(Way::Kinks, "`kinks`, or the derivative there,", [analytic, subgradient, 0.0])
        };
        // For an op that acts on each element by itself the stated number can be compared.
        if let Some(cotangent) = cotangent {
            let due = cotangent * subgradient;
            if (analytic - due).abs() > 1e-12 * (due.abs() + cotangent.abs()) {
                let stated = format!("at {place} it is {:.6e}; `kinks` states {subgradient}", analytic / cotangent);
                return Ok(Err(find(stated)));
            }
        }
        let Some([left, right]) = slope.kink else { return Ok(Ok(Vote::Agrees)) };
        if left.is_vague(slope.size) || right.is_vague(slope.size) {
            // The function jumps: it has no slopes between which the derivative could lie.
            return Ok(Ok(Vote::Agrees));
        }
        let slack = left.error + right.error + 1e-12;
        let (low, high) = (left.value.min(right.value), left.value.max(right.value));
        if analytic < low - slack || analytic > high + slack {
            let note = format!("at {place} it is not between the slopes from the two sides, {low:.6e} and {high:.6e}");
            return Ok(Err(find(note)));
        }
        Ok(Ok(Vote::Agrees))
    }

    /// At a round number, where no kink is stated.
    fn at_round(&mut self, variable: usize, element: usize, place: f64) -> Result<Result<Vote, Finding>, Error> {
        let machine = &mut *self.machine;
        let base = machine.value(variable).clone();
        machine.data_mut(variable)[element] = place;
        // Together with the other inputs the number may lie where the op is not defined, which no domain can state.
        let defined = machine.gradient(0)?[variable].data()[element].is_finite();
        let slope = machine.along_element(0, [variable, element], 0.0, 0.25)?;
        machine.set_value(variable, base);
        let Some([left, right]) = slope.kink.filter(|_| defined) else { return Ok(Ok(Vote::Agrees)) };
        let sides = format!("{:.6e} from the left and {:.6e} from the right", left.value, right.value);
        Ok(Err(Finding {
            variable: Some(machine.variables[variable].name.clone()),
            element: Some(unravel(element, machine.value(variable).shape())),
            note: Some(format!("at {place} the slope is {sides}, and `kinks` does not state it")),
            ..Finding::new(Way::Kinks, "`kinks`", [f64::NAN; 3])
        }))
    }
}

/// The cotangent of an element, if output and inputs are of one shape, as for an op on each element.
fn cotangent_of(machine: &Machine<'_>, element: usize) -> Option<f64> {
    let cotangents = machine.levels[0].cotangents.clone();
    let alike = cotangents.len() == 1
        && (0..machine.arguments()).all(|v| machine.value(v).shape() == machine.value(cotangents.start).shape());
    alike.then(|| machine.value(cotangents.start).data()[element])
}

impl Machine<'_> {
    /// Whether the op is no good at the end of a domain: whether a value or a derivative there, or just beyond, is not
    /// finite, or as good as infinite.
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
