#![doc = include_str!("../../../README.md")]

pub use gradus_data as data;
pub use gradus_graph::*;
pub use gradus_nn as nn;
pub use gradus_optim as optim;
pub use gradus_train as train;
