//! The vjp of softmax.

use super::{GRAIN, axis, is_separable, rows_like, sizes};
use crate::kernel::across::{ACROSS, LONGEST, Tile, groups, one_by_one};
use crate::kernel::parallel::{Columns, in_columns, in_pieces};
use crate::kernel::reduce::{Add, fold_row};
use crate::kernel::simd::{Loop, vectorized};
use crate::real::Real;
use crate::tape::Var;
use crate::tape::op::{Accepts, Derivative, Form, Meta, Metas, Op, Signature, Vars, Work};

/// The cotangent of softmax's input from its output `y` and the cotangent of that: `y·(g·Σ y − Σ g·y)`, in one pass.
///
/// `Σ y` is 1. With it the formula does not change when a number is added to all of `g`, whatever `y` is.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct SoftmaxVjp {
    pub(super) after: usize,
}

impl Op for SoftmaxVjp {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real, Accepts::Real]);

    fn name(&self) -> &'static str {
        "softmax_vjp"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        rows_like(inputs, self.after)
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        let (y, g, axis) = (inputs[0], inputs[1], axis(self.after));
        Some(smallvec::smallvec![y * (g * y.sum_keep(axis) - (y * g).sum_keep(axis))])
    }

    fn derivative(&self, _input: usize) -> Derivative {
        Derivative::Expansion
    }

    fn is_separable(&self, inputs: &[Meta]) -> bool {
        is_separable(inputs, self.after)
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let [y, g] = [work.inputs[0].real(), work.inputs[1].real()];
        let [size, columns] = sizes(&work.input_shapes[0], self.after);
        match (size, self.after) {
            (0, _) => {}
            (size, 0) => in_pieces(work.outputs[0].real(), GRAIN, size, &|start, x| {
                vectorized(SoftmaxVjpRows { y: &y[start..], g: &g[start..], x, size });
            }),
            (size, _) => in_columns(work.outputs[0].real(), [size, columns], GRAIN, ACROSS, &|x| {
                vectorized(SideBySide { y, g, x, size, columns });
            }),
        }
        Ok(())
    }
}

/// Rows that lie side by side, `columns` of a matrix.
struct SideBySide<'a, T> {
    y: &'a [T],
    g: &'a [T],
    x: Columns<'a, T>,
    size: usize,
    columns: usize,
}

impl<T: Real> Loop for SideBySide<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { y, g, mut x, size, columns } = self;
        let [mut of_y, mut of_g, mut of_x] = [(); 3].map(|()| Tile::new(size));
        for (matrix, group) in x.groups(ACROSS) {
            let from = matrix * size * columns + group.start;
            of_y.load_columns(&y[from..], columns, group.len());
            of_g.load_columns(&g[from..], columns, group.len());
            softmax_vjp_tile(&mut of_y, &mut of_g, &mut of_x);
            for i in 0..size {
                of_x.store_column(i, x.row(matrix, i, group.clone()));
            }
        }
    }
}

pub(super) struct SoftmaxVjpRows<'a, T> {
    pub(super) y: &'a [T],
    pub(super) g: &'a [T],
    pub(super) x: &'a mut [T],
    pub(super) size: usize,
}

impl<T: Real> Loop for SoftmaxVjpRows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { y, g, x, size } = self;
        if size <= LONGEST {
            let [mut of_y, mut of_g, mut of_x] = [(); 3].map(|()| Tile::new(size));
            for (first, end) in groups(x.len() / size) {
                of_y.load(&y[first * size..end * size]);
                of_g.load(&g[first * size..end * size]);
                softmax_vjp_tile(&mut of_y, &mut of_g, &mut of_x);
                of_x.store(&mut x[first * size..end * size]);
            }
            return;
        }
        for row in 0..x.len() / size {
            let row = row * size..(row + 1) * size;
            softmax_vjp_row(&y[row.clone()], &g[row.clone()], &mut x[row]);
        }
    }
}

#[inline(always)]
pub(super) fn softmax_vjp_row<T: Real>(y: &[T], g: &[T], x: &mut [T]) {
    let size = y.len();
    let (g, x) = (&g[..size], &mut x[..size]);
    // Minus the cotangent of the element with most of the weight, so that there is no cancellation.
    for i in 0..size {
        x[i] = if y[i] > T::of(0.5) { g[i] } else { T::zero() };
    }
    let base = fold_row::<T, Add>(x);
    let base = if base.is_finite() { base } else { T::zero() };
    for i in 0..size {
        x[i] = y[i] * (g[i] - base);
    }
    let (total, weight) = (fold_row::<T, Add>(x), fold_row::<T, Add>(y));
    for i in 0..size {
        x[i] = y[i] * ((g[i] - base) * weight - total);
    }
}

/// [`softmax_vjp_row`] of each row of tiles.
#[inline(always)]
fn softmax_vjp_tile<T: Real>(y: &mut Tile<T>, g: &mut Tile<T>, x: &mut Tile<T>) {
    let size = y.columns().len();
    let (half, zero) = (T::of(0.5), T::zero());
    let weights = y.fold::<Add>();
    let (y, g) = (y.columns(), g.columns());
    for i in 0..size {
        one_by_one();
        for row in 0..ACROSS {
            x.columns()[i][row] = if y[i][row] > half { g[i][row] } else { zero };
        }
    }
    let mut bases = x.fold::<Add>();
    for row in 0..ACROSS {
        bases[row] = if bases[row].is_finite() { bases[row] } else { zero };
    }
    for i in 0..size {
        one_by_one();
        for row in 0..ACROSS {
            x.columns()[i][row] = y[i][row] * (g[i][row] - bases[row]);
        }
    }
    let totals = x.fold::<Add>();
    for i in 0..size {
        one_by_one();
        for row in 0..ACROSS {
            x.columns()[i][row] = y[i][row] * ((g[i][row] - bases[row]) * weights[row] - totals[row]);
        }
    }
}
