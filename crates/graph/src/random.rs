//! Random numbers outside of a graph.

use std::ops::Range;

use crate::kernel::random::RandomStream;
use crate::real::Real;
use crate::setting::{POSITIVE, expect_setting};
use crate::shape::IntoShape;
use crate::tensor::Tensor;

/// A sequence of random numbers: a function of the seed alone, on every machine and for every number of threads.
///
/// It counts the numbers that it has drawn, and each is a function of the seed and its count (Philox4x32-10, as that of
/// the random leaves of a graph, which have other numbers for the same seed). [`Random::stream`] gives further
/// sequences of the same seed, which have no numbers in common: one an epoch, say, or one a thread. The numbers of an
/// `f32` are those of the `f64`, cut or rounded.
///
/// # Example
/// ```
/// use gradus_graph::{Random, Tensor};
/// let mut random = Random::new(7);
/// let noise: Tensor<f32> = random.normal([3, 2]);
/// let order = random.permutation(5);
/// assert_eq!((noise.len(), order.iter().sum::<usize>()), (6, 10));
/// assert_eq!(Random::new(7).normal::<f32>([3, 2]), noise);
/// ```
#[derive(Clone, Debug)]
pub struct Random {
    stream: RandomStream,
    next: usize,
}

impl Random {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Self::stream(seed, 0)
    }

    /// Sequence number `number` of a seed.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Random;
    /// let orders: Vec<Vec<usize>> = (0..3).map(|epoch| Random::stream(7, epoch).permutation(100)).collect();
    /// assert!(orders[0] != orders[1] && orders[1] != orders[2]);
    /// ```
    pub fn stream(seed: u64, number: u64) -> Self {
        // The random leaves of a graph count their streams from 0: those of the same seed are others.
        Self { stream: RandomStream { seed, step: number, stream: u32::MAX }, next: 0 }
    }

    /// Moves on by that many numbers; the count before.
    fn advance(&mut self, count: usize) -> usize {
        let before = self.next;
        self.next += count;
        before
    }

    /// Numbers uniform in [0, 1).
    ///
    /// # Panics
    /// If the sizes make no [`Shape`](crate::Shape).
    #[track_caller]
    pub fn uniform<T: Real>(&mut self, shape: impl IntoShape) -> Tensor<T> {
        let mut values = Tensor::zeros(shape);
        self.stream.uniform(self.advance(values.len()), values.data_mut());
        values
    }

    /// Numbers from the normal distribution with mean 0 and standard deviation 1: `random.normal([3]) * std + mean` has
    /// others.
    ///
    /// # Panics
    /// If the sizes make no [`Shape`](crate::Shape).
    #[track_caller]
    pub fn normal<T: Real>(&mut self, shape: impl IntoShape) -> Tensor<T> {
        let mut values = Tensor::zeros(shape);
        self.stream.normal(self.advance(values.len()), values.data_mut());
        values
    }

    /// Integers of the range, each as probable as the others.
    ///
    /// # Panics
    /// If the range is empty, or the sizes make no [`Shape`](crate::Shape).
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Random;
    /// assert!(Random::new(0).integers(1..7, [100]).data().iter().all(|dice| (1..7).contains(dice)));
    /// ```
    #[track_caller]
    pub fn integers(&mut self, range: Range<i64>, shape: impl IntoShape) -> Tensor<i64> {
        assert!(!range.is_empty(), "`Random::integers`: there is no integer in {range:?}");
        let mut values = Tensor::full(shape, 0);
        self.stream.integers(range, self.advance(values.len()), values.data_mut());
        values
    }

    /// An integer below `count`.
    ///
    /// # Panics
    /// If `count` is 0.
    #[track_caller]
    pub fn below(&mut self, count: usize) -> usize {
        assert!(count > 0, "`Random::below`: there is no integer below 0");
        let mut value = [0];
        self.stream.integers(0..i64::try_from(count).unwrap_or(i64::MAX), self.advance(1), &mut value);
        value[0] as usize
    }

    /// Puts the elements into an order that is as probable as every other (Fisher and Yates).
    pub fn shuffle<E>(&mut self, elements: &mut [E]) {
        for end in (2..=elements.len()).rev() {
            elements.swap(end - 1, self.below(end));
        }
    }

    /// The integers below `count`, shuffled.
    pub fn permutation(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        self.shuffle(&mut order);
        order
    }

    /// For each line along the last axis a place on it, each as probable as its weight says. The weights need not sum
    /// to
    /// 1.
    ///
    /// # Shapes
    /// `[…, K]` gives `[…]`.
    ///
    /// # Panics
    /// If there is no axis, a weight is negative or not finite, or the sum of a line is 0 or not finite.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Random, Tensor};
    /// let weights = Tensor::from_rows([[0.0, 3.0, 0.0], [0.0, 0.0, 1.0]]);
    /// assert_eq!(Random::new(0).categorical(&weights).data(), [1, 2]);
    /// ```
    #[track_caller]
    pub fn categorical<T: Real>(&mut self, weights: &Tensor<T>) -> Tensor<i64> {
        let Some((&size, lead)) = weights.shape().split_last() else {
            panic!("`Random::categorical`: the weights have no axis")
        };
        let shares = self.uniform::<f64>(lead);
        let mut places = shares.map(|_| 0_i64);
        for (line, (place, share)) in places.data_mut().iter_mut().zip(shares.data()).enumerate() {
            let line = &weights.data()[line * size..(line + 1) * size];
            for weight in line {
                expect_setting("`Random::categorical`: weight", weight.as_f64(), 0.0..);
            }
            let total: f64 = line.iter().map(|weight| weight.as_f64()).sum();
            expect_setting("`Random::categorical`: sum of the weights", total, POSITIVE);
            let mut below = 0.0;
            let reached = |weight: &T| {
                below += weight.as_f64();
                share * total < below
            };
            // Rounding may leave a share that no sum reaches.
            let last = line.iter().rposition(|weight| *weight > T::zero());
            *place = line.iter().position(reached).or(last).expect("a weight is above 0") as i64;
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_of_the_same_seed_draws_other_numbers() {
        let graph = crate::Graph::new();
        let leaf = graph.uniform([8]);
        let feed = crate::Feed::new().random(7, 0);
        let drawn = graph.eval_with::<f64>(&[leaf], &crate::Params::new(0), &feed).expect("it runs");
        assert_ne!(*drawn[0].real(), Random::new(7).uniform::<f64>([8]));
    }

    #[test]
    fn no_number_is_drawn_twice_and_a_sequence_is_a_function_of_its_seed() {
        let mut parts = Random::new(3);
        let whole = Random::new(3).uniform::<f64>([9]);
        assert_eq!(parts.uniform::<f64>([4]).data(), &whole.data()[..4]);
        assert_eq!(
            parts.uniform::<f32>([2]),
            whole.rows(4, 6).map(|x| (x * 16_777_216.0).floor() as f32 / 16_777_216.0)
        );
        parts.below(5);
        assert_eq!(parts.uniform::<f64>([2]).data(), &whole.data()[7..]);
        assert_ne!(Random::stream(3, 1).uniform::<f64>([9]), whole);
        assert_ne!(Random::new(4).uniform::<f64>([9]), whole);
    }

    #[test]
    fn orders_are_equally_probable() {
        let mut random = Random::new(1);
        let mut counts = [[0_u32; 3]; 3];
        for _ in 0..3000 {
            for (place, element) in random.permutation(3).into_iter().enumerate() {
                counts[place][element] += 1;
            }
        }
        assert!(counts.as_flattened().iter().all(|count| (900..1100).contains(count)), "{counts:?}");
        assert_eq!((random.permutation(0), random.permutation(1)), (vec![], vec![0]));
    }

    #[test]
    fn classes_have_the_shares_of_their_weights() {
        let mut random = Random::new(2);
        let weights = Tensor::from([1.0_f32, 0.0, 2.0, 5.0]);
        let lines = Tensor::stack(&vec![&weights; 8000], 0).reshape([80, 100, 4]);
        let classes = random.categorical(&lines);
        assert_eq!(classes.shape().sizes(), [80, 100]);
        let count = |class| classes.data().iter().filter(|&&found| found == class).count();
        let counts = [0, 1, 2, 3].map(count);
        assert_eq!(counts[1], 0);
        for (count, share) in [(counts[0], 1000), (counts[2], 2000), (counts[3], 5000)] {
            assert!(count.abs_diff(share) < 150, "{counts:?}");
        }
        assert_eq!(random.categorical(&Tensor::<f64>::zeros([0, 2])).len(), 0);
    }

    #[test]
    fn what_has_no_distribution_is_refused() {
        type Case = (&'static str, fn(&mut Random));
        let refused: [Case; 5] = [
            ("there is no integer in 3..3", |random| drop(random.integers(3..3, [1]))),
            ("there is no integer below 0", |random| _ = random.below(0)),
            ("the weights have no axis", |random| drop(random.categorical(&Tensor::scalar(1.0)))),
            ("sum of the weights must be above 0 and finite, not 0", |random| {
                drop(random.categorical(&Tensor::from([0.0])))
            }),
            ("`Random::categorical`: weight", |random| drop(random.categorical(&Tensor::from([1.0, f64::NAN])))),
        ];
        for (message, draw) in refused {
            let panic = std::panic::catch_unwind(|| draw(&mut Random::new(0))).expect_err("it is refused");
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string())).expect("a message");
            assert!(text.contains(message), "{text}");
        }
    }
}
