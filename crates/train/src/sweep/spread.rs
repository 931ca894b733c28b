//! A number that was measured in several runs.

use std::fmt;

/// The mean and the spread of a number over several runs, such as those of different seeds.
///
/// As text it is `mean ± deviation`, with as many digits as a precision asks for (`{:.3}`), or else two digits of the
/// deviation. A NaN or an infinity among the runs stays one in the mean.
///
/// # Example
/// ```
/// use gradus_train::sweep::Spread;
/// let loss = Spread::of([0.25, 0.75, 0.5]);
/// assert_eq!((loss.mean, loss.deviation, loss.least, loss.greatest, loss.count), (0.5, 0.25, 0.25, 0.75, 3));
/// assert_eq!(format!("{loss}, {loss:.3}"), "0.50 ± 0.25, 0.500 ± 0.250");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Spread {
    /// The arithmetic mean; NaN of no runs.
    pub mean: f64,
    /// The sample standard deviation, with n − 1 in the denominator; 0 of fewer than two runs.
    pub deviation: f64,
    /// The smallest number; NaN of no runs.
    pub least: f64,
    /// The largest number; NaN of no runs.
    pub greatest: f64,
    /// The number of runs.
    pub count: usize,
}

impl Spread {
    /// Of one number a run.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.into_iter().collect();
        let count = values.len();
        // An infinity divided by the count, and no sum of numbers that overflows.
        let mean = values.iter().map(|value| value / count as f64).reduce(|a, b| a + b).unwrap_or(f64::NAN);
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = if count > 1 { (squares / (count - 1) as f64).sqrt() } else { 0.0 };
        // `f64::min` would leave a NaN out.
        let extreme = |pick: fn(f64, f64) -> f64| {
            let of = |a: f64, b: f64| if a.is_nan() || b.is_nan() { f64::NAN } else { pick(a, b) };
            values.iter().copied().reduce(of).unwrap_or(f64::NAN)
        };
        Self { mean, deviation, least: extreme(f64::min), greatest: extreme(f64::max), count }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mean, deviation, count, .. } = *self;
        if count < 2 || !mean.is_finite() || !deviation.is_finite() {
            return match f.precision() {
                Some(digits) => write!(f, "{mean:.digits$}"),
                None => write!(f, "{}", short(mean)),
            };
        }
        let size = mean.abs().max(deviation);
        let is_plain = size == 0.0 || (1e-3..1e6).contains(&size);
        match f.precision() {
            Some(digits) => write!(f, "{mean:.digits$} ± {deviation:.digits$}"),
            None if deviation == 0.0 => write!(f, "{} ± 0", short(mean)),
            None if is_plain => {
                // The deviation's first digit stands at 10 to this power.
                let power = deviation.log10().floor() as i32;
                let digits = (1 - power).clamp(0, 9) as usize;
                write!(f, "{mean:.digits$} ± {deviation:.digits$}")
            }
            None => {
                // One power of ten for both, so that they can be compared.
                let power = size.log10().floor() as i32;
                let scale = 10.0_f64.powi(power);
                write!(f, "({:.2} ± {:.2})e{power}", mean / scale, deviation / scale)
            }
        }
    }
}

/// A number of about four digits.
fn short(value: f64) -> String {
    match value.abs() {
        size if size == 0.0 || !size.is_finite() => format!("{value}"),
        1e-3..1e6 => {
            let digits = (3 - value.abs().log10().floor() as i32).clamp(0, 6) as usize;
            format!("{value:.digits$}")
        }
        _ => format!("{value:.2e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_with_two_digits_of_the_deviation() {
        let written = |values: &[f64]| Spread::of(values.iter().copied()).to_string();
        assert_eq!(written(&[120.0, 140.0]), "130 ± 14");
        assert_eq!(written(&[0.9912, 0.9931, 0.9921]), "0.99213 ± 0.00095");
        assert_eq!(written(&[2e-5, 4e-5]), "(3.00 ± 1.41)e-5");
        assert_eq!(written(&[3e7, 3e7]), "3.00e7 ± 0");
        assert_eq!(written(&[0.5]), "0.5000");
        assert_eq!(written(&[0.0, 0.0]), "0 ± 0");
        assert_eq!(written(&[]), "NaN");
    }

    #[test]
    fn what_is_not_finite_is_not_hidden() {
        let broken = Spread::of([1.0, f64::NAN, 2.0]);
        assert!(broken.mean.is_nan() && broken.least.is_nan() && broken.greatest.is_nan());
        let diverged = Spread::of([1.0, f64::INFINITY]);
        assert_eq!(
            (diverged.mean, diverged.greatest, diverged.to_string().as_str()),
            (f64::INFINITY, f64::INFINITY, "inf")
        );
        assert_eq!(Spread::of([f64::MAX, f64::MAX]).mean, f64::MAX);
    }
}
