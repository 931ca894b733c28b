//! A profile as a picture: a bar for each line of the program.

use std::fmt::Write;

use super::Profile;
use super::table::time;
use crate::xml::escaped;

/// Bars of a picture.
const BARS: usize = 25;
const ROW: usize = 22;
const LEFT: usize = 70;
const WIDTH: usize = 900;

impl Profile {
    /// The lines that take the most time as bars, the part that the limit of the machine would take darker: a standalone
    /// SVG.
    pub fn to_svg(&self) -> String {
        let lines = self.by_line();
        let shown = &lines[..lines.len().min(BARS)];
        let longest = shown.first().map_or(1.0, |entry| entry.seconds).max(f64::MIN_POSITIVE);
        let height = ROW * (shown.len() + 2);
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
             <text x=\"8\" y=\"16\" font-weight=\"bold\">a run in {}: {}; dark: at the limit of the machine</text>\n",
            self.precision,
            time(self.seconds)
        );
        for (number, entry) in shown.iter().enumerate() {
            let y = ROW * (number + 1) + 4;
            let width = entry.seconds / longest * (WIDTH - LEFT - 8) as f64;
            let limit = width * self.share_of_limit(entry).clamp(0.0, 1.0);
            writeln!(
                text,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\
                 <rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\" fill=\"#bcd4e6\"/>\
                 <rect x=\"{LEFT}\" y=\"{y}\" width=\"{limit:.1}\" height=\"{}\" fill=\"#4a86b8\"/>\
                 <text x=\"{}\" y=\"{}\">{}</text>",
                LEFT - 6,
                y + 14,
                escaped(&time(entry.seconds)),
                ROW - 4,
                ROW - 4,
                LEFT + 4,
                y + 14,
                escaped(&entry.place()),
            )
            .expect("a string takes what is written");
        }
        text + "</svg>\n"
    }
}
