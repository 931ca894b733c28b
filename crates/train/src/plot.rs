//! SVG pictures: curves, clouds of points, and grey images.

use std::fmt::{Display, Write};
use std::io::Error;
use std::path::Path;

use gradus_graph::{Real, Tensor};
use plotters::prelude::*;

use crate::replace::replace_file;

/// A named curve.
pub type Curve<'a> = (&'a str, &'a [(f64, f64)]);

const COLOURS: [RGBColor; 6] = [
    RGBColor(31, 119, 180),
    RGBColor(214, 39, 40),
    RGBColor(44, 160, 44),
    RGBColor(255, 127, 14),
    RGBColor(148, 103, 189),
    RGBColor(90, 90, 90),
];

/// Writes curves over a common horizontal axis to an SVG file. The file is complete or is not changed.
///
/// # Errors
/// If there is nothing finite to draw, or the file cannot be written.
pub fn curves(path: &Path, title: &str, horizontal: &str, vertical: &str, curves: &[Curve<'_>]) -> Result<(), Error> {
    let picture = draw(title, horizontal, vertical, curves, Mark::Line)?;
    replace_file(path, picture.as_bytes())
}

/// Writes named clouds of points to an SVG file, the first below the others. The file is complete or is not changed.
///
/// # Errors
/// If there is nothing finite to draw, or the file cannot be written.
pub fn points(path: &Path, title: &str, horizontal: &str, vertical: &str, clouds: &[Curve<'_>]) -> Result<(), Error> {
    let picture = draw(title, horizontal, vertical, clouds, Mark::Dot)?;
    replace_file(path, picture.as_bytes())
}

/// Writes grey images `[n, height, width]` to an SVG file, row by row with a given number in a row. A pixel of 0 is white and
/// one of 1 black; values beyond are clamped. The file is complete or is not changed.
///
/// # Errors
/// If the file cannot be written.
///
/// # Panics
/// If the images do not have three axes, or the number in a row is 0.
#[track_caller]
pub fn images<T: Real>(path: &Path, images: &Tensor<T>, columns: usize) -> Result<(), Error> {
    let shape = images.shape();
    assert!(shape.rank() == 3, "images need the shape [n, height, width]; these have {shape}");
    assert!(columns > 0, "at least one image must stand in a row");
    replace_file(path, tiles(images, columns).as_bytes())
}

/// The side of a pixel, in units of the picture.
const PIXEL: usize = 5;

fn tiles<T: Real>(images: &Tensor<T>, columns: usize) -> String {
    let shape = images.shape();
    let (count, height, width) = (shape[0], shape[1], shape[2]);
    // One pixel stays free between images.
    let extent = |images: usize, size: usize| PIXEL * (images * (size + 1) + 1);
    let (across, down) = (extent(columns.min(count), width), extent(count.div_ceil(columns), height));
    let mut picture = format!(
        "<svg width=\"{across}\" height=\"{down}\" xmlns=\"http://www.w3.org/2000/svg\" shape-rendering=\"crispEdges\">\n\
         <rect width=\"{across}\" height=\"{down}\" fill=\"#9db4c0\"/>\n"
    );
    for (index, value) in images.data().iter().enumerate() {
        let (image, row, column) = (index / (height * width), index / width % height, index % width);
        let (x, y) = (extent(image % columns, width) + PIXEL * column, extent(image / columns, height) + PIXEL * row);
        let grey = 255 - (255.0 * value.as_f64().clamp(0.0, 1.0)).round() as u8;
        writeln!(
            picture,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{PIXEL}\" height=\"{PIXEL}\" fill=\"rgb({grey},{grey},{grey})\"/>"
        )
        .expect("a string takes what is written");
    }
    picture + "</svg>\n"
}

/// How a list of points is drawn.
#[derive(Clone, Copy, PartialEq)]
enum Mark {
    Line,
    Dot,
}

fn draw(title: &str, horizontal: &str, vertical: &str, curves: &[Curve<'_>], mark: Mark) -> Result<String, Error> {
    let points = || curves.iter().flat_map(|(_, points)| points.iter()).filter(|(x, y)| x.is_finite() && y.is_finite());
    let ends = |value: fn(&(f64, f64)) -> f64| {
        points().map(value).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let ((left, right), (low, high)) = (ends(|p| p.0), ends(|p| p.1));
    if left > right {
        return Err(Error::other(format!("`{title}` has no finite point to draw")));
    }
    let margin = 0.05 * (high - low).max(1e-12);
    let mut picture = String::new();
    {
        let fault = |problem: &dyn Display| Error::other(format!("drawing `{title}`: {problem}"));
        let area = SVGBackend::with_string(&mut picture, (800, 480)).into_drawing_area();
        area.fill(&WHITE).map_err(|e| fault(&e))?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 22))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(56)
            .build_cartesian_2d(left..right.max(left + 1e-12), (low - margin)..(high + margin))
            .map_err(|e| fault(&e))?;
        chart.configure_mesh().x_desc(horizontal).y_desc(vertical).draw().map_err(|e| fault(&e))?;
        for (number, (name, points)) in curves.iter().enumerate() {
            let colour = COLOURS[number % COLOURS.len()];
            let finite = points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite());
            let series = match mark {
                Mark::Line => chart.draw_series(LineSeries::new(finite, colour.stroke_width(2))),
                Mark::Dot => chart.draw_series(finite.map(|point| Circle::new(point, 2, colour.mix(0.5).filled()))),
            };
            let series = series.map_err(|e| fault(&e))?;
            series.label(*name).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        }
        let labels = chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK).draw();
        labels.map_err(|e| fault(&e))?;
        area.present().map_err(|e| fault(&e))?;
    }
    Ok(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_names_its_curves() {
        let picture = draw("loss", "step", "nats", &[("train", &[(0.0, 1.0), (1.0, 0.5)])], Mark::Line).unwrap();
        assert!(picture.starts_with("<svg") && picture.contains("train") && picture.contains("nats"));
    }

    #[test]
    fn nothing_to_draw_is_an_error() {
        assert!(draw("loss", "step", "nats", &[("train", &[(0.0, f64::NAN)])], Mark::Line).is_err());
    }

    #[test]
    fn each_point_is_a_dot_and_each_pixel_a_square() {
        let cloud = draw("ring", "x", "y", &[("data", &[(0.0, 1.0), (1.0, 0.5), (0.25, 0.25)])], Mark::Dot).unwrap();
        assert_eq!(cloud.matches("<circle").count(), 3);
        let picture = tiles(&Tensor::new([3, 1, 2], vec![0.0, 1.0, 0.5, -1.0, 2.0, 0.0]), 2);
        assert_eq!(picture.matches("<rect x=").count(), 6);
        assert_eq!(picture.matches("rgb(0,0,0)").count(), 2);
        assert!(picture.starts_with("<svg width=\"35\" height=\"25\""), "{picture}");
        assert!(picture.contains("<rect x=\"5\" y=\"15\"") && picture.contains("<rect x=\"25\" y=\"5\""));
    }
}
