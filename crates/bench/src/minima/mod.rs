//! The minimisers on the problems of Moré, Garbow and Hillstrom, with gradients, Jacobians and Hessian-vector products
//! from the graph: what each reached, what it used, and where it failed and why.

mod problems;

use std::fmt;

use gradus_graph::{Error, Feed, Graph, Params, Plan, Tensor};
use gradus_minimize::{
    ConjugateGradient, GaussNewton, Lbfgs, LevenbergMarquardt, Limits, Minimization, NewtonCg, Reason,
};

use crate::table::Table;
use problems::Problem;

/// A method under its name in the table.
type Method = (&'static str, fn(&Problem, f64) -> Result<Minimization, Error>);

const METHODS: [Method; 5] = [
    ("Levenberg–Marquardt", levenberg_marquardt),
    ("Newton-CG", newton_cg),
    ("Gauss–Newton", gauss_newton),
    ("L-BFGS", lbfgs),
    ("conjugate gradient", conjugate_gradient),
];

/// No tolerance stops a method: it goes on until the precision is used up.
fn limits() -> Limits {
    Limits::new().gradient(1e-16).evaluations(20_000)
}

pub(crate) fn run() -> Table {
    let mut table = Table::new(&["found", "published", "gradient", "evaluations", "derivatives", "products"]);
    let mut counts = METHODS.map(|_| [0; 3]);
    for problem in problems::all() {
        for factor in if problem.far { &[1.0, 10.0][..] } else { &[1.0] } {
            for ((name, method), count) in METHODS.iter().zip(&mut counts) {
                let outcome = method(&problem, *factor).expect("the graphs run");
                let figures = [outcome.value, problem.minimum, outcome.gradient];
                let used = [outcome.evaluations, outcome.derivatives, outcome.products].map(|used| used as f64);
                let far = if *factor > 1.0 { ", 10 times" } else { "" };
                let verdict = Verdict::of(&problem, &outcome);
                count[verdict.place()] += 1;
                table.row(format!("{}{far}: {name}: {verdict}", problem.name), &[&figures[..], &used].concat());
            }
        }
    }
    for ((name, _), [minimum, other, failed]) in METHODS.iter().zip(counts) {
        table.note(format!("{name}: {minimum} published minima, {other} other known ends, {failed} failures"));
    }
    WHY.iter().for_each(|why| table.note(*why));
    table
}

/// What lies behind the failures.
const WHY: [&str; 4] = [
    "a start is the standard one, or ten times it where the literature starts there; no tolerance stops a method",
    "numbers 3 and 4, conjugate gradient: curvatures differ by more than 1e10, and what a step along the steepest \
     descent gains is below the rounding errors of the residuals",
    "numbers 10, 17 and 20, conjugate gradient: valleys so narrow that 20,000 evaluations do not reach their end",
    "number 20, n = 12, L-BFGS: the Hessian's condition is above 1e13, and rounding hides what is left to gain",
];

/// Whether a value is the one that is expected, to the digits that are published; zero is squares of residuals that
/// have lost half of their digits at most.
fn is(value: f64, expected: f64) -> bool {
    if expected == 0.0 { value < 1e-20 } else { (value - expected).abs() <= 1e-6 * expected }
}

/// Where a method ended.
enum Verdict {
    Minimum,
    Other(&'static str),
    Failed(Reason),
}

impl Verdict {
    fn of(problem: &Problem, outcome: &Minimization) -> Self {
        if is(outcome.value, problem.minimum) {
            return Self::Minimum;
        }
        let other = problem.others.iter().find(|(value, _)| (outcome.value - value).abs() <= 1e-5 * value);
        other.map_or(Self::Failed(outcome.reason), |(_, what)| Self::Other(what))
    }

    fn place(&self) -> usize {
        match self {
            Self::Minimum => 0,
            Self::Other(_) => 1,
            Self::Failed(_) => 2,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Minimum => f.write_str("minimum"),
            Self::Other(what) => f.write_str(what),
            Self::Failed(reason) => write!(f, "FAILED: {reason}"),
        }
    }
}

/// The sum of squares as a graph.
fn squares<'g>(graph: &'g Graph, problem: &Problem, params: &Params<f64>) -> [gradus_graph::Var<'g>; 3] {
    let x = graph.param(params.find("x").expect("the store has x"));
    let residuals = (problem.residuals)(x);
    [x, residuals, residuals.square().sum()]
}

fn store(problem: &Problem, factor: f64) -> Params<f64> {
    let mut params = Params::new(0);
    params.add("x", problem.start(factor));
    params
}

/// The value and its gradient as a closure.
macro_rules! function {
    ($graph:ident, $params:ident, $x:ident, $value:ident) => {{
        let gradient = $graph.grad_or_zeros($value, &[$x])?[0];
        let mut session = Plan::new(&$graph, &[$value, gradient])?.session();
        let param = $params.find("x").expect("the store has x").clone();
        move |params: &Params<f64>, slope: &mut gradus_minimize::Slope<'_>| {
            let outputs = session.run(params, &Feed::new())?;
            slope.set([(&param, outputs.real(1))]);
            Ok(outputs.real(0).item())
        }
    }};
}

fn lbfgs(problem: &Problem, factor: f64) -> Result<Minimization, Error> {
    let (graph, mut params) = (Graph::new(), store(problem, factor));
    let [x, _, value] = squares(&graph, problem, &params);
    let function = function!(graph, params, x, value);
    Lbfgs::new().limits(limits()).minimize(&mut params, function)
}

fn conjugate_gradient(problem: &Problem, factor: f64) -> Result<Minimization, Error> {
    let (graph, mut params) = (Graph::new(), store(problem, factor));
    let [x, _, value] = squares(&graph, problem, &params);
    let function = function!(graph, params, x, value);
    ConjugateGradient::new().limits(limits()).minimize(&mut params, function)
}

fn newton_cg(problem: &Problem, factor: f64) -> Result<Minimization, Error> {
    let (graph, mut params) = (Graph::new(), store(problem, factor));
    let [x, _, value] = squares(&graph, problem, &params);
    let function = function!(graph, params, x, value);
    let param = params.find("x").expect("the store has x").clone();
    let v = graph.input("v", x.shape());
    let mut products = Plan::new(&graph, &graph.hvp(value, &[x], &[v])?)?.session();
    NewtonCg::new().limits(limits()).minimize(&mut params, function, |params, direction, slope| {
        let outputs = products.run(params, &Feed::new().with("v", direction.get(&param)))?;
        slope.set([(&param, outputs.real(0))]);
        Ok(())
    })
}

fn levenberg_marquardt(problem: &Problem, factor: f64) -> Result<Minimization, Error> {
    let (graph, mut params) = (Graph::new(), store(problem, factor));
    let [x, residuals, _] = squares(&graph, problem, &params);
    let param = params.find("x").expect("the store has x").clone();
    let mut values = Plan::new(&graph, &[residuals])?.session();
    let mut jacobians = Plan::new(&graph, &[graph.jacobian(residuals, x)?])?.session();
    LevenbergMarquardt::new().limits(limits()).minimize(
        &mut params,
        |params| Ok(values.run(params, &Feed::new())?.real(0).clone()),
        |params, jacobian| {
            jacobian.set(&param, jacobians.run(params, &Feed::new())?.real(0));
            Ok(())
        },
    )
}

fn gauss_newton(problem: &Problem, factor: f64) -> Result<Minimization, Error> {
    let (graph, mut params) = (Graph::new(), store(problem, factor));
    let [x, residuals, _] = squares(&graph, problem, &params);
    let param = params.find("x").expect("the store has x").clone();
    let (v, u) = (graph.input("v", x.shape()), graph.input("u", residuals.shape()));
    let mut values = Plan::new(&graph, &[residuals])?.session();
    let mut forward = Plan::new(&graph, &graph.jvp(&[residuals], &[x], &[v])?)?.session();
    let mut backward = Plan::new(&graph, &graph.vjp(&[residuals], &[u], &[x])?)?.session();
    GaussNewton::new().limits(limits()).minimize(
        &mut params,
        |params| Ok(values.run(params, &Feed::new())?.real(0).clone()),
        |params, direction| Ok(forward.run(params, &Feed::new().with("v", direction.get(&param)))?.real(0).clone()),
        |params, u: &Tensor<f64>, slope| {
            slope.set([(&param, backward.run(params, &Feed::new().with("u", u))?.real(0))]);
            Ok(())
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ends of a method that are neither the published minimum nor another known one, by problem.
    #[track_caller]
    fn check(method: Method, least: usize, failures: &[&str]) {
        let (mut reached, mut failed) = (0, Vec::new());
        for problem in problems::all() {
            for factor in if problem.far { &[1.0, 10.0][..] } else { &[1.0] } {
                let outcome = method.1(&problem, *factor).expect("the graphs run");
                match Verdict::of(&problem, &outcome) {
                    Verdict::Minimum => reached += 1,
                    Verdict::Other(_) => {}
                    Verdict::Failed(_) => failed.push(format!("{} × {factor}", problem.name)),
                }
            }
        }
        assert_eq!(failed, failures, "{}", method.0);
        assert!(reached >= least, "{}: {reached} minima reached", method.0);
    }

    #[test]
    fn levenberg_marquardt_reaches_the_minima() {
        check(METHODS[0], 52, &[]);
    }

    #[test]
    fn newton_cg_reaches_the_minima() {
        check(METHODS[1], 52, &[]);
    }

    #[test]
    fn gauss_newton_reaches_the_minima() {
        check(METHODS[2], 52, &[]);
    }

    #[test]
    fn lbfgs_reaches_the_minima() {
        check(METHODS[3], 51, &["20 Watson, n = 12 × 1"]);
    }

    /// From the standard starts, without those that take tens of thousands of evaluations.
    #[test]
    fn conjugate_gradient_reaches_the_minima() {
        let slow = ["10 Meyer", "13 Powell singular", "17 Osborne 1", "20 Watson, n = 9", "20 Watson, n = 12"];
        let scaled = ["3 Powell badly scaled", "4 Brown badly scaled"];
        let mut reached = 0;
        for problem in problems::all().iter().filter(|problem| !slow.contains(&problem.name)) {
            let outcome = conjugate_gradient(problem, 1.0).expect("the graphs run");
            match Verdict::of(problem, &outcome) {
                Verdict::Failed(reason) => assert!(scaled.contains(&problem.name), "{}: {reason}", problem.name),
                Verdict::Minimum => reached += 1,
                Verdict::Other(_) => {}
            }
        }
        assert!(reached >= 28, "{reached} minima reached");
    }

    /// Methods that share no code below the graph agree on minima that are not zero to far more digits than are
    /// published.
    #[test]
    fn the_minima_agree_between_methods() {
        for problem in problems::all().iter().filter(|problem| problem.minimum > 1e-8) {
            let ends = [levenberg_marquardt, newton_cg, lbfgs].map(|method| method(problem, 1.0));
            let [first, others @ ..] = ends.map(|end| end.expect("the graphs run").value);
            for other in others {
                assert!((other - first).abs() <= 1e-10 * first, "{}: {other} and {first}", problem.name);
            }
        }
    }

    #[test]
    fn a_wrong_minimum_is_told() {
        let problem = problems::all().remove(0);
        let mut outcome = levenberg_marquardt(&problem, 1.0).expect("the graphs run");
        assert!(matches!(Verdict::of(&problem, &outcome), Verdict::Minimum));
        outcome.value = 1e-12;
        assert!(matches!(Verdict::of(&problem, &outcome), Verdict::Failed(_)));
    }
}
