//! Products whose inner size and columns are few, such as points in the plane by matrices of 2×2, and those whose inner
//! size and rows are, where the points are columns: one chain of multiply-adds after another, for each point.
//!
//! Before, as any product: a tile of c has a row of b in a register, of which two lanes of four or sixteen are used, and a
//! call for every few rows takes longer than the sums of these rows; points that are columns are packed. After: sizes that
//! the compiler knows, so that a point is a few numbers in registers, and all points are one loop.
//!
//! Order of sums: as in [`gemm`](super::gemm), from zero, one multiply-add for each step of k. So the bits are the same.

use super::gemm::{Addend, MatrixView};
use super::parallel::{Columns, in_columns, in_pieces};
use super::simd::{Loop, vectorized};
use crate::real::Real;

/// The most steps, and columns or rows.
const FEW: usize = 4;
/// Rows or columns with which this pays.
const MANY: usize = 16;
/// Columns that are computed before they are written to rows.
const TILE: usize = 64;
/// Elements of c that are worth a thread: several microseconds of work.
const GRAIN: usize = 1 << 13;

/// What there are many of.
#[derive(Clone, Copy, PartialEq)]
enum Many {
    Rows,
    Columns,
}

/// What there are many of in `count` products of this size, whose factors have these strides, if they are computed here.
fn many(count: usize, [m, k, n]: [usize; 3], [a, b]: [[isize; 2]; 2]) -> Option<Many> {
    let is_few = |size: usize| (1..=FEW).contains(&size);
    if is_few(k) && is_few(n) && m.saturating_mul(count) >= MANY && a.contains(&1) {
        Some(Many::Rows)
    } else if is_few(k) && is_few(m) && n >= MANY && b[0] == 1 && b[1] != 1 {
        Some(Many::Columns)
    } else {
        None
    }
}

/// Whether `count` products of this size, whose factors have these strides, are computed here.
pub(crate) fn suits(count: usize, sizes: [usize; 3], strides: [[isize; 2]; 2]) -> bool {
    many(count, sizes, strides).is_some()
}

/// How many shares of work `count` products of this size are.
pub(crate) fn shares(count: usize, [m, _, n]: [usize; 3]) -> usize {
    count.saturating_mul(m).saturating_mul(n) / GRAIN
}

/// `count` [suitable](suits) products, one after another in `c`, on the threads of the current pool; `factors` gives those
/// of each. A matrix that they are added to is the same for all.
///
/// # Panics
/// If a factor leaves its buffer, or `c` has another length; if the product is not suitable.
pub(crate) fn products<'a, T: Real>(
    count: usize,
    [m, k, n]: [usize; 3],
    factors: &(impl Fn(usize) -> [MatrixView<'a, T>; 2] + Sync),
    addend: Addend<'a, T>,
    c: &mut [T],
) {
    assert!(c.len() == count * m * n, "c has room for all products");
    if c.is_empty() {
        return;
    }
    let strides = factors(0).map(|factor| [factor.row, factor.col]);
    match many(count, [m, k, n], strides).expect("the product is a suitable one") {
        Many::Rows => in_pieces(c, GRAIN, n, &|start, c| {
            vectorized(Several { first: start / n, sizes: [m, k, n], factors, addend, c });
        }),
        Many::Columns => in_columns(c, [m, n], GRAIN, TILE, &|c| {
            vectorized(SideBySide { sizes: [m, k], factors, addend, c });
        }),
    }
}

/// Rows of the products, from number `first` of all rows on.
struct Several<'a, 'b, T, F> {
    first: usize,
    sizes: [usize; 3],
    factors: &'b F,
    addend: Addend<'a, T>,
    c: &'b mut [T],
}

impl<'a, T: Real, F: Fn(usize) -> [MatrixView<'a, T>; 2]> Loop for Several<'a, '_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { first, sizes: [m, k, n], factors, addend, mut c } = self;
        let (mut number, mut row) = (first / m, first % m);
        while !c.is_empty() {
            let (own, rest) = c.split_at_mut(c.len().min((m - row) * n));
            let [a, b] = factors(number);
            let plus = if let Addend::Matrix(plus) = addend { Some(below(plus, row)) } else { None };
            let part = Part { a: below(a, row), b, is_added: matches!(addend, Addend::Itself), plus, c: own };
            match k {
                1 => part.steps::<1>(n),
                2 => part.steps::<2>(n),
                3 => part.steps::<3>(n),
                _ => part.steps::<4>(n),
            }
            (number, row, c) = (number + 1, 0, rest);
        }
    }
}

/// Columns of the products.
struct SideBySide<'a, 'b, T, F> {
    sizes: [usize; 2],
    factors: &'b F,
    addend: Addend<'a, T>,
    c: Columns<'b, T>,
}

impl<'a, T: Real, F: Fn(usize) -> [MatrixView<'a, T>; 2]> Loop for SideBySide<'a, '_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        match self.sizes[1] {
            1 => self.steps::<1>(),
            2 => self.steps::<2>(),
            3 => self.steps::<3>(),
            _ => self.steps::<4>(),
        }
    }
}

impl<'a, T: Real, F: Fn(usize) -> [MatrixView<'a, T>; 2]> SideBySide<'a, '_, T, F> {
    #[inline(always)]
    fn steps<const K: usize>(&mut self) {
        match self.sizes[0] {
            1 => self.rows::<K, 1>(),
            2 => self.rows::<K, 2>(),
            3 => self.rows::<K, 3>(),
            _ => self.rows::<K, 4>(),
        }
    }

    #[inline(always)]
    fn rows<const K: usize, const M: usize>(&mut self) {
        let mut tile = [[T::zero(); TILE]; M];
        for (number, group) in self.c.groups(TILE) {
            let [a, b] = (self.factors)(number);
            let a = elements::<T, K, M>(&MatrixView { row: a.col, col: a.row, ..a });
            let from = MatrixView { offset: b.offset.wrapping_add_signed(group.start as isize * b.col), ..b };
            for j in 0..group.len() {
                let start = from.offset.wrapping_add_signed(j as isize * b.col);
                let sums = row_of(b.data[start..].first_chunk::<K>().expect("the factor is inside its buffer"), &a);
                for i in 0..M {
                    tile[i][j] = sums[i];
                }
            }
            for i in 0..M {
                let (to, sums) = (self.c.row(number, i, group.clone()), &tile[i][..group.len()]);
                match self.addend {
                    Addend::Nothing => to.copy_from_slice(sums),
                    Addend::Itself => to.iter_mut().zip(sums).for_each(|(to, sum)| *to += *sum),
                    Addend::Matrix(plus) => {
                        for j in 0..to.len() {
                            to[j] = sums[j] + element(&plus, i, group.start + j);
                        }
                    }
                }
            }
        }
    }
}

/// A matrix from a row on.
#[inline(always)]
fn below<T>(matrix: MatrixView<'_, T>, row: usize) -> MatrixView<'_, T> {
    MatrixView { offset: matrix.offset.wrapping_add_signed(row as isize * matrix.row), ..matrix }
}

/// Element `(i, j)` of a matrix.
#[inline(always)]
fn element<T: Copy>(matrix: &MatrixView<'_, T>, i: usize, j: usize) -> T {
    matrix.data[matrix.offset.wrapping_add_signed(i as isize * matrix.row + j as isize * matrix.col)]
}

/// The elements of a matrix.
#[inline(always)]
fn elements<T: Real, const M: usize, const N: usize>(matrix: &MatrixView<'_, T>) -> [[T; N]; M] {
    let mut elements = [[T::zero(); N]; M];
    for i in 0..M {
        for j in 0..N {
            elements[i][j] = element(matrix, i, j);
        }
    }
    elements
}

/// Rows of one product.
struct Part<'a, 'b, T> {
    a: MatrixView<'a, T>,
    b: MatrixView<'a, T>,
    is_added: bool,
    plus: Option<MatrixView<'a, T>>,
    c: &'b mut [T],
}

impl<T: Real> Part<'_, '_, T> {
    #[inline(always)]
    fn steps<const K: usize>(self, n: usize) {
        match n {
            1 => self.columns::<K, 1>(),
            2 => self.columns::<K, 2>(),
            3 => self.columns::<K, 3>(),
            _ => self.columns::<K, 4>(),
        }
    }

    #[inline(always)]
    fn columns<const K: usize, const N: usize>(self) {
        let Self { a, b, is_added, plus, c } = self;
        let b = elements::<T, K, N>(&b);
        let (rows, _) = c.as_chunks_mut::<N>();
        let len = rows.len();
        // No closures: they may be compiled apart, for the oldest machine.
        macro_rules! each {
            ($i:ident => $row:expr) => {
                for $i in 0..len {
                    let sums = row_of($row, &b);
                    for j in 0..N {
                        rows[$i][j] = if is_added { rows[$i][j] + sums[j] } else { sums[j] };
                    }
                }
            };
        }
        if a.col == 1 && a.row == K as isize {
            let (from, _) = a.data[a.offset..][..len * K].as_chunks::<K>();
            each!(i => &from[i]);
        } else if a.row == 1 {
            let mut columns = [&a.data[..0]; K];
            for l in 0..K {
                columns[l] = &a.data[a.offset.wrapping_add_signed(l as isize * a.col)..][..len];
            }
            each!(i => &{
                let mut row = [T::zero(); K];
                for l in 0..K {
                    row[l] = columns[l][i];
                }
                row
            });
        } else {
            each!(i => &elements::<T, 1, K>(&below(a, i))[0]);
        }
        match plus {
            Some(plus) if plus.col == 1 && plus.row == N as isize => {
                let (to, plus) = (rows.as_flattened_mut(), &plus.data[plus.offset..][..len * N]);
                for k in 0..to.len() {
                    to[k] += plus[k];
                }
            }
            Some(plus) => {
                for i in 0..len {
                    for j in 0..N {
                        rows[i][j] += element(&plus, i, j);
                    }
                }
            }
            None => {}
        }
    }
}

/// A row of a product.
#[inline(always)]
fn row_of<T: Real, const K: usize, const N: usize>(a: &[T; K], b: &[[T; N]; K]) -> [T; N] {
    let mut sums = [T::zero(); N];
    for l in 0..K {
        for j in 0..N {
            sums[j] = a[l].product_plus(b[l][j], sums[j]);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::gemm::Gemm;
    use crate::kernel::parallel::in_team;

    /// All sizes, factors that lie as they are and transposed, with gaps and repeated, added to nothing, to what is there
    /// and to a matrix: the bits of [`Gemm`](super::super::gemm::Gemm), some zeros with a sign among them.
    fn compare<T: Real>() {
        let numbers: Vec<T> = (0..4000)
            .map(|k| match k % 11 {
                0 => T::of(-0.0),
                1 => T::zero(),
                _ => T::of(((k * 7919 + 13) % 10007) as f64 / 977.0 - 4.0),
            })
            .collect();
        let few = || 1..=FEW;
        for (k, (few, many)) in
            few().flat_map(|k| few().flat_map(move |few| [16, 17, 100].map(|many| (k, (few, many)))))
        {
            let tall = [[k as isize, 1], [k as isize + 3, 1], [1, many as isize], [0, 1], [-(k as isize), 1], [1, -5]];
            let small = [[few as isize, 1], [1, k as isize], [0, -1]];
            let wide = [[1, k.max(2) as isize], [1, k as isize + 3], [1, 0], [1, -(k as isize)]];
            let cases = tall.iter().flat_map(|&a| small.map(|b| ([many, k, few], [a, b])));
            let cases = cases.chain(wide.iter().flat_map(|&b| small.map(|a| ([few, k, many], [a, b]))));
            for ([m, k, n], strides) in cases {
                assert!(suits(1, [m, k, n], strides), "{m}×{k}×{n} {strides:?}");
                let [a, b] = [1000, 2000].map(|offset| MatrixView { data: &numbers[..], offset, row: 0, col: 0 });
                let [[row, col], [b_row, b_col]] = strides;
                let (a, b) = (MatrixView { row, col, ..a }, MatrixView { row: b_row, col: b_col, ..b });
                let plus = MatrixView { data: &numbers[..], offset: 3000, row: n.min(FEW) as isize, col: 1 };
                let apart = MatrixView { row: if n > FEW { 0 } else { 6 }, ..plus };
                for addend in [Addend::Nothing, Addend::Itself, Addend::Matrix(plus), Addend::Matrix(apart)] {
                    let mut wanted = numbers[500..500 + m * n].to_vec();
                    let mut found = wanted.clone();
                    let itself = matches!(addend, Addend::Itself);
                    T::gemm(m, k, n, a, b, itself, &mut wanted, &mut vec![T::zero(); T::workspace(m, k, n)]);
                    if let Addend::Matrix(plus) = addend {
                        for (at, wanted) in wanted.iter_mut().enumerate() {
                            *wanted += element(&plus, at / n, at % n);
                        }
                    }
                    products(1, [m, k, n], &|_| [a, b], addend, &mut found);
                    let bits = |list: &[T]| list.iter().map(|x| x.as_f64().to_bits()).collect::<Vec<_>>();
                    assert_eq!(bits(&found), bits(&wanted), "{m}×{k}×{n} {strides:?}");
                }
            }
        }
    }

    #[test]
    fn the_bits_are_those_of_other_products() {
        compare::<f32>();
        compare::<f64>();
    }

    #[test]
    fn what_is_not_small_or_lies_apart_is_left_to_others() {
        for (count, sizes, strides) in [
            (1, [100, 5, 2], [[5, 1], [2, 1]]),
            (1, [100, 2, 5], [[2, 1], [5, 1]]),
            (1, [15, 2, 2], [[2, 1], [2, 1]]),
            (1, [100, 2, 2], [[7, 3], [2, 1]]),
            (1, [2, 2, 100], [[2, 1], [100, 1]]),
            (1, [100, 0, 2], [[1, 1], [2, 1]]),
        ] {
            assert!(!suits(count, sizes, strides), "{sizes:?}");
        }
        assert!(suits(4, [4, 2, 2], [[2, 1], [2, 1]]));
    }

    #[test]
    fn batches_are_divided_among_threads() {
        for [m, k, n] in [[4003, 3, 2], [3, 2, 4003]] {
            let count = 7;
            let numbers: Vec<f64> =
                (0..count * 4003 * 3).map(|at| ((at * 7919 + 13) % 10007) as f64 / 977.0 - 4.0).collect();
            let factors = |number: usize| {
                let a = MatrixView { data: &numbers[..], offset: number * m * k, row: k as isize, col: 1 };
                let strides = if n > FEW { [1, k as isize] } else { [n as isize, 1] };
                [a, MatrixView { offset: number * k * n, row: strides[0], col: strides[1], ..a }]
            };
            let mut wanted = vec![0.0; count * m * n];
            let mut workspace = vec![0.0; f64::workspace(m, k, n)];
            for (number, wanted) in wanted.chunks_exact_mut(m * n).enumerate() {
                let [a, b] = factors(number);
                f64::gemm(m, k, n, a, b, false, wanted, &mut workspace);
            }
            for threads in [1, 2, 3, 8] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut found = vec![0.0; count * m * n];
                let run = || products(count, [m, k, n], &factors, Addend::Nothing, &mut found);
                pool.install(|| in_team(run));
                assert!(found == wanted, "{threads}");
            }
            assert!(shares(count, [m, k, n]) > 2);
        }
    }
}
