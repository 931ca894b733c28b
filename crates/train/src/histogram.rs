//! Histograms, as plots show them and logs keep them.

use gradus_graph::Real;

/// How many of some values lie in each of equally wide bins, with what sums over the values say.
///
/// # Example
/// ```
/// use gradus_train::Histogram;
/// let histogram = Histogram::of(&[0.0, 0.1, 0.2, 1.0, f64::NAN], 2);
/// assert_eq!(histogram.counts(), [3, 1]);
/// assert_eq!(histogram.edges(), [0.0, 0.5, 1.0]);
/// assert_eq!((histogram.len(), histogram.not_finite()), (4, 1));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    low: f64,
    high: f64,
    counts: Vec<u64>,
    not_finite: u64,
    sum: f64,
    sum_of_squares: f64,
}

impl Histogram {
    /// Counts the values in equal bins from the smallest finite value to the largest; a bin has its lower edge, and the
    /// last has both. Values that are not finite are counted apart.
    ///
    /// If all values are equal, the bins lie within half a unit around them, or in a hundredth of them if that is more;
    /// without finite values all counts are 0 and the bins lie from 0 to 1.
    ///
    /// # Panics
    /// If there are no bins.
    #[track_caller]
    pub fn of<T: Real>(values: &[T], bins: usize) -> Self {
        assert!(bins > 0, "a histogram needs at least one bin");
        let finite = || values.iter().map(|value| value.as_f64()).filter(|value| value.is_finite());
        let (mut low, mut high) =
            finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            (low, high) = (0.0, 1.0);
        } else if low == high {
            let room = (0.005 * low.abs()).max(0.5).min(f64::MAX - low.abs());
            (low, high) = (low - room, high + room);
        }
        let mut histogram = Self { low, high, counts: vec![0; bins], not_finite: 0, sum: 0.0, sum_of_squares: 0.0 };
        let mut count = 0;
        for value in finite() {
            // In halves, as the distance of the ends may be beyond the largest number.
            let share = (0.5 * value - 0.5 * low) / (0.5 * high - 0.5 * low);
            histogram.counts[((share * bins as f64) as usize).min(bins - 1)] += 1;
            histogram.sum += value;
            histogram.sum_of_squares += value * value;
            count += 1;
        }
        histogram.not_finite = (values.len() - count) as u64;
        histogram
    }

    /// The number of values in each bin.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// The edges of the bins, one more than there are bins.
    pub fn edges(&self) -> Vec<f64> {
        let bins = self.counts.len();
        let edge = |number: usize| {
            let share = number as f64 / bins as f64;
            // Rounded, it may be a hair beyond an end.
            (self.low * (1.0 - share) + self.high * share).clamp(self.low, self.high)
        };
        (0..=bins).map(edge).collect()
    }

    /// The number of finite values.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The number of values that are NaN or infinite.
    pub fn not_finite(&self) -> u64 {
        self.not_finite
    }

    /// The sum of the finite values.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// The sum of the squares of the finite values.
    pub fn sum_of_squares(&self) -> f64 {
        self.sum_of_squares
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finite_value_is_in_a_bin() {
        let rows: [&[f64]; 7] = [
            &[],
            &[f64::NAN, f64::INFINITY],
            &[3.0, 3.0],
            &[1e300],
            &[f64::MAX, f64::MAX],
            &[f64::MIN, f64::MAX, 0.0],
            &[0.0, 5e-324],
        ];
        for values in rows {
            let histogram = Histogram::of(values, 7);
            let finite = values.iter().filter(|value| value.is_finite()).count() as u64;
            assert_eq!(histogram.len(), finite, "{values:?}");
            assert_eq!(histogram.not_finite(), values.len() as u64 - finite);
            let edges = histogram.edges();
            assert!(
                edges.windows(2).all(|pair| pair[0] <= pair[1]) && edges.iter().all(|edge| edge.is_finite()),
                "{edges:?}"
            );
        }
        let of_f32 = Histogram::of(&[-1.0_f32, 0.0, 0.25, 1.0], 4);
        assert_eq!((of_f32.counts(), of_f32.sum(), of_f32.sum_of_squares()), (&[1, 0, 2, 1][..], 0.25, 2.0625));
    }
}
