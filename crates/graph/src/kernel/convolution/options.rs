//! The options of a convolution, and the shapes that follow from them.

use super::Geometry;
use crate::shape::{Shape, Window};

/// The options of a two-dimensional convolution: rows first, columns second. Terms and defaults are those of PyTorch's
/// `conv2d`.
///
/// # Example
/// ```
/// use gradus_graph::Convolution;
/// let halved = Convolution { stride: [2, 2], padding: [[1, 1], [1, 1]], ..Convolution::default() };
/// assert_eq!(halved.positions([28, 28], [3, 3]), Some([14, 14]));
/// assert_eq!(Convolution::default().positions([2, 2], [3, 3]), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Convolution {
    /// The distance from one position of the filters to the next.
    pub stride: [usize; 2],
    /// The number of zeros before the first and after the last element of each axis.
    pub padding: [[usize; 2]; 2],
    /// The distance between elements of the input under a filter.
    pub dilation: [usize; 2],
    /// The number of groups of channels and filters; a filter is applied to the channels of its group.
    pub groups: usize,
}

impl Default for Convolution {
    /// Stride 1, no padding, dilation 1, one group.
    fn default() -> Self {
        Self { stride: [1, 1], padding: [[0, 0], [0, 0]], dilation: [1, 1], groups: 1 }
    }
}

impl Convolution {
    pub(crate) fn windows(&self, kernel: [usize; 2]) -> [Window; 2] {
        [0, 1].map(|axis| Window { size: kernel[axis], stride: self.stride[axis], dilation: self.dilation[axis] })
    }

    /// The sizes with their padding, unless they overflow.
    pub(crate) fn padded(&self, size: [usize; 2]) -> Option<[usize; 2]> {
        let padded = |axis: usize| size[axis].checked_add(self.padding[axis][0])?.checked_add(self.padding[axis][1]);
        Some([padded(0)?, padded(1)?])
    }

    /// The rows and columns of the output for planes and filters of the given rows and columns; `None` if a filter does
    /// not fit.
    pub fn positions(&self, size: [usize; 2], kernel: [usize; 2]) -> Option<[usize; 2]> {
        let (windows, padded) = (self.windows(kernel), self.padded(size)?);
        let counts = [0, 1].map(|axis| windows[axis].count(padded[axis]));
        (!counts.contains(&0)).then_some(counts)
    }

    /// The shape of the output.
    ///
    /// # Errors
    /// If planes and filters do not fit.
    pub(crate) fn output(&self, x: &Shape, w: &Shape) -> Result<Shape, String> {
        let (&[images, channels, height, width], &[filters, inner, rows, columns]) = (&x[..], &w[..]) else {
            return Err(
                "planes are [images, channels, rows, columns] and filters [filters, channels, rows, columns]".into()
            );
        };
        if self.groups == 0 {
            return Err("there must be at least one group".into());
        }
        let windows = self.windows([rows, columns]);
        windows.iter().try_for_each(Window::check_steps)?;
        let needed = inner.saturating_mul(self.groups);
        if channels != needed {
            return Err(format!("filters of {inner} channels in {} groups need {needed} channels", self.groups));
        }
        if filters % self.groups != 0 {
            return Err(format!("{filters} filters cannot be divided into {} groups", self.groups));
        }
        // The planes with their padding are a shape as well, so that no position in them overflows.
        let padded = self.padded([height, width]).unwrap_or([usize::MAX; 2]);
        Shape::try_new([images, channels, padded[0], padded[1]])?;
        match self.positions([height, width], [rows, columns]) {
            Some([down, along]) => Shape::try_new([images, filters, down, along]),
            None => {
                let reach = windows.map(|window| window.reach());
                Err(format!("filters that reach over {reach:?} elements do not fit on {padded:?}, padding included"))
            }
        }
    }

    /// The geometry for inputs that the shape rules accept.
    pub(crate) fn geometry(&self, x: &[usize], w: &[usize], y: &[usize]) -> Geometry {
        Geometry {
            images: x[0],
            groups: self.groups,
            channels: w[1],
            filters: w[0] / self.groups,
            size: [x[2], x[3]],
            kernel: [w[2], w[3]],
            positions: [y[2], y[3]],
            stride: self.stride,
            dilation: self.dilation,
            before: self.padding.map(|padding| padding[0]),
            is_reversed: false,
        }
    }
}
