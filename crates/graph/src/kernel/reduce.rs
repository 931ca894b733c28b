//! Reductions of a tensor along axes, in an order that does not depend on threads.
//!
//! Three files below this one: `fold` combines numbers, `rows` walks over a tensor, `total` takes all of one in blocks.
//!
//! Sums are accurate for any number of elements: blocks of at most `BLOCK` elements, or `ROWS` rows, are added without
//! compensation, and their totals with it ([`Fold::gather`]). To first order the error is within 40 roundings of the
//! sum of the absolute values, over any axes.

mod fold;
mod rows;
mod total;

use crate::kernel::simd::{Loop, vectorized};
use crate::real::Real;
use crate::shape::Shape;
pub(crate) use fold::{
    AT_ONCE, Add, Fold, LANES, Largest, Multiply, Smallest, SumOf, UNCOMPENSATED, fold_row, fold_row_here,
    sum_in_lanes, sum_of,
};
pub(crate) use rows::{RowStart, Rows, Terms, WIDTH, lanes};
pub use total::Total;
pub(crate) use total::{RECORD, RECORDED, Records, add_plainly, plain_mean};

/// Reduces `x` of the given shape along `axes` (counted from the first, in order) into `y`.
pub(crate) fn reduce<T: Real, F: Fold>(x: &[T], shape: &Shape, axes: &[usize], y: &mut [T]) {
    let rows = &Rows::of(shape, axes);
    rows.in_pieces(x.len(), y, &|from, y| {
        vectorized(Reduce::<T, F> { x, rows, from, y, fold: std::marker::PhantomData });
    });
}

struct Reduce<'a, T, F> {
    x: &'a [T],
    rows: &'a Rows,
    from: usize,
    y: &'a mut [T],
    fold: std::marker::PhantomData<F>,
}

impl<T: Real, F: Fold> Loop for Reduce<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x, rows, from, y, fold } = self;
        let size = rows.row;
        let short = if rows.are_in_order() { size } else { 0 };
        let own = || &x[from * size..];
        // Short rows fit into registers as they are.
        match short {
            2 => fold_few::<T, F, 2>(own(), y),
            3 => fold_few::<T, F, 3>(own(), y),
            4 => fold_few::<T, F, 4>(own(), y),
            5..=8 => fold_padded::<T, F, 8>(own(), size, y),
            9..=16 => fold_padded::<T, F, 16>(own(), size, y),
            17..=32 => fold_padded::<T, F, 32>(own(), size, y),
            _ => rows.accumulate::<T, F, _>(from, y, &Plain(x, fold)),
        }
    }
}

/// Reduces rows of `N` elements that follow each other, in the order of [`fold_row`].
#[inline(always)]
fn fold_few<T: Real, F: Fold, const N: usize>(x: &[T], y: &mut [T]) {
    let (rows, _) = x[..y.len() * N].as_chunks::<N>();
    for i in 0..y.len() {
        y[i] = fold_tree::<T, F, N>(rows[i]);
    }
}

/// Reduces rows of `size` elements that follow each other, at most `N`, in the order of [`fold_row`]: `N` are read, and
/// those of the next rows replaced by the neutral element.
#[inline(always)]
fn fold_padded<T: Real, F: Fold, const N: usize>(x: &[T], size: usize, y: &mut [T]) {
    // The last rows have no elements behind them.
    let whole = (x.len().saturating_sub(N) / size + usize::from(x.len() >= N)).min(y.len());
    for i in 0..whole {
        let mut row: [T; N] = lanes(x, i * size);
        for k in 0..N {
            row[k] = if k < size { row[k] } else { F::start() };
        }
        y[i] = fold_tree::<T, F, N>(row);
    }
    for i in whole..y.len() {
        y[i] = fold_row::<T, F>(&x[i * size..][..size]);
    }
}

/// Reduces the elements of a row as [`fold_row`] does, by a tree over lanes that begin with the neutral element. It is
/// joined to the result here, which gives the same bits: it changes nothing but the sign of a zero.
#[inline(always)]
fn fold_tree<T: Real, F: Fold, const N: usize>(mut row: [T; N]) -> T {
    let mut half = N.next_power_of_two() / 2;
    while half > 0 {
        for k in half..N.min(2 * half) {
            row[k - half] = F::join(row[k - half], row[k]);
        }
        half /= 2;
    }
    F::join(F::start(), row[0])
}

/// The elements themselves.
struct Plain<'a, T, F>(&'a [T], std::marker::PhantomData<F>);

impl<T: Real, F: Fold> Terms<T> for Plain<'_, T, F> {
    const IS_RELATIVE: bool = false;

    #[inline(always)]
    fn fold(&self, start: RowStart, len: usize) -> T {
        fold::fold_row_here::<T, F>(&self.0[start.row..start.row + len])
    }

    #[inline(always)]
    fn wide(&self, start: RowStart) -> [T; WIDTH] {
        lanes(self.0, start.row)
    }

    #[inline(always)]
    fn side_by_side<const N: usize>(&self, start: RowStart) -> [T; N] {
        lanes(self.0, start.row)
    }

    #[inline(always)]
    fn one(&self, start: RowStart) -> T {
        self.0[start.row]
    }
}

/// The mean of `x` along `axes` into `y`, 0 for no elements.
///
/// It adds the differences from the first element, so that the mean of equal numbers is exact, and that of similar
/// numbers far from 0 accurate.
pub(crate) fn mean<T: Real>(x: &[T], shape: &Shape, axes: &[usize], y: &mut [T]) {
    let count: usize = axes.iter().map(|&axis| shape[axis]).product();
    let (rows, count) = (&Rows::of(shape, axes), T::of(count.max(1) as f64));
    rows.in_pieces(x.len(), y, &|from, y| vectorized(Mean { x, rows, from, y, count }));
}

struct Mean<'a, T> {
    x: &'a [T],
    rows: &'a Rows,
    from: usize,
    y: &'a mut [T],
    count: T,
}

impl<T: Real> Loop for Mean<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x, rows, from, y, count } = self;
        rows.accumulate::<T, Add, _>(from, y, &FromFirst(x));
        if x.is_empty() {
            return;
        }
        for (first, results) in rows.groups(from..from + y.len()) {
            for (i, y) in y[results.start - from..results.end - from].iter_mut().enumerate() {
                let mean = x[first + i] + *y / count;
                // Differences of infinite or very distant numbers may be infinite or NaN: then the plain mean.
                *y = if mean.is_finite() { mean } else { rows.plain_mean(x, first + i, count) };
            }
        }
    }
}

/// The differences from the first element with the same result.
struct FromFirst<'a, T>(&'a [T]);

impl<T: Real> Terms<T> for FromFirst<'_, T> {
    #[inline(always)]
    fn fold(&self, start: RowStart, len: usize) -> T {
        let (first, row) = (self.0[start.first], &self.0[start.row..start.row + len]);
        sum_in_lanes!(T; len, |from, terms| {
            let row = &row[from..from + terms.len()];
            for k in 0..terms.len() {
                terms[k] = row[k] - first;
            }
        })
    }

    #[inline(always)]
    fn wide(&self, start: RowStart) -> [T; WIDTH] {
        let (mut values, first): ([T; WIDTH], [T; WIDTH]) = (lanes(self.0, start.row), lanes(self.0, start.first));
        for lane in 0..WIDTH {
            values[lane] -= first[lane];
        }
        values
    }

    #[inline(always)]
    fn one(&self, start: RowStart) -> T {
        self.0[start.row] - self.0[start.first]
    }
}

/// `√Σx²` along `axes` into `y`.
///
/// The squares are scaled by a power of two only if their sum overflows or underflows.
pub(crate) fn norm<T: Real>(x: &[T], shape: &Shape, axes: &[usize], y: &mut [T]) {
    let count: usize = axes.iter().map(|&axis| shape[axis]).product();
    // The error of subnormal squares is negligible compared with a larger sum.
    let least = T::min_positive_value() * T::of(count.max(1) as f64);
    let rows = &Rows::of(shape, axes);
    rows.in_pieces(x.len(), y, &|from, y| vectorized(Norm { x, rows, from, y, least }));
}

struct Norm<'a, T> {
    x: &'a [T],
    rows: &'a Rows,
    from: usize,
    y: &'a mut [T],
    least: T,
}

impl<T: Real> Loop for Norm<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x, rows, from, y, least } = self;
        rows.accumulate::<T, Add, _>(from, y, &Squares(x));
        if x.is_empty() {
            return;
        }
        for (first, results) in rows.groups(from..from + y.len()) {
            for (i, y) in y[results.start - from..results.end - from].iter_mut().enumerate() {
                let within = *y >= least && y.is_finite();
                *y = if within { y.sqrt() } else { rows.scaled_norm(first + i, |k| x[k]) };
            }
        }
    }
}

/// The squares of the elements.
struct Squares<'a, T>(&'a [T]);

impl<T: Real> Terms<T> for Squares<'_, T> {
    const IS_RELATIVE: bool = false;

    #[inline(always)]
    fn fold(&self, start: RowStart, len: usize) -> T {
        let row = &self.0[start.row..start.row + len];
        sum_in_lanes!(T; len, |from, terms| {
            let row = &row[from..from + terms.len()];
            for k in 0..terms.len() {
                terms[k] = row[k] * row[k];
            }
        })
    }

    #[inline(always)]
    fn wide(&self, start: RowStart) -> [T; WIDTH] {
        let mut values = lanes(self.0, start.row);
        for lane in 0..WIDTH {
            values[lane] *= values[lane];
        }
        values
    }

    #[inline(always)]
    fn one(&self, start: RowStart) -> T {
        self.0[start.row] * self.0[start.row]
    }
}

#[cfg(test)]
mod tests {
    use super::rows::NEAR;
    use super::*;
    use crate::shape::Layout;

    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|k| ((k * 7919 + 13) % 10007) as f32 / 977.0 - 4.0).collect()
    }

    /// Columns that are combined in registers, by those of a matrix too large for it. A single column is a row.
    #[test]
    fn a_column_has_the_bits_that_it_has_among_many() {
        const WIDE: usize = NEAR + 77;
        for count in [1, 2, 3, 31, 32, 33, 70] {
            let x = numbers(count * WIDE);
            let of = |x: &[f32], columns: usize| {
                let shape = &Shape::from([count, columns]);
                let mut found = [(); 4].map(|()| vec![0.0; columns]);
                let [sum, product, average, length] = &mut found;
                reduce::<f32, Add>(x, shape, &[0], sum);
                reduce::<f32, Multiply>(x, shape, &[0], product);
                mean(x, shape, &[0], average);
                norm(x, shape, &[0], length);
                found
            };
            let among_many = of(&x, WIDE);
            for columns in [2, 7, 8, 9, 20, 31, 32, 33, 50, 64, 100] {
                let first = WIDE - columns - count;
                let part: Vec<f32> = (0..count).flat_map(|row| &x[row * WIDE + first..][..columns]).copied().collect();
                for (found, many) in of(&part, columns).iter().zip(&among_many) {
                    assert!(
                        found.iter().zip(&many[first..]).all(|(a, b)| a.to_bits() == b.to_bits()),
                        "{count} {columns}"
                    );
                }
            }
        }
    }

    /// Rows in registers, by rows alone; zeros with a sign and numbers that are none among them.
    #[test]
    fn the_shortest_rows_have_the_bits_of_a_row() {
        fn compare<T: Real, F: Fold>() {
            let odd = [-0.0, 0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
            let number = |k: usize| match k * 37 % 11 {
                at if at < odd.len() && k > 60 => odd[at],
                _ if k < 24 => -0.0,
                _ => ((k * 7919 + 13) % 10007) as f64 / 977.0 - 4.0,
            };
            let x: Vec<T> = (0..3500).map(|k| T::of(number(k))).collect();
            for size in 1..35 {
                let mut y = vec![T::of(7.0); 100];
                reduce::<T, F>(&x[..100 * size], &Shape::from([10, 10, size]), &[2], &mut y);
                let bits = |x: T| (!x.is_nan()).then(|| x.as_f64().to_bits());
                for (row, y) in x.chunks(size).zip(y) {
                    assert_eq!(bits(y), bits(fold_row::<T, F>(row)), "{row:?}");
                }
            }
        }
        compare::<f64, Add>();
        compare::<f32, Add>();
        compare::<f64, Multiply>();
        compare::<f64, Largest>();
        compare::<f64, Smallest>();
    }

    /// The results from any number on, as threads compute them, by all results; over axes at any place.
    #[test]
    fn a_part_of_the_results_has_the_bits_of_the_whole() {
        for (sizes, axes) in [
            (vec![5, 7, 50], vec![1]),
            (vec![5, 7, 50], vec![2]),
            (vec![5, 1, 50], vec![1]),
            (vec![5, 7, 50], vec![0, 2]),
            (vec![5, 7, 50], vec![0]),
            (vec![5, 7, 3, 10], vec![1, 2]),
            (vec![5, 40, 3, 10], vec![1, 3]),
            (vec![400], vec![0]),
            (vec![60, 3], vec![]),
        ] {
            let shape = &Shape::from(&sizes[..]);
            let (x, rows) = (numbers(shape.len()), Rows::of(shape, &axes));
            let terms = &FromFirst(&x);
            let mut whole = vec![0.0; shape.without(|axis| axes.contains(&axis)).len()];
            rows.accumulate::<f32, Add, _>(0, &mut whole, terms);
            for from in (0..whole.len()).step_by(7) {
                let mut part = vec![0.0; (whole.len() - from).min(33)];
                rows.accumulate::<f32, Add, _>(from, &mut part, terms);
                assert_eq!(part, whole[from..][..part.len()], "{sizes:?} over {axes:?} from {from}");
            }
            // Plainly, in double precision.
            let mut sums = vec![0.0_f64; whole.len()];
            let kept = shape.with_ones(|axis| axes.contains(&axis));
            let at = Layout::contiguous(kept).broadcast(shape);
            at.positions().zip(&x).for_each(|(result, &x)| sums[result] += f64::from(x));
            let mut found = vec![0.0; whole.len()];
            reduce::<f32, Add>(&x, shape, &axes, &mut found);
            assert!(found.iter().zip(&sums).all(|(&a, b)| (f64::from(a) - b).abs() < 1e-3), "{sizes:?} over {axes:?}");
        }
    }
}
