//! The arguments of a kernel.

use crate::shape::Shape;

/// The elements of one input of a kernel, row-major without gaps.
#[derive(Clone, Copy, Debug)]
pub enum Array<'a, T> {
    /// Real numbers.
    Real(&'a [T]),
    /// Indices.
    Index(&'a [i64]),
}

impl<'a, T> Array<'a, T> {
    /// The real numbers of an input that is real by the op's shape rule.
    pub fn real(self) -> &'a [T] {
        match self {
            Self::Real(values) => values,
            Self::Index(_) => unreachable!("the shape rule accepted an index input as real"),
        }
    }

    /// The indices of an input that is an index by the op's shape rule.
    pub fn index(self) -> &'a [i64] {
        match self {
            Self::Index(values) => values,
            Self::Real(_) => unreachable!("the shape rule accepted a real input as an index"),
        }
    }
}

/// The memory of one output of a kernel, row-major without gaps. Its initial contents are unspecified.
#[derive(Debug)]
pub enum ArrayMut<'a, T> {
    /// Real numbers.
    Real(&'a mut [T]),
    /// Indices.
    Index(&'a mut [i64]),
}

impl<T> ArrayMut<'_, T> {
    /// The real numbers of an output that is real by the op's shape rule.
    pub fn real(&mut self) -> &mut [T] {
        match self {
            Self::Real(values) => values,
            Self::Index(_) => unreachable!("the shape rule gave an index output"),
        }
    }

    /// The indices of an output that is an index by the op's shape rule.
    pub fn index(&mut self) -> &mut [i64] {
        match self {
            Self::Index(values) => values,
            Self::Real(_) => unreachable!("the shape rule gave a real output"),
        }
    }
}

/// The arguments of a kernel: elements and shapes of the inputs, memory and shapes of the outputs.
pub struct Work<'a, 'b, T> {
    /// The inputs.
    pub inputs: &'a [Array<'b, T>],
    /// Their shapes.
    pub input_shapes: &'a [Shape],
    /// The outputs.
    pub outputs: &'a mut [ArrayMut<'b, T>],
    /// Their shapes.
    pub output_shapes: &'a [Shape],
    /// Scratch memory of at least [`Op::workspace`](super::Op::workspace) elements. Its initial contents are
    /// unspecified.
    pub workspace: &'a mut [T],
}
