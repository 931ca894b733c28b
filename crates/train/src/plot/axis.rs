//! Axes: from numbers to places, and the numbers that are written beside them.

use super::svg::minus;

/// How places follow from numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    Linear,
    Log,
}

impl Scale {
    /// Whether the number has a place.
    pub(super) fn has(self, value: f64) -> bool {
        value.is_finite() && value.abs() <= LARGEST && (self == Self::Linear || value > 0.0)
    }
}

/// Numbers beyond have no place, as infinities have none: differences of those within are finite.
const LARGEST: f64 = 1e300;

/// The smallest and the largest of numbers, and whether all are integers.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) integers: bool,
}

impl Extent {
    /// The extent of those numbers that have a place.
    pub(super) fn of(scale: Scale, values: impl Iterator<Item = f64>) -> Option<Self> {
        let first = Self { low: f64::INFINITY, high: f64::NEG_INFINITY, integers: true };
        let all = values.filter(|&value| scale.has(value)).fold(first, |extent, value| Self {
            low: extent.low.min(value),
            high: extent.high.max(value),
            integers: extent.integers && value.fract() == 0.0,
        });
        (all.low <= all.high).then_some(all)
    }

    /// The extent with some room at both ends, as a share of it.
    pub(super) fn padded(self, scale: Scale, share: f64) -> Self {
        let (low, high) = match scale {
            Scale::Linear => {
                let room = share * (self.high - self.low);
                (self.low - room, self.high + room)
            }
            Scale::Log => {
                let factor = (share * (self.high.ln() - self.low.ln())).exp();
                ((self.low / factor).max(f64::MIN_POSITIVE), (self.high * factor).min(f64::MAX))
            }
        };
        Self { low, high, ..self }
    }

    /// An extent in which numbers can be told apart.
    fn opened(self, scale: Scale) -> Self {
        let size = self.low.abs().max(self.high.abs());
        let (low, high) = match scale {
            Scale::Linear if size < 1e-300 => (-1.0, 1.0),
            Scale::Linear if self.high - self.low > 1e-12 * size => return self,
            Scale::Log if self.high > 1.001 * self.low => return self,
            Scale::Log => ((0.5 * self.low).max(f64::MIN_POSITIVE), 2.0 * self.high),
            Scale::Linear if self.integers && size < 1e12 => (self.low - 1.0, self.high + 1.0),
            Scale::Linear => (self.low - 0.1 * size, self.high + 0.1 * size),
        };
        Self { low, high, ..self }
    }
}

/// A number beside an axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) value: f64,
    pub(super) label: String,
}

/// An axis with its ticks.
pub(super) struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    pub(super) ticks: Vec<Tick>,
    /// Further marks of a logarithmic axis, without numbers.
    pub(super) marks: Vec<f64>,
}

impl Axis {
    /// The axis over an extent, with about as many ticks.
    pub(super) fn new(scale: Scale, extent: Extent, count: usize) -> Self {
        let Extent { low, high, integers } = extent.opened(scale);
        let (ticks, marks) = match scale {
            Scale::Linear => (linear(low, high, count, integers), Vec::new()),
            Scale::Log => logarithmic(low, high, count),
        };
        Self { scale, low, high, ticks, marks }
    }

    /// An axis of categories, which stand at 0, 1, 2, ….
    pub(super) fn of_categories(names: &[String]) -> Self {
        let ticks = names.iter().enumerate();
        let ticks = ticks.map(|(place, name)| Tick { value: place as f64, label: name.clone() }).collect();
        let high = names.len() as f64 - 0.5;
        Self { scale: Scale::Linear, low: -0.5, high, ticks, marks: Vec::new() }
    }

    /// Where a number is, from 0 at the axis' low end to 1 at its high end. What is beyond is at the end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log if value <= 0.0 => 0.0,
            Scale::Log => (value.ln() - self.low.ln()) / (self.high.ln() - self.low.ln()),
        };
        share.clamp(0.0, 1.0)
    }

    /// The number at a place of a linear axis.
    pub(super) fn value(&self, share: f64) -> f64 {
        self.low + share * (self.high - self.low)
    }

    pub(super) fn has(&self, value: f64) -> bool {
        self.scale.has(value)
    }
}

/// Multiples of 1, 2 or 5 times a power of ten.
fn linear(low: f64, high: f64, count: usize, integers: bool) -> Vec<Tick> {
    let wanted = (high - low) / count.max(1) as f64;
    let mut power = wanted.log10().floor() as i32;
    let steps = [1.0, 2.0, 5.0, 10.0];
    // A step that is a hair below what is wanted is meant.
    let mut digit = steps.into_iter().find(|digit| digit * ten_to(power) >= 0.999_999 * wanted).unwrap_or(10.0);
    if digit == 10.0 {
        (digit, power) = (1.0, power + 1);
    }
    if integers && power < 0 {
        (digit, power) = (1.0, 0);
    }
    let step = digit * ten_to(power);
    let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
    let number = (last - first).clamp(0.0, 1000.0) as usize;
    let values: Vec<f64> = (0..=number).map(|k| (first + k as f64) * step + 0.0).collect();
    let labels = labels(&values, power);
    values.into_iter().zip(labels).map(|(value, label)| Tick { value, label }).collect()
}

/// Powers of ten, or, where these are fewer than two, 1, 2 and 5 times them, or what a linear axis has. Beside them the
/// other multiples of powers of ten, if no power is left out.
fn logarithmic(low: f64, high: f64, count: usize) -> (Vec<Tick>, Vec<f64>) {
    let (first, last) = ((low.log10() - 1e-9).ceil() as i32, (high.log10() + 1e-9).floor() as i32);
    let inside = |value: f64| (low * (1.0 - 1e-9)..=high * (1.0 + 1e-9)).contains(&value);
    let multiples = |digits: &[f64]| -> Vec<(f64, i32)> {
        let of = |power: i32| digits.iter().map(move |&digit| (digit, power));
        (first - 1..=last).flat_map(of).filter(|&(digit, power)| inside(digit * ten_to(power))).collect()
    };
    let chosen: Vec<(f64, i32)> = if last > first {
        let stride = (last - first + 1).div_euclid(count.max(1) as i32 + 1) + 1;
        (first..=last).filter(|power| power.rem_euclid(stride) == 0).map(|power| (1.0, power)).collect()
    } else {
        multiples(&[1.0, 2.0, 5.0])
    };
    if chosen.len() < 2 && last <= first {
        return (linear(low, high, count.min(4), false), Vec::new());
    }
    let plain = chosen.iter().all(|&(_, power)| (-3..=4).contains(&power));
    let label = |digit: f64, power: i32| match plain {
        true => grouped(&format!("{:.*}", (-power).max(0) as usize, digit * ten_to(power))),
        false if digit == 1.0 => format!("10{}", raised(power)),
        false => format!("{digit}×10{}", raised(power)),
    };
    let ticks: Vec<Tick> = chosen
        .iter()
        .map(|&(digit, power)| Tick { value: digit * ten_to(power), label: label(digit, power) })
        .collect();
    let whole = chosen.windows(2).all(|pair| pair[1].1 - pair[0].1 <= 1);
    let marks = if whole { multiples(&[2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]) } else { Vec::new() };
    (ticks, marks.into_iter().map(|(digit, power)| digit * ten_to(power)).collect())
}

/// 10 to a power, rounded once.
fn ten_to(power: i32) -> f64 {
    format!("1e{power}").parse().unwrap_or(f64::NAN)
}

/// What is written at numbers that are multiples of a power of ten: all in the same number of decimals, or, if that would
/// be long, all times the same power.
fn labels(values: &[f64], power: i32) -> Vec<String> {
    let plain = |value: &f64| grouped(&format!("{value:.*}", (-power).clamp(0, 20) as usize));
    let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    let plain: Vec<String> = values.iter().map(plain).collect();
    let longest = plain.iter().map(|label| label.chars().count()).max().unwrap_or(0);
    if longest <= 7 && power >= -20 {
        return plain;
    }
    let common = largest.log10().floor() as i32;
    let decimals = (common - power).max(0) as usize;
    if decimals > 5 && power >= -20 {
        return plain;
    }
    let scientific = |&value: &f64| match value {
        0.0 => "0".to_owned(),
        value => format!("{}×10{}", minus(&format!("{:.*}", decimals.min(15), value / ten_to(common))), raised(common)),
    };
    values.iter().map(scientific).collect()
}

/// A number of five digits or more before the point in groups of three.
fn grouped(number: &str) -> String {
    let (whole, decimals) = number.split_once('.').map_or((number, None), |(whole, rest)| (whole, Some(rest)));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("−", digits));
    let mut text = sign.to_owned();
    for (place, digit) in digits.chars().enumerate() {
        if digits.len() > 4 && place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    decimals.map_or(text.clone(), |decimals| format!("{text}.{decimals}"))
}

/// An exponent in raised figures.
fn raised(power: i32) -> String {
    let figure = |character: char| match character.to_digit(10) {
        Some(digit) => ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][digit as usize],
        None => '⁻',
    };
    power.to_string().chars().map(figure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels_of(scale: Scale, values: &[f64], count: usize) -> Vec<String> {
        let extent = Extent::of(scale, values.iter().copied()).expect("there are numbers");
        Axis::new(scale, extent, count).ticks.into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        use Scale::{Linear, Log};
        let rows: [(Scale, &[f64], usize, &[&str]); 14] = [
            (Linear, &[1920.0, 2008.0], 6, &["1920", "1940", "1960", "1980", "2000"]),
            (Linear, &[1.0, 4.0], 6, &["1", "2", "3", "4"]),
            (Linear, &[0.0, 0.93], 5, &["0.0", "0.2", "0.4", "0.6", "0.8"]),
            (Linear, &[-1.5, 1.5], 4, &["−1", "0", "1"]),
            (Linear, &[0.0, 40_000.0], 4, &["0", "10,000", "20,000", "30,000", "40,000"]),
            (Linear, &[0.0, 3e6], 3, &["0", "1×10⁶", "2×10⁶", "3×10⁶"]),
            (Linear, &[0.0, 2.5e-7], 5, &["0", "0.5×10⁻⁷", "1.0×10⁻⁷", "1.5×10⁻⁷", "2.0×10⁻⁷", "2.5×10⁻⁷"]),
            (Linear, &[7.0], 5, &["6", "7", "8"]),
            (Linear, &[0.25], 4, &["0.24", "0.26"]),
            (Log, &[1e-3, 1.0], 6, &["0.001", "0.01", "0.1", "1"]),
            (Log, &[1e-5, 1.0], 6, &["10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²", "10⁻¹", "10⁰"]),
            (Log, &[1e-30, 1.0], 6, &["10⁻³⁰", "10⁻²⁵", "10⁻²⁰", "10⁻¹⁵", "10⁻¹⁰", "10⁻⁵", "10⁰"]),
            (Log, &[0.15, 0.7], 6, &["0.2", "0.5"]),
            (Log, &[3.1, 3.3], 6, &["3.10", "3.15", "3.20", "3.25", "3.30"]),
        ];
        for (scale, values, count, wanted) in rows {
            assert_eq!(labels_of(scale, values, count), wanted, "{scale:?} {values:?}");
        }
    }

    #[test]
    fn every_extent_has_places() {
        let sizes = [0.0, 5e-324, 1e-300, 1e-9, 0.3, 1.0, 17.0, 1e9, 1e16, 1e300];
        let all: Vec<f64> = sizes.iter().flat_map(|&size| [size, -size]).collect();
        for scale in [Scale::Linear, Scale::Log] {
            for (&a, &b) in all.iter().flat_map(|a| all.iter().map(move |b| (a, b))) {
                let Some(extent) = Extent::of(scale, [a, b].into_iter()) else { continue };
                for extent in [extent, extent.padded(scale, 0.04)] {
                    let axis = Axis::new(scale, extent, 6);
                    assert!(axis.ticks.len() <= 12, "{scale:?} {a} {b}: {} ticks", axis.ticks.len());
                    for value in [a, b].into_iter().filter(|&value| scale.has(value)) {
                        assert!((0.0..=1.0).contains(&axis.at(value)), "{scale:?} {a} {b}: {}", axis.at(value));
                    }
                }
            }
        }
        assert!(Extent::of(Scale::Log, [0.0, -1.0, f64::NAN, f64::INFINITY].into_iter()).is_none());
    }
}
