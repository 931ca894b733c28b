//! Curves as SVG pictures.

use std::fmt::Display;
use std::io::Error;
use std::path::Path;

use plotters::prelude::*;

use crate::replace::replace;

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
    let picture = draw(title, horizontal, vertical, curves)?;
    replace(path, picture.as_bytes())
}

fn draw(title: &str, horizontal: &str, vertical: &str, curves: &[Curve<'_>]) -> Result<String, Error> {
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
            let line = LineSeries::new(finite, colour.stroke_width(2));
            let series = chart.draw_series(line).map_err(|e| fault(&e))?;
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
        let picture = draw("loss", "step", "nats", &[("train", &[(0.0, 1.0), (1.0, 0.5)])]).unwrap();
        assert!(picture.starts_with("<svg") && picture.contains("train") && picture.contains("nats"));
    }

    #[test]
    fn nothing_to_draw_is_an_error() {
        assert!(draw("loss", "step", "nats", &[("train", &[(0.0, f64::NAN)])]).is_err());
    }
}
