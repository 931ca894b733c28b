//! The forms in which callers write shapes: arrays, slices, vectors, one size, and targets with a size that is
//! inferred.

use smallvec::SmallVec;

use super::{Shape, Sizes};

/// Sizes of axes as a caller writes them: an array, a slice, a vector, one size, a shape.
///
/// Functions with a shape as argument take this, so that a panic about invalid sizes has the name of the op and the
/// line of the caller.
pub trait IntoShape {
    /// The shape.
    ///
    /// # Errors
    /// If the number of elements cannot be addressed.
    fn try_into_shape(self) -> Result<Shape, String>
    where
        Self: Sized,
    {
        Shape::of_sizes(self.into_sizes())
    }

    /// The sizes, not checked yet.
    #[doc(hidden)]
    fn into_sizes(self) -> Sizes;
}

impl IntoShape for Shape {
    fn try_into_shape(self) -> Result<Shape, String> {
        Ok(self)
    }

    fn into_sizes(self) -> Sizes {
        self.0
    }
}

impl IntoShape for &Shape {
    fn try_into_shape(self) -> Result<Shape, String> {
        Ok(self.clone())
    }

    fn into_sizes(self) -> Sizes {
        self.0.clone()
    }
}

/// Implements [`IntoShape`] for lists of sizes, and the conversion that panics.
macro_rules! from_sizes {
    ($([$($generic:tt)*] $list:ty = |$sizes:ident| $make:expr;)*) => {$(
        impl<$($generic)*> IntoShape for $list {
            fn into_sizes(self) -> Sizes {
                let $sizes = self;
                $make
            }
        }

        impl<$($generic)*> From<$list> for Shape {
            /// # Panics
            /// If the number of elements cannot be addressed.
            #[track_caller]
            fn from(sizes: $list) -> Self {
                Self::expect_addressable(sizes.into_sizes())
            }
        }
    )*};
}

from_sizes! {
    [const N: usize] [usize; N] = |sizes| SmallVec::from_slice(&sizes);
    [] &[usize] = |sizes| SmallVec::from_slice(sizes);
    [] Vec<usize> = |sizes| SmallVec::from_vec(sizes);
    [] usize = |size| SmallVec::from_slice(&[size]);
}

/// The target shape of [`Var::reshape`](crate::Var::reshape) and [`Tensor::reshape`](crate::Tensor::reshape), of which
/// one size may be inferred.
///
/// It is any [`IntoShape`], or an array of up to eight `i32` or `isize`, one of which may be −1: `[3, -1]`. In an array
/// of `usize` the size to infer is [`Var::INFERRED`](crate::Var::INFERRED): `[rows, Var::INFERRED]`.
pub trait TargetShape {
    /// The sizes, with [`OPEN`] for −1.
    ///
    /// # Errors
    /// The first other negative size.
    #[doc(hidden)]
    fn sizes(self) -> Result<Sizes, isize>;
}

/// The size that is inferred from the others.
pub(crate) const OPEN: usize = usize::MAX;

impl<S: IntoShape> TargetShape for S {
    fn sizes(self) -> Result<Sizes, isize> {
        Ok(self.into_sizes())
    }
}

macro_rules! signed_sizes {
    ($($number:ty: $($count:literal)*;)*) => {$($(
        impl TargetShape for [$number; $count] {
            fn sizes(self) -> Result<Sizes, isize> {
                let size = |size| match size {
                    -1 => Ok(OPEN),
                    size => usize::try_from(size).map_err(|_| size as isize),
                };
                self.into_iter().map(size).collect()
            }
        }
    )*)*};
}

// Not for length 0, so that the type of `[]` is inferred as an array of `usize`.
signed_sizes! {
    i32: 1 2 3 4 5 6 7 8;
    isize: 1 2 3 4 5 6 7 8;
}

impl Shape {
    /// The target shape for the elements of this shape, with its open size inferred.
    ///
    /// # Errors
    /// If the numbers of elements differ; the message does not contain this shape.
    pub(crate) fn reshaped(&self, target: impl TargetShape) -> Result<Shape, String> {
        let negative =
            |size| format!("a size of {size}; only -1, for the size that follows from the others, may be negative");
        let mut sizes = target.sizes().map_err(negative)?;
        let total = self.len();
        if let Some(axis) = sizes.iter().position(|&size| size == OPEN) {
            if sizes[axis + 1..].contains(&OPEN) {
                return Err("one size follows from the others, but two are left open".into());
            }
            sizes[axis] = 1;
            let others = Self::of_sizes(sizes.clone())?;
            let rest = others.len();
            if rest == 0 || !total.is_multiple_of(rest) {
                return Err(format!("{total} elements cannot be divided over axis {axis} of {others} beside {rest}"));
            }
            sizes[axis] = total / rest;
        }
        let shape = Self::of_sizes(sizes)?;
        match shape.len() {
            wanted if wanted == total => Ok(shape),
            wanted => Err(format!("{total} elements do not fill {shape} ({wanted} elements)")),
        }
    }
}

impl From<&Shape> for Shape {
    fn from(shape: &Shape) -> Self {
        shape.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_size_of_a_target_may_be_left_open() {
        let shape = Shape::from([2, 3, 4]);
        let sizes = |target: Result<Shape, String>| target.unwrap().to_vec();
        let rows = 6_usize;
        assert_eq!(sizes(shape.reshaped([3, -1])), [3, 8]);
        assert_eq!(sizes(shape.reshaped([-1])), [24]);
        assert_eq!(sizes(shape.reshaped([rows, 4])), [6, 4]);
        assert_eq!(sizes(shape.reshaped([rows, OPEN])), [6, 4]);
        assert_eq!(sizes(shape.reshaped([rows as isize, -1, 2])), [6, 2, 2]);
        assert_eq!(sizes(shape.reshaped(24)), [24]);
        assert_eq!(sizes(shape.reshaped(vec![4, 6])), [4, 6]);
        assert_eq!(sizes(Shape::scalar().reshaped([])), [0_usize; 0]);
        assert_eq!(sizes(Shape::from([0, 3]).reshaped([-1, 3])), [0, 3]);
        let problem = |target: Result<Shape, String>| target.unwrap_err();
        assert_eq!(problem(shape.reshaped([5, -1])), "24 elements cannot be divided over axis 1 of [5, 1] beside 5");
        assert_eq!(problem(shape.reshaped([0, -1])), "24 elements cannot be divided over axis 1 of [0, 1] beside 0");
        assert_eq!(problem(shape.reshaped([-1, -1])), "one size follows from the others, but two are left open");
        assert_eq!(problem(shape.reshaped([5, 5])), "24 elements do not fill [5, 5] (25 elements)");
        assert!(problem(shape.reshaped([-12, -2])).starts_with("a size of -12; only -1, "));
    }
}
