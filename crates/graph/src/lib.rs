//! The computation graph of Gradus: tensors, the tape and its ops, derivatives, gradient checks, plans and kernels.
//!
//! A [`Graph`] is recorded by arithmetic on [`Var`]s, differentiated by [`Graph::grad`] and related methods (which
//! append nodes), looked at with [`Graph::eval`], and compiled to a [`Plan`], whose [`Session`]s run it in `f32` or
//! `f64` on values of [`Params`] and a [`Feed`]. New ops implement [`Op`] or [`Pointwise`]; [`check`] compares
//! derivatives with differences.
//!
//! # Example
//! ```
//! use gradus_graph::{Graph, Tensor};
//! let graph = Graph::new();
//! let x = graph.constant(&Tensor::from([1.0, 2.0]));
//! let y = (x.square() + x.sin()).sum();
//! let slope = graph.grad(y, &[x])?[0];
//! assert_eq!(graph.eval(slope)?.data()[0], 2.0 + 1.0_f64.cos());
//! # Ok::<(), gradus_graph::Error>(())
//! ```

#[macro_use]
mod saved_op;

mod axes;
pub mod check;
mod closure;
mod diff;
mod eager;
mod error;
mod grad;
pub mod kernel;
mod ops;
mod params;
mod picture;
mod plan;
mod portable;
mod random;
mod real;
mod setting;
mod shape;
mod tape;
mod tensor;
mod xml;

pub use axes::Axes;
pub use closure::{loss_fn, loss_with_aux_fn, model_fn};
pub use diff::CheckpointSchedule;
pub use error::{Error, ErrorKind};
pub use grad::{grad, value_and_grad};
pub use kernel::convolution::Convolution;
pub use kernel::max_pool::Span;
#[doc(hidden)]
pub use kernel::reduce::Total;
#[cfg(any(test, feature = "proptest"))]
pub use ops::registry;
pub use params::{Param, Params, ValueMut, hash_of_name};
pub use plan::{Arena, Feed, Inputs, Outputs, Plan, Profile, ProfileEntry, Session, Summary};
pub use portable::{GraphDescription, NodeDescription};
pub use random::Random;
pub use real::Real;
pub use setting::{POSITIVE, expect_setting};
pub use shape::{IntoShape, Layout, Shape, TargetShape, Window};
/// Makes [`Metas`] and [`Vars`]: `smallvec![Meta::real([2])]`.
pub use smallvec::smallvec;
pub use tape::op::{
    Accepts, Arithmetic, Array, ArrayMut, Attribute, AttributeValue, Attributes, Call, Derivative, Domain, Form, Kind,
    Kinks, Meta, Metas, Number, Op, Ops, Pointwise, SavedOp, Signature, Vars, Work,
};
pub use tape::{Edge, Edges, Graph, GraphView, NodeId, Nodes, Operand, Scoped, Substituted, Var};
pub use tensor::{AnyTensor, Data, SparseRows, Tensor};
