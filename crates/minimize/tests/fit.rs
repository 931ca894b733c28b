//! A closure that traces a loss or residuals is all that a minimiser needs.

use std::cell::Cell;

use gradus_graph::{Graph, Params, Tensor, Var};
use gradus_minimize::{ConjugateGradient, GaussNewton, Lbfgs, LevenbergMarquardt, NewtonCg};

/// A store with a trainable vector, and one that is frozen.
fn store() -> (Params<f64>, [gradus_graph::Param; 2]) {
    let mut params = Params::new(0);
    let x = params.add("x", Tensor::from([-1.2, 1.0]));
    let weight = params.add("weight", Tensor::scalar(10.0));
    params.set_trainable(false, |name| name == "weight");
    (params, [x, weight])
}

/// The residuals of Rosenbrock's valley.
fn residuals<'g>(graph: &'g Graph, [x, weight]: &[gradus_graph::Param; 2]) -> Var<'g> {
    let x = graph.param(x);
    let (a, b) = (x.slice(0, 0, 1), x.slice(0, 1, 2));
    graph.concat(&[1.0 - a, (b - a.square()) * graph.param(weight)], 0)
}

#[test]
fn every_method_finds_the_minimum_of_a_traced_function() {
    for method in 0..5 {
        let (mut params, vars) = store();
        let outcome = match method {
            0 => Lbfgs::new().fit(&mut params, |graph| residuals(graph, &vars).square().sum()),
            1 => ConjugateGradient::new().fit(&mut params, |graph| residuals(graph, &vars).square().sum()),
            2 => NewtonCg::new().fit(&mut params, |graph| residuals(graph, &vars).square().sum()),
            3 => GaussNewton::new().fit(&mut params, |graph| residuals(graph, &vars)),
            _ => LevenbergMarquardt::new().fit(&mut params, |graph| residuals(graph, &vars)),
        };
        let outcome = outcome.expect("the function has derivatives");
        assert!(outcome.reason.is_converged(), "{method}: {outcome}");
        params.get(&vars[0]).assert_close(&Tensor::from([1.0, 1.0]), 1e-5, 0.0);
        assert_eq!(params.get(&vars[1]).item(), 10.0);
    }
}

#[test]
fn a_loss_that_is_no_scalar_is_an_error_with_the_line_of_the_call() {
    let (mut params, vars) = store();
    let line = line!() + 1;
    let error = Lbfgs::new().fit(&mut params, |graph| residuals(graph, &vars)).expect_err("it has two elements");
    assert!(error.to_string().contains(&format!("tests/fit.rs:{line}")), "{error}");
}

/// Whatever a method compiles of it.
#[test]
fn a_closure_is_traced_once() {
    fn counted<'g>(graph: &'g Graph, vars: &[gradus_graph::Param; 2], traces: &Cell<u32>) -> Var<'g> {
        traces.set(traces.get() + 1);
        residuals(graph, vars)
    }
    for method in 0..5 {
        let ((mut params, vars), traces) = (store(), Cell::new(0));
        match method {
            0 => Lbfgs::new().fit(&mut params, |graph| counted(graph, &vars, &traces).square().sum()),
            1 => ConjugateGradient::new().fit(&mut params, |graph| counted(graph, &vars, &traces).square().sum()),
            2 => NewtonCg::new().fit(&mut params, |graph| counted(graph, &vars, &traces).square().sum()),
            3 => GaussNewton::new().fit(&mut params, |graph| counted(graph, &vars, &traces)),
            _ => LevenbergMarquardt::new().fit(&mut params, |graph| counted(graph, &vars, &traces)),
        }
        .unwrap();
        assert_eq!(traces.get(), 1, "method {method}");
    }
}
