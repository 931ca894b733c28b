//! A graph as a standalone SVG file, so that no Graphviz is needed.
//!
//! Rows are found here: an op stands under its inputs, a leaf above its first reader. What would be a line across many
//! rows (a value that the backward pass reads again) ends in a reference to its node instead. The crate
//! `layout-rs` orders the rows and places their boxes; it is fed ranks and bends of its own making, since its passes
//! that find them take exponential time on graphs whose paths meet again and again.

use std::fmt::Write;
use std::panic::Location;

use layout::adt::dag::NodeHandle;
use layout::core::base::Orientation;
use layout::core::geometry::{Point, Position};
use layout::core::style::StyleAttr;
use layout::std_shapes::shapes::{Element, ShapeKind};
use layout::topo::layout::VisualGraph;
use layout::topo::optimizer::EdgeCrossOptimizer;
use layout::topo::placer::Placer;
use rustc_hash::FxHashMap;

use super::{Shown, label, shape, shown};
use crate::error::{Error, ErrorKind};
use crate::tape::{Constant, Graph, NodeId, Source, Tape, Var};

/// Beyond this a picture shows nothing that anyone could read, and takes long.
const MAX_NODES: usize = 2_000;
/// The rows that a line may cross. Where that makes too many bends, fewer.
const REACH: [usize; 4] = [8, 4, 2, 1];
/// What counts as too many bends.
const MAX_BENDS: usize = 600;
/// The passes that untangle rows take the cube of the row's width; this is what they may take in all.
const MAX_ORDERING: usize = 1_000_000;

impl Graph {
    /// The part of the graph that `outputs` need (all of it if there are none) as the text of an SVG file. Data flows
    /// down. A box shows op and shape and has its scope's colour; inputs are round, parameters have a bold frame,
    /// outputs a double one. A dashed box stands for a value made further up, and links to it. A viewer that shows
    /// tooltips tells for each box the line that made it. Behind the feature `svg`, which is on by default.
    ///
    /// # Errors
    /// If the part has more than 2,000 nodes, or an output belongs to another graph.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Graph;
    /// let graph = Graph::new();
    /// let x = graph.input("x", [3]);
    /// let _scope = graph.scope("loss");
    /// let loss = (x * x).sum();
    /// let picture = graph.svg(&[loss])?;
    /// assert!(picture.starts_with("<svg"));
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn svg(&self, outputs: &[Var<'_>]) -> Result<String, Error> {
        self.expect_own("svg", outputs, Location::caller())?;
        let view = self.view();
        let tape = view.tape();
        let shown = shown(&view, outputs);
        let count = shown.count_ones(..);
        if count > MAX_NODES {
            let message = format!(
                "a picture of {count} nodes would be too large to read: at most {MAX_NODES} are drawn; name outputs \
                 that need fewer, or use `dot` or `summary`"
            );
            return Err(Error::new(ErrorKind::Picture, message));
        }
        let levels = levels(tape, &shown);
        let mut sketches = REACH.into_iter().map(|reach| Sketch::new(tape, &shown, &levels, reach));
        let sketch = sketches.find(|sketch| sketch.bends <= MAX_BENDS).expect("a reach of one row makes no bends");
        if sketch.boxes.is_empty() {
            return Ok(format!("{}</svg>\n", head(1.0, 1.0)));
        }
        let outputs: Vec<NodeId> = outputs.iter().map(|output| output.node()).collect();
        Ok(sketch.place(tape, &outputs))
    }
}

/// For each node its row, counted from above: right under the last of its inputs, or, if that makes no more lines long,
/// right above the first of its readers.
fn levels(tape: &Tape, shown: &Shown) -> Vec<usize> {
    let inputs = |node: usize| tape.nodes[node].inputs.iter().map(|input| input.node.index());
    let mut levels = vec![0; tape.nodes.len()];
    // As far up as it can be.
    for node in shown.ones() {
        levels[node] = inputs(node).map(|input| levels[input] + 1).max().unwrap_or(0);
    }
    // What depends on no data has nothing above it that would be far away; so may move what has one input that does.
    let mut fixed = vec![false; tape.nodes.len()];
    let mut may_move = vec![false; tape.nodes.len()];
    for node in shown.ones() {
        let is_data = matches!(tape.nodes[node].source, Source::Input(_) | Source::Random(_));
        fixed[node] = is_data || inputs(node).any(|input| fixed[input]);
        let mut above = inputs(node).filter(|&input| fixed[input]);
        let first = above.next();
        may_move[node] = above.all(|input| Some(input) == first);
    }
    let mut first_reader = vec![usize::MAX; tape.nodes.len()];
    let nodes: Vec<usize> = shown.ones().collect();
    for &node in nodes.iter().rev() {
        if may_move[node] && first_reader[node] != usize::MAX {
            levels[node] = first_reader[node] - 1;
        }
        inputs(node).for_each(|input| first_reader[input] = first_reader[input].min(levels[node]));
    }
    // Rows that are empty now are left out.
    let mut used = vec![0; levels.iter().max().map_or(0, |last| last + 1)];
    nodes.iter().for_each(|&node| used[levels[node]] = 1);
    let rows: Vec<usize> =
        used.iter().scan(0, |before, &used| Some(std::mem::replace(before, *before + used))).collect();
    nodes.iter().for_each(|&node| levels[node] = rows[levels[node]]);
    levels
}

/// What stands in a row.
#[derive(Clone, Copy, PartialEq)]
enum What {
    Node(NodeId),
    /// Stands for a node that is drawn elsewhere; a scalar is simply written again.
    Reference(NodeId),
    /// A point that a line goes through.
    Bend,
}

struct Placed {
    what: What,
    level: usize,
}

/// A line through boxes of adjacent rows: the output that it leaves and the input that it reaches, by number.
struct Line {
    through: Vec<usize>,
    output: u32,
    slot: usize,
}

/// What is drawn, before it has places.
struct Sketch {
    boxes: Vec<Placed>,
    lines: Vec<Line>,
    bends: usize,
}

impl Sketch {
    fn new(tape: &Tape, shown: &Shown, levels: &[usize], reach: usize) -> Self {
        let mut sketch = Self { boxes: Vec::new(), lines: Vec::new(), bends: 0 };
        let mut box_of = vec![usize::MAX; tape.nodes.len()];
        let mut references: FxHashMap<(NodeId, usize), usize> = FxHashMap::default();
        for node in shown.ones() {
            let id = NodeId(node as u32);
            if !is_scalar(tape, id) {
                box_of[node] = sketch.add(What::Node(id), levels[node]);
            }
            let mut own_scalars: FxHashMap<NodeId, usize> = FxHashMap::default();
            for (slot, input) in tape.nodes[node].inputs.iter().enumerate() {
                let (from, to) = (levels[input.node.index()], levels[node]);
                let mut through = Vec::new();
                if is_scalar(tape, input.node) {
                    let scalar = own_scalars.entry(input.node);
                    through.push(*scalar.or_insert_with(|| sketch.add(What::Reference(input.node), to - 1)));
                } else if to - from > reach {
                    let reference = references.entry((input.node, to - 1));
                    through.push(*reference.or_insert_with(|| sketch.add(What::Reference(input.node), to - 1)));
                } else {
                    through.push(box_of[input.node.index()]);
                    through.extend((from + 1..to).map(|level| sketch.add(What::Bend, level)));
                    sketch.bends += to - from - 1;
                }
                through.push(box_of[node]);
                sketch.lines.push(Line { through, output: input.output, slot });
            }
        }
        // A scalar that nothing reads is drawn all the same.
        for node in shown.ones().map(|node| NodeId(node as u32)).filter(|&node| is_scalar(tape, node)) {
            if !sketch.boxes.iter().any(|other| other.what == What::Reference(node)) {
                sketch.add(What::Reference(node), 0);
            }
        }
        sketch
    }

    fn add(&mut self, what: What, level: usize) -> usize {
        self.boxes.push(Placed { what, level });
        self.boxes.len() - 1
    }

    fn place(self, tape: &Tape, outputs: &[NodeId]) -> String {
        let scopes = Scopes::new(tape, &self.boxes);
        let referenced: Vec<NodeId> = self.boxes.iter().filter_map(|placed| reference(tape, placed.what)).collect();
        let texts: Vec<Vec<String>> = self
            .boxes
            .iter()
            .map(|placed| words(tape, placed.what, referenced.contains(&number(placed.what))))
            .collect();
        let rows = 1 + self.boxes.iter().map(|placed| placed.level).max().unwrap_or(0);
        let mut picture = VisualGraph::new(Orientation::TopToBottom);
        picture.dag.set_validate(false);
        let mut ranks = vec![Vec::new(); rows];
        let handles: Vec<NodeHandle> = self
            .boxes
            .iter()
            .zip(&texts)
            .map(|(placed, text)| {
                let handle = picture.add_node(element(placed.what, text));
                ranks[placed.level].push(handle);
                handle
            })
            .collect();
        for pair in self.lines.iter().flat_map(|line| line.through.windows(2)) {
            picture.dag.add_edge(handles[pair[0]], handles[pair[1]]);
        }
        let cost = |pair: &[Vec<NodeHandle>]| pair[0].len().pow(2) * pair[1].len();
        let ordering: usize = ranks.windows(2).map(cost).sum();
        *picture.dag.ranks_mut() = ranks;
        if ordering <= MAX_ORDERING {
            EdgeCrossOptimizer::new(&mut picture.dag).optimize();
        }
        Placer::new(&mut picture).layout(false);
        let mut places: Vec<Position> = handles.iter().map(|&handle| picture.pos(handle)).collect();
        // The placer moves bends out of their row to pass a box, which makes a line turn back on itself.
        let mut middles = vec![0.0; rows];
        let boxes = || self.boxes.iter().enumerate();
        boxes()
            .filter(|(_, one)| one.what != What::Bend)
            .for_each(|(own, one)| middles[one.level] = places[own].center().y);
        boxes().filter(|(_, one)| one.what == What::Bend).for_each(|(own, one)| places[own].set_y(middles[one.level]));
        self.draw(tape, outputs, &scopes, &texts, &places)
    }

    fn draw(
        &self,
        tape: &Tape,
        outputs: &[NodeId],
        scopes: &Scopes,
        texts: &[Vec<String>],
        places: &[Position],
    ) -> String {
        let fold = |edge: fn(&Position) -> f64, pick: fn(f64, f64) -> f64| places.iter().map(edge).reduce(pick);
        let left = fold(|place| place.left(false), f64::min).unwrap_or(0.0) - MARGIN;
        let top = fold(|place| place.top(false), f64::min).unwrap_or(0.0) - MARGIN - scopes.height();
        let right = fold(|place| place.right(false), f64::max).unwrap_or(0.0) + MARGIN;
        let bottom = fold(|place| place.bottom(false), f64::max).unwrap_or(0.0) + MARGIN;
        let width = (right - left).max(scopes.width());
        let mut text = head(width, bottom - top);
        scopes.write(&mut text);
        let _ = writeln!(text, "<g transform=\"translate({:.1} {:.1})\">", -left, -top);
        for line in &self.lines {
            self.write_line(&mut text, tape, line, places);
        }
        for ((placed, lines), place) in self.boxes.iter().zip(texts).zip(places) {
            write_box(&mut text, tape, placed.what, lines, place, scopes, outputs);
        }
        text.push_str("</g>\n</svg>\n");
        text
    }

    fn write_line(&self, text: &mut String, tape: &Tape, line: &Line, places: &[Position]) {
        let (first, last) = (line.through[0], line.through[line.through.len() - 1]);
        let port = |place: &Position, number: usize, count: usize| {
            place.left(false) + place.size(false).x * (number + 1) as f64 / (count + 1) as f64
        };
        let outputs = tape.nodes[number(self.boxes[first].what).index()].outputs.len();
        let inputs = tape.nodes[number(self.boxes[last].what).index()].inputs.len();
        let (mut x, mut y) = (port(&places[first], line.output as usize, outputs), places[first].bottom(false));
        let _ = write!(text, "<path class=\"line\" d=\"M{x:.1} {y:.1}");
        for &stop in &line.through[1..] {
            let place = &places[stop];
            let (to_x, to_y) = if stop == last {
                (port(place, line.slot, inputs), place.top(false) - ARROW)
            } else {
                (place.center().x, place.center().y)
            };
            let middle = (y + to_y) / 2.0;
            let _ = write!(text, "C{x:.1} {middle:.1} {to_x:.1} {middle:.1} {to_x:.1} {to_y:.1}");
            (x, y) = (to_x, to_y);
        }
        text.push_str("\"/>\n");
    }
}

const MARGIN: f64 = 16.0;
/// The length of an arrow's head.
const ARROW: f64 = 6.0;
/// The advance of a letter and of a line of text.
const LETTER: f64 = 6.7;
const TEXT_LINE: f64 = 14.0;

fn number(what: What) -> NodeId {
    match what {
        What::Node(node) | What::Reference(node) => node,
        What::Bend => NodeId(u32::MAX),
    }
}

/// The node that a box refers to in the place of a line.
fn reference(tape: &Tape, what: What) -> Option<NodeId> {
    match what {
        What::Reference(node) if !is_scalar(tape, node) => Some(node),
        _ => None,
    }
}

fn is_scalar(tape: &Tape, node: NodeId) -> bool {
    match tape.nodes[node.index()].source {
        Source::Constant(constant) => matches!(tape.constants[constant as usize], Constant::Scalar(_)),
        _ => false,
    }
}

/// The lines of text in a box.
fn words(tape: &Tape, what: What, referenced: bool) -> Vec<String> {
    let node = match what {
        What::Bend => return Vec::new(),
        What::Node(node) | What::Reference(node) => node,
    };
    let name = shortened(&label(tape, node));
    if is_scalar(tape, node) {
        return vec![name];
    }
    if let What::Reference(_) = what {
        return vec![format!("{node:?} {name}")];
    }
    let shapes: Vec<String> = tape.nodes[node.index()].outputs.iter().map(shape).collect();
    let first = if referenced { format!("{node:?} {name}") } else { name };
    vec![first, shortened(&shapes.join(", "))]
}

/// The end of a long name says more than its start.
fn shortened(name: &str) -> String {
    const LONGEST: usize = 32;
    match name.chars().count() {
        count if count <= LONGEST => name.to_owned(),
        count => std::iter::once('…').chain(name.chars().skip(count - LONGEST + 1)).collect(),
    }
}

fn element(what: What, text: &[String]) -> Element {
    let longest = text.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let (shape, size, halo) = match what {
        What::Bend => (ShapeKind::Connector(None), Point::splat(1.0), Point::new(14.0, 34.0)),
        _ => {
            let size = Point::new(longest as f64 * LETTER + 14.0, text.len() as f64 * TEXT_LINE + 8.0);
            (ShapeKind::Box(String::new()), size, Point::new(18.0, 34.0))
        }
    };
    let pos = Position::new(Point::zero(), size, Point::zero(), halo);
    Element { shape, pos, look: StyleAttr::simple(), orientation: Orientation::TopToBottom, properties: None }
}

fn write_box(
    text: &mut String,
    tape: &Tape,
    what: What,
    lines: &[String],
    place: &Position,
    scopes: &Scopes,
    outputs: &[NodeId],
) {
    let node = match what {
        What::Bend => return,
        What::Node(node) | What::Reference(node) => node,
    };
    let (x, y, size) = (place.left(false), place.top(false), place.size(false));
    let refers = reference(tape, what).is_some();
    let _ = match what {
        What::Node(_) => write!(text, "<g id=\"n{}\">", node.0),
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
            scopes.color(tape, node)
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
        let (x, y) = (place.middle().x, y + 15.0 + line as f64 * TEXT_LINE);
        let class = if line == 0 { "" } else { " class=\"shape\"" };
        let _ = write!(text, "<text{class} x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(words));
    }
    text.push_str(if refers { "</a>\n" } else { "</g>\n" });
}

/// The scopes that have a colour of their own, by their outermost names.
struct Scopes {
    /// How many names are told apart.
    depth: usize,
    paths: Vec<String>,
}

/// Pale, so that black text is read on them, and apart in lightness, too, for eyes that do not see all hues.
const COLORS: [&str; 10] =
    ["#cfe2f3", "#fde0c5", "#d5ecd0", "#f6cfd3", "#e3d7f1", "#fff3bf", "#cdeeee", "#f8d6ea", "#e6e0d4", "#d9e3a5"];

impl Scopes {
    /// As many names of the paths as there are colours for.
    fn new(tape: &Tape, boxes: &[Placed]) -> Self {
        let nodes = boxes.iter().filter(|placed| placed.what != What::Bend).map(|placed| number(placed.what));
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

    fn color(&self, tape: &Tape, node: NodeId) -> &'static str {
        let path = tape.scope_path(tape.nodes[node.index()].scope);
        let own = self.paths.iter().position(|other| other == outermost(&path, self.depth));
        own.map_or("#ffffff", |place| COLORS[place % COLORS.len()])
    }

    fn height(&self) -> f64 {
        if self.paths.is_empty() { 0.0 } else { 34.0 }
    }

    fn width_of(path: &str) -> f64 {
        path.chars().count() as f64 * LETTER + 30.0
    }

    fn width(&self) -> f64 {
        2.0 * MARGIN + self.paths.iter().map(|path| Self::width_of(&shortened(path))).sum::<f64>()
    }

    fn write(&self, text: &mut String) {
        let mut x = MARGIN;
        for (path, place) in self.paths.iter().zip(0..) {
            let path = shortened(path);
            let _ = writeln!(
                text,
                "<rect class=\"op\" x=\"{x:.1}\" y=\"{MARGIN}\" width=\"12\" height=\"12\" rx=\"2\" fill=\"{}\"/>\
                 <text class=\"scope\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                COLORS[place % COLORS.len()],
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

fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            // XML has no way to write these.
            other if other.is_control() => text.push('\u{fffd}'),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks what every picture must be: well-formed tags, references that lead somewhere, no number that is not one.
    fn draw(graph: &Graph, outputs: &[Var<'_>]) -> String {
        let picture = graph.svg(outputs).expect("small enough");
        let count = |what: &str| picture.matches(what).count();
        assert_eq!((count("<svg"), count("</svg>")), (1, 1));
        assert_eq!(count("<g ") + count("<g>"), count("</g>"));
        assert_eq!(count("<a "), count("</a>"));
        assert_eq!(count("<text"), count("</text>"));
        for (place, start) in picture.match_indices("<a href=\"#") {
            let end = picture[place..].find("\">").expect("the tag is closed");
            let id = &picture[place + start.len()..place + end];
            assert!(picture.contains(&format!("<g id=\"{id}\">")), "{id}");
        }
        assert!(!picture.contains("NaN") && !picture.contains("inf\""));
        picture
    }

    #[test]
    fn a_small_model_shows_its_names_shapes_and_scopes() {
        let graph = Graph::new();
        let x = graph.input("x <&>", [2, 3]);
        let loss = {
            let _scope = graph.scope("hidden");
            (x * 0.5).sum()
        };
        let picture = draw(&graph, &[loss]);
        for part in ["x &lt;&amp;&gt;", ">[2, 3]<", ">mul<", ">sum<", ">0.5<", ">hidden<", " in scope `hidden` at "] {
            assert!(picture.contains(part), "{part} in\n{picture}");
        }
        assert_eq!(picture, draw(&graph, &[loss]));
    }

    #[test]
    fn what_is_far_away_is_referred_to() {
        let graph = Graph::new();
        let x = graph.input("x", [2]);
        let near = (0..4).fold(x, |y, _| y.recip()) * x;
        assert!(!draw(&graph, &[near]).contains("<a "));
        let far = (0..20).fold(x, |y, _| y.recip()) * x;
        assert!(draw(&graph, &[far]).contains("<a href=\"#n0\">"));
    }

    #[test]
    fn graphs_without_structure_are_drawn() {
        let graph = Graph::new();
        draw(&graph, &[]);
        graph.scalar(1.0);
        draw(&graph, &[]);
        graph.normal([2]);
        draw(&graph, &[]);
    }

    #[test]
    fn paths_that_meet_again_take_no_exponential_time() {
        let graph = Graph::new();
        let y = (0..60).fold(graph.input("x", [2]), |y, _| y * y);
        draw(&graph, &[y]);
    }

    #[test]
    fn random_graphs_are_drawn() {
        let mut state = 1_u64;
        let mut below = |count: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % count
        };
        for round in 0..60 {
            let graph = Graph::new();
            let mut vars = vec![graph.normal([2])];
            let size = if round == 0 { 300 } else { below(40) };
            for _ in 0..size {
                let (a, b) = (vars[below(vars.len())], vars[vars.len() - 1 - below(vars.len().min(8))]);
                let name = format!("scope {}", below(12));
                vars.push({
                    let _scope = graph.scope(&name);
                    match below(8) {
                        0 => graph.normal([2]),
                        1 => a.recip(),
                        2 => a * 0.5,
                        _ => a * b,
                    }
                });
            }
            draw(&graph, &[]);
            draw(&graph, &[vars[below(vars.len())]]);
        }
    }

    #[test]
    fn a_graph_that_nobody_could_read_is_refused() {
        let graph = Graph::new();
        let start = graph.input("x", [1]);
        let end = (0..2_000).fold(start, |x, _| x.recip());
        let error = graph.svg(&[end]).expect_err("too large");
        assert_eq!(error.kind(), ErrorKind::Picture);
        assert!(error.to_string().starts_with("a picture of 2001 nodes would be too large to read: at most 2000"));
        draw(&graph, &[start.square()]);
    }

    #[test]
    fn a_long_name_keeps_its_end() {
        assert_eq!(shortened("short"), "short");
        let long = shortened(&format!("{}.weight", "encoder.".repeat(9)));
        assert_eq!(long.chars().count(), 32);
        assert!(long.starts_with('…') && long.ends_with(".weight"));
    }
}
