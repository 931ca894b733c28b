//! Sums in twice the precision of f64, in the order in which numbers come: so that a division into batches changes nothing.

/// A sum that is kept as two numbers, the second of which is what the first has no digits for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct LongSum {
    high: f64,
    low: f64,
}

impl LongSum {
    pub(crate) fn add(&mut self, value: f64) {
        let (high, rest) = exact_sum(self.high, value);
        (self.high, self.low) = if high.is_finite() { short_sum(high, self.low + rest) } else { (high, 0.0) };
    }

    /// Adds the square, with all its digits.
    pub(crate) fn add_square(&mut self, value: f64) {
        let square = value * value;
        self.add(square);
        if square.is_finite() {
            self.add(value.mul_add(value, -square));
        }
    }

    pub(crate) fn value(self) -> f64 {
        self.high + self.low
    }

    /// `self − sum²/count`: the sum of squared distances from the mean, if `self` is that of squares.
    pub(crate) fn about_mean(self, sum: Self, count: f64) -> f64 {
        let square = sum.high * sum.high;
        let rest = sum.high.mul_add(sum.high, -square) + 2.0 * sum.high * sum.low;
        let quotient = square / count;
        let (difference, lost) = exact_sum(self.high, -quotient);
        (difference + (lost + self.low - (rest - quotient.mul_add(count, -square)) / count)).max(0.0)
    }
}

/// The rounded sum, and what rounding left out.
fn exact_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let of_b = sum - a;
    (sum, (a - (sum - of_b)) + (b - of_b))
}

/// As [`exact_sum`], if the first number is the larger one.
fn short_sum(large: f64, small: f64) -> (f64, f64) {
    let sum = large + small;
    (sum, small - (sum - large))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_number_loses_is_kept() {
        let mut sum = LongSum::default();
        for value in [1e16, 1.0, -1e16, 1e-9] {
            sum.add(value);
        }
        assert_eq!(sum.value(), 1.0 + 1e-9);
        sum.add(f64::MAX);
        sum.add(f64::MAX);
        assert_eq!(sum.value(), f64::INFINITY);
    }

    #[test]
    fn a_far_mean_costs_no_digits() {
        let (mut sum, mut squares) = (LongSum::default(), LongSum::default());
        let values: Vec<f64> = (0..1000).map(|k| 1e9 + f64::from(k % 7) * 0.125).collect();
        for &value in &values {
            sum.add(value);
            squares.add_square(value);
        }
        // 0.125²·Σ(k % 7 − mean)², in integers over 1000.
        let residues = (0..1000_i64).map(|k| k % 7);
        let (s, q) = residues.fold((0, 0), |(s, q), r| (s + r, q + r * r));
        let wanted = 0.015_625 * ((1000 * q - s * s) as f64 / 1000.0);
        let apart = (squares.about_mean(sum, 1000.0) / wanted - 1.0).abs();
        // Plain sums of squares of this size are off by more than the whole.
        assert!(apart < 1e-12, "{apart:e}");
    }
}
