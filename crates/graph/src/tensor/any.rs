//! Tensors whose kind is known at run time only: of real numbers or of indices, owned or borrowed.

use super::Tensor;
use crate::real::Real;
use crate::shape::{Layout, Shape};
use crate::tape::op::{Array, ArrayMut, Kind, Meta};

/// A tensor of real numbers or of indices, such as an output of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum AnyTensor<T> {
    /// Real numbers.
    Real(Tensor<T>),
    /// Indices.
    Index(Tensor<i64>),
}

impl<T: Real> From<Tensor<T>> for AnyTensor<T> {
    fn from(tensor: Tensor<T>) -> Self {
        Self::Real(tensor)
    }
}

impl<T: Real> From<Tensor<i64>> for AnyTensor<T> {
    fn from(tensor: Tensor<i64>) -> Self {
        Self::Index(tensor)
    }
}

impl<T: Real> AnyTensor<T> {
    /// The real numbers.
    ///
    /// # Panics
    /// If these are indices.
    #[track_caller]
    pub fn real(&self) -> &Tensor<T> {
        match self {
            Self::Real(tensor) => tensor,
            Self::Index(_) => panic!("these are indices; `index` gives them"),
        }
    }

    /// The indices.
    ///
    /// # Panics
    /// If these are real numbers.
    #[track_caller]
    pub fn index(&self) -> &Tensor<i64> {
        match self {
            Self::Index(tensor) => tensor,
            Self::Real(_) => panic!("these are real numbers; `real` gives them"),
        }
    }

    pub(crate) fn array(&self) -> Array<'_, T> {
        match self {
            Self::Real(tensor) => Array::Real(tensor.data()),
            Self::Index(tensor) => Array::Index(tensor.data()),
        }
    }

    pub(crate) fn array_mut(&mut self) -> ArrayMut<'_, T> {
        match self {
            Self::Real(tensor) => ArrayMut::Real(tensor.data_mut()),
            Self::Index(tensor) => ArrayMut::Index(tensor.data_mut()),
        }
    }

    /// The sizes of the axes.
    pub fn shape(&self) -> &Shape {
        match self {
            Self::Real(tensor) => tensor.shape(),
            Self::Index(tensor) => tensor.shape(),
        }
    }

    /// A copy of the elements that a layout selects, or the number of bytes that could not be allocated.
    pub(crate) fn laid_out(&self, layout: &Layout) -> Result<Self, usize> {
        Ok(match self {
            Self::Real(tensor) => Self::Real(copied(tensor, layout)?),
            Self::Index(tensor) => Self::Index(copied(tensor, layout)?),
        })
    }

    /// Zeros of a kind and shape, or the number of bytes that could not be allocated.
    pub(crate) fn zeros(meta: &Meta) -> Result<Self, usize> {
        match meta.kind {
            Kind::Real => Tensor::filled(&meta.shape, T::zero()).map(Self::Real),
            Kind::Index => Tensor::filled(&meta.shape, 0).map(Self::Index),
        }
    }
}

/// A borrowed tensor of real numbers or of indices, such as the value of an input.
#[derive(Clone, Copy, Debug)]
pub enum Data<'a, T> {
    /// Real numbers.
    Real(&'a Tensor<T>),
    /// Indices.
    Index(&'a Tensor<i64>),
}

impl<'a, T: Real> From<&'a Tensor<i64>> for Data<'a, T> {
    fn from(tensor: &'a Tensor<i64>) -> Self {
        Self::Index(tensor)
    }
}

impl<'a, T: Real> From<&'a Tensor<T>> for Data<'a, T> {
    fn from(tensor: &'a Tensor<T>) -> Self {
        Self::Real(tensor)
    }
}

impl<'a, T: Real> From<&'a AnyTensor<T>> for Data<'a, T> {
    fn from(tensor: &'a AnyTensor<T>) -> Self {
        match tensor {
            AnyTensor::Real(tensor) => Self::Real(tensor),
            AnyTensor::Index(tensor) => Self::Index(tensor),
        }
    }
}

impl<T: Real> Data<'_, T> {
    /// Whether kind and shape are these; without a copy of the shape, which for many axes is an allocation.
    pub(crate) fn fits(&self, meta: &Meta) -> bool {
        match self {
            Self::Real(tensor) => meta.kind == Kind::Real && *tensor.shape() == meta.shape,
            Self::Index(tensor) => meta.kind == Kind::Index && *tensor.shape() == meta.shape,
        }
    }

    /// Kind and shape.
    pub fn meta(&self) -> Meta {
        match self {
            Self::Real(tensor) => Meta::real(tensor.shape()),
            Self::Index(tensor) => Meta::index(tensor.shape()),
        }
    }
}

fn copied<T: Copy>(tensor: &Tensor<T>, layout: &Layout) -> Result<Tensor<T>, usize> {
    let len = layout.shape.len();
    if layout.offset == 0 && len == tensor.len() && layout.is_contiguous() {
        return Ok(tensor.reshape(&layout.shape));
    }
    let mut data = Vec::new();
    data.try_reserve_exact(len).map_err(|_| len.saturating_mul(size_of::<T>()))?;
    data.extend(layout.positions().map(|position| tensor.data()[position]));
    Ok(Tensor::new(layout.shape.clone(), data))
}
