//! Variables: handles to the values of a graph.

use std::fmt;

use super::op::{Kind, Meta};
use super::{Graph, NodeId, Value};
use crate::shape::Shape;

/// A value of a graph. It is `Copy`; arithmetic and methods append nodes and give new variables.
///
/// Methods panic at the caller's line if shapes do not fit; [`Graph::apply`] returns an error instead.
#[derive(Clone, Copy)]
pub struct Var<'g> {
    pub(crate) graph: &'g Graph,
    pub(crate) value: Value,
}

impl<'g> Var<'g> {
    /// The graph that the variable belongs to.
    pub fn graph(self) -> &'g Graph {
        self.graph
    }

    /// The node that computes the variable.
    pub fn node(self) -> NodeId {
        self.value.node
    }

    /// Kind and shape.
    pub fn meta(self) -> Meta {
        self.graph.tape().meta(self.value).clone()
    }

    /// The sizes of the axes.
    pub fn shape(self) -> Shape {
        self.graph.tape().meta(self.value).shape.clone()
    }

    /// Real numbers or indices.
    pub fn kind(self) -> Kind {
        self.graph.tape().meta(self.value).kind
    }

    /// The number of axes.
    pub fn rank(self) -> usize {
        self.graph.tape().meta(self.value).shape.rank()
    }
}

impl PartialEq for Var<'_> {
    /// Whether both are the same output of the same node.
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.graph, other.graph) && self.value == other.value
    }
}

impl fmt::Debug for Var<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tape = self.graph.tape();
        write!(f, "{:?} {} {}", self.value.node, tape.name(self.value.node), tape.meta(self.value).shape)
    }
}
