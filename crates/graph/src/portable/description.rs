//! What a graph is, in names and numbers.

use crate::tape::op::{Attributes, Meta, Metas};
use crate::tensor::AnyTensor;

/// What some outputs of a graph need, in names and numbers: [`Graph::describe`](crate::Graph::describe) makes it, and
/// [`GraphDescription::build`] makes a graph of it that computes the same values, bit for bit.
///
/// It holds what gives the values: of an op that was recorded as its expansion, the expansion alone. So a derivative in
/// the graph that is built is that of the expansion.
///
/// # Example
/// ```
/// use gradus_graph::{Feed, Graph, Ops, Params, Tensor};
/// let graph = Graph::new();
/// let x = graph.input("x", [2]);
/// let description = graph.describe(&[(x * 3.0).exp()], &Ops::builtin())?;
/// assert!(description.nodes.iter().any(|node| node.op == "exp"));
///
/// let built = Graph::new();
/// let outputs = description.build(&built, &Ops::builtin(), |_| None)?;
/// let x = Tensor::from([0.0, 1.0]);
/// let values = built.eval_with::<f64>(&outputs, &Params::new(0), &Feed::new().with("x", &x))?;
/// assert_eq!(values[0].real().data()[0], 1.0);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GraphDescription {
    /// The nodes, each after those that it reads. The inputs of the graph come in the order of their declaration, and so
    /// do the random leaves, whose numbers depend on their order.
    pub nodes: Vec<NodeDescription>,
    /// The constants that have axes or are indices.
    pub constants: Vec<AnyTensor<f64>>,
    /// The outputs: each a node and the number of its output.
    pub outputs: Vec<(u32, u32)>,
}

/// A node of a [`GraphDescription`].
#[derive(Clone, Debug, PartialEq)]
pub struct NodeDescription {
    /// The name of the op in files, or what kind of leaf it is: `input` or `parameter` (attribute `name`), `constant`
    /// (`value`, or `number`, the index among the constants), `random` (`distribution`, and `probability` or `range`).
    pub op: String,
    /// The version of the op; 1 for a leaf.
    pub version: u32,
    /// The attributes of the op.
    pub attributes: Attributes,
    /// What it reads: each an earlier node and the number of its output.
    pub inputs: Vec<(u32, u32)>,
    /// Kinds and shapes of the outputs.
    pub outputs: Metas,
}

impl GraphDescription {
    /// The inputs of the graph, in the order of their declaration.
    pub fn inputs(&self) -> impl Iterator<Item = (String, &Meta)> {
        self.named("input").filter_map(|node| Some((node.attributes.get("name").ok()?, node.outputs.first()?)))
    }

    /// The names of the parameters that the graph reads.
    pub fn parameters(&self) -> impl Iterator<Item = String> {
        self.named("parameter").filter_map(|node| node.attributes.get("name").ok())
    }

    fn named(&self, op: &'static str) -> impl Iterator<Item = &NodeDescription> {
        self.nodes.iter().filter(move |node| node.op == op)
    }
}
