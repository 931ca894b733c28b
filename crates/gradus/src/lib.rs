//! [tutorial]: crate::guide::tutorial
//! [guide]: crate::guide::gradient_checks
//! [ops]: crate::guide::ops
//! [layers]: crate::guide::layers
//! [accuracy]: crate::guide::accuracy
//! [speed]: crate::guide::speed
//! [architecture]: crate::guide::architecture
//! [design]: crate::guide::design
//! [study]: crate::guide::study
//! [`Op`]: crate::op::Op
#![doc = include_str!("../README.md")]

pub use gradus_data as data;
pub use gradus_graph::{
    AnyTensor, Error, ErrorKind, Feed, Graph, Param, Params, Plan, Random, Real, Session, Shape, Tensor, Var, check,
    grad, loss_fn, loss_with_aux_fn, model_fn, value_and_grad,
};
pub use gradus_minimize as minimize;
pub use gradus_nn as nn;
pub use gradus_optim as optim;
pub use gradus_train as train;

pub mod guide;

/// What most programs name: `use gradus::prelude::*;`.
///
/// # Example
/// ```
/// use gradus::prelude::*;
/// let mut params: Params = Params::new(1);
/// let layer = nn::Dense::new(&mut params, "layer", 2, 1);
/// let mut step = Step::new(|_, [x, y]| loss::mse(layer.forward(x), y));
/// let mut optimizer = Optimizer::new(optim::Adam::new(0.01));
/// let (x, y) = (Tensor::<f32>::ones([4, 2]), Tensor::<f32>::ones([4, 1]));
/// let gradients = step.run(&mut params, (&x, &y))?;
/// optimizer.step(&mut params, &gradients)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub mod prelude {
    pub use crate::nn::{Layer, Mode, loss};
    pub use crate::optim::Optimizer;
    pub use crate::train::{Evaluation, Function, Step, Trainer};
    pub use crate::{Graph, Param, Params, Tensor, Var, nn, optim};
}

/// What the author of an op needs: the traits [`Op`](op::Op) and [`Pointwise`](op::Pointwise) with the types of their
/// methods, and the kernels.
pub mod op {
    #[cfg(feature = "proptest")]
    pub use gradus_graph::registry;
    pub use gradus_graph::{
        Accepts, Arithmetic, Array, ArrayMut, Call, Derivative, Domain, Form, Kind, Kinks, Layout, Meta, Metas, Number,
        Op, POSITIVE, Pointwise, Signature, Vars, Work, expect_setting, kernel, smallvec,
    };
    pub use gradus_graph::{Attribute, AttributeValue, Attributes, Ops, SavedOp, saved_op};
}

/// The types of running a plan that a program seldom names.
pub mod plan {
    pub use gradus_graph::{Arena, Data, Inputs, Outputs, Profile, ProfileEntry, Summary};
    pub use gradus_graph::{GraphDescription, NodeDescription};
}

/// The types of arguments and of guards that a program seldom names.
pub mod arguments {
    pub use gradus_graph::{
        Axes, CheckpointSchedule, Convolution, IntoShape, Operand, Scoped, Span, SparseRows, Substituted, TargetShape,
        ValueMut, Window,
    };
}

/// The graph as `petgraph` sees it: [`Graph::view`] gives a [`GraphView`](graph_view::GraphView), on which its algorithms
/// run.
pub mod graph_view {
    pub use gradus_graph::{Edge, Edges, GraphView, NodeId, Nodes};
}
