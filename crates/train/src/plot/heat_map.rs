//! A matrix as colours.

use std::fmt::Write;
use std::io::Error;
use std::path::Path;

use gradus_graph::{Real, Tensor};

use super::axis::{Axis, Extent, Scale};
use super::nothing;
use super::svg::{Anchor, LONGEST, SIZE, Svg, TITLE, Tenths, minus, number, shortened, width};
use crate::replace::replace_file;

/// A picture of a matrix: one coloured cell an element, with the first row at the top, and a scale of the colours.
///
/// Colours go from light to dark where no element is negative, or from blue over white at 0 to red where some are; both
/// can be told apart by colour-blind readers. Small matrices have their numbers written in the cells. An element that is
/// not finite is grey.
///
/// # Example
/// ```
/// use gradus_graph::Tensor;
/// use gradus_train::plot::HeatMap;
/// let counts = Tensor::from_rows([[8.0, 1.0], [0.0, 9.0]]);
/// let names = ["cat", "dog"];
/// let picture = HeatMap::new("confusion", &counts).axes("predicted", "label").names(&names, &names);
/// assert!(picture.to_svg()?.starts_with("<svg"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct HeatMap {
    title: String,
    horizontal: String,
    vertical: String,
    rows: usize,
    columns: usize,
    values: Vec<f64>,
    /// Of the rows and of the columns.
    names: Option<[Vec<String>; 2]>,
}

/// The largest extent of the cells.
const ROOM: [f64; 2] = [520.0, 420.0];
/// In a matrix of more rows or columns no numbers are written.
const NUMBERS: usize = 16;
/// The colour of an element that is not finite.
const NONE: [u8; 3] = [150, 150, 150];

impl HeatMap {
    /// The picture of a matrix `[rows, columns]`, with a title, which may be empty.
    ///
    /// # Panics
    /// If the tensor is no matrix.
    #[track_caller]
    pub fn new<T: Real>(title: &str, matrix: &Tensor<T>) -> Self {
        let shape = matrix.shape();
        assert!(shape.rank() == 2, "a heat map needs a matrix [rows, columns]; this tensor has {shape}");
        Self {
            title: title.to_owned(),
            horizontal: String::new(),
            vertical: String::new(),
            rows: shape[0],
            columns: shape[1],
            values: matrix.data().iter().map(|value| value.as_f64()).collect(),
            names: None,
        }
    }

    /// What the columns and the rows are.
    #[must_use]
    pub fn axes(mut self, horizontal: &str, vertical: &str) -> Self {
        (self.horizontal, self.vertical) = (horizontal.to_owned(), vertical.to_owned());
        self
    }

    /// Names of the rows and of the columns in place of their numbers.
    ///
    /// # Panics
    /// If there are not as many names as rows and columns.
    #[must_use]
    #[track_caller]
    pub fn names<S: AsRef<str>>(mut self, rows: &[S], columns: &[S]) -> Self {
        let fits = rows.len() == self.rows && columns.len() == self.columns;
        let (given, beside) = ([rows.len(), columns.len()], [self.rows, self.columns]);
        assert!(fits, "a heat map of {beside:?} rows and columns needs as many names; there are {given:?}");
        let owned = |names: &[S]| names.iter().map(|name| name.as_ref().to_owned()).collect();
        self.names = Some([owned(rows), owned(columns)]);
        self
    }

    /// The text of the picture.
    ///
    /// # Errors
    /// If no element is finite.
    pub fn to_svg(&self) -> Result<String, Error> {
        let extent = Extent::of(Scale::Linear, self.values.iter().copied());
        let extent = extent.ok_or_else(|| nothing(&self.title, "no element of the matrix is finite"))?;
        let colours = Colours::over(extent);
        let [rows, columns] = self.labels();
        let widest = |labels: &[(usize, String)]| {
            labels.iter().map(|(_, label)| width(label, SIZE)).fold(0.0, f64::max).min(LONGEST)
        };

        let cell = (ROOM[0] / self.columns as f64).min(ROOM[1] / self.rows as f64).clamp(0.1, 44.0);
        let (across, down) = (cell * self.columns as f64, cell * self.rows as f64);
        let top = if self.title.is_empty() { 16.0 } else { 26.0 + TITLE };
        let left = 16.0 + widest(&rows) + 8.0 + if self.vertical.is_empty() { 0.0 } else { SIZE + 8.0 };
        let (right, bottom) = (left + across, top + down);
        let slanted = widest(&columns) > cell && self.names.is_some();
        let below = if slanted { 14.0 + 0.72 * widest(&columns) } else { 10.0 + SIZE };
        let total = bottom + below + if self.horizontal.is_empty() { 8.0 } else { SIZE + 16.0 };
        let bar_height = down.max(120.0);
        let bar = Axis::new(Scale::Linear, extent, (bar_height / 40.0) as usize);
        let ticks = bar.ticks.iter().map(|tick| width(&tick.label, SIZE)).fold(0.0, f64::max);
        let total_width =
            (right + 20.0 + 14.0 + 8.0 + ticks + 16.0).max(left.min(40.0) + width(&self.title, TITLE) * 1.1);

        let total = total.max(top + bar_height + 12.0);
        let mut svg = Svg::new(total_width, total, &self.title, &self.description());
        svg.title(left.min(40.0), &self.title);
        let pixels: Vec<[u8; 3]> = self.values.iter().map(|&value| colours.of(value)).collect();
        svg.cells(&pixels, self.columns, [left, top], [cell; 2]);
        self.numbers(&mut svg, &colours, [left, top, cell]);

        let middle = |number: usize| cell * (number as f64 + 0.5);
        for (row, label) in &rows {
            let label = shortened(label, SIZE, LONGEST);
            svg.text(left - 8.0, top + middle(*row) + 0.35 * SIZE, Anchor::End, "", &label);
        }
        for (column, label) in &columns {
            let (x, y) = (left + middle(*column), bottom + 5.0 + SIZE);
            if slanted { svg.slanted(x, y, label) } else { svg.text(x, y, Anchor::Middle, "", label) }
        }
        if !self.vertical.is_empty() {
            svg.upward(12.0 + SIZE, 0.5 * (top + bottom), &self.vertical);
        }
        if !self.horizontal.is_empty() {
            svg.text(0.5 * (left + right), total - 10.0, Anchor::Middle, "", &self.horizontal);
        }

        // The scale, from the largest number above to the smallest below.
        let steps = 128;
        let share = |step: usize| 1.0 - (step as f64 + 0.5) / steps as f64;
        let shades: Vec<[u8; 3]> = (0..steps).map(|step| colours.at(bar.value(share(step)))).collect();
        svg.cells(&shades, 1, [right + 20.0, top], [14.0, bar_height / steps as f64]);
        for tick in &bar.ticks {
            let y = top + bar_height * (1.0 - bar.at(tick.value));
            let x = Tenths(right + 34.0);
            svg.put(format_args!("<path d=\"M{x} {}h4\" stroke=\"currentColor\" stroke-opacity=\"0.6\"/>", Tenths(y)));
            svg.text(right + 41.0, y + 0.35 * SIZE, Anchor::Start, "", &tick.label);
        }
        Ok(svg.finish())
    }

    /// Writes the picture to a file, which is complete or is not changed.
    ///
    /// # Errors
    /// As [`HeatMap::to_svg`], and if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        replace_file(path, self.to_svg()?.as_bytes())
    }

    /// What is written beside rows and columns, with their numbers: names, or a number here and there.
    fn labels(&self) -> [Vec<(usize, String)>; 2] {
        if let Some(names) = &self.names {
            return names.each_ref().map(|names| names.iter().cloned().enumerate().collect());
        }
        [(self.rows, 14), (self.columns, 10)].map(|(count, most)| {
            let round = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000];
            let step = round.into_iter().find(|step| count / step <= most).unwrap_or(count.max(1));
            (0..count).step_by(step).map(|number| (number, number.to_string())).collect()
        })
    }

    /// The numbers in the cells, light on dark colours.
    fn numbers(&self, svg: &mut Svg, colours: &Colours, [left, top, cell]: [f64; 3]) {
        let integers = self.values.iter().all(|value| value.fract() == 0.0 && value.abs() < 1e6);
        let write = |value: f64| match integers {
            true => minus(&number(value)),
            false => minus(&number(format!("{value:.2e}").parse().unwrap_or(value))),
        };
        let widest = self.values.iter().map(|&value| width(&write(value), SIZE)).fold(0.0, f64::max);
        if self.rows.max(self.columns) > NUMBERS || cell < 18.0 || widest > cell {
            return;
        }
        for (k, &value) in self.values.iter().enumerate() {
            let (x, y) =
                (left + cell * ((k % self.columns) as f64 + 0.5), top + cell * ((k / self.columns) as f64 + 0.5));
            let [red, green, blue] = colours.of(value).map(f64::from);
            let is_dark = 0.3 * red + 0.59 * green + 0.11 * blue < 140.0;
            let fill = if is_dark { " fill=\"#ffffff\"" } else { " fill=\"#222222\"" };
            svg.text(x, y + 0.35 * SIZE, Anchor::Middle, fill, &write(value));
        }
    }

    fn description(&self) -> String {
        let mut text = format!("heat map; columns: {}, rows: {}\n", self.horizontal, self.vertical);
        for row in self.values.chunks(self.columns.max(1)) {
            let row: Vec<String> = row.iter().map(|&value| number(value)).collect();
            writeln!(text, "{}", row.join(",")).expect("a string takes what is written");
        }
        text
    }
}

/// Colours of numbers.
struct Colours {
    extent: Extent,
    stops: &'static [[u8; 3]],
}

/// From light to dark, by brightness alone.
const RISING: [[u8; 3]; 5] = [[250, 250, 245], [190, 220, 235], [100, 170, 210], [30, 105, 165], [8, 40, 90]];
/// From blue over white to red.
const SIGNED: [[u8; 3]; 5] = [[5, 70, 140], [110, 165, 210], [250, 250, 248], [235, 150, 100], [165, 50, 5]];

impl Colours {
    fn over(extent: Extent) -> Self {
        if extent.low >= 0.0 {
            return Self { extent, stops: &RISING };
        }
        // 0 is in the middle.
        let end = extent.low.abs().max(extent.high.abs());
        Self { extent: Extent { low: -end, high: end, ..extent }, stops: &SIGNED }
    }

    fn of(&self, value: f64) -> [u8; 3] {
        if Scale::Linear.has(value) { self.at(value) } else { NONE }
    }

    fn at(&self, value: f64) -> [u8; 3] {
        let size = self.extent.high - self.extent.low;
        let share = if size > 0.0 { ((value - self.extent.low) / size).clamp(0.0, 1.0) } else { 0.5 };
        let place = share * (self.stops.len() - 1) as f64;
        let below = (place as usize).min(self.stops.len() - 2);
        let part = place - below as f64;
        let mix = |a: u8, b: u8| (f64::from(a) + part * (f64::from(b) - f64::from(a))).round() as u8;
        let (a, b) = (self.stops[below], self.stops[below + 1]);
        [mix(a[0], b[0]), mix(a[1], b[1]), mix(a[2], b[2])]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_follow_the_numbers() {
        let over = |low: f64, high: f64| Colours::over(Extent { low, high, integers: false });
        assert_eq!([0.0, 4.0].map(|value| over(0.0, 4.0).of(value)), [RISING[0], RISING[4]]);
        assert_eq!([-4.0, 0.0, 2.0].map(|value| over(-4.0, 2.0).of(value)), [SIGNED[0], SIGNED[2], SIGNED[3]]);
        assert_eq!(over(0.0, 1.0).of(f64::NAN), NONE);
        assert_eq!(over(3.0, 3.0).of(3.0), RISING[2]);
    }

    #[test]
    fn small_matrices_have_numbers_and_empty_ones_are_an_error() {
        let picture = HeatMap::new("a < b", &Tensor::from_rows([[8.0, f64::NAN], [0.25, 9.0]])).to_svg().unwrap();
        for part in [">8</text>", ">0.25</text>", "<title>a &lt; b</title>", "\n8,NaN\n0.25,9\n"] {
            assert!(picture.contains(part), "{part} in {picture}");
        }
        for empty in [Tensor::<f64>::zeros([0, 3]), Tensor::full([2, 2], f64::NAN)] {
            let problem = HeatMap::new("empty", &empty).to_svg().unwrap_err().to_string();
            assert_eq!(problem, "the plot `empty` has nothing to draw: no element of the matrix is finite");
        }
    }
}
