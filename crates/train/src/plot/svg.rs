//! Text of SVG files: what escapes, how coordinates and numbers are written, how wide words are, which colours there are.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

/// The text as the content of an element or of an attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => written.push_str("&amp;"),
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '"' => written.push_str("&quot;"),
            '\n' => written.push('\n'),
            // XML has no way to write these.
            '\u{fffe}' | '\u{ffff}' => written.push('\u{fffd}'),
            other if other.is_control() => written.push('\u{fffd}'),
            other => written.push(other),
        }
    }
    written
}

/// A coordinate in tenths of a unit.
#[derive(Clone, Copy)]
pub(super) struct Tenths(pub(super) f64);

impl fmt::Display for Tenths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (10.0 * self.0).round() as i64;
        let (sign, size) = (if tenths < 0 { "-" } else { "" }, tenths.unsigned_abs());
        write!(f, "{sign}{}", size / 10)?;
        if size % 10 == 0 { Ok(()) } else { write!(f, ".{}", size % 10) }
    }
}

/// A number in as few digits as tell it from its neighbours.
pub(super) fn number(value: f64) -> String {
    if value == value.trunc() && value.abs() < 1e15 { format!("{value}") } else { format!("{value:?}") }
}

/// A text with a real minus sign.
pub(super) fn minus(number: &str) -> String {
    number.replace('-', "−")
}

/// About how wide a text is, in a common font without serifs.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let of = |character: char| match character {
        'i' | 'j' | 'l' | 'I' | '!' | '|' | '.' | ',' | ':' | ';' | '\'' => 0.32,
        'f' | 'r' | 't' | ' ' | '(' | ')' | '[' | ']' | '-' => 0.4,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.95,
        'A'..='Z' => 0.72,
        '\u{2e80}'.. => 1.0,
        _ => 0.62,
    };
    size * text.chars().map(of).sum::<f64>()
}

/// The beginning of a text that is too wide, and three dots.
pub(super) fn shortened(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let mut kept = String::new();
    for character in text.chars() {
        kept.push(character);
        if width(&kept, size) + width("…", size) > room {
            kept.pop();
            break;
        }
    }
    kept + "…"
}

/// Colours that people with any of the common kinds of colour blindness tell apart, on white and on a dark page
/// (after Okabe and Ito, with a lighter blue).
const COLOURS: [&str; 7] = ["#1f83c4", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#808080"];
/// With each pattern the colours begin anew.
const DASHES: [&str; 4] = ["", "7 3", "2 3", "9 3 2 3"];

/// The colour of series number `index`.
pub(super) fn colour(index: usize) -> &'static str {
    COLOURS[index % COLOURS.len()]
}

/// The attribute of the pattern of line number `index`, which is no attribute for a whole line.
pub(super) fn dashes(index: usize) -> String {
    match DASHES[index / COLOURS.len() % DASHES.len()] {
        "" => String::new(),
        pattern => format!(" stroke-dasharray=\"{pattern}\""),
    }
}

/// The size of the words beside axes and series.
pub(super) const SIZE: f64 = 12.0;
/// The size of a title.
pub(super) const TITLE: f64 = 15.0;

/// The room for the name of a category.
pub(super) const LONGEST: f64 = 160.0;

/// Where a text is put in relation to its point.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// The text of a picture that grows.
pub(super) struct Svg(String);

impl Svg {
    /// The head of a picture: its size, its name, and the numbers that it shows.
    ///
    /// Words and lines are in `currentColor`, which is dark on white paper, and light on dark paper where the reader's
    /// system asks for a dark page.
    pub(super) fn new(width: f64, height: f64, title: &str, description: &str) -> Self {
        let (width, height) = (Tenths(width), Tenths(height));
        Self(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" class=\"gradus\" color=\"#222222\" fill=\"currentColor\" \
             font-family=\"Helvetica, Arial, sans-serif\" font-size=\"{SIZE}\">\n\
             <title>{}</title>\n<desc>{}</desc>\n\
             <style>@media (prefers-color-scheme: dark) {{ svg.gradus {{ color: #e4e4e4 }} \
             svg.gradus .paper {{ fill: #16181d }} }}</style>\n\
             <rect class=\"paper\" width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n",
            escaped(title),
            escaped(description)
        ))
    }

    /// Adds a line of text to the file.
    pub(super) fn put(&mut self, element: fmt::Arguments<'_>) {
        self.0.write_fmt(element).expect("a string takes what is written");
        self.0.push('\n');
    }

    /// Words at a point; `attributes` begin with a space.
    pub(super) fn text(&mut self, x: f64, y: f64, anchor: Anchor, attributes: &str, words: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let (x, y, words) = (Tenths(x), Tenths(y), escaped(words));
        self.put(format_args!("<text x=\"{x}\" y=\"{y}\"{anchor}{attributes}>{words}</text>"));
    }

    /// The title of the picture.
    pub(super) fn title(&mut self, x: f64, title: &str) {
        self.text(x, 24.0, Anchor::Start, &format!(" font-size=\"{TITLE}\" font-weight=\"bold\""), title);
    }

    /// Words along the vertical axis, read from below.
    pub(super) fn upward(&mut self, x: f64, y: f64, words: &str) {
        let turned = format!(" transform=\"rotate(-90 {} {})\"", Tenths(x), Tenths(y));
        self.text(x, y, Anchor::Middle, &turned, words);
    }

    /// Words that rise to a point, so that long ones stand beside each other; what is too long is cut.
    pub(super) fn slanted(&mut self, x: f64, y: f64, words: &str) {
        let turned = format!(" transform=\"rotate(-45 {} {})\"", Tenths(x), Tenths(y));
        self.text(x, y, Anchor::End, &turned, &shortened(words, SIZE, LONGEST.min(1.4 * (x - 4.0))));
    }

    /// Rectangles side by side, `columns` in a row, from a corner on, each of the given width and height. Neighbours of
    /// one colour are one, and all of one colour are one element.
    pub(super) fn cells(&mut self, colours: &[[u8; 3]], columns: usize, corner: [f64; 2], size: [f64; 2]) {
        let mut paths: BTreeMap<[u8; 3], String> = BTreeMap::new();
        for (row, cells) in colours.chunks(columns.max(1)).enumerate() {
            let mut column = 0;
            for run in cells.chunk_by(|a, b| a == b) {
                let (path, length) = (paths.entry(run[0]).or_default(), run.len());
                write!(path, "M{column} {row}h{length}v1h-{length}z").expect("a string takes what is written");
                column += length;
            }
        }
        let ([x, y], [width, height]) = (corner.map(Tenths), size);
        self.put(format_args!(
            "<g transform=\"translate({x} {y}) scale({width:.3} {height:.3})\" shape-rendering=\"crispEdges\">"
        ));
        for ([red, green, blue], path) in paths {
            self.put(format_args!("<path fill=\"#{red:02x}{green:02x}{blue:02x}\" d=\"{path}\"/>"));
        }
        self.put(format_args!("</g>"));
    }

    pub(super) fn finish(self) -> String {
        self.0 + "</svg>\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_and_numbers_are_short() {
        let written: Vec<String> =
            [0.0, -0.04, 12.0, 12.34, -0.25, 719.96].iter().map(|&v| Tenths(v).to_string()).collect();
        assert_eq!(written, ["0", "0", "12", "12.3", "-0.3", "720"]);
        assert_eq!([1920.0, 0.1, 1e-9, 1e300, -3.0].map(number), ["1920", "0.1", "1e-9", "1e300", "-3"]);
    }

    #[test]
    fn cells_of_one_colour_are_one_path() {
        let (a, b) = ([0, 16, 255], [1, 2, 3]);
        let mut svg = Svg(String::new());
        svg.cells(&[a, a, b, b, b, a], 3, [1.5, 2.0], [5.0, 4.0]);
        let wanted = "<g transform=\"translate(1.5 2) scale(5.000 4.000)\" shape-rendering=\"crispEdges\">\n\
                      <path fill=\"#0010ff\" d=\"M0 0h2v1h-2zM2 1h1v1h-1z\"/>\n\
                      <path fill=\"#010203\" d=\"M2 0h1v1h-1zM0 1h2v1h-2z\"/>\n</g>\n";
        assert_eq!(svg.0, wanted);
    }

    #[test]
    fn text_is_escaped_and_shortened() {
        assert_eq!(escaped("a<b> & \"c\"\u{7}"), "a&lt;b&gt; &amp; &quot;c&quot;\u{fffd}");
        assert_eq!(shortened("loss", SIZE, 100.0), "loss");
        let cut = shortened(&"long name ".repeat(20), SIZE, 100.0);
        assert!(cut.ends_with('…') && width(&cut, SIZE) <= 100.0, "{cut}");
    }
}
