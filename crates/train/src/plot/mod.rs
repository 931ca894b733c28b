//! SVG pictures as a journal prints them: curves, points, bars and histograms ([`Plot`]), matrices ([`HeatMap`]) and
//! images ([`Images`]).
//!
//! A picture is a value with `to_svg`, which gives its text for a page of HTML, and `save`, which writes it to a file.
//! Its `<desc>` holds the numbers that it shows. Words and lines follow the reader's light or dark page; in a page of its
//! own colours, set those of `svg.gradus` and of `svg.gradus .paper` by CSS.

mod axis;
mod frame;
mod heat_map;
mod images;
mod names;
mod series;
mod svg;

use std::io::Error;
use std::path::Path;

pub use heat_map::HeatMap;
pub use images::Images;

use crate::histogram::Histogram;
use crate::replace::replace_file;
use axis::Scale;
use series::{Mark, Series};

/// A picture over two axes: any number of curves, bands, clouds of points, histograms and bars.
///
/// Each has a name, which stands at the end of its line or, where not all are lines that reach the right edge, in a list
/// beside the picture. What has the same name has the same colour. An axis over integers has integers as ticks.
///
/// # Example
/// ```
/// use gradus_train::plot::Plot;
/// let loss = [(1.0, 2.3), (2.0, 0.7), (3.0, 0.2)];
/// let picture = Plot::new("Handwritten digits").axes("epoch", "cross-entropy, nats").line("training", &loss).log_y();
/// assert!(picture.to_svg()?.starts_with("<svg"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Plot {
    title: String,
    horizontal: String,
    vertical: String,
    scales: [Scale; 2],
    series: Vec<Series>,
}

impl Plot {
    /// The picture with a title, which may be empty.
    pub fn new(title: &str) -> Self {
        let scales = [Scale::Linear; 2];
        Self { title: title.to_owned(), horizontal: String::new(), vertical: String::new(), scales, series: Vec::new() }
    }

    /// What the axes show, with the units.
    #[must_use]
    pub fn axes(mut self, horizontal: &str, vertical: &str) -> Self {
        (self.horizontal, self.vertical) = (horizontal.to_owned(), vertical.to_owned());
        self
    }

    /// Makes the horizontal axis logarithmic. Numbers that are not above 0 have no place on it.
    #[must_use]
    pub fn log_x(mut self) -> Self {
        self.scales[0] = Scale::Log;
        self
    }

    /// Makes the vertical axis logarithmic. Numbers that are not above 0 have no place on it; bands and bars that reach
    /// there reach its lower end.
    #[must_use]
    pub fn log_y(mut self) -> Self {
        self.scales[1] = Scale::Log;
        self
    }

    /// A curve through points `(x, y)` in the given order. It has a gap where a number is NaN, infinite, or has no
    /// place.
    #[must_use]
    pub fn line(self, name: &str, points: &[(f64, f64)]) -> Self {
        self.with(name, Mark::Line(points.to_vec()))
    }

    /// Points `(x, y)`. Those that are not finite are left out.
    #[must_use]
    pub fn points(self, name: &str, points: &[(f64, f64)]) -> Self {
        self.with(name, Mark::Points(points.to_vec()))
    }

    /// The area between a lower and an upper curve, `(x, low, high)`, such as a confidence interval around the line of
    /// the same name.
    #[must_use]
    pub fn band(self, name: &str, edges: &[(f64, f64, f64)]) -> Self {
        self.with(name, Mark::Band(edges.to_vec()))
    }

    /// Several runs as one curve of their mean, with a band of one sample standard deviation on either side. At each x
    /// the runs count that have a finite point there.
    ///
    /// # Example
    /// ```
    /// use gradus_train::plot::Plot;
    /// let runs = [vec![(1.0, 0.9), (2.0, 0.4)], vec![(1.0, 0.7), (2.0, 0.4)]];
    /// let picture = Plot::new("three seeds").axes("epoch", "loss").runs("Adam", &runs).to_svg()?;
    /// assert!(picture.contains("line Adam: x,y\n1,0.8\n2,0.4\n"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn runs<R: AsRef<[(f64, f64)]>>(self, name: &str, runs: &[R]) -> Self {
        let (mean, spread) = series::mean_and_spread(runs);
        self.with(name, Mark::Band(spread)).with(name, Mark::Line(mean))
    }

    /// A histogram; several lie over one another and may have different bins.
    #[must_use]
    pub fn histogram(self, name: &str, histogram: &Histogram) -> Self {
        self.with(name, Mark::Histogram(histogram.clone()))
    }

    /// Bars from 0, each over its category; bars of several names stand side by side. The categories lie at x = 0, 1,
    /// 2, … in the order in which they first occur.
    #[must_use]
    pub fn bars(self, name: &str, bars: &[(&str, f64)]) -> Self {
        self.with(name, Mark::Bars(bars.iter().map(|(category, value)| ((*category).to_owned(), *value)).collect()))
    }

    fn with(mut self, name: &str, mark: Mark) -> Self {
        self.series.push(Series { name: name.to_owned(), mark });
        self
    }

    /// The text of the picture.
    ///
    /// # Errors
    /// If nothing has a place on the axes: no number is finite, or none is above 0 on a logarithmic axis.
    pub fn to_svg(&self) -> Result<String, Error> {
        frame::draw(self)
    }

    /// Writes the picture to a file, which is complete or is not changed.
    ///
    /// # Errors
    /// As [`Plot::to_svg`], and if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        replace_file(path, self.to_svg()?.as_bytes())
    }
}

/// The error of a picture that has nothing to show.
fn nothing(title: &str, why: &str) -> Error {
    Error::other(format!("the plot `{title}` has nothing to draw: {why}"))
}

#[cfg(test)]
mod tests;
