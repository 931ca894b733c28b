//! The loops of a normalisation and of its derivatives: row by row where each row has a mean of its own, else a pass for
//! each sum.

use crate::kernel::reduce::{Add, RowStart, Rows, Terms, WIDTH, fold_row_here, lanes, sum_in_lanes};
use crate::kernel::simd::Loop;
use crate::real::Real;

/// Sums of terms from result `from` on, divided.
pub(super) struct Total<'a, T> {
    pub(super) terms: Centred<'a, T>,
    pub(super) rows: &'a Rows,
    pub(super) from: usize,
    pub(super) totals: &'a mut [T],
    pub(super) divisor: Divisor<'a, T>,
}

/// What sums are divided by.
pub(super) enum Divisor<'a, T> {
    /// The number of terms.
    Count(T),
    /// The root of the variance of each result and ε.
    Deviation(&'a [T], T),
}

impl<T: Real> Loop for Total<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { terms, rows, from, totals, divisor } = self;
        rows.accumulate::<T, Add, _>(from, totals, &terms);
        match divisor {
            Divisor::Count(count) => {
                for k in 0..totals.len() {
                    totals[k] /= count;
                }
            }
            Divisor::Deviation(variance, eps) => {
                let variance = &variance[from..from + totals.len()];
                for k in 0..totals.len() {
                    totals[k] /= (variance[k] + eps).sqrt();
                }
            }
        }
    }
}

/// The rows of `y` from number `first` on, each with its own mean and variance: `x` is read once from memory.
pub(super) struct ForwardRows<'a, T> {
    pub(super) x: &'a [T],
    pub(super) weight: &'a [T],
    pub(super) bias: &'a [T],
    pub(super) y: &'a mut [T],
    pub(super) mean: &'a mut [T],
    pub(super) variance: &'a mut [T],
    pub(super) rows: &'a Rows,
    pub(super) first: usize,
    pub(super) count: T,
    pub(super) eps: T,
}

impl<T: Real> Loop for ForwardRows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x: all, weight, bias, y, mean: means, variance: variances, rows, first, count, eps } = self;
        let size = rows.row;
        for row in 0..means.len() {
            let at = first + row;
            let (x, y) = (&all[at * size..][..size], &mut y[row * size..][..size]);
            let mean = row_mean(x, count);
            // Differences of infinite or very distant numbers may be infinite or NaN: then the plain mean.
            let mean = if mean.is_finite() { mean } else { rows.plain_mean(all, at * size, count) };
            let total = sum_in_lanes!(T; size, |from, terms| {
                let x = &x[from..from + terms.len()];
                for k in 0..terms.len() {
                    terms[k] = (x[k] - mean) * (x[k] - mean);
                }
            });
            (means[row], variances[row]) = (mean, total / count);
            let (scale, bias) = (weight[at] / (variances[row] + eps).sqrt(), bias[at]);
            for i in 0..size {
                y[i] = (x[i] - mean) * scale + bias;
            }
        }
    }
}

/// The mean of a row by the differences from its first element, as `mean` of [`reduce`](crate::kernel::reduce).
#[inline(always)]
fn row_mean<T: Real>(x: &[T], count: T) -> T {
    let first = x[0];
    let total = sum_in_lanes!(T; x.len(), |from, terms| {
        let x = &x[from..from + terms.len()];
        for k in 0..terms.len() {
            terms[k] = x[k] - first;
        }
    });
    first + total / count
}

/// The rows of `y` from number `first` on, and of `x`, for a mean and a variance that are known.
pub(super) struct Forward<'a, T> {
    pub(super) x: &'a [T],
    pub(super) weight: &'a [T],
    pub(super) bias: &'a [T],
    pub(super) y: &'a mut [T],
    pub(super) mean: &'a [T],
    pub(super) variance: &'a [T],
    pub(super) rows: &'a Rows,
    pub(super) first: usize,
    pub(super) eps: T,
}

impl<T: Real> Loop for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x, weight, bias, y, mean, variance, rows, first, eps } = self;
        let size = rows.row;
        let targets = rows.target.positions_of(first..first + y.len() / size);
        for ((x, y), at) in x.chunks_exact(size).zip(y.chunks_exact_mut(size)).zip(targets) {
            if rows.reduced {
                let (mean, scale, bias) = (mean[at], weight[at] / (variance[at] + eps).sqrt(), bias[at]);
                for i in 0..size {
                    y[i] = (x[i] - mean) * scale + bias;
                }
            } else {
                let [mean, variance, weight, bias] = [mean, variance, weight, bias].map(|all| &all[at..at + size]);
                for i in 0..size {
                    y[i] = (x[i] - mean[i]) * (weight[i] / (variance[i] + eps).sqrt()) + bias[i];
                }
            }
        }
    }
}

/// `(x − mean)²`, or `g·(x − mean)`.
pub(super) struct Centred<'a, T> {
    pub(super) x: &'a [T],
    pub(super) g: &'a [T],
    pub(super) mean: &'a [T],
    pub(super) square: bool,
}

impl<T: Real> Centred<'_, T> {
    #[inline(always)]
    fn term(&self, x: T, g: T, mean: T) -> T {
        (x - mean) * if self.square { x - mean } else { g }
    }
}

impl<T: Real> Terms<T> for Centred<'_, T> {
    #[inline(always)]
    fn fold(&self, start: RowStart, len: usize) -> T {
        let (x, g, mean) = (&self.x[start.row..][..len], &self.g[start.row..][..len], self.mean[start.at]);
        sum_in_lanes!(T; len, |from, terms| {
            let (x, g) = (&x[from..from + terms.len()], &g[from..from + terms.len()]);
            for k in 0..terms.len() {
                terms[k] = self.term(x[k], g[k], mean);
            }
        })
    }

    #[inline(always)]
    fn wide(&self, start: RowStart) -> [T; WIDTH] {
        let [x, g, mean]: [[T; WIDTH]; 3] =
            [lanes(self.x, start.row), lanes(self.g, start.row), lanes(self.mean, start.at)];
        let mut terms = [T::zero(); WIDTH];
        for lane in 0..WIDTH {
            terms[lane] = self.term(x[lane], g[lane], mean[lane]);
        }
        terms
    }

    #[inline(always)]
    fn one(&self, start: RowStart) -> T {
        self.term(self.x[start.row], self.g[start.row], self.mean[start.at])
    }
}

/// Calls `visit` for each result whose variance overflows although its standard deviation does not: with the first of
/// its elements, its index and the standard deviation, compared with which ε is negligible.
pub(super) fn overflown<T: Real>(
    x: &[T],
    rows: &Rows,
    mean: &[T],
    variance: &[T],
    count: T,
    mut visit: impl FnMut(usize, usize, T),
) {
    if variance.iter().all(|variance| variance.is_finite()) {
        return;
    }
    let root = count.sqrt();
    for (first, results) in rows.groups(0..variance.len()) {
        for (first, at) in (first..).zip(results) {
            if !variance[at].is_finite() {
                let deviation = rows.scaled_norm(first, |k| (x[k] - mean[at]) / root);
                if deviation.is_finite() {
                    visit(first, at, deviation);
                }
            }
        }
    }
}

/// What the derivatives are computed of.
#[derive(Clone, Copy)]
pub(super) struct Known<'a, T> {
    pub(super) x: &'a [T],
    pub(super) weight: &'a [T],
    pub(super) mean: &'a [T],
    pub(super) variance: &'a [T],
    pub(super) g: &'a [T],
    pub(super) rows: &'a Rows,
    pub(super) count: T,
    pub(super) eps: T,
}

impl<T: Real> Known<'_, T> {
    /// A row of the cotangent of `x`, whose result is number `at`, from its `Σg·x̂` and `Σg`.
    #[inline(always)]
    fn row_of_x(&self, [x, g]: [&[T]; 2], of_x: &mut [T], at: usize, [of_weight, of_bias]: [T; 2]) {
        let (mean, root) = (self.mean[at], (self.variance[at] + self.eps).sqrt());
        let scale = self.weight[at] / root;
        let (slope, shift) = (of_weight / self.count / root, of_bias / self.count);
        let (x, g) = (&x[..of_x.len()], &g[..of_x.len()]);
        for i in 0..of_x.len() {
            of_x[i] = (g[i] - shift - (x[i] - mean) * slope) * scale;
        }
    }
}

/// The rows from number `first` on of the cotangent of `x`, each with its own sums: read once from memory.
pub(super) struct BackwardRows<'a, T> {
    pub(super) known: Known<'a, T>,
    pub(super) of_x: &'a mut [T],
    pub(super) of_weight: &'a mut [T],
    pub(super) of_bias: &'a mut [T],
    pub(super) first: usize,
}

impl<T: Real> Loop for BackwardRows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { known, of_x, of_weight, of_bias, first } = self;
        let Known { x, mean, variance, g, rows, eps, .. } = known;
        let size = rows.row;
        for row in 0..of_weight.len() {
            let at = first + row;
            let [x, g] = [x, g].map(|all| &all[at * size..][..size]);
            let mean = mean[at];
            let total = sum_in_lanes!(T; size, |from, terms| {
                let (x, g) = (&x[from..from + terms.len()], &g[from..from + terms.len()]);
                for k in 0..terms.len() {
                    terms[k] = (x[k] - mean) * g[k];
                }
            });
            of_weight[row] = total / (variance[at] + eps).sqrt();
            of_bias[row] = fold_row_here::<T, Add>(g);
            known.row_of_x([x, g], &mut of_x[row * size..][..size], at, [of_weight[row], of_bias[row]]);
        }
    }
}

/// The rows from number `first` on of the cotangent of `x`, for `Σg` and `Σg·x̂` that are known.
pub(super) struct Backward<'a, T> {
    pub(super) known: Known<'a, T>,
    pub(super) of_x: &'a mut [T],
    pub(super) of_weight: &'a [T],
    pub(super) of_bias: &'a [T],
    pub(super) first: usize,
}

impl<T: Real> Loop for Backward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { known, of_x, of_weight, of_bias, first } = self;
        let Known { x, weight, mean, variance, g, rows, count, eps } = known;
        let size = rows.row;
        let targets = rows.target.positions_of(first..first + of_x.len() / size);
        let [x, g] = [x, g].map(|all| all[first * size..].chunks_exact(size));
        for (((x, g), of_x), at) in x.zip(g).zip(of_x.chunks_exact_mut(size)).zip(targets) {
            if rows.reduced {
                known.row_of_x([x, g], of_x, at, [of_weight[at], of_bias[at]]);
            } else {
                let all = [mean, weight, variance, of_weight, of_bias];
                let [mean, weight, variance, of_weight, of_bias] = all.map(|all| &all[at..at + size]);
                for i in 0..size {
                    let root = (variance[i] + eps).sqrt();
                    let slope = (x[i] - mean[i]) / root * of_weight[i];
                    of_x[i] = (g[i] - (of_bias[i] + slope) / count) * (weight[i] / root);
                }
            }
        }
    }
}
