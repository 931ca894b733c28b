//! Windows that slide along axes: their positions, and the shape and layout of all of them.

use super::{Layout, Shape};

/// A window that slides along an axis: `size` elements, `dilation` apart, moved by `stride` from one position to the
/// next.
///
/// # Example
/// ```
/// use gradus_graph::Window;
/// let window = Window { size: 3, stride: 2, dilation: 1 };
/// assert_eq!([window.count(2), window.count(3), window.count(7)], [0, 1, 3]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// The number of elements of the window; at least one.
    pub size: usize,
    /// The distance from one position to the next; at least 1.
    pub stride: usize,
    /// The distance from one element of the window to the next; at least 1.
    pub dilation: usize,
}

impl Window {
    /// The number of elements of the axis from the first element of the window to the last, both included.
    pub fn reach(&self) -> usize {
        self.dilation.saturating_mul(self.size.saturating_sub(1)).saturating_add(1)
    }

    /// The number of positions on an axis of `elements` elements.
    pub fn count(&self, elements: usize) -> usize {
        elements.checked_sub(self.reach()).map_or(0, |room| room / self.stride.max(1) + 1)
    }

    /// Checks that the window has elements and that no step is 0.
    pub(crate) fn check_steps(&self) -> Result<(), String> {
        match (self.size, self.stride, self.dilation) {
            (0, ..) => Err("a window has no elements; it needs one".into()),
            (_, 0, _) => Err("the stride is 0; it must be at least 1".into()),
            (_, _, 0) => Err("the dilation is 0; it must be at least 1".into()),
            _ => Ok(()),
        }
    }
}

/// The shape of the windows over a value of the given shape.
pub(crate) fn windowed_shape(shape: &Shape, windows: &[Window]) -> Result<Shape, String> {
    let Some(lead) = shape.rank().checked_sub(windows.len()) else {
        return Err(format!("there are {} windows for {} axes", windows.len(), shape.rank()));
    };
    for (window, &size) in windows.iter().zip(&shape[lead..]) {
        window.check_steps()?;
        if window.reach() > size {
            return Err(format!("a window that reaches over {} elements does not fit on {size}", window.reach()));
        }
    }
    let positions = windows.iter().zip(&shape[lead..]).map(|(window, &size)| window.count(size));
    let sizes = shape[..lead].iter().copied().chain(positions).chain(windows.iter().map(|window| window.size));
    Shape::try_collect(sizes)
}

impl Layout {
    /// The layout of windows over the last axes; the shape rule accepted the windows.
    pub(crate) fn windowed(&self, windows: &[Window]) -> Self {
        let lead = self.shape.rank() - windows.len();
        let mut strides = self.strides.clone();
        for (axis, window) in windows.iter().enumerate() {
            // Where there is one element or one position there is no step, which may then be of any size.
            let stride = self.strides[lead + axis];
            strides.push(if window.size > 1 { stride * window.dilation as isize } else { stride });
            if window.count(self.shape[lead + axis]) > 1 {
                strides[lead + axis] *= window.stride as isize;
            }
        }
        let shape = windowed_shape(&self.shape, windows).expect("the shape rule accepted the windows");
        Layout { shape, strides, offset: self.offset }
    }
}
