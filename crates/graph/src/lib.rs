//! The computation graph of Gradus.

pub mod kernel;
mod params;
mod real;
mod shape;
mod tensor;

pub use params::{Param, Params};
pub use real::Real;
pub use shape::{Layout, Shape};
pub use tensor::Tensor;
