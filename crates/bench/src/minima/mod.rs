//! The minimisers on the problems of Moré, Garbow and Hillstrom, with gradients, Jacobians and Hessian-vector products
//! from the graph: what each reached, what it used, and where it failed and why.

mod problems;

use gradus_graph::{Error, Feed, Graph, Params, Plan, Tensor};
use gradus_optim::methods::{ConjugateGradient, GaussNewton, Lbfgs, LevenbergMarquardt, Limits, NewtonCg, Outcome};

use crate::table::Table;
use problems::Problem;

/// A method under its name in the table.
type Method = (&'static str, fn(&Problem, f64) -> Result<Outcome, Error>);

const METHODS: [Method; 5] = [
    ("Levenberg–Marquardt", levenberg_marquardt),
    ("Newton-CG", newton_cg),
    ("Gauss–Newton", gauss_newton),
    ("L-BFGS", lbfgs),
    ("conjugate gradient", conjugate_gradient),
];

/// No tolerance stops a method: it goes on until the precision is used up.
const LIMITS: Limits = Limits { gradient: 1e-16, step: 0.0, value: 0.0, evaluations: 20_000 };

pub(crate) fn run() -> Table {
    let mut table = Table::new(&["found", "published", "gradient", "evaluations", "derivatives", "products"]);
    for problem in problems::all() {
        for factor in [1.0, 10.0] {
            if factor > 1.0 && !problem.far {
                continue;
            }
            for (name, method) in METHODS {
                let outcome = method(&problem, factor).expect("the graphs run");
                let figures = [outcome.value, problem.minimum, outcome.gradient];
                let used = [outcome.evaluations, outcome.derivatives, outcome.products].map(|used| used as f64);
                let far = if factor > 1.0 { ", 10 times" } else { "" };
                let verdict = verdict(&problem, &outcome);
                table.row(format!("{}{far}: {name}: {verdict}", problem.name), &[&figures[..], &used].concat());
            }
        }
    }
    table
}

/// Whether a value is the one that is expected, to the digits that are published; zero is squares of residuals that
/// have lost half of their digits at most.
fn is(value: f64, expected: f64) -> bool {
    if expected == 0.0 { value < 1e-20 } else { (value - expected).abs() <= 1e-6 * expected }
}

fn verdict(problem: &Problem, outcome: &Outcome) -> String {
    if is(outcome.value, problem.minimum) {
        return "minimum".to_owned();
    }
    match problem.others.iter().find(|(value, _)| (outcome.value - value).abs() <= 1e-3 * value) {
        Some((_, what)) => format!("{what}"),
        None => format!("FAILED: {}", outcome.reason),
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
        move |params: &Params<f64>, slope: &mut gradus_optim::methods::Slope<'_>| {
            let outputs = session.run(params, &Feed::new())?;
            slope.set([(&param, outputs.real(1))]);
            Ok(outputs.real(0).item())
        }
    }};
}

fn lbfgs(problem: &Problem, factor: f64) -> Result<Outcome, Error> {
    let (graph, mut params) = (Graph::new(), store(problem, factor));
    let [x, _, value] = squares(&graph, problem, &params);
    let function = function!(graph, params, x, value);
    Lbfgs::new().limits(LIMITS).minimize(&mut params, function)
}

fn conjugate_gradient(problem: &Problem, factor: f64) -> Result<Outcome, Error> {
    let (graph, mut params) = (Graph::new(), store(problem, factor));
    let [x, _, value] = squares(&graph, problem, &params);
    let function = function!(graph, params, x, value);
    ConjugateGradient::new().limits(LIMITS).minimize(&mut params, function)
}

fn newton_cg(problem: &Problem, factor: f64) -> Result<Outcome, Error> {
    let (graph, mut params) = (Graph::new(), store(problem, factor));
    let [x, _, value] = squares(&graph, problem, &params);
    let function = function!(graph, params, x, value);
    let param = params.find("x").expect("the store has x").clone();
    let v = graph.input("v", x.shape());
    let mut products = Plan::new(&graph, &graph.hvp(value, &[x], &[v])?)?.session();
    NewtonCg::new().limits(LIMITS).minimize(&mut params, function, |params, direction, slope| {
        let outputs = products.run(params, &Feed::new().with("v", direction.get(&param)))?;
        slope.set([(&param, outputs.real(0))]);
        Ok(())
    })
}

fn levenberg_marquardt(problem: &Problem, factor: f64) -> Result<Outcome, Error> {
    let (graph, mut params) = (Graph::new(), store(problem, factor));
    let [x, residuals, _] = squares(&graph, problem, &params);
    let param = params.find("x").expect("the store has x").clone();
    let mut values = Plan::new(&graph, &[residuals])?.session();
    let mut jacobians = Plan::new(&graph, &[graph.jacobian(residuals, x)?])?.session();
    LevenbergMarquardt::new().limits(LIMITS).minimize(
        &mut params,
        |params| Ok(values.run(params, &Feed::new())?.real(0).clone()),
        |params, jacobian| {
            jacobian.set(&param, jacobians.run(params, &Feed::new())?.real(0));
            Ok(())
        },
    )
}

fn gauss_newton(problem: &Problem, factor: f64) -> Result<Outcome, Error> {
    let (graph, mut params) = (Graph::new(), store(problem, factor));
    let [x, residuals, _] = squares(&graph, problem, &params);
    let param = params.find("x").expect("the store has x").clone();
    let (v, u) = (graph.input("v", x.shape()), graph.input("u", residuals.shape()));
    let mut values = Plan::new(&graph, &[residuals])?.session();
    let mut forward = Plan::new(&graph, &graph.jvp(&[residuals], &[x], &[v])?)?.session();
    let mut backward = Plan::new(&graph, &graph.vjp(&[residuals], &[u], &[x])?)?.session();
    GaussNewton::new().limits(LIMITS).minimize(
        &mut params,
        |params| Ok(values.run(params, &Feed::new())?.real(0).clone()),
        |params, direction| Ok(forward.run(params, &Feed::new().with("v", direction.get(&param)))?.real(0).clone()),
        |params, u: &Tensor<f64>, slope| {
            slope.set([(&param, backward.run(params, &Feed::new().with("u", u))?.real(0))]);
            Ok(())
        },
    )
}
