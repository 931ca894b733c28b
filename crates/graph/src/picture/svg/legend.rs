//! The colours of scopes, and the legend that names them.

use std::fmt::Write;

use super::draw::{LETTER, MARGIN, shortened};
use super::sketch::{BoxKind, RowBox, node_of};
use crate::tape::{NodeId, Tape};
use crate::xml::escaped;

/// The scopes with a colour each, by their outermost names.
pub(super) struct Legend {
    /// The number of names that distinguish scopes.
    depth: usize,
    paths: Vec<String>,
}

/// Pale, for black text on them, and of different lightness, for colour-blind readers.
const COLORS: [&str; 10] =
    ["#cfe2f3", "#fde0c5", "#d5ecd0", "#f6cfd3", "#e3d7f1", "#fff3bf", "#cdeeee", "#f8d6ea", "#e6e0d4", "#d9e3a5"];

impl Legend {
    /// The legend of the longest paths for which there are enough colours.
    pub(super) fn new(tape: &Tape, boxes: &[RowBox]) -> Self {
        let nodes = boxes.iter().filter(|one| one.kind != BoxKind::Bend).map(|one| node_of(one.kind));
        let mut all: Vec<String> = Vec::new();
        let mut seen = rustc_hash::FxHashSet::default();
        for node in nodes {
            let scope = tape.nodes[node.index()].scope;
            if seen.insert(scope) {
                all.push(tape.scope_path(scope));
            }
        }
        let deepest = all.iter().map(|path| path.split('.').count()).max().unwrap_or(0);
        let at = |depth: usize| {
            let mut paths: Vec<String> = Vec::new();
            for path in all.iter().map(|path| outermost(path, depth)).filter(|path| !path.is_empty()) {
                if !paths.iter().any(|other| other == path) {
                    paths.push(path.to_owned());
                }
            }
            Self { depth, paths }
        };
        let fits = (1..=deepest).map(at).take_while(|scopes| scopes.paths.len() <= COLORS.len());
        fits.last().unwrap_or_else(|| at(1))
    }

    pub(super) fn color(&self, tape: &Tape, node: NodeId) -> &'static str {
        let path = tape.scope_path(tape.nodes[node.index()].scope);
        let own = self.paths.iter().position(|other| other == outermost(&path, self.depth));
        own.map_or("#ffffff", |index| COLORS[index % COLORS.len()])
    }

    pub(super) fn height(&self) -> f64 {
        if self.paths.is_empty() { 0.0 } else { 34.0 }
    }

    fn width_of(path: &str) -> f64 {
        path.chars().count() as f64 * LETTER + 30.0
    }

    pub(super) fn width(&self) -> f64 {
        2.0 * MARGIN + self.paths.iter().map(|path| Self::width_of(&shortened(path))).sum::<f64>()
    }

    pub(super) fn write(&self, text: &mut String) {
        let mut x = MARGIN;
        for (path, index) in self.paths.iter().zip(0..) {
            let path = shortened(path);
            let _ = writeln!(
                text,
                "<rect class=\"op\" x=\"{x:.1}\" y=\"{MARGIN}\" width=\"12\" height=\"12\" rx=\"2\" fill=\"{}\"/>\
                 <text class=\"scope\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                COLORS[index % COLORS.len()],
                x + 17.0,
                MARGIN + 10.0,
                escaped(&path)
            );
            x += Self::width_of(&path);
        }
    }
}

fn outermost(path: &str, depth: usize) -> &str {
    path.match_indices('.').nth(depth - 1).map_or(path, |(end, _)| &path[..end])
}
