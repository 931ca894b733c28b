//! Circular and hyperbolic functions and their inverses.

use std::f64::consts::FRAC_PI_2;

use super::arithmetic::Operand;
use super::unary::unary;
use crate::real::Real;
use crate::tape::Var;
use crate::tape::op::{Domain, Kinks, Pointwise};

const OPEN_UNIT: Domain = Domain::between(-1.0, 1.0);

unary! {
    /// `sin x`
    Sin, sin: |x| x.sin(), slope |x, _y| x.cos(),
}

unary! {
    /// `cos x`
    Cos, cos: |x| x.cos(), slope |x, _y| -x.sin(),
}

unary! {
    /// `tan x`
    Tan, tan: |x| x.tan(), slope |_x, y| y * y + 1.0, domain Domain::between(-FRAC_PI_2, FRAC_PI_2),
}

unary! {
    /// `arcsin x`, within −π/2 and π/2
    Asin, asin: |x| x.asin(), slope |x, _y| (1.0 - x * x).rsqrt(), domain OPEN_UNIT,
}

unary! {
    /// `arccos x`, within 0 and π
    Acos, acos: |x| x.acos(), slope |x, _y| -(1.0 - x * x).rsqrt(), domain OPEN_UNIT,
}

unary! {
    /// `arctan x`, within −π/2 and π/2
    Atan, atan: |x| x.atan(), slope |x, _y| (x * x + 1.0).recip(),
}

unary! {
    /// `sinh x`
    Sinh, sinh: |x| x.sinh(), slope |x, _y| x.cosh(),
}

unary! {
    /// `cosh x`
    Cosh, cosh: |x| x.cosh(), slope |x, _y| x.sinh(),
}

unary! {
    /// `tanh x`
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

    fn kinks(&self, _input: usize) -> Kinks {
        Kinks::Joint
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

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{shape, tensor};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    // Away from the origin and from the cut along the negative x axis.
    let points = shape(5).prop_flat_map(|shape| [tensor(shape.clone(), -4.0..4.0), tensor(shape, -4.0..4.0)]);
    let atan2 = points.prop_map(|[mut y, x]| {
        let near = |(y, x): (&mut f64, &f64)| {
            if *x < 0.5 && y.abs() < 0.5 {
                *y = 0.5_f64.copysign(*y)
            }
        };
        y.data_mut().iter_mut().zip(x.data()).for_each(near);
        Sample::new(Atan2, [y.into(), x.into()])
    });
    vec![
        Sin::entry(),
        Cos::entry(),
        Tan::entry().domain("`x ≠ π/2 + kπ`"),
        Asin::entry(),
        Acos::entry(),
        Atan::entry(),
        Sinh::entry(),
        Cosh::entry(),
        Tanh::entry(),
        Entry::new("atan2", "the angle of the point `(x, y)`, from `y` and `x`", atan2)
            .domain("`x > 0` or `y ≠ 0`")
            .kinks("jumps across `y = 0`, `x < 0`"),
    ]
}
