//! The built-in ops, one file an op or close family. Each is written as a user's op would be.

mod arithmetic;
mod axes;
mod matmul;
mod power;
mod sum;
mod view;

pub use arithmetic::Operand;
pub use axes::Axes;
