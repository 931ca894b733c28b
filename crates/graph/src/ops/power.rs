//! Squares, square roots and powers.

use crate::real::Real;
use crate::tape::Var;
use crate::tape::op::{Domain, Pointwise};

/// `√x`; the derivative at 0 is infinite.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Sqrt;

impl Pointwise for Sqrt {
    const NAME: &'static str = "sqrt";

    #[inline(always)]
    fn value<T: Real>(&self, x: &[T]) -> T {
        x[0].sqrt()
    }

    fn slope<'g>(&self, _x: &[Var<'g>], y: Var<'g>, _input: usize) -> Var<'g> {
        0.5 / y
    }

    fn domain(&self, _input: usize) -> Domain {
        Domain::POSITIVE
    }
}

/// `x²`
#[derive(Debug, PartialEq, Eq, Hash)]
struct Square;

impl Pointwise for Square {
    const NAME: &'static str = "square";

    #[inline(always)]
    fn value<T: Real>(&self, x: &[T]) -> T {
        x[0] * x[0]
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
        x[0] * 2.0
    }
}

impl<'g> Var<'g> {
    /// `√x`
    #[track_caller]
    pub fn sqrt(self) -> Var<'g> {
        self.graph().call(Sqrt, &[self])
    }

    /// `x²`
    #[track_caller]
    pub fn square(self) -> Var<'g> {
        self.graph().call(Square, &[self])
    }
}

#[cfg(test)]
mod tests {
    use crate::check::{assert_property, strategies::alike};

    #[test]
    fn gradients() {
        assert_property(alike(1, 0.25..4.0), |x| x[0].sqrt());
        assert_property(alike(1, -3.0..3.0), |x| x[0].square());
    }
}
