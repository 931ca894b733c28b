//! Graphs as plain descriptions, which a file can hold and another program can build again.

mod build;
mod describe;
mod description;
#[cfg(test)]
mod tests;

pub use description::{GraphDescription, NodeDescription};
