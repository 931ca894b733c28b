//! Circular and hyperbolic functions and their inverses.

use std::f64::consts::FRAC_PI_2;

use super::norm::Quotient;
use crate::real::Real;
use crate::tape::op::elementwise::unary;
use crate::tape::op::{Domain, Kinks, Pointwise};
use crate::tape::{Operand, Var};

const OPEN_UNIT: Domain = Domain::between(-1.0, 1.0);

unary! {
    /// `sin x`
    Sin, sin: |x| x.sin(), slope |x, _y| x.cos(), usual |x| x.angle_is_near() => x.near_sin(),
}

unary! {
    /// `cos x`
    Cos, cos: |x| x.cos(), slope |x, _y| -x.sin(), usual |x| x.angle_is_near() => x.near_cos(),
}

unary! {
    /// `tan x`
    Tan, tan: |x| x.tan(), slope |_x, y| y * y + 1.0, usual |x| x.angle_is_near() => x.near_tan(),
    domain Domain::between(-FRAC_PI_2, FRAC_PI_2),
}

unary! {
    /// `arcsin x`, from −π/2 to π/2
    Asin, asin: |x| x.asin(), slope |x, _y| ((1.0 - x) * (x + 1.0)).rsqrt(), domain OPEN_UNIT,
}

unary! {
    /// `arccos x`, from 0 to π
    Acos, acos: |x| x.acos(), slope |x, _y| -((1.0 - x) * (x + 1.0)).rsqrt(), domain OPEN_UNIT,
}

unary! {
    /// `arctan x`, from −π/2 to π/2
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
    /// `tanh x`; its derivative `1 − y²` has an absolute error of two roundings of 1, so its relative error grows as |y| approaches 1
    Tanh, tanh: |x| x.tanh(), slope |_x, y| 1.0 - y * y,
}

unary! {
    /// `arsinh x`, the inverse of sinh
    Asinh, asinh: |x| T::of(libm::asinh(x.as_f64())), slope |x, _y| x.hypot(1.0).recip(),
}

unary! {
    /// `arcosh x`, the inverse of cosh from 1 on
    Acosh, acosh: |x| T::of(if x < T::one() { f64::NAN } else { libm::acosh(x.as_f64()) }), slope |x, _y| ((x - 1.0).sqrt() * (x + 1.0).sqrt()).recip(),
    domain Domain::between(1.0, f64::INFINITY),
}

unary! {
    /// `artanh x`, the inverse of tanh
    Atanh, atanh: |x| T::of(libm::atanh(x.as_f64())), slope |x, _y| ((1.0 - x) * (x + 1.0)).recip(), domain OPEN_UNIT,
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
        let distance = x[0].hypot(x[1]);
        let side = if input == 0 { x[1] } else { -x[0] };
        side.pointwise(Quotient, distance).pointwise(Quotient, distance)
    }

    fn kinks(&self, _input: usize) -> Kinks {
        Kinks::Joint
    }
}

impl<'g> Var<'g> {
    /// The angle of the point `(x, y)`, where `y` is `self`, from −π to π. The derivatives are `x/(x² + y²)` for `y`
    /// and `−y/(x² + y²)` for `x`, and 0 at the origin.
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn atan2(self, x: impl Operand<'g>) -> Var<'g> {
        self.pointwise(Atan2, x)
    }
}

crate::tape::op::saved_ops! {
    "sin": Sin {},
    "cos": Cos {},
    "tan": Tan {},
    "asin": Asin {},
    "acos": Acos {},
    "atan": Atan {},
    "sinh": Sinh {},
    "cosh": Cosh {},
    "tanh": Tanh {},
    "asinh": Asinh {},
    "acosh": Acosh {},
    "atanh": Atanh {},
    "atan2": Atan2 {},
}

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{shape, tensor};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    // Away from the origin and from the branch cut along the negative x axis.
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
        Asinh::entry(),
        Acosh::entry(),
        Atanh::entry(),
        Entry::new("atan2", "the angle of the point `(x, y)`, from `y` and `x`", atan2)
            .domain("`x > 0` or `y ≠ 0`")
            .kinks("jumps across `y = 0`, `x < 0`"),
    ]
}

#[cfg(test)]
mod tests {
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    #[test]
    fn slopes_near_the_ends_keep_their_digits() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([1.0 - 2.0_f64.powi(-40), 2.0_f64.powi(-40) - 1.0]));
        // 1/√(2⁻³⁹ − 2⁻⁸⁰), from mpmath.
        let expected = Tensor::full([2], 741_455.200_189_633_9);
        for y in [x.asin(), -x.acos()] {
            let slope = graph.grad(y.sum(), &[x]).unwrap()[0];
            graph.eval(slope).unwrap().assert_close(&expected, 1e-15, 0.0);
        }
    }

    /// Large angles are reduced in another way; which one is taken depends on the angle alone.
    #[test]
    fn angles_of_any_size_have_the_same_bits_among_others_and_alone() {
        fn check<T: crate::real::Real>() {
            let sizes = [0.0, -0.0, 0.5, 3215.9, 3216.1, 1e5, 1e6, 1.1e6, 3e9, 1e30, f64::INFINITY, f64::NAN];
            let angles: Vec<f64> = (0..100).map(|k| sizes[k * 7 % sizes.len()] * (1.0 + 0.01 * k as f64)).collect();
            let graph = Graph::new();
            let eval = |angles: &[f64]| {
                let x = graph.constant(&Tensor::new([angles.len()], angles.to_vec()));
                let found = graph.eval_with::<T>(&[x.sin(), x.cos()], &crate::Params::new(0), &crate::Feed::new());
                found.unwrap().iter().map(|waves| waves.real().data().to_vec()).collect::<Vec<_>>()
            };
            let bits = |x: T| if x.is_nan() { f64::NAN.to_bits() } else { x.as_f64().to_bits() };
            let together = eval(&angles);
            for (k, &angle) in angles.iter().enumerate() {
                let alone = eval(&[angle]);
                let x = T::of(angle);
                for (number, function) in [T::sin, T::cos].into_iter().enumerate() {
                    assert_eq!(bits(together[number][k]), bits(alone[number][0]), "{angle:e} in {}", T::NAME);
                    assert_eq!(bits(alone[number][0]), bits(function(x)), "{angle:e} in {}", T::NAME);
                }
                let exact = x.as_f64().sin();
                let error = (together[0][k].as_f64() - exact).abs();
                assert!(error <= T::EPS || exact.is_nan(), "{angle:e} in {}", T::NAME);
            }
        }
        check::<f32>();
        check::<f64>();
    }

    #[test]
    fn the_angle_has_slopes_at_every_size_and_none_at_the_origin() {
        let graph = Graph::new();
        let parts = |scale: f64| [3.0, 4.0].map(|side| graph.constant(&Tensor::from([side * scale])));
        for scale in [1e-30_f64, 1e-20, 1.0, 1e20, 1e37] {
            let [y, x] = parts(scale);
            let slopes = graph.grad(y.atan2(x).sum(), &[y, x]).unwrap();
            let scaled = [slopes[0] * scale, slopes[1] * scale];
            let found = graph.eval_with::<f32>(&scaled, &crate::Params::new(0), &crate::Feed::new()).unwrap();
            let found = [0, 1].map(|k| found[k].real().item());
            assert!((found[0] - 0.16).abs() < 1e-7 && (found[1] + 0.12).abs() < 1e-7, "{scale:e}: {found:?}");
        }
        let [y, x] = parts(0.0);
        let slopes = graph.grad(y.atan2(x).sum(), &[y, x]).unwrap();
        assert_eq!([0, 1].map(|k| graph.eval(slopes[k]).unwrap().item()), [0.0, 0.0]);
    }
}
