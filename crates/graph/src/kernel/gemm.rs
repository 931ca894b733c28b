//! Products of matrices.

/// A matrix inside a slice: element `(i, j)` is at `offset + i·row + j·col`. Strides may be 0 or negative.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, T> {
    /// The buffer.
    pub data: &'a [T],
    /// The position of element `(0, 0)`.
    pub offset: usize,
    /// The step from one row to the next.
    pub row: isize,
    /// The step from one column to the next.
    pub col: isize,
}

/// stub
pub trait Gemm: Sized {
    /// Elements of scratch that [`Gemm::gemm`] needs for a product of these sizes.
    fn workspace(m: usize, k: usize, n: usize) -> usize;

    /// `c = a·b` (or `c += a·b`), with `a` m×k, `b` k×n, and `c` m×n row-major without gaps.
    #[allow(clippy::too_many_arguments)]
    fn gemm(
        m: usize,
        k: usize,
        n: usize,
        a: Matrix<'_, Self>,
        b: Matrix<'_, Self>,
        accumulate: bool,
        c: &mut [Self],
        workspace: &mut [Self],
    );
}

macro_rules! naive {
    ($t:ty) => {
        impl Gemm for $t {
            fn workspace(_: usize, _: usize, _: usize) -> usize {
                0
            }
            fn gemm(
                m: usize,
                k: usize,
                n: usize,
                a: Matrix<'_, Self>,
                b: Matrix<'_, Self>,
                accumulate: bool,
                c: &mut [Self],
                _: &mut [Self],
            ) {
                let at = |x: &Matrix<'_, Self>, i: usize, j: usize| {
                    x.data[(x.offset as isize + i as isize * x.row + j as isize * x.col) as usize]
                };
                for i in 0..m {
                    for j in 0..n {
                        let sum: $t = (0..k).map(|l| at(&a, i, l) * at(&b, l, j)).sum();
                        if accumulate { c[i * n + j] += sum } else { c[i * n + j] = sum }
                    }
                }
            }
        }
    };
}
naive!(f32);
naive!(f64);
