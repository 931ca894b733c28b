//! The update rules of Gradus.
//!
//! An update is a chain of small links (clip, decay, scale by moments) with a learning rate; a ready-made rule is such
//! a chain under its usual name, and a tuple joins parts in the order in which they act. [`Optimizer`] runs a chain over
//! the parameters in one pass over memory and keeps its state, by name. A new rule is mostly a new [`Link`], written
//! once for every precision; [`battery::check`] tests it in one line.
//!
//! [`Group`] gives some parameters a rule of their own. Links before a rule act on the gradient ([`LossScale`],
//! [`ClipGlobalNorm`], [`AddNoise`]), those after it on its steps ([`Lookahead`], [`Average`]). [`Accumulator`] and
//! [`Sam`] stand beside an optimizer. A learning rate is a number or a [`Schedule`].
//!
//! Rules consume tensors and know no graph. Formulas and defaults are PyTorch's; where others differ, the rule's file
//! says so and offers their form.
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
pub mod battery;
mod block;
mod chain;
mod elements;
mod error;
mod gradients;
mod link;
mod links;
mod moved;
mod norm;
mod optimizer;
mod rules;
mod sam;
mod schedule;
mod schedules;
mod state;
mod survey;
mod walk;
mod whole;

pub use accumulator::Accumulator;
pub use block::Block;
pub use chain::{Chain, Part};
pub use elements::Elements;
pub use error::StepError;
pub use link::{Link, Numbers, Over, Step, TensorLink};
pub use links::{
    AddNoise, Average, Centralize, ClipAdaptive, ClipGlobalNorm, ClipNorm, ClipValue, DecayWeights, Group,
    LearningRate, Lookahead, LossScale, MatrixScale, Momentum, Only, Orthogonalize, PenaltyL1, ProximalL1, RateFactor,
    RunningMean, ScheduleFree, Sign, TrustRatio,
};
pub use norm::Norm;
pub use optimizer::{NonFinite, Optimizer};
pub use rules::{
    AdaBelief, Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, AmsGrad, Asgd, DAdaptAdam, DAdaptSgd, Lamb, Lars,
    Lion, Muon, NAdam, NovoGrad, Prodigy, RAdam, RmsProp, Rprop, ScheduleFreeAdamW, ScheduleFreeSgd, Sgd, Shampoo,
    SignSgd, Soap, Sophia, Yogi,
};
pub use sam::Sam;
pub use schedule::{Rate, Schedule};
pub use schedules::{
    Cosine, CosineRestarts, Cyclic, Exponential, InverseSqrt, Join, MultiStep, OneCycle, Polynomial, RangeCurve,
    RangeTest, ReduceOnPlateau, StepDecay, WarmUp,
};
pub use state::{Memory, RestoreError, State};
pub use whole::Whole;
