//! When a method stops, and its report.

use std::fmt;

use gradus_graph::expect_setting;

/// When a method stops.
///
/// No limit depends on the units of the function or of the parameters.
///
/// # Example
/// ```
/// use gradus_minimize::{Lbfgs, Limits};
/// let _lbfgs = Lbfgs::new().limits(Limits::new().gradient(1e-5).evaluations(100));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    pub(crate) gradient: f64,
    pub(crate) step: f64,
    pub(crate) value: f64,
    pub(crate) evaluations: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { gradient: 1e-8, step: 0.0, value: 0.0, evaluations: 10_000 }
    }
}

impl Limits {
    /// A relative gradient of 1e-8, or 10,000 evaluations.
    pub fn new() -> Self {
        Self::default()
    }

    /// Converged if the relative gradient is not above this; 1e-8 by default.
    ///
    /// The relative gradient is the root of the relative decrease that the method's quadratic model predicts; for
    /// [`LevenbergMarquardt`](crate::LevenbergMarquardt), whose model is exact in that, the cosine of the angle between
    /// the residuals and the span of their derivatives, as MINPACK's `gtol`.
    /// [`ConjugateGradient`](crate::ConjugateGradient) has no model: there it is `Σ|gᵢ|·max(|xᵢ|, |xᵢ − x₀ᵢ|)` divided
    /// by the value. Where the least value is zero a method goes on until rounding hides what is left.
    ///
    /// # Panics
    /// If it is negative or NaN.
    #[must_use]
    #[track_caller]
    pub fn gradient(self, gradient: f64) -> Self {
        expect_setting("`Limits::gradient`: gradient", gradient, 0.0..=f64::INFINITY);
        Self { gradient, ..self }
    }

    /// Stops if a step is not longer than this times the norm of the parameters; 0, which is never, by default. That is
    /// no convergence.
    ///
    /// # Panics
    /// If it is negative or NaN.
    #[must_use]
    #[track_caller]
    pub fn step(self, step: f64) -> Self {
        expect_setting("`Limits::step`: step", step, 0.0..=f64::INFINITY);
        Self { step, ..self }
    }

    /// Stops if a step lowers the value by no more than this times the value; 0, which is never, by default. That is no
    /// convergence.
    ///
    /// # Panics
    /// If it is negative or NaN.
    #[must_use]
    #[track_caller]
    pub fn value(self, value: f64) -> Self {
        expect_setting("`Limits::value`: value", value, 0.0..=f64::INFINITY);
        Self { value, ..self }
    }

    /// The number of evaluations of the function that are allowed; 10,000 by default.
    #[must_use]
    pub fn evaluations(self, evaluations: usize) -> Self {
        Self { evaluations, ..self }
    }
}

/// Why a method stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The relative gradient is as small as [`Limits::gradient`] asks, or the gradient is zero.
    Gradient,
    /// The last step was as short as [`Limits::step`] asks.
    Step,
    /// The last step lowered the value as little as [`Limits::value`] asks.
    Value,
    /// The decrease that the method's model predicts is below the rounding of the value and of the parameters.
    Precision,
    /// Steps gain nothing beyond rounding, though the model predicts more, or none is valid: a narrow valley,
    /// parameters of very different units (see the method's `scaled`), or derivatives that are wrong.
    Stalled,
    /// The evaluations were used up.
    Budget,
    /// No step along the direction lowers the value, though its slope is negative: the derivatives are wrong, the
    /// function has a kink, or its terms cancel until rounding hides what is left to gain.
    LineSearch,
    /// The value or a derivative is not finite where the method started.
    NonFinite,
}

impl Reason {
    /// Whether a test of optimality holds, to its limit or to the precision of the store. A short step or a small gain
    /// is none.
    pub fn is_converged(self) -> bool {
        matches!(self, Self::Gradient | Self::Precision)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gradient => "the relative gradient is small",
            Self::Step => "the step is short",
            Self::Value => "the value hardly falls",
            Self::Precision => "the precision is used up",
            Self::Stalled => "the steps gain nothing",
            Self::Budget => "the evaluations are used up",
            Self::LineSearch => "no step along the direction lowers the value",
            Self::NonFinite => "the start is not finite",
        })
    }
}

/// One point of the trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Iterate {
    /// The evaluations up to here.
    pub evaluations: usize,
    /// The value.
    pub value: f64,
    /// The largest element of the gradient.
    pub gradient: f64,
    /// The length of the step that led here; 0 at the start.
    pub step: f64,
}

/// How a minimisation ended. The parameters are at the last point of the trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Minimization {
    /// Why it stopped.
    pub reason: Reason,
    /// The value reached.
    pub value: f64,
    /// The largest element of the gradient there.
    pub gradient: f64,
    /// Evaluations of the function or the residuals. Methods that ask for value and gradient at once count one.
    pub evaluations: usize,
    /// Evaluations of a Jacobian, or of a gradient that was asked for alone.
    pub derivatives: usize,
    /// Products of a vector with the Hessian, or with the Jacobian and its transpose.
    pub products: usize,
    /// The start and the point after each step.
    pub trace: Vec<Iterate>,
}

impl Minimization {
    /// The number of steps.
    pub fn iterations(&self) -> usize {
        self.trace.len().saturating_sub(1)
    }
}

impl fmt::Display for Minimization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, value, gradient, evaluations, .. } = self;
        write!(f, "{reason} after {} steps and {evaluations} evaluations: ", self.iterations())?;
        write!(f, "value {value:.6e}, gradient {gradient:.1e}")
    }
}
