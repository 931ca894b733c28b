//! Macros that define an elementwise function: its op from a name, a value and a slope, and its method on `Var`.

/// Defines a pointwise op of one input and its method on `Var`.
macro_rules! unary {
    (
        $(#[doc = $doc:literal])+
        $op:ident, $method:ident: |$x:ident| $value:expr, slope |$vx:ident, $vy:ident| $slope:expr
        $(, arithmetic $arithmetic:expr)?
        $(, usual |$usual:ident| $is_usual:expr => $usual_value:expr)?
        $(, derivative $derivative:expr)? $(, domain $domain:expr)? $(, kinks $kinks:expr)? $(,)?
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, PartialEq, Eq, Hash)]
        struct $op;

        impl crate::tape::op::Pointwise for $op {
            const NAME: &'static str = stringify!($method);
            $(const ARITHMETIC: Option<crate::tape::op::Arithmetic> = Some($arithmetic);)?

            #[inline(always)]
            fn value<T: crate::real::Real>(&self, x: &[T]) -> T {
                let $x = x[0];
                $value
            }

            $(#[inline(always)]
            fn is_usual<T: crate::real::Real>(&self, x: &[T]) -> bool {
                let $usual = x[0];
                $is_usual
            }

            #[inline(always)]
            fn usual_value<T: crate::real::Real>(&self, x: &[T]) -> T {
                let $usual = x[0];
                $usual_value
            })?

            fn slope<'g>(
                &self,
                x: &[crate::tape::Var<'g>],
                y: crate::tape::Var<'g>,
                _input: usize,
            ) -> crate::tape::Var<'g> {
                // Most slopes use only one of the two.
                let ($vx, $vy) = (x[0], y);
                let _ = ($vx, $vy);
                $slope
            }

            $(fn derivative(&self, _input: usize) -> crate::tape::op::Derivative {
                $derivative
            })?

            $(fn domain(&self, _input: usize) -> crate::tape::op::Domain {
                $domain
            })?

            $(fn kinks(&self, _input: usize) -> crate::tape::op::Kinks {
                $kinks
            })?
        }

        #[cfg(any(test, feature = "proptest"))]
        impl $op {
            /// The entry of the op in the suite.
            fn entry() -> crate::check::Entry {
                crate::check::Entry::pointwise($op, concat!($($doc),+))
            }
        }

        impl<'g> crate::tape::Var<'g> {
            $(#[doc = $doc])+
            #[track_caller]
            pub fn $method(self) -> crate::tape::Var<'g> {
                self.graph().call($op, &[self])
            }
        }
    };
}

/// Defines a pointwise op whose derivative is zero wherever it exists, and its method on `Var`.
macro_rules! piecewise_constant {
    (
        $(#[doc = $doc:literal])+
        $op:ident, $method:ident: |$x:ident| $value:expr, kinks $kinks:expr $(,)?
    ) => {
        crate::tape::op::elementwise::unary! {
            $(#[doc = $doc])+
            $op, $method: |$x| $value, slope |x, _y| x.graph().zeros(x.shape()),
            derivative crate::tape::op::Derivative::Zero, kinks $kinks
        }
    };
}

pub(crate) use {piecewise_constant, unary};
