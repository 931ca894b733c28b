//! The yearly sunspot numbers from 1700 to 2008: a short real series with a cycle of about eleven years whose height
//! and length vary, built into the crate.
//!
//! Source: National Geophysical Data Center (NOAA), public domain; `sunspots/ATTRIBUTION.md` says more.

use gradus_graph::Tensor;

const FILE: &str = include_str!("../sunspots/sunspots.csv");

/// The first year; those that follow have no gap.
pub const FIRST_YEAR: usize = 1700;

/// The mean number of sunspots of each year, `[309]`.
///
/// # Example
/// ```
/// use gradus_data::sunspots;
/// let numbers = sunspots::load();
/// assert_eq!(numbers.shape().sizes(), [309]);
/// assert_eq!(numbers.data()[1957 - sunspots::FIRST_YEAR], 190.2);
/// ```
pub fn load() -> Tensor<f32> {
    let number = |line: &str| {
        let (_, number) = line.split_once(',').expect("a line is a year and a number");
        number.parse().expect("the built-in file holds numbers")
    };
    let numbers: Vec<f32> = FILE.lines().skip(1).map(number).collect();
    Tensor::from(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_whole() {
        for (number, line) in FILE.lines().skip(1).enumerate() {
            assert!(line.starts_with(&format!("{},", FIRST_YEAR + number)), "{line}");
        }
        let numbers = load();
        assert_eq!(numbers.len(), 309);
        let total: f64 = numbers.data().iter().map(|&number| f64::from(number)).sum();
        assert!((total - 15_373.4).abs() < 1e-3, "{total}");
        assert_eq!((numbers.data()[0], numbers.data()[308]), (5.0, 2.9));
    }

    /// The highest year of each cycle since the numbering of the cycles began.
    #[test]
    fn the_cycles_are_those_of_the_sun() {
        let numbers = load();
        let peaks = [1761, 1769, 1778, 1787, 1957, 1968, 1979, 1989, 2000];
        for year in peaks {
            let at = |year: usize| numbers.data()[year - FIRST_YEAR];
            assert!(at(year) > at(year - 1) && at(year) > at(year + 1), "{year}");
        }
    }
}
