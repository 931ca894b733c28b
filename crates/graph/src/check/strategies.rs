//! Strategies that draw shapes, axes, tensors, samples of ops and whole graphs for property tests. They shrink towards
//! few axes, small sizes and round numbers.
//!
//! # Example
//! ```
//! use gradus_graph::AnyTensor;
//! use gradus_graph::check::strategies::{any_tensor, away_from, full_shape, shape_and_axis};
//! use proptest::prelude::*;
//! use proptest::test_runner::TestRunner;
//!
//! // A tensor without zeros, and one of its axes.
//! let divisors = shape_and_axis(3).prop_flat_map(|(shape, axis)| (away_from(shape, -2.0..2.0, &[0.0]), Just(axis)));
//! TestRunner::deterministic().run(&divisors, |(x, axis)| {
//!     prop_assert!(axis < x.shape().rank() && x.data().iter().all(|x| *x != 0.0));
//!     Ok(())
//! })?;
//! // A matrix or more, of real numbers or of indices.
//! TestRunner::deterministic().run(&full_shape(2, 4).prop_flat_map(any_tensor), |x| {
//!     let count = match &x {
//!         AnyTensor::Real(x) => x.len(),
//!         AnyTensor::Index(x) => x.len(),
//!     };
//!     prop_assert!(count > 0 && count == x.shape().len());
//!     Ok(())
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::ops::Range;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::Sample;
pub use super::graphs::graph;
use crate::shape::Shape;
use crate::tape::op::{AnyOp, Domain, Kinks, Pointwise};
use crate::tensor::{AnyTensor, Tensor};

/// How far numbers keep from the ends of a domain and from kinks.
pub const GAP: f64 = 0.125;

/// The size of an axis: from 0 to 3, 1 and above more often.
pub fn size() -> impl Strategy<Value = usize> + Clone {
    prop_oneof![6 => 2..4_usize, 4 => Just(1), 1 => Just(0_usize)]
}

/// A shape of at most `max_rank` axes, with sizes from 0 to 3; five axes still have few elements.
pub fn shape(max_rank: usize) -> impl Strategy<Value = Shape> + Clone {
    vec(size(), 0..=max_rank).prop_map(|mut sizes| {
        // Beyond three axes sizes of 3 would make tensors of hundreds of elements.
        let many = sizes.len() > 3;
        sizes.iter_mut().for_each(|size| *size = if many { (*size).min(2) } else { *size });
        Shape::from(sizes)
    })
}

/// A shape of at least `min_rank` and at most `max_rank` axes, none of them empty.
pub fn full_shape(min_rank: usize, max_rank: usize) -> impl Strategy<Value = Shape> + Clone {
    vec(prop_oneof![2..4_usize, Just(1)], min_rank..=max_rank).prop_map(Shape::from)
}

/// Two shapes that broadcast together: sizes of 1 and missing axes on every side.
pub fn broadcastable_shapes(max_rank: usize) -> impl Strategy<Value = (Shape, Shape)> {
    let side = || (0..=max_rank, vec(any::<bool>(), max_rank));
    (shape(max_rank), side(), side()).prop_map(|(full, one, other)| (cut(&full, &one), cut(&full, &other)))
}

/// The shape without its first axes, and with sizes of 1 for others.
fn cut(full: &Shape, (drop, ones): &(usize, Vec<bool>)) -> Shape {
    let kept = full[(*drop).min(full.rank())..].iter().enumerate();
    kept.map(|(axis, &size)| if ones[axis] { 1 } else { size }).collect()
}

/// A shape of 1 to `max_rank` axes, with sizes from 0 to 3, and one of its axes.
pub fn shape_and_axis(max_rank: usize) -> impl Strategy<Value = (Shape, usize)> + Clone {
    (shape(max_rank - 1), size(), 0..max_rank).prop_map(|(rest, size, place)| {
        let axis = place.min(rest.rank());
        let size = if rest.rank() > 2 { size.min(2) } else { size };
        let mut sizes = rest.to_vec();
        sizes.insert(axis, size);
        (Shape::from(sizes), axis)
    })
}

/// Another shape for as many elements: the axes in another order, some joined, and some of size 1 added.
pub fn reshaped(shape: &Shape) -> impl Strategy<Value = Shape> + use<> {
    let sizes = shape.to_vec();
    let count = sizes.len();
    (Just(sizes).prop_shuffle(), 0..=count, proptest::option::of(0..=count)).prop_map(|(sizes, join, one)| {
        let (joined, rest) = sizes.split_at(join);
        let mut sizes: Vec<usize> = if join > 1 { vec![joined.iter().product()] } else { joined.to_vec() };
        sizes.extend(rest);
        if let Some(place) = one {
            sizes.insert(place.min(sizes.len()), 1);
        }
        Shape::from(sizes)
    })
}

/// An axis of a shape of `rank` axes, counted from the first.
///
/// # Panics
/// If there are no axes.
pub fn axis(rank: usize) -> impl Strategy<Value = usize> {
    0..rank
}

/// Some axes of a shape of `rank` axes, in order; none and all among them.
pub fn axes(rank: usize) -> impl Strategy<Value = Vec<usize>> {
    proptest::sample::subsequence((0..rank).collect::<Vec<_>>(), 0..=rank)
}

/// An order of `rank` axes.
pub fn permutation(rank: usize) -> impl Strategy<Value = Vec<usize>> {
    Just((0..rank).collect::<Vec<_>>()).prop_shuffle()
}

/// A range of an axis of the given size as start, step and count: forwards and backwards, empty and whole.
pub fn slice(size: usize) -> impl Strategy<Value = (usize, isize, usize)> {
    (0..size.max(1), prop_oneof![Just(1), Just(2), Just(-1), Just(-2_isize)], 0..=size).prop_map(
        move |(start, step, count)| {
            let room = if step > 0 { size - start.min(size) } else { (start + 1).min(size) };
            let most = room.div_ceil(step.unsigned_abs());
            (start, step, count.min(most))
        },
    )
}

/// A number within the range, a multiple of 1/64, so that a failure can be read and typed; it shrinks towards whole
/// numbers near 0.
pub fn number(range: Range<f64>) -> impl Strategy<Value = f64> + Clone {
    let whole = range.start.floor() as i64..=range.end.floor() as i64;
    (whole, prop_oneof![0..1_u8, 0..4_u8, 0..64_u8, 0..64_u8]).prop_map(move |(whole, fraction)| {
        // The fractions in the order 0, 1/2, 1/4, 3/4, 1/8, …: the rounder the earlier.
        let fraction = f64::from(fraction.reverse_bits() >> 2) / 64.0;
        let (low, high) = ((range.start * 64.0).ceil() / 64.0, (range.end * 64.0).floor() / 64.0);
        (whole as f64 + fraction).clamp(low, high)
    })
}

/// A tensor of the given shape with elements in the range.
pub fn tensor(shape: impl Into<Shape>, range: Range<f64>) -> impl Strategy<Value = Tensor<f64>> {
    let shape = shape.into();
    vec(number(range), shape.len()).prop_map(move |data| Tensor::new(shape.clone(), data))
}

/// A tensor of positive numbers.
pub fn positive(shape: impl Into<Shape>) -> impl Strategy<Value = Tensor<f64>> {
    tensor(shape, GAP..4.0)
}

/// A tensor with elements in the range that keep away from the given numbers.
pub fn away_from(shape: impl Into<Shape>, range: Range<f64>, places: &[f64]) -> impl Strategy<Value = Tensor<f64>> {
    let places = places.to_vec();
    tensor(shape, range).prop_map(move |x| x.map(|&x| places.iter().fold(x, |x, &place| away(x, place, GAP))))
}

/// A tensor of the given shape whose elements are all at least `gap` apart, for ops that compare elements.
pub fn separated(shape: impl Into<Shape>, gap: f64) -> impl Strategy<Value = Tensor<f64>> {
    let shape = shape.into();
    let order: Vec<usize> = (0..shape.len()).collect();
    Just(order).prop_shuffle().prop_map(move |order| {
        let middle = (order.len() / 2) as f64;
        Tensor::new(shape.clone(), order.iter().map(|&place| (place as f64 - middle) * gap).collect())
    })
}

/// A tensor of indices below `end`, in which some occur twice. If `end` is 0 the shape must be empty.
pub fn indices(shape: impl Into<Shape>, end: usize) -> impl Strategy<Value = Tensor<i64>> {
    let shape = shape.into();
    vec(0..end.max(1) as i64, shape.len()).prop_map(move |data| Tensor::new(shape.clone(), data))
}

/// A tensor of real numbers, or now and then of indices, for ops that take both.
pub fn any_tensor(shape: impl Into<Shape>) -> impl Strategy<Value = AnyTensor<f64>> {
    let shape = shape.into();
    prop_oneof![
        7 => tensor(shape.clone(), -4.0..4.0).prop_map(AnyTensor::Real),
        1 => indices(shape, 8).prop_map(AnyTensor::Index),
    ]
}

/// `count` tensors of one shape of at most three axes, with elements in the range.
pub fn alike(count: usize, range: Range<f64>) -> impl Strategy<Value = Vec<Tensor<f64>>> {
    shape(3).prop_flat_map(move |shape| vec(tensor(shape, range.clone()), count))
}

/// Tensors whose shapes broadcast together, one for each range: sizes of 1 and missing axes on every side.
pub fn broadcastable(ranges: Vec<Range<f64>>) -> impl Strategy<Value = Vec<Tensor<f64>>> {
    let count = ranges.len();
    (shape(3), vec((0..=3_usize, vec(any::<bool>(), 3)), count)).prop_flat_map(move |(full, cuts)| {
        let part = |(side, range): (&(usize, Vec<bool>), &Range<f64>)| tensor(cut(&full, side), range.clone()).boxed();
        cuts.iter().zip(&ranges).map(part).collect::<Vec<_>>()
    })
}

/// Samples of a pointwise op: tensors of one shape within the op's domain and away from its kinks or just at them.
pub fn pointwise<P: Pointwise>(op: P) -> impl Strategy<Value = Sample> {
    pointwise_within(op, vec![-4.0..4.0; P::ARITY])
}

/// [`pointwise`] with a range for each input: for an op whose values grow fast, say.
///
/// # Example
/// ```
/// use gradus_graph::check::{Entry, assert_entry, strategies};
/// use gradus_graph::{Pointwise, Real, Var};
///
/// #[derive(Debug, PartialEq, Eq, Hash)]
/// struct Gauss;
///
/// impl Pointwise for Gauss {
///     const NAME: &'static str = "gauss";
///
///     fn value<T: Real>(&self, x: &[T]) -> T {
///         (-(x[0] * x[0])).exp()
///     }
///
///     fn slope<'g>(&self, x: &[Var<'g>], y: Var<'g>, _input: usize) -> Var<'g> {
///         x[0] * y * -2.0
///     }
/// }
///
/// let samples = strategies::pointwise_within(Gauss, vec![-1.5..1.5]);
/// assert_entry(&Entry::new("gauss", "`e^(−x²)`", samples));
/// ```
pub fn pointwise_within<P: Pointwise>(op: P, ranges: Vec<Range<f64>>) -> impl Strategy<Value = Sample> {
    let op: Arc<dyn AnyOp> = Arc::new(op);
    (shape(5), proptest::bool::weighted(0.125)).prop_flat_map(move |(shape, same)| {
        let op = Arc::clone(&op);
        let tensors = ranges.iter().map(|range| tensor(shape.clone(), range.clone()).boxed()).collect::<Vec<_>>();
        tensors.prop_map(move |mut inputs| {
            if same {
                let first = inputs[0].clone();
                inputs.fill(first);
            }
            for number in 0..inputs.len() {
                let (domain, kinks) = (op.domain(number), op.kinks(number));
                inputs[number] = inputs[number].map(|&x| beside(x, &domain, &kinks));
                if kinks == Kinks::Ties && number > 0 {
                    let first = inputs[0].clone();
                    let apart = |(x, other): (&mut f64, &f64)| *x = away(*x, *other, 2.0 * GAP);
                    inputs[number].data_mut().iter_mut().zip(first.data()).for_each(apart);
                }
            }
            Sample { op: Arc::clone(&op), inputs: inputs.into_iter().map(AnyTensor::Real).collect() }
        })
    })
}

/// The number, or the nearest at a distance of `gap` from `place` if it is nearer than that.
pub(super) fn away(x: f64, place: f64, gap: f64) -> f64 {
    match (x - place).abs() < gap {
        true if x < place => place - gap,
        true => place + gap,
        false => x,
    }
}

/// The number, moved away from the ends of the domain and from kinks where it is too near.
fn beside(x: f64, domain: &Domain, kinks: &Kinks) -> f64 {
    let (low, high) = (domain.low + GAP, domain.high - GAP);
    // Numbers beyond an end are turned over into the domain, so that they do not all fall on one.
    let room = (high - low).min(4.0);
    let x = if x < low { low + (low - x) % room } else { x };
    let x = if x > high { high - (x - high) % room } else { x };
    let x = domain.without.map_or(x, |hole| away(x, hole, 2.0 * GAP));
    // Just at a kink is a place to look at; near it, steps would cross it.
    kinks.nearest(x).map_or(x, |(kink, _)| if x == kink { x } else { away(x, kink, GAP) })
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest! {
        #[test]
        fn numbers_keep_to_their_range_and_are_short(x in number(-1.3..2.7)) {
            prop_assert!((-1.3..=2.7).contains(&x) && (x * 64.0).fract() == 0.0);
        }

        #[test]
        fn slices_stay_within(((start, step, count), size) in (0..6_usize).prop_flat_map(|n| (slice(n), Just(n)))) {
            let last = start as isize + step * (count as isize - 1);
            prop_assert!(count == 0 || (start < size && (0..size as isize).contains(&last)));
        }

        #[test]
        fn shapes_broadcast((a, b) in broadcastable_shapes(4)) {
            prop_assert!(a.broadcast(&b).is_some());
        }

        #[test]
        fn numbers_are_moved_away(x in number(-3.0..3.0)) {
            let kinks = Kinks::At(vec![(1.0, 0.0)]);
            let moved = beside(x, &Domain::POSITIVE, &kinks);
            prop_assert!(moved >= GAP && (moved == 1.0 || (moved - 1.0).abs() >= GAP), "{}", moved);
        }
    }

    #[test]
    fn numbers_shrink_to_round_ones() {
        use proptest::test_runner::{TestError, TestRunner};
        let fails_above = |limit: f64| match TestRunner::deterministic().run(&number(-3.0..3.0), |x| {
            prop_assert!(x <= limit);
            Ok(())
        }) {
            Err(TestError::Fail(_, x)) => x,
            other => panic!("{other:?}"),
        };
        assert_eq!([fails_above(0.3), fails_above(1.9), fails_above(-1.0)], [0.5, 2.0, 0.0]);
    }
}
