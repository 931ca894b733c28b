//! The exponential, logarithms and the error function.

use crate::tape::op::Domain;
use crate::tape::op::elementwise::unary;

unary! {
    /// `eˣ`
    Exp, exp: |x| x.exp(), slope |_x, y| y,
}

unary! {
    /// `eˣ − 1`, accurate near 0
    ExpM1, exp_m1: |x| x.exp_m1(), slope |x, _y| x.exp(),
}

unary! {
    /// `ln x`, the natural logarithm
    Ln, ln: |x| x.ln(), slope |x, _y| x.recip(), domain Domain::POSITIVE,
}

unary! {
    /// `ln(1 + x)`, accurate near 0
    Ln1p, ln_1p: |x| x.ln_1p(), slope |x, _y| (x + 1.0).recip(), domain Domain::between(-1.0, f64::INFINITY),
}

unary! {
    /// `log₂ x`, the logarithm to base 2
    Log2, log2: |x| x.log2(), slope |x, _y| std::f64::consts::LOG2_E / x, domain Domain::POSITIVE,
}

unary! {
    /// `2/√π · ∫₀ˣ e^(−t²) dt`, the error function
    Erf, erf: |x| x.erf(), slope |x, _y| (-(x * x)).exp() * std::f64::consts::FRAC_2_SQRT_PI,
}

crate::tape::op::saved_ops! {
    "exp": Exp {},
    "exp_m1": ExpM1 {},
    "ln": Ln {},
    "ln_1p": Ln1p {},
    "log2": Log2 {},
    "erf": Erf {},
}

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    vec![Exp::entry(), ExpM1::entry(), Ln::entry(), Ln1p::entry(), Log2::entry(), Erf::entry()]
}

#[cfg(test)]
mod tests {
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    #[test]
    fn small_numbers_keep_their_digits() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([1e-12]));
        for y in [x.exp_m1(), x.ln_1p()] {
            let error = (graph.eval(y).unwrap().item() / 1e-12 - 1.0).abs();
            assert!(error < 1e-11, "{error:e}");
        }
    }
}
