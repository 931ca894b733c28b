//! Strategies that draw shapes and tensors for property tests. They shrink towards few axes, small sizes and round
//! numbers.

use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::shape::Shape;
use crate::tensor::Tensor;

/// A shape of at most `max_rank` axes, with sizes from 0 to 3 (1 and above are drawn more often).
pub fn shape(max_rank: usize) -> impl Strategy<Value = Shape> {
    vec(prop_oneof![1 => Just(0_usize), 4 => Just(1), 6 => 2..4_usize], 0..=max_rank).prop_map(Shape::from)
}

/// A number within the range, a multiple of 1/64, so that a failure can be read and typed.
pub fn number(range: Range<f64>) -> impl Strategy<Value = f64> {
    let (low, high) = ((range.start * 64.0).ceil() as i64, (range.end * 64.0).floor() as i64);
    (low..=high).prop_map(|k| k as f64 / 64.0)
}

/// A tensor of the given shape with elements in the range.
pub fn tensor(shape: impl Into<Shape>, range: Range<f64>) -> impl Strategy<Value = Tensor<f64>> {
    let shape = shape.into();
    vec(number(range), shape.len()).prop_map(move |data| Tensor::new(shape.clone(), data))
}

/// `count` tensors of one shape of at most three axes, with elements in the range.
pub fn alike(count: usize, range: Range<f64>) -> impl Strategy<Value = Vec<Tensor<f64>>> {
    shape(3).prop_flat_map(move |shape| vec(tensor(shape, range.clone()), count))
}

/// Tensors whose shapes broadcast together, one for each range: sizes of 1 and missing axes on every side.
pub fn broadcastable(ranges: Vec<Range<f64>>) -> impl Strategy<Value = Vec<Tensor<f64>>> {
    let count = ranges.len();
    (shape(3), vec((0..=3_usize, vec(any::<bool>(), 3)), count)).prop_flat_map(move |(full, cuts)| {
        let parts: Vec<_> = cuts
            .into_iter()
            .zip(ranges.clone())
            .map(|((drop, ones), range)| {
                let kept = full[drop.min(full.rank())..].iter().enumerate();
                let shape: Shape = kept.map(|(axis, &size)| if ones[axis] { 1 } else { size }).collect();
                tensor(shape, range).boxed()
            })
            .collect();
        parts
    })
}

/// A tensor of the given shape whose elements are all at least `gap` apart, for ops that compare elements.
pub fn separated(shape: impl Into<Shape>, gap: f64) -> impl Strategy<Value = Tensor<f64>> {
    let shape = shape.into();
    let order: Vec<usize> = (0..shape.len()).collect();
    Just(order).prop_shuffle().prop_map(move |order| {
        let middle = order.len() as f64 / 2.0;
        Tensor::new(shape.clone(), order.iter().map(|&place| (place as f64 - middle) * gap).collect())
    })
}
