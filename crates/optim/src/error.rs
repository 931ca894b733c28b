//! Why a step was refused.

use std::error::Error;
use std::fmt;

use gradus_graph::{Param, Shape};

/// Why a step was refused. Parameters and state are then as they were before it.
#[derive(Clone, Debug, PartialEq)]
pub enum StepError {
    /// The parameter is not in the store, or not the one whose state the optimizer holds.
    Unknown(Param),
    /// The parameter is frozen.
    Frozen(Param),
    /// The parameter has two gradients.
    Twice(Param),
    /// The gradient has another shape than the parameter.
    Shape(Param, Shape),
    /// The parameter belongs to no group of the rule.
    NoGroup(Param),
    /// The parameter belongs to two groups of the rule.
    TwoGroups(Param),
    /// No parameter of the store belongs to the group of that number, counted from 1.
    EmptyGroup(usize),
    /// An element of the gradient is NaN or infinite.
    NonFinite {
        /// The parameter.
        param: Param,
        /// The index of the first such element.
        index: Vec<usize>,
        /// The element.
        value: f64,
        /// The number of the step that was refused, counted from 1.
        step: u64,
    },
    /// A learning rate is NaN, negative or infinite in the precision of the parameters.
    LearningRate {
        /// The rate that the schedule gives.
        rate: f64,
        /// What it is multiplied by: [`Optimizer::scale_rate`](crate::Optimizer::scale_rate) and
        /// [`RateFactor`](crate::RateFactor).
        factor: f64,
        /// The type of the schedule.
        schedule: &'static str,
        /// The number of the step that was refused, counted from 1.
        step: u64,
    },
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(param) => {
                write!(f, "parameter `{}` of shape {} is not in this store", param.name(), param.shape())
            }
            Self::Frozen(param) => {
                write!(f, "parameter `{}` is frozen, but a gradient was given for it", param.name())
            }
            Self::Twice(param) => write!(f, "two gradients were given for parameter `{}`", param.name()),
            Self::Shape(param, given) => {
                write!(f, "parameter `{}` has shape {}; its gradient has {given}", param.name(), param.shape())
            }
            Self::NoGroup(param) => {
                write!(f, "parameter `{}` belongs to no group; `Group::rest` takes those of no other", param.name())
            }
            Self::TwoGroups(param) => write!(f, "parameter `{}` belongs to two groups of the rule", param.name()),
            Self::EmptyGroup(number) => write!(f, "no parameter belongs to group {number} of the rule"),
            Self::NonFinite { param, index, value, step } => {
                write!(f, "the gradient of `{}` is {value} at {index:?} in step {step}; ", param.name())?;
                f.write_str("no parameter was changed")
            }
            Self::LearningRate { rate, factor, schedule, step } => {
                write!(f, "the learning rate of step {step} must be at least 0 and finite, but the schedule ")?;
                write!(f, "`{schedule}` gives {rate}")?;
                if *factor != 1.0 {
                    write!(f, ", which is multiplied by {factor}")?;
                }
                f.write_str("; no parameter was changed")
            }
        }
    }
}

impl Error for StepError {}
