//! The precisions of runs.
//!
//! A graph has no precision, a run has one. Kernels are generic over `T: Real` and instantiated for `f32` and `f64`.
//! The transcendental functions are methods of this trait and not of `num_traits::Float`, because they are branch-free
//! polynomials that are vectorised ([`crate::kernel`]).

use std::fmt::{Debug, Display};

use num_traits::float::FloatCore;
use num_traits::{NumAssign, ToPrimitive};

use crate::kernel::gemm::Gemm;
use crate::kernel::math::Math;

/// A floating-point number that kernels can be instantiated with: `f32` or `f64`.
///
/// Arithmetic, comparisons, `abs`, `floor`, `ceil`, `is_nan` and similar functions come from `num_traits`
/// ([`FloatCore`] and [`NumAssign`]); `exp`, `ln`, `tanh` and similar functions from [`Math`].
///
/// # Example
/// ```
/// use gradus_graph::Real;
/// fn swish<T: Real>(x: T) -> T {
///     x / (T::of(1.0) + (-x).exp())
/// }
/// assert!((swish(1.0_f64) - 0.731_058_578_630_004_9).abs() < 1e-15);
/// ```
pub trait Real: FloatCore + NumAssign + Math + Gemm + Debug + Display + Default + Send + Sync + 'static {
    /// `"f32"` or `"f64"`, for messages.
    const NAME: &'static str;
    /// The distance from 1 to the next larger number.
    const EPS: f64;

    /// The nearest number of this precision.
    fn of(value: f64) -> Self;

    /// This number in double precision; exact.
    fn as_f64(self) -> f64 {
        ToPrimitive::to_f64(&self).unwrap_or(f64::NAN)
    }

    /// The member for this precision.
    #[doc(hidden)]
    fn pick<F: Family>(each: Each<F>) -> F::Of<Self>;
}

/// A type for each precision.
#[doc(hidden)]
pub trait Family {
    type Of<T: Real>;
}

/// Makes the member of a family for any precision.
pub(crate) trait Member<F: Family> {
    fn member<T: Real>(self) -> F::Of<T>;
}

/// The numbers that are a [`Real`]; each has its functions in [`crate::kernel::math`] and its products in
/// [`crate::kernel::gemm`].
macro_rules! precisions {
    ($($number:ident),+) => {
        /// A member of a family for each precision.
        #[doc(hidden)]
        pub struct Each<F: Family> {
            $($number: F::Of<$number>),+
        }

        impl<F: Family> Each<F> {
            pub(crate) fn new(make: impl Member<F> + Copy) -> Self {
                Self { $($number: make.member()),+ }
            }
        }

        $(impl Real for $number {
            const NAME: &'static str = stringify!($number);
            const EPS: f64 = <$number>::EPSILON as f64;

            #[inline(always)]
            fn of(value: f64) -> Self {
                value as $number
            }

            #[inline(always)]
            fn as_f64(self) -> f64 {
                self as f64
            }

            #[inline(always)]
            fn pick<F: Family>(each: Each<F>) -> F::Of<Self> {
                each.$number
            }
        })+
    };
}

precisions!(f32, f64);
