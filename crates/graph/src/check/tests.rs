//! The checker must refuse wrong derivatives and accept right ones.

use super::*;
use crate::real::Real;
use crate::tape::op::{Call, Pointwise, Vjp};

/// Cubes with a derivative of the test's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Cube {
    Right,
    Negated,
    Doubled,
    SecondOrderLost,
    CotangentIgnored,
    WrongForNegative,
    OffByAThousandth,
}

impl Pointwise for Cube {
    const NAME: &'static str = "cube";

    fn value<T: Real>(&self, x: &[T]) -> T {
        x[0] * x[0] * x[0]
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
        let right = x[0] * x[0] * 3.0;
        match self {
            Self::Negated => -right,
            Self::Doubled => right * 2.0,
            Self::SecondOrderLost => right.stop_gradient(),
            Self::OffByAThousandth => right * 1.001,
            Self::WrongForNegative => x[0] * x[0] * 1.5 + x[0] * (x[0] * x[0]).sqrt() * 1.5,
            Self::Right | Self::CotangentIgnored => right,
        }
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Vjp<'g> {
        let slope = self.slope(call.inputs, call.y(), input);
        if *self == Self::CotangentIgnored { slope.into() } else { (call.g() * slope).into() }
    }
}

#[test]
fn wrong_derivatives_are_refused_and_right_ones_are_not() {
    let x = Tensor::from([0.5, -1.25, 2.0]);
    let check = |cube: Cube| gradients(std::slice::from_ref(&x), |x| x[0].graph().call(cube, x));
    assert!(check(Cube::Right).is_ok());
    for wrong in [
        Cube::Negated,
        Cube::Doubled,
        Cube::SecondOrderLost,
        Cube::CotangentIgnored,
        Cube::WrongForNegative,
        Cube::OffByAThousandth,
    ] {
        assert!(check(wrong).is_err(), "{wrong:?} was accepted");
    }
}

#[test]
fn a_failure_says_where_and_what_it_looks_like() {
    let failure = gradients(&[Tensor::from([0.5])], |x| x[0].graph().call(Cube::Negated, x)).unwrap_err();
    let text = failure.to_string();
    assert!(text.starts_with("the derivative with respect to input 0 is wrong\n  element    [0]"), "{text}");
    assert!(text.contains("looks like a wrong sign"), "{text}");
}
