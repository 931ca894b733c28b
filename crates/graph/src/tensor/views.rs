//! Slices, permutations of axes, and concatenation of tensors.

use std::borrow::Borrow;
use std::sync::Arc;

use smallvec::SmallVec;

use super::Tensor;
use crate::shape::{Layout, Shape, slice_of_axis};

impl<T: Clone> Tensor<T> {
    /// The axes in another order: axis `k` of the result is axis `axes[k]`. Elements are copied.
    ///
    /// # Panics
    /// If `axes` is not a permutation of all axes.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Tensor;
    /// let x = Tensor::from_fn([2, 3, 4], |k| k);
    /// assert_eq!(x.permute([2, 0, 1]).at(&[3, 1, 2]), x.at(&[1, 2, 3]));
    /// ```
    #[track_caller]
    pub fn permute(&self, axes: impl AsRef<[isize]>) -> Self {
        let axes = axes.as_ref();
        let mut order: SmallVec<[usize; 4]> = SmallVec::new();
        for &axis in axes {
            order.push(self.axis("permute", axis));
        }
        let all = (0..self.shape.rank()).all(|axis| order.contains(&axis)) && order.len() == self.shape.rank();
        assert!(all, "`Tensor::permute` of {}: {axes:?} is not a permutation of its axes", self.shape);
        self.laid_out(&Layout::contiguous(self.shape.clone()).permuted(&order))
    }

    /// Two axes swapped. Elements are copied.
    ///
    /// # Panics
    /// If an axis is out of range.
    #[track_caller]
    pub fn transpose(&self, a: isize, b: isize) -> Self {
        let (a, b) = (self.axis("transpose", a), self.axis("transpose", b));
        let mut order: SmallVec<[usize; 4]> = (0..self.shape.rank()).collect();
        order.swap(a, b);
        self.laid_out(&Layout::contiguous(self.shape.clone()).permuted(&order))
    }

    /// The last two axes swapped.
    ///
    /// # Panics
    /// If there are fewer than two axes.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Tensor;
    /// assert_eq!(Tensor::from_rows([[1, 2], [3, 4]]).t(), Tensor::from_rows([[1, 3], [2, 4]]));
    /// ```
    #[track_caller]
    pub fn t(&self) -> Self {
        self.transpose(-2, -1)
    }

    /// The elements `start..end` along an axis. Negative ends count from the end of the axis, and `None` is the end of
    /// the axis, as in Python. Along the first axis [`Tensor::rows`] takes unsigned numbers.
    ///
    /// # Panics
    /// If the axis is out of range or the range leaves it.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Tensor;
    /// let x = Tensor::from_rows([[1, 2, 3], [4, 5, 6]]);
    /// assert_eq!(x.slice(1, 1, None), Tensor::from_rows([[2, 3], [5, 6]]));
    /// assert_eq!(x.slice(-1, 0, -2), Tensor::from_rows([[1], [4]]));
    /// ```
    #[track_caller]
    pub fn slice(&self, axis: isize, start: impl Into<Option<isize>>, end: impl Into<Option<isize>>) -> Self {
        let axis = self.axis("slice", axis);
        let (start, count) = match slice_of_axis(self.shape[axis], start.into(), end.into(), 1) {
            Ok(part) => part,
            Err(problem) => panic!("`Tensor::slice` of {}: on axis {axis} {problem}", self.shape),
        };
        let mut layout = Layout::contiguous(self.shape.clone());
        layout.offset = start * layout.strides[axis].unsigned_abs();
        layout.shape = layout.shape.with_size(axis, count).expect("a part of a shape is a shape");
        self.laid_out(&layout)
    }

    /// Concatenates tensors along an axis.
    ///
    /// # Shapes
    /// The shapes are equal except on `axis`, on which the sizes add up.
    ///
    /// # Panics
    /// If there are none, the shapes do not fit, or the axis is out of range.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Tensor;
    /// let (x, y) = (Tensor::from_rows([[1, 2], [3, 4]]), Tensor::from_rows([[5], [6]]));
    /// assert_eq!(Tensor::concat(&[&x, &y], 1), Tensor::from_rows([[1, 2, 5], [3, 4, 6]]));
    /// ```
    #[track_caller]
    pub fn concat(tensors: &[impl Borrow<Self>], axis: isize) -> Self {
        Self::joined("concat", &tensors.iter().map(Borrow::borrow).collect::<Vec<_>>(), axis)
    }

    /// Concatenates tensors of one shape along a new axis, which is axis `axis` of the result.
    ///
    /// # Panics
    /// If there are none, the shapes differ, or the axis is out of range.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Tensor;
    /// let rows = [Tensor::from([1, 2]), Tensor::from([3, 4])];
    /// assert_eq!(Tensor::stack(&rows, 0), Tensor::from_rows([[1, 2], [3, 4]]));
    /// ```
    #[track_caller]
    pub fn stack(tensors: &[impl Borrow<Self>], axis: isize) -> Self {
        let mut whole: Vec<Self> = Vec::with_capacity(tensors.len());
        for tensor in tensors.iter().map(Borrow::borrow) {
            let mut sizes = tensor.shape.to_vec();
            sizes.push(1);
            let new = match Shape::from(&sizes[..]).axis(axis) {
                Ok(new) => new,
                Err(problem) => panic!("`Tensor::stack` of {}: {problem} of the result", tensor.shape),
            };
            sizes.pop();
            sizes.insert(new, 1);
            whole.push(tensor.reshape(sizes));
        }
        Self::joined("stack", &whole.iter().collect::<Vec<_>>(), axis)
    }

    #[track_caller]
    fn joined(what: &str, tensors: &[&Self], axis: isize) -> Self {
        let Some(first) = tensors.first() else { panic!("`Tensor::{what}` of no tensors") };
        let axis = first.axis(what, axis);
        let mut size = 0_usize;
        for other in tensors {
            let rest = |shape: &Shape| shape.with_ones(|other| other == axis);
            assert!(
                rest(&other.shape) == rest(&first.shape),
                "`Tensor::{what}` of {} and {}: the shapes differ on another axis than {axis}",
                first.shape,
                other.shape
            );
            size = size.saturating_add(other.shape[axis]);
        }
        let shape = match first.shape.with_size(axis, size) {
            Ok(shape) => shape,
            Err(problem) => panic!("`Tensor::{what}`: {problem}"),
        };
        let blocks: usize = shape[..axis].iter().product();
        let mut data = Vec::with_capacity(shape.len());
        for block in 0..blocks {
            for tensor in tensors {
                let part = tensor.len() / blocks;
                data.extend_from_slice(&tensor.data[block * part..(block + 1) * part]);
            }
        }
        Self { shape, data: Arc::new(data) }
    }

    #[track_caller]
    fn axis(&self, what: &str, axis: isize) -> usize {
        match self.shape.axis(axis) {
            Ok(axis) => axis,
            Err(problem) => panic!("`Tensor::{what}` of {}: {problem}", self.shape),
        }
    }

    fn laid_out(&self, layout: &Layout) -> Self {
        let data = layout.positions().map(|position| self.data[position].clone()).collect();
        Self { shape: layout.shape.clone(), data: Arc::new(data) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_orders_also_of_nothing() {
        let x = Tensor::from_fn([2, 3], |k| k);
        assert_eq!(x.slice(0, 1, 2).data(), [3, 4, 5]);
        assert_eq!(x.slice(1, 3, None).shape().sizes(), [2, 0]);
        assert_eq!(x.slice(1, 2, 1).shape().sizes(), [2, 0]);
        assert_eq!(x.slice(1, None, None), x);
        assert_eq!(x.permute([0, 1]), x);
        assert_eq!(x.t().t(), x);
        assert_eq!(Tensor::<i64>::full([0, 3], 1).t().shape().sizes(), [3, 0]);
        assert_eq!(Tensor::scalar(1).permute([]), Tensor::scalar(1));
    }

    #[test]
    fn parts_that_are_joined_are_the_whole() {
        let x = Tensor::from_fn([2, 3, 2], |k| k);
        for axis in -3..3 {
            assert_eq!(Tensor::concat(&[x.slice(axis, None, 1), x.slice(axis, 1, None)], axis), x);
        }
        assert_eq!(Tensor::stack(&[&x, &x], -1).at(&[1, 2, 0, 1]), x.at(&[1, 2, 0]));
        assert_eq!(Tensor::stack(&[&x, &x], 0).rows(1, 2).reshape([2, 3, 2]), x);
        let empty = Tensor::<f32>::zeros([0, 2]);
        assert_eq!(Tensor::concat(&[&empty, &empty], 1).shape().sizes(), [0, 4]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let x = Tensor::<f32>::zeros([2, 3]);
        let y = Tensor::zeros([3, 3]);
        type Case<'a> = (&'a str, Box<dyn Fn() + 'a>);
        let cases: [Case<'_>; 8] = [
            (
                "`Tensor::concat` of [2, 3] and [3, 3]: the shapes differ on another axis than 1",
                Box::new(|| drop(Tensor::concat(&[&x, &y], 1))),
            ),
            ("`Tensor::concat` of no tensors", Box::new(|| drop(Tensor::<f32>::concat(&[] as &[&Tensor<f32>], 1)))),
            (
                "`Tensor::stack` of [1, 2, 3] and [1, 3, 3]: the shapes differ",
                Box::new(|| drop(Tensor::stack(&[&x, &y], 0))),
            ),
            (
                "`Tensor::stack` of [2, 3]: axis 3 is out of range for 3 axes",
                Box::new(|| drop(Tensor::stack(&[&x], 3))),
            ),
            ("`Tensor::slice` of [2, 3]: on axis 1 1..4 leaves its size of 3", Box::new(|| drop(x.slice(1, 1, 4)))),
            ("`Tensor::slice` of [2, 3]: axis 2 is out of range for 2 axes", Box::new(|| drop(x.slice(2, 1, 4)))),
            (
                "`Tensor::permute` of [2, 3]: [0, 0] is not a permutation of its axes",
                Box::new(|| drop(x.permute([0, 0]))),
            ),
            (
                "`Tensor::transpose` of [2]: axis -2 is out of range for 1 axes",
                Box::new(|| drop(Tensor::<f32>::zeros([2]).t())),
            ),
        ];
        for (start, case) in cases {
            let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(case)).expect_err("it is refused");
            let message = panic.downcast_ref::<String>().expect("a formatted message");
            assert!(message.starts_with(start), "{message}");
        }
    }
}
