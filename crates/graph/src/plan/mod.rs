//! Running a graph.

mod feed;
mod reference;

pub use feed::{Data, Feed};
pub use reference::AnyTensor;
