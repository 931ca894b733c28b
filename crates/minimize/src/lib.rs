//! Minimisers on a store of parameters: methods that ask for values and derivatives, at the root of this crate, and
//! searches without derivatives in [`search`].
//!
//! A method is a value with its options. `minimize` takes the store and closures, moves the trainable parameters to the
//! lowest point that it found, and returns a [`Minimization`] with the reason why it stopped. A closure reads the
//! parameters and returns a value and, through a [`Slope`], tensors by parameter: for example the gradients of a
//! compiled step. The vectors inside are in double precision; the points are those that the store can hold.
//!
//! | method | needs | suits |
//! |---|---|---|
//! | [`Lbfgs`] | gradients | smooth functions of any size |
//! | [`ConjugateGradient`] | gradients | the same, with less memory |
//! | [`NewtonCg`] | gradients, Hessian-vector products | ill-conditioned functions of any size |
//! | [`LevenbergMarquardt`] | residuals and their Jacobian | sums of squares with up to some hundred parameters |
//! | [`GaussNewton`] | residuals, products with their Jacobian | sums of squares of any size |
//!
//! A value, gradient or product that is not finite makes the next step shorter; it is never accepted.
//!
//! # Example
//! ```
//! use gradus_graph::{Params, Tensor};
//! use gradus_minimize::Lbfgs;
//! let mut params: Params<f64> = Params::new(0);
//! let x = params.add("x", Tensor::from([-1.2, 1.0]));
//! // Rosenbrock's valley.
//! let outcome = Lbfgs::new().minimize(&mut params, |params, slope| {
//!     let [a, b] = params.get(&x).data()[..] else { unreachable!("x has two elements") };
//!     let gradient = Tensor::from([-2.0 * (1.0 - a) - 400.0 * a * (b - a * a), 200.0 * (b - a * a)]);
//!     slope.set([(&x, &gradient)]);
//!     Ok((1.0 - a).powi(2) + 100.0 * (b - a * a).powi(2))
//! })?;
//! assert!(outcome.reason.is_converged() && outcome.evaluations < 60, "{outcome}");
//! params.get(&x).assert_close(&Tensor::from([1.0, 1.0]), 1e-7, 0.0);
//! # Ok::<(), gradus_graph::Error>(())
//! ```

mod conjugate_gradient;
mod descent;
mod gauss_newton;
mod jacobian;
mod lbfgs;
mod levenberg_marquardt;
mod line_search;
mod newton_cg;
mod options;
mod outcome;
mod parameter_vector;
mod run;
mod scaled;
pub mod search;
mod slope;
mod traced;
mod trust_region;

pub use conjugate_gradient::{Beta, ConjugateGradient};
pub use gauss_newton::GaussNewton;
pub use jacobian::Jacobian;
pub use lbfgs::Lbfgs;
pub use levenberg_marquardt::LevenbergMarquardt;
pub use newton_cg::NewtonCg;
pub use outcome::{Iterate, Limits, Minimization, Reason};
pub use slope::Slope;
