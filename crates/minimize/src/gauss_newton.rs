//! The method `GaussNewton`.

use gradus_graph::{Error, Graph, Params, Real, Tensor, Var};

use crate::options;
use crate::outcome::{Limits, Minimization};
use crate::slope::Slope;
use crate::traced::{Traced, Wanted};
use crate::trust_region::{self, Model};

/// Gauss–Newton through products with the Jacobian: for sums of squares with too many parameters for
/// [`LevenbergMarquardt`](crate::LevenbergMarquardt).
///
/// The value of the outcome is the sum of the squares.
///
/// Gauss–Newton for `f = Σ rᵢ²`: Newton's step with `2JᵀJ` instead of the Hessian, where `J` is the Jacobian of the
/// residuals `r`, minimised within a trust region by conjugate gradients. `J` is asked for in products alone: `J·v` and
/// `Jᵀ·u`.
///
/// State: the radius of the region.
///
/// Nocedal, Wright: Numerical optimization, 2nd edition, section 10.3. Martens: Deep learning via Hessian-free
/// optimization, 2010.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_minimize::GaussNewton;
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([-1.2, 1.0]));
/// // Rosenbrock's residuals 10(b − a²), 1 − a.
/// let outcome = GaussNewton::new().minimize(
///     &mut params,
///     |params| {
///         let [a, b] = params.get(&x).data()[..] else { unreachable!("x has two elements") };
///         Ok(Tensor::from([10.0 * (b - a * a), 1.0 - a]))
///     },
///     |params, direction| {
///         let (a, v) = (params.get(&x).data()[0], direction.get(&x).data());
///         Ok(Tensor::from([-20.0 * a * v[0] + 10.0 * v[1], -v[0]]))
///     },
///     |params, u, slope| {
///         let (a, u) = (params.get(&x).data()[0], u.data());
///         slope.set([(&x, &Tensor::from([-20.0 * a * u[0] - u[1], 10.0 * u[0]]))]);
///         Ok(())
///     },
/// )?;
/// assert!(outcome.reason.is_converged() && outcome.value < 1e-18, "{outcome}");
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct GaussNewton {
    limits: Limits,
    scaled: bool,
}

options::limits_and_scale!(GaussNewton);

impl GaussNewton {
    /// The method with the default limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the trainable parameters to a minimum of the sum of the squared residuals.
    ///
    /// `forward` gives the product `J·v` with a direction, a store of the same parameters whose values are the
    /// direction's; `backward` sets the product `Jᵀ·u` with a tensor of the residuals' shape.
    ///
    /// # Errors
    /// Those of the closures. The parameters are then at the lowest point so far.
    pub fn minimize<T: Real>(
        &self,
        params: &mut Params<T>,
        residuals: impl FnMut(&Params<T>) -> Result<Tensor<T>, Error>,
        forward: impl FnMut(&Params<T>, &Params<T>) -> Result<Tensor<T>, Error>,
        backward: impl FnMut(&Params<T>, &Tensor<T>, &mut Slope<'_>) -> Result<(), Error>,
    ) -> Result<Minimization, Error> {
        let squares = Squares { residuals, forward, backward, last: Tensor::zeros([0]) };
        trust_region::minimize(params, (self.limits, self.scaled), squares)
    }

    /// [`minimize`](Self::minimize) for residuals that a closure traces: once, at the start.
    ///
    /// # Errors
    /// If an op has no derivative, and as
    /// [`Plan::new`](gradus_graph::Plan::new) and [`Session::run`](gradus_graph::Session::run).
    ///
    /// # Panics
    /// Where the closure does.
    #[track_caller]
    pub fn fit<T: Real>(
        &self,
        params: &mut Params<T>,
        residuals: impl for<'g> FnOnce(&'g Graph) -> Var<'g>,
    ) -> Result<Minimization, Error> {
        let wanted = [Wanted::Value, Wanted::Forward, Wanted::Backward];
        let [mut values, mut forward, mut backward] = Traced::new(params, residuals, wanted)?;
        self.minimize(
            params,
            |params| values.value(params),
            |params, direction| forward.forward(params, direction),
            |params, cotangent, slope| backward.backward(params, cotangent, slope),
        )
    }
}

struct Squares<R, F, B, T> {
    residuals: R,
    forward: F,
    backward: B,
    /// The last residuals.
    last: Tensor<T>,
}

fn twice<T: Real>(tensor: &Tensor<T>) -> Tensor<T> {
    tensor.map(|&value| value + value)
}

impl<T, R, F, B> Model<T> for Squares<R, F, B, T>
where
    T: Real,
    R: FnMut(&Params<T>) -> Result<Tensor<T>, Error>,
    F: FnMut(&Params<T>, &Params<T>) -> Result<Tensor<T>, Error>,
    B: FnMut(&Params<T>, &Tensor<T>, &mut Slope<'_>) -> Result<(), Error>,
{
    const GRADIENT_WITH_VALUE: bool = false;

    fn value(&mut self, params: &Params<T>, _slope: &mut Slope<'_>) -> Result<T, Error> {
        self.last = (self.residuals)(params)?;
        Ok(T::of(self.last.data().iter().map(|r| r.as_f64().powi(2)).sum()))
    }

    fn gradient(&mut self, params: &Params<T>, slope: &mut Slope<'_>) -> Result<(), Error> {
        (self.backward)(params, &twice(&self.last), slope)
    }

    fn product(&mut self, params: &Params<T>, direction: &Params<T>, slope: &mut Slope<'_>) -> Result<(), Error> {
        let along = (self.forward)(params, direction)?;
        (self.backward)(params, &twice(&along), slope)
    }
}
