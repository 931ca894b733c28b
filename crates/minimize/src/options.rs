//! The options that the methods share.

/// The method `limits` of a minimiser.
macro_rules! limits {
    ($method:ty) => {
        impl $method {
            /// When to stop.
            #[must_use]
            pub fn limits(mut self, limits: crate::outcome::Limits) -> Self {
                self.limits = limits;
                self
            }
        }
    };
}

/// The methods `limits` and `scaled` of a minimiser that does not find the units of the parameters by itself.
macro_rules! limits_and_scale {
    ($method:ty) => {
        crate::options::limits!($method);

        impl $method {
            /// Measures each parameter in units of its magnitude at the start, or of one where that is zero: for
            /// parameters whose units differ by orders of magnitude.
            /// [`LevenbergMarquardt`](crate::LevenbergMarquardt) finds such units by itself.
            #[must_use]
            pub fn scaled(mut self) -> Self {
                self.scaled = true;
                self
            }
        }
    };
}

pub(crate) use {limits, limits_and_scale};
