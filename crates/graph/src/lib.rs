//! The computation graph of Gradus.

pub mod check;
mod diff;
mod error;
pub mod kernel;
mod ops;
mod params;
mod picture;
mod plan;
mod real;
mod shape;
mod tape;
mod tensor;

pub use error::{Error, ErrorKind};
pub use ops::{Axes, Operand};
pub use params::{Param, Params};
pub use plan::{AnyTensor, Data, Feed, Outputs, Plan, Session, Summary};
pub use real::Real;
pub use shape::{Layout, Shape};
pub use tape::op::{
    Array, ArrayMut, Call, Domain, Form, Kind, Kinks, Meta, Metas, Number, Op, Pointwise, Vars, Vjp, Work,
    expect_index, expect_inputs, expect_real,
};
pub use tape::{Edge, Edges, Graph, GraphView, NodeId, Nodes, Scoped, Var};
pub use tensor::Tensor;
