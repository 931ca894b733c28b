//! Squares, square roots and powers.

use crate::real::Real;
use crate::tape::op::elementwise::unary;
use crate::tape::op::{Arithmetic, Domain, Number, Pointwise};
use crate::tape::{Operand, Var};

unary! {
    /// `√x`; NaN for negative x, and the derivative at 0 is infinite
    Sqrt, sqrt: |x| x.sqrt(), slope |_x, y| 0.5 / y, domain Domain::POSITIVE,
}

unary! {
    /// `1 / √x`
    Rsqrt, rsqrt: |x| T::one() / x.sqrt(), slope |_x, y| y * -0.5 * y * y, domain Domain::POSITIVE,
}

unary! {
    /// `x²`
    Square, square: |x| x * x, slope |x, _y| x * 2.0, arithmetic Arithmetic::Square,
}

/// `xⁿ` for an integer n.
#[derive(Debug, PartialEq, Eq, Hash)]
struct PowI {
    exponent: i32,
}

impl Pointwise for PowI {
    const NAME: &'static str = "powi";

    #[inline(always)]
    fn value<T: Real>(&self, x: &[T]) -> T {
        x[0].powi(self.exponent)
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
        match self.exponent {
            0 => x[0].graph().zeros(x[0].shape()),
            n => x[0].powi(n - 1) * f64::from(n),
        }
    }

    fn domain(&self, _input: usize) -> Domain {
        if self.exponent < 0 { Domain::NONZERO } else { Domain::REAL }
    }
}

/// `xᵖ` for a constant p.
#[derive(Debug, PartialEq, Eq, Hash)]
struct PowF {
    exponent: Number,
}

impl Pointwise for PowF {
    const NAME: &'static str = "powf";

    #[inline(always)]
    fn value<T: Real>(&self, x: &[T]) -> T {
        x[0].powf(self.exponent.real())
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
        match self.exponent.0 {
            0.0 => x[0].graph().zeros(x[0].shape()),
            p => x[0].powf(p - 1.0) * p,
        }
    }

    fn domain(&self, _input: usize) -> Domain {
        match self.exponent.0 {
            p if p.fract() != 0.0 => Domain::POSITIVE,
            p if p < 0.0 => Domain::NONZERO,
            _ => Domain::REAL,
        }
    }
}

/// `xʸ`
#[derive(Debug, PartialEq, Eq, Hash)]
struct Pow;

impl Pointwise for Pow {
    const NAME: &'static str = "pow";
    const ARITY: usize = 2;

    #[inline(always)]
    fn value<T: Real>(&self, x: &[T]) -> T {
        x[0].powf(x[1])
    }

    fn slope<'g>(&self, x: &[Var<'g>], y: Var<'g>, input: usize) -> Var<'g> {
        let (base, exponent) = (x[0], x[1]);
        if input == 0 {
            // At 0⁰ the slope is 0; 0·0⁻¹ would not be a number.
            let neither = base.equal(0.0).logical_and(exponent.equal(0.0));
            exponent * neither.where_(1.0, base).pow(exponent - 1.0)
        } else {
            // A base of 0 has slope 0 where the power is finite; a negative one has no real logarithm.
            y * base.greater(0.0).where_(base, 1.0).ln()
        }
    }

    fn domain(&self, input: usize) -> Domain {
        if input == 0 { Domain::POSITIVE } else { Domain::REAL }
    }
}

impl<'g> Var<'g> {
    /// `xⁿ` for an integer n; the derivative `n·xⁿ⁻¹` is 0 for `n = 0`, also at `x = 0`
    #[track_caller]
    pub fn powi(self, exponent: i32) -> Var<'g> {
        self.graph().call(PowI { exponent }, &[self])
    }

    /// `xᵖ` for a constant p; NaN for a negative x unless p is an integer
    #[track_caller]
    pub fn powf(self, exponent: f64) -> Var<'g> {
        self.graph().call(PowF { exponent: Number(exponent) }, &[self])
    }

    /// `x` to a power: [`Var::powi`] for an integer, [`Var::powf`] for another number, and for a variable y `xʸ` with
    /// derivatives `y·xʸ⁻¹` and
    /// `xʸ·ln x`, the second of which is 0 where `x ≤ 0`, and the first 0 at `0⁰`.
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([-3.0, 2.0]));
    /// assert_eq!(graph.eval(x.pow(2))?.data(), [9.0, 4.0]);
    /// assert_eq!(graph.eval(x.pow(x.abs()))?.data(), [-27.0, 4.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn pow(self, exponent: impl Operand<'g>) -> Var<'g> {
        exponent.power_of(self)
    }

    /// `xʸ` of two variables.
    #[track_caller]
    pub(crate) fn pow_var(self, exponent: Var<'g>) -> Var<'g> {
        self.pointwise(Pow, exponent)
    }
}

crate::tape::op::saved_ops! {
    "sqrt": Sqrt {},
    "rsqrt": Rsqrt {},
    "square": Square {},
    "powi": PowI { exponent },
    "powf": PowF { exponent },
    "pow": Pow {},
}

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::Entry;
    use crate::check::strategies::{pointwise, pointwise_within};
    use proptest::prelude::*;

    let powi = (-3..=5_i32).prop_flat_map(|exponent| pointwise(PowI { exponent }));
    let exponents = prop::sample::select(vec![2.0, 0.0, 1.0, 3.0, -1.0, -2.0, 0.5, 1.5, 2.5, -0.5, -1.5]);
    let powf = exponents.prop_flat_map(|exponent| pointwise(PowF { exponent: Number(exponent) }));
    vec![
        Sqrt::entry(),
        Rsqrt::entry(),
        Square::entry(),
        Entry::new("powi", "`xⁿ` for an integer n", powi).domain("`x ≠ 0` if `n < 0`"),
        Entry::new("powf", "`xᵖ` for a constant p", powf).domain("`x > 0`; if p is an integer as `powi`"),
        Entry::new("pow", "`xʸ`", pointwise_within(Pow, vec![-4.0..4.0, -3.0..3.0])),
    ]
}

#[cfg(test)]
mod tests {
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    #[test]
    fn the_mixed_second_derivative_is_right_at_exponent_zero() {
        let graph = Graph::new();
        let (x, y) = (graph.constant(&Tensor::from([2.0])), graph.constant(&Tensor::from([0.0])));
        let slope = graph.grad(x.pow(y).sum(), &[x]).unwrap()[0];
        let mixed = graph.grad(slope.sum(), &[y]).unwrap()[0];
        assert_eq!(graph.eval(mixed).unwrap().item(), 0.5);
    }

    #[test]
    fn the_type_of_the_exponent_chooses_the_op() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([-2.0, 3.0]));
        let powers = [x.pow(2), x.pow(2_usize), x.pow(1_i64 << 40), x.pow(2.0), x.pow(2.0_f32), x.pow(x)];
        assert_eq!(powers.map(|y| graph.tape().name(y.node())), ["powi", "powi", "powf", "powf", "powf", "pow"]);
        assert_eq!(graph.eval(powers[0] + powers[3]).unwrap().data(), [8.0, 18.0]);
        let slope = graph.grad(x.pow(2).sum(), &[x]).unwrap()[0];
        assert_eq!(graph.eval(slope).unwrap().data(), [-4.0, 6.0]);
    }

    #[test]
    fn zero_to_the_zero_is_one_with_slopes_of_zero() {
        let graph = Graph::new();
        let (x, y) = (graph.constant(&Tensor::from([0.0])), graph.constant(&Tensor::from([0.0])));
        let power = x.pow(y);
        assert_eq!(graph.eval(power).unwrap().item(), 1.0);
        for slope in graph.grad(power.sum(), &[x, y]).unwrap() {
            assert_eq!(graph.eval(slope).unwrap().item(), 0.0);
        }
        let constant = graph.grad(x.powf(0.0).sum(), &[x]).unwrap()[0];
        assert_eq!(graph.eval(constant).unwrap().item(), 0.0);
    }
}
