//! The forms that a gradient may have.

use gradus_graph::{Real, Shape, SparseRows, Tensor};

/// The gradient of a parameter as an [`Optimizer`](crate::Optimizer) takes it: a tensor, or a table's rows that are not
/// zero.
///
/// Rows are taken as such by rules that leave alone an element whose gradient is zero
/// ([`Transform::keeps_zeros`](crate::Transform::keeps_zeros)): plain [`Sgd`](crate::Sgd) and
/// [`Adagrad`](crate::Adagrad), also after clipping and loss scaling. The step then costs nothing for the other rows, and
/// its result is the same to the bit. Rules with momentum, moments or decay move all rows, and take all elements, as if
/// the gradient came as a tensor; [`Adam::lazy`](crate::Adam::lazy) is another rule, which moves the given rows alone.
///
/// # Example
/// ```
/// use gradus_graph::{Params, SparseRows, Tensor};
/// use gradus_optim::{Optimizer, Sgd};
/// let mut params: Params = Params::new(0);
/// let table = params.add("table", Tensor::full([1000, 2], 1.0));
/// let mut gradient = SparseRows::new();
/// gradient.set_sum(table.shape(), 1, |_| (&[7, 3], &[1.0, 2.0, 3.0, 4.0]))?;
/// Optimizer::new(Sgd::new(0.25)).step(&mut params, [(&table, &gradient)])?;
/// assert_eq!(params.get(&table).rows(7, 8).data(), [0.75, 0.5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Gradient<'a, T> {
    /// All elements.
    Dense(&'a Tensor<T>),
    /// The rows that may be other than zero.
    Rows(&'a SparseRows<T>),
}

impl<'a, T> From<&'a Tensor<T>> for Gradient<'a, T> {
    fn from(tensor: &'a Tensor<T>) -> Self {
        Self::Dense(tensor)
    }
}

impl<'a, T> From<&'a SparseRows<T>> for Gradient<'a, T> {
    fn from(rows: &'a SparseRows<T>) -> Self {
        Self::Rows(rows)
    }
}

impl<'a, T: Real> Gradient<'a, T> {
    /// All elements; of rows as [`SparseRows::dense`].
    pub fn dense(self) -> &'a Tensor<T> {
        match self {
            Self::Dense(tensor) => tensor,
            Self::Rows(rows) => rows.dense(),
        }
    }

    /// The shape of the parameter.
    pub fn shape(self) -> &'a Shape {
        match self {
            Self::Dense(tensor) => tensor.shape(),
            Self::Rows(rows) => rows.shape(),
        }
    }

    /// The elements that are held, which are those that may be other than zero.
    pub(crate) fn values(self) -> &'a [T] {
        match self {
            Self::Dense(tensor) => tensor.data(),
            Self::Rows(rows) => rows.values(),
        }
    }

    /// The index of the first element that is NaN or infinite, and the element.
    pub(crate) fn first_non_finite(self) -> Option<(Vec<usize>, f64)> {
        match self {
            Self::Dense(tensor) => tensor.first_non_finite().map(|index| (index.clone(), tensor.at(&index).as_f64())),
            Self::Rows(rows) => rows.first_non_finite().map(|index| (index.clone(), rows.at(&index).as_f64())),
        }
    }
}
