//! How an update rule uses gradients: whether what it changes lowers the loss as the gradient says.

use std::fmt;

use super::Check;
use super::evaluator::{Direction, Evaluator};
use super::numeric::{self, Place};
use super::target::Model;
use crate::error::Error;
use crate::params::{Param, Params};
use crate::tape::{Graph, Var};
use crate::tensor::Tensor;

/// What one update did to one parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Descent {
    /// The parameter.
    pub name: String,
    /// How far it moved: the 2-norm of its change.
    pub distance: f64,
    /// The change of the loss for the change of this parameter alone, as its gradient says: `⟨gradient, change⟩`.
    pub foretold: f64,
    /// The same as differences of the loss say.
    pub seen: f64,
}

/// Makes one update of all parameters that the loss uses, from the gradients that the graph gives, and says of each
/// parameter what its change does to the loss.
///
/// # Errors
/// If the gradient could not be had, or is wrong; or a sentence if the rule moves a parameter that is frozen, leaves one
/// that has a gradient, makes one NaN, or moves one up its gradient.
///
/// # Example
/// ```
/// use gradus_graph::check;
/// use gradus_graph::{Params, Tensor};
/// let mut params: Params<f64> = Params::new(0);
/// let w = params.add("w", Tensor::from([3.0, -1.0]));
/// let moves = check::descent(&params, |graph| graph.param(&w).square().sum(), |params, gradients| {
///     for (param, gradient) in gradients {
///         let step = params.get_mut(param).data_mut().iter_mut().zip(gradient.data());
///         step.for_each(|(x, g)| *x -= 0.01 * g);
///     }
/// })?;
/// assert!(moves[0].foretold < 0.0 && (moves[0].seen - moves[0].foretold).abs() < 1e-9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn descent(
    params: &Params<f64>,
    loss: impl for<'g> Fn(&'g Graph) -> Var<'g>,
    update: impl FnOnce(&mut Params<f64>, &[(Param, Tensor<f64>)]),
) -> Result<Vec<Descent>, Box<dyn std::error::Error>> {
    let target = Model { params: params.clone(), loss: &loss };
    let graph = Graph::new();
    let mut evaluator = Evaluator::new(&graph, &target, 1, Check::new().seed)?;
    // The loss is a scalar; its gradient is that under a cotangent of 1.
    let cotangent = evaluator.arguments();
    evaluator.set_value(cotangent, Tensor::scalar(1.0));
    let gradient = evaluator.gradient(0)?;
    let used: Vec<Param> = graph.params().into_iter().map(|(p, _)| p).filter(|p| params.is_trainable(p)).collect();
    let given: Vec<(Param, Tensor<f64>)> = used.iter().cloned().zip(gradient.iter().cloned()).collect();
    let mut moved = params.clone();
    update(&mut moved, &given);

    for (param, before) in params.iter() {
        let after = moved.get(param);
        if let Some(element) = after.first_non_finite() {
            return Err(format!("the rule makes `{}` not finite, at {element:?}", param.name()).into());
        }
        if !used.contains(param) && after != before {
            let why = if params.is_trainable(param) { "has no gradient" } else { "is frozen" };
            return Err(format!("the rule moves `{}`, which {why}", param.name()).into());
        }
    }
    let mut found = Vec::new();
    for (variable, param) in used.iter().enumerate() {
        let change: Vec<f64> = moved
            .get(param)
            .data()
            .iter()
            .zip(params.get(param).data())
            .map(|(after, before)| after - before)
            .collect();
        let distance = change.iter().map(|d| d * d).sum::<f64>().sqrt();
        let moves = gradient[variable].data().iter().any(|g| *g != 0.0);
        if moves && distance == 0.0 {
            return Err(format!("the rule leaves `{}`, though its gradient is not zero", param.name()).into());
        }
        let direction = Direction(vec![(variable, change)]);
        let foretold = direction.dot(&gradient).value;
        if foretold > 0.0 {
            let name = param.name();
            return Err(
                format!("the rule moves `{name}` up its gradient: the loss would change by {foretold:e}").into()
            );
        }
        let seen = seen(&mut evaluator, &direction, distance)?;
        found.push(Descent { name: param.name().to_owned(), distance, foretold, seen });
    }
    Ok(found)
}

/// The change of the loss along a direction, by differences; the direction is taken at length 1.
fn seen(evaluator: &mut Evaluator<'_>, direction: &Direction, distance: f64) -> Result<f64, Error> {
    if distance == 0.0 {
        return Ok(0.0);
    }
    let unit = Direction(direction.0.iter().map(|(v, d)| (*v, d.iter().map(|d| d / distance).collect())).collect());
    let place = Place { base: 1.0, room: f64::INFINITY, noise: 0.0 };
    Ok(evaluator.along(0, &unit, |f| numeric::derivative(place, f))?.central.value * distance)
}

/// [`descent`] as an assertion.
///
/// # Panics
/// If the rule does not use the gradients as it should.
///
/// # Example
/// ```
/// use gradus_graph::check::assert_descent;
/// use gradus_graph::{Param, Params, Tensor};
/// let mut params: Params<f64> = Params::new(0);
/// let w = params.add("w", Tensor::from([3.0, -1.0]));
/// let signs = |params: &mut Params<f64>, gradients: &[(Param, Tensor<f64>)]| {
///     for (param, gradient) in gradients {
///         let moved = params.get(param) - &gradient.map(|g| 0.01 * g.signum());
///         params.set(param, moved);
///     }
/// };
/// assert_descent(&params, |graph| graph.param(&w).square().sum(), signs);
/// ```
#[track_caller]
pub fn assert_descent(
    params: &Params<f64>,
    loss: impl for<'g> Fn(&'g Graph) -> Var<'g>,
    update: impl FnOnce(&mut Params<f64>, &[(Param, Tensor<f64>)]),
) {
    if let Err(problem) = descent(params, loss, update) {
        panic!("{problem}");
    }
}

impl fmt::Display for Descent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, distance, foretold, seen } = self;
        write!(f, "{name}: moved by {distance:.3e}; loss {foretold:+.3e} foretold, {seen:+.3e} seen")
    }
}
