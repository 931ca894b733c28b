//! The numbers a run may compute with.
//!
//! A graph has no precision; a run has. Kernels are written once, over `T: Real`, and instantiated for `f32` and
//! `f64`. The transcendental functions are methods of this trait and not of `num_traits::Float`, because ours are
//! branch-free polynomials that the compiler turns into vector code ([`crate::kernel`]).

use std::fmt::{Debug, Display};

use num_traits::float::FloatCore;
use num_traits::{NumAssign, ToPrimitive};

use crate::kernel::gemm::Gemm;
use crate::kernel::math::Math;
use crate::tape::op::Dispatch;

/// A floating-point number that kernels can be instantiated with: `f32` or `f64`.
///
/// Arithmetic, comparisons, `abs`, `floor`, `ceil`, `is_nan` and the like come from `num_traits` ([`FloatCore`] and
/// [`NumAssign`]); `exp`, `ln`, `tanh` and the like from [`Math`].
///
/// # Example
/// ```
/// use gradus_graph::Real;
/// fn swish<T: Real>(x: T) -> T {
///     x / (T::of(1.0) + (-x).exp())
/// }
/// assert!((swish(1.0_f64) - 0.731_058_578_630_004_9).abs() < 1e-15);
/// ```
pub trait Real:
    Dispatch + FloatCore + NumAssign + Math + Gemm + Debug + Display + Default + Send + Sync + 'static
{
    /// `"f32"` or `"f64"`, as messages say it.
    const NAME: &'static str;
    /// The distance from 1 to the next larger number.
    const EPS: f64;

    /// The nearest number of this precision.
    fn of(value: f64) -> Self;

    /// This number in double precision; exact.
    fn as_f64(self) -> f64 {
        ToPrimitive::to_f64(&self).unwrap_or(f64::NAN)
    }
}

impl Real for f32 {
    const NAME: &'static str = "f32";
    const EPS: f64 = f32::EPSILON as f64;

    #[inline(always)]
    fn of(value: f64) -> Self {
        value as f32
    }

    #[inline(always)]
    fn as_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    const NAME: &'static str = "f64";
    const EPS: f64 = f64::EPSILON;

    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn as_f64(self) -> f64 {
        self
    }
}
