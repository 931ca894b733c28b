//! The row of each node of a picture.

use super::Shown;
use crate::tape::{Source, Tape};

/// For each node its row, counted from the top: the one below the last of its inputs or, where that makes no other line
/// longer, the one above the first of its readers.
pub(super) fn layers(tape: &Tape, shown: &Shown) -> Vec<usize> {
    let inputs = |node: usize| tape.nodes[node].inputs.iter().map(|input| input.node.index());
    let mut layers = vec![0; tape.nodes.len()];
    // The highest row that is possible.
    for node in shown.ones() {
        layers[node] = inputs(node).map(|input| layers[input] + 1).max().unwrap_or(0);
    }
    // A node that depends on no data, or on one such input alone, can be moved down without making another line longer.
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
            layers[node] = first_reader[node] - 1;
        }
        inputs(node).for_each(|input| first_reader[input] = first_reader[input].min(layers[node]));
    }
    // Remove the rows that have become empty.
    let mut used = vec![0; layers.iter().max().map_or(0, |last| last + 1)];
    nodes.iter().for_each(|&node| used[layers[node]] = 1);
    let rows: Vec<usize> =
        used.iter().scan(0, |before, &used| Some(std::mem::replace(before, *before + used))).collect();
    nodes.iter().for_each(|&node| layers[node] = rows[layers[node]]);
    layers
}
