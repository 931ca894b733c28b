//! The names of series, outside of the data: at the ends of lines, pushed apart, or in a list.

use super::svg::{Anchor, SIZE, Svg, Tenths, colour, dashes, shortened, width};

/// The height of a name.
const ROW: f64 = 16.0;
/// The length of the piece of colour before a name.
const SWATCH: f64 = 18.0;
/// The room for the widest name.
const WIDEST: f64 = 200.0;

/// What stands before a name in the list.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Swatch {
    Line,
    Dot,
    Square,
}

/// A name with the number of its colour.
pub(super) struct Name {
    pub(super) text: String,
    pub(super) colour: usize,
    pub(super) swatch: Swatch,
    /// Where its line ends, if it reaches the right edge: the point's height.
    pub(super) end: Option<f64>,
}

/// The width that the names take beside the data.
pub(super) fn room(names: &[Name]) -> f64 {
    let widest = names.iter().map(|name| width(&name.text, SIZE)).fold(0.0, f64::max);
    if names.is_empty() { 0.0 } else { SWATCH + 14.0 + widest.min(WIDEST) }
}

/// The height that the names take.
pub(super) fn height(names: &[Name]) -> f64 {
    ROW * names.len() as f64
}

/// Writes the names to the right of `x`, between `top` and `bottom`.
pub(super) fn write(svg: &mut Svg, names: &[Name], x: f64, top: f64, bottom: f64) {
    let ends: Option<Vec<f64>> = names.iter().map(|name| name.end).collect();
    let rows = match &ends {
        Some(ends) => apart(ends, top, bottom),
        None => (0..names.len()).map(|row| top + ROW * (row as f64 + 0.5)).collect(),
    };
    for (name, y) in names.iter().zip(rows) {
        let (hue, left) = (colour(name.colour), x + 8.0);
        match (name.end, ends.is_some(), name.swatch) {
            (Some(end), true, _) => svg.put(format_args!(
                "<path d=\"M{} {}L{} {}H{}\" fill=\"none\" stroke=\"{hue}\" stroke-opacity=\"0.7\"/>",
                Tenths(x + 1.0),
                Tenths(end),
                Tenths(left + 6.0),
                Tenths(y),
                Tenths(left + SWATCH)
            )),
            (_, _, Swatch::Line) => svg.put(format_args!(
                "<path d=\"M{} {}H{}\" stroke=\"{hue}\" stroke-width=\"2\"{}/>",
                Tenths(left),
                Tenths(y),
                Tenths(left + SWATCH),
                dashes(name.colour)
            )),
            (_, _, Swatch::Dot) => {
                let x = Tenths(left + 0.5 * SWATCH);
                svg.put(format_args!("<circle cx=\"{x}\" cy=\"{}\" r=\"3.5\" fill=\"{hue}\"/>", Tenths(y)));
            }
            (_, _, Swatch::Square) => svg.put(format_args!(
                "<rect x=\"{}\" y=\"{}\" width=\"11\" height=\"11\" fill=\"{hue}\"/>",
                Tenths(left + 0.5 * SWATCH - 5.5),
                Tenths(y - 5.5)
            )),
        }
        svg.text(left + SWATCH + 5.0, y + 0.35 * SIZE, Anchor::Start, "", &shortened(&name.text, SIZE, WIDEST));
    }
}

/// Heights as near to the given ones as those of rows can be that do not overlap: the least squares.
fn apart(ends: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..ends.len()).collect();
    order.sort_by(|&a, &b| ends[a].total_cmp(&ends[b]));
    // Without their distances the heights need only ascend: neighbours that do not are given their mean.
    let mut groups: Vec<(f64, usize)> = Vec::new();
    for (row, &index) in order.iter().enumerate() {
        groups.push((ends[index] - ROW * row as f64, 1));
        while let [.., before, last] = groups[..]
            && before.0 > last.0
        {
            let count = before.1 + last.1;
            let mean = (before.0 * before.1 as f64 + last.0 * last.1 as f64) / count as f64;
            groups.truncate(groups.len() - 2);
            groups.push((mean, count));
        }
    }
    let last = (bottom - ROW * (ends.len() as f64 - 0.5)).max(top + 0.5 * ROW);
    let heights = groups.into_iter().flat_map(|(mean, count)| std::iter::repeat_n(mean, count));
    let mut rows = vec![0.0; ends.len()];
    for (row, (height, &index)) in heights.zip(&order).enumerate() {
        rows[index] = height.clamp(top + 0.5 * ROW, last) + ROW * row as f64;
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_pushed_apart_and_stay_inside() {
        assert_eq!(apart(&[100.0, 50.0], 0.0, 200.0), [100.0, 50.0]);
        assert_eq!(apart(&[100.0, 102.0], 0.0, 200.0), [93.0, 109.0]);
        assert_eq!(apart(&[100.0, 100.0, 100.0], 0.0, 200.0), [84.0, 100.0, 116.0]);
        assert_eq!(apart(&[0.0, 1.0], 0.0, 200.0), [8.0, 24.0]);
        assert_eq!(apart(&[200.0, 199.0], 0.0, 200.0), [192.0, 176.0]);
    }
}
