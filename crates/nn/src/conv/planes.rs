//! Sequences and planes as `[N, C, H, W]`, which convolution and pooling take: a sequence is a plane of one row, and
//! the axes before the channels are joined. Both are reshapes, which in a plan are views and cost nothing.

use gradus_graph::{Shape, Var};

/// One number for each axis of a convolution or pooling: `3` for all of them, or `[3, 5]`.
///
/// # Example
/// ```
/// use gradus_nn::Sizes;
/// assert_eq!(Sizes::<2>::from(3), Sizes([3, 3]));
/// assert_eq!(Sizes::from([3, 5]), Sizes([3, 5]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sizes<const AXES: usize>(
    /// The numbers, rows before columns.
    pub [usize; AXES],
);

impl<const AXES: usize> From<usize> for Sizes<AXES> {
    fn from(size: usize) -> Self {
        Self([size; AXES])
    }
}

impl<const AXES: usize> From<[usize; AXES]> for Sizes<AXES> {
    fn from(sizes: [usize; AXES]) -> Self {
        Self(sizes)
    }
}

/// The numbers for rows and columns; where there are no rows, that of the rows is `row`.
pub(crate) fn rows_and_columns<T: Copy, const AXES: usize>(sizes: [T; AXES], row: T) -> [T; 2] {
    const { assert!(AXES == 1 || AXES == 2, "layers slide along one axis or two") }
    let mut both = [row; 2];
    both[2 - AXES..].copy_from_slice(&sizes);
    both
}

/// The sizes of the last axes.
pub(crate) fn last<const AXES: usize>(shape: &Shape) -> [usize; AXES] {
    let mut sizes = [0; AXES];
    sizes.copy_from_slice(&shape[shape.rank() - AXES..]);
    sizes
}

/// `[…, channels, sizes]` as planes `[N, C, H, W]`.
#[track_caller]
pub(crate) fn planes<const AXES: usize>(x: Var<'_>) -> Var<'_> {
    let shape = x.shape();
    let (lead, channels) = (shape.rank() - AXES - 1, shape[shape.rank() - AXES - 1]);
    let [height, width] = rows_and_columns(last::<AXES>(&shape), 1);
    x.reshape([shape[..lead].iter().product(), channels, height, width])
}

/// Planes `[N, C, H, W]` as `[…, channels, sizes]`, with the axes before the channels in `x`.
#[track_caller]
pub(crate) fn unplaned<'g, const AXES: usize>(planes: Var<'g>, x: &Shape) -> Var<'g> {
    let shape = planes.shape();
    let lead = x[..x.rank() - AXES - 1].iter().copied();
    planes.reshape(lead.chain([shape[1]]).chain(last::<AXES>(&shape)).collect::<Shape>())
}

/// The filters, or windows, that a layer has, as `[_, _, rows, columns]`.
#[track_caller]
pub(crate) fn filters<const AXES: usize>(weight: Var<'_>) -> Var<'_> {
    let shape = weight.shape();
    let [rows, columns] = rows_and_columns(last::<AXES>(&shape), 1);
    weight.reshape([shape[0], shape[1], rows, columns])
}
