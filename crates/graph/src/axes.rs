//! Axes as callers write them: one or several, negative ones counted from the last.

use smallvec::SmallVec;

use crate::shape::Shape;
use crate::tape::refuse;

/// One or several axes of a value; −1 is the last.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// let graph = Graph::new();
/// let x = graph.constant(&Tensor::from_rows([[1.0, 2.0], [3.0, 4.0]]));
/// assert_eq!(graph.eval(x.sum_axes(-1))?.data(), [3.0, 7.0]);
/// assert_eq!(graph.eval(x.sum_axes([0, 1]))?.item(), 10.0);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Axes(SmallVec<[isize; 4]>);

impl From<isize> for Axes {
    fn from(axis: isize) -> Self {
        Self(SmallVec::from_slice(&[axis]))
    }
}

impl<const N: usize> From<[isize; N]> for Axes {
    fn from(axes: [isize; N]) -> Self {
        Self(SmallVec::from_slice(&axes))
    }
}

impl From<&[isize]> for Axes {
    fn from(axes: &[isize]) -> Self {
        Self(SmallVec::from_slice(axes))
    }
}

impl Axes {
    /// Every axis of a value.
    pub(crate) fn all(shape: &Shape) -> SmallVec<[usize; 4]> {
        (0..shape.rank()).collect()
    }

    /// The axes counted from the first, in order.
    ///
    /// # Panics
    /// If one is out of range or named twice.
    #[track_caller]
    pub(crate) fn resolve(&self, op: &str, shape: &Shape) -> SmallVec<[usize; 4]> {
        let mut axes: SmallVec<[usize; 4]> = SmallVec::new();
        for &axis in &self.0 {
            axes.push(resolve_axis(op, axis, shape));
        }
        axes.sort_unstable();
        if axes.windows(2).any(|pair| pair[0] == pair[1]) {
            refuse(op, &[shape], "an axis is named twice");
        }
        axes
    }
}

/// Checks that axes are in range for a shape, in order, and each named once.
pub(crate) fn check_axes(axes: &[usize], shape: &Shape) -> Result<(), String> {
    if !axes.is_sorted_by(|a, b| a < b) {
        return Err(format!("the axes {axes:?} are not in order, each named once"));
    }
    match axes.iter().find(|&&axis| axis >= shape.rank()) {
        Some(axis) => Err(format!("axis {axis} is out of range for {} axes", shape.rank())),
        None => Ok(()),
    }
}

/// An axis counted from the first.
///
/// # Panics
/// If it is out of range.
#[track_caller]
pub(crate) fn resolve_axis(op: &str, axis: isize, shape: &Shape) -> usize {
    match shape.axis(axis) {
        Ok(axis) => axis,
        Err(problem) => refuse(op, &[shape], &problem),
    }
}
