//! A graph as a standalone SVG file, so that no Graphviz is needed.
//!
//! The rows are computed here: an op is drawn below its inputs, a leaf above its first reader. A line that would cross
//! many rows, such as that of a value that the backward pass reads again, is replaced by a reference to the node. The
//! crate `layout-rs` orders the boxes of each row and computes their positions. Its own passes for rows and bends are
//! not used: they take exponential time on graphs with many paths between two nodes.

mod draw;
mod layers;
mod legend;
mod place;
mod sketch;

use std::panic::Location;

use super::{Shown, shown};
use crate::error::{Error, ErrorKind};
use crate::tape::{Graph, NodeId, Var};
use layers::layers;
use sketch::Sketch;

/// The most nodes of a picture; a larger one would be slow to make and unreadable.
const MAX_NODES: usize = 2_000;
/// The most rows that a line may cross: the first of these with few enough bends.
const REACH: [usize; 4] = [8, 4, 2, 1];
/// The most bends of all lines together.
const MAX_BENDS: usize = 600;

impl Graph {
    /// The part of the graph that `outputs` need (all of it if there are none) as the text of an SVG file. Data flows
    /// down. A box shows op and shape and has its scope's colour; inputs are round, parameters have a bold frame,
    /// outputs a double one. A dashed box is a reference to a value made further up, and links to it. The tooltip of a
    /// box is the line that made it. Behind the feature `svg`, which is on by default.
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
        self.check_own("svg", outputs, Location::caller())?;
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
        let layers = layers(tape, &shown);
        let mut sketches = REACH.into_iter().map(|reach| Sketch::new(tape, &shown, &layers, reach));
        let sketch = sketches.find(|sketch| sketch.bends <= MAX_BENDS).expect("a reach of one row makes no bends");
        if sketch.boxes.is_empty() {
            return Ok(draw::empty());
        }
        let outputs: Vec<NodeId> = outputs.iter().map(|output| output.node()).collect();
        Ok(draw::draw(tape, &sketch, &place::place(&sketch, tape), &outputs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

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
        let mut random = Random::new(1);
        let mut below = |count: usize| random.below(count);
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
}
