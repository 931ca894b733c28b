//! Folding a tensor along axes, in an order that does not depend on threads.

use smallvec::SmallVec;

use crate::kernel::simd::{Loop, vectorized};
use crate::real::Real;
use crate::shape::{Layout, Shape};

/// How two partial results become one. The join must be associative and commutative but for rounding.
pub trait Fold {
    /// The result for no elements.
    fn start<T: Real>() -> T;

    /// Two results as one; marked `#[inline(always)]`.
    fn join<T: Real>(a: T, b: T) -> T;
}

/// Partial results kept side by side, so that the loop over a row becomes vector code.
const LANES: usize = 32;
/// Elements folded into one set of lanes before it is joined to the rest.
const BLOCK: usize = 1024;

/// Folds `x` of the given shape along `axes` (counted from the first, in order) into `y`.
pub fn reduce<T: Real, F: Fold>(x: &[T], shape: &Shape, axes: &[usize], y: &mut [T]) {
    vectorized(Reduce::<T, F> { x, shape, axes, y, fold: std::marker::PhantomData });
}

struct Reduce<'a, T, F> {
    x: &'a [T],
    shape: &'a Shape,
    axes: &'a [usize],
    y: &'a mut [T],
    fold: std::marker::PhantomData<F>,
}

impl<T: Real, F: Fold> Loop for Reduce<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x, shape, axes, y, .. } = self;
        y.fill(F::start());
        if x.is_empty() {
            return;
        }
        let Rows { row, folded, target } = Rows::of(shape, axes);
        for (start, position) in target.positions().enumerate() {
            let values = &x[start * row..(start + 1) * row];
            if folded {
                y[position] = F::join(y[position], fold_row::<T, F>(values));
            } else {
                let into = &mut y[position..position + row];
                for (a, &b) in into.iter_mut().zip(values) {
                    *a = F::join(*a, b);
                }
            }
        }
    }
}

/// A tensor as rows of elements that are neighbours, for a reduction along axes: a row is either all folded and becomes
/// one number, or all kept and is added to a row.
pub(crate) struct Rows {
    /// Elements of a row.
    pub(crate) row: usize,
    /// Whether the elements of a row are folded.
    pub(crate) folded: bool,
    /// Where the result of each row goes: the layout of the output with stride 0 along folded axes.
    pub(crate) target: Layout,
}

impl Rows {
    /// The rows of a shape for a reduction along `axes` (counted from the first, in order).
    pub(crate) fn of(shape: &Shape, axes: &[usize]) -> Self {
        let rank = shape.rank();
        let is_folded = |axis: usize| axes.contains(&axis);
        let folded = rank > 0 && is_folded(rank - 1);
        let split = (0..rank).rev().find(|&axis| is_folded(axis) != folded).map_or(0, |axis| axis + 1);
        let row: usize = shape[split..].iter().product();
        Self { row, folded, target: output_layout(shape, split, axes, if folded { 1 } else { row }) }
    }
}

/// The layout of the output over the axes before `split`, in as few axes as it takes.
fn output_layout(shape: &Shape, split: usize, axes: &[usize], row: usize) -> Layout {
    let mut merged: SmallVec<[(usize, isize); 6]> = SmallVec::new();
    let mut step = row as isize;
    for axis in (0..split).rev().filter(|&axis| shape[axis] != 1) {
        let (size, folded) = (shape[axis], axes.contains(&axis));
        let stride = if folded { 0 } else { step };
        step *= if folded { 1 } else { size as isize };
        match merged.last_mut() {
            Some((inner, own)) if stride == *own * *inner as isize && (stride == 0) == (*own == 0) => *inner *= size,
            _ => merged.push((size, stride)),
        }
    }
    let (sizes, strides) = (merged.iter().rev().map(|axis| axis.0), merged.iter().rev().map(|axis| axis.1));
    Layout { shape: sizes.collect(), strides: strides.collect(), offset: 0 }
}

/// Folds a row: lanes within a block, blocks one after another.
#[inline(always)]
pub(crate) fn fold_row<T: Real, F: Fold>(values: &[T]) -> T {
    let mut total = F::start();
    for block in values.chunks(BLOCK) {
        let mut lanes = [F::start::<T>(); LANES];
        let mut chunks = block.chunks_exact(LANES);
        for chunk in &mut chunks {
            for lane in 0..LANES {
                lanes[lane] = F::join(lanes[lane], chunk[lane]);
            }
        }
        for (lane, &value) in chunks.remainder().iter().enumerate() {
            lanes[lane] = F::join(lanes[lane], value);
        }
        let mut width = LANES / 2;
        while width > 0 {
            for lane in 0..width {
                lanes[lane] = F::join(lanes[lane], lanes[lane + width]);
            }
            width /= 2;
        }
        total = F::join(total, lanes[0]);
    }
    total
}
