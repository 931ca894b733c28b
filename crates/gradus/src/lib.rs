#![doc = include_str!("../../../README.md")]

pub use gradus_graph::*;
pub use gradus_train as train;
