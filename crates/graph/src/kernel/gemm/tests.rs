//! Products against two references (the same chain of sums written out, and `matrixmultiply`), and their guarantees:
//! bits that no split changes, a workspace whose content never leaks, no access outside the buffers.

#![allow(unsafe_code)] // Calls of the reference and of kernels for chosen instruction sets.

use proptest::prelude::*;

use super::lanes::Portable;
use super::*;
use crate::Real;

/// `T` with what the tests need of it.
trait Tested: Real {
    fn fused(self, y: Self, sum: Self) -> Self;
    fn reference(m: usize, k: usize, n: usize, a: MatrixView<'_, Self>, b: MatrixView<'_, Self>, c: &mut [Self]);
    /// Runs the product with each instruction set that the machine has; whether its multiply-adds are fused.
    fn each(run: impl FnMut(bool, Run<Self>, Pack<Self>, Room));
}

type Run<T> = unsafe fn(&Product<T>, *mut T);
type Pack<T> = unsafe fn([usize; 2], Strided<T>, Range<usize>, *mut T);
type Room = fn(usize, usize, usize) -> usize;

macro_rules! tested {
    ($t:ty, $gemm:path) => {
        impl Tested for $t {
            fn fused(self, y: Self, sum: Self) -> Self {
                self.mul_add(y, sum)
            }

            fn reference(
                m: usize,
                k: usize,
                n: usize,
                a: MatrixView<'_, Self>,
                b: MatrixView<'_, Self>,
                c: &mut [Self],
            ) {
                let (a, b) = (a.expect_inside("left", m, k), b.expect_inside("right", k, n));
                // SAFETY: the matrices stay inside their buffers, and c has m·n elements.
                unsafe {
                    $gemm(m, k, n, 1.0, a.data, a.row, a.col, b.data, b.row, b.col, 0.0, c.as_mut_ptr(), n as isize, 1)
                }
            }

            fn each(mut run: impl FnMut(bool, Run<Self>, Pack<Self>, Room)) {
                use blocks::{pack, room, run as product};
                let fused = cfg!(any(target_feature = "fma", target_arch = "aarch64"));
                run(fused, product::<Portable<$t>>, pack::<Portable<$t>>, room::<Portable<$t>>);
                #[cfg(target_arch = "x86_64")]
                {
                    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
                        run(true, product::<lanes::Avx2<$t>>, pack::<lanes::Avx2<$t>>, room::<lanes::Avx2<$t>>);
                    }
                    if std::arch::is_x86_feature_detected!("avx512f")
                        && std::arch::is_x86_feature_detected!("avx512vl")
                        && std::arch::is_x86_feature_detected!("avx512dq")
                        && std::arch::is_x86_feature_detected!("avx512bw")
                    {
                        run(true, product::<lanes::Avx512<$t>>, pack::<lanes::Avx512<$t>>, room::<lanes::Avx512<$t>>);
                    }
                }
            }
        }
    };
}
tested!(f32, matrixmultiply::sgemm);
tested!(f64, matrixmultiply::dgemm);

/// Numbers that are different at every place and of both signs.
fn numbers<T: Real>(count: usize, seed: u64) -> Vec<T> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        T::of((state >> 40) as f64 / f64::from(1 << 23) - 1.0)
    };
    (0..count).map(|_| next()).collect()
}

/// How a matrix lies in its buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    Rows,
    Columns,
    /// Rows with gaps between them.
    Gaps,
    /// Every second element of columns.
    Sparse,
    /// Backwards in both directions.
    Backwards,
    /// The same row again and again.
    SameRow,
    /// The same column again and again.
    SameColumn,
    /// One number for all.
    Same,
}

use Lie::*;
const LIES: [Lie; 8] = [Rows, Columns, Gaps, Sparse, Backwards, SameRow, SameColumn, Same];

/// A buffer as long as it must be, and the matrix in it.
struct Laid<T> {
    data: Vec<T>,
    offset: usize,
    row: isize,
    col: isize,
}

impl<T: Real> Laid<T> {
    fn new(rows: usize, cols: usize, lie: Lie, seed: u64) -> Self {
        let (r, c) = (rows as isize, cols as isize);
        let (row, col) = match lie {
            Rows => (c, 1),
            Columns => (1, r),
            Gaps => (c + 3, 1),
            Sparse => (2, 2 * r),
            Backwards => (-c, -1),
            SameRow => (0, 1),
            SameColumn => (1, 0),
            Same => (0, 0),
        };
        let reach = (r - 1).max(0) * row.abs() + (c - 1).max(0) * col.abs();
        let start = if lie == Backwards { reach } else { 0 };
        // One element in front, so that offsets are at work in every test.
        let offset = 1 + start as usize;
        Laid { data: numbers(reach as usize + 2, seed), offset, row, col }
    }

    fn matrix(&self) -> MatrixView<'_, T> {
        MatrixView { data: &self.data, offset: self.offset, row: self.row, col: self.col }
    }

    fn at(&self, i: usize, j: usize) -> T {
        self.data[(self.offset as isize + i as isize * self.row + j as isize * self.col) as usize]
    }
}

/// The product as the order of sums defines it.
fn chain<T: Tested>(
    (m, k, n): (usize, usize, usize),
    a: &Laid<T>,
    b: &Laid<T>,
    accumulate: bool,
    fused: bool,
    c: &mut [T],
) {
    let steps = blocks::block(k.max(1));
    for i in 0..m {
        for j in 0..n {
            let c = &mut c[i * n + j];
            if !accumulate && k == 0 {
                *c = T::zero();
            }
            for first in (0..k).step_by(steps) {
                let mut sum = T::zero();
                for l in first..k.min(first + steps) {
                    let (x, y) = (a.at(i, l), b.at(l, j));
                    sum = if fused { x.fused(y, sum) } else { x * y + sum };
                }
                *c = if accumulate || first > 0 { *c + sum } else { sum };
            }
        }
    }
}

/// The product as users get it, with a workspace full of NaN.
fn ours<T: Tested>(
    sizes: (usize, usize, usize),
    a: MatrixView<'_, T>,
    b: MatrixView<'_, T>,
    accumulate: bool,
    c: &mut [T],
) {
    let (m, k, n) = sizes;
    let mut workspace = vec![T::nan(); T::workspace(m, k, n)];
    T::gemm(m, k, n, a, b, accumulate, c, &mut workspace);
}

#[track_caller]
fn same_bits<T: Real>(found: &[T], expected: &[T], what: &dyn std::fmt::Debug) {
    assert_eq!(found.len(), expected.len());
    for (place, (x, y)) in found.iter().zip(expected).enumerate() {
        assert!(x == y, "element {place}: {x} instead of {y} in {what:?}");
    }
}

/// All instruction sets give the defined chain of sums, bit for bit.
#[track_caller]
fn check_bits<T: Tested>(sizes: (usize, usize, usize), lie_a: Lie, lie_b: Lie, accumulate: bool) {
    let (m, k, n) = sizes;
    let (a, b) = (Laid::<T>::new(m, k, lie_a, 1), Laid::<T>::new(k, n, lie_b, 2));
    let before: Vec<T> = numbers(m * n, 3);
    if m * n * k == 0 {
        let (mut c, mut expected) = (before.clone(), before);
        ours(sizes, a.matrix(), b.matrix(), accumulate, &mut c);
        chain(sizes, &a, &b, accumulate, true, &mut expected);
        return same_bits(&c, &expected, &(sizes, lie_a, lie_b, accumulate));
    }
    let plus = Laid::<T>::new(m, n, [Rows, SameRow, Gaps][if n == 1 { 0 } else { (m + k) % 3 }], 12);
    let mut chains = [None, None];
    T::each(|fused, run, pack, room| {
        let [expected, expected_sum] = chains[usize::from(fused)].get_or_insert_with(|| {
            let mut c = before.clone();
            chain(sizes, &a, &b, accumulate, fused, &mut c);
            let sum = (0..m * n).map(|place| c[place] + plus.at(place / n, place % n)).collect();
            [c, sum]
        });
        // Guards show whether anything is written beyond c, beyond the workspace or beyond the panels.
        let guard = T::of(77.0);
        let room = room(m, k, n);
        let (left, right) = (a.matrix().expect_inside("left", m, k), b.matrix().expect_inside("right", k, n));
        let Strided { data, row, .. } = plus.matrix().expect_inside("added", m, n);
        let mut panels = vec![T::nan(); packed_len(k, n)];
        panels.resize(panels.len() + 64, guard);
        for from in (0..n).step_by(2 * blocks::WIDE) {
            // SAFETY: the machine has the instructions; the matrix was checked, and the panels are long enough.
            unsafe { pack([k, n], right, from..n.min(from + 2 * blocks::WIDE), panels.as_mut_ptr()) };
        }
        assert!(panels[packed_len(k, n)..].iter().all(|&x| x == guard), "{sizes:?} packs too far");
        let packed = Right::Panels(Panels { data: panels.as_ptr(), lanes: blocks::packed_lanes(n), first: 0 });
        for (b, plus) in [
            (Right::Matrix(right), None),
            (Right::Matrix(right), Some(blocks::Rows { data, row })),
            (packed, None),
            (packed, Some(blocks::Rows { data, row })),
        ] {
            let mut workspace = vec![T::nan(); room];
            workspace.resize(room + 64, guard);
            let mut c = before.clone();
            c.resize(m * n + 64, guard);
            let product = Product { m, k, n, a: left, b, accumulate, plus, c: c.as_mut_ptr(), c_row: n as isize };
            // SAFETY: `each` calls with what the machine has; the matrices were checked; c and the workspace are long
            // enough.
            unsafe { run(&product, workspace.as_mut_ptr()) };
            let expected = if plus.is_some() { &*expected_sum } else { &*expected };
            let is_packed = matches!(b, Right::Panels(_));
            same_bits(&c[..m * n], expected, &(sizes, lie_a, lie_b, accumulate, fused, plus.is_some(), is_packed));
            assert!(c[m * n..].iter().chain(&workspace[room..]).all(|&x| x == guard), "{sizes:?} writes too far");
        }
    });
}

const SIZES: [(usize, usize, usize); 38] = [
    (0, 3, 4),
    (3, 0, 4),
    (3, 4, 0),
    (1, 1, 1),
    (1, 7, 5),
    (5, 7, 1),
    (4, 1, 6),
    (2, 3, 4),
    (4, 4, 4),
    (4, 3, 3),
    (60, 3, 3),
    (16, 4, 32),
    (16, 32, 1),
    (1, 32, 130),
    (3, 5, 129),
    (5, 19, 67),
    (6, 8, 65),
    (7, 17, 33),
    (13, 16, 31),
    (14, 15, 32),
    (15, 9, 17),
    (28, 33, 16),
    (29, 31, 47),
    (32, 16, 32),
    (17, 384, 23),
    (17, 385, 9),
    (31, 300, 65),
    (43, 130, 100),
    (130, 2, 10),
    (57, 514, 40),
    (50, 20, 2),
    (100, 20, 2),
    (130, 8, 3),
    (16, 384, 4),
    (80, 385, 2),
    (150, 70, 129),
    (1, 600, 300),
    (300, 260, 1),
];

fn all_sizes_and_lies<T: Tested>() {
    for (number, &sizes) in SIZES.iter().enumerate() {
        for (turn, &lie_a) in LIES.iter().enumerate() {
            // All pairs for small products; for large ones a few of them, other ones each time.
            let all = sizes.0 * sizes.1 * sizes.2 < 20_000;
            for (other, &lie_b) in LIES.iter().enumerate() {
                if all || (turn + other + number) % 8 == 0 {
                    check_bits::<T>(sizes, lie_a, lie_b, (turn + other / 2) % 2 == 0);
                }
            }
        }
    }
}

#[test]
fn every_layout_gives_the_defined_sums_in_single_precision() {
    all_sizes_and_lies::<f32>();
}

#[test]
fn every_layout_gives_the_defined_sums_in_double_precision() {
    all_sizes_and_lies::<f64>();
}

fn all_tiles<T: Tested>() {
    for m in 1..=7 {
        for n in [1, 3, 4, 5, 7, 8, 9, 13, 15, 16, 17, 29, 31, 32, 33] {
            // Fewer steps than a round, whole rounds and a rest, and enough for c to be fetched meanwhile.
            for k in [1, 3, 4, 5, 7, 8, 31, 35, 40] {
                let (lie_a, lie_b) = [(Rows, Rows), (Columns, Gaps), (Gaps, Columns), (Sparse, Rows)][(m + n + k) % 4];
                check_bits::<T>((m, k, n), lie_a, lie_b, (m + k) % 2 == 0);
            }
        }
    }
}

#[test]
fn every_tile_gives_the_defined_sums() {
    all_tiles::<f32>();
    all_tiles::<f64>();
}

fn wide_bands<T: Tested>() {
    // More columns than one band of packed b holds, more rows than are read without packing.
    check_bits::<T>((30, 130, 1100), Rows, Rows, false);
    check_bits::<T>((15, 390, 1030), Columns, Columns, true);
    check_bits::<T>((1100, 390, 1), Rows, Rows, true);
}

#[test]
fn bands_meet_without_a_seam() {
    wide_bands::<f32>();
    wide_bands::<f64>();
}

/// Few rows against many columns that are packed, as [`columns`] computes them: several panels, blocks of k, and rows of a
/// that are read where they lie, packed, or packed because their lines collide.
fn few_rows_and_many_columns<T: Tested>() {
    for sizes in [(15, 384, 180), (30, 1024, 250), (50, 770, 260), (90, 130, 520), (30, 70, 129)] {
        for (lie_a, lie_b) in
            [(Rows, Columns), (Gaps, Sparse), (Columns, Backwards), (Sparse, SameColumn), (Rows, Rows)]
        {
            check_bits::<T>(sizes, lie_a, lie_b, (sizes.0 + sizes.1) % 2 == 0);
        }
    }
}

#[test]
fn panels_of_many_columns_meet_all_rows() {
    few_rows_and_many_columns::<f32>();
    few_rows_and_many_columns::<f64>();
    for (steps, n) in [(384, 400), (384, 402), (200, 100), (384, usize::MAX)] {
        for m in [1, 15, 50, 200, 1 << 39, usize::MAX] {
            let suits = columns::suits::<Portable<f32>>(m, steps, n);
            assert!(!suits || m <= n / 2 && columns::room::<Portable<f32>>(m, steps) < 1 << 17, "{m} rows");
        }
    }
}

fn against_matrixmultiply<T: Tested>() {
    for sizes @ (m, k, n) in [(64, 64, 64), (100, 300, 70), (33, 784, 65), (784, 32, 33), (65, 512, 10), (1, 256, 500)]
    {
        for (lie_a, lie_b) in [(Rows, Rows), (Columns, Rows), (Rows, Columns), (Columns, Columns)] {
            let (a, b) = (Laid::<T>::new(m, k, lie_a, 4), Laid::<T>::new(k, n, lie_b, 5));
            let (mut c, mut expected) = (vec![T::nan(); m * n], vec![T::zero(); m * n]);
            ours(sizes, a.matrix(), b.matrix(), false, &mut c);
            T::reference(m, k, n, a.matrix(), b.matrix(), &mut expected);
            // Each rounding is half a unit of a sum that stays below k; errors of random sign grow like a root.
            let allowed = T::EPS * k as f64;
            for (x, y) in c.iter().zip(&expected) {
                assert!(
                    (x.as_f64() - y.as_f64()).abs() <= allowed,
                    "{x} instead of {y} in {sizes:?} {lie_a:?} {lie_b:?}"
                );
            }
        }
    }
}

#[test]
fn agrees_with_an_independent_product() {
    against_matrixmultiply::<f32>();
    against_matrixmultiply::<f64>();
}

/// Rows `first..last` of a, times columns `left..right` of b, against the same block of the whole product.
fn check_block<T: Tested>(
    sizes @ (m, k, n): (usize, usize, usize),
    (lie_a, lie_b): (Lie, Lie),
    (first, last): (usize, usize),
    (left, right): (usize, usize),
    accumulate: bool,
) {
    let (a, b) = (Laid::<T>::new(m, k, lie_a, 6), Laid::<T>::new(k, n, lie_b, 7));
    let before: Vec<T> = numbers(m * n, 8);
    let mut whole = before.clone();
    ours(sizes, a.matrix(), b.matrix(), accumulate, &mut whole);
    let block = |c: &[T]| -> Vec<T> { (first..last).flat_map(|i| c[i * n + left..i * n + right].to_vec()).collect() };
    let mut part = block(&before);
    let (mut rows, mut columns) = (a.matrix(), b.matrix());
    rows.offset = (rows.offset as isize + first as isize * rows.row) as usize;
    columns.offset = (columns.offset as isize + left as isize * columns.col) as usize;
    ours((last - first, k, right - left), rows, columns, accumulate, &mut part);
    same_bits(&part, &block(&whole), &(sizes, lie_a, lie_b, first, last, left, right));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_split_of_rows_or_columns_changes_a_bit(
        (m, k, n) in prop_oneof![
            3 => (1usize..40, 1usize..40, 1usize..70),
            1 => (1usize..150, 1usize..600, 1usize..200),
        ],
        cuts in [0.0f64..1.0, 0.0..1.0, 0.0..1.0, 0.0..1.0],
        lies in (0usize..8, 0usize..8),
        accumulate in any::<bool>(),
        double in any::<bool>(),
    ) {
        let cut = |x: f64, y: f64, size: usize| {
            let first = ((x.min(y) * size as f64) as usize).min(size - 1);
            (first, ((x.max(y) * size as f64).ceil() as usize).clamp(first + 1, size))
        };
        let (rows, columns) = (cut(cuts[0], cuts[1], m), cut(cuts[2], cuts[3], n));
        let lies = (LIES[lies.0], LIES[lies.1]);
        if double {
            check_block::<f64>((m, k, n), lies, rows, columns, accumulate);
        } else {
            check_block::<f32>((m, k, n), lies, rows, columns, accumulate);
        }
    }
}

#[test]
fn nan_and_infinity_pass_through_zeros() {
    for n in [1, 3, 40] {
        let a = [0.0f32, 1.0, 0.0, 0.0];
        let mut b = vec![1.0f32; 2 * n];
        b[0] = f32::INFINITY;
        let (a, b) = (
            MatrixView { data: &a, offset: 0, row: 2, col: 1 },
            MatrixView { data: &b, offset: 0, row: n as isize, col: 1 },
        );
        let mut c = vec![5.0; 2 * n];
        ours((2, 2, n), a, b, false, &mut c);
        assert!(c[0].is_nan() && c[n].is_nan());
        assert!(n == 1 || (c[1] == 1.0 && c[n + 1] == 0.0));
    }
}

#[test]
#[should_panic(expected = "the right matrix of 3×2 elements with offset 1 and strides 2, 1 leaves its buffer of 6")]
fn a_matrix_must_stay_inside_its_buffer() {
    let (a, b) = ([1.0; 6], [1.0; 6]);
    let left = MatrixView { data: &a, offset: 0, row: 3, col: 1 };
    ours((2, 3, 2), left, MatrixView { data: &b, offset: 1, row: 2, col: 1 }, false, &mut [0.0; 4]);
}

#[test]
fn strides_that_leave_the_buffer_are_refused() {
    let data = [1.0f64; 12];
    let sound = |offset, row, col| {
        std::panic::catch_unwind(|| MatrixView { data: &data, offset, row, col }.expect_inside("left", 3, 4)).is_ok()
    };
    assert!(sound(0, 4, 1) && sound(11, -4, -1) && sound(8, -4, 1) && sound(5, 0, 0));
    assert!(!sound(1, 4, 1) && !sound(10, -4, -1) && !sound(7, -4, 1) && !sound(12, 0, 0));
    assert!(!sound(0, isize::MAX, 1) && !sound(0, isize::MIN, 1) && !sound(0, isize::MAX / 2, isize::MAX / 3));
    assert!(!sound(usize::MAX, 1, 1) && !sound(0, -1, 1));
    let tall = || MatrixView { data: &data, offset: 5, row: 1, col: 1 }.expect_inside("left", usize::MAX, 1);
    assert!(std::panic::catch_unwind(tall).is_err());
}

#[test]
fn sizes_whose_products_overflow_are_refused() {
    const LARGE: [usize; 4] = [1 << 32, 1 << 63, usize::MAX / 3 * 2 + 1, usize::MAX];
    let data = [1.0f64; 8];
    for large in LARGE {
        for (m, k, n) in [(large, 1, large), (large, 1, 3), (3, 1, large), (1, large, 1), (2, large, 2)] {
            let matrix = MatrixView { data: &data, offset: 0, row: 1, col: 1 };
            for divided in [false, true] {
                let (mut c, mut workspace) = (vec![0.0; m.wrapping_mul(n).min(4)], vec![0.0; 1 << 17]);
                let run = || match divided {
                    false => f64::gemm(m, k, n, matrix, matrix, false, &mut c, &mut workspace),
                    true => product(m, k, n, matrix, matrix, false, &mut c, &mut workspace),
                };
                let message = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).expect_err("it is refused");
                let message = message.downcast::<String>().expect("a formatted message");
                assert!(message.starts_with("product: "), "{m}×{k}×{n}: {message}");
            }
            let _ = (product_workspace::<f64>(m, k, n), f64::workspace(m, k, n));
        }
    }
}

/// Every workspace is as small as it may be, so that a sanitizer sees what goes beyond it, and c ends with its last
/// row.
#[test]
fn no_product_needs_more_than_its_workspace() {
    for (m, n) in [(1, 1), (1, 9), (9, 1), (3, 7), (13, 5), (14, 130), (40, 1), (40, 33), (200, 2), (2, 600), (30, 340)]
    {
        for k in [1, 5, 40, 400] {
            for (accumulate, c_row) in [(false, n), (true, n), (true, n + 3)] {
                let (a, b) = (vec![1.0f32; m * k], vec![1.0f32; k * n]);
                let mut workspace = vec![f32::NAN; f32::workspace(m, k, n)].into_boxed_slice();
                let mut c = vec![1.0f32; (m - 1) * c_row + n].into_boxed_slice();
                for (row, col) in [(k as isize, 1), (1, m as isize)] {
                    let a = MatrixView { data: &a, offset: 0, row, col };
                    for (row, col) in [(n as isize, 1), (1, k as isize)] {
                        let b = MatrixView { data: &b, offset: 0, row, col };
                        c.fill(1.0);
                        // SAFETY: c has all of its rows, and nothing else reaches it.
                        unsafe {
                            super::gemm_into(m, k, n, a, b, accumulate, c.as_mut_ptr(), c_row, &mut workspace);
                        }
                        for (place, &value) in c.iter().enumerate() {
                            let sum = k as f32 + f32::from(u8::from(accumulate));
                            let expected = if place % c_row < n { sum } else { 1.0 };
                            assert!(value == expected, "{m}×{k}×{n}, rows {c_row} apart: {value} at {place}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "it needs")]
fn a_short_workspace_is_refused() {
    let a = [1.0f32; 64];
    let a = MatrixView { data: &a, offset: 0, row: 8, col: 1 };
    f32::gemm(8, 8, 8, a, a, false, &mut [0.0; 64], &mut []);
}

#[test]
fn the_workspace_is_bounded() {
    for (m, k, n) in [(1 << 20, 1 << 20, 1 << 20), (1, 1 << 30, 1 << 30), (1 << 30, 1, 1), (7, 1, 1 << 30)] {
        assert!(f32::workspace(m, k, n) * 4 <= 1 << 20);
        assert!(f64::workspace(m, k, n) * 8 <= 1 << 20);
    }
    assert_eq!(f32::workspace(0, 5, 5), 0);
}

#[test]
fn a_stride_that_is_never_taken_may_be_anything() {
    let data = [1.0f64, 2.0, 3.0];
    let a = MatrixView { data: &data, offset: 0, row: isize::MAX, col: 1 };
    let b = MatrixView { data: &data, offset: 0, row: 1, col: isize::MIN };
    let mut c = [0.0];
    ours((1, 3, 1), a, b, false, &mut c);
    assert_eq!(c, [14.0]);
}

fn on_threads<T: Tested>(pools: &[rayon::ThreadPool], sizes: (usize, usize, usize), lie_a: Lie, lie_b: Lie) {
    let (m, k, n) = sizes;
    let (a, b) = (Laid::<T>::new(m, k, lie_a, 9), Laid::<T>::new(k, n, lie_b, 10));
    let before: Vec<T> = numbers(m * n, 11);
    let mut expected = before.clone();
    ours(sizes, a.matrix(), b.matrix(), true, &mut expected);
    for pool in pools {
        pool.install(|| {
            let full = product_workspace::<T>(m, k, n);
            // A workspace for fewer threads is enough.
            for room in [full, (full / 2).max(T::workspace(m, k, n))] {
                let mut workspace = vec![T::nan(); room];
                let mut c = before.clone();
                product(m, k, n, a.matrix(), b.matrix(), true, &mut c, &mut workspace);
                same_bits(&c, &expected, &(sizes, lie_a, lie_b, pool, room));
            }
        });
    }
}

#[test]
fn no_number_of_threads_changes_a_bit() {
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
    let pools = [1, 2, 3, 7].map(pool);
    on_threads::<f32>(&pools, (130, 100, 97), Rows, Columns);
    on_threads::<f64>(&pools, (67, 310, 129), Columns, Backwards);
    on_threads::<f32>(&pools, (3, 600, 900), Rows, Rows);
    on_threads::<f32>(&pools, (50, 600, 300), Rows, Columns);
    on_threads::<f64>(&pools, (40, 512, 350), Rows, Columns);
    on_threads::<f32>(&pools, (1300, 1200, 1), Rows, SameColumn);
    on_threads::<f64>(&pools, (1, 1200, 1300), Gaps, SameRow);
    on_threads::<f32>(&pools, (5, 5, 5), Rows, Rows);
}
