//! The built-in ops, one file an op or close family. Each is written as a user's op would be.

mod activation;
mod arithmetic;
mod axes;
mod compare;
mod exponential;
mod matmul;
mod power;
mod rounding;
mod sum;
mod trigonometric;
mod unary;
mod view;

pub use arithmetic::Operand;
pub use axes::Axes;
