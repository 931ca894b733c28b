//! petgraph's `visit` traits over the tape, so that its algorithms run on a graph without a copy of it.
//!
//! The tape is a plain vector. Edges point from producer to consumer: an edge is an input slot of its target, so
//! `x * x` has two edges that differ only in the slot. The outgoing edges of a node are found in a table of consumers,
//! which is made on first use. This is the only file whose signatures name petgraph.

use std::cell::{OnceCell, Ref};
use std::iter::Map;
use std::ops::Range;
use std::slice;

use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::{
    Data, EdgeCount, EdgeRef, GetAdjacencyMatrix, GraphBase, GraphProp, IntoEdgeReferences, IntoEdges,
    IntoEdgesDirected, IntoNeighbors, IntoNeighborsDirected, IntoNodeIdentifiers, IntoNodeReferences,
    NodeCompactIndexable, NodeCount, NodeIndexable, Visitable,
};
use petgraph::{Directed, Direction};

use super::op::{Meta, Metas};
use super::{Graph, NodeId, Source, Tape};

type Index = NodeIndex<u32>;

/// A graph as petgraph sees it, borrowed by [`Graph::view`].
///
/// It implements the traits of petgraph 0.8's `visit` module. Nodes have petgraph's own index type, whose number is
/// that of [`NodeId::index`](crate::NodeId::index). The weight of a node is the [`Metas`] of its outputs, that of an
/// edge the [`Meta`] of its value. An edge is identified by its target and the number of the input there.
///
/// A graph can be millions of nodes deep, and some algorithms of petgraph are recursive (`tarjan_scc`,
/// `is_cyclic_directed`, `depth_first_search`); use their iterative counterparts (`kosaraju_scc`, `toposort`, `Dfs`).
///
/// # Example
/// ```
/// use gradus_graph::Graph;
/// use petgraph::algo::{connected_components, has_path_connecting, toposort};
/// use petgraph::visit::{EdgeCount, NodeIndexable};
/// let graph = Graph::new();
/// let x = graph.input("x", [3]);
/// let y = (x * x).sum();
/// let view = graph.view();
/// assert_eq!(view.edge_count(), 3);
/// assert_eq!(connected_components(&view), 1);
/// let (from, to) = (view.from_index(x.node().index()), view.from_index(y.node().index()));
/// assert!(has_path_connecting(&view, from, to, None));
/// assert!(toposort(&view, None).is_ok());
/// ```
pub struct GraphView<'a> {
    tape: Ref<'a, Tape>,
    consumers: OnceCell<Consumers>,
}

/// For each node, the edges that leave it: entries `starts[node]..starts[node + 1]` of `edges`.
struct Consumers {
    starts: Vec<u32>,
    /// Target and slot, in the order of the tape.
    edges: Vec<(u32, u32)>,
}

impl Consumers {
    /// In two passes over the tape: the first counts the edges of each node, the second stores them.
    fn of(tape: &Tape) -> Self {
        let count = tape.nodes.len();
        let mut starts = vec![0_u32; count + 1];
        for input in tape.nodes.iter().flat_map(|node| &node.inputs) {
            starts[input.node.index() + 1] += 1;
        }
        for node in 0..count {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let mut edges = vec![(0, 0); starts[count] as usize];
        for (target, node) in tape.nodes.iter().enumerate() {
            for (slot, input) in node.inputs.iter().enumerate() {
                let index = &mut next[input.node.index()];
                edges[*index as usize] = (target as u32, slot as u32);
                *index += 1;
            }
        }
        Self { starts, edges }
    }
}

impl Graph {
    /// The graph for petgraph's algorithms, without a copy. While the view is alive, appending a node panics.
    pub fn view(&self) -> GraphView<'_> {
        GraphView { tape: self.tape(), consumers: OnceCell::new() }
    }
}

impl GraphView<'_> {
    /// The description of a node as in messages: "`matmul` in scope `hidden` at src/main.rs:3:4".
    pub fn describe(&self, node: NodeIndex<u32>) -> String {
        self.tape.describe(NodeId(node.index() as u32))
    }

    /// The op of a node, or what kind of leaf it is: `matmul`, `input`, `parameter`.
    pub fn op(&self, node: NodeIndex<u32>) -> &'static str {
        self.tape.name(NodeId(node.index() as u32))
    }

    /// The name of an input or of a parameter; of any other node, that of its op.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Graph;
    /// use petgraph::visit::NodeIndexable;
    /// let graph = Graph::new();
    /// let scope = graph.scope("head");
    /// let y = graph.input("x", [3]).exp();
    /// drop(scope);
    /// let view = graph.view();
    /// let [x, y] = [0, y.node().index()].map(|node| view.from_index(node));
    /// assert_eq!((view.op(x), view.name(x), view.name(y)), ("input", "x", "exp"));
    /// assert_eq!(view.scope(y), "head");
    /// ```
    pub fn name(&self, node: NodeIndex<u32>) -> &str {
        match self.tape.nodes[node.index()].source {
            Source::Input(input) => &self.tape.inputs[input as usize].0,
            Source::Param(param) => self.tape.params[param as usize].0.name(),
            _ => self.op(node),
        }
    }

    /// The dotted path of the scope that a node was recorded in; empty outside of scopes.
    pub fn scope(&self, node: NodeIndex<u32>) -> String {
        self.tape.scope_path(self.tape.nodes[node.index()].scope)
    }

    pub(crate) fn tape(&self) -> &Tape {
        &self.tape
    }

    fn consumers(&self, node: u32) -> slice::Iter<'_, (u32, u32)> {
        let Consumers { starts, edges } = self.consumers.get_or_init(|| Consumers::of(&self.tape));
        edges[starts[node as usize] as usize..starts[node as usize + 1] as usize].iter()
    }

    fn edge(&self, target: u32, slot: u32) -> Edge<'_> {
        let value = self.tape.nodes[target as usize].inputs[slot as usize];
        Edge { source: Index::new(value.node.index()), target: Index::from(target), slot, meta: self.tape.meta(value) }
    }
}

/// An edge of a [`GraphView`]: an input of its target.
#[derive(Clone, Copy, Debug)]
pub struct Edge<'a> {
    source: Index,
    target: Index,
    slot: u32,
    meta: &'a Meta,
}

impl EdgeRef for Edge<'_> {
    type NodeId = Index;
    type EdgeId = (Index, u32);
    type Weight = Meta;

    fn source(&self) -> Index {
        self.source
    }

    fn target(&self) -> Index {
        self.target
    }

    fn weight(&self) -> &Meta {
        self.meta
    }

    fn id(&self) -> (Index, u32) {
        (self.target, self.slot)
    }
}

/// Edges of a [`GraphView`], in the order of the tape.
pub struct Edges<'a> {
    view: &'a GraphView<'a>,
    iter: EdgeIter<'a>,
}

enum EdgeIter<'a> {
    /// All inputs of the nodes from `target` to `end`, the next of them being `slot`.
    Inputs {
        target: u32,
        slot: u32,
        end: u32,
    },
    Consumers(slice::Iter<'a, (u32, u32)>),
}

impl<'a> Edges<'a> {
    fn all(view: &'a GraphView<'a>) -> Self {
        Self { view, iter: EdgeIter::Inputs { target: 0, slot: 0, end: view.tape.nodes.len() as u32 } }
    }

    fn at(view: &'a GraphView<'a>, node: Index, direction: Direction) -> Self {
        let node = node.index() as u32;
        let iter = match direction {
            Direction::Incoming => EdgeIter::Inputs { target: node, slot: 0, end: node + 1 },
            Direction::Outgoing => EdgeIter::Consumers(view.consumers(node)),
        };
        Self { view, iter }
    }
}

impl<'a> Iterator for Edges<'a> {
    type Item = Edge<'a>;

    fn next(&mut self) -> Option<Edge<'a>> {
        match &mut self.iter {
            EdgeIter::Inputs { target, slot, end } => {
                while target < end && *slot as usize == self.view.tape.nodes[*target as usize].inputs.len() {
                    (*target, *slot) = (*target + 1, 0);
                }
                (target < end).then(|| {
                    *slot += 1;
                    self.view.edge(*target, *slot - 1)
                })
            }
            EdgeIter::Consumers(edges) => edges.next().map(|&(target, slot)| self.view.edge(target, slot)),
        }
    }
}

/// The nodes of a [`GraphView`] with the kinds and shapes of their outputs.
pub struct Nodes<'a> {
    view: &'a GraphView<'a>,
    nodes: Range<u32>,
}

impl<'a> Iterator for Nodes<'a> {
    type Item = (Index, &'a Metas);

    fn next(&mut self) -> Option<Self::Item> {
        self.nodes.next().map(|node| (Index::from(node), &self.view.tape.nodes[node as usize].outputs))
    }
}

impl GraphBase for GraphView<'_> {
    type EdgeId = (Index, u32);
    type NodeId = Index;
}

impl Data for GraphView<'_> {
    type NodeWeight = Metas;
    type EdgeWeight = Meta;
}

impl GraphProp for GraphView<'_> {
    type EdgeType = Directed;
}

impl NodeCount for GraphView<'_> {
    fn node_count(&self) -> usize {
        self.tape.nodes.len()
    }
}

impl EdgeCount for GraphView<'_> {
    fn edge_count(&self) -> usize {
        self.tape.nodes.iter().map(|node| node.inputs.len()).sum()
    }
}

impl NodeIndexable for GraphView<'_> {
    fn node_bound(&self) -> usize {
        self.tape.nodes.len()
    }

    fn to_index(&self, node: Index) -> usize {
        node.index()
    }

    fn from_index(&self, index: usize) -> Index {
        Index::new(index)
    }
}

impl NodeCompactIndexable for GraphView<'_> {}

impl Visitable for GraphView<'_> {
    /// A bit set, named by a type of petgraph so that no further dependency is needed.
    type Map = <DiGraph<(), ()> as Visitable>::Map;

    fn visit_map(&self) -> Self::Map {
        Self::Map::with_capacity(self.node_bound())
    }

    fn reset_map(&self, map: &mut Self::Map) {
        map.clear();
        map.grow(self.node_bound());
    }
}

impl GetAdjacencyMatrix for GraphView<'_> {
    type AdjMatrix = ();

    fn adjacency_matrix(&self) {}

    /// Searches the inputs of `b`, which are few.
    fn is_adjacent(&self, (): &(), a: Index, b: Index) -> bool {
        self.tape.nodes[b.index()].inputs.iter().any(|input| input.node.index() == a.index())
    }
}

impl IntoNodeIdentifiers for &GraphView<'_> {
    type NodeIdentifiers = Map<Range<u32>, fn(u32) -> Index>;

    fn node_identifiers(self) -> Self::NodeIdentifiers {
        (0..self.tape.nodes.len() as u32).map(Index::from)
    }
}

impl<'a> IntoNodeReferences for &'a GraphView<'_> {
    type NodeRef = (Index, &'a Metas);
    type NodeReferences = Nodes<'a>;

    fn node_references(self) -> Nodes<'a> {
        Nodes { view: self, nodes: 0..self.tape.nodes.len() as u32 }
    }
}

impl<'a> IntoEdgeReferences for &'a GraphView<'_> {
    type EdgeRef = Edge<'a>;
    type EdgeReferences = Edges<'a>;

    fn edge_references(self) -> Edges<'a> {
        Edges::all(self)
    }
}

impl<'a> IntoEdges for &'a GraphView<'_> {
    type Edges = Edges<'a>;

    fn edges(self, node: Index) -> Edges<'a> {
        Edges::at(self, node, Direction::Outgoing)
    }
}

impl<'a> IntoEdgesDirected for &'a GraphView<'_> {
    type EdgesDirected = Edges<'a>;

    fn edges_directed(self, node: Index, direction: Direction) -> Edges<'a> {
        Edges::at(self, node, direction)
    }
}

impl<'a> IntoNeighbors for &'a GraphView<'_> {
    type Neighbors = Map<Edges<'a>, fn(Edge<'a>) -> Index>;

    fn neighbors(self, node: Index) -> Self::Neighbors {
        self.neighbors_directed(node, Direction::Outgoing)
    }
}

impl<'a> IntoNeighborsDirected for &'a GraphView<'_> {
    type NeighborsDirected = Map<Edges<'a>, fn(Edge<'a>) -> Index>;

    fn neighbors_directed(self, node: Index, direction: Direction) -> Self::NeighborsDirected {
        let end: fn(Edge<'a>) -> Index = match direction {
            Direction::Outgoing => |edge| edge.target,
            Direction::Incoming => |edge| edge.source,
        };
        Edges::at(self, node, direction).map(end)
    }
}

#[cfg(test)]
mod tests {
    use petgraph::algo::{
        connected_components, dominators, has_path_connecting, is_isomorphic, kosaraju_scc, toposort,
    };
    use petgraph::visit::Reversed;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// What to append to a tape: each entry a node, most of which read earlier nodes, often one of them twice.
    fn entries() -> impl Strategy<Value = Vec<(u8, prop::sample::Index, prop::sample::Index)>> {
        vec((0..6_u8, any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..40)
    }

    fn build(entries: &[(u8, prop::sample::Index, prop::sample::Index)]) -> Graph {
        let graph = Graph::new();
        let mut vars = vec![graph.normal([2])];
        for (what, a, b) in entries {
            let (a, b) = (*a.get(&vars), *b.get(&vars));
            vars.push(match what {
                0 => graph.normal([2]),
                1 => a.sum() + b,
                2 => a * a,
                3 => -a,
                _ => a * b,
            });
        }
        drop(vars);
        graph
    }

    fn copy(view: &GraphView<'_>) -> DiGraph<Metas, Meta> {
        let mut copy = DiGraph::new();
        view.node_references().for_each(|(_, metas)| {
            copy.add_node(metas.clone());
        });
        view.edge_references().for_each(|edge| {
            copy.add_edge(edge.source(), edge.target(), edge.weight().clone());
        });
        copy
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn petgraph_sees_what_it_would_see_in_a_copy(entries in entries()) {
            let graph = build(&entries);
            let view = graph.view();
            let copy = copy(&view);
            prop_assert_eq!(view.node_count(), copy.node_count());
            prop_assert_eq!(view.edge_count(), copy.edge_count());
            let sorted = |neighbors: &mut dyn Iterator<Item = Index>| {
                let mut neighbors: Vec<_> = neighbors.collect();
                neighbors.sort();
                neighbors
            };
            for node in view.node_identifiers() {
                prop_assert_eq!(sorted(&mut view.neighbors(node)), sorted(&mut copy.neighbors(node)));
                for direction in [Direction::Outgoing, Direction::Incoming] {
                    let (own, other) = ((&view).neighbors_directed(node, direction), copy.neighbors_directed(node, direction));
                    prop_assert_eq!(sorted(&mut { own }), sorted(&mut { other }));
                    for edge in (&view).edges_directed(node, direction) {
                        let end = if direction == Direction::Outgoing { edge.source() } else { edge.target() };
                        prop_assert_eq!(end, node);
                        prop_assert!(view.is_adjacent(&(), edge.source(), edge.target()));
                    }
                }
            }
            let mut ids: Vec<_> = view.edge_references().map(|edge| edge.id()).collect();
            ids.dedup();
            prop_assert_eq!(ids.len(), view.edge_count());

            let mut rank = vec![0; view.node_count()];
            let order = toposort(&view, None).expect("a tape has no cycle");
            prop_assert_eq!(order.len(), view.node_count());
            order.iter().enumerate().for_each(|(at, node)| rank[node.index()] = at);
            prop_assert!(view.edge_references().all(|edge| rank[edge.source().index()] < rank[edge.target().index()]));

            prop_assert_eq!(connected_components(&view), connected_components(&copy));
            prop_assert_eq!(kosaraju_scc(&view).len(), view.node_count());
            let root = Index::new(0);
            let (own, other) = (dominators::simple_fast(&view, root), dominators::simple_fast(&copy, root));
            let last = Index::new(view.node_count() - 1);
            let (own_back, other_back) =
                (dominators::simple_fast(Reversed(&view), last), dominators::simple_fast(Reversed(&copy), last));
            for node in view.node_identifiers() {
                prop_assert_eq!(own.immediate_dominator(node), other.immediate_dominator(node));
                prop_assert_eq!(own_back.immediate_dominator(node), other_back.immediate_dominator(node));
                prop_assert_eq!(
                    has_path_connecting(&view, root, node, None),
                    has_path_connecting(&copy, root, node, None)
                );
            }
        }
    }

    #[test]
    fn graphs_of_one_structure_are_isomorphic() {
        let build = |swap: bool| {
            let graph = Graph::new();
            let (a, b) = (graph.normal([2]), graph.normal([2]));
            let (a, b) = if swap { (b, a) } else { (a, b) };
            let _ = -a * b + a;
            graph
        };
        let (one, other) = (build(false), build(true));
        assert!(is_isomorphic(&one.view(), &other.view()));
        let different = build(false);
        let _ = different.normal([2]);
        assert!(!is_isomorphic(&one.view(), &different.view()));
    }

    #[test]
    fn a_chain_of_a_million_nodes_is_sorted_without_overflow() {
        let graph = Graph::new();
        let mut x = graph.normal([1]);
        for _ in 0..1_000_000 {
            x = -x;
        }
        let view = graph.view();
        let order = toposort(&view, None).expect("a tape has no cycle");
        assert!(order.iter().enumerate().all(|(rank, node)| rank == node.index()));
        assert_eq!(connected_components(&view), 1);
    }

    #[test]
    fn a_node_is_described_as_in_messages() {
        let graph = Graph::new();
        let _scope = graph.scope("loss");
        graph.normal([2]).recip();
        let text = graph.view().describe(Index::new(1));
        assert!(text.starts_with("`recip` in scope `loss` at "), "{text}");
    }
}
