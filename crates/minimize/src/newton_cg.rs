//! The method `NewtonCg`.

use gradus_graph::{Error, Graph, Params, Real, Var};

use crate::options;
use crate::outcome::{Limits, Minimization};
use crate::slope::Slope;
use crate::traced::{Traced, Wanted};
use crate::trust_region::{self, Model};

/// Newton's method through Hessian-vector products: few steps even in curved and narrow valleys, and at saddles.
///
/// Each step minimises `gᵀp + ½pᵀHp` within a trust region, with the Hessian `H` in products alone. Where conjugate
/// gradients meet a direction of curvature not above zero, the step follows it to the edge of the region. The inner
/// loop stops at `min(0.01, √‖g‖)·‖g‖`, so that the method converges superlinearly.
///
/// State: the radius of the region.
///
/// Steihaug: The conjugate gradient method and trust regions in large scale optimization, 1983. Nocedal, Wright:
/// Numerical optimization, 2nd edition, algorithm 7.2.
///
/// # Example
/// ```
/// use gradus_graph::{Feed, Graph, Params, Plan, Tensor};
/// use gradus_minimize::NewtonCg;
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([-1.2, 1.0]));
///
/// let graph = Graph::new();
/// let (at, v) = (graph.param(&x), graph.input("v", [2]));
/// let (a, b) = (at.slice(0, 0, 1), at.slice(0, 1, 2));
/// let valley = ((1.0 - a).square() + 100.0 * (b - a.square()).square()).sum();
/// let gradient = graph.grad(valley, &[at])?[0];
/// let mut function = Plan::new(&graph, &[valley, gradient])?.session();
/// let mut hessian = Plan::new(&graph, &graph.hvp(valley, &[at], &[v])?)?.session();
///
/// let outcome = NewtonCg::new().minimize(
///     &mut params,
///     |params, slope| {
///         let outputs = function.run(params, &Feed::new())?;
///         slope.set([(&x, outputs.real(1))]);
///         Ok(outputs.real(0).item())
///     },
///     |params, direction, slope| {
///         let outputs = hessian.run(params, &Feed::new().with("v", direction.get(&x)))?;
///         slope.set([(&x, outputs.real(0))]);
///         Ok(())
///     },
/// )?;
/// assert!(outcome.reason.is_converged() && outcome.evaluations < 40, "{outcome}");
/// params.get(&x).assert_close(&Tensor::from([1.0, 1.0]), 1e-8, 0.0);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct NewtonCg {
    limits: Limits,
    scaled: bool,
}

options::limits_and_scale!(NewtonCg);

impl NewtonCg {
    /// The method with the default limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the trainable parameters to a minimum of the function, which gives its value and sets its gradient.
    ///
    /// `hessian` sets the product of the Hessian at the parameters with a direction: a store of the same parameters
    /// whose values are the direction's.
    ///
    /// # Errors
    /// Those of the closures. The parameters are then at the lowest point so far.
    pub fn minimize<T: Real>(
        &self,
        params: &mut Params<T>,
        function: impl FnMut(&Params<T>, &mut Slope<'_>) -> Result<T, Error>,
        hessian: impl FnMut(&Params<T>, &Params<T>, &mut Slope<'_>) -> Result<(), Error>,
    ) -> Result<Minimization, Error> {
        trust_region::minimize(params, (self.limits, self.scaled), Newton { function, hessian })
    }

    /// [`minimize`](Self::minimize) for a loss that a closure traces: once, at the start.
    ///
    /// # Errors
    /// If the loss is not a scalar or an op has no derivative, and as
    /// [`Plan::new`](gradus_graph::Plan::new) and [`Session::run`](gradus_graph::Session::run).
    ///
    /// # Panics
    /// Where the closure does.
    #[track_caller]
    pub fn fit<T: Real>(
        &self,
        params: &mut Params<T>,
        loss: impl for<'g> FnOnce(&'g Graph) -> Var<'g>,
    ) -> Result<Minimization, Error> {
        let wanted = [Wanted::Gradient, Wanted::HessianProduct];
        let [mut traced, mut products] = Traced::new(params, loss, wanted)?;
        self.minimize(
            params,
            |params, slope| traced.gradient(params, slope),
            |params, direction, slope| products.hessian_product(params, direction, slope),
        )
    }
}

struct Newton<F, H> {
    function: F,
    hessian: H,
}

impl<T, F, H> Model<T> for Newton<F, H>
where
    F: FnMut(&Params<T>, &mut Slope<'_>) -> Result<T, Error>,
    H: FnMut(&Params<T>, &Params<T>, &mut Slope<'_>) -> Result<(), Error>,
{
    const GRADIENT_WITH_VALUE: bool = true;

    fn value(&mut self, params: &Params<T>, slope: &mut Slope<'_>) -> Result<T, Error> {
        (self.function)(params, slope)
    }

    fn gradient(&mut self, _params: &Params<T>, _slope: &mut Slope<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn product(&mut self, params: &Params<T>, direction: &Params<T>, slope: &mut Slope<'_>) -> Result<(), Error> {
        (self.hessian)(params, direction, slope)
    }
}
