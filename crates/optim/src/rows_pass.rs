//! The walk over a gradient of rows: as that over all elements of the tensor, for rules that leave alone an element
//! whose gradient is zero, and for lazy ones.
//!
//! The elementwise pass runs on the rows alone. What a transform measures is summed over the same blocks in the same
//! order as over a whole tensor: blocks without a row of the gradient contribute zero, and are not visited.

use std::ops::Range;

use gradus_graph::{Real, SparseRows};

use crate::block::{Buffer, Slots};
use crate::division::{Cut, Divide};
use crate::reductions;
use crate::tensor_pass::{LONG_BLOCK, Measure, PIECE, Pass, StateViews, Work, half, join, shares};
use crate::transform::Sums;

/// The rows that a pass works on. The first element of the parameter and of each slot is number `start` of its tensor.
pub(crate) struct RowsWork<'a, T> {
    parameter: &'a mut [T],
    slots: Slots<'a, T>,
    start: usize,
    width: usize,
    indices: &'a [usize],
    values: &'a [T],
}

impl<'a, T: Real> RowsWork<'a, T> {
    pub(crate) fn new(parameter: &'a mut [T], slots: Slots<'a, T>, gradient: &'a SparseRows<T>) -> Self {
        let (width, indices, values) = (gradient.width(), gradient.indices(), gradient.values());
        Self { parameter, slots, start: 0, width, indices, values }
    }

    /// Makes the pass over these rows alone.
    pub(crate) fn run(mut self, pass: &Pass<'_, T>) {
        if self.values.is_empty() {
            return;
        }
        let mut buffer = Buffer::new();
        for (&row, gradient) in self.indices.iter().zip(self.values.chunks_exact(self.width)) {
            let start = row * self.width;
            let range = start - self.start..start - self.start + self.width;
            let slots = self.slots.iter_mut().map(|slot| &mut slot[range.clone()]).collect();
            let (parameter, pending, views) = (&mut self.parameter[range], &mut [][..], StateViews::new());
            pass.run_chunk(Work { parameter, start, gradient, pending, slots, views }, &mut buffer);
        }
    }
}

impl<T: Real> Divide for RowsWork<'_, T> {
    fn len(&self) -> usize {
        self.values.len()
    }

    fn cut(self) -> Cut<Self> {
        if shares(self.values.len()) < 2 || self.indices.len() < 2 {
            return Cut::Break(self);
        }
        let Self { parameter, slots, start, width, indices, values } = self;
        let middle = indices.len() / 2;
        let later_start = indices[middle] * width;
        let (indices, later_indices) = indices.split_at(middle);
        let (values, later_values) = values.split_at(middle * width);
        let (parameter, later) = parameter.split_at_mut(later_start - start);
        let (slots, later_slots) = slots.into_iter().map(|slot| slot.split_at_mut(later_start - start)).unzip();
        Cut::Continue((
            Self { parameter, slots, start, width, indices, values },
            Self {
                parameter: later,
                slots: later_slots,
                start: later_start,
                width,
                indices: later_indices,
                values: later_values,
            },
        ))
    }
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
