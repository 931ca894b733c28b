//! The built-in ops, one file an op or close family. Each is written as a user's op would be.

mod argmax;
mod arithmetic;
mod axes;
mod concat;
mod cross_entropy;
mod extremes;
mod indices;
mod matmul;
mod moments;
mod one_hot;
mod power;
mod reduction;
mod runs;
mod softmax;
mod sum;
mod take_along;
mod view;

pub use arithmetic::Operand;
pub use axes::Axes;
