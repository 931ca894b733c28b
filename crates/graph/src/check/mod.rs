//! Gradient checks: a derivative that the graph gives against numeric ones whose error is estimated.
//!
//! The function is checked in double precision, to second order, in several ways that must agree: each partial
//! derivative of a random signed combination of the outputs against an extrapolated difference; reverse against
//! forward mode by ⟨u, J·v⟩ = ⟨Jᵀ·u, v⟩; and the derivatives of the gradient, with respect to inputs and cotangent,
//! against differences of the gradient.

#[cfg(any(test, feature = "proptest"))]
mod entry;
mod numeric;
#[cfg(any(test, feature = "proptest"))]
pub mod strategies;

use std::fmt;

#[cfg(any(test, feature = "proptest"))]
pub use entry::{Entry, Sample};
use numeric::{Estimate, Sum, derivative};

use crate::error::Error;
use crate::kernel::random::Stream;
use crate::params::Params;
use crate::plan::{Data, Feed};
use crate::tape::{Graph, Var};
use crate::tensor::{Tensor, unravel};

/// What a passed check has seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Derivatives that were compared.
    pub compared: usize,
    /// Of these, those whose numeric value was too uncertain for a verdict.
    pub undecided: usize,
    /// The largest difference between an analytic and a numeric derivative, relative to the scale of the function.
    pub largest_error: f64,
}

/// A derivative that is wrong: where, and by how much.
#[derive(Clone, PartialEq)]
pub struct Failure {
    /// Which comparison failed.
    pub what: String,
    /// The input.
    pub input: usize,
    /// The element of the input.
    pub element: Vec<usize>,
    /// What the graph says.
    pub analytic: f64,
    /// What differences say.
    pub numeric: f64,
    /// How far the numeric value may be off.
    pub uncertainty: f64,
    /// The inputs.
    pub point: Vec<Tensor<f64>>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} with respect to input {} is wrong", self.what, self.input)?;
        writeln!(f, "  element    {:?}", self.element)?;
        writeln!(f, "  analytic   {:.10e}", self.analytic)?;
        writeln!(f, "  numeric    {:.10e} ± {:.1e}", self.numeric, self.uncertainty)?;
        if let Some(hint) = hint(self.analytic / self.numeric) {
            writeln!(f, "  looks like {hint}")?;
        }
        for (i, input) in self.point.iter().enumerate() {
            write!(f, "  input {i}    {input:?}")?;
            if i + 1 < self.point.len() {
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Failure {}

/// What the ratio of a wrong derivative to the right one tells.
fn hint(ratio: f64) -> Option<String> {
    let near = |value: f64| (ratio - value).abs() < 1e-4 * value.abs().max(1e-4);
    if near(-1.0) {
        Some("a wrong sign".to_owned())
    } else if ratio == 0.0 {
        Some("a derivative that is lost".to_owned())
    } else if (2..=64).any(|n| near(f64::from(n)) || near(1.0 / f64::from(n))) {
        Some(format!("a factor of {ratio:.4}, or a sum over a repeated axis that is missing"))
    } else {
        None
    }
}

/// Elements per input up to which every partial derivative is compared; above it, random directions are.
const EXHAUSTIVE: usize = 48;
/// Random directions for larger inputs and for second derivatives.
const DIRECTIONS: u32 = 3;

/// Checks the derivatives of `f` at `inputs`, to second order.
///
/// # Errors
/// The first derivative that is wrong, or the error that stopped the check (a shape that does not fit, an op without a
/// derivative) as a failure that says so.
///
/// # Example
/// ```
/// use gradus_graph::{Tensor, check};
/// let x = Tensor::from([0.5, -1.25]);
/// let report = check::gradients(&[x], |x| (x[0] * x[0]).sum()).expect("the gradient is right");
/// assert_eq!(report.undecided, 0);
/// ```
pub fn gradients(inputs: &[Tensor<f64>], f: impl for<'g> Fn(&[Var<'g>]) -> Var<'g>) -> Result<Report, Box<Failure>> {
    let mut report = Report::default();
    Check { point: inputs, f }.run(&mut report)?;
    Ok(report)
}

/// [`gradients`] as an assertion: a test in one line.
///
/// # Panics
/// If a derivative is wrong, or more than a tenth of them could not be decided.
#[track_caller]
pub fn assert_gradients(inputs: &[Tensor<f64>], f: impl for<'g> Fn(&[Var<'g>]) -> Var<'g>) {
    match gradients(inputs, f) {
        Ok(report) => assert!(
            report.undecided * 10 <= report.compared,
            "{} of {} derivatives could not be decided at {inputs:?}",
            report.undecided,
            report.compared
        ),
        Err(failure) => panic!("{failure}"),
    }
}

/// [`assert_gradients`] for inputs drawn by a strategy; a failure is shrunk.
///
/// # Panics
/// If a derivative is wrong.
#[cfg(any(test, feature = "proptest"))]
#[track_caller]
pub fn assert_property<S>(strategy: S, f: impl for<'g> Fn(&[Var<'g>]) -> Var<'g>)
where
    S: proptest::strategy::Strategy<Value = Vec<Tensor<f64>>>,
{
    use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
    // A fixed seed: a suite that fails fails again. The long run of the benchmark program draws others.
    let config = Config { cases: 48, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..Config::default() };
    let (mut compared, mut undecided) = (0, 0);
    let counts = std::cell::RefCell::new((&mut compared, &mut undecided));
    let outcome = TestRunner::new(config).run(&strategy, |inputs| match gradients(&inputs, &f) {
        Ok(report) => {
            let mut counts = counts.borrow_mut();
            *counts.0 += report.compared;
            *counts.1 += report.undecided;
            Ok(())
        }
        Err(failure) => Err(TestCaseError::fail(failure.to_string())),
    });
    match outcome {
        Ok(()) => assert!(undecided * 20 <= compared, "{undecided} of {compared} derivatives could not be decided"),
        Err(TestError::Fail(reason, _)) => panic!("{reason}"),
        Err(error) => panic!("{error}"),
    }
}

/// A function with its derivatives as one graph: the inputs, a cotangent `u` and a second cotangent a gradient.
struct Check<'a, F> {
    point: &'a [Tensor<f64>],
    f: F,
}

/// Numbers of a random leaf, of either sign and away from zero.
fn signed(stream: u32, like: &Tensor<f64>) -> Tensor<f64> {
    let mut drawn = vec![0.0; like.len()];
    Stream { seed: 11, step: 0, stream }.uniform(0, &mut drawn);
    let value = |k: usize| {
        let v = 2.0 * drawn[k] - 1.0;
        v + 0.25_f64.copysign(v)
    };
    Tensor::from_fn(like.shape(), value)
}

impl<F: for<'g> Fn(&[Var<'g>]) -> Var<'g>> Check<'_, F> {
    fn run(&self, report: &mut Report) -> Result<(), Box<Failure>> {
        let graph = Graph::new();
        let names: Vec<String> = (0..self.point.len()).map(|i| format!("x{i}")).collect();
        let x: Vec<Var<'_>> =
            self.point.iter().zip(&names).map(|(tensor, name)| graph.input(name, tensor.shape())).collect();
        let y = (self.f)(&x);
        let u = graph.input("u", y.shape());
        let stopped = |error: Error| self.failure(format!("the check stopped ({error}); it"), 0, &[], [f64::NAN; 3]);
        let first = graph.vjp(&[y], &[u], &x).map_err(stopped)?;
        let w_names: Vec<String> = (0..self.point.len()).map(|i| format!("w{i}")).collect();
        let w: Vec<Var<'_>> = x.iter().zip(&w_names).map(|(x, name)| graph.input(name, x.shape())).collect();
        let forward = graph.jvp(&[y], &x, &w).map_err(stopped)?[0];
        let mut both = x.clone();
        both.push(u);
        let second = graph.vjp(&first, &w, &both).map_err(stopped)?;

        let like_y = Tensor::zeros(y.shape());
        let u_at = signed(0, &like_y);
        let w_at: Vec<Tensor<f64>> = self.point.iter().zip(1..).map(|(x, k)| signed(k, x)).collect();
        let feed = |x_at: &[Tensor<f64>], u_at: &Tensor<f64>, wanted: &[Var<'_>]| -> Result<Vec<Tensor<f64>>, Error> {
            let mut feed = Feed::new().with("u", Data::Real(u_at));
            for (name, tensor) in names.iter().zip(x_at).chain(w_names.iter().zip(&w_at)) {
                feed = feed.with(name, Data::Real(tensor));
            }
            let values = graph.eval_with(wanted, &Params::new(0), &feed)?;
            Ok(values.iter().map(|value| value.real().clone()).collect())
        };

        // The gradient against differences of ⟨u, f⟩, and of the gradient against differences of ⟨w, gradient⟩.
        let analytic = feed(self.point, &u_at, &first).map_err(stopped)?;
        let along = |x_at: &[Tensor<f64>]| feed(x_at, &u_at, &[y]).map(|y| sum(&[(&u_at, &y[0])]));
        self.compare("the derivative", &analytic, self.point, along, report, EXHAUSTIVE)?;

        let analytic = feed(self.point, &u_at, &second).map_err(stopped)?;
        let mut at: Vec<Tensor<f64>> = self.point.to_vec();
        at.push(u_at.clone());
        let along = |at: &[Tensor<f64>]| {
            let (u_at, x_at) = at.split_last().expect("the cotangent is the last");
            let gradients = feed(x_at, u_at, &first)?;
            Ok(sum(&w_at.iter().zip(&gradients).collect::<Vec<_>>()))
        };
        self.compare("the derivative of the gradient", &analytic, &at, along, report, EXHAUSTIVE / 4)?;

        // Reverse against forward mode, to rounding.
        let values = feed(self.point, &u_at, &[&first[..], &[forward]].concat()).map_err(stopped)?;
        let (jvp, vjps) = values.split_last().expect("the jvp is the last");
        let left = dot(&u_at, jvp);
        let right: f64 = vjps.iter().zip(&w_at).map(|(g, w)| dot(g, w)).sum();
        let scale = weight(&u_at, jvp) + vjps.iter().zip(&w_at).map(|(g, w)| weight(g, w)).sum::<f64>();
        let allowed = 1e-12 * scale;
        let agree = (left - right).abs() <= allowed || (left.is_nan() && right.is_nan());
        if !agree {
            return Err(self.failure("forward against reverse mode".into(), 0, &[], [left, right, allowed]));
        }
        Ok(())
    }

    /// Compares analytic derivatives of a scalar function with numeric ones, element by element or along directions.
    fn compare(
        &self,
        what: &str,
        analytic: &[Tensor<f64>],
        at: &[Tensor<f64>],
        value: impl Fn(&[Tensor<f64>]) -> Result<Sum, Error>,
        report: &mut Report,
        exhaustive: usize,
    ) -> Result<(), Box<Failure>> {
        let stopped =
            |error: Error| self.failure(format!("{what} (the check stopped: {error})"), 0, &[], [f64::NAN; 3]);
        for input in 0..at.len() {
            let size = at[input].len();
            let elementwise = size <= exhaustive;
            let directions = if elementwise { size as u32 } else { DIRECTIONS };
            for number in 0..directions {
                let direction = if elementwise {
                    Tensor::from_fn(at[input].shape(), |k| if k == number as usize { 1.0 } else { 0.0 })
                } else {
                    signed(100 + number, &at[input])
                };
                let along = |step: f64| {
                    let mut moved = at.to_vec();
                    let target = moved[input].data_mut();
                    target.iter_mut().zip(direction.data()).for_each(|(x, d)| *x += step * d);
                    value(&moved)
                };
                let Estimate { value: numeric, error } = derivative(along).map_err(stopped)?;
                let exact = dot(&analytic[input], &direction);
                report.compared += 1;
                // The analytic value carries rounding of its own, in proportion to what it sums.
                let rounding = 256.0 * f64::EPSILON * weight(&analytic[input], &direction);
                let allowed = error + rounding;
                if error.is_nan() || error > 1e-3 * (numeric.abs() + 1.0) {
                    report.undecided += 1;
                } else if exact.is_nan() || (exact - numeric).abs() > allowed {
                    let element = if elementwise { unravel(number as usize, at[input].shape()) } else { Vec::new() };
                    return Err(self.failure(what.into(), input, &element, [exact, numeric, allowed]));
                } else {
                    let relative = (exact - numeric).abs() / (numeric.abs() + 1.0);
                    report.largest_error = report.largest_error.max(relative);
                }
            }
        }
        Ok(())
    }

    fn failure(&self, what: String, input: usize, element: &[usize], numbers: [f64; 3]) -> Box<Failure> {
        let [analytic, numeric, uncertainty] = numbers;
        let point = self.point.to_vec();
        Box::new(Failure { what, input, element: element.to_vec(), analytic, numeric, uncertainty, point })
    }
}

fn dot(a: &Tensor<f64>, b: &Tensor<f64>) -> f64 {
    a.data().iter().zip(b.data()).map(|(a, b)| if *b == 0.0 { 0.0 } else { a * b }).sum()
}

/// The sum of dot products, with its weight.
fn sum(pairs: &[(&Tensor<f64>, &Tensor<f64>)]) -> Sum {
    let terms = pairs.iter().map(|(a, b)| (dot(b, a), weight(b, a)));
    terms.fold(Sum::default(), |sum, (value, weight)| Sum { value: sum.value + value, weight: sum.weight + weight })
}

/// The sum of the magnitudes that a dot product adds.
fn weight(a: &Tensor<f64>, b: &Tensor<f64>) -> f64 {
    a.data().iter().zip(b.data()).map(|(a, b)| (a * b).abs()).sum()
}

#[cfg(test)]
mod tests;
