//! Numbers that say how training goes, and warnings that say what to do.
//!
//! [`Updates`] measures what a step did to each parameter: how far it moved, beside its size and its gradient.
//! [`ActivationStatistics`] looks at what a layer gives: units that are saturated or dead. Both give [`Warning`]s, which name
//! a parameter or a layer and suggest something; what is too much or too little is in [`Thresholds`].
//!
//! All sums are in double precision and in the order of the elements, so that a run repeats them bit for bit.

mod activations;
mod updates;
mod warning;

pub use activations::{ActivationStatistics, Nonlinearity};
pub use updates::{GradientStatistics, UpdateHistograms, UpdateReport, UpdateStatistics, Updates};
pub use warning::{Thresholds, Trouble, Warning};
