//! Dense row-major arrays.
//!
//! Elementwise arithmetic, views and concatenation are implemented here for elements of any type; reductions and
//! products call the ops of the graph, in [`crate::eager`]. Conversions to `ndarray` are a feature: as a dependency it
//! would be most of the code that a small model compiles.

mod any;
mod arithmetic;
mod creation;
mod print;
mod sparse_rows;
mod views;

use std::sync::Arc;

use crate::real::Real;
use crate::shape::{IntoShape, Shape, TargetShape, unravel};
pub use any::{AnyTensor, Data};
pub use sparse_rows::SparseRows;

/// A dense row-major array. Cloning shares the elements; writing to a shared tensor copies them first.
///
/// # Example
/// ```
/// use gradus_graph::Tensor;
/// let x = Tensor::new([2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
/// assert_eq!(x.shape().sizes(), [2, 3]);
/// assert_eq!(x.at(&[1, 2]), 6.0);
/// assert_eq!(x.to_string(), "[[1, 2, 3],\n [4, 5, 6]]");
/// ```
#[derive(Clone, PartialEq)]
pub struct Tensor<T> {
    shape: Shape,
    data: Arc<Vec<T>>,
}

impl<T: Clone> Tensor<T> {
    /// The tensor of the given shape with the elements in row-major order.
    ///
    /// # Panics
    /// If the number of elements is not the product of the sizes; [`Tensor::try_new`] returns an error instead.
    #[track_caller]
    pub fn new(shape: impl IntoShape, data: Vec<T>) -> Self {
        match Self::try_new(shape, data) {
            Ok(tensor) => tensor,
            Err(message) => panic!("{message}"),
        }
    }

    /// The tensor of the given shape with the elements in row-major order.
    ///
    /// # Errors
    /// If the number of elements is not the product of the sizes, or the sizes are no valid [`Shape`]: the message
    /// names them.
    pub fn try_new(shape: impl IntoShape, data: Vec<T>) -> Result<Self, String> {
        let shape = shape.try_into_shape()?;
        if shape.len() != data.len() {
            return Err(format!("a tensor of shape {shape} has {} elements; {} were given", shape.len(), data.len()));
        }
        Ok(Self { shape, data: Arc::new(data) })
    }

    /// The tensor of the given shape with all elements equal.
    ///
    /// # Panics
    /// If the sizes are no valid [`Shape`].
    #[track_caller]
    pub fn full(shape: impl IntoShape, value: T) -> Self {
        let shape = expect_shape("Tensor::full", shape);
        let data = Arc::new(vec![value; shape.len()]);
        Self { shape, data }
    }

    /// A scalar tensor, without axes.
    pub fn scalar(value: T) -> Self {
        Self::full(Shape::scalar(), value)
    }

    /// The tensor whose element `k` in row-major order is `value(k)`.
    ///
    /// # Panics
    /// If the sizes are no valid [`Shape`].
    #[track_caller]
    pub fn from_fn(shape: impl IntoShape, value: impl FnMut(usize) -> T) -> Self {
        let shape = expect_shape("Tensor::from_fn", shape);
        let data = Arc::new((0..shape.len()).map(value).collect());
        Self { shape, data }
    }

    /// The tensor with one axis that holds a copy of the slice.
    pub fn from_slice(values: &[T]) -> Self {
        Self { shape: Shape::from(values.len()), data: Arc::new(values.to_vec()) }
    }

    /// The matrix with the given rows.
    pub fn from_rows<const N: usize, const M: usize>(rows: [[T; M]; N]) -> Self {
        Self { shape: Shape::from([N, M]), data: Arc::new(rows.into_iter().flatten().collect()) }
    }

    /// The sizes of the axes.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The number of elements.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// The elements in row-major order.
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// The elements in row-major order, mutable; copied first if another tensor shares them.
    pub fn data_mut(&mut self) -> &mut [T] {
        Arc::make_mut(&mut self.data).as_mut_slice()
    }

    /// [`Tensor::full`], or the number of bytes that could not be allocated.
    pub(crate) fn filled(shape: &Shape, value: T) -> Result<Self, usize> {
        let mut data = Vec::new();
        data.try_reserve_exact(shape.len()).map_err(|_| shape.len().saturating_mul(size_of::<T>()))?;
        data.resize(shape.len(), value);
        Ok(Self { shape: shape.clone(), data: Arc::new(data) })
    }

    /// Whether another tensor shares the elements.
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.data) > 1
    }

    /// The elements in row-major order; copied only if another tensor shares them.
    pub fn into_vec(self) -> Vec<T> {
        Arc::unwrap_or_clone(self.data)
    }

    /// The same elements under another shape. One size may be −1: it is inferred from the others.
    ///
    /// # Panics
    /// If the numbers of elements differ, or the sizes are no valid [`Shape`].
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Tensor;
    /// let x = Tensor::from([1, 2, 3, 4]).reshape([2, -1]);
    /// assert_eq!(x, Tensor::from_rows([[1, 2], [3, 4]]));
    /// ```
    #[track_caller]
    pub fn reshape(&self, target: impl TargetShape) -> Self {
        match self.shape.reshaped(target) {
            Ok(shape) => Self { shape, data: Arc::clone(&self.data) },
            Err(problem) => panic!("`Tensor::reshape` of {}: {problem}", self.shape),
        }
    }

    /// The elements `start..end` along the first axis.
    ///
    /// # Panics
    /// If the tensor is a scalar or the range leaves the axis.
    #[track_caller]
    pub fn rows(&self, start: usize, end: usize) -> Self {
        assert!(
            self.shape.rank() > 0 && start <= end && end <= self.shape[0],
            "rows {start}..{end} of a tensor of shape {}",
            self.shape
        );
        let row: usize = self.shape[1..].iter().product();
        let shape = self.shape.with_size(0, end - start).expect("a part of a shape is a shape");
        Self { shape, data: Arc::new(self.data[start * row..end * row].to_vec()) }
    }

    /// The rows at the given indices of the first axis, in that order.
    ///
    /// # Panics
    /// If the tensor is a scalar or an index is out of range.
    #[track_caller]
    pub fn select_rows(&self, indices: &[usize]) -> Self {
        assert!(self.shape.rank() > 0, "a scalar has no rows");
        let row: usize = self.shape[1..].iter().product();
        let shape = match self.shape.with_size(0, indices.len()) {
            Ok(shape) => shape,
            Err(problem) => panic!("{} rows of a tensor of shape {}: {problem}", indices.len(), self.shape),
        };
        let mut data = Vec::with_capacity(shape.len());
        for &index in indices {
            assert!(index < self.shape[0], "row {index} of a tensor of shape {}", self.shape);
            data.extend_from_slice(&self.data[index * row..(index + 1) * row]);
        }
        Self { shape, data: Arc::new(data) }
    }

    /// The tensor with `f` applied to every element.
    pub fn map<U: Clone>(&self, f: impl FnMut(&T) -> U) -> Tensor<U> {
        Tensor { shape: self.shape.clone(), data: Arc::new(self.data.iter().map(f).collect()) }
    }
}

impl<T: Copy> Tensor<T> {
    /// The element at the given index, which has one number for each axis.
    ///
    /// # Panics
    /// If the index has the wrong length or leaves the shape.
    #[track_caller]
    pub fn at(&self, index: &[usize]) -> T {
        let fits = index.len() == self.shape.rank() && index.iter().zip(self.shape.iter()).all(|(i, size)| i < size);
        assert!(fits, "index {index:?} in a tensor of shape {}", self.shape);
        self.data[index.iter().zip(self.shape.iter()).fold(0, |position, (i, size)| position * size + i)]
    }

    /// The only element.
    ///
    /// # Panics
    /// If there is not exactly one element.
    #[track_caller]
    pub fn item(&self) -> T {
        assert!(self.len() == 1, "`item` needs exactly one element; the shape is {}", self.shape);
        self.data[0]
    }
}

impl<T: Real> Tensor<T> {
    /// The tensor of zeros.
    ///
    /// # Panics
    /// If the sizes are no valid [`Shape`].
    #[track_caller]
    pub fn zeros(shape: impl IntoShape) -> Self {
        Self::full(expect_shape("Tensor::zeros", shape), T::zero())
    }

    /// The tensor of ones.
    ///
    /// # Panics
    /// If the sizes are no valid [`Shape`].
    #[track_caller]
    pub fn ones(shape: impl IntoShape) -> Self {
        Self::full(expect_shape("Tensor::ones", shape), T::one())
    }

    /// The nearest tensor of another precision.
    pub fn cast<U: Real>(&self) -> Tensor<U> {
        self.map(|value| U::of(value.as_f64()))
    }

    /// Whether both have one shape and every pair of elements satisfies `|a − b| ≤ absolute + relative·|b|`. Equal
    /// infinities are close; NaN is not close to any number.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Tensor;
    /// let x = Tensor::from_slice(&[1.0, 2.0]);
    /// assert!(x.is_close(&Tensor::from_slice(&[1.0, 2.0 + 1e-12]), 1e-9, 0.0));
    /// assert!(!x.is_close(&Tensor::from_slice(&[1.0, f64::NAN]), 1e-9, 0.0));
    /// ```
    pub fn is_close(&self, other: &Tensor<T>, relative: f64, absolute: f64) -> bool {
        self.shape == other.shape
            && self.data.iter().zip(other.data.iter()).all(|(a, b)| close(a.as_f64(), b.as_f64(), relative, absolute))
    }

    /// Asserts [`Tensor::is_close`]; the message has the first element that is not.
    ///
    /// # Panics
    /// If the tensors are not close.
    #[track_caller]
    pub fn assert_close(&self, other: &Tensor<T>, relative: f64, absolute: f64) {
        assert_eq!(self.shape, other.shape, "the shapes differ");
        for (position, (a, b)) in self.data.iter().zip(other.data.iter()).enumerate() {
            assert!(
                close(a.as_f64(), b.as_f64(), relative, absolute),
                "element {:?} differs: {a} against {b} (allowed: {absolute:e} + {relative:e} of it)",
                unravel(position, &self.shape)
            );
        }
    }

    /// The index of the first element that is NaN or infinite, if there is one.
    pub fn first_non_finite(&self) -> Option<Vec<usize>> {
        self.data.iter().position(|value| !value.is_finite()).map(|position| unravel(position, &self.shape))
    }
}

/// The shape of a new tensor.
#[track_caller]
fn expect_shape(what: &str, shape: impl IntoShape) -> Shape {
    match shape.try_into_shape() {
        Ok(shape) => shape,
        Err(problem) => panic!("`{what}`: {problem}"),
    }
}

fn close(a: f64, b: f64, relative: f64, absolute: f64) -> bool {
    a == b || (a - b).abs() <= absolute + relative * b.abs()
}

impl<T: Clone> From<Vec<T>> for Tensor<T> {
    fn from(data: Vec<T>) -> Self {
        Self { shape: Shape::from(data.len()), data: Arc::new(data) }
    }
}

impl<T: Clone, const N: usize> From<[T; N]> for Tensor<T> {
    fn from(data: [T; N]) -> Self {
        Self::from(data.to_vec())
    }
}

#[cfg(feature = "ndarray")]
mod with_ndarray {
    use super::{Shape, Tensor};
    use ndarray::{ArrayBase, ArrayD, Data, Dimension, IxDyn};

    impl<T: Clone, S: Data<Elem = T>, D: Dimension> From<&ArrayBase<S, D>> for Tensor<T> {
        /// Copies the elements in row-major order, whatever the memory order of the array.
        fn from(array: &ArrayBase<S, D>) -> Self {
            Self::new(Shape::from(array.shape()), array.iter().cloned().collect())
        }
    }

    impl<T: Clone> From<&Tensor<T>> for ArrayD<T> {
        fn from(tensor: &Tensor<T>) -> Self {
            ArrayD::from_shape_vec(IxDyn(tensor.shape().sizes()), tensor.data().to_vec())
                .expect("a tensor has as many elements as its shape says")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_to_a_clone_leaves_the_original() {
        let x = Tensor::from([1.0, 2.0]);
        let mut y = x.clone();
        y.data_mut()[0] = 9.0;
        assert_eq!((x.data()[0], y.data()[0]), (1.0, 9.0));
    }

    #[test]
    fn a_wrong_number_of_elements_is_told() {
        let message = Tensor::try_new([2, 2], vec![1.0]).unwrap_err();
        assert_eq!(message, "a tensor of shape [2, 2] has 4 elements; 1 were given");
    }

    #[test]
    fn rows_are_taken_in_order() {
        let x = Tensor::from_rows([[1, 2], [3, 4], [5, 6]]);
        assert_eq!(x.select_rows(&[2, 0]), Tensor::from_rows([[5, 6], [1, 2]]));
        assert_eq!(x.rows(1, 2), Tensor::from_rows([[3, 4]]));
    }

    #[cfg(feature = "ndarray")]
    #[test]
    fn ndarray_goes_both_ways() {
        let array = ndarray::arr2(&[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
        let turned = Tensor::from(&array.t());
        assert_eq!(turned, Tensor::from_rows([[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]));
        assert_eq!(ndarray::ArrayD::from(&turned), array.t().to_owned().into_dyn());
    }
}
