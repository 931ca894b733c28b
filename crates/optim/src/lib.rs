//! The update rules of Gradus.
//!
//! An update is a chain of small transforms (clip, decay, scale by moments) with a learning rate; a ready-made rule is
//! such a chain under its usual name, and a tuple joins parts in the order in which they act. [`Optimizer`] runs a
//! chain over the parameters in one pass over memory and keeps its state, by name. A new rule is mostly a new
//! [`Transform`], written once for every precision; [`testing::assert_rule`] tests it in one line.
//!
//! [`Group`] gives some parameters a rule of their own. Transforms before a rule act on the gradient ([`LossScale`],
//! [`ClipGlobalNorm`], [`AddNoise`]), those after it on its steps ([`Lookahead`], [`Average`]). [`Accumulator`] and
//! [`Sam`] work beside an optimizer. A learning rate is a number or a [`RateSchedule`].
//!
//! Rules take tensors and do not depend on graphs. The documentation of each type has its formula, defaults, state,
//! source and the one reference that it is compared with: PyTorch's where that has the rule, else Optax's or the
//! authors'.
//!
//! # Example
//! ```
//! use gradus_graph::{Params, Tensor};
//! use gradus_optim::{AdamW, ClipGlobalNorm, Optimizer};
//! let mut params: Params<f64> = Params::new(0);
//! let x = params.add("x", Tensor::from([3.0, -2.0]));
//! let mut optimizer = Optimizer::new((ClipGlobalNorm::new(1.0), AdamW::new(0.1)));
//! for _ in 0..300 {
//!     let gradient = params.get(&x).map(|x| 2.0 * (x - 1.0));
//!     optimizer.step(&mut params, [(&x, &gradient)]).unwrap();
//! }
//! params.get(&x).assert_close(&Tensor::from([1.0, 1.0]), 0.02, 0.0);
//! ```

mod accumulator;
mod block;
mod chain;
mod division;
mod element_loops;
mod error;
mod gradient;
mod gradient_checks;
mod norm;
mod optimizer;
mod param_state;
mod reductions;
mod rows_pass;
mod rules;
mod sam;
mod schedule;
mod schedules;
mod state;
mod state_tensor;
mod tensor_pass;
pub mod testing;
mod transform;
mod transforms;
mod whole_tensor;

pub use accumulator::Accumulator;
pub use block::Block;
pub use chain::{Chain, Part, Tensorwise};
pub use element_loops::Elements;
pub use error::StepError;
pub use gradient::Gradient;
pub use norm::{Norm, Sum};
pub use optimizer::{NonFinite, Optimizer};
pub use rules::{
    AdaBelief, Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, AmsGrad, Asgd, DAdaptAdam, DAdaptSgd, Lamb, Lars,
    Lion, Muon, NAdam, NovoGrad, Prodigy, RAdam, RmsProp, Rprop, ScheduleFreeAdamW, ScheduleFreeSgd, Sgd, Shampoo,
    SignSgd, Soap, Sophia, Yogi,
};
pub use sam::Sam;
pub use schedule::{Rate, RateSchedule};
pub use schedules::{
    Cosine, CosineRestarts, Cyclic, Exponential, InverseSqrt, Join, MultiStep, OneCycle, Polynomial, RangeCurve,
    RangeTest, ReduceOnPlateau, StepDecay, WarmUp,
};
pub use state::{RestoreError, SavedState, Stateful};
pub use state_tensor::StateTensor;
pub use transform::{Numbers, Over, StepInfo, Sums, TensorTransform, Transform};
pub use transforms::{
    AddNoise, Average, Centralize, ClipAdaptive, ClipGlobalNorm, ClipNorm, ClipValue, DecayWeights, Group,
    LearningRate, Lookahead, LossScale, MatrixScale, Momentum, Only, Orthogonalize, PenaltyL1, ProximalL1, RateFactor,
    RunningMean, ScheduleFree, Sign, TrustRatio,
};
pub use whole_tensor::WholeTensor;
