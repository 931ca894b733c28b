//! The content of a picture: boxes with their rows, and the lines between them.

use rustc_hash::FxHashMap;

use super::Shown;
use crate::tape::{Constant, NodeId, Source, Tape};

/// What a box of a row shows.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum BoxKind {
    Node(NodeId),
    /// A reference to a node that is drawn elsewhere; a scalar is drawn at each of its readers.
    Reference(NodeId),
    /// A point on a line that crosses the row.
    Bend,
}

pub(super) struct RowBox {
    pub(super) kind: BoxKind,
    pub(super) row: usize,
}

/// A line through boxes of adjacent rows, from an output of the first to an input of the last, by number.
pub(super) struct Line {
    pub(super) through: Vec<usize>,
    pub(super) output: u32,
    pub(super) slot: usize,
}

/// The content of a picture, before it has positions.
pub(super) struct Sketch {
    pub(super) boxes: Vec<RowBox>,
    pub(super) lines: Vec<Line>,
    pub(super) bends: usize,
}

impl Sketch {
    pub(super) fn new(tape: &Tape, shown: &Shown, layers: &[usize], reach: usize) -> Self {
        let mut sketch = Self { boxes: Vec::new(), lines: Vec::new(), bends: 0 };
        let mut box_of = vec![usize::MAX; tape.nodes.len()];
        let mut references: FxHashMap<(NodeId, usize), usize> = FxHashMap::default();
        for node in shown.ones() {
            let id = NodeId(node as u32);
            if !is_scalar(tape, id) {
                box_of[node] = sketch.add(BoxKind::Node(id), layers[node]);
            }
            let mut own_scalars: FxHashMap<NodeId, usize> = FxHashMap::default();
            for (slot, input) in tape.nodes[node].inputs.iter().enumerate() {
                let (from, to) = (layers[input.node.index()], layers[node]);
                let mut through = Vec::new();
                if is_scalar(tape, input.node) {
                    let scalar = own_scalars.entry(input.node);
                    through.push(*scalar.or_insert_with(|| sketch.add(BoxKind::Reference(input.node), to - 1)));
                } else if to - from > reach {
                    let reference = references.entry((input.node, to - 1));
                    through.push(*reference.or_insert_with(|| sketch.add(BoxKind::Reference(input.node), to - 1)));
                } else {
                    through.push(box_of[input.node.index()]);
                    through.extend((from + 1..to).map(|row| sketch.add(BoxKind::Bend, row)));
                    sketch.bends += to - from - 1;
                }
                through.push(box_of[node]);
                sketch.lines.push(Line { through, output: input.output, slot });
            }
        }
        // A scalar without readers is drawn as well.
        for node in shown.ones().map(|node| NodeId(node as u32)).filter(|&node| is_scalar(tape, node)) {
            if !sketch.boxes.iter().any(|other| other.kind == BoxKind::Reference(node)) {
                sketch.add(BoxKind::Reference(node), 0);
            }
        }
        sketch
    }

    fn add(&mut self, kind: BoxKind, row: usize) -> usize {
        self.boxes.push(RowBox { kind, row });
        self.boxes.len() - 1
    }
}

pub(super) fn node_of(kind: BoxKind) -> NodeId {
    match kind {
        BoxKind::Node(node) | BoxKind::Reference(node) => node,
        BoxKind::Bend => NodeId(u32::MAX),
    }
}

/// The node that a box refers to instead of a line.
pub(super) fn reference(tape: &Tape, kind: BoxKind) -> Option<NodeId> {
    match kind {
        BoxKind::Reference(node) if !is_scalar(tape, node) => Some(node),
        _ => None,
    }
}

pub(super) fn is_scalar(tape: &Tape, node: NodeId) -> bool {
    match tape.nodes[node.index()].source {
        Source::Constant(constant) => matches!(tape.constants[constant as usize], Constant::Scalar(_)),
        _ => false,
    }
}
