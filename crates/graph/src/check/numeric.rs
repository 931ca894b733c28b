//! Numeric derivatives with an estimate of their error.
//!
//! Central differences at halving steps, extrapolated to step 0 (Ridders, "Accurate computation of F′(x) and F′(x)F″(x)",
//! Advances in Engineering Software 4, 1982). The estimate is the disagreement of neighbours in the tableau, with a
//! safety factor and a floor for rounding. If it is not good, the steps begin again much smaller. One-sided slopes look
//! for kinks, which fool every symmetric stencil.

use crate::error::Error;

/// A numeric derivative and how far it may be off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimate {
    pub(super) value: f64,
    pub(super) error: f64,
}

impl Estimate {
    const NONE: Self = Self { value: f64::NAN, error: f64::INFINITY };

    /// Whether the error is too large for a verdict about a function of that size.
    pub(super) fn is_vague(&self, size: f64) -> bool {
        !self.value.is_finite() || self.error.is_nan() || self.error > 1e-5 * (self.value.abs() + size)
    }
}

/// What differences say of a scalar function at 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slope {
    pub(super) central: Estimate,
    /// The slopes from the left and from the right, if they differ: the function has a kink there, or jumps.
    pub(super) kink: Option<[Estimate; 2]>,
    /// The size of the function: the magnitudes that are summed to its value.
    pub(super) size: f64,
}

impl Slope {
    /// Whether nothing can be said.
    pub(super) fn is_vague(&self) -> bool {
        self.central.is_vague(self.size)
    }
}

/// A sum and the sum of the magnitudes of its terms, to which its rounding error is in proportion.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    pub(super) value: f64,
    pub(super) weight: f64,
}

/// Where differences are taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The size of the number that is moved: it is rounded when a step is added.
    pub(super) base: f64,
    /// How far it may be moved.
    pub(super) room: f64,
    /// How far values of the function are off by rounding inside it.
    pub(super) noise: f64,
}

/// The largest step, how often it is halved, and how often the steps begin again.
const FIRST: f64 = 1.0 / 32.0;
const LEVELS: usize = 7;
const ROUNDS: i32 = 3;

/// The derivative at 0 of a scalar function.
pub(super) fn derivative(place: Place, mut f: impl FnMut(f64) -> Result<Sum, Error>) -> Result<Slope, Error> {
    let centre = f(0.0)?;
    let (mut best, mut size) = (Estimate::NONE, 0.0_f64);
    let mut kink: Option<[Estimate; 2]> = None;
    for round in 0..ROUNDS {
        let largest = (FIRST * place.base.abs().max(1.0)).min(place.room / 2.0);
        let first = largest * (1.0 / 128.0_f64).powi(round);
        let Tableau { best: found, sides, still, size: seen } = ridders(first, centre, place, &mut f)?;
        // Where nothing depends on what moves, the derivative is not small but none.
        size = if still && round == 0 { f64::INFINITY } else { seen.max(size) };
        if found.error < best.error || best.error.is_nan() {
            best = found;
        }
        let error = |sides: &[Estimate; 2]| sides[0].error + sides[1].error;
        kink = match (kink, sides) {
            (Some(before), Some(sides)) if error(&before) < error(&sides) => Some(before),
            (_, sides) => sides,
        };
        if kink.is_none() && best.error <= 1e-9 * (best.value.abs() + size) {
            break;
        }
    }
    Ok(Slope { central: best, kink, size })
}

/// What differences at halving steps give.
struct Tableau {
    best: Estimate,
    /// The one-sided slopes, if they differ.
    sides: Option<[Estimate; 2]>,
    /// Whether the function did not move at all.
    still: bool,
    /// The magnitudes that are summed to its value, where they are largest.
    size: f64,
}

fn ridders(
    first: f64,
    centre: Sum,
    place: Place,
    f: &mut impl FnMut(f64) -> Result<Sum, Error>,
) -> Result<Tableau, Error> {
    let mut found = Tableau { best: Estimate::NONE, sides: None, still: true, size: centre.weight };
    let mut row = [0.0; LEVELS];
    let mut sides = [[0.0; LEVELS]; 2];
    let (mut rounding, mut kinked) = (0.0, false);
    for level in 0..LEVELS {
        let step = first / f64::from(1_u32 << level);
        let (high, low) = (f(step)?, f(-step)?);
        found.still &= high.value == centre.value && low.value == centre.value;
        found.size = found.size.max(high.weight).max(low.weight);
        let [left, right] = [(centre.value - low.value) / step, (high.value - centre.value) / step];
        (sides[0][level], sides[1][level]) = (left, right);
        let previous = row;
        row[0] = (high.value - low.value) / (2.0 * step);
        rounding = (place.noise
            + 4.0 * f64::EPSILON * (high.weight + low.weight)
            + f64::EPSILON * place.base.abs() * (left.abs() + right.abs()))
            / step;
        let mut power = 1.0;
        for column in 1..=level {
            power *= 4.0;
            row[column] = row[column - 1] + (row[column - 1] - previous[column - 1]) / (power - 1.0);
            let spread = (row[column] - row[column - 1]).abs().max((row[column] - previous[column - 1]).abs());
            let error = 4.0 * spread + 8.0 * rounding;
            if error < found.best.error {
                found.best = Estimate { value: row[column], error };
            }
        }
        // At a kink the one-sided slopes differ by an amount that does not shrink with the step; at a smooth place it
        // falls to a quarter over two halvings.
        let gap = |level: usize| (sides[1][level] - sides[0][level]).abs();
        let (wide, narrow) = (gap(level.saturating_sub(2)), gap(level));
        kinked = narrow > 0.5 * wide && narrow > 16.0 * rounding + 1e-6 * (row[0].abs() + found.size);
        if level > 2 && !kinked && found.best.error <= 1e-11 * (found.best.value.abs() + found.size) {
            return Ok(found);
        }
    }
    if kinked {
        found.best.error = found.best.error.max((sides[1][LEVELS - 1] - sides[0][LEVELS - 1]).abs());
        found.sides = Some(sides.map(|slopes| one_sided(&slopes, rounding)));
    }
    Ok(found)
}

/// One-sided slopes at halving steps, extrapolated to step 0.
fn one_sided(slopes: &[f64; LEVELS], rounding: f64) -> Estimate {
    let mut best = Estimate::NONE;
    let mut row = *slopes;
    let mut power = 1.0;
    for column in 1..LEVELS {
        power *= 2.0;
        for level in (column..LEVELS).rev() {
            row[level] += (row[level] - row[level - 1]) / (power - 1.0);
        }
        let (last, before) = (row[LEVELS - 1], row[LEVELS - 2]);
        let error = 4.0 * (last - before).abs() + 16.0 * rounding;
        if column < LEVELS - 1 && error < best.error {
            best = Estimate { value: last, error };
        }
    }
    best
}

/// How far values of the function are off by rounding inside it: fourth differences over points so close that all but
/// noise cancels (Hamming's difference table; Moré and Wild, "Estimating computational noise", SIAM J. Sci. Comput. 33,
/// 2011). The largest of several, since one may be small by luck; from three places beside 0 the middle one, since at 0
/// itself there may be a kink.
pub(super) fn noise(mut f: impl FnMut(f64) -> Result<Sum, Error>) -> Result<f64, Error> {
    const SPACING: f64 = 1.0 / (1 << 20) as f64;
    let mut found = [0.0; 3];
    for (found, beside) in found.iter_mut().zip([-2.0, 2.0, 3.0]) {
        let mut values = [0.0; 7];
        for (place, value) in values.iter_mut().enumerate() {
            *value = f(beside / 1024.0 + place as f64 * SPACING)?.value;
        }
        let fourth = |w: &[f64]| (w[0] - 4.0 * w[1] + 6.0 * w[2] - 4.0 * w[3] + w[4]).abs();
        // A fourth difference of independent errors is √70 times as large as one of them.
        *found = values.windows(5).map(fourth).fold(0.0, f64::max) / 70.0_f64.sqrt();
    }
    found.sort_by(f64::total_cmp);
    Ok(found[1])
}

/// Whether a function agrees with its Taylor polynomial at 0: whether what is left over falls with the step as `order`
/// or faster. Gives the slope that was seen; `None` if all is rounding.
pub(super) fn taylor(
    derivatives: &[f64],
    noise: f64,
    mut f: impl FnMut(f64) -> Result<Sum, Error>,
) -> Result<Option<f64>, Error> {
    const STEPS: usize = 24;
    let centre = f(0.0)?;
    let mut left = [0.0; STEPS];
    let mut known = STEPS;
    for (place, left) in left.iter_mut().enumerate() {
        let step = 0.5_f64.powi(place as i32 + 3);
        let value = f(step)?;
        let (mut polynomial, mut term, mut size) = (centre.value, 1.0, centre.weight + value.weight);
        for (k, derivative) in derivatives.iter().enumerate() {
            term *= step / (k + 1) as f64;
            polynomial += derivative * term;
            size += (derivative * term).abs();
        }
        *left = (value.value - polynomial).abs();
        if left.is_nan() || *left <= 64.0 * (noise + f64::EPSILON * size) {
            known = place;
            break;
        }
    }
    // The steps just above rounding, where the first neglected term leads; two stretches, because where two terms
    // cancel the slope of one means nothing.
    let slope = |end: usize| (left[end - 3] / left[end - 1]).log2() / 2.0;
    Ok((known >= 5).then(|| slope(known).max(slope(known - 2))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { base: 1.0, room: f64::INFINITY, noise: 0.0 };

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
            let noise = noise(|t| Ok(sum(f(t)))).unwrap();
            let found = derivative(Place { noise, ..PLACE }, |t| Ok(sum(f(t)))).unwrap();
            let Estimate { value, error } = found.central;
            assert!((value - exact).abs() <= error && error < 1e-9, "{found:?} against {exact}");
            assert!(found.kink.is_none(), "{found:?}");
        }
    }

    #[test]
    fn both_sides_of_a_kink_are_found() {
        let found = derivative(PLACE, |t| Ok(sum(if t > 0.0 { t.exp() } else { 1.0 - 2.0 * t }))).unwrap();
        let [left, right] = found.kink.expect("a kink");
        assert!((left.value + 2.0).abs() <= left.error && (right.value - 1.0).abs() <= right.error, "{found:?}");
        assert!(left.error < 1e-6 && right.error < 1e-6, "{found:?}");
    }

    #[test]
    fn near_a_kink_smaller_steps_find_the_slope() {
        for shift in [0.1, 1e-3, 1e-5] {
            let found = derivative(PLACE, |t| Ok(sum((t + shift).max(0.0) * 3.0))).unwrap();
            assert!((found.central.value - 3.0).abs() <= found.central.error, "{found:?} at {shift}");
            assert!(found.central.error < 1e-6 && found.kink.is_none(), "{found:?} at {shift}");
        }
    }

    /// At a symmetric kink every central difference is the same.
    #[test]
    fn a_symmetric_kink_is_found() {
        let found = derivative(PLACE, |t| Ok(Sum { value: t.max(0.0), weight: 1.0 })).unwrap();
        let [left, right] = found.kink.expect("a kink");
        assert!(left.value.abs() <= left.error && (right.value - 1.0).abs() <= right.error, "{found:?}");
        assert!(found.central.error >= 0.99);
    }

    #[test]
    fn a_jump_is_a_kink() {
        let found = derivative(PLACE, |t| Ok(sum(if t >= 0.0 { 1.0 } else { 0.0 }))).unwrap();
        assert!(found.kink.is_some(), "{found:?}");
    }

    #[test]
    fn a_polynomial_that_fits_leaves_the_next_power() {
        let f = |t: f64| Ok(sum((1.0 + t).exp()));
        let e = 1.0_f64.exp();
        let slope = |derivatives: &[f64]| taylor(derivatives, 0.0, f).unwrap();
        assert!((slope(&[e]).unwrap() - 2.0).abs() < 0.1);
        assert!((slope(&[e, e]).unwrap() - 3.0).abs() < 0.1);
        assert!((slope(&[1.001 * e]).unwrap() - 1.0).abs() < 0.1);
        assert!((slope(&[e, 1.01 * e]).unwrap() - 2.0).abs() < 0.2);
        assert!(taylor(&[2.0], 0.0, |t| Ok(sum(1.0 + 2.0 * t))).unwrap().is_none());
    }
}
