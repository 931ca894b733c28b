//! The order of the boxes in their rows, and their positions, by `layout-rs`.

use layout::adt::dag::NodeHandle;
use layout::core::base::Orientation;
use layout::core::geometry::{Point, Position};
use layout::core::style::StyleAttr;
use layout::std_shapes::shapes::{Element, ShapeKind};
use layout::topo::layout::VisualGraph;
use layout::topo::optimizer::EdgeCrossOptimizer;
use layout::topo::placer::Placer;

use super::draw::{LETTER, TEXT_LINE, shortened};
use super::sketch::{BoxKind, Sketch, is_scalar, node_of, reference};
use crate::picture::{label, shape};
use crate::tape::{NodeId, Tape};

/// The most work of the passes that reduce crossings, which take time cubic in the width of the rows; more is skipped.
const MAX_ORDERING: usize = 1_000_000;

/// The text in each box, and the position of each.
pub(super) struct Placement {
    pub(super) texts: Vec<Vec<String>>,
    pub(super) positions: Vec<Position>,
}

/// Orders the boxes within their rows and computes their positions.
pub(super) fn place(sketch: &Sketch, tape: &Tape) -> Placement {
    let referenced: Vec<NodeId> = sketch.boxes.iter().filter_map(|one| reference(tape, one.kind)).collect();
    let texts: Vec<Vec<String>> =
        sketch.boxes.iter().map(|one| box_text(tape, one.kind, referenced.contains(&node_of(one.kind)))).collect();
    let rows = 1 + sketch.boxes.iter().map(|one| one.row).max().unwrap_or(0);
    let mut picture = VisualGraph::new(Orientation::TopToBottom);
    picture.dag.set_validate(false);
    let mut ranks = vec![Vec::new(); rows];
    let handles: Vec<NodeHandle> = sketch
        .boxes
        .iter()
        .zip(&texts)
        .map(|(one, text)| {
            let handle = picture.add_node(element(one.kind, text));
            ranks[one.row].push(handle);
            handle
        })
        .collect();
    for pair in sketch.lines.iter().flat_map(|line| line.through.windows(2)) {
        picture.dag.add_edge(handles[pair[0]], handles[pair[1]]);
    }
    let cost = |pair: &[Vec<NodeHandle>]| pair[0].len().pow(2) * pair[1].len();
    let ordering: usize = ranks.windows(2).map(cost).sum();
    *picture.dag.ranks_mut() = ranks;
    if ordering <= MAX_ORDERING {
        EdgeCrossOptimizer::new(&mut picture.dag).optimize();
    }
    Placer::new(&mut picture).layout(false);
    let mut positions: Vec<Position> = handles.iter().map(|&handle| picture.pos(handle)).collect();
    // The placer moves bends out of their row to pass a box, which makes a line turn back on itself.
    let mut middles = vec![0.0; rows];
    let boxes = || sketch.boxes.iter().enumerate();
    boxes()
        .filter(|(_, one)| one.kind != BoxKind::Bend)
        .for_each(|(own, one)| middles[one.row] = positions[own].center().y);
    boxes().filter(|(_, one)| one.kind == BoxKind::Bend).for_each(|(own, one)| positions[own].set_y(middles[one.row]));
    Placement { texts, positions }
}

/// The lines of text in a box.
fn box_text(tape: &Tape, kind: BoxKind, referenced: bool) -> Vec<String> {
    let node = match kind {
        BoxKind::Bend => return Vec::new(),
        BoxKind::Node(node) | BoxKind::Reference(node) => node,
    };
    let name = shortened(&label(tape, node));
    if is_scalar(tape, node) {
        return vec![name];
    }
    if let BoxKind::Reference(_) = kind {
        return vec![format!("{node:?} {name}")];
    }
    let shapes: Vec<String> = tape.nodes[node.index()].outputs.iter().map(shape).collect();
    let first = if referenced { format!("{node:?} {name}") } else { name };
    vec![first, shortened(&shapes.join(", "))]
}

fn element(kind: BoxKind, text: &[String]) -> Element {
    let longest = text.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let (shape, size, halo) = match kind {
        BoxKind::Bend => (ShapeKind::Connector(None), Point::splat(1.0), Point::new(14.0, 34.0)),
        _ => {
            let size = Point::new(longest as f64 * LETTER + 14.0, text.len() as f64 * TEXT_LINE + 8.0);
            (ShapeKind::Box(String::new()), size, Point::new(18.0, 34.0))
        }
    };
    let pos = Position::new(Point::zero(), size, Point::zero(), halo);
    Element { shape, pos, look: StyleAttr::simple(), orientation: Orientation::TopToBottom, properties: None }
}
