//! The methods by which a derivative is examined; all must agree.

use super::evaluator::{Direction, Evaluator, signed};
use super::numeric::{self, Estimate, Place, Slope, Sum};
use super::report::{Method, Report, Verdict};
use super::target::Target;
use super::{Check, Effort};
use crate::error::Error;
use crate::shape::unravel;
use crate::tape::op::{Derivative, Domain, Kinks};
use crate::tensor::{AnyTensor, Tensor};

/// What a method found to be wrong.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) method: Method,
    /// What is wrong: "the derivative".
    pub(super) what: &'static str,
    /// The variable, as a failure names it.
    pub(super) variable: Option<Box<str>>,
    /// The element of it; all, if there is none.
    pub(super) element: Option<Box<[usize]>>,
    pub(super) analytic: f64,
    pub(super) numeric: f64,
    pub(super) uncertainty: f64,
    /// A sentence of its own.
    pub(super) note: Option<String>,
    /// The inputs at which it was found, if they are not those of the target.
    pub(super) point: Option<Box<[AnyTensor<f64>]>>,
}

impl Finding {
    pub(super) fn new(method: Method, what: &'static str, [analytic, numeric, uncertainty]: [f64; 3]) -> Self {
        Self { method, what, variable: None, element: None, analytic, numeric, uncertainty, note: None, point: None }
    }
}

/// What a failure calls an input that is out of the domain.
pub(super) const INPUT: &str = "an input";

/// Elements of a variable up to which each of them is moved.
const EACH: [usize; 2] = [48, 12];
/// Single elements that are moved in a variable that is larger.
const ONE_HOT: usize = 4;

/// An examination of a function by every method.
pub(super) struct Examination<'m, 'g> {
    pub(super) evaluator: &'m mut Evaluator<'g>,
    pub(super) target: &'m dyn Target,
    pub(super) check: &'m Check,
    pub(super) report: Report,
    /// The first thing that was found wrong.
    pub(super) finding: Option<Finding>,
    /// Whether the point is at a kink, where there is no Taylor polynomial.
    pub(super) at_kink: bool,
}

impl Examination<'_, '_> {
    /// That the inputs lie where derivatives can be checked, and that the value is a number there.
    pub(super) fn domain(&mut self) -> Result<(), Error> {
        let mut outside = None;
        for variable in 0..self.evaluator.arguments() {
            let domain = self.target.op().and_then(|op| Some(op.op.domain(real_input(op, variable)?)));
            let domain = domain.unwrap_or(Domain::REAL);
            let value = self.evaluator.value(variable);
            // An op may be defined at the end of its domain, which is no place for differences but for itself.
            let fits = |x: &f64| x.is_finite() && (domain.contains(*x) || domain.ends().any(|end| end == *x));
            let Some(place) = value.data().iter().position(|x| !fits(x)) else { continue };
            let (x, element) = (value.data()[place], unravel(place, value.shape()));
            let name = self.evaluator.variables[variable].name.clone();
            let domain = match domain.condition("x").filter(|_| x.is_finite()) {
                Some(condition) => format!("the domain is {condition}"),
                None => "derivatives are checked at finite numbers".to_owned(),
            };
            let note = format!("{name} is {x:?} at {element:?}; {domain}");
            let numbers = [f64::NAN; 3];
            outside.get_or_insert(Finding {
                note: Some(note),
                variable: None,
                element: Some(element.into()),
                ..Finding::new(Method::Domain, INPUT, numbers)
            });
        }
        if let Some(finding) = outside {
            self.record(Method::Domain, Err(finding));
            return Ok(());
        }
        // What is reduced over nothing may be no number.
        let empty = |variable| self.evaluator.value(variable).len() == 0;
        if (0..self.evaluator.arguments()).any(empty) {
            return Ok(());
        }
        let real = |value: &&AnyTensor<f64>| matches!(value, AnyTensor::Real(_));
        let values = self.evaluator.run(0)?.iter().filter(real);
        let mut nan = values.filter_map(|value| {
            let place = value.real().data().iter().position(|x| x.is_nan())?;
            Some(unravel(place, value.shape()))
        });
        let outcome = match nan.next() {
            None => Ok(Verdict::Agrees),
            Some(element) => Err(Finding {
                note: Some(format!("it is NaN at {element:?}, and every input is in the domain")),
                ..Finding::new(Method::Domain, "the value", [f64::NAN; 3])
            }),
        };
        self.record(Method::Domain, outcome);
        Ok(())
    }

    /// Examines the derivatives by all methods.
    pub(super) fn derivatives(&mut self) -> Result<(), Error> {
        if self.is_surrogate() {
            let gradient = self.evaluator.gradient(0)?;
            self.exercise(&gradient);
            self.linearity()?;
            return self.forward_against_reverse();
        }
        let mut noise = Vec::new();
        for level in 0..self.evaluator.levels.len() - 1 {
            noise.push(self.evaluator.noise(level, self.check.seed)?);
            self.differences(level, noise[level])?;
        }
        self.linearity()?;
        self.forward_against_reverse()?;
        self.taylor(noise[0])?;
        self.symmetry()
    }

    /// Whether the op declares that its derivative is not that of its value: what compares the two is not asked.
    pub(super) fn is_surrogate(&self) -> bool {
        self.target.op().is_some_and(|sample| sample.op.is_surrogate())
    }

    /// That no derivative passes.
    pub(super) fn stopped(&mut self) -> Result<(), Error> {
        let mut elements = self.evaluator.gradient(0)?.into_iter().flat_map(Tensor::into_vec);
        let passes = elements.find(|g| *g != 0.0);
        let what = "the derivative, which should be stopped,";
        let outcome =
            passes.map_or(Ok(Verdict::Agrees), |g| Err(Finding::new(Method::Differences, what, [g, 0.0, 0.0])));
        self.record(Method::Differences, outcome);
        Ok(())
    }

    /// Records the outcome of a method; what was found wrong counts against the method that the finding names.
    pub(super) fn record(&mut self, method: Method, outcome: Result<Verdict, Finding>) {
        match outcome {
            Ok(verdict) => self.report.record(method, verdict),
            Err(finding) => {
                self.report.record(finding.method, Verdict::Disagrees);
                self.finding.get_or_insert(finding);
            }
        }
    }

    /// The method that compares the gradient of a level with differences, and what it finds wrong.
    pub(super) fn order(level: usize) -> (Method, &'static str) {
        match level {
            0 => (Method::Differences, "the derivative"),
            1 => (Method::SecondOrder, "the derivative of the gradient"),
            _ => (Method::SecondOrder, "the third derivative"),
        }
    }

    /// The gradient of `⟨cₖ, level k⟩` against differences.
    fn differences(&mut self, level: usize, noise: f64) -> Result<(), Error> {
        let (method, what) = Self::order(level);
        let gradient = self.evaluator.gradient(level)?;
        if level == 0 {
            self.exercise(&gradient);
        }
        let mut outcome = Ok(Verdict::NotAsked);
        for variable in 0..gradient.len() {
            let size = gradient[variable].len();
            let each = match self.check.effort {
                Effort::Exhaustive => true,
                Effort::Balanced => size <= EACH[level.min(1)],
                Effort::Fast => false,
            };
            let chosen: Vec<usize> = match self.check.effort {
                Effort::Fast => Vec::new(),
                _ if each => (0..size).collect(),
                _ => self.some_elements(variable, size),
            };
            for element in chosen {
                let room = self.room(variable, element);
                let slope = self.evaluator.along_element(level, [variable, element], noise, room)?;
                let exact = gradient[variable].data()[element];
                let analytic = Sum { value: exact, weight: exact.abs() };
                let verdict = self.judge(method, what, level, Some([variable, element]), analytic, slope, 1.0);
                outcome = worse(outcome, verdict);
            }
            if !each && self.check.effort == Effort::Balanced {
                for stream in 0..self.check.directions {
                    let direction = self.evaluator.direction(variable..variable + 1, self.check.seed, 2 + stream);
                    outcome = worse(outcome, self.direction(method, what, level, noise, &gradient, &direction)?);
                }
            }
        }
        if self.check.effort == Effort::Fast {
            for stream in 0..self.check.directions {
                let direction = self.evaluator.direction(0..gradient.len(), self.check.seed, 2 + stream);
                outcome = worse(outcome, self.direction(method, what, level, noise, &gradient, &direction)?);
            }
        }
        self.record(method, outcome);
        Ok(())
    }

    /// Notes which inputs of an op have a declared derivative, and for which it is not zero here.
    fn exercise(&mut self, gradient: &[Tensor<f64>]) {
        let Some(sample) = self.target.op() else { return };
        for (variable, gradient) in gradient.iter().enumerate() {
            let Some(input) = real_input(sample, variable) else { continue };
            let bit = 1_u64 << input.min(63);
            if sample.op.derivative(input) != Derivative::Zero {
                self.report.derivable |= bit;
            }
            if gradient.data().iter().any(|g| *g != 0.0) {
                self.report.exercised |= bit;
            }
        }
    }

    /// A few elements of a large variable: the first, the last, and others.
    fn some_elements(&self, variable: usize, size: usize) -> Vec<usize> {
        let drawn = signed(self.check.seed, 5000 + variable as u32, ONE_HOT);
        let some = drawn.iter().map(|x| ((x.abs() * 64.0 * 7919.0) as usize) % size.max(1));
        let mut chosen: Vec<usize> = [0, size.saturating_sub(1)].into_iter().chain(some).take(ONE_HOT).collect();
        chosen.sort_unstable();
        chosen.dedup();
        chosen.retain(|&element| element < size);
        chosen
    }

    #[allow(clippy::too_many_arguments)]
    fn direction(
        &mut self,
        method: Method,
        what: &'static str,
        level: usize,
        noise: f64,
        gradient: &[Tensor<f64>],
        direction: &Direction,
    ) -> Result<Result<Verdict, Finding>, Error> {
        let room = self.room_along(direction);
        let place = Place { base: 1.0, room, noise };
        let slope = self.evaluator.along(level, direction, |f| numeric::derivative(place, f))?;
        let only = match &direction.0[..] {
            [(variable, _)] => Some([*variable, usize::MAX]),
            _ => None,
        };
        Ok(self.judge(method, what, level, only, direction.dot(gradient), slope, direction.least()))
    }

    /// The verdict on one number.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn judge(
        &mut self,
        method: Method,
        what: &'static str,
        level: usize,
        place: Option<[usize; 2]>,
        analytic: Sum,
        slope: Slope,
        least: f64,
    ) -> Result<Verdict, Finding> {
        let Estimate { value: numeric, error } = slope.central;
        let exact = analytic.value;
        self.report.compared += 1;
        self.at_kink |= slope.kink.is_some();
        let finding = |method, what, [analytic, numeric, uncertainty]: [f64; 3], note: Option<String>| {
            let [variable, element] = place.map_or([None, None], |place| place.map(Some));
            Finding {
                variable: variable.map(|variable| self.evaluator.variables[variable].name.as_str().into()),
                element: element.filter(|&element| element != usize::MAX).map(|element| {
                    let shape = self.evaluator.value(variable.expect("an element is of a variable")).shape();
                    unravel(element, shape).into()
                }),
                note,
                ..Finding::new(method, what, [analytic, numeric, uncertainty])
            }
        };
        // The analytic value carries rounding of its own, in proportion to what it sums.
        let rounding = 256.0 * f64::EPSILON * (analytic.weight + numeric.abs());
        if let Some([left, right]) = slope.kink {
            let slack = rounding + left.error + right.error;
            let between = exact >= left.value.min(right.value) - slack && exact <= left.value.max(right.value) + slack;
            let sides = format!("{:.6e} from the left and {:.6e} from the right", left.value, right.value);
            let vague = left.is_vague(slope.size) || right.is_vague(slope.size);
            if let Some([variable, element]) = place.filter(|&place| level == 0 && self.is_undeclared_kink(place)) {
                let at = self.evaluator.value(variable).data()[element];
                let note = format!("at {at:?} the slope is {sides}, and `kinks` does not state it");
                return Err(finding(Method::Kinks, "`kinks`", [exact, numeric, error], Some(note)));
            }
            let one = place.is_some_and(|[_, element]| element != usize::MAX);
            if one && !between && !vague {
                let at = place.map_or(0.0, |[variable, element]| self.evaluator.value(variable).data()[element]);
                let note = format!("at {at:?} there is a kink, where a derivative lies between the slopes: {sides}");
                return Err(finding(method, what, [exact, numeric, error], Some(note)));
            }
            if level > 0 || (vague && self.target.op().is_some()) {
                // What has no derivative of this order is not counted, nor where an op jumps, as it states.
                self.report.compared -= 1;
                return Ok(Verdict::NotAsked);
            }
            // Where many elements move, each may be at a kink of its own, and nothing lies between the sums of their slopes.
            self.report.undecided += usize::from(vague || !one);
            return Ok(if vague || !one { Verdict::Undecided } else { Verdict::Agrees });
        }
        if slope.is_vague() {
            if place.is_some_and(|place| self.is_at_stated_kink(place)) {
                self.at_kink = true;
                self.report.compared -= 1;
                return Ok(Verdict::NotAsked);
            }
            self.report.undecided += 1;
            return Ok(Verdict::Undecided);
        }
        let allowed = error + rounding;
        if exact.is_nan() || (exact - numeric).abs() > allowed {
            return Err(finding(method, what, [exact, numeric, allowed], None));
        }
        self.report.largest_error = self.report.largest_error.max((exact - numeric).abs() / (numeric.abs() + 1.0));
        self.report.detectable = self.report.detectable.max(allowed / least);
        Ok(Verdict::Agrees)
    }

    /// Whether the target is an op that states no kink where it has one.
    fn is_undeclared_kink(&self, [variable, element]: [usize; 2]) -> bool {
        let Some(sample) = self.target.op().filter(|_| element != usize::MAX) else { return false };
        let Some(input) = real_input(sample, variable) else { return false };
        let x = self.evaluator.value(variable).data()[element];
        match sample.op.kinks(input) {
            Kinks::Ties | Kinks::Joint => false,
            kinks => kinks.nearest(x).is_none_or(|(place, _)| (place - x).abs() > 1e-2),
        }
    }

    /// Whether an element lies just at a kink that the op states.
    fn is_at_stated_kink(&self, [variable, element]: [usize; 2]) -> bool {
        let arguments = self.evaluator.arguments();
        let Some(sample) = self.target.op().filter(|_| element != usize::MAX && variable < arguments) else {
            return false;
        };
        let x = self.evaluator.value(variable).data()[element];
        let kinks = real_input(sample, variable).map(|input| sample.op.kinks(input));
        kinks.and_then(|kinks| kinks.nearest(x)).is_some_and(|(kink, _)| kink == x)
    }

    /// How far an element may be moved without leaving the domain of the op.
    fn room(&self, variable: usize, element: usize) -> f64 {
        let sample = self.target.op().filter(|_| variable < self.evaluator.arguments());
        let Some((sample, input)) = sample.and_then(|sample| Some((sample, real_input(sample, variable)?))) else {
            return f64::INFINITY;
        };
        let x = self.evaluator.value(variable).data()[element];
        sample.op.domain(input).ends().map(|end| (end - x).abs()).fold(f64::INFINITY, f64::min)
    }

    pub(super) fn room_along(&self, direction: &Direction) -> f64 {
        let part = |(variable, part): &(usize, Vec<f64>)| {
            let room = |(element, d): (usize, &f64)| self.room(*variable, element) / d.abs().max(1e-300);
            part.iter().enumerate().map(room).fold(f64::INFINITY, f64::min)
        };
        direction.0.iter().map(part).fold(f64::INFINITY, f64::min)
    }
}

/// The number of the input that a variable of an op is.
pub(super) fn real_input(sample: &super::Sample, variable: usize) -> Option<usize> {
    let real = |(_, input): &(usize, &crate::AnyTensor<f64>)| matches!(input, crate::AnyTensor::Real(_));
    sample.inputs.iter().enumerate().filter(real).nth(variable).map(|(input, _)| input)
}

/// The outcome of two looks: what is wrong counts most, and what is undecided least.
pub(super) fn worse(before: Result<Verdict, Finding>, now: Result<Verdict, Finding>) -> Result<Verdict, Finding> {
    match (before, now) {
        (Err(finding), _) | (Ok(_), Err(finding)) => Err(finding),
        (Ok(Verdict::Agrees), _) | (_, Ok(Verdict::Agrees)) => Ok(Verdict::Agrees),
        (Ok(verdict), Ok(_)) => Ok(verdict),
    }
}
