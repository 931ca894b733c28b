//! Upsampling of sequences and planes.

use gradus_graph::{Tensor, Var};

use crate::conv::last;
use crate::layer::layer;

/// The output size of an upsampling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Resize<const AXES: usize> {
    /// The number of elements along each axis.
    To([usize; AXES]),
    /// The factor along each axis; the size is rounded down.
    By([f64; AXES]),
}

impl<const AXES: usize> From<usize> for Resize<AXES> {
    fn from(times: usize) -> Self {
        Self::By([times as f64; AXES])
    }
}

/// How output elements are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// The nearest element; of two the one before.
    Nearest,
    /// Along straight lines between neighbours: bilinear on planes.
    Linear {
        /// Whether the first and last elements of input and output coincide; otherwise their outer edges do.
        align_corners: bool,
    },
}

/// A sequence at another size.
///
/// # Shapes
/// `[…, L]` gives `[…, output size]`.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::{Interpolation, Resize, Upsample1d};
/// let graph = Graph::new();
/// let x = graph.constant(&Tensor::from([0.0, 3.0]));
/// let between = Upsample1d::new(Resize::To([4]), Interpolation::Linear { align_corners: true });
/// assert_eq!(graph.eval(between.forward(x))?.data(), [0.0, 1.0, 2.0, 3.0]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
pub type Upsample1d = Upsample<1>;

/// A plane at another size.
///
/// # Shapes
/// `[…, H, W]` gives `[…, output rows, output columns]`.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::{Interpolation, Upsample2d};
/// let graph = Graph::new();
/// let x = graph.constant(&Tensor::from_rows([[1.0, 2.0]]));
/// let doubled = Upsample2d::new(2, Interpolation::Nearest).forward(x);
/// assert_eq!(graph.eval(doubled)?, Tensor::from_rows([[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]));
/// # Ok::<(), gradus_graph::Error>(())
/// ```
pub type Upsample2d = Upsample<2>;

/// Upsampling along `AXES` axes: [`Upsample1d`] or [`Upsample2d`]. There are no parameters.
///
/// Output element `i` is at position `s(i)` of the input. With `r = size/output size`, or 1/scale where a scale is
/// given: nearest takes element `⌊r·i⌋`; linear takes `s = r·(i + 1/2) − 1/2`, not below 0, and with aligned corners
/// `s = i·(size − 1)/(output size − 1)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Upsample<const AXES: usize> {
    resize: Resize<AXES>,
    interpolation: Interpolation,
}

/// One axis: its size, the number of outputs, and the distance between their positions.
#[derive(Clone, Copy)]
struct Axis {
    size: usize,
    output: usize,
    step: f64,
}

impl<const AXES: usize> Upsample<AXES> {
    const NAME: &'static str = if AXES == 1 { "Upsample1d" } else { "Upsample2d" };

    /// Resizes to the given size, or by the given factor.
    ///
    /// # Panics
    /// If a scale is not a positive number.
    #[track_caller]
    pub fn new(resize: impl Into<Resize<AXES>>, interpolation: Interpolation) -> Self {
        let resize = resize.into();
        if let Resize::By(scales) = resize {
            let right = scales.iter().all(|scale| scale.is_finite() && *scale > 0.0);
            assert!(right, "`{}`: the scales are {scales:?}; they must be above 0", Self::NAME);
        }
        Self { resize, interpolation }
    }

    /// `x` at the other size.
    ///
    /// # Panics
    /// If there are fewer axes, or one of them has no elements before or after.
    #[track_caller]
    pub fn forward<'g>(&self, x: Var<'g>) -> Var<'g> {
        let shape = x.shape();
        let sizes = if shape.rank() >= AXES { last::<AXES>(&shape) } else { [0; AXES] };
        let mut y = x;
        // Columns first: that is one product over all rows.
        for k in (0..AXES).rev() {
            let size = sizes[k];
            let (output, step) = match self.resize {
                Resize::To(sizes) => (sizes[k], size as f64 / sizes[k] as f64),
                Resize::By(scales) => ((size as f64 * scales[k]) as usize, 1.0 / scales[k]),
            };
            assert!(
                size > 0 && output > 0,
                "`{}` of {shape}: axis −{} must have an element or more, before and after {:?}",
                Self::NAME,
                AXES - k,
                self.resize
            );
            let (axis, number) = (Axis { size, output, step }, k as isize - AXES as isize);
            y = match self.interpolation {
                Interpolation::Nearest => axis.nearest(y, number),
                Interpolation::Linear { align_corners } => axis.linear(y, number, align_corners),
            };
        }
        y
    }
}

impl Axis {
    #[track_caller]
    fn nearest<'g>(self, x: Var<'g>, axis: isize) -> Var<'g> {
        let nearest = |i: usize| ((i as f64 * self.step) as usize).min(self.size - 1) as i64;
        x.index_select(axis, x.graph().index_constant(&Tensor::from_fn([self.output], nearest)))
    }

    #[track_caller]
    fn linear<'g>(self, x: Var<'g>, axis: isize, align_corners: bool) -> Var<'g> {
        let mut matrix: Tensor<f64> = Tensor::zeros([self.output, self.size]);
        for i in 0..self.output {
            let position = match (align_corners, self.output) {
                (true, 1) => 0.0,
                (true, _) => i as f64 * (self.size - 1) as f64 / (self.output - 1) as f64,
                (false, _) => ((i as f64 + 0.5) * self.step - 0.5).max(0.0),
            };
            let before = (position as usize).min(self.size - 1);
            let part = (position - before as f64).clamp(0.0, 1.0);
            matrix.data_mut()[i * self.size + before] += 1.0 - part;
            matrix.data_mut()[i * self.size + (before + 1).min(self.size - 1)] += part;
        }
        // A product with a constant matrix, so that derivatives of all orders are products as well.
        let matrix = x.graph().constant(&matrix);
        if axis == -1 { x.matmul(matrix.t()) } else { matrix.matmul(x) }
    }
}

layer!(Upsample<AXES>, forward, const AXES: usize);

#[cfg(test)]
mod tests {
    use gradus_graph::Graph;
    use gradus_graph::check::assert_gradients;

    use super::*;
    use crate::test_numbers::numbers;

    const WAYS: [Interpolation; 3] = [
        Interpolation::Nearest,
        Interpolation::Linear { align_corners: false },
        Interpolation::Linear { align_corners: true },
    ];

    #[test]
    fn sequences_by_hand() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([0.0, 4.0, 8.0]));
        let value = |resize, way| graph.eval(Upsample1d::new(resize, way).forward(x)).unwrap().into_vec();
        assert_eq!(value(Resize::By([2.0]), WAYS[0]), [0.0, 0.0, 4.0, 4.0, 8.0, 8.0]);
        assert_eq!(value(Resize::To([2]), WAYS[0]), [0.0, 4.0]);
        assert_eq!(value(Resize::By([2.0]), WAYS[1]), [0.0, 1.0, 3.0, 5.0, 7.0, 8.0]);
        assert_eq!(value(Resize::To([5]), WAYS[2]), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(value(Resize::To([1]), WAYS[2]), [0.0]);
        assert_eq!(value(Resize::By([1.5]), WAYS[0]), [0.0, 0.0, 4.0, 8.0]);
    }

    #[test]
    fn planes_are_interpolated_along_both_axes() {
        let graph = Graph::new();
        let x = numbers([2, 3, 4], 0);
        let y = Upsample2d::new(Resize::To([5, 7]), WAYS[2]).forward(graph.constant(&x));
        let y = graph.eval(y).unwrap();
        for k in 0..y.len() {
            let (row, column) = ((k / 7 % 5) as f64 * 2.0 / 4.0, (k % 7) as f64 * 3.0 / 6.0);
            let at = |i: f64, j: f64| x.data()[(k / 35 * 3 + i as usize) * 4 + j as usize];
            let along = |i: f64| {
                let part = column.fract();
                at(i, column.floor()) * (1.0 - part) + at(i, column.ceil()) * part
            };
            let part = row.fract();
            let expected = along(row.floor()) * (1.0 - part) + along(row.ceil()) * part;
            assert!((y.data()[k] - expected).abs() < 1e-13);
        }
    }

    #[test]
    fn gradients() {
        let x = [numbers([2, 2, 3], 0)];
        for way in WAYS {
            assert_gradients(&x, |x| Upsample1d::new(Resize::By([1.5]), way).forward(x[0]).square());
            assert_gradients(&x, |x| Upsample2d::new(Resize::To([3, 2]), way).forward(x[0]).square());
        }
    }

    #[test]
    fn no_images_go_through() {
        let graph = Graph::new();
        for way in WAYS {
            let y = Upsample2d::new(2, way).forward(graph.zeros([0, 2, 1, 3]));
            assert_eq!(graph.eval(y).unwrap().shape().sizes(), [0, 2, 2, 6]);
        }
    }

    #[test]
    #[should_panic(
        expected = "`Upsample2d` of [3, 2]: axis −1 must have an element or more, before and after By([1.0, 0.25])"
    )]
    fn a_size_without_elements_is_named() {
        Upsample2d::new(Resize::By([1.0, 0.25]), Interpolation::Nearest).forward(Graph::new().zeros([3, 2]));
    }
}
