//! Training steps in `f32` on one thread, each beside its yardstick: the matrix products alone, a microsecond, a copy.

#![allow(unsafe_code)] // The call of the other library's product.

use gradus_graph::check::CountingAllocator;
use std::hint::black_box;
use std::time::Instant;

use gradus_graph::kernel::gemm::{Gemm, MatrixView};
use gradus_graph::{Feed, Graph, Params, Plan, Tensor};
use gradus_nn::{Dense, loss};
use gradus_optim::{Adam, NonFinite, Optimizer};
use gradus_train::Step;

use crate::table::Table;

pub(crate) fn run() -> Table {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool of one thread");
    pool.install(|| {
        let mut table = Table::new(&["µs", "yardstick µs", "ratio", "bar", "allocations"]);
        wide(&mut table);
        small(&mut table);
        pointwise(&mut table);
        reductions(&mut table);
        table.note("yardsticks: the products alone through the product kernel; the bar itself; a copy of the array");
        table.note("each figure is the median of runs that alternate with the yardstick's");
        table
    })
}

/// Medians of the times of two pieces of work that alternate, in µs.
fn paired(rounds: usize, repeat: usize, mut work: impl FnMut(), mut yardstick: impl FnMut()) -> (f64, f64) {
    let mut times = (Vec::new(), Vec::new());
    let time = |list: &mut Vec<f64>, f: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..repeat).for_each(|_| f());
        list.push(start.elapsed().as_secs_f64() * 1e6 / repeat as f64);
    };
    for _ in 0..rounds {
        time(&mut times.0, &mut work);
        time(&mut times.1, &mut yardstick);
    }
    let median = |mut list: Vec<f64>| {
        list.sort_by(f64::total_cmp);
        list[list.len() / 2]
    };
    (median(times.0), median(times.1))
}

/// Numbers that look random, in [−1, 1).
fn numbers(count: usize) -> Vec<f32> {
    (0..count as u32).map(|k| (k.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
}

/// The MLP 784-512-512-10, ReLU, cross-entropy, batch 128, Adam.
fn wide(table: &mut Table) {
    const BATCH: usize = 128;
    let mut params: Params = Params::new(1);
    let layers = [784, 512, 512, 10];
    let dense: Vec<Dense> =
        (0..3).map(|k| Dense::new(&mut params, &format!("layer{k}"), layers[k], layers[k + 1])).collect();
    let mut step = Step::new(|_, [x, labels]| {
        let hidden = dense[1].forward(dense[0].forward(x).relu()).relu();
        dense[2].forward(hidden).cross_entropy(labels).mean()
    });
    let x = Tensor::new([BATCH, layers[0]], numbers(BATCH * layers[0]));
    let labels = Tensor::from_fn([BATCH], |k| (k % 10) as i64);
    let mut adam = Optimizer::new(Adam::new(1e-3)).on_non_finite(NonFinite::Trust);
    let mut train = || {
        let gradients = step.run(&mut params, (&x, &labels)).expect("the step runs");
        adam.step(&mut params, &gradients).expect("the update is made");
    };

    let mut products: Vec<(usize, usize, usize)> = Vec::new();
    for k in 0..3 {
        products.push((BATCH, layers[k], layers[k + 1]));
        products.push((layers[k + 1], BATCH, layers[k]));
        if k > 0 {
            products.push((BATCH, layers[k + 1], layers[k]));
        }
    }
    let (a, b) = (numbers(784 * 784), numbers(784 * 784));
    let mut c = vec![0.0; 784 * 784];
    let room = products.iter().map(|&(m, k, n)| f32::workspace(m, k, n)).max().expect("there are products");
    let mut workspace = vec![0.0; room];
    let mut multiply = || {
        for &(m, k, n) in &products {
            let a = MatrixView { data: &a, offset: 0, row: k as isize, col: 1 };
            let b = MatrixView { data: &b, offset: 0, row: n as isize, col: 1 };
            f32::gemm(m, k, n, a, b, false, black_box(&mut c[..m * n]), &mut workspace);
        }
    };
    for _ in 0..3 {
        train();
        multiply();
    }
    let before = CountingAllocator::allocations_of_all_threads();
    train();
    let allocated = CountingAllocator::allocations_of_all_threads() - before;
    let (own, bar) = paired(25, 4, train, &mut multiply);
    table.row("MLP 784-512-512-10, batch 128", &[own, bar, own / bar, 1.6, allocated as f64]);

    let mut c = vec![0.0; 784 * 784];
    let reference = || {
        for &(m, k, n) in &products {
            assert!(a.len() >= m * k && b.len() >= k * n && c.len() >= m * n, "the operands lie within their buffers");
            let (into, inner, columns) = (black_box(c.as_mut_ptr()), k as isize, n as isize);
            // SAFETY: by the assertion, with the strides of row-major operands.
            unsafe {
                matrixmultiply::sgemm(
                    m,
                    k,
                    n,
                    1.0,
                    a.as_ptr(),
                    inner,
                    1,
                    b.as_ptr(),
                    columns,
                    1,
                    0.0,
                    into,
                    columns,
                    1,
                );
            }
        }
    };
    let (own, bar) = paired(25, 4, multiply, reference);
    table.row("  its products alone, against matrixmultiply", &[own, bar, own / bar, 1.0, 0.0]);
}

/// The MLP 4-32-32-1, tanh, batch 16, MSE, Adam.
fn small(table: &mut Table) {
    const BATCH: usize = 16;
    let mut params: Params = Params::new(1);
    let layers = [4, 32, 32, 1];
    let dense: Vec<Dense> =
        (0..3).map(|k| Dense::new(&mut params, &format!("layer{k}"), layers[k], layers[k + 1])).collect();
    let mut step = Step::new(|_, [x, y]| {
        let hidden = dense[1].forward(dense[0].forward(x).tanh()).tanh();
        loss::mse(dense[2].forward(hidden), y)
    });
    let x = Tensor::new([BATCH, 4], numbers(BATCH * 4));
    let y = Tensor::new([BATCH, 1], numbers(BATCH));
    let mut adam = Optimizer::new(Adam::new(1e-3)).on_non_finite(NonFinite::Trust);
    let mut train = || {
        let gradients = step.run(&mut params, (&x, &y)).expect("the step runs");
        adam.step(&mut params, &gradients).expect("the update is made");
    };
    for _ in 0..100 {
        train();
    }
    let before = CountingAllocator::allocations_of_all_threads();
    train();
    let allocated = CountingAllocator::allocations_of_all_threads() - before;
    let (own, _) = paired(25, 400, train, || {});
    table.row("MLP 4-32-32-1, batch 16", &[own, 15.0, own / 15.0, 1.0, allocated as f64]);
}

/// Value and gradient of mean(sigmoid(x)·tanh(x) + exp(−x²)) over a million elements.
fn pointwise(table: &mut Table) {
    const COUNT: usize = 1_000_000;
    let graph = Graph::new();
    let x = graph.input("x", [COUNT]);
    let value = (x.sigmoid() * x.tanh() + (-x.square()).exp()).mean();
    let gradient = graph.grad(value, &[x]).expect("the value depends on x")[0];
    let mut session = Plan::new(&graph, &[value, gradient]).expect("the function compiles").session::<f32>();
    let (params, x) = (Params::new(0), Tensor::new([COUNT], numbers(COUNT)));
    let mut evaluate = || {
        let feed = Feed::new().with("x", &x);
        black_box(session.run(&params, &feed).expect("the function runs").real(0).item());
    };
    let mut copy = vec![0.0_f32; COUNT];
    let mut duplicate = || black_box(&mut copy).copy_from_slice(black_box(x.data()));
    for _ in 0..3 {
        evaluate();
        duplicate();
    }
    let before = CountingAllocator::allocations_of_all_threads();
    evaluate();
    let allocated = CountingAllocator::allocations_of_all_threads() - before;
    let (own, bar) = paired(25, 4, evaluate, duplicate);
    table.row("sigmoid·tanh + exp, 10⁶ elements", &[own, bar, own / bar, 30.0, allocated as f64]);
}

/// Sums of 64 million elements over either axis, running sums, and the gradient of an embedding.
fn reductions(table: &mut Table) {
    const ROWS: usize = 1_000_000;
    const COLUMNS: usize = 64;
    let x = Tensor::new([ROWS, COLUMNS], numbers(ROWS * COLUMNS));
    let mut copy = vec![0.0_f32; ROWS * COLUMNS];
    for (name, axis, bar) in [("sum of [10⁶, 64] over axis 0", 0, 0.7), ("sum of [10⁶, 64] over axis 1", 1, 0.7)] {
        let graph = Graph::new();
        let sum = graph.input("x", [ROWS, COLUMNS]).sum_axes(axis);
        let mut session = Plan::new(&graph, &[sum]).expect("the sum compiles").session::<f32>();
        let params = Params::new(0);
        let mut evaluate = || {
            let feed = Feed::new().with("x", &x);
            black_box(session.run(&params, &feed).expect("the sum runs").real(0).data()[0]);
        };
        let mut duplicate = || black_box(&mut copy).copy_from_slice(black_box(x.data()));
        evaluate();
        duplicate();
        let before = CountingAllocator::allocations_of_all_threads();
        evaluate();
        let allocated = CountingAllocator::allocations_of_all_threads() - before;
        let (own, yardstick) = paired(9, 1, evaluate, duplicate);
        table.row(name, &[own, yardstick, own / yardstick, bar, allocated as f64]);
    }
    // As of a batch of 32 texts of 128 words: vocabulary and width of a small language model.
    let graph = Graph::new();
    let (words, places) = (graph.input("words", [20_000, 256]), graph.index_input("places", [4096]));
    let loss = words.index_select(0, places).square().sum();
    let gradient = graph.grad(loss, &[words]).expect("the loss depends on the words")[0];
    let mut session = Plan::new(&graph, &[gradient]).expect("the gradient compiles").session::<f32>();
    let words = Tensor::new([20_000, 256], numbers(20_000 * 256));
    let places = Tensor::from_fn([4096], |k| ((k * 7919) % 20_000) as i64 / (1 + (k % 3) as i64 * 50));
    let params = Params::new(0);
    let mut evaluate = || {
        let feed = Feed::new().with("words", &words).with("places", &places);
        black_box(session.run(&params, &feed).expect("the gradient runs").real(0).data()[0]);
    };
    let duplicate = || black_box(&mut copy[..words.len()]).copy_from_slice(black_box(words.data()));
    evaluate();
    let (own, yardstick) = paired(25, 1, evaluate, duplicate);
    table.row("gradient of an embedding", &[own, yardstick, own / yardstick, 3.0, 0.0]);
}
