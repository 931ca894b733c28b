//! Gradients of functions of tensors, without an explicit graph.

use crate::error::Error;
use crate::params::Params;
use crate::plan::Feed;
use crate::real::Real;
use crate::tape::{Graph, Var};
use crate::tensor::{Data, Tensor};

/// The value of a function of tensors at a point, and its gradient there: for each argument a tensor of its shape,
/// zeros if the function does not depend on it. The precision is that of the tensors.
///
/// The function is recorded and evaluated once, node by node; for one that is evaluated often, compile a
/// [`Plan`](crate::Plan). Captured tensors are constants: `x.graph().constant(&tensor)`. Random leaves use seed 0.
///
/// # Errors
/// If the value is not a real scalar, an op between them has no derivative, or an index that was computed is out of
/// range.
///
/// # Example
/// ```
/// use gradus_graph::{Tensor, value_and_grad};
/// let (a, b) = (Tensor::from([1.0, 2.0]), Tensor::from([3.0, 4.0]));
/// let (value, [gx, gy]) = value_and_grad(|[x, y]| (x * y).sum(), [&a, &b])?;
/// assert_eq!((value, gx, gy), (11.0, b.clone(), a.clone()));
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[track_caller]
pub fn value_and_grad<T: Real, const N: usize>(
    function: impl for<'g> FnOnce([Var<'g>; N]) -> Var<'g>,
    at: [&Tensor<T>; N],
) -> Result<(T, [Tensor<T>; N]), Error> {
    let graph = Graph::new();
    let mut arguments = [graph.scalar(0.0); N];
    for (number, argument) in arguments.iter_mut().enumerate() {
        *argument = graph.input(&format!("argument {number}"), at[number].shape());
    }
    let value = function(arguments);
    let mut wanted = vec![value];
    wanted.extend(graph.grad_or_zeros(value, &arguments)?);
    let found = graph.eval_with(&wanted, &Params::new(0), &Feed::in_order(&at.map(Data::Real)))?;
    Ok((found[0].real().item(), std::array::from_fn(|number| found[number + 1].real().clone())))
}

/// The gradient of a function of tensors at a point: see [`value_and_grad`].
///
/// # Errors
/// As [`value_and_grad`].
///
/// # Example
/// ```
/// use gradus_graph::{Tensor, grad};
/// let a = Tensor::from([1.0_f32, -2.0]);
/// let [slope] = grad(|[x]| x.pow(3).sum(), [&a])?;
/// assert_eq!(slope.data(), [3.0, 12.0]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[track_caller]
pub fn grad<T: Real, const N: usize>(
    function: impl for<'g> FnOnce([Var<'g>; N]) -> Var<'g>,
    at: [&Tensor<T>; N],
) -> Result<[Tensor<T>; N], Error> {
    Ok(value_and_grad(function, at)?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_precisions_captured_tensors_and_unused_arguments() {
        let (a, b, scale) = (Tensor::<f64>::from([0.5, 2.0]), Tensor::<f64>::scalar(3.0), Tensor::from([1.0, 10.0]));
        let (value, [slope, none]) =
            value_and_grad(|[x, _]| (x.graph().constant(&scale) * x.ln()).sum(), [&a, &b]).unwrap();
        assert!((value - 9.0 * 2.0_f64.ln()).abs() < 1e-14);
        assert_eq!((slope.data(), none.item()), (&[2.0, 5.0][..], 0.0));
        let (value, [slope]) = value_and_grad(|[x]| x.square().sum(), [&a.cast::<f32>()]).unwrap();
        assert_eq!((value, slope.data()), (4.25_f32, &[1.0_f32, 4.0][..]));
        let (value, [_]) = value_and_grad(|[x]| x.sum(), [&Tensor::<f32>::zeros([0])]).unwrap();
        assert_eq!(value, 0.0);
    }

    #[test]
    fn a_second_derivative_is_the_gradient_of_a_gradient() {
        let [second] =
            grad(|[x]| x.graph().grad(x.pow(4).sum(), &[x]).unwrap()[0].sum(), [&Tensor::from([2.0])]).unwrap();
        assert_eq!(second.item(), 48.0);
    }

    #[test]
    fn what_is_no_scalar_is_an_error_with_the_line_of_the_caller() {
        let a = Tensor::from([1.0, 2.0]);
        let line = line!() + 1;
        let error = grad(|[x]| x, [&a]).unwrap_err().to_string();
        assert!(error.contains("`grad` of a value of shape [2], input `argument 0`"), "{error}");
        assert!(error.contains(&format!("grad.rs:{line}:")), "{error}");
    }
}
