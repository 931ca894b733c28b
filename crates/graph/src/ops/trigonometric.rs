//! Circular and hyperbolic functions and their inverses.

use super::arithmetic::Operand;
use super::unary::unary;
use crate::real::Real;
use crate::tape::Var;
use crate::tape::op::{Domain, Pointwise};

const OPEN_UNIT: Domain = Domain::between(-1.0, 1.0);

unary! {
    /// The sine
    Sin, sin: |x| x.sin(), slope |x, _y| x.cos(),
}

unary! {
    /// The cosine
    Cos, cos: |x| x.cos(), slope |x, _y| -x.sin(),
}

unary! {
    /// The tangent
    Tan, tan: |x| x.tan(), slope |_x, y| y * y + 1.0,
}

unary! {
    /// The inverse sine, for `|x| < 1`
    Asin, asin: |x| x.asin(), slope |x, _y| (1.0 - x * x).rsqrt(), domain OPEN_UNIT,
}

unary! {
    /// The inverse cosine, for `|x| < 1`
    Acos, acos: |x| x.acos(), slope |x, _y| -(1.0 - x * x).rsqrt(), domain OPEN_UNIT,
}

unary! {
    /// The inverse tangent
    Atan, atan: |x| x.atan(), slope |x, _y| (x * x + 1.0).recip(),
}

unary! {
    /// The hyperbolic sine
    Sinh, sinh: |x| x.sinh(), slope |x, _y| x.cosh(),
}

unary! {
    /// The hyperbolic cosine
    Cosh, cosh: |x| x.cosh(), slope |x, _y| x.sinh(),
}

unary! {
    /// The hyperbolic tangent
    Tanh, tanh: |x| x.tanh(), slope |_x, y| 1.0 - y * y,
}

/// The angle of the point `(x, y)`, where `y` is the first input.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Atan2;

impl Pointwise for Atan2 {
    const NAME: &'static str = "atan2";
    const ARITY: usize = 2;

    #[inline(always)]
    fn value<T: Real>(&self, x: &[T]) -> T {
        x[0].atan2(x[1])
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, input: usize) -> Var<'g> {
        let square = x[0] * x[0] + x[1] * x[1];
        if input == 0 { x[1] / square } else { -x[0] / square }
    }
}

impl<'g> Var<'g> {
    /// The angle of the point `(x, y)`, where `y` is `self`: within −π and π.
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn atan2(self, x: impl Operand<'g>) -> Var<'g> {
        self.pointwise(Atan2, x)
    }
}

#[cfg(test)]
mod tests {
    use crate::check::assert_property;
    use crate::check::strategies::{alike, broadcastable};

    #[test]
    fn gradients() {
        assert_property(alike(1, -3.0..3.0), |x| x[0].sin());
        assert_property(alike(1, -3.0..3.0), |x| x[0].cos());
        assert_property(alike(1, -1.0..1.0), |x| x[0].tan());
        assert_property(alike(1, -0.75..0.75), |x| x[0].asin());
        assert_property(alike(1, -0.75..0.75), |x| x[0].acos());
        assert_property(alike(1, -3.0..3.0), |x| x[0].atan());
        assert_property(alike(1, -3.0..3.0), |x| x[0].sinh());
        assert_property(alike(1, -3.0..3.0), |x| x[0].cosh());
        assert_property(alike(1, -3.0..3.0), |x| x[0].tanh());
        assert_property(broadcastable(vec![-2.0..2.0, 0.5..3.0]), |x| x[0].atan2(x[1]));
        assert_property(broadcastable(vec![0.5..2.0, -3.0..-0.5]), |x| x[0].atan2(x[1]));
    }
}
