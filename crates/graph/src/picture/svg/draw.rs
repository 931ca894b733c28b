//! The text of an SVG file.

use std::fmt::Write;

use layout::core::geometry::Position;

use super::legend::Legend;
use super::place::Placement;
use super::sketch::{BoxKind, Line, Sketch, is_scalar, node_of, reference};
use crate::tape::{NodeId, Source, Tape};
use crate::xml::escaped;

pub(super) const MARGIN: f64 = 16.0;
/// The length of an arrow's head.
const ARROW: f64 = 6.0;
/// The advance of a letter and of a line of text.
pub(super) const LETTER: f64 = 6.7;
pub(super) const TEXT_LINE: f64 = 14.0;

/// The picture of a graph without nodes.
pub(super) fn empty() -> String {
    format!("{}</svg>\n", head(1.0, 1.0))
}

/// The picture as the text of a file.
pub(super) fn draw(
    tape: &Tape,
    sketch: &Sketch,
    Placement { texts, positions }: &Placement,
    outputs: &[NodeId],
) -> String {
    let legend = Legend::new(tape, &sketch.boxes);
    let fold = |edge: fn(&Position) -> f64, pick: fn(f64, f64) -> f64| positions.iter().map(edge).reduce(pick);
    let left = fold(|position| position.left(false), f64::min).unwrap_or(0.0) - MARGIN;
    let top = fold(|position| position.top(false), f64::min).unwrap_or(0.0) - MARGIN - legend.height();
    let right = fold(|position| position.right(false), f64::max).unwrap_or(0.0) + MARGIN;
    let bottom = fold(|position| position.bottom(false), f64::max).unwrap_or(0.0) + MARGIN;
    let width = (right - left).max(legend.width());
    let mut text = head(width, bottom - top);
    legend.write(&mut text);
    let _ = writeln!(text, "<g transform=\"translate({:.1} {:.1})\">", -left, -top);
    for line in &sketch.lines {
        write_line(&mut text, tape, sketch, line, positions);
    }
    for ((one, lines), position) in sketch.boxes.iter().zip(texts).zip(positions) {
        write_box(&mut text, tape, one.kind, lines, position, &legend, outputs);
    }
    text.push_str("</g>\n</svg>\n");
    text
}

fn write_line(text: &mut String, tape: &Tape, sketch: &Sketch, line: &Line, positions: &[Position]) {
    let (first, last) = (line.through[0], line.through[line.through.len() - 1]);
    let port = |position: &Position, number: usize, count: usize| {
        position.left(false) + position.size(false).x * (number + 1) as f64 / (count + 1) as f64
    };
    let outputs = tape.nodes[node_of(sketch.boxes[first].kind).index()].outputs.len();
    let inputs = tape.nodes[node_of(sketch.boxes[last].kind).index()].inputs.len();
    let (mut x, mut y) = (port(&positions[first], line.output as usize, outputs), positions[first].bottom(false));
    let _ = write!(text, "<path class=\"line\" d=\"M{x:.1} {y:.1}");
    for &stop in &line.through[1..] {
        let position = &positions[stop];
        let (to_x, to_y) = if stop == last {
            (port(position, line.slot, inputs), position.top(false) - ARROW)
        } else {
            (position.center().x, position.center().y)
        };
        let middle = (y + to_y) / 2.0;
        let _ = write!(text, "C{x:.1} {middle:.1} {to_x:.1} {middle:.1} {to_x:.1} {to_y:.1}");
        (x, y) = (to_x, to_y);
    }
    text.push_str("\"/>\n");
}

fn write_box(
    text: &mut String,
    tape: &Tape,
    kind: BoxKind,
    lines: &[String],
    position: &Position,
    legend: &Legend,
    outputs: &[NodeId],
) {
    let node = match kind {
        BoxKind::Bend => return,
        BoxKind::Node(node) | BoxKind::Reference(node) => node,
    };
    let (x, y, size) = (position.left(false), position.top(false), position.size(false));
    let refers = reference(tape, kind).is_some();
    let _ = match kind {
        BoxKind::Node(_) => write!(text, "<g id=\"n{}\">", node.0),
        _ if refers => write!(text, "<a href=\"#n{}\">", node.0),
        _ => write!(text, "<g>"),
    };
    let _ = write!(text, "<title>{node:?} {}</title>", escaped(&tape.describe(node)));
    let class = match tape.nodes[node.index()].source {
        _ if refers => "reference",
        Source::Input(_) => "input",
        Source::Param(_) => "parameter",
        _ if is_scalar(tape, node) => "scalar",
        _ => "op",
    };
    if class != "scalar" {
        let round = if class == "input" { size.y / 2.0 } else { 4.0 };
        let _ = write!(
            text,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"{round:.1}\" \
             fill=\"{}\"/>",
            size.x,
            size.y,
            legend.color(tape, node)
        );
        if !refers && outputs.contains(&node) {
            let _ = write!(
                text,
                "<rect class=\"op\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"7\" fill=\"none\"/>",
                x - 3.0,
                y - 3.0,
                size.x + 6.0,
                size.y + 6.0
            );
        }
    }
    for (line, words) in lines.iter().enumerate() {
        let (x, y) = (position.middle().x, y + 15.0 + line as f64 * TEXT_LINE);
        let class = if line == 0 { "" } else { " class=\"shape\"" };
        let _ = write!(text, "<text{class} x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(words));
    }
    text.push_str(if refers { "</a>\n" } else { "</g>\n" });
}

/// A long name without its start, as the end says more.
pub(super) fn shortened(name: &str) -> String {
    const LONGEST: usize = 32;
    match name.chars().count() {
        count if count <= LONGEST => name.to_owned(),
        count => std::iter::once('…').chain(name.chars().skip(count - LONGEST + 1)).collect(),
    }
}

fn head(width: f64, height: f64) -> String {
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0}" height="{height:.0}" viewBox="0 0 {width:.1} {height:.1}">
<style>
rect {{ stroke: #606060; }}
.parameter {{ stroke-width: 2; }}
.reference {{ stroke-dasharray: 3 2; }}
.line {{ fill: none; stroke: #808080; marker-end: url(#arrow); }}
text {{ font: 12px Helvetica, Arial, sans-serif; text-anchor: middle; fill: #000000; }}
.shape {{ fill: #505050; font-size: 11px; }}
.scope {{ text-anchor: start; }}
</style>
<defs><marker id="arrow" markerWidth="6" markerHeight="6" refY="3" orient="auto"><path d="M0 0 6 3 0 6z" fill="#808080"/></marker></defs>
<rect width="100%" height="100%" fill="#ffffff" style="stroke: none"/>
"##
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_its_end() {
        assert_eq!(shortened("short"), "short");
        let long = shortened(&format!("{}.weight", "encoder.".repeat(9)));
        assert_eq!(long.chars().count(), 32);
        assert!(long.starts_with('…') && long.ends_with(".weight"));
    }
}
