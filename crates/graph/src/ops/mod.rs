//! The built-in ops, one file an op or close family. Each is written as a user's op would be.

mod activation;
mod argmax;
mod arithmetic;
mod axes;
mod compare;
mod concat;
mod cross_entropy;
mod cumsum;
mod einsum;
mod einsum_spec;
mod exponential;
mod extremes;
mod index_select;
mod indices;
mod matmul;
mod moments;
mod norm;
mod one_hot;
mod outer;
mod power;
mod prod;
mod reduction;
mod rounding;
mod runs;
mod softmax;
mod split;
mod sum;
mod take_along;
mod triangle;
mod trigonometric;
mod unary;
mod view;

pub use arithmetic::Operand;
pub use axes::Axes;
