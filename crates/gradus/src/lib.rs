#![doc = include_str!("../../../README.md")]

pub use gradus_data as data;
pub use gradus_graph::*;
pub use gradus_minimize as minimize;
pub use gradus_nn as nn;
pub use gradus_optim as optim;
pub use gradus_train as train;

/// The guides, so that their examples are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/gradient-checks.md")]
struct GradientChecks;
