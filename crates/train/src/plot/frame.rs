//! Draws a plot: lays its parts out, and writes axes, marks and names.

use std::fmt::Write;
use std::io::Error;

use super::axis::{Axis, Extent, Scale, Tick};
use super::names::{self, Name, Swatch};
use super::series::{Mark, Series};
use super::svg::{Anchor, LONGEST, SIZE, Svg, TITLE, Tenths, colour, dashes, width};
use super::{Plot, nothing};

/// The width of a picture.
const WIDTH: f64 = 720.0;
/// The height of the area of the data, unless the names need more.
const HEIGHT: f64 = 320.0;
/// The room for a long title, in its own letters.
const TITLE_ROOM: f64 = WIDTH - 20.0;

/// The area of the data, and what its places mean.
struct Frame<'a> {
    axes: [Axis; 2],
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    categories: &'a [String],
}

impl Frame<'_> {
    fn x(&self, value: f64) -> f64 {
        self.left + (self.right - self.left) * self.axes[0].at(value)
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom - (self.bottom - self.top) * self.axes[1].at(value)
    }

    /// Whether a point has a place.
    fn has(&self, x: f64, y: f64) -> bool {
        self.axes[0].has(x) && self.axes[1].has(y)
    }
}

pub(super) fn draw(plot: &Plot) -> Result<String, Error> {
    let categories = categories(&plot.series);
    let hues = hues(&plot.series);
    let [horizontal, vertical] = extents(plot, &categories)?;

    let top = if plot.title.is_empty() { 16.0 } else { 28.0 + TITLE };
    let count = hues.iter().max().map_or(0, |hue| hue + 1);
    let height = HEIGHT.max(16.0 * count as f64);
    let vertical_axis = Axis::new(plot.scales[1], vertical, (height / 52.0) as usize);
    let widest = widest(&vertical_axis.ticks);
    let left = 16.0 + widest + 8.0 + if plot.vertical.is_empty() { 0.0 } else { SIZE + 8.0 };

    let mut names = names_of(plot, &hues, horizontal);
    let right = WIDTH - (names::room(&names) + 10.0).max(24.0);
    let horizontal_axis = if categories.is_empty() {
        fitting(plot.scales[0], horizontal, right - left)
    } else {
        Axis::of_categories(&categories)
    };
    let slanted =
        !categories.is_empty() && widest_of(&horizontal_axis) > 0.9 * (right - left) / categories.len() as f64;
    let below = if slanted { 14.0 + 0.72 * widest_of(&horizontal_axis).min(LONGEST) } else { 10.0 + SIZE };
    let bottom = top + height.max(names::height(&names));
    let total = bottom + below + if plot.horizontal.is_empty() { 10.0 } else { SIZE + 18.0 };

    let frame = Frame { axes: [horizontal_axis, vertical_axis], left, right, top, bottom, categories: &categories };
    for name in &mut names {
        name.end = name.end.map(|value| frame.y(value));
    }
    let mut svg = Svg::new(WIDTH, total, &plot.title, &description(plot));
    svg.title(left.min(40.0), &super::svg::shortened(&plot.title, TITLE, TITLE_ROOM));
    grid(&mut svg, &frame, slanted);
    if !plot.vertical.is_empty() {
        svg.upward(12.0 + SIZE, 0.5 * (top + bottom), &plot.vertical);
    }
    if !plot.horizontal.is_empty() {
        svg.text(0.5 * (left + right), total - 10.0, Anchor::Middle, "", &plot.horizontal);
    }
    // Areas lie below lines.
    for areas in [true, false] {
        let chosen = plot.series.iter().zip(&hues).filter(|(series, _)| is_area(&series.mark) == areas);
        for (series, &hue) in chosen {
            mark(&mut svg, &frame, plot, series, hue);
        }
    }
    names::write(&mut svg, &names, right, top, bottom);
    Ok(svg.finish())
}

fn is_area(mark: &Mark) -> bool {
    !matches!(mark, Mark::Line(_) | Mark::Points(_))
}

/// All categories of bars in the order in which they first occur.
fn categories(series: &[Series]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for series in series {
        let Mark::Bars(bars) = &series.mark else { continue };
        for (category, _) in bars {
            if !found.contains(category) {
                found.push(category.clone());
            }
        }
    }
    found
}

/// The number of each series' colour: names have colours, in the order in which they first occur.
fn hues(series: &[Series]) -> Vec<usize> {
    let mut seen: Vec<&str> = Vec::new();
    let mut hues = Vec::with_capacity(series.len());
    for series in series {
        let place = seen.iter().position(|name| *name == series.name).unwrap_or_else(|| {
            seen.push(&series.name);
            seen.len() - 1
        });
        hues.push(place);
    }
    hues
}

/// What both axes have to show.
fn extents(plot: &Plot, categories: &[String]) -> Result<[Extent; 2], Error> {
    let [across, up] = plot.scales;
    let empty = |axis: &str, scale: Scale| {
        let needed = if scale == Scale::Log { "finite and above 0" } else { "finite" };
        nothing(&plot.title, &format!("no number of the {axis} axis is {needed}"))
    };
    let places = (0..categories.len()).map(|place| place as f64);
    let xs = plot.series.iter().flat_map(|series| series.mark.horizontal()).chain(places);
    let horizontal = Extent::of(across, xs).ok_or_else(|| empty("horizontal", across))?;
    let ys = plot.series.iter().flat_map(|series| series.mark.vertical());
    let vertical = Extent::of(up, ys).ok_or_else(|| empty("vertical", up))?;

    // Lines fill the width; points at the edges would be cut.
    let has_points = plot.series.iter().any(|series| matches!(series.mark, Mark::Points(_)));
    let horizontal = if has_points { horizontal.padded(across, 0.03) } else { horizontal };
    let has_base = plot.series.iter().any(|series| series.mark.has_base());
    let mut padded = vertical.padded(up, 0.05);
    match up {
        // A range that nearly reaches 0 begins there.
        Scale::Linear if vertical.low >= 0.0 && (has_base || vertical.low < 0.25 * vertical.high) => padded.low = 0.0,
        Scale::Linear if has_base && vertical.high <= 0.0 => padded.high = 0.0,
        // The smallest bar has a height.
        Scale::Log if has_base => padded.low = (0.5 * vertical.low).max(f64::MIN_POSITIVE),
        _ => {}
    }
    Ok([horizontal, padded])
}

fn widest(ticks: &[Tick]) -> f64 {
    ticks.iter().map(|tick| width(&tick.label, SIZE)).fold(0.0, f64::max)
}

fn widest_of(axis: &Axis) -> f64 {
    widest(&axis.ticks)
}

/// A horizontal axis whose numbers do not touch.
fn fitting(scale: Scale, extent: Extent, room: f64) -> Axis {
    let axes = (1..=(room / 70.0) as usize).rev().map(|count| Axis::new(scale, extent, count));
    let mut fitting = axes.filter(|axis| axis.ticks.len() as f64 * (widest_of(axis) + 14.0) < room);
    fitting.next().unwrap_or_else(|| Axis::new(scale, extent, 1))
}

/// The names, each once, with the value where its line ends if it ends at the right edge.
fn names_of(plot: &Plot, hues: &[usize], horizontal: Extent) -> Vec<Name> {
    let [across, up] = plot.scales;
    let edge = Axis::new(across, horizontal, 1);
    let mut names: Vec<Name> = Vec::new();
    for (series, &hue) in plot.series.iter().zip(hues).filter(|(series, _)| !series.name.is_empty()) {
        let swatch = match &series.mark {
            Mark::Line(_) => Swatch::Line,
            Mark::Points(_) => Swatch::Dot,
            _ => Swatch::Square,
        };
        let end = match &series.mark {
            Mark::Line(points) => points.iter().rev().find(|(x, y)| across.has(*x) && up.has(*y)),
            _ => None,
        };
        let end = end.filter(|(x, _)| edge.at(*x) > 0.97).map(|(_, y)| *y);
        match names.iter_mut().find(|name| name.colour == hue) {
            // A line says more than the band around it.
            Some(name) if swatch == Swatch::Line => (name.swatch, name.end) = (swatch, end),
            Some(_) => {}
            None => names.push(Name { text: series.name.clone(), colour: hue, swatch, end }),
        }
    }
    names
}

fn description(plot: &Plot) -> String {
    let mut text = String::new();
    for (axis, label) in [("horizontal", &plot.horizontal), ("vertical", &plot.vertical)] {
        writeln!(text, "{axis} axis: {label}").expect("a string takes what is written");
    }
    plot.series.iter().for_each(|series| series.mark.describe(&series.name, &mut text));
    text
}

/// Light lines at the ticks of both axes, their numbers, and the line below.
fn grid(svg: &mut Svg, frame: &Frame<'_>, slanted: bool) {
    let (left, right, top, bottom) = (Tenths(frame.left), Tenths(frame.right), Tenths(frame.top), Tenths(frame.bottom));
    let mut lines = String::new();
    let mut short = String::new();
    for tick in &frame.axes[1].ticks {
        write!(lines, "M{left} {}H{right}", Tenths(frame.y(tick.value))).expect("a string takes what is written");
    }
    for tick in &frame.axes[0].ticks {
        let x = Tenths(frame.x(tick.value));
        if frame.categories.is_empty() {
            write!(lines, "M{x} {top}V{bottom}").expect("a string takes what is written");
        }
        write!(short, "M{x} {bottom}v4").expect("a string takes what is written");
    }
    for &mark in &frame.axes[0].marks {
        write!(short, "M{} {bottom}v3", Tenths(frame.x(mark))).expect("a string takes what is written");
    }
    for &mark in &frame.axes[1].marks {
        write!(short, "M{left} {}h-3", Tenths(frame.y(mark))).expect("a string takes what is written");
    }
    svg.put(format_args!("<path d=\"{lines}\" fill=\"none\" stroke=\"currentColor\" stroke-opacity=\"0.13\"/>"));
    svg.put(format_args!(
        "<path d=\"M{left} {bottom}H{right}{short}\" fill=\"none\" stroke=\"currentColor\" stroke-opacity=\"0.6\"/>"
    ));
    for tick in &frame.axes[1].ticks {
        svg.text(frame.left - 8.0, frame.y(tick.value) + 0.35 * SIZE, Anchor::End, "", &tick.label);
    }
    for tick in &frame.axes[0].ticks {
        let (x, y) = (frame.x(tick.value), frame.bottom + 6.0 + SIZE);
        if slanted {
            svg.slanted(x, y, &tick.label);
        } else {
            svg.text(x, y, Anchor::Middle, "", &tick.label);
        }
    }
}

fn mark(svg: &mut Svg, frame: &Frame<'_>, plot: &Plot, series: &Series, hue: usize) {
    let tint = colour(hue);
    match &series.mark {
        Mark::Line(points) => svg.put(format_args!(
            "<path d=\"{}\" fill=\"none\" stroke=\"{tint}\" stroke-width=\"1.8\" stroke-linejoin=\"round\" \
             stroke-linecap=\"round\"{}/>",
            line(frame, points),
            dashes(hue)
        )),
        Mark::Points(points) => {
            svg.put(format_args!("<g fill=\"{tint}\" fill-opacity=\"0.6\">"));
            for &(x, y) in points.iter().filter(|(x, y)| frame.has(*x, *y)) {
                let (x, y) = (Tenths(frame.x(x)), Tenths(frame.y(y)));
                svg.put(format_args!("<circle cx=\"{x}\" cy=\"{y}\" r=\"2.5\"/>"));
            }
            svg.put(format_args!("</g>"));
        }
        Mark::Band(edges) => {
            let path = band(frame, edges);
            svg.put(format_args!("<path d=\"{path}\" fill=\"{tint}\" fill-opacity=\"0.2\"/>"));
        }
        Mark::Histogram(histogram) => {
            let edges = histogram.edges();
            let mut path = format!("M{} {}", Tenths(frame.x(edges[0])), Tenths(frame.y(0.0)));
            for (edges, &count) in edges.windows(2).zip(histogram.counts()) {
                let (y, x) = (Tenths(frame.y(count as f64)), Tenths(frame.x(edges[1])));
                write!(path, "V{y}H{x}").expect("a string takes what is written");
            }
            write!(path, "V{}Z", Tenths(frame.y(0.0))).expect("a string takes what is written");
            svg.put(format_args!("<path d=\"{path}\" fill=\"{tint}\" fill-opacity=\"0.35\" stroke=\"{tint}\"/>"));
        }
        Mark::Bars(bars) => {
            let beside: Vec<&Series> = plot.series.iter().filter(|other| matches!(other.mark, Mark::Bars(_))).collect();
            let place = beside.iter().position(|other| std::ptr::eq(*other, series)).unwrap_or(0) as f64;
            let slot = (frame.right - frame.left) / frame.categories.len() as f64;
            let wide = 0.8 * slot / beside.len() as f64;
            for (category, value) in bars.iter().filter(|(_, value)| value.is_finite()) {
                let at = frame.categories.iter().position(|other| other == category).unwrap_or(0) as f64;
                let x = frame.x(at) - 0.4 * slot + place * wide;
                let (base, y) = (frame.y(0.0), frame.y(*value));
                svg.put(format_args!(
                    "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{tint}\"/>",
                    Tenths(x),
                    Tenths(base.min(y)),
                    Tenths((wide - 1.0).max(0.5)),
                    Tenths((base - y).abs())
                ));
            }
        }
    }
}

/// The path of a line: one piece for each run of points that have places.
fn line(frame: &Frame<'_>, points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for piece in points.split(|(x, y)| !frame.has(*x, *y)) {
        let places: Vec<(f64, f64)> = piece.iter().map(|&(x, y)| (frame.x(x), frame.y(y))).collect();
        let places = thinned(&places);
        for (number, (x, y)) in places.iter().enumerate() {
            let command = if number == 0 { 'M' } else { 'L' };
            write!(path, "{command}{} {}", Tenths(*x), Tenths(*y)).expect("a string takes what is written");
        }
        if places.len() == 1 {
            // A point between two gaps is drawn by the round ends of a line without length.
            path.push_str("h0");
        }
    }
    path
}

/// Of the points that share half a unit of the width, the first, the lowest, the highest and the last: more cannot be
/// seen.
fn thinned(places: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let column = |place: &(f64, f64)| (2.0 * place.0).floor();
    let mut kept = Vec::new();
    for group in places.chunk_by(|a, b| column(a) == column(b)) {
        let (mut low, mut high) = (0, 0);
        for (number, place) in group.iter().enumerate() {
            low = if place.1 < group[low].1 { number } else { low };
            high = if place.1 > group[high].1 { number } else { high };
        }
        let mut chosen = [0, low, high, group.len() - 1];
        chosen.sort_unstable();
        for (number, &index) in chosen.iter().enumerate() {
            if number == 0 || chosen[number - 1] != index {
                kept.push(group[index]);
            }
        }
    }
    kept
}

/// The path around a band; it ends and begins again at edges that are not finite.
fn band(frame: &Frame<'_>, edges: &[(f64, f64, f64)]) -> String {
    let mut path = String::new();
    let whole = |edge: &(f64, f64, f64)| frame.axes[0].has(edge.0) && edge.1.is_finite() && edge.2.is_finite();
    for piece in edges.split(|edge| !whole(edge)).filter(|piece| !piece.is_empty()) {
        let lower: Vec<(f64, f64)> = piece.iter().map(|edge| (frame.x(edge.0), frame.y(edge.1))).collect();
        let upper: Vec<(f64, f64)> = piece.iter().map(|edge| (frame.x(edge.0), frame.y(edge.2))).collect();
        let around = thinned(&upper).into_iter().chain(thinned(&lower).into_iter().rev());
        for (number, (x, y)) in around.enumerate() {
            let command = if number == 0 { 'M' } else { 'L' };
            write!(path, "{command}{} {}", Tenths(x), Tenths(y)).expect("a string takes what is written");
        }
        path.push('Z');
    }
    path
}
