//! `+ − × ÷` of tensors, with broadcasting, and of tensors and numbers.

use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

use super::Tensor;
use crate::shape::Layout;

impl<T: Copy> Tensor<T> {
    /// `f` of each pair of elements, after broadcasting; for comparisons, for example.
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Tensor;
    /// let (found, classes) = (Tensor::from([2, 0, 1]), Tensor::from([2, 1, 1]));
    /// let hits: Tensor<f64> = found.zip_map(&classes, |a, b| if a == b { 1.0 } else { 0.0 });
    /// assert_eq!(hits.data(), [1.0, 0.0, 1.0]);
    /// ```
    #[track_caller]
    pub fn zip_map<U: Copy, V: Clone>(&self, other: &Tensor<U>, f: impl FnMut(T, U) -> V) -> Tensor<V> {
        joined("zip_map", self, other, f)
    }
}

#[track_caller]
fn joined<T: Copy, U: Copy, V: Clone>(
    what: &str,
    a: &Tensor<T>,
    b: &Tensor<U>,
    mut f: impl FnMut(T, U) -> V,
) -> Tensor<V> {
    let Some(shape) = a.shape.broadcast(&b.shape) else {
        panic!("`{what}` of {} and {}: {}", a.shape, b.shape, a.shape.why_no_broadcast(&b.shape))
    };
    if a.shape == b.shape {
        return Tensor::new(shape, a.data.iter().zip(b.data.iter()).map(|(&a, &b)| f(a, b)).collect());
    }
    let [own, its] = [&a.shape, &b.shape].map(|part| Layout::contiguous(part.clone()).broadcast(&shape));
    let pairs = own.positions().zip(its.positions());
    Tensor::new(shape, pairs.map(|(own, its)| f(a.data[own], b.data[its])).collect())
}

/// An operator between tensors, by value and by reference, and with a number on the right.
macro_rules! operator {
    ($trait:ident, $method:ident, $assign:ident, $assigned:ident, $sign:literal) => {
        operator!($trait, $method, $sign, &Tensor<T>, &Tensor<T>);
        operator!($trait, $method, $sign, &Tensor<T>, Tensor<T>);
        operator!($trait, $method, $sign, Tensor<T>, &Tensor<T>);
        operator!($trait, $method, $sign, Tensor<T>, Tensor<T>);
        operator!($trait, $method, &Tensor<T>);
        operator!($trait, $method, Tensor<T>);
        operator!($trait, $method, f32 f64 i64);

        impl<T, O> $assign<O> for Tensor<T>
        where
            for<'a> &'a Tensor<T>: $trait<O, Output = Tensor<T>>,
        {
            #[track_caller]
            fn $assigned(&mut self, other: O) {
                *self = $trait::$method(&*self, other);
            }
        }
    };
    ($trait:ident, $method:ident, $sign:literal, $left:ty, $right:ty) => {
        impl<T: Copy + $trait<Output = T>> $trait<$right> for $left {
            type Output = Tensor<T>;

            #[track_caller]
            fn $method(self, other: $right) -> Tensor<T> {
                joined($sign, &self, &other, $trait::$method)
            }
        }
    };
    ($trait:ident, $method:ident, $left:ty) => {
        impl<T: Copy + $trait<Output = T>> $trait<T> for $left {
            type Output = Tensor<T>;

            fn $method(self, other: T) -> Tensor<T> {
                self.map(|&x| $trait::$method(x, other))
            }
        }
    };
    ($trait:ident, $method:ident, $($number:ident)+) => {$(
        impl $trait<&Tensor<$number>> for $number {
            type Output = Tensor<$number>;

            fn $method(self, other: &Tensor<$number>) -> Tensor<$number> {
                other.map(|&x| $trait::$method(self, x))
            }
        }

        impl $trait<Tensor<$number>> for $number {
            type Output = Tensor<$number>;

            fn $method(self, other: Tensor<$number>) -> Tensor<$number> {
                other.map(|&x| $trait::$method(self, x))
            }
        }
    )+};
}

operator!(Add, add, AddAssign, add_assign, "+");
operator!(Sub, sub, SubAssign, sub_assign, "-");
operator!(Mul, mul, MulAssign, mul_assign, "*");
operator!(Div, div, DivAssign, div_assign, "/");

impl<T: Copy + Neg<Output = T>> Neg for &Tensor<T> {
    type Output = Tensor<T>;

    fn neg(self) -> Tensor<T> {
        self.map(|&x| -x)
    }
}

impl<T: Copy + Neg<Output = T>> Neg for Tensor<T> {
    type Output = Tensor<T>;

    fn neg(self) -> Tensor<T> {
        -&self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_of_tensors_and_numbers_on_either_side() {
        let (a, b) = (Tensor::<f32>::from([1.0, 4.0]), Tensor::from([2.0, 8.0]));
        assert_eq!((&a + &b).data(), [3.0, 12.0]);
        assert_eq!((&b - a.clone()).data(), [1.0, 4.0]);
        assert_eq!((a.clone() * &b / b.clone()).data(), a.data());
        assert_eq!((2.0 - &a * 3.0 + (-&a)).data(), [-2.0, -14.0]);
        assert_eq!((1.0 / (a.clone() + 1.0)).data(), [0.5, 0.2]);
        assert_eq!((7 - Tensor::from([1_i64, 2]) * 2).data(), [5, 3]);
    }

    #[test]
    fn shapes_broadcast() {
        let (column, row) = (Tensor::from_rows([[10.0], [20.0]]), Tensor::from([1.0, 2.0, 3.0]));
        assert_eq!(&column + &row, Tensor::from_rows([[11.0, 12.0, 13.0], [21.0, 22.0, 23.0]]));
        assert_eq!(&Tensor::scalar(1.0) - &row, Tensor::from([0.0, -1.0, -2.0]));
        assert_eq!((&Tensor::<f64>::zeros([0, 1]) * &row).shape().sizes(), [0, 3]);
        assert_eq!(row.zip_map(&column, |x, y| x > y).data(), [false; 6]);
    }

    #[test]
    fn assignment_leaves_clones() {
        let mut x = Tensor::from([1.0, 2.0]);
        let before = x.clone();
        x += &before;
        x *= 3.0;
        x -= Tensor::scalar(1.0);
        x /= &before;
        assert_eq!((x.data(), before.data()), (&[5.0, 5.5][..], &[1.0, 2.0][..]));
    }

    #[test]
    #[should_panic(expected = "`+` of [2] and [3]: the shapes do not broadcast")]
    fn shapes_that_do_not_broadcast_are_refused() {
        let _ = Tensor::<f32>::zeros([2]) + Tensor::zeros([3]);
    }
}
