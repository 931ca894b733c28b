//! The vjp of softmax.

use super::{GRAIN, rows_like};
use crate::kernel::across::{ACROSS, LONGEST, Tile, groups, one_by_one};
use crate::kernel::parallel::in_pieces;
use crate::kernel::reduce::{Add, fold_row};
use crate::kernel::simd::{Loop, vectorized};
use crate::real::Real;
use crate::tape::Var;
use crate::tape::op::{Accepts, Derivative, Form, Meta, Metas, Op, Signature, Vars, Work};

/// The cotangent of softmax's input from its output `y` and the cotangent of that: `y·(g·Σ y − Σ g·y)`, in one pass.
///
/// `Σ y` is 1. With it the formula does not change when a number is added to all of `g`, whatever `y` is.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct SoftmaxVjp;

impl Op for SoftmaxVjp {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real, Accepts::Real]);

    fn name(&self) -> &'static str {
        "softmax_vjp"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        rows_like(inputs)
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        let (y, g) = (inputs[0], inputs[1]);
        Some(smallvec::smallvec![y * (g * y.sum_keep(-1) - (y * g).sum_keep(-1))])
    }

    fn derivative(&self, _input: usize) -> Derivative {
        Derivative::Expansion
    }

    fn is_separable(&self, inputs: &[Meta]) -> bool {
        inputs[0].shape.rank() > 1
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let [y, g] = [work.inputs[0].real(), work.inputs[1].real()];
        let size = *work.input_shapes[0].last().expect("a scalar was refused");
        if size > 0 {
            in_pieces(work.outputs[0].real(), GRAIN, size, &|start, x| {
                vectorized(SoftmaxVjpRows { y: &y[start..], g: &g[start..], x, size });
            });
        }
        Ok(())
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
