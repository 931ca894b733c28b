//! Numeric derivatives with an estimate of their error.
//!
//! Central differences at halving steps, extrapolated to step 0 (Ridders, "Accurate computation of F′(x) and F′(x)F″(x)",
//! Advances in Engineering Software 4, 1982). The estimate is the disagreement of neighbours in the tableau, with a
//! safety factor and a floor for rounding. One-sided slopes look for kinks, which fool every symmetric stencil.

use crate::error::Error;

/// A numeric derivative and how far it may be off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimate {
    pub(super) value: f64,
    pub(super) error: f64,
}

/// The largest step, and how often it is halved.
const FIRST: f64 = 1.0 / 32.0;
const LEVELS: usize = 7;

/// A sum and the sum of the magnitudes of its terms, to which its rounding error is in proportion.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    pub(super) value: f64,
    pub(super) weight: f64,
}

/// The derivative at 0 of a function of one number.
pub(super) fn derivative(f: impl Fn(f64) -> Result<Sum, Error>) -> Result<Estimate, Error> {
    let centre = f(0.0)?.value;
    let noise = noise(&f)?;
    let mut best = Estimate { value: f64::NAN, error: f64::INFINITY };
    let mut row: [f64; LEVELS] = [0.0; LEVELS];
    let mut sides = [(0.0, 0.0); LEVELS];
    for level in 0..LEVELS {
        let step = FIRST / (1u32 << level) as f64;
        let (high, low) = (f(step)?, f(-step)?);
        let rounding = (noise + 4.0 * f64::EPSILON * (high.weight + low.weight)) / step;
        let (high, low) = (high.value, low.value);
        sides[level] = ((high - centre) / step, (centre - low) / step);
        let previous = row;
        row[0] = (high - low) / (2.0 * step);
        let mut power = 1.0;
        for column in 1..=level {
            power *= 4.0;
            row[column] = row[column - 1] + (row[column - 1] - previous[column - 1]) / (power - 1.0);
            let spread = (row[column] - row[column - 1]).abs().max((row[column] - previous[column - 1]).abs());
            let error = 4.0 * spread + 8.0 * rounding;
            if error < best.error {
                best = Estimate { value: row[column], error };
            }
        }
    }
    // At a kink the one-sided slopes differ by an amount that does not shrink with the step.
    let gap = |(right, left): (f64, f64)| (right - left).abs();
    let (wide, narrow) = (gap(sides[LEVELS - 3]), gap(sides[LEVELS - 1]));
    if narrow > 0.5 * wide && narrow > 1e-3 * (best.value.abs() + 1e-3) {
        best.error = best.error.max(narrow);
    }
    Ok(best)
}

/// How far values of the function are off by rounding inside it: fourth differences over points so close that all but
/// noise cancels (Hamming's difference table; Moré and Wild, "Estimating computational noise", SIAM J. Sci. Comput. 33,
/// 2011). The largest of several, since one may be small by luck.
fn noise(f: &impl Fn(f64) -> Result<Sum, Error>) -> Result<f64, Error> {
    const SPACING: f64 = 1.0 / (1 << 20) as f64;
    let mut values = [0.0; 7];
    for (place, value) in values.iter_mut().enumerate() {
        *value = f((place as f64 - 3.0) * SPACING)?.value;
    }
    let fourth = |w: &[f64]| (w[0] - 4.0 * w[1] + 6.0 * w[2] - 4.0 * w[3] + w[4]).abs();
    // A fourth difference of independent errors is √70 times as large as one of them.
    Ok(values.windows(5).map(fourth).fold(0.0, f64::max) / 70.0_f64.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(value: f64) -> Sum {
        Sum { value, weight: value.abs() }
    }

    #[test]
    fn smooth_functions_are_found_to_many_digits() {
        for (f, exact) in [
            ((|t: f64| (1.0 + t).sin()) as fn(f64) -> f64, 1.0_f64.cos()),
            (|t| (3.0 * t).exp(), 3.0),
            (|t| (1.0 + t).powi(5), 5.0),
            (|_| 2.0, 0.0),
        ] {
            let found = derivative(|t| Ok(sum(f(t)))).unwrap();
            assert!((found.value - exact).abs() <= found.error, "{found:?} against {exact}");
            assert!(found.error < 1e-9, "{found:?}");
        }
    }

    #[test]
    fn a_kink_is_uncertain() {
        for shift in [0.0, 1e-3] {
            let found = derivative(|t: f64| Ok(sum((t + shift).max(0.0)))).unwrap();
            assert!(found.error > 1e-3 || (found.value - 1.0).abs() <= found.error, "{found:?} at {shift}");
        }
    }
}
