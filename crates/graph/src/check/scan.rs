//! The whole domain of an elementwise op, one input at a time: special numbers, numbers of every scale, and a search for
//! kinks that the op does not state.
//!
//! - At the numbers of [`points`] the value and the derivative must not be NaN, in `f64` and in `f32`, and the
//!   derivatives must agree with differences.
//! - On a grid (steps of 1/512 up to 8, of 0.5 % up to 10⁶, of either sign) each interval is halved towards the larger
//!   change of the slope, and of the value. For a smooth function the change shrinks with the interval; what is left of
//!   it after [`HALVINGS`] is a kink, or a jump.
//!
//! A wrong derivative is found if it is wrong at one of these points, or if it has a jump between neighbours of the grid.
//! What cannot be found: a wrong derivative at a single number that is not among the points; a change of slope below
//! 10⁻⁶ of the slope, or below what the slope changes over one interval anyway; the second of two kinks in one interval;
//! what lies beyond 10⁶; a derivative that is off by less than 10⁻¹⁰ of the value, as where a function saturates; and
//! what shows only where several inputs have certain values together ([`Kinks::Joint`]).

use super::derivatives::{Examination, Finding, real_input};
use super::evaluator::{Direction, Evaluator};
use super::numeric;
use super::report::{Method, Report};
use super::{Check, Sample};
use crate::error::Error;
use crate::kernel::random::RandomStream;
use crate::tape::Graph;
use crate::tape::op::{Domain, Form, Kind, Kinks};
use crate::tensor::{AnyTensor, Tensor};

/// Numbers at which formulas fail, of either sign.
const SPECIAL: [f64; 13] = [0.0, 0.5, 1.0, 2.0, 1e-300, 1e-30, 1e-8, 16.0, 88.0, 710.0, 1e3, 1e6, 1e10];
/// The binary orders of magnitude of which a number is drawn.
const SCALES: std::ops::RangeInclusive<i32> = -12..=20;
/// Values of the inputs that are not scanned.
const OTHERS: [f64; 5] = [0.8125, 2.375, -1.3125, 0.3125, -0.4375];
/// How often an interval of the grid is halved: from 1/512 to 2·10⁻¹⁵.
const HALVINGS: u32 = 40;
/// Values and slopes above this say nothing about kinks: the function is about to overflow.
const HUGE: f64 = 1e100;

/// Scans the domains of an elementwise op; nothing for another. The finding has the point at which it was made.
pub(super) fn scan(check: &Check, sample: &Sample) -> Result<Result<(), Finding>, Error> {
    if !can_be_scanned(check, sample) {
        return Ok(Ok(()));
    }
    for setting in settings(sample) {
        for input in 0..sample.inputs.len() {
            let mut line = Line::new(check, sample, input, &setting);
            let all = [Line::numbers, Line::differences, Line::kinks];
            let looks = if sample.op.is_surrogate() { &all[..1] } else { &all[..] };
            for look in looks {
                if let Err(finding) = look(&mut line)? {
                    return Ok(Err(finding));
                }
            }
        }
    }
    Ok(Ok(()))
}

/// The value and the slope of an elementwise op at all points and on the grid, for each input and setting; nothing for
/// another op.
#[cfg(any(test, feature = "proptest"))]
pub(super) fn profile(check: &Check, sample: &Sample) -> Result<Vec<f64>, Error> {
    let mut profile = Vec::new();
    if !can_be_scanned(check, sample) {
        return Ok(profile);
    }
    for setting in settings(sample) {
        for input in 0..sample.inputs.len() {
            let mut line = Line::new(check, sample, input, &setting);
            for numbers in [points(line.domain, check.seed), grid(line.domain)] {
                let found = line.evaluate(&numbers)?;
                profile.extend(found.value.into_iter().chain(found.slope));
            }
        }
    }
    Ok(profile)
}

/// Whether an op is elementwise, from real numbers to one, and has derivatives.
fn can_be_scanned(check: &Check, sample: &Sample) -> bool {
    let real = |input: &AnyTensor<f64>| matches!(input, AnyTensor::Real(_));
    let alike = sample.op.form() == Form::Pointwise && sample.inputs.iter().all(real);
    let graph = Graph::new();
    alike
        && !check.stopped
        && check.evaluator(&graph, sample).is_ok_and(|evaluator| evaluator.outputs[0].kind() == Kind::Real)
}

/// Two choices of the inputs that are not scanned; one, if there is only the one that is.
fn settings(sample: &Sample) -> Vec<Vec<f64>> {
    let value = |input: usize, choice: usize| {
        let domain = sample.op.domain(input);
        // No two are equal where the domain is all numbers: that would be a tie.
        let mut fitting = OTHERS.iter().cycle().skip(2 * choice + input).take(OTHERS.len());
        let middle =
            if domain.low.is_finite() { domain.low + 0.8125 * (domain.high - domain.low).min(1.0) } else { 0.5 };
        fitting.find(|x| domain.contains(**x)).copied().unwrap_or(middle)
    };
    let inputs = 0..sample.inputs.len();
    let choices = if sample.inputs.len() > 1 { 2 } else { 1 };
    (0..choices).map(|choice| inputs.clone().map(|input| value(input, choice)).collect()).collect()
}

/// The special numbers, numbers near the ends of the domain, and one drawn number of each scale and sign; all within.
fn points(domain: Domain, seed: u64) -> Vec<f64> {
    let mut drawn = vec![0.0; 2 * SCALES.count()];
    RandomStream { seed, step: 0, stream: 77 }.uniform(0, &mut drawn);
    let scales = SCALES.flat_map(|scale| [1.0, -1.0].map(|sign| sign * f64::from(scale).exp2()));
    let ends = domain
        .ends()
        .flat_map(|end| [2.0_f64, 10.0, 26.0].into_iter().flat_map(move |k| [end + (-k).exp2(), end - (-k).exp2()]));
    let special = SPECIAL.into_iter().flat_map(|x| [x, -x]);
    let scaled = scales.zip(&drawn).map(|(scale, drawn)| scale * (1.0 + drawn));
    special.chain(ends).chain(scaled).filter(|&x| domain.contains(x)).collect()
}

/// The ends of the intervals in which kinks are looked for, ascending.
fn grid(domain: Domain) -> Vec<f64> {
    // Off the round numbers, so that a kink lies within an interval.
    let mut positive: Vec<f64> = (0..4096).map(|k| (f64::from(k) + 0.618_034) / 512.0).collect();
    let mut x = 8.0;
    while x < 1e6 {
        x *= 1.005;
        positive.push(x);
    }
    let negative = positive.iter().rev().map(|x| -x);
    negative.chain(positive.iter().copied()).filter(|&x| domain.contains(x)).collect()
}

/// What an op gives at many numbers.
struct Found {
    value: Vec<f64>,
    slope: Vec<f64>,
}

/// An elementwise op as a function of one of its inputs, the others held.
struct Line<'a> {
    check: &'a Check,
    sample: &'a Sample,
    input: usize,
    setting: &'a [f64],
    domain: Domain,
    kinks: Kinks,
}

impl<'a> Line<'a> {
    fn new(check: &'a Check, sample: &'a Sample, input: usize, setting: &'a [f64]) -> Self {
        let (domain, kinks) = (sample.op.domain(input), sample.op.kinks(input));
        Self { check, sample, input, setting, domain, kinks }
    }

    /// The op at the given numbers of the scanned input.
    fn at(&self, numbers: &[f64]) -> Sample {
        let inputs = self.setting.iter().enumerate().map(|(input, &other)| {
            let held = |_| other;
            let of = if input == self.input { numbers.to_vec() } else { numbers.iter().map(held).collect() };
            AnyTensor::Real(Tensor::new([numbers.len()], of))
        });
        Sample { op: self.sample.op.clone(), inputs: inputs.collect() }
    }

    fn evaluator<'g>(&self, graph: &'g Graph, numbers: &[f64]) -> Result<Evaluator<'g>, Error> {
        let mut evaluator = Evaluator::new(graph, &self.at(numbers), self.check.orders.min(2), self.check.seed)?;
        let cotangent = evaluator.levels[0].cotangents.start;
        evaluator.set_value(cotangent, Tensor::full([numbers.len()], 1.0));
        Ok(evaluator)
    }

    fn evaluate(&mut self, numbers: &[f64]) -> Result<Found, Error> {
        let graph = Graph::new();
        let mut evaluator = self.evaluator(&graph, numbers)?;
        let slope = evaluator.run(1)?[self.input].real().data().to_vec();
        Ok(Found { value: evaluator.run(0)?[0].real().data().to_vec(), slope })
    }

    /// The distance to the next number at which the domain ends or the op has a stated kink.
    fn room(&self, x: f64) -> f64 {
        let ties = self.ties().filter(|_| self.kinks == Kinks::Ties);
        let ends = self.domain.ends().chain(self.kinks.nearest(x).map(|(kink, _)| kink)).chain(ties);
        ends.map(|place| (place - x).abs()).fold(f64::INFINITY, f64::min)
    }

    /// Where kinks with the other inputs may be: at their values if the op compares them with this one, and at 0 and their
    /// values of either sign if they make kinks together.
    fn ties(&self) -> impl Iterator<Item = f64> {
        let others = self.setting.iter().enumerate().filter(|&(input, _)| input != self.input);
        let factors: &[f64] = match self.kinks {
            Kinks::Ties => &[1.0],
            Kinks::Joint => &[1.0, 0.0, -1.0],
            _ => &[],
        };
        others.flat_map(|(_, &x)| factors.iter().map(move |factor| factor * x))
    }

    /// The same, and to the next number at which inputs may make a kink together.
    fn free_room(&self, x: f64) -> f64 {
        self.ties().map(|place| (place - x).abs()).fold(self.room(x), f64::min)
    }

    /// The finding that a value or a derivative is NaN.
    fn nan(&self, x: f64, what: &'static str, precision: &str) -> Finding {
        let domain = self.domain.condition("x").unwrap_or_else(|| "all numbers".to_owned());
        let note = format!("at {x:?}{precision} it is NaN, and the domain is {domain}");
        self.finding(x, Finding { note: Some(note), ..Finding::new(Method::Domain, what, [f64::NAN; 3]) })
    }

    fn finding(&self, x: f64, finding: Finding) -> Finding {
        Finding {
            variable: Some(format!("input {}", self.input).into()),
            element: Some(vec![0].into()),
            point: Some(self.at(&[x]).inputs.into()),
            ..finding
        }
    }

    /// That values and derivatives are numbers wherever the op is defined.
    fn numbers(&mut self) -> Result<Result<(), Finding>, Error> {
        let numbers = points(self.domain, self.check.seed);
        let found = self.evaluate(&numbers)?;
        let graph = Graph::new();
        let evaluator = self.evaluator(&graph, &numbers)?;
        let wanted = [evaluator.outputs[0], evaluator.levels[1].values[self.input]];
        let single = evaluator.with(|params, feed| graph.eval_with::<f32>(&wanted, params, feed))?;
        let beside = self.evaluate(&numbers.iter().flat_map(|x| [x - 1e-3, x + 1e-3]).collect::<Vec<_>>())?;
        for (place, &x) in numbers.iter().enumerate() {
            let nan = |what, precision| Ok(Err(self.nan(x, what, precision)));
            let (value, slope) = (found.value[place], found.slope[place]);
            if value.is_nan() {
                return nan("the value", "");
            }
            if slope.is_nan() {
                return nan("the derivative", "");
            }
            // A number so small that f32 makes it 0 may leave the domain.
            if self.domain.contains(f64::from(x as f32)) && value.is_finite() && slope.is_finite() {
                if single[0].real().data()[place].is_nan() {
                    return nan("the value", " in f32");
                }
                if single[1].real().data()[place].is_nan() {
                    return nan("the derivative", " in f32");
                }
            }
            let all_finite = |of: &[f64]| of[2 * place].is_finite() && of[2 * place + 1].is_finite();
            let stated = self.free_room(x) < 2e-3;
            let isolated = |at: f64, of: &[f64]| at.is_infinite() && all_finite(of) && !stated;
            let pole = isolated(value, &beside.value);
            if x.abs() <= 2.0 && (pole || isolated(slope, &beside.slope)) {
                let what = if pole { "value" } else { "slope" };
                let note = format!("at {x:?} the {what} is infinite, and neither `domain` nor `kinks` states it");
                let finding = Finding { note: Some(note), ..Finding::new(Method::Kinks, "`kinks`", [f64::NAN; 3]) };
                return Ok(Err(self.finding(x, finding)));
            }
        }
        Ok(Ok(()))
    }

    /// The derivatives at the points against differences.
    fn differences(&mut self) -> Result<Result<(), Finding>, Error> {
        self.differences_at(&points(self.domain, self.check.seed))
    }

    fn differences_at(&self, numbers: &[f64]) -> Result<Result<(), Finding>, Error> {
        let (graph, start) = (Graph::new(), self.at(&[self.setting[self.input]]));
        let mut evaluator = self.evaluator(&graph, &[self.setting[self.input]])?;
        debug_assert_eq!(real_input(&start, self.input), Some(self.input));
        let report = Report::default();
        let mut examination = Examination {
            evaluator: &mut evaluator,
            target: &start,
            check: self.check,
            report,
            finding: None,
            at_kink: false,
        };
        let along = Direction(vec![(self.input, vec![1.0])]);
        for &x in numbers {
            let room = self.room(x);
            if room <= 1e-9 * x.abs().max(1.0) {
                continue;
            }
            for level in 0..examination.evaluator.levels.len() - 1 {
                let (method, what) = Examination::order(level);
                let evaluator = &mut *examination.evaluator;
                evaluator.data_mut(self.input)[0] = x;
                let exact = evaluator.gradient(level)?[self.input].data()[0];
                if !exact.is_finite() || exact.abs() > HUGE || !evaluator.scalar(level)?.value.is_finite() {
                    continue;
                }
                let noise = evaluator.along(level, &along, |f| numeric::noise(f))?;
                let size = evaluator.scalar(level)?.weight + exact.abs();
                let analytic = numeric::Sum { value: exact, weight: exact.abs() };
                let mut wrong = None;
                // Steps at a large number are large, and may miss what a function does between them: small ones must
                // find the same.
                for room in [room, room.min(0.25)] {
                    let slope = examination.evaluator.along_element(level, [self.input, 0], noise, room)?;
                    // Where a function saturates, both are made of rounding.
                    let close = (slope.central.value - exact).abs() <= 1e-10 * (1.0 + size) && slope.kink.is_none();
                    let place = Some([self.input, 0]);
                    wrong =
                        examination.judge(method, what, level, place, analytic, slope, 1.0).err().filter(|_| !close);
                    if wrong.is_none() {
                        break;
                    }
                }
                if let Some(finding) = wrong {
                    return Ok(Err(self.finding(x, finding)));
                }
            }
        }
        Ok(Ok(()))
    }

    /// Kinks and jumps that the op does not state.
    fn kinks(&mut self) -> Result<Result<(), Finding>, Error> {
        let grid = grid(self.domain);
        let found = self.evaluate(&grid)?;
        let free = |k: &usize| {
            let (low, high) = (grid[*k], grid[k + 1]);
            let middle = low + 0.5 * (high - low);
            self.free_room(middle) > 0.75 * (high - low)
        };
        let intervals: Vec<usize> = (0..grid.len().saturating_sub(1)).filter(free).collect();
        let ends = |of: &[f64]| intervals.iter().map(|&k| [(grid[k], of[k]), (grid[k + 1], of[k + 1])]).collect();
        let start: [Vec<[(f64, f64); 2]>; 2] = [ends(&found.slope), ends(&found.value)];
        let graph = Graph::new();
        if intervals.is_empty() {
            return Ok(Ok(()));
        }
        let mut evaluator = self.evaluator(&graph, &vec![grid[intervals[0]]; intervals.len()])?;
        for (of_value, mut ends) in [true, false].into_iter().zip(start.into_iter().rev()) {
            for _ in 0..HALVINGS {
                let middles = evaluator.data_mut(self.input).iter_mut().zip(&ends);
                middles.for_each(|(x, [low, high])| *x = low.0 + 0.5 * (high.0 - low.0));
                let found = if of_value { evaluator.run(0)?[0].real() } else { evaluator.run(1)?[self.input].real() };
                let found = found.data().to_vec();
                for (([low, high], &at), &x) in ends.iter_mut().zip(&found).zip(evaluator.value(self.input).data()) {
                    // What is not a number is not smooth either: the interval closes in on it.
                    let change = |a: f64, b: f64| if (b - a).is_nan() { f64::INFINITY } else { (b - a).abs() };
                    match change(low.1, at) >= change(at, high.1) {
                        true => *high = (x, at),
                        false => *low = (x, at),
                    }
                }
            }
            for [low, high] in ends {
                let (a, b) = (low.1, high.1);
                let size = a.abs() + b.abs();
                // A number has a limited number of digits, and so has the place of the interval.
                if (b - a).abs() <= 1e-6 * size + 1e-9 * (1.0 + 0.01 * low.0.abs()) || size > HUGE {
                    continue;
                }
                let x = shortest(low.0, high.0);
                if a.is_nan() || b.is_nan() {
                    let what = if of_value { "the value" } else { "the derivative" };
                    return Ok(Err(self.nan(x, what, "")));
                }
                // If the derivative is wrong on a side of it, that is the fault.
                let beside = 1e-3 * x.abs().max(1.0);
                if let Err(finding) = self.differences_at(&[x - beside, x + beside])? {
                    return Ok(Err(finding));
                }
                let what = if of_value { "value" } else { "slope" };
                let note = format!(
                    "at {x:?} the {what} is {a:.6e} from the left and {b:.6e} from the right, and `kinks` does not state it"
                );
                let finding = Finding { note: Some(note), ..Finding::new(Method::Kinks, "`kinks`", [f64::NAN; 3]) };
                return Ok(Err(self.finding(x, finding)));
            }
        }
        Ok(Ok(()))
    }
}

/// The number of the fewest digits between two that are close.
fn shortest(low: f64, high: f64) -> f64 {
    let middle = low + 0.5 * (high - low);
    let rounded = (0..17).filter_map(|digits| format!("{middle:.digits$}").parse().ok());
    rounded.into_iter().find(|x| (low..=high).contains(x)).unwrap_or(middle)
}
