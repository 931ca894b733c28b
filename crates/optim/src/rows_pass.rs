//! The walk over a gradient of rows: as that over all elements of the tensor, for rules that leave alone an element
//! whose gradient is zero.
//!
//! The elementwise pass runs on the rows alone. What a transform measures is summed over the same blocks in the same
//! order as over a whole tensor: blocks without a row of the gradient contribute zero, and are not visited.

use std::ops::Range;

use gradus_graph::{Real, SparseRows};

use crate::block::Slots;
use crate::reductions;
use crate::tensor_pass::{Cut, LONG_BLOCK, Measure, PIECE, Pass, StateViews, Work, half, join, over_parts, shares};
use crate::transform::Sums;

/// The rows that a pass works on. The first element of the parameter is number `start` of its tensor.
struct RowsWork<'a, T> {
    parameter: &'a mut [T],
    start: usize,
    width: usize,
    indices: &'a [usize],
    values: &'a [T],
}

impl<T: Real> RowsWork<'_, T> {
    /// Its two parts, unless there is little to do.
    fn cut(self) -> Cut<Self> {
        if shares(self.values.len()) < 2 || self.indices.len() < 2 {
            return Cut::Break(self);
        }
        let Self { parameter, start, width, indices, values } = self;
        let middle = indices.len() / 2;
        let at = indices[middle] * width;
        let (indices, later_indices) = indices.split_at(middle);
        let (values, later_values) = values.split_at(middle * width);
        let (parameter, later) = parameter.split_at_mut(at - start);
        Cut::Continue((
            Self { parameter, start, width, indices, values },
            Self { parameter: later, start: at, width, indices: later_indices, values: later_values },
        ))
    }
}

/// Makes a pass over the rows of a gradient alone.
pub(crate) fn run_rows<T: Real>(pass: &Pass<'_, T>, parameter: &mut [T], gradient: &SparseRows<T>) {
    let (indices, values, width) = (gradient.indices(), gradient.values(), gradient.width());
    if values.is_empty() {
        return;
    }
    let run = |work: RowsWork<'_, T>| {
        let mut buffer = [T::zero(); LONG_BLOCK];
        for (&row, gradient) in work.indices.iter().zip(work.values.chunks_exact(width)) {
            let start = row * width;
            let parameter = &mut work.parameter[start - work.start..][..width];
            let (pending, slots, views) = (&mut [][..], Slots::new(), StateViews::new());
            pass.run_chunk(Work { parameter, start, gradient, pending, slots, views }, &mut buffer);
        }
    };
    over_parts(RowsWork { parameter, start: 0, width, indices, values }, &RowsWork::cut, &run, |(), ()| ());
}

/// Whether the rows of a gradient are finite, and what the transform sums over all elements.
pub(crate) fn survey_rows<T: Real>(
    gradient: &SparseRows<T>,
    parameter: &[T],
    measure: Option<Measure<'_, T>>,
) -> (bool, Sums) {
    let finite = reductions::all_finite(gradient.values());
    let sums = measure.map(|measure| measured(gradient, parameter, measure, 0..parameter.len()));
    (finite, sums.unwrap_or_default())
}

/// What the transform sums over that range of the elements.
fn measured<T: Real>(gradient: &SparseRows<T>, parameter: &[T], measure: Measure<'_, T>, range: Range<usize>) -> Sums {
    let (indices, width) = (gradient.indices(), gradient.width());
    // The rows with an element in a range.
    let rows = |range: &Range<usize>| {
        let first = indices.partition_point(|&row| (row + 1) * width <= range.start);
        first..first + indices[first..].partition_point(|&row| row * width < range.end)
    };
    if rows(&range).is_empty() {
        return Sums::default();
    }
    if range.len() > PIECE {
        let middle = range.start + half(range.len(), PIECE);
        let left = measured(gradient, parameter, measure, range.start..middle);
        return join(left, measured(gradient, parameter, measure, middle..range.end));
    }
    let mut block = [T::zero(); LONG_BLOCK];
    let mut sums = Sums::default();
    for start in range.clone().step_by(LONG_BLOCK) {
        let range = start..range.end.min(start + LONG_BLOCK);
        let rows = rows(&range);
        if rows.is_empty() {
            continue;
        }
        let block = &mut block[..range.len()];
        block.fill(T::zero());
        for number in rows {
            let first = indices[number] * width;
            let (from, to) = (first.max(range.start), (first + width).min(range.end));
            let values = &gradient.values()[number * width + from - first..][..to - from];
            block[from - range.start..to - range.start].copy_from_slice(values);
        }
        sums = join(sums, measure.transform.measure(&measure.step, &parameter[range], block, &[]));
    }
    sums
}
